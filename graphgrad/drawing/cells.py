"""The cells in which a value stands on its card: how many for which shape, and what each of them says.

How many depends on the shape alone, so that the layout stays the same when values change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphgrad.drawing.numbers import Array, elements, finite, norm, number, numbers, precision
from graphgrad.drawing.style import NOT_COMPUTED

MOST_LETTERS = 9  # of a text in its full size
LONGEST_VECTOR = 3
LARGEST_NUMBERED = (4, 3)
LARGEST_HEATMAP = (12, 12)


@dataclass(frozen=True, slots=True)
class Cell:
    """What one cell says; an alarm is a NaN or an infinity, `heat` is its place on the scale from -1 to 1."""

    text: str
    alarm: bool = False
    heat: float | None = None

    @property
    def scale(self) -> float:
        """How much smaller than others the text is written, so that it stays inside its cell."""
        return min(1.0, MOST_LETTERS / max(len(self.text), 1))


@dataclass(frozen=True, slots=True)
class Grid:
    """The cells of a value: rows and columns, and whether they hold numbers, colours or both."""

    rows: int = 1
    columns: int = 1
    numbered: bool = True
    coloured: bool = False

    @property
    def size(self) -> int:
        return self.rows * self.columns


def grid(shape: tuple[int, ...], together: bool = False) -> Grid:
    """The cells for a value of this shape; one for a long vector (its norm) and for many samples together."""
    if together or not shape:
        return Grid()
    if len(shape) == 1:
        return Grid(shape[0]) if shape[0] <= LONGEST_VECTOR else Grid()
    if len(shape) == 2 and all(own <= most for own, most in zip(shape, LARGEST_NUMBERED, strict=True)):
        return Grid(*shape, coloured=True)
    if len(shape) == 2 and all(own <= most for own, most in zip(shape, LARGEST_HEATMAP, strict=True)):
        return Grid(*shape, numbered=False, coloured=True)
    return Grid()


def cells(value: Array | int | None, form: Grid) -> tuple[Cell, ...]:
    """What the cells say of a value: an array, a number of samples that are not shown one by one, or not computed."""
    if value is None:
        return (Cell(NOT_COMPUTED),) * form.size
    if isinstance(value, int):
        return (Cell(f"{value:,} samples"),)
    if value.size != form.size:
        return (Cell(f"norm {number(norm(value), precision(value))}", not finite(value)),)
    texts = numbers(value) if form.numbered else [""] * form.size
    heats = elements(value.ravel()) if form.coloured else None
    return tuple(
        Cell(text, not np.isfinite(element), None if heats is None else float(heats[k]))
        for k, (text, element) in enumerate(zip(texts, value.ravel(), strict=True))
    )
