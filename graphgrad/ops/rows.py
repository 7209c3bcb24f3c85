"""Rows by number: what positions that are computed or given pick out of a table, and positions written as ones."""

from __future__ import annotations

from dataclasses import dataclass

from graphgrad.graph import (
    Axis,
    GraphError,
    Misfit,
    Node,
    Notation,
    Operand,
    Operation,
    Type,
    at,
    axes_of,
    function,
    public,
)
from graphgrad.graph.domain import Domain
from graphgrad.ops.contraction import Contracting, Contraction
from graphgrad.ops.windows import whole

MOST_ROWS = 2**24
"""How many rows a number may count: the whole numbers of float32 are exact up to here."""


@dataclass(frozen=True)
class Embedding(Contracting, Operation):
    """The rows of a table that an array of positions names."""

    name = "embedding"

    def infer(self, table: Type, positions: Type) -> Type:
        if table.rank < 1:
            raise Misfit("{0} is a number and has no rows")
        if table.shape[0] > MOST_ROWS:
            raise Misfit(f"{{0}} has {table.shape[0]:,} rows, of which at most {MOST_ROWS:,} can be counted")
        return Type(positions.shape + table.shape[1:], table.per_sample or positions.per_sample)

    def notation(self, table: Type, positions: Type) -> Notation:
        return Notation(r"{{0}}_{{1}}", "{0}[{1}]", "embedding({0}, {1})")

    def domains(self, table: Type, positions: Type) -> tuple[Domain | None, ...]:
        return None, _numbers(table.shape[0])

    def contraction(self, table: Type, positions: Type) -> Contraction:
        """Σ over row v of the table's row v, where v is the position."""
        v, own = Axis("v", table.shape[0]), axes_of(positions.shape)
        columns = axes_of(table.shape[1:], "pqrstuwx")
        return Contraction(self.name, own + columns, (v,), (at(v, *columns), at(*own)), chosen=at(v)[0])


@dataclass(frozen=True)
class OneHot(Contracting, Operation):
    """1 at the position that is named, 0 at all others, along a new last axis."""

    count: int
    name = "one_hot"

    def infer(self, positions: Type) -> Type:
        return Type((*positions.shape, self.count), positions.per_sample)

    def options(self) -> str:
        return f"count={self.count}"

    def notation(self, positions: Type) -> Notation:
        return function(self.name, options=self.options())

    def domains(self, positions: Type) -> tuple[Domain | None, ...]:
        return (_numbers(self.count),)

    def contraction(self, positions: Type) -> Contraction:
        own, k = axes_of(positions.shape), Axis("v", self.count)
        return Contraction(self.name, (*own, k), (), (at(*own),), chosen=at(k)[0])


def _numbers(count: int) -> Domain:
    return Domain(f"whole numbers from 0 to {count - 1}", 0.0, count - 1.0, whole=True)


@public
def embedding(table: Operand, positions: Operand) -> Node:
    """The rows of a table at given positions: y[i] = W[tᵢ], for positions of any shape.

    Shapes: W (V, *D), t S, y S + D. A position that an array gives must be a whole number from 0 below V, a DataError
    says where one is not; one that is computed and is no row gives zeros. The gradient of a row is the sum of those of
    its uses, and positions have none. Source: PyTorch's `embedding` (which takes the table last), ONNX's `Gather`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     t, W = gg.input("t", 2), gg.param("W", 3, 2)
    ...     g.A = gg.embedding(W, t)
    >>> gg.compile(g, "A", target="numpy")(t=[2, 0], W=[[1, 2], [3, 4], [5, 6]])["A"].tolist()
    [[5.0, 6.0], [1.0, 2.0]]
    """
    return Embedding()(table, positions)


@public
def one_hot(positions: Operand, count: int) -> Node:
    """Positions as vectors of `count` elements: 1 at the position, 0 elsewhere, along a new last axis.

    A position that an array gives must be a whole number from 0 below count, a DataError says where one is not; one that
    is computed and is none gives zeros. It has no gradient. Source: PyTorch's `one_hot`, ONNX's `OneHot`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     t = gg.input("t")
    ...     g.A = gg.one_hot(t, 3)
    >>> gg.compile(g, "A", target="numpy")(t=1)["A"].tolist()
    [0.0, 1.0, 0.0]
    """
    if not 1 <= (number := whole("one_hot", "count", count)) <= MOST_ROWS:
        raise GraphError(f"one_hot: count is {number}, and lies between 1 and {MOST_ROWS:,}")
    return OneHot(number)(positions)
