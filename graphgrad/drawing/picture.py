"""The picture of a graph: asked for once, given as SVG, PNG, PDF or DOT, shown by itself in Jupyter."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from graphgrad.drawing import svg
from graphgrad.drawing.cells import Cell
from graphgrad.drawing.dot import dot
from graphgrad.drawing.layout import laid_out, render
from graphgrad.drawing.numbers import Array
from graphgrad.drawing.style import THEMES, TOKENS
from graphgrad.drawing.view import Collapse, GraphView, view
from graphgrad.graph import Graph, GraphError, Node

RESOLUTION = 192


class Picture:
    """A drawn graph. `theme` is "light", "dark", or "auto", which follows the reader's screen (in SVG)."""

    def __init__(self, view: GraphView, theme: str = "light") -> None:
        if theme != "auto" and theme not in THEMES:
            raise GraphError(f"{theme!r} is not a theme: there are {', '.join(THEMES)} and auto")
        self.view = view
        self.theme = theme

    @cached_property
    def cells(self) -> dict[str, Cell]:
        """What each cell of the picture says, by its id: `n3-f0` is the first number of n3's value."""
        return {
            f"{card.id}-{side[0]}{position}": cell
            for card in self.view.cards
            if card.form is not None
            for side in self.view.sides
            for position, cell in enumerate(self.view.shown(card, side))
        }

    def svg(self) -> str:
        """The picture as one self-contained SVG element."""
        painted = self.painted(legend=True)
        return svg.with_style(painted) if self.theme == "auto" else painted

    def painted(self, *, legend: bool, blank: bool = False) -> str:
        """The SVG of the theme's colours, or of the CSS variables `--gg-*` for "auto"; `blank` leaves values out."""
        layout = laid_out(dot(self.view, TOKENS, blank=True, legend=legend))
        described = {card.id: card.full if blank else self.view.described(card) for card in self.view.cards}
        cells = {} if blank else self.cells
        return svg.painted(layout, THEMES.get(self.theme), cells, described, self.view.title or "computation graph")

    def png(self, path: str | os.PathLike[str]) -> None:
        """Write the picture as PNG, at 192 dots per inch."""
        Path(path).write_bytes(render(self.dot(dpi=RESOLUTION), "png"))

    def pdf(self, path: str | os.PathLike[str]) -> None:
        """Write the picture as PDF."""
        Path(path).write_bytes(render(self.dot(), "pdf"))

    def dot(self, dpi: int = 0) -> str:
        """The picture in the DOT language of Graphviz, with its values."""
        return dot(self.view, THEMES.get(self.theme, THEMES["light"]), dpi=dpi)

    def _repr_mimebundle_(self, **options: object) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return (
            f"<Picture of {self.view.title or 'a graph'}: {len(self.view.cards)} cards, {len(self.view.edges)} edges>"
        )


def picture(
    graph: Graph,
    values: Mapping[Node, Array] | None = None,
    gradients: Mapping[Node, Array] | None = None,
    of: Node | None = None,
    theme: str = "light",
    collapse: Collapse = None,
    sample: int | None = None,
) -> Picture:
    """The picture of a graph with its values (above) and the gradients of `of` (below) on each card.

    Arrays are those of one sample, or of a batch out of which `sample` picks one. `collapse` folds groups into one
    card each: True all, False none, or their titles; by default the innermost, in a graph of more than 60 nodes.
    """
    return Picture(view(graph, values, gradients, of, collapse, sample), theme)
