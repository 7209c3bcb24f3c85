"""The gradient of one scalar weight as a formula: ∂l/∂W_{a,b} = (y-t) Σ_k w_k D_k(1-D_k) W_{k,a} B_a(1-B_a) x_b."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphgrad.calculus import exact
from graphgrad.calculus.chain import chain
from graphgrad.calculus.elements import Walk, plain_formula
from graphgrad.calculus.indices import element
from graphgrad.calculus.jacobian import bound
from graphgrad.calculus.products import Product, Root, World, added, on_paper, product_value, side_by_side
from graphgrad.calculus.sketch import Step, name_of
from graphgrad.calculus.worlds import Expressions, Floats, symbols
from graphgrad.graph import (
    Axis,
    Formulated,
    GradientError,
    Index,
    Node,
    Style,
    ancestors,
    at,
    written,
)
from graphgrad.ops.elementwise import Elementwise
from graphgrad.ops.reference import evaluate
from graphgrad.ops.symbolic import sp

MOST_OPERATIONS = 10_000
"""How many operations a formula written out in inputs and weights may have."""

MOST_PRODUCTS = 200_000
"""How many products the sums of a formula may run over, to be given a number."""

GIVEN = "abcdefgh"
"""The letters for the indices of any element."""


@dataclass(frozen=True)
class WeightGradient(Formulated):
    """∂of/∂W_{a,b} as a formula of one scalar; shows itself. `steps` are the simplifications on the way.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, W = gg.input("x", 2), gg.param("W", 3, 2)
    ...     g.A = W @ x
    ...     g.l = gg.sum(gg.square(g.A))
    >>> print(gg.one_weight(g.l, W, 1, 0))
    ∂l/∂W₁₀ = 2 A₁ x₀
    """

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
        taken = {str(one) for one in self.position} | {node.op.name for node in self.of.graph.inputs}
        given = {axis: axis.name for axis in _given(self.wrt, self.position)}
        alike = Counter(on_paper(product, given, taken, style) for product in self.products)
        shown = ""
        for (negative, formula), count in alike.items():
            sign = ("-" if style == "latex" else "−") if negative else "+"
            lead = f" {sign} " if shown else sign.replace("+", "")
            shown += lead + (formula if count == 1 else side_by_side([str(count), formula], style))
        return shown or "0"

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<{self.text()}>"

    # -- numbers and expressions ---------------------------------------------------------------------------------

    def value(self, arrays: Mapping[Any, object] | None = None, /, **named: object) -> float | np.ndarray[Any, Any]:
        """The number of the formula for these arrays: one for each sample where `of` has one for each, else one."""
        order = ancestors(self.of)
        given, samples, single = bound(order, {**(arrays or {}), **named})
        world = Floats(evaluate(order, given, samples), samples or 1)
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
            return self._sympy(Expressions(exact.evaluate(order, numbers, many), many)).evalf(digits)
        known = symbols(list(numbers), many)
        taken = {
            symbol_: numbers[node][where] for node, array in known.items() for where, symbol_ in np.ndenumerate(array)
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
            return self._sympy(Expressions(symbols([n for n in order if n.kind != "constant"], samples), samples))
        if (count := self._operations(samples)) > MOST_OPERATIONS:
            raise GradientError(
                f"{self._left('unicode')} written out in inputs and weights has about {count:,} operations, and at most "
                f"{MOST_OPERATIONS:,} are written: the formula with the names of the nodes stands"
            )
        leaves = symbols([node for node in order if node.kind in ("input", "parameter")], samples)
        return self._sympy(Expressions(exact.evaluate(self._needed(), leaves, samples), samples))

    def _needed(self) -> list[Node]:
        return list(dict.fromkeys(node for p in self.products for c in p.coefficients for node in c.nodes))

    def _sympy(self, world: Expressions) -> Any:
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
            yield added([product_value(product, world, sample) for product in self.products])

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
    walk = Walk(whole)
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
    formula = plain_formula(node)
    if formula is None:
        return 2 + max(operand.type.size for operand in node.inputs) * operands
    return (1 + operands) * math.prod((axis.extent or 1 for axis in formula.over), start=1)


__all__ = ["WeightGradient", "one_weight"]
