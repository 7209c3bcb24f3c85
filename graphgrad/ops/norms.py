"""Norms along axes, computed so that no square is too large or too small."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from graphgrad.graph import POWER, PRODUCT, SUM, GraphError, Node, NoGradient, Notation, Type, function, number, public
from graphgrad.graph.node import clipped, real_number
from graphgrad.ops.arithmetic import power, square
from graphgrad.ops.elementwise import Elementwise, internal
from graphgrad.ops.extremes import Extreme
from graphgrad.ops.magnitude import abs_, sign
from graphgrad.ops.reductions import Axes, OverAxes, Reduce, as_written, broadcast_to
from graphgrad.ops.symbolic import sp, where

inverse = internal(
    "inverse",
    lambda a: where(sp.Eq(a, 0), 0, 1 / a),
    lambda y, a: -square(y),
    Notation(r"\frac{1}{{0}}", "1/{0}", "1 / {0}", PRODUCT, (POWER,), (SUM,)),
)
"""1/a, and 0 at 0: in the gradient of what has a kink at 0, where the slope is taken to be 0."""

_scaled = internal("scaled", lambda size, top: where(sp.Eq(size, top), 1, size / top))
"""The size of an element by the largest one, 1 for that one, also where it is 0 or infinite."""

_share: Elementwise = internal(
    "share",
    lambda a, y: where(sp.Eq(y, 0), 0, a / y),
    lambda share, a, y: (inverse(y), -share * inverse(y)),
    Notation(r"\frac{{0}}{{1}}", "{0} / {1}", "{0} / {1}", PRODUCT, (PRODUCT, POWER), (SUM, SUM)),
)
"""a/y, and 0 where y is 0."""


@dataclass(frozen=True)
class Norm(OverAxes):
    """The p-norm over axes, p being `ord`."""

    name: str = "norm"
    ord: float = 2.0

    def options(self) -> str:
        order = '"inf"' if math.isinf(self.ord) else number(self.ord)
        shown = [f"ord={order}"] * (self.ord != 2) + ([super().options()] if super().options() else [])
        return ", ".join(shown)

    def notation(self, a: Type) -> Notation:
        plain = function(self.name, options=self.options())
        order = number(self.ord, "latex")
        small = {1.0: "₁", 2.0: "₂", math.inf: "∞"}.get(self.ord, f"_{number(self.ord)}")
        return Notation(rf"\left\lVert {{0}} \right\rVert_{{{order}}}", f"‖{{0}}‖{small}", plain.text)

    @property
    def unfolds(self) -> bool:
        return math.isinf(self.ord)

    def expand(self, *inputs: Node) -> Node:
        (a,) = inputs
        with a.graph.derivation():
            size: Node = abs_(a)
            if math.isinf(self.ord):
                return Extreme("max", self.axis, self.keepdims)(size)
            if self.ord == 1:
                return Reduce("sum", self.axis, self.keepdims)(size)
            scaled = _scaled(size, Extreme("max", self.axis, True)(size))
            total = Reduce("sum", self.axis, self.keepdims)(power(scaled, self.ord))
            root: Node = power(total, 1 / self.ord)
            return Extreme("max", self.axis, self.keepdims)(size) * root

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        (a,) = inputs
        new = () if self.keepdims else self.axes(a.type)
        gradient, y = (broadcast_to(node, a.shape, new) for node in (gradient, output))
        if self.ord == 1:
            return (gradient * sign(a),)
        if self.ord == 2:
            return (gradient * _share(a, y),)
        return (gradient * sign(a) * power(_share(abs_(a), y), self.ord - 1),)


@public
def norm(a: Node, ord: Any = 2, axis: Axes = None, keepdims: bool = False) -> Node:
    """The p-norm along axes of one sample, y = (Σᵢ |aᵢ|ᵖ)^(1/p) with p = `ord`; of a matrix too, element by element.

    `ord` is a number no less than 1, 2 unless given, or "inf" for maxᵢ |aᵢ|. The elements are divided by the largest before
    they are raised, so that no power is too large or too small. The gradient is sign(aᵢ) (|aᵢ|/y)ᵖ⁻¹, and 0 where y is 0;
    for "inf" the first of the largest takes it. Raises GraphError for another `ord`, ShapeError for an axis out of range.
    Source: Higham, Accuracy and Stability of Numerical Algorithms, 6.1 and 27.8; PyTorch's `vector_norm`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 2)
    ...     g.A, g.B, g.C = gg.norm(x), gg.norm(x, ord=1), gg.norm(x, ord="inf")
    >>> r = gg.compile(g, ["A", "B", "C"], target="numpy")(x=[3.0, -4.0])
    >>> float(r["A"]), float(r["B"]), float(r["C"])
    (5.0, 7.0, 4.0)
    """
    real = math.inf if ord in ("inf", math.inf) else real_number(ord)
    if real is None or real < 1:
        raise GraphError(f'norm: ord is {clipped(repr(ord))}; a norm has a number no less than 1, or "inf"')
    return Norm(axis=as_written(axis), keepdims=bool(keepdims), ord=real)(a)


__all__ = ["Norm", "inverse", "norm"]
