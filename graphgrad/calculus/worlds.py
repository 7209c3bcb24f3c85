"""What the elements of nodes are taken to be when a formula is worked out: numbers, or SymPy expressions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from graphgrad.calculus import exact
from graphgrad.calculus.chain import Factor
from graphgrad.calculus.indices import element
from graphgrad.calculus.jacobian import Values, accumulated, rule_of
from graphgrad.calculus.products import Entry, Root
from graphgrad.calculus.sketch import name_of
from graphgrad.graph import (
    GradientError,
    Node,
)
from graphgrad.ops.reference import evaluate
from graphgrad.ops.symbolic import sp


class Floats:
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


class Expressions:
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


def symbols(nodes: list[Node], samples: int) -> dict[Node, Any]:
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
