"""Variance and standard deviation along axes of one sample."""

from __future__ import annotations

from dataclasses import dataclass

from graphgrad.graph import GraphError, Misfit, Node, NoGradient, Type, number, public
from graphgrad.graph.node import clipped, real_number
from graphgrad.ops.arithmetic import sqrt, square
from graphgrad.ops.norms import inverse
from graphgrad.ops.reductions import Axes, OverAxes, Reduce, as_written, broadcast_to


@dataclass(frozen=True)
class Spread(OverAxes):
    """The variance or the standard deviation over axes; the squares are divided by their number less `correction`."""

    correction: float = 1.0

    def infer(self, a: Type) -> Type:
        if (count := self.count(a)) <= self.correction:
            axes = "all axes of {0}" if self.axis is None else f"axis {self.axis} of {{0}}"
            raise Misfit(
                f"{axes}: {count} element{'s' * (count != 1)} less a correction of {number(self.correction)} leaves no divisor"
            )
        return super().infer(a)

    def options(self) -> str:
        shown = [super().options()] if super().options() else []
        return ", ".join(shown + [f"correction={number(self.correction)}"] * (self.correction != 1))

    def divisor(self, a: Type) -> float:
        return self.count(a) - self.correction

    def expand(self, *inputs: Node) -> Node:
        (a,) = inputs
        with a.graph.derivation():
            squares = Reduce("sum", self.axis, self.keepdims)(square(self.centred(a)))
            variance = squares * (1 / self.divisor(a.type))
            return variance if self.name == "variance" else sqrt(variance)

    def centred(self, a: Node) -> Node:
        return a - Reduce("mean", self.axis, True)(a)

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        (a,) = inputs
        factor = 2 / self.divisor(a.type)
        if self.name == "std":
            gradient, factor = gradient * inverse(output), factor / 2
        new = () if self.keepdims else self.axes(a.type)
        return (broadcast_to(gradient, a.shape, new) * self.centred(a) * factor,)


def _spread(name: str, a: Node, axis: Axes, keepdims: bool, correction: float) -> Node:
    real = real_number(correction)
    if real is None:
        raise GraphError(f"{name}: correction is a number, not {clipped(repr(correction))}")
    return Spread(name, as_written(axis), bool(keepdims), real)(a)


@public
def variance(a: Node, axis: Axes = None, keepdims: bool = False, correction: float = 1) -> Node:
    """The variance along axes of one sample, y = Σᵢ (aᵢ - ā)² / (m - c) with ā the mean of the m elements.

    c is `correction`, 1 unless given, which makes the estimate unbiased, as PyTorch's `var` has it; 0 divides by the number
    of elements, as NumPy's `var` and the normalisations have it. The gradient is 2 (aᵢ - ā) / (m - c).
    Raises ShapeError for an axis out of range, or where m is no larger than c. Source: DeGroot and Schervish, Probability
    and Statistics, 8.7.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 4)
    ...     g.A, g.B = gg.variance(x), gg.variance(x, correction=0)
    >>> r = gg.compile(g, ["A", "B"], target="numpy")(x=[1.0, 2.0, 3.0, 6.0])
    >>> float(r["A"].round(4)), float(r["B"])
    (4.6667, 3.5)
    """
    return _spread("variance", a, axis, keepdims, correction)


@public
def std(a: Node, axis: Axes = None, keepdims: bool = False, correction: float = 1) -> Node:
    """The standard deviation along axes of one sample, y = √(Σᵢ (aᵢ - ā)² / (m - c)), the root of `variance`.

    The gradient is (aᵢ - ā) / ((m - c) y), and 0 where all elements are equal, as in PyTorch. In all else as `variance`.
    Source: NumPy's `std`, with Bessel's correction as in PyTorch.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 3)
    ...     g.A = gg.std(x)
    >>> float(gg.compile(g, "A", target="numpy")(x=[1.0, 3.0, 5.0])["A"])
    2.0
    """
    return _spread("std", a, axis, keepdims, correction)


__all__ = ["Spread", "std", "variance"]
