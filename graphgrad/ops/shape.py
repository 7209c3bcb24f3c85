"""The same elements in another shape: reshape, squeeze, permute, repeat."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from graphgrad.graph import (
    ATOM,
    Axis,
    Formula,
    GraphError,
    Index,
    Misfit,
    Node,
    NoGradient,
    Notation,
    Operation,
    Type,
    at,
    axes_of,
    function,
    public,
)
from graphgrad.graph.node import clipped
from graphgrad.ops.reductions import Axes, Broadcast, as_written, normal_axes
from graphgrad.ops.windows import wholes

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Reshape(Operation):
    """All elements, in order, in another shape; `name` and `option` are what the user wrote."""

    name: str
    option: Axes = None

    def target(self, a: Type) -> Shape:
        """The shape of the result."""
        match self.name:
            case "flatten":
                return (a.size,)
            case "squeeze":
                return self._squeezed(a)
            case "expand_dims":
                assert self.option is not None
                count = len(self.option) if isinstance(self.option, tuple) else 1
                axes = normal_axes(self.option, a.rank + count, f"the result, of {{0}} which is {a},")
                left = iter(a.shape)
                return tuple(1 if k in axes else next(left) for k in range(a.rank + count))
        return self._reshaped(a)

    def _squeezed(self, a: Type) -> Shape:
        axes = normal_axes(self.option, a.rank)
        if self.option is None:
            axes = tuple(axis for axis in axes if a.shape[axis] == 1)
        for axis in axes:
            if a.shape[axis] != 1:
                raise Misfit(f"axis {axis} of {{0}} has {a.shape[axis]} elements; only an axis of one can be left out")
        return tuple(extent for axis, extent in enumerate(a.shape) if axis not in axes)

    def _reshaped(self, a: Type) -> Shape:
        shape = self.option if isinstance(self.option, tuple) else ()
        known = math.prod(extent for extent in shape if extent != -1)
        if shape.count(-1) > 1 or any(extent < 1 and extent != -1 for extent in shape):
            raise Misfit(f"the shape {shape} is none: its extents are positive, and one may be -1, which is found")
        found = tuple(a.size // known if extent == -1 else extent for extent in shape)
        if math.prod(found) != a.size:
            raise Misfit(f"{{0}} is {a} and has {a.size} elements, which do not fill the shape {shape}")
        return found

    def infer(self, a: Type) -> Type:
        return Type(self.target(a), a.per_sample)

    def options(self) -> str:
        if self.option is None:
            return ""
        return f"{'shape' if self.name == 'reshape' else 'axis'}={self.option}"

    def formula(self, a: Type) -> Formula:
        axes = axes_of(self.target(a))
        return Formula(axes, (in_order(axes, a.shape),))

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        return (Reshape("reshape", inputs[0].shape)(gradient),)


def in_order(axes: tuple[Axis, ...], shape: Shape) -> tuple[Index, ...]:
    """Where an operand of this shape is read, element by element in the order of a result with these axes.

    Where every axis of the operand is some of the result's taken together, it has an index of its own; elsewhere the
    elements are counted through.
    """
    if not shape:
        return ()
    left = [axis for axis in axes if axis.extent != 1]
    read = []
    for extent in shape:
        together: list[Axis] = []
        while left and math.prod(axis.extent or 1 for axis in together) < extent:
            together.append(left.pop(0))
        if math.prod(axis.extent or 1 for axis in together) != extent:
            return (_counted([axis for axis in axes if axis.extent != 1]),)
        read.append(_counted(together))
    return tuple(read)


def _counted(axes: list[Axis]) -> Index:
    """The number of an element, the last axis the fastest."""
    terms, count = [], 1
    for axis in reversed(axes):
        terms.append((axis, count))
        count *= axis.extent or 1
    return Index(tuple(reversed(terms)))


@dataclass(frozen=True)
class Permute(Operation):
    """The axes in another order."""

    axes: tuple[int, ...]
    name = "permute"

    def order(self, a: Type) -> tuple[int, ...]:
        """For each axis of the result, which of the operand it is."""
        there = all(-a.rank <= axis < a.rank for axis in self.axes)
        if not there or sorted(axis % a.rank for axis in self.axes) != list(range(a.rank)):
            raise Misfit(f"{self.axes} is no order of the axes of {{0}}, which is {a} and has {a.rank} of them")
        return tuple(axis % a.rank for axis in self.axes)

    def infer(self, a: Type) -> Type:
        return Type(tuple(a.shape[axis] for axis in self.order(a)), a.per_sample)

    def options(self) -> str:
        return f"axes={self.axes}"

    def notation(self, a: Type) -> Notation:
        plain = function(self.name, options=self.options())
        if a.rank > 1 and tuple(axis % a.rank for axis in self.axes) == last_two_swapped(a.rank):
            return Notation(r"{0}^{\top}", "{0}ᵀ", plain.text, ATOM, (ATOM,))
        return plain

    def formula(self, a: Type) -> Formula:
        order = self.order(a)
        axes = axes_of(tuple(a.shape[axis] for axis in order))
        return Formula(axes, (at(*(axes[order.index(k)] for k in range(a.rank))),))

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        order = self.order(inputs[0].type)
        return (Permute(tuple(order.index(k) for k in range(len(order))))(gradient),)


def last_two_swapped(rank: int) -> tuple[int, ...]:
    """The order of axes that transposes the matrices along the last two."""
    return (*range(rank - 2), rank - 1, rank - 2)


def checked_node(a: Any, who: str) -> Node:
    """The operand, whose shape is asked for; raises GraphError where it is no node."""
    if not isinstance(a, Node):
        raise GraphError(f"{who}: the operand is {clipped(repr(a))}, and no node of a graph")
    return a


@public
def reshape(a: Node, shape: int | Shape) -> Node:
    """The elements of one sample in another shape, in order, the last axis the fastest; one extent may be -1.

    Raises ShapeError where the elements do not fill the shape. Source: NumPy's `reshape`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 2, 6)
    ...     g.A = gg.reshape(x, (3, -1))
    >>> g.A.shape
    (3, 4)
    """
    return Reshape("reshape", _as_tuple("reshape", "shape", shape))(a)


@public
def flatten(a: Node) -> Node:
    """All elements of one sample as a vector, in order, the last axis the fastest.

    Source: NumPy's `ravel`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 1, 28, 28)
    ...     g.A = gg.flatten(x)
    >>> g.A.shape
    (784,)
    """
    return Reshape("flatten")(a)


@public
def squeeze(a: Node, axis: Axes = None) -> Node:
    """The same without the axes of extent 1: those named by `axis`, or all of them.

    Raises ShapeError for an axis that is out of range or has more than one element. Source: NumPy's `squeeze`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 1, 3, 1)
    ...     g.A, g.B = gg.squeeze(x), gg.squeeze(x, axis=-1)
    >>> g.A.shape, g.B.shape
    ((3,), (1, 3))
    """
    return Reshape("squeeze", as_written(axis))(a)


@public
def expand_dims(a: Node, axis: int | tuple[int, ...]) -> Node:
    """The same with new axes of extent 1, at these places of the result; PyTorch's `unsqueeze`.

    Raises ShapeError for an axis out of range. Source: NumPy's `expand_dims`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 28, 28)
    ...     g.A = gg.expand_dims(x, 0)
    >>> g.A.shape
    (1, 28, 28)
    """
    return Reshape("expand_dims", wholes("expand_dims", "axis", axis))(a)


@public
def permute(a: Node, axes: tuple[int, ...]) -> Node:
    """The axes in another order: axis k of the result is axis `axes[k]` of the operand; negative ones count from the end.

    Raises ShapeError where `axes` does not name each axis once. Source: PyTorch's `permute`, NumPy's `transpose`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 2, 3, 4)
    ...     g.A = gg.permute(x, (2, 0, 1))
    >>> g.A.shape
    (4, 2, 3)
    """
    return Permute(_as_tuple("permute", "axes", axes))(a)


@public
def broadcast_to(a: Node, shape: int | Shape) -> Node:
    """The value repeated along new leading axes and along its axes of extent 1; PyTorch's `expand`.

    An extent of -1 keeps that of the operand. Raises ShapeError where another extent than 1 would have to change.
    Source: NumPy's `broadcast_to`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 3, 1)
    ...     g.A = gg.broadcast_to(x, (2, -1, 4))
    >>> g.A.shape
    (2, 3, 4)
    """
    extents = _as_tuple("broadcast_to", "shape", shape)
    new = max(len(extents) - checked_node(a, "broadcast_to").type.rank, 0)
    own = (*(-1,) * new, *a.shape)
    found = tuple(was if extent == -1 else extent for extent, was in zip(extents, own, strict=False))
    if any(extent < 1 for extent in found):
        raise GraphError(f"broadcast_to: the shape {extents} has an extent below 1, or -1 where {a.shape} has no axis")
    return Broadcast(found, tuple(range(new)))(a)


def _as_tuple(who: str, option: str, value: Any) -> tuple[int, ...]:
    given = wholes(who, option, value)
    return given if isinstance(given, tuple) else (given,)
