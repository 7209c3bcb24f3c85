"""A document of formulas, tables and pictures as plain data, and its printers: HTML, TeX, Markdown, a notebook."""

from graphgrad.drawing.documents.document import (
    Block,
    Code,
    Document,
    Figure,
    Formula,
    Formulas,
    Prose,
    Section,
    Table,
)

__all__ = ["Block", "Code", "Document", "Figure", "Formula", "Formulas", "Prose", "Section", "Table"]
