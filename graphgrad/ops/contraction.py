"""Contractions: sums of products at affine indices, whose gradients are contractions again.

Convolutions, local connections, slices, padding, averages and up-sampling are all of this kind: an operation states
where its operands are read, and shape, reference, code and gradient follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from graphgrad.graph import (
    ZERO,
    Axis,
    Formula,
    Index,
    Node,
    NoGradient,
    Notation,
    Operation,
    Type,
    at,
    axes_of,
    function,
)

Reads = tuple[tuple[Index, ...], ...]


@dataclass(frozen=True)
class Contraction(Operation):
    """`out[axes] = Σ over (over) of the product of the operands at `reads`; outside of an operand there is 0.

    `written` is how it is written; it does not tell one contraction from another.
    """

    name: str
    axes: tuple[Axis, ...]
    over: tuple[Axis, ...]
    reads: Reads
    written: Callable[..., Notation] | Notation | None = field(default=None, compare=False, repr=False)

    def infer(self, *types: Type) -> Type:
        shape = tuple(axis.extent or 0 for axis in self.axes)
        return Type(shape, any(type.per_sample for type in types))

    def notation(self, *types: Type) -> Notation:
        if self.written is None:
            return function(self.name)
        return self.written(*types) if callable(self.written) else self.written

    def formula(self, *types: Type) -> Formula:
        return Formula(self.axes, self.reads, self.over, "sum" if self.over else None)

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        shapes = tuple(operand.shape for operand in inputs)
        return tuple(
            self.adjoint(position, shapes)(
                *(gradient if other == position else operand for other, operand in enumerate(inputs))
            )
            for position in range(len(inputs))
        )

    def adjoint(self, position: int, shapes: tuple[tuple[int, ...], ...]) -> Contraction:
        """The contraction that takes the gradient in the place of one operand and gives that operand's gradient.

        Every index of the operand is an axis of the result. Where it was just an axis of the formula, it is that axis
        still; where it was an affine sum, the sum is solved for one of its axes, and the others are summed over.
        """
        out = tuple(Axis(f"u{k}", extent) for k, extent in enumerate(shapes[position]))
        solved: dict[Axis, Index] = {}
        checks: list[Index] = []
        for axis, index in zip(out, self.reads[position], strict=True):
            free = [term for term in index.terms if term[0] not in solved]
            free.sort(key=lambda term: (term[0] not in self.axes, abs(term[1]) != 1))
            if not free:
                checks.append(_minus(Index(((axis, 1),)), index, solved))
                continue
            target, factor = free[0]
            rest = Index(tuple(term for term in index.terms if term[0] is not target), index.offset)
            scaled = Index(((axis, index.divisor),))
            solved[target] = _divided(_minus(scaled, rest, solved), factor)
        over = tuple(axis for axis in (*self.axes, *self.over) if axis not in solved)
        reads: list[tuple[Index, ...]] = []
        for other, read in enumerate(self.reads):
            if other == position:
                reads.append(tuple(solved.get(axis, at(axis)[0]) for axis in self.axes))
            else:
                reads.append(tuple(_composed(index, solved) for index in read))
        self._guarded(position, solved, checks, reads)
        return Contraction(f"{self.name}_adjoint", out, over, tuple(reads))

    def _guarded(self, position: int, solved: dict[Axis, Index], checks: list[Index], reads: list[tuple[Index, ...]]) -> None:
        """Every solved axis must stay in its range: it does where some operand is read at it, which ends there."""
        if checks and any(index != ZERO for index in checks):
            raise ValueError(f"{self.name}: an operand that is read at a fixed place has no contraction as its gradient")
        for axis, index in solved.items():
            if index.axis is not None and index.axis.extent == axis.extent:
                continue
            seen = axis in self.axes or any(
                one.axis == axis for other, read in enumerate(self.reads) if other != position for one in read
            )
            if not seen:
                raise ValueError(f"{self.name}: no operand ends where the axis {axis.name} does")


def _minus(left: Index, right: Index, solved: dict[Axis, Index]) -> Index:
    """`left - right`, with the axes of `right` that are solved already written out."""
    right = _composed(right, solved)
    terms = dict(left.terms)
    for axis, factor in right.terms:
        terms[axis] = terms.get(axis, 0) - factor
    return Index(tuple((axis, factor) for axis, factor in terms.items() if factor), left.offset - right.offset)


def _divided(index: Index, divisor: int) -> Index:
    if divisor < 0:
        index = Index(tuple((axis, -factor) for axis, factor in index.terms), -index.offset)
    return Index(index.terms, index.offset, abs(divisor))


def _composed(index: Index, solved: dict[Axis, Index]) -> Index:
    """The index with its solved axes written out."""
    if index.axis in solved:
        return solved[index.axis]  # type: ignore[index]
    terms: dict[Axis, int] = {}
    offset = index.offset
    for axis, factor in index.terms:
        inner = solved.get(axis, at(axis)[0])
        if inner.divisor != 1:
            raise ValueError("a strided axis that two operands share has no contraction as its gradient")
        offset += factor * inner.offset
        for deeper, times in inner.terms:
            terms[deeper] = terms.get(deeper, 0) + factor * times
    return Index(tuple((axis, factor) for axis, factor in terms.items() if factor), offset, index.divisor)


__all__ = ["Contraction", "axes_of"]
