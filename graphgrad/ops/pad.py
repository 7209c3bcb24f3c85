"""Padding: more elements at the ends of axes, all one number, or those of the array mirrored or repeated."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from graphgrad.graph import (
    Formula,
    GraphError,
    Index,
    Misfit,
    Node,
    NoGradient,
    Notation,
    Operand,
    Operation,
    Type,
    axes_of,
    function,
    number,
    public,
)
from graphgrad.graph.node import clipped, real_number
from graphgrad.ops.contraction import Contraction
from graphgrad.ops.resample import Resample, Rows
from graphgrad.ops.windows import options, whole

Widths = int | tuple[int, int] | tuple[tuple[int, int], ...]

MODES = ("constant", "reflect", "edge")


@dataclass(frozen=True)
class Pad(Operation):
    """More elements before and after those along each axis."""

    widths: Widths
    mode: str = "constant"
    value: float = 0.0
    name = "pad"

    def each(self, a: Type) -> tuple[tuple[int, int], ...]:
        """How many elements before and after, for each axis."""
        match self.widths:
            case int(width):
                return ((width, width),) * a.rank
            case (int(before), int(after)):
                return ((before, after),) * a.rank
        return tuple(pair for pair in self.widths if isinstance(pair, tuple))

    def infer(self, a: Type) -> Type:
        widths = self.each(a)
        if len(widths) != a.rank:
            raise Misfit(f"there are {len(widths)} pairs of widths, and {{0}} is {a} and has {a.rank} axes")
        if any(width < 0 for pair in widths for width in pair):
            raise Misfit(f"a width in {self.widths} is negative; a slice takes elements away")
        if self.mode == "reflect":
            for axis, (pair, extent) in enumerate(zip(widths, a.shape, strict=True)):
                if max(pair) >= extent:
                    raise Misfit(
                        f"axis {axis} of {{0}} has {extent} elements, too few to mirror {max(pair)} at its end"
                    )
        shape = tuple(before + extent + after for (before, after), extent in zip(widths, a.shape, strict=True))
        return Type(shape, a.per_sample)

    def options(self) -> str:
        value = number(self.value)
        return ", ".join(
            [f"widths={self.widths}", *[options(mode=(self.mode, "constant"))] * (self.mode != "constant")]
            + [f"value={value}"] * (value != "0")
        )

    def notation(self, a: Type) -> Notation:
        return function(self.name, options=self.options())

    @property
    def unfolds(self) -> bool:
        return self.mode != "constant"

    def expand(self, *inputs: Node) -> Node | None:
        if self.mode == "constant":
            return None
        (a,) = inputs
        with a.graph.derivation():
            along = zip(self.each(a.type), a.shape, strict=True)
            maps = tuple(self._rows(*pair, extent) if any(pair) else None for pair, extent in along)
            return Resample(maps, self.name)(a)

    def _rows(self, before: int, after: int, extent: int) -> Rows:
        """Which element of the axis stands at each position of the result."""
        last = extent - 1
        places = []
        for place in range(-before, extent + after):
            if self.mode == "edge":
                places.append(min(max(place, 0), last))
            else:
                places.append(last - abs(last - abs(place)))
        return Rows(extent, tuple((place,) for place in places))

    def _moved(self, a: Type) -> Contraction:
        axes = axes_of(self.infer(a).shape)
        read = tuple(Index(((axis, 1),), -before) for axis, (before, _) in zip(axes, self.each(a), strict=True))
        return Contraction(self.name, axes, (), (read,))

    def formula(self, a: Type) -> Formula:
        return replace(self._moved(a).formula(a), outside=self.value)

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        return self._moved(inputs[0].type).vjp(gradient, output, *inputs)


@public
def pad(a: Operand, widths: Any, mode: str = "constant", value: float = 0.0) -> Node:
    """More elements at the ends of the axes of one sample: a number, or the array's own, mirrored or repeated.

    widths  how many: one number for all ends, (before, after) for all axes, or such a pair for each axis;
    mode    "constant" (they are `value`), "reflect" (mirrored, the last element not twice), "edge" (the last, repeated).

    Raises ShapeError for negative widths, widths for another number of axes, or too few elements to mirror.
    Source: NumPy's `pad`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 3)
    ...     g.A = gg.pad(x, (1, 2), mode="reflect")
    >>> gg.compile(g, "A", target="numpy")(x=[1.0, 2.0, 3.0])["A"].tolist()
    [2.0, 1.0, 2.0, 3.0, 2.0, 1.0]
    """
    if mode not in MODES:
        raise GraphError(f"pad: mode is {clipped(repr(mode))}; it is one of {', '.join(MODES)}")
    if (filled := real_number(value)) is None:
        raise GraphError(f"pad: value is {clipped(repr(value))}, and no finite number")
    if filled and mode != "constant":
        raise GraphError(f'pad: value is {number(filled)}, and mode "{mode}" takes the array\'s own elements')
    return Pad(_widths(widths), mode, filled)(a)


def _widths(given: Any) -> Widths:
    if not isinstance(given, tuple | list):
        return whole("pad", "widths", given)
    if any(isinstance(pair, tuple | list) for pair in given):
        pairs = tuple(pair if isinstance(pair, tuple | list) else () for pair in given)
    else:
        pairs = (given,)
    if any(len(pair) != 2 for pair in pairs):
        raise GraphError(
            f"pad: widths is {clipped(repr(given))}; it is a number, (before, after), or such a pair for each axis"
        )
    found = tuple((whole("pad", "widths", one), whole("pad", "widths", other)) for one, other in pairs)
    return found[0] if pairs == (given,) else found
