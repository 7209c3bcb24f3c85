"""Products of elements, w_k D_k (1 - D_k) W_{k,a}: what they are made of, how they are written, what they amount to."""

from __future__ import annotations

import itertools
import math
from collections.abc import Container, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from graphgrad.calculus import exact
from graphgrad.calculus.chain import Factor
from graphgrad.calculus.exact import At, place
from graphgrad.calculus.indices import element, element_of, position
from graphgrad.calculus.sketch import Sketch, enclosed, is_ones, juxtaposed, name_of
from graphgrad.graph import (
    ATOM,
    PRODUCT,
    SUM,
    ZERO,
    Axis,
    Index,
    Name,
    Node,
    Style,
    Type,
    ancestors,
)
from graphgrad.graph.names import script
from graphgrad.graph.notation import binding, fill, symbol
from graphgrad.ops import multiply
from graphgrad.ops.classes import LabelTargets
from graphgrad.ops.elementwise import Elementwise
from graphgrad.ops.extremes import Placed
from graphgrad.ops.reductions import Broadcast
from graphgrad.ops.softmax import Softmax
from graphgrad.ops.symbolic import sp

SUMMED = "kmpqrsuvijhfgcd"
"""The letters for indices that are summed over; n is that of the samples."""

Place = tuple[Index, ...]


class World(Protocol):
    """What the nodes' elements are taken to be: numbers, or expressions."""

    samples: int

    def array(self, node: Node) -> Any: ...
    def root(self, coefficient: Root) -> Any: ...
    def entry(self, coefficient: Entry) -> Any: ...


# -- what a product is made of -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """An element of a node."""

    node: Node
    place: Place

    def moved(self, places: Mapping[Axis, Index]) -> Reading:
        return replace(self, place=tuple(index.placed(places) for index in self.place))

    def value(self, world: World, sample: int, here: At) -> Any:
        array = world.array(self.node)
        return exact.element(array[sample, ...] if self.node.per_sample else array, self.place, here)

    def shown(self, letters: Mapping[Axis, str], style: Style) -> tuple[str, int]:
        shown = element_of(self.node, [position(index, letters) for index in self.place], style)
        return shown, SUM if shown.startswith(("-", "−")) else ATOM

    @property
    def size(self) -> int:
        return 1

    @property
    def nodes(self) -> list[Node]:
        return [self.node]


@dataclass(frozen=True)
class Root:
    """An element of a formula over names, such as D(1 - D)."""

    sketch: Sketch = field(compare=False)
    node: Node
    place: Place

    def moved(self, places: Mapping[Axis, Index]) -> Root:
        return replace(self, place=tuple(index.placed(places) for index in self.place))

    def value(self, world: World, sample: int, here: At) -> Any:
        array = world.root(self)
        return exact.element(array[sample, ...] if self.node.per_sample else array, self.place, here)

    def shown(self, letters: Mapping[Axis, str], style: Style) -> tuple[str, int]:
        return subscripted(self.sketch, self.node, self.place, letters, style)

    def below(self, node: Node) -> tuple[Node, ...]:
        """What a node of the formula is made of, down to the names."""
        return () if node in self.sketch.originals else node.inputs

    @property
    def nodes(self) -> list[Node]:
        originals = self.sketch.originals
        return [originals[node] for node in ancestors(self.node, operands=self.below) if node in originals]


@dataclass(frozen=True)
class Entry:
    """An element of the Jacobian of a factor, where it has no formula of elements."""

    factor: Factor
    place: Place
    operand: Place

    def moved(self, places: Mapping[Axis, Index]) -> Entry:
        return replace(
            self,
            place=tuple(index.placed(places) for index in self.place),
            operand=tuple(index.placed(places) for index in self.operand),
        )

    def value(self, world: World, sample: int, here: At) -> Any:
        array = world.entry(self)
        each = self.factor.of.per_sample or self.factor.wrt.per_sample
        return exact.element(array[sample, ...] if each else array, self.place + self.operand, here)

    def shown(self, letters: Mapping[Axis, str], style: Style) -> tuple[str, int]:
        of, wrt = (
            element(name_of(node), [position(index, letters) for index in where], style)
            for node, where in ((self.factor.of, self.place), (self.factor.wrt, self.operand))
        )
        if isinstance(self.factor.of.op, Softmax) and len(self.place) == 1:
            one, other = (position(where[0], letters) for where in (self.place, self.operand))
            same = rf"\left[{one} = {other}\right]" if style == "latex" else f"[{one} = {other}]"
            y = element(name_of(self.factor.of), [other], style)
            if self.factor.of.op.name == "softmax":
                return (rf"{of} \left({same} - {y}\right)" if style == "latex" else f"{of}({same} − {y})"), PRODUCT
            return (rf"\left({same} - e^{{{y}}}\right)" if style == "latex" else f"({same} − exp({y}))"), ATOM
        return (rf"\frac{{\partial {of}}}{{\partial {wrt}}}" if style == "latex" else f"∂{of}/∂{wrt}"), ATOM

    @property
    def nodes(self) -> list[Node]:
        return list(self.factor.of.inputs)


