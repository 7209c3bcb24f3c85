"""Softmax, its logarithm, and the logarithm of a sum of exponentials: stable for scores of any size."""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphgrad.graph import Node, NoGradient, Notation, Operation, Type, function, public
from graphgrad.ops.elementwise import Elementwise, times
from graphgrad.ops.exponentials import exp, log1p
from graphgrad.ops.extremes import Extreme, Picked, Position
from graphgrad.ops.reductions import Axes, OverAxes, Reduce, as_written, broadcast_to, normal_axes
from graphgrad.ops.symbolic import log1p as _log1p
from graphgrad.ops.symbolic import where

_above_top = Elementwise(
    "above_top",
    lambda top, others: where(others >= 0, top + _log1p(others), top),
    lambda y, top, others: (1, 1 / (1 + others)),
    None,
    (),
    True,
)
"""ln Σ eᵃ from the largest a and the sum of the other e^(a - top), which is NaN where the top is infinite."""


@dataclass(frozen=True)
class Softmax(Operation):
    """Softmax or its logarithm over axes; `axis` as the user wrote it."""

    name: str
    axis: Axes = -1

    def infer(self, a: Type) -> Type:
        normal_axes(self.axis, a.rank)
        return a

    def options(self) -> str:
        return "" if self.axis == -1 else f"axis={self.axis}"

    def expand(self, *inputs: Node) -> Node:
        (a,) = inputs
        with a.graph.derivation():
            below, scaled = _below_top(a, self.axis)
            if self.name == "softmax":
                return scaled / Reduce("sum", self.axis, True)(scaled)
            result: Node = below - log1p(_others(a, scaled, self.axis))
            return result

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        def total(a: Node) -> Node:
            return Reduce("sum", self.axis, True)(a)

        if self.name == "softmax":
            return (output * (gradient - total(gradient * output)),)
        return (gradient - replace(self, name="softmax")(*inputs) * total(gradient),)


@dataclass(frozen=True)
class LogSumExp(OverAxes):
    """ln Σ eᵃ over axes."""

    name: str = "logsumexp"

    def notation(self, a: Type) -> Notation:
        plain = function(self.name, options=self.options())
        return plain if self.options() else Notation(r"\ln \sum e^{{0}}", "ln Σ exp({0})", plain.text)

    def expand(self, *inputs: Node) -> Node:
        (a,) = inputs
        with a.graph.derivation():
            _, scaled = _below_top(a, self.axis)
            top = Extreme("max", self.axis, self.keepdims)(a)
            return _above_top(top, _others(a, scaled, self.axis, self.keepdims))  # type: ignore[no-any-return]

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        (a,) = inputs
        new = () if self.keepdims else self.axes(a.type)
        share = Softmax("softmax", self.axis)(a)
        return (times(broadcast_to(gradient, a.shape, new), share),)


def _below_top(a: Node, axis: Axes) -> tuple[Node, Node]:
    """How far each score is below the largest one, and e to the power of it: at most 1, and 1 for the largest."""
    below = a - Extreme("max", axis, True)(a)
    return below, exp(below)


def _others(a: Node, scaled: Node, axis: Axes, keepdims: bool = True) -> Node:
    """The sum of `scaled` without the first largest, whose part in ln(1 + the others) is the 1."""
    return Picked(normal_axes(axis, a.type.rank), keepdims, others=True)(scaled, Position("argmax", axis, keepdims)(a))


@public
def softmax(z: Node, axis: Axes = -1) -> Node:
    """Softmax over an axis, or several, of one sample: yᵢ = exp(zᵢ) / Σⱼ exp(zⱼ), of the shape of z.

    The largest score is subtracted before the exponential, so that no score is too large. The gradient is
    yᵢ(gᵢ - Σⱼ gⱼyⱼ). The axis is the last one if none is named, as ONNX has it. Raises ShapeError for an axis out of range.
    Source: Goodfellow, Bengio and Courville, Deep Learning, 4.1 and 6.2.2.3.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     z = gg.input("z", 2)
    ...     g.y = gg.softmax(z)
    >>> gg.compile(g, ["y"], target="numpy")(z=[1000.0, 1000.0])["y"].tolist()
    [0.5, 0.5]
    """
    return Softmax("softmax", as_written(axis))(z)


@public
def log_softmax(z: Node, axis: Axes = -1) -> Node:
    """The logarithm of softmax, yᵢ = zᵢ - ln Σⱼ exp(zⱼ), of the shape of z; exact to the last places for any scores.

    The gradient is gᵢ - softmax(z)ᵢ Σⱼ gⱼ. The axis is the last one if none is named. Raises ShapeError for an axis out of
    range. Source: Blanchard, Higham and Higham, Accurately computing the log-sum-exp and softmax functions, 2021.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     z = gg.input("z", 2)
    ...     g.y = gg.log_softmax(z)
    >>> gg.compile(g, ["y"], target="numpy")(z=[1000.0, 0.0])["y"].tolist()
    [0.0, -1000.0]
    """
    return Softmax("log_softmax", as_written(axis))(z)


@public
def logsumexp(a: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The logarithm of a sum of exponentials over axes of one sample, y = ln Σᵢ exp(aᵢ); `axis` None takes all.

    The largest element is taken out of the sum, so that none is too large; the gradient is softmax(a). Raises ShapeError
    for an axis out of range. Source: as `log_softmax`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     a = gg.input("a", 2)
    ...     g.A = gg.logsumexp(a)
    >>> float(gg.compile(g, ["A"], target="numpy")(a=[1000.0, 0.0])["A"])
    1000.0
    """
    return LogSumExp(axis=as_written(axis), keepdims=bool(keepdims))(a)


__all__ = ["LogSumExp", "Softmax", "log_softmax", "logsumexp", "softmax"]
