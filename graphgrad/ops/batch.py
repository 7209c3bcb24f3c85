"""Crossing the batch: the sum and the mean over the samples, which turn losses into an objective."""

from __future__ import annotations

from dataclasses import dataclass

from graphgrad.graph import (
    PRODUCT,
    SUM,
    Axis,
    Formula,
    Graph,
    Leaf,
    Misfit,
    Node,
    NoGradient,
    Notation,
    Operation,
    Style,
    Type,
    at,
    axes_of,
    public,
)

SAMPLES = Axis("n", None)
"""The axis of the samples; its extent is known at the call."""


@dataclass(frozen=True)
class BatchReduce(Operation):
    """The sum or the mean over the samples."""

    name: str

    def infer(self, a: Type) -> Type:
        if not a.per_sample:
            raise Misfit("{0} is the same for every sample, there is nothing to sum over the batch")
        return Type(a.shape, False)

    def notation(self, a: Type) -> Notation:
        if self.name == "batch_sum":
            return Notation(r"\sum_{n} {0}", "Σₙ {0}", "batch_sum({0})", SUM, (PRODUCT,))
        return Notation(r"\frac{1}{N} \sum_{n} {0}", "1/N Σₙ {0}", "batch_mean({0})", SUM, (PRODUCT,))

    def expand(self, *inputs: Node) -> Node | None:
        if self.name == "batch_sum":
            return None
        with inputs[0].graph.derivation():
            return batch_sum(inputs[0]) / batch_size(inputs[0].graph)

    def formula(self, a: Type) -> Formula:
        axes = axes_of(a.shape)
        return Formula(axes, (at(*axes),), (SAMPLES,), "sum")

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        if self.name == "batch_mean":
            gradient = gradient / batch_size(gradient.graph)
        return (BatchSpread()(gradient),)


@dataclass(frozen=True)
class BatchSpread(Operation):
    """The same value for every sample: the transpose of the sum over the samples."""

    name = "batch_spread"

    def infer(self, a: Type) -> Type:
        return Type(a.shape, True)

    def notation(self, a: Type) -> Notation:
        return Notation("{0}", "{0}", "batch_spread({0})", SUM, (SUM,))

    def formula(self, a: Type) -> Formula:
        axes = axes_of(a.shape)
        return Formula(axes, (at(*axes),))

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        return (gradient,) if inputs[0].per_sample else (batch_sum(gradient),)


class BatchSize(Leaf):
    """The number of samples, N, which is known at the call."""

    def shown(self, style: Style) -> str:
        return self.name


def batch_size(graph: Graph) -> Node:
    """The number of samples of the call, as a node of the graph."""
    with graph.derivation():
        return graph.add(BatchSize("N", "constant", Type()), (), Type(), None)


_batch_sum, _batch_mean = BatchReduce("batch_sum"), BatchReduce("batch_mean")


@public
def batch_sum(a: Node) -> Node:
    """The sum over the samples of a batch, y = Σₙ aₙ: what all samples share, of the shape of one.

    Raises ShapeError where `a` has no value per sample. Source: the lecture's objective, Σₙ l(y(xₙ), tₙ) + λR(W).

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x")
    ...     g.J = gg.batch_sum(x)
    >>> float(gg.compile(g, ["J"], target="numpy")(x=[1.0, 2.0, 4.0])["J"])
    7.0
    """
    return _batch_sum(a)


@public
def batch_mean(a: Node) -> Node:
    """The mean over the samples of a batch, y = (1/N) Σₙ aₙ: what all samples share, of the shape of one.

    Raises ShapeError where `a` has no value per sample.
    Source: Goodfellow et al., Deep Learning, 2016, 8.1.3.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x")
    ...     g.J = gg.batch_mean(x)
    >>> float(gg.compile(g, "J", target="numpy")(x=[1.0, 2.0, 6.0])["J"])
    3.0
    """
    return _batch_mean(a)


__all__ = ["SAMPLES", "BatchSize", "BatchSpread", "batch_mean", "batch_size", "batch_sum"]
