"""The largest and the smallest element and where they stand; the first winner takes the gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphgrad.graph import (
    PRODUCT,
    ZERO,
    Axis,
    Formula,
    Misfit,
    Node,
    NoGradient,
    Notation,
    Operation,
    Type,
    at,
    public,
)
from graphgrad.ops.elementwise import At, internal
from graphgrad.ops.reductions import Axes, OverAxes, as_written, reduced_loops
from graphgrad.ops.symbolic import sp, where

MOST_POSITIONS = 2**24
"""How many elements a position may count: the whole numbers of float32 are exact up to here."""


@dataclass(frozen=True)
class Extreme(OverAxes):
    """The largest or the smallest element over axes."""

    def formula(self, a: Type) -> Formula:
        every, out, over = self.loops(a)
        return Formula(out, (at(*every),), over, "max" if self.name == "max" else "min")

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        (a,) = inputs
        winner = Position(f"arg{self.name}", self.axis, self.keepdims)(a)
        return (Placed(a.shape, self.axes(a.type), self.keepdims)(gradient, winner),)


@dataclass(frozen=True)
class Position(OverAxes):
    """Where the first largest or smallest element stands, counted in order among the axes reduced."""

    def infer(self, a: Type) -> Type:
        if (count := self.count(a)) > MOST_POSITIONS:
            raise Misfit(
                f"{{0}} has {count:,} elements to choose from, of which at most {MOST_POSITIONS:,} can be counted"
            )
        return super().infer(a)

    def formula(self, a: Type) -> Formula:
        every, out, over = self.loops(a)
        return Formula(out, (at(*every),), over, "argmax", None if self.name == "argmax" else lambda a: -a)

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        return (NoGradient(f"{self.name} is a position, which jumps from one whole number to another"),)


@public
def argmax(a: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """Where the largest element along axes of one sample stands, counted from 0; of equal ones the first, NaN before all.

    Over several axes, or all of them (`axis` None), positions are counted in order, the last axis fastest, as NumPy does.
    It has no gradient. Raises ShapeError for an axis out of range, or more than 16,777,216 elements to choose from.
    Source: ONNX, `ArgMax`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 3)
    ...     g.k = gg.argmax(x)
    >>> float(gg.compile(g, ["k"], target="numpy")(x=[0.5, 2.0, 2.0])["k"])
    1.0
    """
    return Position("argmax", as_written(axis), bool(keepdims))(a)


@public
def argmin(a: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """Where the smallest element along axes of one sample stands; in all else as `argmax`.

    Source: ONNX, `ArgMin`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 3)
    ...     g.k = gg.argmin(x)
    >>> float(gg.compile(g, ["k"], target="numpy")(x=[0.5, -2.0, -2.0])["k"])
    1.0
    """
    return Position("argmin", as_written(axis), bool(keepdims))(a)


def max_(a: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The largest element along axes of one sample, y = maxᵢ aᵢ; `axis` None looks at all, NaN wins.

    Of equal elements the first takes the whole gradient, as in max pooling (PyTorch's `amax` shares it out among them).
    Raises ShapeError for an axis out of range, or more than 16,777,216 elements to choose from.
    Source: ONNX, `ReduceMax`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 3)
    ...     g.A = gg.max(x)
    >>> gg.compile(g, ["A"], wrt=["x"], target="numpy")(x=[0.5, 2.0, 2.0]).grad["x"].tolist()
    [0.0, 1.0, 0.0]
    """
    return Extreme("max", as_written(axis), bool(keepdims))(a)


def min_(a: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The smallest element along axes of one sample, y = minᵢ aᵢ; in all else as `max`.

    Source: ONNX, `ReduceMin`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 2, 3)
    ...     g.A = gg.min(x, axis=-1)
    >>> g.A.shape
    (2,)
    """
    return Extreme("min", as_written(axis), bool(keepdims))(a)


public(max_, "max")
public(min_, "min")


@dataclass(frozen=True)
class Picked(Operation):
    """The element at a position among the reduced axes; with `others`, the sum of all elements but that one."""

    axis: tuple[int, ...]
    keepdims: bool = False
    others: bool = False
    name = "picked"

    def infer(self, a: Type, position: Type) -> Type:
        return Type(position.shape, a.per_sample or position.per_sample)

    def notation(self, a: Type, position: Type) -> Notation:
        sign = (r"\neq", "≠") if self.others else ("=", "=")
        return _indicated(*sign, r"\sum_{i} {0}_{i}", "Σᵢ {0}ᵢ")

    def formula(self, a: Type, position: Type) -> Formula:
        every, out, over = reduced_loops(a.shape, self.axis, self.keepdims)
        return Formula(out, (at(*every), at(*out)), over, "sum", _chosen(over, self.others), values=over)

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        a, position = inputs
        return Placed(a.shape, self.axis, self.keepdims, self.others)(gradient, position), _counted()


@dataclass(frozen=True)
class Placed(Operation):
    """A value at a position among some axes of a shape and 0 elsewhere, or the other way round: the transpose of Picked."""

    shape: tuple[int, ...]
    axis: tuple[int, ...]
    keepdims: bool = False
    others: bool = False
    name = "placed"

    def infer(self, a: Type, position: Type) -> Type:
        return Type(self.shape, a.per_sample or position.per_sample)

    def notation(self, a: Type, position: Type) -> Notation:
        sign = (r"\neq", "≠") if self.others else ("=", "=")
        return _indicated(*sign, "{0}", "{0}")

    def formula(self, a: Type, position: Type) -> Formula:
        every, out, over = reduced_loops(self.shape, self.axis, self.keepdims)
        kept = tuple(at(axis)[0] if axis in every else ZERO for axis in out)
        return Formula(every, (kept, kept), (), None, _chosen(over, self.others), values=over)

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        return Picked(self.axis, self.keepdims, self.others)(gradient, inputs[1]), _counted()


_HERE = At(internal("here", lambda value, position, running: where(sp.Eq(running, position), value, 0)))
_ELSEWHERE = At(internal("elsewhere", lambda value, position, running: where(sp.Eq(running, position), 0, value)))


def _chosen(over: tuple[Axis, ...], others: bool) -> Callable[..., Any]:
    """The value where the running position is the given one, else 0; or the other way round."""
    chosen = _ELSEWHERE if others else _HERE
    if len(over) == 1:
        return chosen

    def body(value: Any, position: Any, *running: Any) -> Any:
        here, count = sp.Integer(0), 1
        for index, axis in reversed(list(zip(running, over, strict=True))):
            here, count = here + count * index, count * (axis.extent or 1)
        return chosen(value, position, here)

    return body


def _indicated(latex: str, unicode: str, of_latex: str, of_unicode: str) -> Notation:
    return Notation(
        rf"{of_latex} \, \mathbf 1\left[i {latex} {{1}}\right]",
        f"{of_unicode} · 1[i {unicode} {{1}}]",
        "{0} * (i == {1})",
        PRODUCT,
        (PRODUCT, PRODUCT),
    )


def _counted() -> NoGradient:
    return NoGradient("a position is a whole number and cannot be moved a little")
