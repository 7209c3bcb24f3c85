"""Up-sampling: more elements along the axes of an image, each the nearest one's or between its neighbours."""

from __future__ import annotations

from dataclasses import dataclass

from graphgrad.graph import GraphError, Misfit, Node, Notation, Operand, Operation, Type, function, public
from graphgrad.graph.node import clipped
from graphgrad.ops.resample import Resample, Rows
from graphgrad.ops.windows import Whole, each, options, wholes

MODES = {"nearest": None, "linear": 1, "bilinear": 2, "trilinear": 3}
"""The modes, with the number of axes that they are named for."""


@dataclass(frozen=True)
class Upsample(Operation):
    """An image at another number of positions along all axes but the first."""

    scale: Whole | None
    size: Whole | None = None
    mode: str = "nearest"
    align_corners: bool = False
    name = "upsample"
    unfolds = True

    def sizes(self, x: Type) -> tuple[int, ...]:
        """How many positions each axis gets."""
        count = x.rank - 1
        if count < 1:
            raise Misfit(f"{{0}} is {x}; up-sampling takes channels along one axis or more, such as 3x28x28")
        if (named := MODES[self.mode]) is not None and named != count:
            fits = {axes: mode for mode, axes in MODES.items()}.get(count, "nearest")
            along = f"{named} ax{'i' if named == 1 else 'e'}s"
            raise Misfit(f'mode "{self.mode}" is for {along} beside the channels and {{0}} is {x}; "{fits}" fits')
        if self.size is not None:
            return each("size", self.size, count, 1)
        assert self.scale is not None
        factors = each("scale", self.scale, count, 1)
        return tuple(extent * factor for extent, factor in zip(x.shape[1:], factors, strict=True))

    def infer(self, x: Type) -> Type:
        return Type((*x.shape[:1], *self.sizes(x)), x.per_sample)

    def options(self) -> str:
        return options(
            scale=(self.scale, None),
            size=(self.size, None),
            mode=(self.mode, "nearest"),
            align_corners=(self.align_corners, False),
        )

    def notation(self, x: Type) -> Notation:
        return function(self.name, options=self.options())

    def expand(self, *inputs: Node) -> Node:
        (x,) = inputs
        with x.graph.derivation():
            maps = (self._rows(n, m) if n != m else None for n, m in zip(x.shape[1:], self.sizes(x.type), strict=True))
            return Resample((None, *maps), self.name)(x)

    def _rows(self, n: int, m: int) -> Rows:
        """The matrix from n to m elements: which places each takes its value from, and in what parts."""
        if self.mode == "nearest":
            return Rows(n, tuple((place * n // m,) for place in range(m)))
        places, weights = [], []
        for place in range(m):
            if self.align_corners:
                at, whole = place * (n - 1), max(m - 1, 1)
            else:
                at, whole = max((2 * place + 1) * n - m, 0), 2 * m
            low, part = at // whole, at % whole / whole
            places.append((low, min(low + 1, n - 1)))
            weights.append((1.0 - part, part))
        return Rows(n, tuple(places), tuple(weights))


@public
def upsample(
    x: Operand,
    scale: Whole | None = None,
    size: Whole | None = None,
    mode: str = "nearest",
    align_corners: bool = False,
) -> Node:
    """An image with more positions: `scale` times as many along each axis but the first, or `size` of them.

    mode           "nearest": position i takes the element at ⌊i S / O⌋, for S of the operand and O of the result;
                   "linear", "bilinear", "trilinear", for one, two and three axes: between the two elements at either
                   side along each axis, at (i + 1/2) S / O - 1/2, and at the border the border's own;
    align_corners  the linear modes put the first and the last elements at the ends, position i at i (S - 1) / (O - 1).

    scale and size are whole numbers, or one for each axis. Shapes: x (C, *S), y (C, *O).
    Raises ShapeError for a mode that is for another number of axes. Source: PyTorch's `interpolate`, ONNX's `Resize`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 1, 2)
    ...     g.A, g.B = gg.upsample(x, 2), gg.upsample(x, 2, mode="linear")
    >>> r = gg.compile(g, ["A", "B"], target="numpy")(x=[[0.0, 4.0]])
    >>> r["A"].tolist(), r["B"].tolist()
    ([[0.0, 0.0, 4.0, 4.0]], [[0.0, 1.0, 3.0, 4.0]])
    """
    if mode not in MODES:
        raise GraphError(f"upsample: mode is {clipped(repr(mode))}; it is one of {', '.join(MODES)}")
    if (scale is None) == (size is None):
        raise GraphError("upsample: give scale, how many times as many positions, or size, how many")
    if align_corners and mode == "nearest":
        raise GraphError('upsample: align_corners is for the linear modes, and mode is "nearest"')
    factor = None if scale is None else wholes("upsample", "scale", scale)
    positions = None if size is None else wholes("upsample", "size", size)
    return Upsample(factor, positions, mode, bool(align_corners))(x)
