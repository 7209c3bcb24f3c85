"""Sums and means over the axes of one sample, and the broadcast that is their transpose."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphgrad.graph import (
    PRODUCT,
    SUM,
    Axis,
    Formula,
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
    stretched,
)

Axes = int | tuple[int, ...] | list[int] | None


def normal_axes(axis: Axes, rank: int, who: str = "{0}") -> tuple[int, ...]:
    """The axes as sorted numbers from 0; None means all. Raises Misfit for one that is out of range or there twice."""
    if axis is None:
        return tuple(range(rank))
    chosen = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    for one in chosen:
        if not isinstance(one, int) or isinstance(one, bool) or not -rank <= one < rank:
            raise Misfit(f"axis {one!r} is out of range: {who} has {rank} ax{'i' if rank == 1 else 'e'}s")
    normal = tuple(sorted(one % rank for one in chosen))
    if len(set(normal)) != len(normal):
        raise Misfit(f"an axis is named twice in {chosen}")
    return normal


@dataclass(frozen=True)
class OverAxes(Operation):
    """What takes one value out of all elements along some axes; `axis` as the user wrote it, for the text form."""

    name: str
    axis: Axes = None
    keepdims: bool = False

    def axes(self, a: Type) -> tuple[int, ...]:
        return normal_axes(self.axis, a.rank)

    def infer(self, a: Type) -> Type:
        axes = self.axes(a)
        kept = ((1 if k in axes else extent, k not in axes or self.keepdims) for k, extent in enumerate(a.shape))
        return Type(tuple(extent for extent, keep in kept if keep), a.per_sample)

    def options(self) -> str:
        shown = [f"axis={self.axis}"] if self.axis is not None else []
        return ", ".join(shown + ["keepdims=True"] * self.keepdims)

    def count(self, a: Type) -> int:
        """How many elements one value is taken out of."""
        return math.prod(a.shape[axis] for axis in self.axes(a))

    def loops(self, a: Type) -> tuple[tuple[Axis, ...], tuple[Axis, ...], tuple[Axis, ...]]:
        """The axes of the operand, those of the result, and those that are reduced over."""
        return reduced_loops(a.shape, self.axes(a), self.keepdims)


def reduced_loops(
    shape: tuple[int, ...], reduced: tuple[int, ...], keepdims: bool
) -> tuple[tuple[Axis, ...], tuple[Axis, ...], tuple[Axis, ...]]:
    """The axes of an operand of this shape, those of its reduction, and those that are reduced over."""
    every = axes_of(shape)
    ones = dict(zip(reduced, axes_of(tuple(1 for _ in reduced), "uvwxyzst"), strict=True)) if keepdims else {}
    out = tuple(ones.get(k, axis) for k, axis in enumerate(every) if k not in reduced or k in ones)
    return every, out, tuple(every[k] for k in reduced)


@dataclass(frozen=True)
class Reduce(OverAxes):
    """A sum or mean over axes."""

    def notation(self, a: Type) -> Notation:
        plain = function(self.name, options=self.options())
        if self.options() or self.name != "sum":
            return plain
        return Notation(r"\sum {0}", "Σ {0}", plain.text, SUM, (PRODUCT,))

    def expand(self, *inputs: Node) -> Node | None:
        if self.name == "sum":
            return None
        (a,) = inputs
        with a.graph.derivation():
            return Reduce("sum", self.axis, self.keepdims)(a) * (1 / self.count(a.type))

    def formula(self, a: Type) -> Formula:
        every, out, over = self.loops(a)
        return Formula(out, (at(*every),), over, "sum")

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        (a,) = inputs
        axes = self.axes(a.type)
        if self.name == "mean":
            gradient = gradient * (1 / self.count(a.type))
        return (broadcast_to(gradient, a.shape, () if self.keepdims else axes),)


@dataclass(frozen=True)
class Broadcast(Operation):
    """Repeat a value along new axes (`axes` of the result) and along its axes of extent 1."""

    shape: tuple[int, ...]
    axes: tuple[int, ...]
    name = "broadcast_to"

    def infer(self, a: Type) -> Type:
        own = [extent for k, extent in enumerate(self.shape) if k not in self.axes]
        if len(own) != a.rank or any(was not in (1, extent) for was, extent in zip(a.shape, own, strict=True)):
            raise Misfit(f"{{0}} is {a} and cannot be repeated to {self.shape}")
        return Type(self.shape, a.per_sample)

    def notation(self, a: Type) -> Notation:
        text = f"broadcast_to({{0}}, shape={self.shape})"
        if a.rank == 0:
            return Notation(r"{0} \, \mathbf{1}", "{0} 𝟏", text, PRODUCT, (PRODUCT,))
        return Notation(r"\operatorname{broadcast}\left({0}\right)", "broadcast({0})", text)

    def formula(self, a: Type) -> Formula:
        every = axes_of(self.shape)
        own = [axis for k, axis in enumerate(every) if k not in self.axes]
        return Formula(every, (stretched(own, a.shape),))

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        return (sum_to(gradient, inputs[0].shape, self.axes),)


def broadcast_to(a: Node, shape: tuple[int, ...], axes: tuple[int, ...]) -> Node:
    """`a` repeated to a shape, of which `axes` are new."""
    return a if a.shape == shape else Broadcast(shape, axes)(a)


def sum_to(a: Node, shape: tuple[int, ...], axes: tuple[int, ...] | None = None) -> Node:
    """The sum over what a broadcast to `a.shape` repeated: its transpose."""
    if a.shape == shape:
        return a
    new = tuple(range(a.type.rank - len(shape))) if axes is None else axes
    if new:
        a = Reduce("sum", new)(a)
    stretched = tuple(k for k, extent in enumerate(shape) if extent == 1 and a.shape[k] != 1)
    return Reduce("sum", stretched, True)(a) if stretched else a


def as_written(axis: Axes) -> Axes:
    """The axes as an option of an operation, which must not change."""
    return tuple(axis) if isinstance(axis, list) else axis


def sum_(a: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The sum over axes of one sample, y = Σᵢ aᵢ; `axis` None sums over all, negative axes count from the end.

    Raises ShapeError for an axis out of range. The sum over the samples is `batch_sum`. Source: NumPy's `sum`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 3, 2)
    ...     g.A = gg.sum(x, axis=0)
    >>> g.A.shape
    (2,)
    """
    return Reduce("sum", as_written(axis), bool(keepdims))(a)


def mean(a: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The mean over axes of one sample, y = (1/m) Σᵢ aᵢ; as `sum`, divided by the number of elements.

    Source: NumPy's `mean`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 3)
    ...     g.A = gg.mean(x)
    >>> float(gg.compile(g, "A", target="numpy")(x=[1.0, 2.0, 6.0])["A"])
    3.0
    """
    return Reduce("mean", as_written(axis), bool(keepdims))(a)


public(sum_, "sum")
public(mean)
