"""Nodes evaluated element by element in SymPy: with symbols for formulas, with numbers of any precision for proofs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from graphgrad.graph import Axis, Formula, GradientError, Index, Leaf, Node, ancestors, computed_from
from graphgrad.ops.batch import BatchReduce, BatchSize, BatchSpread
from graphgrad.ops.reductions import normal_axes
from graphgrad.ops.softmax import Softmax
from graphgrad.ops.symbolic import sp

Array = np.ndarray[Any, np.dtype[Any]]
"""Of SymPy expressions."""

At = Mapping[Axis, int]


def evaluate(roots: Iterable[Node], given: Mapping[Node, Array], samples: int) -> dict[Node, Array]:
    """The elements of the roots as SymPy expressions, from those of the given nodes.

    Arrays of nodes with a value per sample have the samples as their leading axis. Raises GradientError for the position
    of a largest element among elements that are no numbers.
    """
    values = dict(given)

    def needed(node: Node) -> tuple[Node, ...]:
        if node in values:
            return ()
        return node.inputs if isinstance(node.op, Softmax) else computed_from(node)

    for node in ancestors(*roots, operands=needed):
        if node not in values:
            values[node] = _evaluated(node, values, samples)
    return values


def _evaluated(node: Node, values: Mapping[Node, Array], samples: int) -> Array:
    if node.kind == "constant":
        return _filled(
            (), lambda place: sp.Integer(samples) if isinstance(node.op, BatchSize) else number(node.op.value)
        )
    if isinstance(node.op, Leaf):
        raise KeyError(node)
    operands = [values[operand] for operand in node.inputs]
    if isinstance(node.op, BatchReduce) and node.op.name == "batch_sum":
        return _filled(node.shape, lambda place: sp.Add(*(operands[0][n, *place] for n in range(samples))))
    if isinstance(node.op, BatchSpread):
        spread = operands[0] if node.inputs[0].per_sample else np.stack([operands[0]] * samples)
        return np.asarray(spread, object)
    if not isinstance(node.op, Softmax) and (expansion := node.graph.expansion(node)) is not None:
        return values[expansion]
    if not node.per_sample:
        return _of_one(node, operands)
    each = [
        _of_one(
            node, [array[n, ...] if o.per_sample else array for array, o in zip(operands, node.inputs, strict=True)]
        )
        for n in range(samples)
    ]
    return _stacked(each, node.shape)


def _of_one(node: Node, operands: list[Array]) -> Array:
    """One operation on the operands of one sample."""
    if isinstance(node.op, Softmax):
        return _softmax(node, operands[0])
    formula: Formula = node.op.formula(*(operand.type for operand in node.inputs))
    body = formula.body or sp.Mul

    def element(place: tuple[int, ...]) -> Any:
        at = dict(zip(formula.axes, place, strict=True))
        return _reduced(node, formula, list(_terms(formula, operands, body, at)))

    return _filled(node.shape, element)


def _terms(formula: Formula, operands: list[Array], body: Callable[..., Any], at: dict[Axis, int]) -> Iterator[Any]:
    for running in itertools.product(*(range(axis.extent or 1) for axis in formula.over)):
        here = {**at, **dict(zip(formula.over, running, strict=True))}
        if not all(
            0 <= place(replace(i, divisor=1), here) < n * i.divisor
            and not place(replace(i, divisor=1), here) % i.divisor
            for i, n in formula.within
        ):
            yield sp.Integer(0)
            continue
        read = [element(a, r, here, formula.outside) for a, r in zip(operands, formula.reads, strict=True)]
        if formula.chosen is not None:
            if not read[-1].is_number:
                raise GradientError("a position that depends on the numbers has no formula of its own")
            if int(read.pop()) != place(formula.chosen, here):
                yield sp.Integer(0)
                continue
        read += [number(table[place(index, here)]) for index, table in formula.weights]
        yield body(*read, *(sp.Integer(here[axis]) for axis in formula.values))


def _reduced(node: Node, formula: Formula, terms: list[Any]) -> Any:
    match formula.reduction:
        case None:
            return terms[0]
        case "sum":
            return sp.Add(*terms)
        case "prod":
            return sp.Mul(*terms)
        case "max" | "min":
            return (sp.Max if formula.reduction == "max" else sp.Min)(*terms)
    if not all(term.is_number for term in terms):
        raise GradientError(
            f"{node.op.name} picks an element by its value, so there is no one formula in inputs and weights alone: the "
            "formula with the names of the nodes stands"
        )
    return sp.Integer(max(range(len(terms)), key=lambda k: (terms[k], -k)))


def _softmax(node: Node, scores: Array) -> Array:
    axes = normal_axes(node.op.axis, node.type.rank)

    def element(place: tuple[int, ...]) -> Any:
        ranges = [range(extent) if axis in axes else (place[axis],) for axis, extent in enumerate(node.shape)]
        total = sp.Add(*(sp.exp(scores[other]) for other in itertools.product(*ranges)))
        return sp.exp(scores[place]) / total if node.op.name == "softmax" else scores[place] - sp.log(total)

    return _filled(node.shape, element)


def element(array: Array, read: tuple[Index, ...], at: At, outside: float = 0.0) -> Any:
    """The element of one sample's array at the indices; what is not there is `outside`."""
    if len(read) != array.ndim:  # by the elements in order
        array = array.reshape(*array.shape[: len(read) - 1], -1)
    where = []
    for index, extent in zip(read, array.shape, strict=True):
        before = place(replace(index, divisor=1), at)
        if before % index.divisor or not 0 <= before // index.divisor < extent:
            return number(outside)
        where.append(before // index.divisor)
    return array[tuple(where)]


def place(index: Index, at: At) -> int:
    """The value of an index; below, where it is not whole."""
    value = (index.offset + sum(factor * at[axis] for axis, factor in index.terms)) // index.divisor
    return index.table[value] if index.table else value


def number(value: float) -> Any:
    """A number as it is written: 0.01 is one hundredth."""
    if value == float("inf"):
        return sp.oo
    if value == float("-inf"):
        return -sp.oo
    return sp.Integer(int(value)) if value == int(value) else sp.Rational(repr(float(value)))


def _filled(shape: tuple[int, ...], element: Callable[[tuple[int, ...]], Any]) -> Array:
    array = np.empty(shape, object)
    for position in np.ndindex(*shape):
        array[position] = element(position)
    return array


def _stacked(each: list[Array], shape: tuple[int, ...]) -> Array:
    array = np.empty((len(each), *shape), object)
    for n, one in enumerate(each):
        array[n] = one if shape else one[()]
    return array


def of_numbers(array: Array, digits: int) -> Array:
    """An array of floating-point numbers as SymPy numbers of so many digits, each exactly what it is in binary."""
    source = np.asarray(array, np.float64)
    return _filled(source.shape, lambda position: sp.Float(sp.Rational(float(source[position])), digits))


__all__ = ["element", "evaluate", "number", "of_numbers", "place"]
