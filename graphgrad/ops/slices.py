"""Parts of an array and arrays put together: slices as in Python, split, flip, concatenate, stack."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from graphgrad.graph import (
    ATOM,
    Axis,
    GraphError,
    Index,
    Misfit,
    Node,
    NoGradient,
    Notation,
    Operation,
    Type,
    apply,
    function,
    public,
    written,
)
from graphgrad.graph.node import clipped
from graphgrad.ops.contraction import Contracting, Contraction
from graphgrad.ops.pad import Pad
from graphgrad.ops.reductions import Axes, normal_axes
from graphgrad.ops.shape import checked_node, expand_dims
from graphgrad.ops.windows import whole, wholes

Cut = int | tuple[int | None, int | None, int | None]
"""What is taken along one axis: one position, or those from start to stop by step."""


@dataclass(frozen=True)
class Slice(Contracting, Operation):
    """A part of an array, by Python's rules for subscripts."""

    cuts: tuple[Cut, ...]
    name = "slice"

    def infer(self, a: Type) -> Type:
        if len(self.cuts) > a.rank:
            raise Misfit(f"{{0}} is {a} and has {a.rank} axes, of which {len(self.cuts)} are cut")
        for axis, (cut, extent) in enumerate(zip(self.cuts, a.shape, strict=False)):
            if isinstance(cut, int) and not -extent <= cut < extent:
                raise Misfit(f"axis {axis} of {{0}} has {extent} elements, {cut} is none of them")
            if not isinstance(cut, int) and not range(extent)[slice(*cut)]:
                raise Misfit(
                    f"the slice {_shown(cut)} takes nothing of axis {axis} of {{0}}, which has {extent} elements"
                )
        return self.contraction(a).infer(a)

    def notation(self, a: Type) -> Notation:
        shown = ", ".join(map(_shown, self.cuts))
        latex = shown.replace(", ", r",\, ")
        return Notation(rf"{{0}}\left[{latex}\right]", f"{{0}}[{shown}]", f"{{0}}[{shown}]", ATOM, (ATOM,))

    def contraction(self, a: Type) -> Contraction:
        """The element at start + step · i for each i."""
        axes, read = [], []
        letters = iter("ijklmpqr")
        for axis, extent in enumerate(a.shape):
            cut = self.cuts[axis] if axis < len(self.cuts) else (None, None, None)
            if isinstance(cut, int):
                read.append(Index((), cut % extent))
                continue
            taken = range(extent)[slice(*cut)]
            axes.append(Axis(next(letters), len(taken)))
            read.append(Index(((axes[-1], taken.step),), taken.start))
        return Contraction(self.name, tuple(axes), (), (tuple(read),))


@dataclass(frozen=True)
class Concatenate(Operation):
    """Arrays one after the other along an axis: the sum of all, each with nothing where the others are."""

    axis: int = 0
    name = "concatenate"

    def place(self, a: Type) -> int:
        return normal_axes(self.axis, a.rank)[0]

    def infer(self, *types: Type) -> Type:
        first, axis = types[0], self.place(types[0])
        for position, other in enumerate(types[1:], 1):
            rest = [shape[:axis] + shape[axis + 1 :] for shape in (first.shape, other.shape)]
            if other.rank != first.rank or rest[0] != rest[1]:
                raise Misfit(f"{{0}} is {first} and {{{position}}} is {other}, which differ in more than axis {axis}")
        extent = sum(type.shape[axis] for type in types)
        shape = (*first.shape[:axis], extent, *first.shape[axis + 1 :])
        return Type(shape, any(type.per_sample for type in types))

    def options(self) -> str:
        return f"axis={self.axis}" if self.axis else ""

    def notation(self, *types: Type) -> Notation:
        return function(self.name, options=self.options())

    def expand(self, *inputs: Node) -> Node:
        with inputs[0].graph.derivation():
            axis = self.place(inputs[0].type)
            whole = sum(operand.shape[axis] for operand in inputs)
            parts, start = [], 0
            for operand in inputs:
                before, after = start, whole - start - operand.shape[axis]
                widths = tuple((before, after) if k == axis else (0, 0) for k in range(operand.type.rank))
                parts.append(Pad(widths, "constant", -0.0)(operand))  # x + (-0) is x, even where x is -0
                start += operand.shape[axis]
            return reduce(operator.add, parts)

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        axis, start = self.place(inputs[0].type), 0
        parts = []
        for operand in inputs:
            stop = start + operand.shape[axis]
            parts.append(Slice((*((None, None, None),) * axis, (start, stop, None)))(gradient))
            start = stop
        return tuple(parts)


def _shown(cut: Cut) -> str:
    if isinstance(cut, int):
        return str(cut)
    start, stop, step = ("" if bound is None else str(bound) for bound in cut)
    return f"{start}:{stop}" + f":{step}" * bool(step)


