"""A document as Markdown, with formulas between dollars as GitHub and Jupyter show them; pictures lie beside it."""

from __future__ import annotations

import re

from graphgrad.drawing.documents.document import Block, Code, Document, Figure, Formula, Formulas, Prose, Table

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|$])")


def print_markdown(document: Document, stem: str) -> str:
    """The whole file; its pictures are `stem-NAME.svg`."""
    parts = [f"# {_escaped(document.title)}"]
    for section in document.sections:
        parts += [
            f"## {_escaped(section.title)}",
            *(text for block in section.blocks if (text := block_of(block, stem))),
        ]
    return "\n\n".join(parts) + "\n"


def block_of(block: Block, stem: str) -> str:
    """One block; empty for code, which is no part of the text."""
    match block:
        case Prose(text):
            return _escaped(text)
        case Formulas(lines):
            return "\n\n".join(
                f"$$\n{line.latex}\n$$" + (f"\n\n{_escaped(line.remark)}" if line.remark else "") for line in lines
            )
        case Table(head, rows):
            body = [f"| {' | '.join(map(_cell, row))} |" for row in (head, ("---",) * len(head), *rows)]
            return "\n".join(body)
        case Figure(name, caption):
            return f"![{_escaped(caption)}]({stem}-{name}.svg)"
        case Code():
            return ""


def _cell(cell: str | Formula) -> str:
    if isinstance(cell, Formula):
        latex = cell.latex.replace("|", r"\vert ")  # a bar would end the cell
        return f"${latex}$"
    return cell if cell == "---" else _escaped(cell)


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
