"""The reference: nodes evaluated one by one with NumPy, straight from their formulas, in float64 or as asked.

It is slow and certain. The compiled code is tested against it, and the gradient check perturbs nodes through it.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from graphgrad.graph import Axis, Formula, Index, Leaf, Node, Operation, Type, ancestors, computed_from
from graphgrad.ops.batch import SAMPLES, BatchSize
from graphgrad.ops.elementwise import Elementwise
from graphgrad.ops.symbolic import Array, numeric, sp

_REDUCE: dict[str, Any] = {"sum": np.sum, "max": np.max, "min": np.min, "prod": np.prod}

MOST_AT_ONCE = 2**24
"""How many numbers are laid out at a time, if one sample does not need more."""

MUCH = 2**14
"""From how many numbers on it pays to look for the best order of a product."""

Grid = Mapping[Axis, Array]
"""The values of each axis, laid out along a dimension of its own."""


def evaluate(
    roots: Iterable[Node], given: Mapping[Node, Array], samples: int | None, dtype: Any = np.float64
) -> dict[Node, Array]:
    """The values of the roots and of all they depend on, from the given arrays.

    Arrays of per-sample nodes have the samples as their leading axis. A node that is given is not computed, so a
    value in the middle of the graph can be replaced. Raises KeyError(node) for an input that is not given.
    """
    values: dict[Node, Array] = {node: np.asarray(array, dtype) for node, array in given.items()}

    def needed(node: Node) -> tuple[Node, ...]:
        return () if node in values else computed_from(node)

    for node in ancestors(*roots, operands=needed):
        if node in values:
            continue
        if node.kind == "constant":
            values[node] = np.asarray(samples if isinstance(node.op, BatchSize) else node.op.value, dtype)
        elif isinstance(node.op, Leaf):
            raise KeyError(node)
        elif (expansion := node.graph.expansion(node)) is not None:
            values[node] = values[expansion]
        else:
            operands = [values[operand] for operand in node.inputs]
            values[node] = compute(node.op, tuple(o.type for o in node.inputs), operands, samples, dtype)
    return values


def compute(
    op: Operation, types: tuple[Type, ...], operands: Sequence[Array], samples: int | None, dtype: Any = np.float64
) -> Array:
    """The value of one operation, for all samples that have one; for a few at a time where that takes much room."""
    few = max(1, MOST_AT_ONCE // _laid_out(op.formula(*types)))
    if not op.infer(*types).per_sample or samples is None or samples <= few:
        return _computed(op, types, operands, samples, dtype)
    parts = []
    for n in range(0, samples, few):
        some = [array[n : n + few] if type.per_sample else array for array, type in zip(operands, types, strict=True)]
        parts.append(_computed(op, types, some, min(few, samples - n), dtype))
    return np.concatenate(parts)


def _laid_out(formula: Formula) -> int:
    """How many numbers the evaluation of a formula lays out for each sample, at most."""
    spaces = [{*formula.axes, *formula.over}]
    if _is_product(formula):
        spaces = [{axis for index in read for axis, _ in index.terms} for read in formula.reads if not _is_plain(read)]
    return max((math.prod(axis.extent or 1 for axis in space) for space in spaces), default=1)


def _is_product(formula: Formula) -> bool:
    plain = formula.body is None and formula.reduction in (None, "sum") and not formula.outside
    return plain and formula.chosen is None and not formula.within


def _is_plain(read: tuple[Index, ...]) -> bool:
    return all(index.axis is not None for index in read)


def _computed(
    op: Operation, types: tuple[Type, ...], operands: Sequence[Array], samples: int | None, dtype: Any
) -> Array:
    formula, out = op.formula(*types), op.infer(*types)
    axes = ((SAMPLES,) if out.per_sample else ()) + formula.axes
    reads = [
        ((Index(((SAMPLES, 1),)),) if type.per_sample else ()) + read
        for type, read in zip(types, formula.reads, strict=True)
    ]
    extents = {axis: samples if axis is SAMPLES else axis.extent for axis in (*axes, *formula.over)}
    grid = {
        axis: np.arange(extent or 0).reshape([-1 if axis is other else 1 for other in extents])
        for axis, extent in extents.items()
    }
    with np.errstate(all="ignore"):
        if _is_product(formula):
            result = _product(formula, axes, reads, operands, grid)
        elif formula.body is None and formula.reduction in (None, "sum"):
            result = _conditional(formula, axes, reads, operands, grid)
        else:
            result = _general(op, formula, axes, reads, operands, grid)
        shape = ((samples or 0,) if out.per_sample else ()) + out.shape
        value: Array = np.array(np.broadcast_to(result, shape), dtype=dtype, order="C")
        return value


def _product(
    formula: Formula, axes: tuple[Axis, ...], reads: list[tuple[Index, ...]], operands: Sequence[Array], grid: Grid
) -> Array:
    """A sum of products is an einsum, over what is read of each operand."""
    letter = dict(zip(grid, string.ascii_letters, strict=False))
    terms, factors = [], []
    tables = [(np.array(numbers), (index,)) for index, numbers in formula.weights]
    for array, read in (*zip(operands, reads, strict=True), *tables):
        along = [index.axis for index in read if index.axis is not None]
        whole = [grid[axis].size for axis in along] == list(array.shape)
        if not whole:
            along = [axis for axis in grid if any(axis == one for index in read for one, _ in index.terms)]
        laid = array if whole else _read(array, read, grid, formula.outside)
        terms.append("".join(letter[axis] for axis in along))
        factors.append(laid.reshape([grid[axis].size for axis in along]))
    used = set("".join(terms))
    kept = "".join(letter[axis] for axis in axes if letter[axis] in used)
    result = np.einsum(f"{','.join(terms)}->{kept}", *factors, optimize=max(f.size for f in factors) > MUCH)
    for position, axis in enumerate(axes):
        if letter[axis] not in used:
            result = np.expand_dims(result, position)
    return np.asarray(result * math.prod(grid[axis].size for axis in formula.over if letter[axis] not in used))


def _conditional(
    formula: Formula, axes: tuple[Axis, ...], reads: list[tuple[Index, ...]], operands: Sequence[Array], grid: Grid
) -> Array:
    """A sum of products of which only some count; where the last operand picks one of an axis, only that is laid out."""
    places, picked = dict(grid), formula.picked
    counts = np.asarray(True)
    if formula.chosen is not None:
        *operands, position = operands
        *reads, read = reads
        chosen = _read(position, read, grid, formula.outside)
        if picked is not None:
            places[picked] = np.where((chosen >= 0) & (chosen < grid[picked].size), chosen, 0).astype(int)
        counts = chosen == _place(formula.chosen, places)
    for index, extent in formula.within:
        place = _place(replace(index, divisor=1), places)
        counts = counts & (place % index.divisor == 0) & (place >= 0) & (place < extent * index.divisor)
    factors = [_read(array, read, places, formula.outside) for array, read in zip(operands, reads, strict=True)]
    factors += [np.array(numbers)[_place(index, places)] for index, numbers in formula.weights]
    value = np.where(counts, math.prod(factors, start=np.asarray(1.0)), 0.0)
    value = np.broadcast_to(value, [1 if axis == picked else grid[axis].size for axis in grid])
    if picked not in axes:
        return np.asarray(value.sum(axis=tuple(range(len(axes), len(grid)))))
    result = np.zeros([grid[axis].size for axis in axes])
    np.add.at(result, tuple(np.broadcast_to(places[axis], value.shape) for axis in axes), value)
    return result


def _general(
    op: Operation,
    formula: Formula,
    axes: tuple[Axis, ...],
    reads: list[tuple[Index, ...]],
    operands: Sequence[Array],
    grid: Grid,
) -> Array:
    """Every element that the formula reads, laid out along all its axes; then the body; then the reduction."""
    laid = [_read(array, read, grid, formula.outside) for array, read in zip(operands, reads, strict=True)]
    laid += [np.asarray(grid[axis], float) for axis in formula.values]
    value = laid[0] if formula.body is None else _body(op, formula, len(laid))(*laid)
    if formula.reduction is None:
        return value
    value = np.broadcast_to(value, np.broadcast_shapes(value.shape, [along.size for along in grid.values()]))
    if formula.reduction == "argmax":
        return np.asarray(np.argmax(value.reshape(*value.shape[: len(axes)], -1), axis=-1))
    return np.asarray(_REDUCE[formula.reduction](value, axis=tuple(range(len(axes), len(grid)))))


def _read(array: Array, read: tuple[Index, ...], grid: Grid, outside: float) -> Array:
    """The elements of an operand at the places that its indices say; what is not there is `outside`."""
    if not read:
        return array
    if len(read) != array.ndim:  # by the elements in order
        array = array.reshape(*array.shape[: len(read) - 1], -1)
    places = [_place(replace(index, divisor=1), grid) for index in read]
    whole = [place % index.divisor == 0 for place, index in zip(places, read, strict=True)]
    places = [place // index.divisor for place, index in zip(places, read, strict=True)]
    inside = [w & (p >= 0) & (p < extent) for w, p, extent in zip(whole, places, array.shape, strict=True)]
    if all(mask.all() for mask in inside):
        return np.asarray(array[tuple(places)])
    clipped = [np.clip(p, 0, extent - 1) for p, extent in zip(places, array.shape, strict=True)]
    mask = np.logical_and.reduce(np.broadcast_arrays(*inside))
    return np.where(mask, array[tuple(clipped)], outside)


def _place(index: Index, grid: Grid) -> Array:
    """The value of an index along the grid."""
    place = sum((factor * grid[axis] for axis, factor in index.terms), np.asarray(index.offset)) // index.divisor
    return np.asarray(np.array(index.table)[place] if index.table else place)


def _body(op: Operation, formula: Formula, arity: int) -> Callable[..., Array]:
    if isinstance(op, Elementwise):
        return _elementwise(op)
    symbols = sp.symbols(f"a:{arity}", real=True)
    assert formula.body is not None
    return numeric(symbols, formula.body(*symbols))


@lru_cache(maxsize=4096)
def _elementwise(op: Elementwise) -> Callable[..., Array]:
    return numeric(op.symbols, op.expression)
