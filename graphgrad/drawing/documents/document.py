"""What a document consists of: sections of prose, formulas, tables, figures and code, whatever it is printed as."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula in TeX and in Unicode, with a remark that stands beside it."""

    latex: str
    unicode: str
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Prose:
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True, slots=True)
class Formulas:
    """Formulas below each other."""

    lines: tuple[Formula, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table; a cell is text or a formula."""

    head: tuple[str, ...]
    rows: tuple[tuple[str | Formula, ...], ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture as SVG, and as what writes it to a PDF file, where there is one."""

    name: str
    caption: str
    svg: str
    pdf: Callable[[str], None] | None = None


@dataclass(frozen=True, slots=True)
class Code:
    """Python that computes in a notebook what the section shows; the other printers leave it out."""

    text: str


Block = Prose | Formulas | Table | Figure | Code


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A title and its sections."""

    title: str
    sections: tuple[Section, ...]
