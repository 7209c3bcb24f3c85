"""The reference: nodes evaluated one by one with NumPy, straight from their formulas, in float64 or as asked.

It is slow and certain. The compiled code is tested against it, and the gradient check perturbs nodes through it.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from graphgrad.graph import Axis, Formula, Index, Leaf, Node, Operation, Type, ancestors, computed_from
from graphgrad.ops.batch import SAMPLES, BatchSize
from graphgrad.ops.elementwise import Elementwise
from graphgrad.ops.symbolic import Array, numeric, sp

_REDUCE: dict[str, Any] = {"sum": np.sum, "max": np.max, "min": np.min, "prod": np.prod}


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
    """The value of one operation, for all samples at once where it has one for each."""
    formula, out = op.formula(*types), op.infer(*types)
    axes = ((SAMPLES,) if out.per_sample else ()) + formula.axes
    reads = [
        ((Index(((SAMPLES, 1),)),) if type.per_sample else ()) + read
        for type, read in zip(types, formula.reads, strict=True)
    ]
    shape = ((samples,) if out.per_sample else ()) + out.shape
    with np.errstate(all="ignore"):
        result = _product(formula, axes, reads, operands)
        if result is None:
            result = _general(op, formula, axes, reads, operands, samples)
        return np.array(np.broadcast_to(result, shape), dtype, order="C")  # type: ignore[arg-type]


def _product(
    formula: Formula, axes: tuple[Axis, ...], reads: list[tuple[Index, ...]], operands: Sequence[Array]
) -> Array | None:
    """A sum of products at plain indices is an einsum."""
    if formula.body is not None or formula.reduction not in (None, "sum") or formula.outside:
        return None
    letter = dict(zip((*axes, *formula.over), string.ascii_letters, strict=False))
    plain = [[index.axis for index in read] for read in reads]
    if any(axis is None for read in plain for axis in read):
        return None
    for array, read in zip(operands, plain, strict=True):
        if array.ndim != len(read) or any(a.extent not in (None, e) for a, e in zip(read, array.shape, strict=True)):  # type: ignore[union-attr]
            return None
    terms = ",".join("".join(letter[axis] for axis in read if axis is not None) for read in plain)
    used = set(terms)
    result = np.einsum(f"{terms}->{''.join(letter[axis] for axis in axes if letter[axis] in used)}", *operands)
    for position, axis in enumerate(axes):
        if letter[axis] not in used:
            result = np.expand_dims(result, position)
    return np.asarray(result)


def _general(
    op: Operation,
    formula: Formula,
    axes: tuple[Axis, ...],
    reads: list[tuple[Index, ...]],
    operands: Sequence[Array],
    samples: int | None,
) -> Array:
    """Every element that the formula reads, laid out along all its axes; then the body; then the reduction."""
    every = (*axes, *formula.over)
    grid = {
        axis: np.arange(samples if axis is SAMPLES else axis.extent).reshape(
            [-1 if position == k else 1 for k in range(len(every))]
        )
        for position, axis in enumerate(every)
    }
    laid = [_read(array, read, grid, formula.outside) for array, read in zip(operands, reads, strict=True)]
    laid += [np.asarray(grid[axis], float) for axis in formula.values]
    if formula.body is None:
        value = np.asarray(np.prod(np.broadcast_arrays(*laid), axis=0) if len(laid) > 1 else laid[0])
    else:
        value = _body(op, formula, len(laid))(*laid)
    if formula.reduction is None:
        return value
    extents = [grid[axis].size for axis in every]
    value = np.broadcast_to(value, np.broadcast_shapes(value.shape, extents))
    if formula.reduction == "argmax":
        return np.argmax(value.reshape(*value.shape[: len(axes)], -1), axis=-1)
    return np.asarray(_REDUCE[formula.reduction](value, axis=tuple(range(len(axes), len(every)))))


def _read(array: Array, read: tuple[Index, ...], grid: Mapping[Axis, Array], outside: float) -> Array:
    """The elements of an operand at affine indices; what is not there is `outside`."""
    if not read:
        return array
    if len(read) != array.ndim:  # by the elements in order
        array = array.reshape(*array.shape[: len(read) - 1], -1)
    places = [sum((factor * grid[axis] for axis, factor in i.terms), np.asarray(i.offset)) for i in read]
    whole = [place % index.divisor == 0 for place, index in zip(places, read, strict=True)]
    places = [place // index.divisor for place, index in zip(places, read, strict=True)]
    inside = [w & (p >= 0) & (p < extent) for w, p, extent in zip(whole, places, array.shape, strict=True)]
    if all(mask.all() for mask in inside):
        return np.asarray(array[tuple(places)])
    clipped = [np.clip(p, 0, extent - 1) for p, extent in zip(places, array.shape, strict=True)]
    mask = np.logical_and.reduce(np.broadcast_arrays(*inside))
    return np.where(mask, array[tuple(clipped)], outside)


def _body(op: Operation, formula: Formula, arity: int) -> Callable[..., Array]:
    if isinstance(op, Elementwise):
        return _elementwise(op)
    symbols = sp.symbols(f"a:{arity}", real=True)
    assert formula.body is not None
    return numeric(symbols, formula.body(*symbols))


@lru_cache(maxsize=4096)
def _elementwise(op: Elementwise) -> Callable[..., Array]:
    return numeric(op.symbols, op.expression)
