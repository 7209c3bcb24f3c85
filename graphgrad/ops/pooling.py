"""Pooling: the largest or the mean of each window that slides over an image."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from graphgrad.graph import (
    Axis,
    Formula,
    GraphError,
    Index,
    Misfit,
    Node,
    NoGradient,
    Notation,
    Operand,
    Operation,
    Type,
    at,
    axes_of,
    function,
    public,
    written,
)
from graphgrad.graph.node import constant_in
from graphgrad.ops.contraction import Contraction
from graphgrad.ops.extremes import max_
from graphgrad.ops.reductions import Broadcast, mean
from graphgrad.ops.shape import checked_node
from graphgrad.ops.windows import OFFSETS, POSITIONS, Slide, Whole, each, options, slides, wholes

CHANNELS = "cdefg"
EXTREME = float("-inf")


def pooled_axes(x: Type, given: object) -> int:
    """How many of the last axes are pooled: as many as a tuple has numbers, with one number all but the first."""
    count = len(given) if isinstance(given, tuple) else x.rank - 1
    if not 1 <= count <= min(x.rank, len(POSITIONS)) or x.rank - count > len(CHANNELS):
        raise Misfit(
            f"{{0}} is {x}; pooling takes channels along 1 to 3 axes, such as 3x28x28, or a tuple for the last axes"
        )
    return count


@dataclass(frozen=True)
class Pooling(Operation):
    """Windows over the last axes of an image; an int as kernel is for all axes but the first."""

    kernel: Whole
    stride: Whole | None = None
    padding: Whole = 0
    dilation: Whole = 1
    ceil_mode: bool = False

    def slides(self, x: Type) -> tuple[Slide, ...]:
        """The windows along the axes that are pooled."""
        reach = each("kernel", self.kernel, pooled_axes(x, self.kernel), 1)
        stride = reach if self.stride is None else self.stride
        found = slides(x.shape, reach, stride, self.padding, self.dilation, self.ceil_mode)
        for slide in found:
            if slide.before > slide.span // 2:
                raise Misfit(f"padding is {slide.before}, and can be half of a window's {slide.span} elements at most")
        return found

    def infer(self, x: Type) -> Type:
        found = self.slides(x)
        return Type((*x.shape[: x.rank - len(found)], *(slide.count for slide in found)), x.per_sample)

    def options(self) -> str:
        shown = options(
            stride=(self.stride, None),
            padding=(self.padding, 0),
            dilation=(self.dilation, 1),
            ceil_mode=(self.ceil_mode, False),
        )
        return f"kernel={self.kernel}" + f", {shown}" * bool(shown)

    def notation(self, x: Type) -> Notation:
        return function(self.name, options=self.options())

    def loops(self, x: Type) -> tuple[tuple[Axis, ...], tuple[Axis, ...], tuple[Index, ...]]:
        """The axes of the result, those inside of a window, and where the operand is read."""
        found = self.slides(x)
        channels = axes_of(x.shape[: x.rank - len(found)], CHANNELS)
        positions = axes_of(tuple(slide.count for slide in found), POSITIONS)
        offsets = axes_of(tuple(slide.reach for slide in found), OFFSETS)
        under = (slide.index(i, p) for slide, i, p in zip(found, positions, offsets, strict=True))
        return channels + positions, offsets, (*at(*channels), *under)


@dataclass(frozen=True)
class MaxPool(Pooling):
    """The largest element of each window; outside of the operand there is none."""

    name = "max_pool"

    def formula(self, x: Type) -> Formula:
        axes, over, read = self.loops(x)
        return Formula(axes, (read,), over, "max", outside=EXTREME)

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        (x,) = inputs
        axes, over, read = self.loops(x.type)
        position = Index(tuple((axis, prod(a.extent or 1 for a in over[k + 1 :])) for k, axis in enumerate(over)))
        winners = Winner(self.kernel, self.stride, self.padding, self.dilation, self.ceil_mode)(x)
        taken = Contraction("max_pool", axes, over, (read, at(*axes)), chosen=position)
        return (taken.gradient(0, gradient, (x, winners)),)


@dataclass(frozen=True)
class Winner(Pooling):
    """Where in each window its largest element stands: the first of equal ones, counted in order."""

    name = "max_pool_winner"

    def formula(self, x: Type) -> Formula:
        axes, over, read = self.loops(x)
        return Formula(axes, (read,), over, "argmax", outside=EXTREME)

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        return (NoGradient("the winner is a position, which jumps from one whole number to another"),)


@dataclass(frozen=True)
class AvgPool(Pooling):
    """The mean of each window, as a sum and the number of elements that it is divided by."""

    count_include_pad: bool = True
    name = "avg_pool"
    unfolds = True

    def options(self) -> str:
        return super().options() + ", count_include_pad=False" * (not self.count_include_pad)

    def expand(self, *inputs: Node) -> Node:
        (x,) = inputs
        found = self.slides(x.type)
        with x.graph.derivation():
            axes, over, read = self.loops(x.type)
            total = Contraction("window_sum", axes, over, (read,))(x)
            padded = not self.count_include_pad and any(slide.before for slide in found)
            if not self.ceil_mode and not padded:
                return total * (1 / prod(slide.reach for slide in found))
            return total / self._sizes(x, axes[-len(found) :], over)

    def _sizes(self, x: Node, positions: tuple[Axis, ...], over: tuple[Axis, ...]) -> Node:
        """How many elements each window counts: of the operand, or of it and its padding, but none beyond."""
        found, own = self.slides(x.type), self.count_include_pad
        shape = tuple(s.extent + (s.before + s.after) * own for s in found)
        ones = Broadcast(shape, tuple(range(len(shape))))(constant_in(x.graph, 1.0, self.name))
        slid = (Slide(s.extent, s.reach, s.stride, s.dilation, 0 if own else s.before) for s in found)
        under = tuple(slide.index(i, p) for slide, i, p in zip(slid, positions, over, strict=True))
        return Contraction("window_size", positions, over, (under,))(ones)


@public
def max_pool(
    x: Operand,
    kernel: Whole,
    stride: Whole | None = None,
    padding: Whole = 0,
    dilation: Whole = 1,
    ceil_mode: bool = False,
) -> Node:
    """The largest element of each window: yᵢ = maxₚ x[s·i + d·p - padding], and -∞ outside of the array.

    Of equal elements the first, and NaN before all, takes the whole gradient; where it stands is a node of its own.
    kernel is the extent of a window along all axes but the first, or a tuple for the last axes, as many as it has;
    stride is the kernel's if left out. With ceil_mode, windows may reach beyond the padding if they begin before it.
    Shapes: x (C, *S), y (C, *O) with O = ⌊(S + 2 padding - d(R - 1) - 1) / s⌋ + 1, or ⌈⌉.

    Raises ShapeError where no window fits, or the padding is more than half of one.
    Source: Ranzato et al., 2007; PyTorch's `max_pool2d`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 1, 4)
    ...     g.A = gg.max_pool(x, 2)
    >>> r = gg.compile(g, "A", target="numpy")(x=[[1.0, 3.0, 2.0, 2.0]])
    >>> r["A"].tolist()
    [[3.0, 2.0]]
    """
    return MaxPool(*_options("max_pool", kernel, stride, padding, ceil_mode, dilation))(x)


@public
def avg_pool(
    x: Operand,
    kernel: Whole,
    stride: Whole | None = None,
    padding: Whole = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Node:
    """The mean of each window: yᵢ = (1/m) Σₚ x[s·i + p - padding], with 0 outside of the array.

    m counts the elements of the window with those of the padding, or without (count_include_pad=False), and never those
    beyond it, which ceil_mode may reach. All else is as in `max_pool`. Source: PyTorch's `avg_pool2d` (ONNX's
    `AveragePool` has count_include_pad off by default).

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 1, 4)
    ...     g.A = gg.avg_pool(x, 2)
    >>> gg.compile(g, "A", target="numpy")(x=[[1.0, 3.0, 2.0, 2.0]])["A"].tolist()
    [[2.0, 2.0]]
    """
    given = _options("avg_pool", kernel, stride, padding, ceil_mode, 1)
    return AvgPool(*given, bool(count_include_pad))(x)


@public
def global_max_pool(x: Node) -> Node:
    """The largest element of each channel: the `max` over all axes but the first. Shapes: x (C, *S), y (C,).

    Source: ONNX, `GlobalMaxPool`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 3, 8, 8)
    ...     g.A = gg.global_max_pool(x)
    >>> g.A.shape
    (3,)
    """
    return max_(x, _all_but_the_first(x, "global_max_pool"))


@public
def global_avg_pool(x: Node) -> Node:
    """The mean of each channel: over all axes but the first. Shapes: x (C, *S), y (C,).

    Source: Lin et al., Network in network, 2014.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 3, 8, 8)
    ...     g.A = gg.global_avg_pool(x)
    >>> g.A.shape
    (3,)
    """
    return mean(x, _all_but_the_first(x, "global_avg_pool"))


def _all_but_the_first(x: Node, who: str) -> tuple[int, ...]:
    if (rank := checked_node(x, who).type.rank) < 2:
        raise GraphError(f"{who}: {written(x)} is {x.type}; it takes channels along one axis or more, such as 3x28x28")
    return tuple(range(1, rank))


def _options(
    who: str, kernel: Whole, stride: Whole | None, padding: Whole, ceil_mode: bool, dilation: Whole
) -> tuple[Whole, Whole | None, Whole, Whole, bool]:
    reach = wholes(who, "kernel", kernel)
    steps = None if stride is None else wholes(who, "stride", stride)
    return reach, steps, wholes(who, "padding", padding), wholes(who, "dilation", dilation), bool(ceil_mode)
