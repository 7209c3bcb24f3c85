"""Resampling: a sparse matrix along each axis, for what no affine index says: borders, up-sampling, adaptive windows."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import chain

from graphgrad.graph import (
    Axis,
    Formula,
    Index,
    Misfit,
    Node,
    NoGradient,
    Notation,
    Operation,
    Type,
    at,
    axes_of,
)
from graphgrad.ops.contraction import mapped, turned


@dataclass(frozen=True, slots=True)
class Rows:
    """A sparse matrix by its rows: for each element of the result, the places it is summed from, and their weights.

    `extent` is that of the operand. A place of -1 holds nothing; without weights all are 1.
    """

    extent: int
    places: tuple[tuple[int, ...], ...]
    weights: tuple[tuple[float, ...], ...] = ()

    @property
    def width(self) -> int:
        """How many places a row has."""
        return len(self.places[0])

    def transposed(self) -> Rows:
        """The matrix the other way round."""
        columns: list[list[tuple[int, float]]] = [[] for _ in range(self.extent)]
        for row, places in enumerate(self.places):
            for k, place in enumerate(places):
                if place >= 0:
                    columns[place].append((row, self.weights[row][k] if self.weights else 1.0))
        width = max(map(len, columns))
        filled = [[*column, *[(-1, 0.0)] * (width - len(column))] for column in columns]
        weights = tuple(tuple(weight for _, weight in column) for column in filled)
        return Rows(
            len(self.places),
            tuple(tuple(place for place, _ in column) for column in filled),
            weights if self.weights else (),
        )


@dataclass(frozen=True)
class Resample(Operation):
    """The product with a sparse matrix along each of the axes; None leaves an axis as it is."""

    maps: tuple[Rows | None, ...]
    name: str = field(default="resample", compare=False)

    def infer(self, a: Type) -> Type:
        if a.rank != len(self.maps) or any(
            m and m.extent != extent for m, extent in zip(self.maps, a.shape, strict=True)
        ):
            raise Misfit(f"{{0}} is {a}, and cannot be resampled by these matrices")
        shape = tuple(len(rows.places) if rows else extent for rows, extent in zip(self.maps, a.shape, strict=True))
        return Type(shape, a.per_sample)

    def notation(self, a: Type) -> Notation:
        return mapped(self.name)

    def formula(self, a: Type) -> Formula:
        axes = axes_of(self.infer(a).shape)
        over, read, weights = [], [], []
        for axis, rows, name in zip(axes, self.maps, "pqruvwxy", strict=False):
            if rows is None:
                read.append(at(axis)[0])
                continue
            terms = [(axis, rows.width)]
            if rows.width > 1:
                over.append(Axis(name, rows.width))
                terms.append((over[-1], 1))
            read.append(Index(tuple(terms), table=tuple(chain(*rows.places))))
            if rows.weights:
                weights.append((Index(tuple(terms)), tuple(chain(*rows.weights))))
        return Formula(axes, (tuple(read),), tuple(over), "sum" if over else None, weights=tuple(weights))

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        back = tuple(rows.transposed() if rows else None for rows in self.maps)
        return (Resample(back, turned(self.name))(gradient),)
