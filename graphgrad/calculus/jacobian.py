"""Jacobians: the local one of each edge with its structure and its numbers, and the full one between two nodes.

An array is read as the vector of its elements in order, the last axis fastest, so that a Jacobian is a matrix with a row
for each element of the result and a column for each element of the operand, as in the lecture (numerator layout).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from graphgrad.calculus.gradient import no_path, sweep
from graphgrad.graph import (
    Axis,
    GradientError,
    Graph,
    Leaf,
    Misfit,
    Node,
    Operation,
    Type,
    ancestors,
    at,
    computed_from,
    written,
)
from graphgrad.graph.data import Array, bind
from graphgrad.ops.batch import SAMPLES, BatchReduce, BatchSize, BatchSpread, batch_sum
from graphgrad.ops.elementwise import Elementwise
from graphgrad.ops.reductions import Reduce
from graphgrad.ops.reference import evaluate

MOST_ENTRIES = 2**22
"""How many numbers a Jacobian may have, over all samples, to be written out."""

AT_ONCE = 2**21
"""How many numbers are laid out at a time."""

Values = Mapping[Node, Array]
"""The arrays of nodes, with the axis of the samples for those that have a value for each."""


# -- local ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LocalJacobian:
    """∂node/∂operand along one edge of the graph: all that the node owes to this operand directly."""

    node: Node
    operand: Node

    @property
    def shape(self) -> tuple[int, int]:
        """Its rows and columns, for one sample."""
        return self.node.type.size, self.operand.type.size

    @property
    def positions(self) -> tuple[int, ...]:
        """Where the operand stands among the operands of the node."""
        return tuple(k for k, operand in enumerate(self.node.inputs) if operand is self.operand)

    @cached_property
    def op(self) -> Any:
        """The operation of the node; what it is there, where that depends on more than its operands, as in dropout."""
        op = self.node.op
        if type(op).expansion is Operation.expansion:
            return op
        there = self.node.graph.expansion(self.node)
        return there.op if there is not None and there.inputs == self.node.inputs else op

    @property
    def types(self) -> tuple[Type, ...]:
        return tuple(operand.type for operand in self.node.inputs)

    @cached_property
    def structure(self) -> str:
        """What kind of matrix it is: `scalar`, `diagonal`, `matrix`, `Kronecker`, `banded`, `row`, `dense`, ...

        scalar, row, column  one row, one column, or both;
        identity, diagonal   of an elementwise operation on operands of one shape;
        broadcast            of one that repeats the operand;
        matrix, Kronecker    W for ∂(Wx)/∂x, and I ⊗ xᵀ for ∂(Wx)/∂W;
        banded               the same few numbers in each row, moved on: a convolution;
        selection, sum       ones and zeros: elements that are picked or moved, or added up;
        samples              sums over the samples, and what every sample has a part in;
        dense                any other.
        """
        found = {structure(self.op, self.types, position) for position in self.positions}
        return found.pop() if len(found) == 1 else "dense"

    def numbers(self, values: Values, samples: int | None) -> Array:
        """The entries: (rows, columns), with the samples before them where node or operand has a value for each.

        Where every sample has a part in each other's, as under batch normalisation, there is an axis for the sample of
        the node and one for that of the operand. Raises GradientError for one of more than 4,194,304 numbers.
        """
        rows, columns = self.shape
        many = samples or 1 if self.node.per_sample or self.operand.per_sample else 1
        count = many * rows * columns * (many if self.crosses else 1)
        if count > MOST_ENTRIES:
            raise GradientError(too_large(self.node, self.operand, self.shape, count))
        if isinstance(self.node.op, BatchReduce | BatchSpread):
            factor = 1 / many if self.node.op.name == "batch_mean" else 1.0
            return np.broadcast_to(factor * np.eye(rows), (many, rows, columns))
        if self.crosses:
            return self._crossing(values, many)
        diagonal = self.structure == "diagonal"
        seeds = np.ones((1, rows)) if diagonal else np.eye(rows)
        pulled = self._pulled(np.broadcast_to(seeds, (many, *seeds.shape)), values, many)
        if diagonal:
            pulled = np.eye(rows) * pulled
        return pulled if self.node.per_sample or self.operand.per_sample else pulled[0]

    def left(self, rows: Array, values: Values, samples: int | None) -> Array:
        """Rows of numbers times the Jacobian of each sample; where it is too large to be written out, by its rule."""
        many = len(rows) if rows.ndim == 3 else 1
        if many * self.shape[0] * self.shape[1] <= MOST_ENTRIES or isinstance(self.node.op, BatchReduce | BatchSpread):
            return rows @ self.numbers(values, samples)
        return self._pulled(rows if rows.ndim == 3 else rows[np.newaxis], values, many)

    def differences(self, values: Values, samples: int | None) -> Array:
        """The entries by central differences of the operation's value, of the shape that `numbers` has."""
        if self.crosses or isinstance(self.node.op, BatchReduce | BatchSpread):
            raise GradientError(f"{written(self.node)}: differences of one edge are taken sample by sample")
        rows, columns = self.shape
        many = samples or 1 if self.node.per_sample or self.operand.per_sample else 1
        rule = _pullback(self.op, self.types)
        operands = [self._laid_out(operand, values, many) for operand in self.node.inputs]
        result = np.empty((many, rows, columns))
        for column in range(columns):
            ends = []
            step = 0.0
            for sign in (1.0, -1.0):
                moved = [array.copy() for array in operands]
                for position in self.positions:
                    flat = moved[position].reshape(many, -1)
                    step = 1e-6 * max(1.0, float(np.abs(flat[:, column]).max()))
                    flat[:, column] += sign * step
                found = evaluate([rule.output], dict(zip(rule.operands, moved, strict=True)), many)[rule.output]
                ends.append(found.reshape(many, rows))
            result[:, :, column] = (ends[0] - ends[1]) / (2 * step)
        return result if self.node.per_sample or self.operand.per_sample else result[0]

    @property
    def crosses(self) -> bool:
        """Whether the value of one sample depends on the operands of the others."""
        if isinstance(self.node.op, BatchReduce | BatchSpread):
            return False
        return self.node.per_sample and self.operand.per_sample and _pullback(self.op, self.types).crosses

    @property
    def placed(self) -> bool:
        """Whether the value of a sample depends on its place in the batch, as in dropout."""
        return _pullback(self.op, self.types).placed

    def _laid_out(self, node: Node, values: Values, many: int) -> Array:
        """The array of a node with an axis for the samples, of its own memory."""
        array = np.asarray(values[node], np.float64)
        return np.array(array if node.per_sample else np.broadcast_to(array, (many, *array.shape)))

    def _pulled(self, rows: Array, values: Values, many: int) -> Array:
        """Each of `rows` (samples, rows, elements of the node) times the Jacobian, by the rule of the operation."""
        rule = _pullback(self.op, self.types)
        if all(rule.gradients[position] is None for position in self.positions):
            raise GradientError(f"{written(self.node)}: {rule.reasons[self.positions[0]]}")
        if self.placed:
            return self._pulled_in_place(rows, values, many)
        wanted = [gradient for p in self.positions if (gradient := rule.gradients[p]) is not None]
        each = sum(type.size for type in self.types) + self.node.type.size + self.shape[1]
        few = max(1, AT_ONCE // (each * many))
        parts = []
        for start in range(0, rows.shape[1], few):
            some = rows[:, start : start + few]
            count = some.shape[1]
            given = {rule.seed: np.ascontiguousarray(some).reshape(many * count, *self.node.shape)}
            for leaf, operand in zip(rule.operands, self.node.inputs, strict=True):
                given[leaf] = np.repeat(self._laid_out(operand, values, many), count, axis=0)
            found = evaluate(wanted, given, many * count)
            total = sum((_each_sample(found[gradient], gradient, many * count) for gradient in wanted), np.zeros(()))
            parts.append(np.broadcast_to(total, (many * count, *self.operand.shape)).reshape(many, count, -1))
        return np.concatenate(parts, axis=1)

    def _pulled_in_place(self, rows: Array, values: Values, many: int) -> Array:
        """The same row by row, with every sample at its place."""
        rule = _pullback(self.op, self.types, as_they_are=True)
        wanted = [gradient for p in self.positions if (gradient := rule.gradients[p]) is not None]
        given = {leaf: values[operand] for leaf, operand in zip(rule.operands, self.node.inputs, strict=True)}
        result = np.zeros((*rows.shape[:2], self.operand.type.size))
        for row in range(rows.shape[1]):
            seed = rows[:, row].reshape(many, *self.node.shape)
            given[rule.seed] = seed if self.node.per_sample else seed[0]
            found = evaluate(wanted, given, many)
            for gradient in wanted:
                result[:, row] += _each_sample(found[gradient], gradient, many).reshape(many, -1)
        return result

    def _crossing(self, values: Values, many: int) -> Array:
        rule = _pullback(self.op, self.types, as_they_are=True)
        wanted = [gradient for p in self.positions if (gradient := rule.gradients[p]) is not None]
        given = {leaf: values[operand] for leaf, operand in zip(rule.operands, self.node.inputs, strict=True)}
        rows, columns = self.shape
        result = np.zeros((many, many, rows, columns))
        for sample in range(many):
            for row in range(rows):
                seed = np.zeros((many, rows))
                seed[sample, row] = 1.0
                found = evaluate(wanted, {**given, rule.seed: seed.reshape(many, *self.node.shape)}, many)
                for gradient in wanted:
                    result[sample, :, row] += _each_sample(found[gradient], gradient, many).reshape(many, -1)
        return result


@dataclass(frozen=True, slots=True)
class _Pullback:
    """An operation on leaves alone, and what a seed for its result gives for each operand."""

    seed: Node
    output: Node
    operands: tuple[Node, ...]
    gradients: tuple[Node | None, ...]
    reasons: tuple[str, ...]
    crosses: bool
    placed: bool


@lru_cache(maxsize=1024)
def _pullback(op: Operation, types: tuple[Type, ...], as_they_are: bool = False) -> _Pullback:
    """The rule of an operation; every operand has samples, so that seeds are tried side by side, unless they cross."""
    graph = Graph()
    with graph.derivation():
        lifted = types if as_they_are else _lifted(op, types)
        operands = tuple(graph.add(Leaf("operand", "input", type), (), type, None) for type in lifted)
        output = op(*operands)
        seed = graph.add(Leaf("seed", "input", output.type), (), output.type, None)
        total = Reduce("sum")(seed * output) if output.shape else seed * output
        parts = ancestors(output, operands=computed_from)
        crosses = any(isinstance(part.op, BatchReduce | BatchSize) for part in parts)
        placed = any(SAMPLES in _values(part) for part in parts)
        if crosses and total.per_sample:
            total = batch_sum(total)
        found = sweep(total)
    gradients = tuple(found.get(operand) for operand in operands)
    reasons = tuple(graph.obstacles.get((total, operand), f"{op.name} does not vary with it") for operand in operands)
    return _Pullback(seed, output, operands, gradients, reasons, crosses, placed)


def _lifted(op: Operation, types: tuple[Type, ...]) -> tuple[Type, ...]:
    """The types with a value for each sample, but for operands that are shared by their nature, as a running mean."""
    found = list(types)
    for position, type in enumerate(types):
        found[position] = Type(type.shape, True)
        try:
            op.infer(*found)
        except Misfit:
            found[position] = type
    return tuple(found)


def _values(node: Node) -> tuple[Axis, ...]:
    """The axes whose running value the formula of a node takes."""
    try:
        found: tuple[Axis, ...] = node.op.formula(*(operand.type for operand in node.inputs)).values
    except TypeError:
        return ()
    return found


def rule_of(jacobian: LocalJacobian) -> _Pullback:
    """The operation of an edge on leaves alone, and what a seed for its result gives for each operand."""
    return _pullback(jacobian.node.op, jacobian.types)


def _each_sample(array: Array, node: Node, many: int) -> Array:
    return array if node.per_sample else np.broadcast_to(array, (many, *array.shape))


def local_jacobian(node: Node, operand: Node) -> LocalJacobian:
    """The Jacobian of the edge from an operand to a node: its structure, its numbers, its formula.

    Raises GradientError where there is no such edge.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     W, x = gg.param("W", 3, 2), gg.input("x", 2)
    ...     g.A = W @ x
    >>> gg.local_jacobian(g.A, W).structure, gg.local_jacobian(g.A, x).structure
    ('Kronecker', 'matrix')
    """
    if operand not in node.inputs:
        raise GradientError(f"{written(operand)} is no operand of {node.text()}: ∂/∂ of an edge is asked for")
    return LocalJacobian(node, operand)


def structure(op: Operation, types: tuple[Type, ...], position: int) -> str:
    """What kind of matrix the Jacobian of an operation is with respect to one of its operands."""
    output, operand = op.infer(*types), types[position]
    if isinstance(op, BatchReduce | BatchSpread):
        return "samples"
    if not output.shape or not operand.shape:
        return "scalar" if output.shape == operand.shape else "column" if output.shape else "row"
    if isinstance(op, Elementwise):
        return "diagonal" if operand.shape == output.shape else "broadcast"
    try:
        formula = op.formula(*types)
    except TypeError:
        return "dense"
    read, own = formula.reads[position], set(formula.axes)
    if formula.reduction in ("max", "min"):
        return "selection"
    if formula.body is not None and formula.pointwise and read == at(*formula.axes) and operand.shape == output.shape:
        return "diagonal"
    if formula.body is not None or len(read) != operand.rank:
        return "identity" if formula.body is None and formula.reduction is None and len(types) == 1 else "dense"
    moved = {axis for index in read for axis, _ in index.terms}
    if len(types) == 1 and not formula.weights:
        return "sum" if formula.over else "selection"
    if any(len(index.terms) > 1 for index in read):
        return "banded"
    if not formula.over and read == at(*formula.axes) and operand.shape == output.shape:
        return "diagonal"
    if len(moved) < len(read):
        return "dense"  # an axis is read along a diagonal
    return "Kronecker" if moved & own else "matrix"


# -- full ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Jacobian:
    """∂of/∂wrt in numbers: `value` by the chain rule, `differences` by central differences beside it.

    Both have the shape of `of` followed by that of `wrt`, with an axis for the samples before them where either has a
    value for each and more than one sample was given. It is an array for NumPy: `np.asarray(jacobian)`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     W, x = gg.param("W", 2, 3), gg.input("x", 3)
    ...     g.A = W @ x
    >>> jacobian = gg.jacobian(g.A, x, x=[1.0, 1.0, 1.0], W=[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    >>> jacobian.value.tolist(), jacobian.structure, jacobian.error < 1e-8
    ([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], 'matrix', True)
    """

    of: Node
    wrt: Node
    value: Array
    given: Mapping[Node, Array]
    samples: int | None
    single: bool

    @cached_property
    def structure(self) -> str:
        """The kind of matrix that it is, where `wrt` is an operand of `of` and of nothing else on the way."""
        if self.wrt in self.of.inputs and not any(
            self.wrt in ancestors(other) for other in self.of.inputs if other is not self.wrt
        ):
            return LocalJacobian(self.of, self.wrt).structure
        return "dense"

    @cached_property
    def differences(self) -> Array:
        """The same by central differences of the values."""
        base = evaluate([self.of, self.wrt], self.given, self.samples)
        many = self.samples or 1
        rows, columns = self.of.type.size, self.wrt.type.size
        each = self.of.per_sample or self.wrt.per_sample
        result = np.zeros((many, rows, columns) if each else (rows, columns))
        gathered = self.wrt.per_sample and not self.of.per_sample
        for sample in range(many) if gathered else (None,):
            for column in range(columns):
                ends = []
                moved = np.array(base[self.wrt], np.float64)
                flat = moved.reshape(-1, columns)
                which = slice(None) if sample is None else sample
                step = 1e-5 * max(1.0, float(np.abs(flat[which, column]).max()))
                start = flat[which, column].copy()
                for sign in (1.0, -1.0):
                    flat[which, column] = start + sign * step
                    found = evaluate([self.of], {**self.given, self.wrt: moved}, self.samples)[self.of]
                    ends.append(found.reshape(-1, rows) if self.of.per_sample else found.reshape(rows))
                slope = (ends[0] - ends[1]) / (2 * step)
                result[(... if sample is None else sample), :, column] = slope
        return shaped(result, self.of, self.wrt, self.single)

    @property
    def error(self) -> float:
        """The largest difference between the two, relative to the largest entry."""
        size = float(np.abs(self.value).max(initial=0.0)) or 1.0
        return float(np.abs(self.value - self.differences).max(initial=0.0)) / size

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.asarray(self.value, dtype)

    def __repr__(self) -> str:
        return f"<∂{written(self.of, 'unicode')}/∂{written(self.wrt, 'unicode')}: {self.value.shape}, {self.structure}>"


def jacobian(of: Node, wrt: Node, arrays: Mapping[Any, object] | None = None, /, **named: object) -> Jacobian:
    """The whole Jacobian ∂of/∂wrt in numbers, for shapes of up to 4,194,304 entries over all samples.

    The arrays are given by name, or in one dictionary. The local Jacobians are multiplied out from `of` back to `wrt`,
    and added up where several paths meet; the differences are computed when they are asked for.

    Raises GradientError where `of` does not depend on `wrt` or has no gradient on the way, where its value for one
    sample depends on the others, and for one that is too large.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     W, x = gg.param("W", 2, 2), gg.input("x", 2)
    ...     g.A = W @ x
    ...     g.B = gg.tanh(g.A)
    >>> gg.jacobian(g.B, x, W=[[1.0, 0.0], [2.0, 1.0]], x=[0.0, 0.0]).value.tolist()
    [[1.0, 0.0], [2.0, 1.0]]
    """
    for node in (of, wrt):
        if not isinstance(node, Node):
            raise GradientError(f"jacobian takes two nodes of a graph, not {node!r}")
    if of.graph is not wrt.graph:
        raise GradientError(f"{written(of)} and {written(wrt)} belong to different graphs")
    order = ancestors(of)
    if wrt not in order:
        raise GradientError(no_path(of, wrt))
    given, samples, single = bound(order, {**(arrays or {}), **named})
    shape = of.type.size, wrt.type.size
    count = shape[0] * shape[1] * ((samples or 1) if of.per_sample or wrt.per_sample else 1)
    if count > MOST_ENTRIES:
        raise GradientError(too_large(of, wrt, shape, count))
    values = evaluate(order, given, samples)
    found = accumulated(of, wrt, values, samples)
    return Jacobian(of, wrt, shaped(found, of, wrt, single), given, samples, single)


def bound(order: list[Node], arrays: Mapping[Any, object]) -> tuple[dict[Node, Array], int | None, bool]:
    """The arrays of the leaves among these nodes, as `graph.data.bind` has them, in float64."""
    leaves = [node for node in order if node.kind in ("input", "parameter")]
    return bind(leaves, arrays, np.float64)


def accumulated(
    of: Node, wrt: Node, values: Values, samples: int | None, begin: tuple[Node, Array] | None = None
) -> Array:
    """∂of/∂wrt, rows by columns for each sample: the local Jacobians multiplied out along all paths at once.

    With `begin`, a node and ∂of/∂node, only along those that go through the node.
    """
    first, rows = begin or (of, start(of, samples))
    total: dict[Node, Array] = {first: rows}
    order = ancestors(first)
    useful = {wrt}
    for node in order:
        if any(operand in useful for operand in node.inputs):
            useful.add(node)
    reasons: list[str] = []
    for node in reversed(order):
        if node is wrt or node not in total:
            continue
        for operand in dict.fromkeys(node.inputs):
            if operand in useful:
                try:
                    part = pulled(total[node], LocalJacobian(node, operand), of, values, samples)
                except GradientError as error:
                    reasons.append(str(error))
                    continue
                total[operand] = total[operand] + part if operand in total else part
        del total[node]
    if wrt not in total:
        raise GradientError(reasons[0] if reasons else no_path(of, wrt))
    return total[wrt]


def start(of: Node, samples: int | None) -> Array:
    """∂of/∂of: the identity, for each sample where there is one."""
    rows = of.type.size
    return np.broadcast_to(np.eye(rows), (samples or 1, rows, rows)) if of.per_sample else np.eye(rows)


def pulled(rows: Array, local: LocalJacobian, of: Node, values: Values, samples: int | None) -> Array:
    """∂of/∂node times ∂node/∂operand, over the samples where all share the operand or what is derived.

    The first axis is that of the samples where `of` or the node in question has a value for each.
    """
    node, operand = local.node, local.operand
    if of.per_sample and (local.crosses or (operand.per_sample and not node.per_sample)):
        raise GradientError(
            f"∂{written(of)}/∂{written(operand)} for each sample does not exist: through {node.text()} every sample has "
            f"a part in it; take batch_sum({written(of)})"
        )
    if local.crosses:
        return np.asarray(np.einsum("nru,nmuv->mrv", rows, local.numbers(values, samples)))
    if of.per_sample or operand.per_sample:
        return local.left(rows, values, samples) if rows.ndim == 3 else _spread(rows, local, values, samples)
    each = local.left(rows, values, samples)
    return each.sum(axis=0) if node.per_sample else each.reshape(-1, each.shape[-1])


def _spread(rows: Array, local: LocalJacobian, values: Values, samples: int | None) -> Array:
    many = samples or 1
    return local.left(np.broadcast_to(rows, (many, *rows.shape)), values, samples)


def shaped(entries: Array, of: Node, wrt: Node, single: bool) -> Array:
    """Rows by columns as the shape of `of` followed by that of `wrt`, without the axis of a single sample."""
    if not (of.per_sample or wrt.per_sample):
        return entries.reshape(of.shape + wrt.shape)
    each = entries.reshape(len(entries), *of.shape, *wrt.shape)
    return np.asarray(each[0] if single else each)


def too_large(of: Node, wrt: Node, shape: tuple[int, int], count: int) -> str:
    """Why a Jacobian is not written out."""
    return (
        f"∂{written(of)}/∂{written(wrt)} is not written out: {shape[0]:,} rows and {shape[1]:,} columns are {count:,} "
        f"numbers over all samples, and at most {MOST_ENTRIES:,} are; the gradient of a scalar has one row"
    )


__all__ = ["Jacobian", "LocalJacobian", "jacobian", "local_jacobian", "structure"]
