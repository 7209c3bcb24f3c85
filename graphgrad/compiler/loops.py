"""Loops: the one description of a step that the CPU and the CUDA printer print.

Statements hold scalar source text; what differs between targets is only how the loops run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class Comment:
    """The formula of the node that the next lines compute."""

    text: str


@dataclass(frozen=True, slots=True)
class Let:
    """A local scalar: `name = text`."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Combine:
    """A local scalar takes one more term: `name += text`, or the larger, the smaller, the product.

    For "argmax" it becomes `position` where the text is larger than the largest so far, kept in `name_best`.
    """

    name: str
    reduction: Literal["sum", "max", "min", "prod", "argmax"]
    text: str
    position: str = ""


@dataclass(frozen=True, slots=True)
class Store:
    """An element of an array is set, or added to."""

    array: str
    index: tuple[str, ...]
    text: str
    add: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    """A product of matrices over all samples at once: `out = left @ right`."""

    out: str
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Loop:
    """Repeat for an index from 0 below its extent; an extent of None is the number of samples."""

    axis: str
    extent: int | None
    body: list[Statement] = field(default_factory=list)


Statement = Comment | Let | Combine | Store | Product | Loop


@dataclass(frozen=True, slots=True)
class Argument:
    """An array that the caller passes: a leaf of the graph, by its identifier in the code."""

    name: str
    shape: tuple[int, ...]
    per_sample: bool


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the step's memory: the value of an instruction (by its number in the program).

    It begins `fixed + each * N` elements from the start of the memory."""

    name: str
    instruction: int
    offset: tuple[int, int]
    shape: tuple[int, ...]
    per_sample: bool


@dataclass(frozen=True, slots=True)
class Flat:
    """Another view of an array, by its elements in order."""

    name: str
    of: str


@dataclass(frozen=True)
class Step:
    """A whole step: its arguments, the layout of its memory, its phases in order, and what it gives back.

    `results` are sections of the memory, or texts where a result is an argument or a number; `returns` is the scalar
    that the step itself returns. A step with `updates` changes its parameters in the last phase.
    Those of the `functions` that are `wide` run in long inner loops. `tables` are constant
    numbers that the statements read, by name.
    """

    title: str
    arguments: Sequence[Argument]
    sections: Sequence[Section]
    flats: Sequence[Flat]
    accumulators: int
    memory: tuple[int, int]
    phases: Sequence[Sequence[Statement]]
    results: Sequence[Section | str]
    returns: str | None
    updates: bool
    dtype: str
    functions: frozenset[str]
    wide: frozenset[str]
    tables: Mapping[str, tuple[float, ...]]