def slice_(a: Node, index: Any) -> Node:
    """`A[1:3, ::2, 0]`: a part of one sample, by Python's rules; a number takes one position and drops the axis.

    Starts, stops and steps are whole numbers, negative ones as in Python; `...` stands for the axes left out. Raises
    ShapeError for a position out of range, or where nothing is taken. Rows by numbers that are computed: `embedding`.
    Source: NumPy's basic indexing.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     A = gg.input("A", 4, 6, 3)
    ...     g.B = A[1:3, ::-2, 0]
    >>> g.B.shape
    (2, 3)
    """
    given = index if isinstance(index, tuple) else (index,)
    if given.count(...) > 1:
        raise GraphError(f"a subscript of {written(a)} has `...` twice")
    if ... in given:
        at = given.index(...)
        rest = (slice(None),) * (a.type.rank - len(given) + 1)
        given = given[:at] + rest + given[at + 1 :]
    return Slice(tuple(_cut(a, one) for one in given))(a)


def _cut(a: Node, one: Any) -> Cut:
    who = f"a subscript of {written(a)}"
    if isinstance(one, slice):
        start, stop, step = (None if b is None else whole(who, "a bound", b) for b in (one.start, one.stop, one.step))
        if step == 0:
            raise GraphError(f"{who}: a step of 0 never arrives")
        return start, stop, step
    if one is None:
        raise GraphError(f"{who}: None is no position; expand_dims({written(a)}, axis) makes a new axis")
    if isinstance(one, Node):
        raise GraphError(
            f"{who}: {written(one)} is a node; embedding({written(a)}, {written(one)}) takes rows by its values"
        )
    return whole(who, "a position", one)


public(slice_, "slice")


@public
def concatenate(*arrays: Node | Sequence[Node], axis: int = 0) -> Node:
    """Arrays one after the other along an axis that they have; `concatenate(A, B, axis=0)` or `concatenate([A, B])`.

    Raises ShapeError where they differ in another axis, or the axis is out of range. Source: NumPy's `concatenate`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, y = gg.input("x", 2, 3), gg.input("y", 4, 3)
    ...     g.A = gg.concatenate(x, y)
    >>> g.A.shape
    (6, 3)
    """
    parts = _listed("concatenate", arrays)
    return apply(Concatenate(whole("concatenate", "axis", axis)), parts)


@public
def stack(*arrays: Node | Sequence[Node], axis: int = 0) -> Node:
    """Arrays of one shape beside each other along a new axis; `stack(A, B, axis=0)` or `stack([A, B])`.

    Raises ShapeError where the shapes differ, or the axis is out of range. Source: NumPy's `stack`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, y = gg.input("x", 3), gg.input("y", 3)
    ...     g.A = gg.stack(x, y, axis=-1)
    >>> g.A.shape
    (3, 2)
    """
    return concatenate(*(expand_dims(a, axis) for a in _listed("stack", arrays)), axis=axis)


def _listed(who: str, arrays: tuple[Any, ...]) -> tuple[Node, ...]:
    given = arrays[0] if len(arrays) == 1 and isinstance(arrays[0], list | tuple) else arrays
    if not given:
        raise GraphError(f"{who}: there is nothing to put together")
    return tuple(checked_node(a, who) for a in given)


def split(a: Node, parts: int | Sequence[int], axis: int = 0) -> tuple[Node, ...]:
    """The array cut along an axis, into so many equal parts, or into parts of these extents; a tuple of slices.

    Raises GraphError where the parts do not make up the whole. Source: ONNX's `Split`, PyTorch's `split`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 6, 2)
    ...     g.A, g.B = gg.split(x, (4, 2))
    >>> g.A.text(), g.B.shape
    ('A = x[0:4]', (2, 2))
    """
    shape = checked_node(a, "split").shape
    given = wholes("split", "parts", parts)
    if not -len(shape) <= (along := whole("split", "axis", axis)) < len(shape):
        raise GraphError(f"split: axis {axis} is out of range: {written(a)} has {len(shape)} axes")
    along %= len(shape)
    if isinstance(given, int):
        given = (shape[along] // given,) * given if given > 0 else ()
    if sum(given) != shape[along] or min(given, default=0) < 1:
        raise GraphError(
            f"split: {clipped(repr(parts))} does not make up the {shape[along]} elements of {written(a)} along axis {along}"
        )
    ends = [sum(given[: k + 1]) for k in range(len(given))]
    before = ((None, None, None),) * along
    return tuple(Slice((*before, (end - extent, end, None)))(a) for end, extent in zip(ends, given, strict=True))


@public
def flip(a: Node, axis: Axes = None) -> Node:
    """The array back to front along axes, or along all of them; a slice with a step of -1. Source: NumPy's `flip`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 2, 3)
    ...     g.A = gg.flip(x, axis=1)
    >>> print(g.A.text())
    A = x[:, ::-1]
    """
    rank = checked_node(a, "flip").type.rank
    given = tuple(range(rank)) if axis is None else wholes("flip", "axis", axis)
    axes = tuple(dict.fromkeys(given)) if isinstance(given, tuple) else (given,)
    if wrong := [one for one in axes if not -rank <= one < rank]:
        raise GraphError(f"flip: axis {wrong[0]} is out of range: {written(a)} has {rank} axes")
    turned = {one % rank for one in axes}
    if not turned:
        return a
    return Slice(tuple((None, None, -1 if k in turned else None) for k in range(max(turned) + 1)))(a)
