"""Contractions: sums of products at affine indices, whose gradients are contractions again.

Products, convolutions, local connections, slices, averages, rows of a table and winners of a pool are all of this kind:
an operation states where its operands are read, and shape, reference, code and gradient follow.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from graphgrad.graph import (
    Axis,
    Formula,
    Index,
    Node,
    NoGradient,
    Notation,
    Operation,
    Type,
    at,
    function,
)
from graphgrad.graph.formula import Reduction

ADJOINT = "_adjoint"
"""What is added to the name of a linear map for the map that goes the other way."""

Reads = tuple[tuple[Index, ...], ...]
Written = Callable[..., Notation] | Notation | None


@dataclass(frozen=True)
class Contraction(Operation):
    """`out[axes] = Σ over (over) of the product of the operands at `reads`; outside of an operand there is 0.

    A term counts only where each index of `within` is whole and from 0 below the extent beside it. With `chosen`, the
    last operand is no factor but a position: a term counts only where it is that index.

    `name` and `written` say how it is written; they do not tell one contraction from another.
    """

    name: str = field(compare=False)
    axes: tuple[Axis, ...]
    over: tuple[Axis, ...]
    reads: Reads
    within: tuple[tuple[Index, int], ...] = ()
    chosen: Index | None = None
    written: Written = field(default=None, compare=False, repr=False)

    def infer(self, *types: Type) -> Type:
        shape = tuple(axis.extent or 0 for axis in self.axes)
        return Type(shape, any(type.per_sample for type in types))

    def notation(self, *types: Type) -> Notation:
        if self.written is None:
            return mapped(self.name)
        return self.written(*types) if callable(self.written) else self.written

    def formula(self, *types: Type) -> Formula:
        reduction: Reduction | None = "sum" if self.over else None
        return Formula(self.axes, self.reads, self.over, reduction, within=self.within, chosen=self.chosen)

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        return tuple(self.gradient(position, gradient, inputs) for position in range(len(inputs)))

    def gradient(
        self, position: int, gradient: Node, inputs: tuple[Node, ...], written: Written = None
    ) -> Node | NoGradient:
        """What the gradient of the result is for one operand."""
        if self.chosen is not None and position == len(inputs) - 1:
            return NoGradient("a position is a whole number and cannot be moved a little")
        adjoint = self.adjoint(position, tuple(operand.shape for operand in inputs))
        operands = (gradient if other == position else operand for other, operand in enumerate(inputs))
        return replace(adjoint, written=written)(*operands)

    def adjoint(self, position: int, shapes: tuple[tuple[int, ...], ...]) -> Contraction:
        """The contraction that takes the gradient in the place of one operand and gives that operand's gradient.

        Each axis of the operand is one of the result, and what the operand's index was, it is now: an equation, which
        is solved for one of the formula's axes, if possible one that the gradient has. What is not solved is summed over.
        """
        out = tuple(Axis(f"out{k}", extent) for k, extent in enumerate(shapes[position]))
        solved: dict[Axis, Index] = {}
        within = list(self.within)
        plain_first = sorted(zip(out, self.reads[position], strict=True), key=lambda pair: pair[1].axis is None)
        for axis, read in plain_first:
            index = read.placed(solved)
            free = [term for term in index.terms if term[0] not in out]
            if not free:
                within.append((_difference(axis, index), 1))
                continue
            target, factor = min(free, key=lambda term: (term[0] not in self.axes, abs(term[1])))
            found = {target: _solved(axis, index, target, factor)}
            solved = {other: place.placed(found) for other, place in solved.items()} | found
        within += [
            (place, axis.extent or 0) for axis, place in solved.items() if not self._ends_with(axis, position, shapes)
        ]
        reads = tuple(
            tuple(index.placed(solved) for index in (at(*self.axes) if other == position else read))
            for other, read in enumerate(self.reads)
        )
        conditions = ((index.placed(solved), extent) for index, extent in within)
        return _in_order(
            Contraction(
                turned(self.name) if self._factors == 1 else self.name.removesuffix(ADJOINT) + ADJOINT,
                out,
                tuple(axis for axis in (*self.axes, *self.over) if axis not in solved),
                reads,
                tuple(condition for condition in conditions if not condition[0].stays_inside(condition[1])),
                None if self.chosen is None else self.chosen.placed(solved),
            )
        )

    @property
    def _factors(self) -> int:
        """How many operands are multiplied."""
        return len(self.reads) - (self.chosen is not None)

    def _ends_with(self, axis: Axis, position: int, shapes: tuple[tuple[int, ...], ...]) -> bool:
        """Whether a factor of the adjoint is read at the axis itself and ends where it does: beyond, the product is 0."""
        if axis in self.axes:
            return True
        return any(
            index.axis == axis and extent == axis.extent
            for other in range(self._factors)
            if other != position
            for index, extent in zip(self.reads[other], shapes[other], strict=True)
        )


def turned(name: str) -> str:
    """The name of a linear map the other way round."""
    return name.removesuffix(ADJOINT) if name.endswith(ADJOINT) else name + ADJOINT


def mapped(name: str) -> Notation:
    """A linear map as a function of its operands, with the sign of the transpose where it goes the other way."""
    if not name.endswith(ADJOINT):
        return function(name)
    plain = function(name.removesuffix(ADJOINT))
    head, _, operands = plain.latex.partition(r"\left(")
    return Notation(rf"{head}^{{\top}}\left({operands}", plain.unicode.replace("(", "ᵀ(", 1), function(name).text)


class Contracting:
    """What an operation that is a contraction has from it: its formula and its gradient."""

    @abstractmethod
    def contraction(self, *types: Type) -> Contraction:
        """The contraction that the operation is for operands of these types."""

    def formula(self, *types: Type) -> Formula:
        return self.contraction(*types).formula(*types)

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        return self.contraction(*(operand.type for operand in inputs)).vjp(gradient, output, *inputs)


def _difference(axis: Axis, index: Index) -> Index:
    """`axis - index`, times the index's divisor."""
    terms = {axis: index.divisor}
    for other, factor in index.terms:
        terms[other] = terms.get(other, 0) - factor
    return Index(tuple((one, factor) for one, factor in terms.items() if factor), -index.offset)


def _solved(axis: Axis, index: Index, target: Axis, factor: int) -> Index:
    """What the target is where the index is the axis."""
    rest = Index(tuple(term for term in index.terms if term[0] != target), index.offset, index.divisor)
    left = _difference(axis, rest)
    if factor < 0:
        left = Index(tuple((one, -times) for one, times in left.terms), -left.offset)
    return Index(left.terms, left.offset, abs(factor)).placed({})


def _in_order(contraction: Contraction) -> Contraction:
    """The contraction with its axes named by their order, so that equal ones are equal however they came about."""
    every = {
        axis: Axis(f"{letter}{k}", axis.extent)
        for letter, axes in (("i", contraction.axes), ("k", contraction.over))
        for k, axis in enumerate(axes)
    }
    places = {axis: at(renamed)[0] for axis, renamed in every.items()}
    return replace(
        contraction,
        axes=tuple(every[axis] for axis in contraction.axes),
        over=tuple(every[axis] for axis in contraction.over),
        reads=tuple(tuple(index.placed(places) for index in read) for read in contraction.reads),
        within=tuple((index.placed(places), extent) for index, extent in contraction.within),
        chosen=None if contraction.chosen is None else contraction.chosen.placed(places),
    )
