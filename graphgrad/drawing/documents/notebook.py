"""A document as a Jupyter notebook: its text in cells of Markdown, its code in cells that compute the same again.

Source: the notebook format, version 4.5.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from graphgrad.drawing.documents.document import Code, Document, Figure
from graphgrad.drawing.documents.markdown import block_of


def print_notebook(document: Document) -> str:
    """The whole file; its pictures are attached to their cells."""
    cells: list[dict[str, Any]] = [_text(f"# {document.title}")]
    for section in document.sections:
        cells.append(_text(f"## {section.title}"))
        for block in section.blocks:
            if isinstance(block, Code):
                cells.append(_code(block.text))
            elif isinstance(block, Figure):
                cells.append(_picture(block))
            else:
                cells.append(_text(block_of(block, "")))
    for number, cell in enumerate(cells):
        cell["id"] = hashlib.sha256(f"{number} {cell['source']}".encode()).hexdigest()[:12]
    notebook = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


def _text(source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "metadata": {}, "source": source}


def _picture(figure: Figure) -> dict[str, Any]:
    name = f"{figure.name}.svg"
    attached = {name: {"image/svg+xml": base64.b64encode(figure.svg.encode()).decode()}}
    return {**_text(f"![{figure.caption}](attachment:{name})"), "attachments": attached}


def _code(source: str) -> dict[str, Any]:
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
