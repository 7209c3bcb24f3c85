"""Connections between neighbours: convolution, transposed convolution, and local connections with their own weights.

What is called convolution here is cross-correlation, as in every framework: the filter is not turned round. It is
written with a star, `x ⋆ w`; the asterisk of the textbooks, `x * w`, would be the same with the filter reversed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from graphgrad.graph import (
    POWER,
    PRODUCT,
    Axis,
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
)
from graphgrad.ops.contraction import Contracting, Contraction
from graphgrad.ops.shape import reshape
from graphgrad.ops.windows import OFFSETS, POSITIONS, Padding, Slide, Whole, each, options, slides, whole, wholes

GATHERED = Notation(r"{0} \star {1}", "{0} ⋆ {1}", "conv({0}, {1})", PRODUCT, (PRODUCT, POWER))
SPREAD = Notation(r"{0} \star^{\top} {1}", "{0} ⋆ᵀ {1}", "conv_transpose({0}, {1})", PRODUCT, (PRODUCT, POWER))


@dataclass(frozen=True)
class Sliding(Contracting, Operation):
    """A bank of filters that slides over the axes of its operand, in groups of channels of their own."""

    stride: Whole = 1
    padding: Padding = 0
    dilation: Whole = 1
    groups: int = 1
    back: ClassVar[Notation]

    def check(self, x: Type, w: Type) -> None:
        """Raises Misfit where the operands are no channels and no bank of filters, or the groups do not divide them."""
        if not 3 <= w.rank <= 5 or x.rank != w.rank - 1:
            hint = "; expand_dims({0}, 0) gives it one channel" if x.rank == w.rank - 2 and x.rank else ""
            raise Misfit(
                f"{{0}} is {x} and {{1}} is {w}; it takes channels along 1 to 3 axes, such as 3x28x28, and a bank of "
                f"filters of one axis more, such as 8x3x5x5{hint}"
            )
        if self.groups < 1:
            raise Misfit(f"groups is {self.groups}, and cannot be below 1")
        for position, channels, what in ((0, x.shape[0], "channels"), (1, w.shape[0], "filters")):
            if channels % self.groups:
                raise Misfit(f"{self.groups} groups do not divide the {channels} {what} of {{{position}}}")

    @property
    def unfolds(self) -> bool:
        return self.groups > 1

    def expand(self, *inputs: Node) -> Node | None:
        """With groups: the same for each group by itself, along an axis of its own."""
        if self.groups == 1:
            return None
        x, w = inputs
        types, g = (x.type, w.type), self.groups
        with x.graph.derivation():
            apart = [reshape(a, (g, a.shape[0] // g, *a.shape[1:])) for a in inputs]
            return reshape(self.contraction(*types)(*apart), self.infer(*types).shape)

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        found = self.contraction(*(operand.type for operand in inputs))
        return (
            found.gradient(0, gradient, inputs, self.back),
            found.gradient(1, gradient, inputs, GATHERED),
        )


@dataclass(frozen=True)
class Convolution(Sliding):
    """Every filter at every position: the sum of the products with what lies under it."""

    name = "conv"
    back = SPREAD

    def slides(self, x: Type, w: Type) -> tuple[Slide, ...]:
        return slides(x.shape, w.shape[2:], self.stride, self.padding, self.dilation)

    def infer(self, x: Type, w: Type) -> Type:
        self.check(x, w)
        if w.shape[1] * self.groups != x.shape[0]:
            of = f" in each of {self.groups} groups" if self.groups > 1 else ""
            raise Misfit(f"{{0}} has {x.shape[0]} channels and the filters of {{1}} take {w.shape[1]}{of}")
        along = tuple(slide.count for slide in self.slides(x, w))
        return Type((w.shape[0], *along), x.per_sample or w.per_sample)

    def options(self) -> str:
        return options(
            stride=(self.stride, 1), padding=(self.padding, 0), dilation=(self.dilation, 1), groups=(self.groups, 1)
        )

    def notation(self, x: Type, w: Type) -> Notation:
        return _starred(self.name, "", self.options())

    def contraction(self, x: Type, w: Type) -> Contraction:
        """Σ over channel c and offset p of x at stride · i + dilation · p, times the filter's element there."""
        found = self.slides(x, w)
        group = (Axis("g", self.groups),) if self.groups > 1 else ()
        k, c = Axis("k", w.shape[0] // self.groups), Axis("c", w.shape[1])
        positions = axes_of(tuple(slide.count for slide in found), POSITIONS)
        offsets = axes_of(tuple(slide.reach for slide in found), OFFSETS)
        under = (slide.index(i, p) for slide, i, p in zip(found, positions, offsets, strict=True))
        reads = ((*at(*group, c), *under), at(*group, k, c, *offsets))
        return Contraction(self.name, (*group, k, *positions), (c, *offsets), reads)


@dataclass(frozen=True)
class TransposedConvolution(Sliding):
    """What is the gradient of a convolution's operand, as a layer of its own: it spreads instead of gathering."""

    output_padding: Whole = 0
    name = "conv_transpose"
    back = GATHERED

    def slides(self, x: Type, w: Type) -> tuple[Slide, ...]:
        """The windows along the result."""
        count = x.rank - 1
        strides, dilations = each("stride", self.stride, count, 1), each("dilation", self.dilation, count, 1)
        if isinstance(self.padding, str):
            raise Misfit(f'padding is "{self.padding}", and takes whole numbers in a transposed convolution')
        pads, more = each("padding", self.padding, count, 0), each("output_padding", self.output_padding, count, 0)
        found = []
        for n, r, s, d, p, extra in zip(x.shape[1:], w.shape[2:], strides, dilations, pads, more, strict=True):
            if extra >= max(s, d):
                raise Misfit(f"output_padding is {extra}, and must be below stride {s} or dilation {d}")
            extent = (n - 1) * s - 2 * p + d * (r - 1) + extra + 1
            if extent < 1:
                raise Misfit(f"padding {p} takes all {extent + 2 * p} elements away: the output has no extent")
            found.append(Slide(extent, r, s, d, p, p))
        return tuple(found)

    def infer(self, x: Type, w: Type) -> Type:
        self.check(x, w)
        if w.shape[0] != x.shape[0]:
            raise Misfit(f"{{0}} has {x.shape[0]} channels and {{1}} has filters for {w.shape[0]}")
        along = tuple(slide.extent for slide in self.slides(x, w))
        return Type((w.shape[1] * self.groups, *along), x.per_sample or w.per_sample)

    def options(self) -> str:
        return options(
            stride=(self.stride, 1),
            padding=(self.padding, 0),
            output_padding=(self.output_padding, 0),
            dilation=(self.dilation, 1),
            groups=(self.groups, 1),
        )

    def notation(self, x: Type, w: Type) -> Notation:
        return _starred(self.name, "⊤", self.options())

    def contraction(self, x: Type, w: Type) -> Contraction:
        """Σ over channel c and offset p of x at (u + padding - dilation · p) / stride, times the filter's element there."""
        found = self.slides(x, w)
        group = (Axis("g", self.groups),) if self.groups > 1 else ()
        c, k = Axis("c", x.shape[0] // self.groups), Axis("k", w.shape[1])
        places = axes_of(tuple(slide.extent for slide in found), POSITIONS)
        offsets = axes_of(tuple(slide.reach for slide in found), OFFSETS)
        under = (slide.index_back(u, p) for slide, u, p in zip(found, places, offsets, strict=True))
        reads = ((*at(*group, c), *under), at(*group, c, k, *offsets))
        return Contraction(self.name, (*group, k, *places), (c, *offsets), reads)


@dataclass(frozen=True)
class LocalConnection(Contracting, Operation):
    """As a convolution, with a filter of its own at every position."""

    stride: Whole = 1
    padding: Padding = 0
    dilation: Whole = 1
    name = "locally_connected"

    def slides(self, x: Type, w: Type) -> tuple[Slide, ...]:
        return slides(x.shape, w.shape[x.rank + 1 :], self.stride, self.padding, self.dilation)

    def infer(self, x: Type, w: Type) -> Type:
        if not 2 <= x.rank <= 4 or w.rank != 2 * x.rank:
            raise Misfit(
                f"{{0}} is {x} and {{1}} is {w}; it takes channels along 1 to 3 axes, such as 3x28, and weights with the "
                "axes of the result and then those of a window, such as 8x26x3x3"
            )
        along = tuple(slide.count for slide in self.slides(x, w))
        if w.shape[1 : x.rank] != along:
            told = "x".join(map(str, along))
            raise Misfit(
                f"it has {told} positions, and {{1}} has weights for {'x'.join(map(str, w.shape[1 : x.rank]))}"
            )
        if w.shape[x.rank] != x.shape[0]:
            raise Misfit(f"{{0}} has {x.shape[0]} channels and {{1}} has weights for {w.shape[x.rank]}")
        return Type((w.shape[0], *along), x.per_sample or w.per_sample)

    def options(self) -> str:
        return options(stride=(self.stride, 1), padding=(self.padding, 0), dilation=(self.dilation, 1))

    def notation(self, x: Type, w: Type) -> Notation:
        return function(self.name, options=self.options())

    def contraction(self, x: Type, w: Type) -> Contraction:
        found = self.slides(x, w)
        k, c = Axis("k", w.shape[0]), Axis("c", x.shape[0])
        positions = axes_of(tuple(slide.count for slide in found), POSITIONS)
        offsets = axes_of(tuple(slide.reach for slide in found), OFFSETS)
        under = (slide.index(i, p) for slide, i, p in zip(found, positions, offsets, strict=True))
        reads = ((*at(c), *under), at(k, *positions, c, *offsets))
        return Contraction(self.name, (k, *positions), (c, *offsets), reads)


def _starred(name: str, raised: str, options: str) -> Notation:
    """`x ⋆ w`, with what is not by default as a subscript of the star."""
    shown = options.replace('"', "").replace("=", " ")
    latex = shown.replace("_", r"\_")
    return Notation(
        r"{0} \star" + (r"^{\top}" * bool(raised)) + (rf"_{{\text{{{latex}}}}}" * bool(shown)) + " {1}",
        "{0} ⋆" + "ᵀ" * bool(raised) + f"[{shown}]" * bool(shown) + " {1}",
        f"{name}({{0}}, {{1}}{', ' * bool(options)}{options})",
        PRODUCT,
        (PRODUCT, POWER),
    )


@public
def conv(x: Operand, w: Operand, stride: Whole = 1, padding: Padding = 0, dilation: Whole = 1, groups: int = 1) -> Node:
    """`x ⋆ w`: K filters slid over C channels along one, two or three axes; yₖᵢ = Σ꜀ₚ x[c, s·i + d·p - before] wₖ꜀ₚ.

    This is cross-correlation, as in every framework: the filter is not reversed. Shapes: x (C, *S), w (K, C/groups, *R),
    y (K, *O) with O = ⌊(S + before + after - d(R - 1) - 1) / s⌋ + 1; the bias is a parameter (K, 1, ...) that is added.
    stride s, padding and dilation d are numbers, or one for each axis. padding "valid" is none; "same" gives ⌈S / s⌉
    positions, with the odd zero at the end (PyTorch's for a stride of 1, ONNX's SAME_UPPER for any). With groups, the
    channels and the filters are divided, and each group of filters sees its own channels.

    Raises ShapeError where the channels do not fit, the groups do not divide, or no window does.
    Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016; PyTorch's `conv2d`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, w = gg.input("x", 1, 28, 28), gg.param("w", 8, 1, 3, 3)
    ...     g.F = gg.conv(x, w, padding=1)
    >>> g.F.shape, g.count_params()
    ((8, 28, 28), 72)
    """
    return Convolution(*_options("conv", stride, padding, dilation, groups))(x, w)


@public
def conv_transpose(
    x: Operand,
    w: Operand,
    stride: Whole = 1,
    padding: Whole = 0,
    output_padding: Whole = 0,
    dilation: Whole = 1,
    groups: int = 1,
) -> Node:
    """`x ⋆ᵀ w`: every element of x spreads w over its window; what `conv` with these options has as its transpose.

    Shapes: x (C, *S), w (C, K/groups, *R), y (K, *O) with O = (S - 1)s - 2 padding + d(R - 1) + output_padding + 1, which
    undoes the shape of a `conv` with stride s; output_padding chooses among the extents that come to the same there, and
    is below the stride or the dilation.

    Raises ShapeError where the channels do not fit, the groups do not divide, or nothing is left.
    Source: Dumoulin and Visin, 2016, chapter 4; PyTorch's `conv_transpose2d`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, w = gg.input("x", 8, 14, 14), gg.param("w", 8, 4, 2, 2)
    ...     g.U = gg.conv_transpose(x, w, stride=2)
    >>> g.U.shape
    (4, 28, 28)
    """
    more = wholes("conv_transpose", "output_padding", output_padding)
    given = _options("conv_transpose", stride, padding, dilation, groups)
    return TransposedConvolution(*given, output_padding=more)(x, w)


@public
def locally_connected(x: Operand, w: Operand, stride: Whole = 1, padding: Padding = 0, dilation: Whole = 1) -> Node:
    """Neighbours connected as in `conv`, with own weights at every position; yₖᵢ = Σ꜀ₚ wₖᵢ꜀ₚ x[c, s·i + d·p - before].

    Shapes: x (C, *S), w (K, *O, C, *R), the axes of the result and then those of a window; y (K, *O). The options are
    those of `conv`. Raises ShapeError where the weights do not fit the positions or the channels.
    Source: LeCun, Generalization and network design strategies, 1989.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, w = gg.input("x", 1, 150), gg.param("w", 1, 150, 1, 3)
    ...     g.A = gg.locally_connected(x, w, padding="same")
    >>> g.A.shape, g.count_params()
    ((1, 150), 450)
    """
    return LocalConnection(*_options("locally_connected", stride, padding, dilation)[:3])(x, w)


def _options(
    who: str, stride: Whole, padding: Padding, dilation: Whole, groups: int = 1
) -> tuple[Whole, Padding, Whole, int]:
    """The options as whole numbers."""
    pads = padding if isinstance(padding, str) else wholes(who, "padding", padding)
    steps, apart = wholes(who, "stride", stride), wholes(who, "dilation", dilation)
    return steps, pads, apart, whole(who, "groups", groups)
