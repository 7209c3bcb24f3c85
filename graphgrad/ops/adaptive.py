"""Adaptive pooling: as many windows as are asked for, of nearly equal extent, whatever the extent of the image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphgrad.graph import Node, Notation, Operand, Operation, Type, function, public
from graphgrad.ops.pooling import AvgPool, MaxPool, pooled_axes
from graphgrad.ops.resample import Resample, Rows
from graphgrad.ops.windows import each, whole


@dataclass(frozen=True)
class AdaptivePool(Operation):
    """Windows of nearly equal extent, as many as are asked for: window i is from ⌊i S / O⌋ to ⌈(i + 1) S / O⌉."""

    name: str
    size: int | tuple[int | None, ...]
    unfolds = True

    def sizes(self, x: Type) -> tuple[int, ...]:
        """How many windows along each axis that is pooled."""
        count = pooled_axes(x, self.size)
        given = self.size if isinstance(self.size, tuple) else (self.size,) * count
        kept = zip(given, x.shape[x.rank - count :], strict=True)
        return each("size", tuple(extent if size is None else size for size, extent in kept), count, 1)

    def infer(self, x: Type) -> Type:
        sizes = self.sizes(x)
        return Type((*x.shape[: x.rank - len(sizes)], *sizes), x.per_sample)

    def options(self) -> str:
        return f"size={self.size}"

    def notation(self, x: Type) -> Notation:
        return function(self.name, options=self.options())

    def expand(self, *inputs: Node) -> Node:
        (x,) = inputs
        sizes = self.sizes(x.type)
        along = tuple(zip(x.shape[x.type.rank - len(sizes) :], sizes, strict=True))
        with x.graph.derivation():
            if all(extent % size == 0 for extent, size in along):
                kernel = tuple(extent // size for extent, size in along)
                return MaxPool(kernel)(x) if self.name == "adaptive_max_pool" else AvgPool(kernel)(x)
            kept = (None,) * (x.type.rank - len(sizes))
            if self.name == "adaptive_avg_pool":
                return Resample((*kept, *(_means(*pair) for pair in along)), self.name)(x)
            windows = [_windows(*pair) for pair in along]
            laid = tuple(
                Rows(n, tuple((k,) for places in each for k in places))
                for (n, _), each in zip(along, windows, strict=True)
            )
            return MaxPool(tuple(len(each[0]) for each in windows))(Resample((*kept, *laid), "bins")(x))


def _bins(extent: int, size: int) -> list[range]:
    return [range(i * extent // size, -(-(i + 1) * extent // size)) for i in range(size)]


def _means(extent: int, size: int) -> Rows:
    """The matrix that takes the mean of each bin."""
    bins = _bins(extent, size)
    width = max(map(len, bins))
    places = tuple((*each, *(-1,) * (width - len(each))) for each in bins)
    return Rows(extent, places, tuple((1.0 / len(each),) * width for each in bins))


def _windows(extent: int, size: int) -> list[tuple[int, ...]]:
    """The places of each bin, made of one extent by repeating the last, which never wins over itself."""
    bins = _bins(extent, size)
    width = max(map(len, bins))
    return [(*each, *(each[-1],) * (width - len(each))) for each in bins]


@public
def adaptive_max_pool(x: Operand, size: int | tuple[int | None, ...]) -> Node:
    """The largest element of each of `size` windows along every axis but the first; window i is ⌊i S/O⌋ to ⌈(i+1) S/O⌉.

    size is one number, or one for each of the last axes, None to leave an axis as it is. The first of equal elements
    takes the gradient. Source: PyTorch's `adaptive_max_pool2d`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 3, 5, 7)
    ...     g.A = gg.adaptive_max_pool(x, (2, 3))
    >>> g.A.shape
    (3, 2, 3)
    """
    return AdaptivePool("adaptive_max_pool", _size("adaptive_max_pool", size))(x)


@public
def adaptive_avg_pool(x: Operand, size: int | tuple[int | None, ...]) -> Node:
    """The mean of each of `size` windows along every axis but the first; all else as in `adaptive_max_pool`.

    Source: PyTorch's `AdaptiveAvgPool`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 1, 3)
    ...     g.A = gg.adaptive_avg_pool(x, 2)
    >>> gg.compile(g, "A", target="numpy")(x=[[1.0, 3.0, 5.0]])["A"].tolist()
    [[2.0, 4.0]]
    """
    return AdaptivePool("adaptive_avg_pool", _size("adaptive_avg_pool", size))(x)


def _size(who: str, size: Any) -> int | tuple[int | None, ...]:
    if isinstance(size, tuple | list):
        return tuple(None if one is None else whole(who, "size", one) for one in size)
    return whole(who, "size", size)
