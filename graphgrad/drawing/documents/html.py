"""A document as one HTML file that needs nothing else: formulas in MathML, pictures in SVG, light, dark and on paper."""

from __future__ import annotations

from html import escape
from importlib.resources import files

from graphgrad.drawing.documents.document import Block, Code, Document, Figure, Formula, Formulas, Prose, Table
from graphgrad.graph import mathml


def print_html(document: Document) -> str:
    """The whole page."""
    style = files("graphgrad.drawing.documents").joinpath("page.css").read_text("utf-8")
    sections = "\n".join(
        f"<section>\n<h2>{escape(section.title)}</h2>\n{''.join(map(_block, section.blocks))}</section>"
        for section in document.sections
    )
    title = escape(document.title)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<style>\n{style}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n{sections}\n</main>\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    match block:
        case Prose(text):
            return f"<p>{escape(text)}</p>\n"
        case Formulas(lines):
            rows = "".join(
                f'<div class="line">{mathml(line.latex, block=True)}'
                f"{f'<span>{escape(line.remark)}</span>' if line.remark else ''}</div>\n"
                for line in lines
            )
            return f'<div class="formulas">\n{rows}</div>\n'
        case Table(head, rows):
            titles = "".join(f"<th>{escape(title)}</th>" for title in head)
            body = "".join(f"<tr>{''.join(f'<td>{_cell(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
            return (
                f'<div class="table"><table>\n<thead><tr>{titles}</tr></thead>\n<tbody>\n{body}</tbody></table></div>\n'
            )
        case Figure(_, caption, svg):
            return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>\n"
        case Code():
            return ""


def _cell(cell: str | Formula) -> str:
    return mathml(cell.latex) if isinstance(cell, Formula) else escape(cell)
