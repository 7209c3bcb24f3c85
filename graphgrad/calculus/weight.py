"""The gradient of one scalar weight as a formula: ∂l/∂W_{a,b} = (y-t) Σ_k w_k D_k(1-D_k) W_{k,a} B_a(1-B_a) x_b.

The chain of factors is followed element by element. Each factor gives what it is multiplied by and where the next node
is read; an index that no factor fixes is summed over.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from graphgrad.calculus import exact
from graphgrad.calculus.chain import Chain, Factor, chain
from graphgrad.calculus.exact import At, place
from graphgrad.calculus.indices import element, element_of, position
from graphgrad.calculus.jacobian import Values, accumulated, bound, rule_of
from graphgrad.calculus.local import continued, partial
from graphgrad.calculus.sketch import Sketch, Step, enclosed, juxtaposed, name_of
from graphgrad.graph import (
    ATOM,
    PRODUCT,
    SUM,
    ZERO,
    Axis,
    Formula,
    GradientError,
    Index,
    Leaf,
    Name,
    Node,
    Style,
    Type,
    ancestors,
    at,
    number,
    written,
)
from graphgrad.graph.names import _script as script
from graphgrad.graph.notation import binding, fill, symbol
from graphgrad.ops import multiply
from graphgrad.ops.batch import BatchReduce, BatchSpread
from graphgrad.ops.classes import LabelTargets
from graphgrad.ops.elementwise import Elementwise
from graphgrad.ops.reference import evaluate
from graphgrad.ops.symbolic import sp

MOST_OPERATIONS = 10_000
"""How many operations a formula written out in inputs and weights may have."""

MOST_PRODUCTS = 200_000
"""How many products the sums of a formula may run over, to be given a number."""

SUMMED = "kmpqrsuvijhnoefgc"
GIVEN = "abcdefgh"

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
        return _subscripted(self.sketch, self.node, self.place, letters, style)

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


# -- following a chain ---------------------------------------------------------------------------------------------


class _Walk:
    """All products that the terms of a chain are, element by element."""

    def __init__(self, whole: Chain) -> None:
        self.whole = whole
        self.fresh = itertools.count()
        self.steps: list[Step] = []

    def products(self) -> Iterator[tuple[Product, Place]]:
        for term in self.whole.terms:
            pending: list[tuple[Product, Place]] = [(Product(), ())]
            skip = False
            for k, factor in enumerate(term):
                if skip:
                    skip = False
                    continue
                merged = self._merged(factor, term[k + 1]) if k + 1 < len(term) else None
                if merged is not None:
                    skip = True
                    pending = [self._at_root(p, w, term[k + 1], *merged) for p, w in pending]
                else:
                    pending = [step for product, where in pending for step in self._step(product, where, factor)]
            yield from pending

    def _merged(self, first: Factor, second: Factor) -> tuple[Sketch, Node, bool] | None:
        """Two factors as one formula, where an identity makes it simpler."""
        a, b = first.jacobian, second.jacobian
        if a is None or b is None or len(a.positions) + len(b.positions) > 2:
            return None
        diagonal = a.structure == b.structure == "diagonal"
        if (first.of.shape and not diagonal) or isinstance(first.of.op, BatchReduce | BatchSpread):
            return None
        if isinstance(second.of.op, BatchReduce | BatchSpread):
            return None
        sketch = Sketch()
        gradient = continued(sketch, first.of, a.positions[0], None)
        before = len(sketch.steps)
        root = None if gradient is None else continued(sketch, second.of, b.positions[0], gradient)
        steps = [step for step in sketch.steps[before:] if step.phase == "stabilise"]
        if root is None or not steps or root.shape not in ((), second.wrt.shape):
            return None
        self.steps += steps
        return sketch, root, diagonal

    def _at_root(
        self, product: Product, where: Place, second: Factor, sketch: Sketch, root: Node, diagonal: bool
    ) -> tuple[Product, Place]:
        if not diagonal:
            product, where = self._summed(product, second.wrt.shape)
        return product.times(Root(sketch, root, where if root.shape else ())), where

    def _summed(self, product: Product, shape: tuple[int, ...]) -> tuple[Product, Place]:
        """An index of its own for each axis of a shape, to be summed over."""
        axes = tuple(Axis(f"#{next(self.fresh)}", extent) for extent in shape)
        return replace(product, sums=(*product.sums, *axes)), at(*axes)

    def _step(self, product: Product, where: Place, factor: Factor) -> list[tuple[Product, Place]]:
        node = factor.of
        if factor.jacobian is None or factor.jacobian.crosses:
            product, inner = self._summed(self._gathered(product, factor), factor.wrt.shape)
            return [(product.times(Entry(factor, where, inner)), inner)]
        if isinstance(node.op, BatchReduce | BatchSpread):
            if node.op.name == "batch_mean":
                product = product.times(Number(r"\frac{1}{N}", "1/N", of_samples=True))
            return [(self._gathered(product, factor), where)]
        found = []
        for number_ in factor.jacobian.positions:
            taken = self._along(product, where, factor, number_)
            if taken is not None:
                found.append(taken)
        return found

    def _gathered(self, product: Product, factor: Factor) -> Product:
        if not factor.over_samples:
            return product
        if product.over_samples is not None:
            raise GradientError(
                f"{self.whole.of.text()}: its way to {written(self.whole.wrt)} leads through the batch twice, which no "
                "one formula of elements says; gg.equations has its lines"
            )
        return replace(product, over_samples=len(product.coefficients))

    def _along(self, product: Product, where: Place, factor: Factor, number_: int) -> tuple[Product, Place] | None:
        node, operand = factor.of, factor.wrt
        formula = _formula(node)
        if isinstance(node.op, Elementwise):
            sketch = Sketch()
            root = partial(sketch, node, number_)
            if root is None:
                return None
            here = dict(zip(_axes(formula), where, strict=True))
            inner = tuple(index.placed(here) for index in _read(formula, number_))
            return product.times(*_without_one(Root(sketch, root, _aligned(where, root.shape, node.shape)))), inner
        if formula is not None and formula.body is None and formula.reduction in (None, "sum") and not formula.outside:
            return self._of_products(product, where, node, number_, formula)
        if not node.shape and not isinstance(node.op, Elementwise):
            sketch = Sketch()
            root = partial(sketch, node, number_)
            if root is not None and root.shape in ((), operand.shape):
                product, inner = self._summed(product, operand.shape)
                return product.times(*_without_one(Root(sketch, root, inner if root.shape else ()))), inner
        product, inner = self._summed(product, operand.shape)
        return product.times(Entry(factor, where, inner)), inner

    def _of_products(
        self, product: Product, where: Place, node: Node, number_: int, formula: Formula
    ) -> tuple[Product, Place] | None:
        """Through a sum of products: the other operands are read, and so is this one."""
        if formula.chosen is not None and number_ == len(node.inputs) - 1:
            return None
        product, inner = self._summed(product, tuple(axis.extent or 1 for axis in formula.over))
        here = {**dict(zip(formula.axes, where, strict=True)), **dict(zip(formula.over, inner, strict=True))}
        reads = [tuple(index.placed(here) for index in read) for read in formula.reads]
        others = [
            Reading(operand, read)
            for k, (operand, read) in enumerate(zip(node.inputs, reads, strict=True))
            if k != number_ and not (formula.chosen is not None and k == len(node.inputs) - 1)
        ]
        if formula.weights or formula.chosen is not None or formula.within:
            raise GradientError(f"{node.text()}: the elements that it picks have no formula in indices")
        product = product.times(*others)
        operand = node.inputs[number_]
        if len(reads[number_]) == operand.type.rank:
            return product, reads[number_]
        product, own = self._summed(product, operand.shape)  # by the elements in order
        strides = [math.prod(operand.shape[axis + 1 :]) for axis in range(operand.type.rank)]
        flat = Index(tuple((index.terms[0][0], stride) for index, stride in zip(own, strides, strict=True)))
        fixed, solved = product.where(reads[number_][0], flat, operand.type.size)
        return None if fixed is None else (fixed, tuple(index.placed(solved) for index in own))


def _formula(node: Node) -> Formula | None:
    if node.graph.expansion(node) is not None:
        return None
    try:
        found: Formula = node.op.formula(*(operand.type for operand in node.inputs))
    except TypeError:
        return None
    return found


def _axes(formula: Formula | None) -> tuple[Axis, ...]:
    assert formula is not None
    return formula.axes


def _read(formula: Formula | None, number_: int) -> Place:
    assert formula is not None
    return formula.reads[number_]


def _aligned(where: Place, shape: tuple[int, ...], own: tuple[int, ...]) -> Place:
    """Where an operand that is broadcast is read."""
    last = where[len(where) - len(shape) :]
    sizes = own[len(own) - len(shape) :]
    return tuple(ZERO if n == 1 and m != 1 else index for index, n, m in zip(last, shape, sizes, strict=True))


def _without_one(root: Root) -> tuple[Coefficient, ...]:
    node = root.node
    if node.kind == "constant" and type(node.op) is Leaf and node.name is None:
        value = node.op.value
        return () if value == 1 else (Number(number(value, "latex"), number(value, "unicode"), number=value),)
    return (root,)


# -- writing -------------------------------------------------------------------------------------------------------


def _subscripted(
    sketch: Sketch, node: Node, where: Place, letters: Mapping[Axis, str], style: Style
) -> tuple[str, int]:
    """An element of a formula: the elements of its names, as far as it is elementwise."""
    if symbol(node, style) is not None or not node.inputs:
        shown = element_of(node, [position(index, letters) for index in where], style, sketch.originals.get(node))
        return shown, SUM if shown.startswith(("-", "−")) else ATOM
    if isinstance(node.op, LabelTargets) and where:
        label, _ = _subscripted(sketch, node.inputs[0], where[1:], letters, style)
        own = position(where[0], letters)
        return (rf"\left[{label} = {own}\right]" if style == "latex" else f"[{label} = {own}]"), ATOM
    if not isinstance(node.op, Elementwise):
        inner = juxtaposed(node, style)
        places = [position(index, letters) for index in where]
        return element(Name(rf"\left({inner}\right)", f"({inner})", "part"), places, style), ATOM
    scalars = Type(())
    notation = node.op.notation(*(scalars for _ in node.inputs))
    parts = [
        _subscripted(sketch, operand, _aligned(where, operand.shape, node.shape), letters, style)
        for operand in node.inputs
    ]
    if node.op is multiply:
        return _side_by_side([enclosed(*part, PRODUCT, style) for part in parts], style), PRODUCT
    binds, asked = binding(notation, style, len(parts))
    return (
        fill(
            getattr(notation, style), [enclosed(*part, least, style) for part, least in zip(parts, asked, strict=True)]
        ),
        binds,
    )


def _side_by_side(parts: list[str], style: Style) -> str:
    joined = parts[0] if parts else "1"
    for part in parts[1:]:
        if style == "latex":
            joined += (r" \cdot " if part[:1].isdigit() else " ") + part
        else:
            joined += part if part.startswith("(") else f" {part}" if not part[:1].isdigit() else f" · {part}"
    return joined


@dataclass(frozen=True)
class WeightGradient:
    """∂of/∂W_{a,b} as a formula of one scalar; shows itself. `steps` are the simplifications on the way."""

    of: Node
    wrt: Node
    position: tuple[int | str, ...]
    products: tuple[Product, ...]
    steps: tuple[Step, ...]

    def latex(self) -> str:
        r"""The formula in TeX, with the nodes by their names."""
        return f"{self._left('latex')} = {self._right('latex')}"

    def text(self) -> str:
        """The formula in Unicode."""
        return f"{self._left('unicode')} = {self._right('unicode')}"

    def _left(self, style: Style) -> str:
        label = element(name_of(self.wrt), list(map(str, self.position)), style)
        of = written(self.of, style)
        return rf"\frac{{\partial {of}}}{{\partial {label}}}" if style == "latex" else f"∂{of}/∂{label}"

    def _right(self, style: Style) -> str:
        return " + ".join(self._product(product, style) for product in self.products) or "0"

    def _product(self, product: Product, style: Style) -> str:
        taken = {str(one) for one in self.position} | {node.op.name for node in self.of.graph.inputs}
        free = iter([letter for letter in SUMMED if letter not in taken] + [f"k{n}" for n in range(99)])
        letters: dict[Axis, str] = {axis: axis.name for axis in self._given()}
        pending = list(product.sums)
        shown: list[str] = []
        for k, coefficient in enumerate((*product.coefficients, None)):
            if product.over_samples == k:
                shown.append(r"\sum_{n}" if style == "latex" else "Σₙ")
            if coefficient is None:
                continue
            used = [axis for axis in pending if axis in _axes_in(coefficient)]
            for axis in used:
                letters[axis] = next(free)
                pending.remove(axis)
            if used:
                names = ",".join(letters[axis] for axis in used)
                shown.append(rf"\sum_{{{names}}}" if style == "latex" else f"Σ{script('_', names.replace(',', ''))}")
            shown.append(enclosed(*coefficient.shown(letters, style), PRODUCT, style))
        for axis in pending:
            letters[axis] = next(free)
            shown.insert(0, rf"\sum_{{{letters[axis]}}}" if style == "latex" else f"Σ{script('_', letters[axis])}")
        shown += [_condition(index, letters, style) for index in product.zeros]
        shown += [_range(index, extent, letters, style) for index, extent in product.ranges]
        return _side_by_side(shown, style)

    def _given(self) -> tuple[Axis, ...]:
        return _given(self.wrt, self.position)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<{self.text()}>"

    # -- numbers and expressions ---------------------------------------------------------------------------------

    def value(self, arrays: Mapping[Any, object] | None = None, /, **named: object) -> float | np.ndarray[Any, Any]:
        """The number of the formula for these arrays: one for each sample where `of` has one for each, else one."""
        order = ancestors(self.of)
        given, samples, single = bound(order, {**(arrays or {}), **named})
        world = _Floats(evaluate(order, given, samples), samples or 1)
        totals = np.array([float(total) for total in self._totals(world)])
        return totals if self.of.per_sample and not single else float(totals[0])

    def exact(
        self, arrays: Mapping[Any, object] | None = None, /, *, digits: int = 30, names: bool = True, **named: object
    ) -> Any:
        """The formula by SymPy to so many digits, for one sample or what all samples share.

        With `names` that of the nodes by their names; without, that written out in inputs and weights, whose symbols
        then take the numbers.
        """
        order = ancestors(self.of)
        given, samples, _ = bound(order, {**(arrays or {}), **named})
        many = samples or 1
        numbers = {node: exact.of_numbers(array, digits + 15) for node, array in given.items()}
        if names:
            return self._sympy(_Expressions(exact.evaluate(order, numbers, many), many)).evalf(digits)
        symbols = _symbols(list(numbers), many)
        taken = {
            symbol_: numbers[node][where] for node, array in symbols.items() for where, symbol_ in np.ndenumerate(array)
        }
        return self.sympy(samples=many).xreplace(taken).evalf(digits)

    def sympy(self, *, names: bool = False, samples: int = 1) -> Any:
        """The formula as one SymPy expression: written out in inputs and weights, or with the nodes by their `names`.

        For what sums over the samples, of so many samples. Raises GradientError where the formula written out has more
        than 10,000 operations, or depends on which element is the largest.
        """
        order = ancestors(self.of)
        self._concrete("a formula")
        if names:
            return self._sympy(_Expressions(_symbols([n for n in order if n.kind != "constant"], samples), samples))
        if (count := self._operations(samples)) > MOST_OPERATIONS:
            raise GradientError(
                f"{self._left('unicode')} written out in inputs and weights has about {count:,} operations, and at most "
                f"{MOST_OPERATIONS:,} are written: the formula with the names of the nodes stands"
            )
        leaves = _symbols([node for node in order if node.kind in ("input", "parameter")], samples)
        return self._sympy(_Expressions(exact.evaluate(self._needed(), leaves, samples), samples))

    def _needed(self) -> list[Node]:
        return list(dict.fromkeys(node for p in self.products for c in p.coefficients for node in c.nodes))

    def _sympy(self, world: _Expressions) -> Any:
        return next(iter(self._totals(world)))

    def _concrete(self, what: str) -> None:
        if any(isinstance(one, str) for one in self.position):
            raise GradientError(
                f"{self._left('unicode')} is that of any element: {what} of one is asked for by its numbers, as in "
                f"one_weight(of, {written(self.wrt)}, {', '.join('0' for _ in self.wrt.shape)})"
            )

    def _totals(self, world: World) -> Iterator[Any]:
        """The sum of the products, for each sample where `of` has a value for each."""
        self._concrete("the number")
        count = sum(math.prod(axis.extent or 1 for axis in product.sums) for product in self.products) * world.samples
        if count > MOST_PRODUCTS:
            raise GradientError(
                f"{self._left('unicode')} is a sum of {count:,} products, and at most {MOST_PRODUCTS:,} are added up one "
                "by one: the compiled gradient has its number"
            )
        for sample in range(world.samples if self.of.per_sample else 1):
            yield _added([_product_value(product, world, sample) for product in self.products])

    def _operations(self, samples: int) -> int:
        """About how many operations the formula written out has."""
        sizes: dict[Node, int] = {}
        for node in ancestors(*self._needed()):
            sizes[node] = _size(node, sizes)
        total = 0
        for product in self.products:
            each = 0
            for coefficient in product.coefficients:
                if isinstance(coefficient, Root):
                    own = {copy: sizes[node] for copy, node in coefficient.sketch.originals.items() if node in sizes}
                    for node in ancestors(coefficient.node, operands=coefficient.below):
                        own.setdefault(node, 0)
                        own[node] = own[node] or _size(node, own)
                    each += own[coefficient.node]
                else:
                    each += 1 + sum(sizes[node] for node in coefficient.nodes)
            many = samples if product.over_samples is not None else 1
            total += many * each * math.prod(axis.extent or 1 for axis in product.sums)
        return total


def one_weight(of: Node, wrt: Node, *position: int) -> WeightGradient:
    """The gradient of one scalar of a parameter (or of any node) as a formula; its position is counted from 0.

    Without a position, the formula of any element, with the letters a, b, ... for its indices.

    Raises GradientError where `of` is no scalar or does not depend on `wrt`, and for a position that is out of range.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, t, W, w = gg.input("x", 2), gg.input("t"), gg.param("W", 3, 2), gg.param("w", 3)
    ...     g.A = W @ x
    ...     g.B = gg.sigmoid(g.A)
    ...     g.E = w @ g.B
    ...     g.y = gg.sigmoid(g.E)
    ...     g.l = gg.binary_cross_entropy(g.y, t)
    >>> print(gg.one_weight(g.l, W, 2, 1))
    ∂l/∂W₂₁ = (y − t) w₂ B₂(1 − B₂) x₁
    """
    for node in (of, wrt):
        if not isinstance(node, Node):
            raise GradientError(f"one_weight takes two nodes of a graph and a position, not {node!r}")
    if of.shape:
        raise GradientError(f"{written(of)} has the shape {of.type}: the gradient of one weight is that of a scalar")
    _checked(wrt, position)
    whole = chain(of, wrt)
    walk = _Walk(whole)
    names: tuple[int | str, ...] = position or tuple(GIVEN[: wrt.type.rank])
    given = iter(_given(wrt, names))
    wanted = tuple(Index((), one) if isinstance(one, int) else at(next(given))[0] for one in names)
    products = []
    for product, where in walk.products():
        fixed: Product | None = product
        read = where
        for index, value, extent in zip(range(len(read)), wanted, wrt.shape, strict=True):
            if fixed is not None:
                fixed, solved = fixed.where(read[index], value, extent)
                read = tuple(other.placed(solved) for other in read)
        if fixed is not None:
            products.append(fixed)
    return WeightGradient(of, wrt, names, tuple(products), tuple(dict.fromkeys(walk.steps)))


def _given(wrt: Node, position: tuple[int | str, ...]) -> tuple[Axis, ...]:
    pairs = zip(position, wrt.shape, strict=True)
    return tuple(Axis(one, extent) for one, extent in pairs if isinstance(one, str))


def _checked(wrt: Node, position: tuple[int, ...]) -> None:
    if not position:
        return
    if len(position) != wrt.type.rank:
        raise GradientError(
            f"{written(wrt)} has {wrt.type.rank} ax{'i' if wrt.type.rank == 1 else 'e'}s, and the position {position} "
            f"has {len(position)}"
        )
    for axis, (one, extent) in enumerate(zip(position, wrt.shape, strict=True)):
        if not isinstance(one, int | np.integer) or isinstance(one, bool) or not 0 <= one < extent:
            raise GradientError(
                f"the position {one!r} is out of range: {written(wrt)} is {wrt.type}, so along axis {axis} it goes from 0 "
                f"to {extent - 1}"
            )


def _axes_in(coefficient: Coefficient) -> set[Axis]:
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


def _product_value(product: Product, world: World, sample: int) -> Any:
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
        total.append(math.prod(before, start=1) * _added(each))
    return _added(total)


def _added(parts: list[Any]) -> Any:
    if any(isinstance(part, sp.Basic) for part in parts):
        return sp.Add(*parts)
    return math.fsum(parts)


def _size(node: Node, sizes: Mapping[Node, int]) -> int:
    """About how many operations an element has, from those of its operands."""
    if not node.inputs:
        return 1
    operands = sum(sizes[operand] for operand in node.inputs)
    if isinstance(node.op, Elementwise):
        expression = node.op.expression
        uses = sum(
            expression.count(symbol_) * sizes[operand]
            for symbol_, operand in zip(node.op.symbols, node.inputs, strict=True)
        )
        return int(sp.count_ops(expression) + uses)
    formula = _formula(node)
    if formula is None:
        return 2 + max(operand.type.size for operand in node.inputs) * operands
    return (1 + operands) * math.prod((axis.extent or 1 for axis in formula.over), start=1)


# -- what the elements are -----------------------------------------------------------------------------------------


class _Floats:
    """Elements are floating-point numbers."""

    def __init__(self, values: Values, samples: int) -> None:
        self.values, self.samples = values, samples
        self._roots: dict[int, Any] = {}
        self._entries: dict[Factor, Any] = {}

    def array(self, node: Node) -> Any:
        return self.values[node]

    def root(self, coefficient: Root) -> Any:
        key = id(coefficient.node)
        if key not in self._roots:
            originals = coefficient.sketch.originals
            known = {copy: self.values[node] for copy, node in originals.items() if node in self.values}
            self._roots[key] = evaluate([coefficient.node], known, self.samples)[coefficient.node]
        return self._roots[key]

    def entry(self, coefficient: Entry) -> Any:
        factor = coefficient.factor
        if factor not in self._entries:
            found = (
                factor.jacobian.numbers(self.values, self.samples)
                if factor.jacobian is not None
                else accumulated(factor.of, factor.wrt, self.values, self.samples)
            )
            each = factor.of.per_sample or factor.wrt.per_sample
            self._entries[factor] = found.reshape(
                *((self.samples,) if each else ()), *factor.of.shape, *factor.wrt.shape
            )
        return self._entries[factor]


class _Expressions:
    """Elements are SymPy expressions."""

    def __init__(self, values: Mapping[Node, Any], samples: int) -> None:
        self.values, self.samples = values, samples
        self._roots: dict[int, Any] = {}
        self._entries: dict[Factor, Any] = {}

    def array(self, node: Node) -> Any:
        if node.kind == "constant":
            return exact.evaluate([node], {}, self.samples)[node]
        return self.values[node]

    def root(self, coefficient: Root) -> Any:
        key = id(coefficient.node)
        if key not in self._roots:
            originals = coefficient.sketch.originals
            known = {copy: self.values[node] for copy, node in originals.items() if node in self.values}
            self._roots[key] = exact.evaluate([coefficient.node], known, self.samples)[coefficient.node]
        return self._roots[key]

    def entry(self, coefficient: Entry) -> Any:
        factor = coefficient.factor
        if factor not in self._entries:
            self._entries[factor] = self._entry(factor)
        return self._entries[factor]

    def _entry(self, factor: Factor) -> Any:
        jacobian = factor.jacobian
        if jacobian is None or jacobian.crosses:
            raise GradientError(
                f"{factor.text()} stands for {factor.paths:,} paths, which are not written out one by one: the number of "
                "the formula is in .value"
            )
        rule = rule_of(jacobian)
        each = factor.of.per_sample or factor.wrt.per_sample
        many = self.samples if each else 1
        result = np.empty((many, *factor.of.shape, *factor.wrt.shape), object)
        for n in range(many):
            operands = {
                leaf: self._one(operand, n) for leaf, operand in zip(rule.operands, factor.of.inputs, strict=True)
            }
            for row in np.ndindex(*factor.of.shape):
                seed = exact.of_numbers(np.zeros((1, *factor.of.shape)), 15)
                seed[...] = sp.Integer(0)
                seed[0, *row] = sp.Integer(1)
                total: Any = 0
                for where in jacobian.positions:
                    gradient = rule.gradients[where]
                    if gradient is not None:
                        found = exact.evaluate([gradient], {**operands, rule.seed: seed}, 1)[gradient]
                        total = total + (found[0, ...] if gradient.per_sample else found)
                result[(n, *row)] = total if factor.wrt.shape else np.asarray(total, object)[()]
        return result if each else result[0]

    def _one(self, node: Node, sample: int) -> Any:
        array = self.array(node)
        one = array[sample, ...] if node.per_sample else array
        result = np.empty((1, *node.shape), object)
        result[0, ...] = one
        return result


def _symbols(nodes: list[Node], samples: int) -> dict[Node, Any]:
    """A symbol for each element of each node, by the node's name; with the number of the sample where there are several."""
    found: dict[Node, Any] = {}
    for node in nodes:
        label = name_of(node)
        array = np.empty(((samples,) if node.per_sample else ()) + node.shape, object)
        for where in np.ndindex(*array.shape):
            inner = where[1:] if node.per_sample else where
            shown = element(label, list(map(str, inner)), "latex")
            if node.per_sample and samples > 1:
                shown = rf"\left({shown}\right)_{{n={where[0]}}}"
            array[where] = sp.Symbol(shown, real=True)
        found[node] = array
    return found


__all__ = ["WeightGradient", "one_weight"]
