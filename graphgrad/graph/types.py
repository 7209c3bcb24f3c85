"""The type of a node: its shape for one sample, and whether each sample has a value of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

from graphgrad.graph.errors import ShapeError, shown

MOST_ELEMENTS = 2**33
MOST_AXES = 8


@dataclass(frozen=True, slots=True)
class Type:
    """Shape of one sample's value; `per_sample` is False for what all samples share (parameters, objectives)."""

    shape: tuple[int, ...] = ()
    per_sample: bool = False

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def __str__(self) -> str:
        return extent(self.shape)


def extent(shape: Sequence[int]) -> str:
    """A shape in words: `scalar`, `3`, `3x2`."""
    return "x".join(map(str, shape)) or "scalar"


def checked_shape(shape: Sequence[Any], who: str) -> tuple[int, ...]:
    """The shape as integers; raises ShapeError where an extent is no positive integer or the whole is too large."""
    try:
        extents = tuple(index(extent) for extent in shape)
    except TypeError:
        raise ShapeError(f"{who}: the shape {shown(tuple(shape))} is not made of integers") from None
    if len(extents) > MOST_AXES:
        raise ShapeError(f"{who}: {len(extents)} axes, at most {MOST_AXES} are possible")
    if any(extent < 1 for extent in extents):
        raise ShapeError(f"{who}: the shape {shown(extents)} has an extent below 1")
    if math.prod(extents) > MOST_ELEMENTS:
        raise ShapeError(f"{who}: the shape {shown(extents)} asks for more than {MOST_ELEMENTS:,} elements")
    return extents
