"""The index formula of an operation: `out[i, ...] = reduction over k, ... of body(a[...], b[...])`.

It is the one description out of which the NumPy reference, the loops of compiled code and the LaTeX in index notation
come. Indices are affine in the axes (`2*i + q - 1`), divided where a stride is undone; what lies outside
of the array, or between the multiples of a divisor, counts as a stated value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Reduction = Literal["sum", "max", "min", "prod", "argmax"]


@dataclass(frozen=True, slots=True)
class Axis:
    """A running index and its extent; an extent of None is the length of the batch."""

    name: str
    extent: int | None


@dataclass(frozen=True, slots=True)
class Index:
    """An affine index: `(sum of factor * axis, + offset) / divisor`, which is there only where it is whole.

    With a `table`, the index is what stands in the table at that place.
    """

    terms: tuple[tuple[Axis, int], ...] = ()
    offset: int = 0
    divisor: int = 1
    table: tuple[int, ...] = ()

    @property
    def axis(self) -> Axis | None:
        """The axis if the index is just one axis."""
        if len(self.terms) == 1 and self.offset == 0 and self.terms[0][1] == 1 and self.divisor == 1 and not self.table:
            return self.terms[0][0]
        return None

    def placed(self, places: Mapping[Axis, Index]) -> Index:
        """The index where some of its axes take the values of other indices, each of them whole."""
        if (own := self.axis) is not None:
            place = places.get(own, self)
            assert not place.table, "what is read at the places of a table has statements of its own"
            return place
        terms: dict[Axis, int] = {}
        offset, scale = self.offset, 1
        for axis, factor in self.terms:
            place = places.get(axis) or Index(((axis, 1),))
            assert not place.table, "what is read at the places of a table has statements of its own"
            common = math.lcm(scale, place.divisor)
            terms = {inner: times * (common // scale) for inner, times in terms.items()}
            offset, scale = offset * (common // scale), common
            scaled = factor * (scale // place.divisor)
            offset += scaled * place.offset
            for inner, times in place.terms:
                terms[inner] = terms.get(inner, 0) + scaled * times
        divisor = scale * self.divisor
        shared = math.gcd(offset, divisor, *terms.values())
        left = tuple((axis, factor // shared) for axis, factor in terms.items() if factor)
        return Index(left, offset // shared, divisor // shared, self.table)

    def range(self) -> tuple[int, int]:
        """The smallest and the largest value that the index takes before it is divided."""
        if self.table:
            return min(self.table), max(self.table)
        low = high = self.offset
        for axis, factor in self.terms:
            assert axis.extent is not None
            reach = factor * (axis.extent - 1)
            low, high = low + min(reach, 0), high + max(reach, 0)
        return low, high

    def stays_inside(self, extent: int) -> bool:
        """Whether the index is whole and within an axis of this extent for all values of its axes."""
        if any(axis.extent is None for axis, _ in self.terms):
            return True
        low, high = self.range()
        return self.divisor == 1 and low >= 0 and high < extent


def at(*axes: Axis) -> tuple[Index, ...]:
    """The plain indices `i, j, ...`."""
    return tuple(Index(((axis, 1),)) for axis in axes)


ZERO = Index()

Body = Callable[..., Any]
"""The scalar body: a function of one SymPy symbol for each read, traced when code or LaTeX is wanted."""


@dataclass(frozen=True, slots=True)
class Formula:
    """`out[axes] = reduction over (over) of body(reads, values)`; a body of None is the product of the reads.

    A read outside of its operand is `outside`. A read with one index of an operand of another rank goes by the
    operand's elements in order. `values` are axes whose running value the body takes after the reads. The reduction
    "argmax" is the first position of the largest body among the `over` axes, counted in order.

    A product may have more to it. `weights` are numbers that multiply it, each a table read at an index. It counts
    only where each index of `within` is whole, not negative and below the extent beside it, and, with `chosen`, only
    where the value of the last operand, which then is no factor, is that index; elsewhere it is 0. With `starts`, the
    last operand is no factor either: it is what the sum begins with.
    """

    axes: tuple[Axis, ...]
    reads: tuple[tuple[Index, ...], ...]
    over: tuple[Axis, ...] = ()
    reduction: Reduction | None = None
    body: Body | None = field(default=None, compare=False)
    outside: float = 0.0
    values: tuple[Axis, ...] = ()
    weights: tuple[tuple[Index, tuple[float, ...]], ...] = ()
    within: tuple[tuple[Index, int], ...] = ()
    chosen: Index | None = None
    starts: bool = False

    @property
    def pointwise(self) -> bool:
        """Whether every output element needs one element of each operand (nothing is summed)."""
        return self.reduction is None

    @property
    def picked(self) -> Axis | None:
        """The axis along which all terms but one vanish, whatever the others are: where `chosen` is just that axis."""
        axis = None if self.chosen is None else self.chosen.axis
        moves = {one for index in self.reads[-1] for one, _ in index.terms} if axis else ()
        return None if axis in moves else axis


NAMES = "ijklmpqr"


def axes_of(shape: tuple[int, ...], names: str = NAMES) -> tuple[Axis, ...]:
    """An axis for each extent of a shape, named i, j, k, ..."""
    return tuple(Axis(name, extent) for name, extent in zip(names, shape, strict=False))


def stretched(axes: Sequence[Axis], shape: tuple[int, ...]) -> tuple[Index, ...]:
    """Where an operand is read at the last of these axes: at 0 along those over which its one element is repeated."""
    own = axes[len(axes) - len(shape) :]
    return tuple(
        ZERO if extent == 1 and axis.extent != 1 else at(axis)[0] for axis, extent in zip(own, shape, strict=True)
    )
