"""The product of the elements along axes, and the product of all others, which is its gradient also where one is 0."""

from __future__ import annotations

from dataclasses import dataclass

from graphgrad.graph import POWER, PRODUCT, Formula, Node, NoGradient, Notation, Type, at, function, public
from graphgrad.ops.elementwise import times
from graphgrad.ops.reductions import Axes, OverAxes, as_written, broadcast_to
from graphgrad.ops.slices import Slice, concatenate


@dataclass(frozen=True)
class Product(OverAxes):
    """The product over axes."""

    name: str = "prod"

    def notation(self, a: Type) -> Notation:
        plain = function(self.name, options=self.options())
        return plain if self.options() else Notation(r"\prod {0}", "Π {0}", plain.text, PRODUCT, (POWER,))

    def formula(self, a: Type) -> Formula:
        every, out, over = self.loops(a)
        return Formula(out, (at(*every),), over, "prod")

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        (a,) = inputs
        new = () if self.keepdims else self.axes(a.type)
        return (times(broadcast_to(gradient, a.shape, new), Others(axis=self.axes(a.type))(a)),)


@dataclass(frozen=True)
class Others(OverAxes):
    """For each element the product of all others along the axes, without a division."""

    name: str = "others"

    def infer(self, a: Type) -> Type:
        return a

    def notation(self, a: Type) -> Notation:
        return Notation(r"\prod_{j \neq i} {0}_j", "Π_{j≠i} {0}ⱼ", "others({0})", PRODUCT, (POWER,))

    @property
    def unfolds(self) -> bool:
        return True

    def expand(self, *inputs: Node) -> Node:
        (a,) = inputs
        with a.graph.derivation():
            result, rest = None, a
            for axis in self.axes(a.type):
                along = _others_along(rest, axis)
                result = along if result is None else along * result
                rest = Product(axis=axis, keepdims=True)(rest)
            return a * 0 + 1 if result is None else result


def _others_along(a: Node, axis: int) -> Node:
    """The product of all others along one axis: within each pair the other one, times the product of the other pairs.

    The pairs are those of the first and the second half; their products are an array of half the extent, of which the
    same is asked.
    """
    if (extent := a.shape[axis]) == 1:
        return a**0
    half = extent // 2

    def part(of: Node, start: int, stop: int) -> Node:
        return Slice((*((None, None, None),) * axis, (start, stop, None)))(of)

    first, second = part(a, 0, half), part(a, half, 2 * half)
    if extent == 2:
        return concatenate(second, first, axis=axis)
    single = [part(a, 2 * half, extent)] if extent % 2 else []
    others = _others_along(concatenate(first * second, *single, axis=axis), axis)
    pairs = part(others, 0, half)
    return concatenate(pairs * second, pairs * first, *(part(others, half, half + 1) for _ in single), axis=axis)


@public
def prod(a: Node, axis: Axes = None, keepdims: bool = False) -> Node:
    """The product along axes of one sample, y = Πᵢ aᵢ; `axis` None takes all, negative axes count from the end.

    The gradient of an element is the product of all others, computed without a division, so that it is right where
    elements are 0, to every order. Raises ShapeError for an axis out of range. Source: NumPy's `prod`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 3)
    ...     g.A = gg.prod(x)
    >>> gg.compile(g, "A", wrt="x", target="numpy")(x=[2.0, 0.0, 5.0]).grad["x"].tolist()
    [0.0, 10.0, 0.0]
    """
    return Product(axis=as_written(axis), keepdims=bool(keepdims))(a)


__all__ = ["Others", "Product", "prod"]
