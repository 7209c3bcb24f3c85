"""A chain of factors followed element by element: each gives what it is multiplied by and where the next node is read."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace

from graphgrad.calculus.chain import Chain, Factor
from graphgrad.calculus.local import continued, partial, value_of
from graphgrad.calculus.products import Coefficient, Entry, Number, Place, Product, Reading, Root, aligned
from graphgrad.calculus.sketch import Sketch, Step
from graphgrad.graph import (
    Axis,
    Formula,
    GradientError,
    Index,
    Node,
    at,
    number,
    written,
)
from graphgrad.ops.batch import BatchReduce, BatchSpread
from graphgrad.ops.elementwise import Elementwise


class Walk:
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
        formula = plain_formula(node)
        if isinstance(node.op, Elementwise):
            sketch = Sketch()
            root = partial(sketch, node, number_)
            if root is None:
                return None
            here = dict(zip(_axes(formula), where, strict=True))
            inner = tuple(index.placed(here) for index in _read(formula, number_))
            return product.times(*without_one(Root(sketch, root, aligned(where, root.shape, node.shape)))), inner
        if formula is not None and formula.body is None and formula.reduction in (None, "sum") and not formula.outside:
            return self._of_products(product, where, node, number_, formula)
        if not node.shape and not isinstance(node.op, Elementwise):
            sketch = Sketch()
            root = partial(sketch, node, number_)
            if root is not None and root.shape in ((), operand.shape):
                product, inner = self._summed(product, operand.shape)
                return product.times(*without_one(Root(sketch, root, inner if root.shape else ()))), inner
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


def plain_formula(node: Node) -> Formula | None:
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


def without_one(root: Root) -> tuple[Coefficient, ...]:
    """The formula as a coefficient; as a number where it is one, and left out where that is 1."""
    value = value_of(root.node)
    if value is None or root.node.name is not None:
        return (root,)
    return () if value == 1 else (Number(number(value, "latex"), number(value, "unicode"), number=value),)