@dataclass(frozen=True)
class Number:
    """A number, or one over the number of samples."""

    latex: str
    unicode: str
    of_samples: bool = False
    number: float = 1.0

    def moved(self, places: Mapping[Axis, Index]) -> Number:
        return self

    def value(self, world: World, sample: int, here: At) -> Any:
        return sp.Rational(1, world.samples) if self.of_samples else exact.number(self.number)

    def shown(self, letters: Mapping[Axis, str], style: Style) -> tuple[str, int]:
        return (self.latex if style == "latex" else self.unicode), ATOM

    @property
    def nodes(self) -> list[Node]:
        return []


Coefficient = Reading | Root | Entry | Number


@dataclass(frozen=True)
class Product:
    """One product: what is multiplied, what is summed over, and which indices must be 0 or within a range."""

    coefficients: tuple[Coefficient, ...] = ()
    sums: tuple[Axis, ...] = ()
    zeros: tuple[Index, ...] = ()
    ranges: tuple[tuple[Index, int], ...] = ()
    over_samples: int | None = None  # the position among the coefficients from which on they are summed over samples

    def times(self, *coefficients: Coefficient) -> Product:
        return replace(self, coefficients=(*self.coefficients, *coefficients))

    def moved(self, places: Mapping[Axis, Index]) -> Product:
        return replace(
            self,
            coefficients=tuple(c.moved(places) for c in self.coefficients),
            sums=tuple(axis for axis in self.sums if axis not in places),
            zeros=tuple(index.placed(places) for index in self.zeros),
            ranges=tuple((index.placed(places), extent) for index, extent in self.ranges),
        )

    def where(self, index: Index, wanted: Index, extent: int) -> tuple[Product | None, dict[Axis, Index]]:
        """The product where an index has a value: an axis summed over is fixed by it, or it stays as a condition."""
        terms = dict(index.terms)
        for axis, factor in wanted.terms:
            terms[axis] = terms.get(axis, 0) - factor
        difference = Index(tuple((axis, f) for axis, f in terms.items() if f), index.offset - wanted.offset)
        if index.divisor != 1 or wanted.divisor != 1 or index.table:
            return replace(self, zeros=(*self.zeros, difference)), {}
        for axis, factor in difference.terms:
            if axis in self.sums and abs(factor) == 1:
                rest = tuple((other, -factor * f) for other, f in difference.terms if other != axis)
                solved = {axis: Index(rest, -factor * difference.offset)}
                if not solved[axis].stays_inside(axis.extent or 0):
                    limited = replace(self, ranges=(*self.ranges, (solved[axis], axis.extent or 0)))
                else:
                    limited = self
                return limited.moved(solved), solved
        if not difference.terms:
            return (self if difference.offset == 0 else None), {}
        return replace(self, zeros=(*self.zeros, difference)), {}


# -- writing -------------------------------------------------------------------------------------------------------


def subscripted(sketch: Sketch, node: Node, where: Place, letters: Mapping[Axis, str], style: Style) -> tuple[str, int]:
    """An element of a formula: the elements of its names, as far as it is elementwise."""
    if symbol(node, style) is not None or not node.inputs:
        shown = element_of(node, [position(index, letters) for index in where], style, sketch.originals.get(node))
        return shown, SUM if shown.startswith(("-", "−")) else ATOM
    if isinstance(node.op, LabelTargets) and where:
        label, _ = subscripted(sketch, node.inputs[0], where[1:], letters, style)
        own = position(where[0], letters)
        return (rf"\left[{label} = {own}\right]" if style == "latex" else f"[{label} = {own}]"), ATOM
    if isinstance(node.op, Broadcast) and not node.inputs[0].shape:
        return subscripted(sketch, node.inputs[0], (), letters, style)
    if isinstance(node.op, Placed) and is_ones(node.inputs[0]) and len(where) == 1 and not node.op.others:
        winner, own = juxtaposed(node.inputs[1], style), position(where[0], letters)
        return (rf"\left[{own} = {winner}\right]" if style == "latex" else f"[{own} = {winner}]"), ATOM
    if not isinstance(node.op, Elementwise):
        inner = juxtaposed(node, style)
        places = [position(index, letters) for index in where]
        return element(Name(rf"\left({inner}\right)", f"({inner})", "part"), places, style), ATOM
    scalars = Type(())
    notation = node.op.notation(*(scalars for _ in node.inputs))
    parts = [
        subscripted(sketch, operand, aligned(where, operand.shape, node.shape), letters, style)
        for operand in node.inputs
    ]
    if node.op is multiply:
        return side_by_side([enclosed(*part, PRODUCT, style) for part in parts], style), PRODUCT
    binds, asked = binding(notation, style, len(parts))
    return (
        fill(
            getattr(notation, style), [enclosed(*part, least, style) for part, least in zip(parts, asked, strict=True)]
        ),
        binds,
    )


def side_by_side(parts: list[str], style: Style) -> str:
    """Factors as they stand beside each other, with a sign between them only where a number would be misread."""
    joined = ""
    for part in parts:
        after_sum = joined.endswith(("n}", "ₙ")) or joined == "" or joined.rpartition(" ")[2].startswith((r"\sum", "Σ"))
        digit = part[:1].isdigit() and not after_sum
        if style == "latex":
            joined += (r" \cdot " if digit else " " if joined else "") + part
        else:
            beside = part.startswith("(") and not after_sum
            joined += part if beside or not joined else f" · {part}" if digit else f" {part}"
    return joined or "1"


def on_paper(product: Product, given: Mapping[Axis, str], taken: Container[str], style: Style) -> tuple[bool, str]:
    """Whether the product has a minus before it, and the rest of it; `given` are the letters that there are already."""
    free = iter([letter for letter in SUMMED if letter not in taken] + [f"k{n}" for n in range(99)])
    letters = dict(given)
    conditions = (*product.zeros, *(index for index, _ in product.ranges))
    constrained = {axis for index in conditions for axis, _ in index.terms}
    pending = list(product.sums)
    negative = False
    shown: list[str] = []

    def summed(axes: list[Axis]) -> None:
        for axis in axes:
            letters[axis] = next(free)
            pending.remove(axis)
        if axes:
            names = ",".join(letters[axis] for axis in axes)
            shown.append(rf"\sum_{{{names}}}" if style == "latex" else f"Σ{script('_', names.replace(',', ''))}")

    for k, coefficient in enumerate(product.coefficients):
        if product.over_samples == k:
            shown.append(r"\sum_{n}" if style == "latex" else "Σₙ")
        if isinstance(coefficient, Number) and coefficient.number == -1:
            negative = not negative
            continue
        summed([axis for axis in pending if axis in axes_in(coefficient)])
        part, binds = coefficient.shown(letters, style)
        loose = binds < PRODUCT or part.startswith(("-", "−")) or (style == "unicode" and " / " in part)
        shown.append(enclosed(part, SUM if loose else ATOM, PRODUCT, style))
    if product.over_samples == len(product.coefficients):
        shown.append(r"\sum_{n}" if style == "latex" else "Σₙ")
    summed([axis for axis in pending if axis in constrained])
    shown += [_condition(index, letters, style) for index in product.zeros]
    shown += [_range(index, extent, letters, style) for index, extent in product.ranges]
    if (count := math.prod(axis.extent or 1 for axis in pending)) != 1:
        shown.insert(0, str(count))
    return negative, side_by_side(shown, style)


def aligned(where: Place, shape: tuple[int, ...], own: tuple[int, ...]) -> Place:
    """Where an operand that is broadcast is read."""
    last = where[len(where) - len(shape) :]
    sizes = own[len(own) - len(shape) :]
    return tuple(ZERO if n == 1 and m != 1 else index for index, n, m in zip(last, shape, sizes, strict=True))


def axes_in(coefficient: Coefficient) -> set[Axis]:
    if isinstance(coefficient, Number):
        return set()
    where = coefficient.place + (coefficient.operand if isinstance(coefficient, Entry) else ())
    return {axis for index in where for axis, _ in index.terms}


def _condition(index: Index, letters: Mapping[Axis, str], style: Style) -> str:
    left = Index(tuple(term for term in index.terms if term[1] > 0), max(index.offset, 0))
    right = Index(tuple((axis, -f) for axis, f in index.terms if f < 0), max(-index.offset, 0))
    shown = f"{position(left, letters)} = {position(right, letters)}"
    return rf"\left[{shown}\right]" if style == "latex" else f"[{shown}]"


def _range(index: Index, extent: int, letters: Mapping[Axis, str], style: Style) -> str:
    shown = position(index, letters)
    return rf"\left[0 \le {shown} < {extent}\right]" if style == "latex" else f"[0 ≤ {shown} < {extent}]"


def product_value(product: Product, world: World, sample: int) -> Any:
    samples = range(world.samples) if product.over_samples is not None else (sample,)
    split = product.over_samples or 0
    total = []
    for running in itertools.product(*(range(axis.extent or 1) for axis in product.sums)):
        here = dict(zip(product.sums, running, strict=True))
        if any(place(replace(index, divisor=1), here) for index in product.zeros):
            continue
        if not all(0 <= place(index, here) < extent for index, extent in product.ranges):
            continue
        before = [c.value(world, sample, here) for c in product.coefficients[:split]]
        each = [math.prod((c.value(world, n, here) for c in product.coefficients[split:]), start=1) for n in samples]
        total.append(math.prod(before, start=1) * added(each))
    return added(total)


def added(parts: list[Any]) -> Any:
    if any(isinstance(part, sp.Basic) for part in parts):
        return sp.Add(*parts)
    return math.fsum(parts)
