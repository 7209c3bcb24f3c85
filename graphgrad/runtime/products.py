"""Products of matrices over all samples, in blocks (see `gemm`).

`product(out, left, right, room)` is out = left right, and `add_product(out, left, right, scale, keep, room)` adds to what
was there: out = keep · out + scale · left right. Matrices are in row order or transposed; in `room`, as large as
`compiler.panels` says, they are copied piece by piece. `share_of_product` and `add_share_of_product` take the memory of a team,
the number of a thread and of all, and make that thread's share of the result (see `shares`): some of its rows or, where there
are more of these, of its columns. Each thread reads one operand whole, and so it is the smaller one.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from graphgrad.runtime.gemm import TRUTH, Gemm
from graphgrad.runtime.shares import TOGETHER, share_of, timed
from graphgrad.runtime.vectors import WHOLE


def _product(typing_context: Any, out: Any, left: Any, right: Any, room: Any) -> Any:
    return _typed(out, left, right, room=room)


def _add_product(typing_context: Any, out: Any, left: Any, right: Any, scale: Any, keep: Any, room: Any) -> Any:
    return _typed(out, left, right, scale=out.dtype, keep=out.dtype, room=room)


def _share_of_product(
    typing_context: Any, out: Any, left: Any, right: Any, room: Any, memory: Any, thread: Any, threads: Any
) -> Any:
    return _typed(out, left, right, room=room, memory=memory, thread=types.int64, threads=types.int64)


def _add_share_of_product(
    typing_context: Any,
    out: Any,
    left: Any,
    right: Any,
    scale: Any,
    keep: Any,
    room: Any,
    memory: Any,
    thread: Any,
    threads: Any,
) -> Any:
    shared = {"memory": memory, "thread": types.int64, "threads": types.int64}
    return _typed(out, left, right, scale=out.dtype, keep=out.dtype, room=room, **shared)


def _typed(out: Any, left: Any, right: Any, **others: Any) -> Any:
    """The types of a product's arguments, and its code."""
    matrices = out, left, right
    if out.dtype not in (types.float32, types.float64):
        return None
    if any(one.dtype != out.dtype or one.ndim != 2 or one.layout not in "CF" for one in matrices) or out.layout != "C":
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = [
            context.make_array(one)(context, builder, value)
            for one, value in zip(signature.args[:3], arguments[:3], strict=True)
        ]
        (shape, of_left, of_right) = (cgutils.unpack_tuple(builder, array.shape, 2) for array in arrays)
        more = dict(zip(others, arguments[3:], strict=True))
        number, zero = context.get_value_type(out.dtype), ir.Constant(WHOLE, 0)
        room = context.make_array(others["room"])(context, builder, more["room"]).data
        scale, keep = more.get("scale", ir.Constant(number, 1.0)), more.get("keep", ir.Constant(number, 0.0))
        (rows, columns), inner, wide = shape, of_left[1], shape[1]
        first_row: Any = zero
        first_column: Any = zero
        measured: AbstractContextManager[None] = nullcontext()
        if "memory" in more:
            memory = context.make_array(others["memory"])(context, builder, more["memory"]).data
            team = builder.bitcast(memory, WHOLE.as_pointer()), more["thread"], more["threads"]
            by_columns = builder.icmp_signed(">", columns, rows)
            first, count = share_of(builder, team[0], builder.select(by_columns, columns, rows), *team[1:])
            first_row = builder.select(by_columns, first_row, first)
            first_column = builder.select(by_columns, first, first_column)
            rows, columns = builder.select(by_columns, rows, count), builder.select(by_columns, count, columns)
            measured = timed(builder, *team)

        def part(kind: Any, shape: Any, array: Any, row: Any, column: Any) -> tuple[Any, Any, Any]:
            in_rows = kind.layout == "C"
            step, far, near = (shape[1], row, column) if in_rows else (shape[0], column, row)
            return builder.gep(array.data, [builder.add(builder.mul(far, step), near)]), step, TRUTH(in_rows)

        target, _, _ = part(out, shape, arrays[0], first_row, first_column)
        a, b = part(left, of_left, arrays[1], first_row, zero), part(right, of_right, arrays[2], zero, first_column)
        gemm = Gemm(builder.module, number, out.dtype.bitwidth).function()
        with measured:
            builder.call(gemm, [target, wide, rows, columns, inner, *a, *b, scale, keep, room])
        return context.get_dummy_value()

    return types.none(out, left, right, *others.values()), generate


_in_silence = np.errstate(all="ignore")
"""Infinity and what is no number go through a kernel, which says nothing of them; so they do where NumPy stands in."""


@_in_silence
def _product_in_python(out: Any, left: Any, right: Any, room: Any) -> None:
    np.dot(left, right, out)


@_in_silence
def _add_product_in_python(out: Any, left: Any, right: Any, scale: Any, keep: Any, room: Any) -> None:
    out[...] = keep * out + scale * (left @ right)


def _share(out: Any, thread: int, threads: int) -> tuple[slice, slice]:
    rows, columns = out.shape
    together = max(1, min(TOGETHER, max(rows, columns) // threads))
    count = -(-max(rows, columns) // together)
    some = slice(count * thread // threads * together, count * (thread + 1) // threads * together)
    return (slice(None), some) if columns > rows else (some, slice(None))


@_in_silence
def _share_of_product_in_python(
    out: Any, left: Any, right: Any, room: Any, memory: Any, thread: int, threads: int
) -> None:
    rows, columns = _share(out, thread, threads)
    out[rows, columns] = left[rows] @ right[:, columns]


def _add_share_of_product_in_python(
    out: Any, left: Any, right: Any, scale: Any, keep: Any, room: Any, memory: Any, thread: int, threads: int
) -> None:
    rows, columns = _share(out, thread, threads)
    _add_product_in_python(out[rows, columns], left[rows], right[:, columns], scale, keep, room)


if config.DISABLE_JIT:
    product, add_product = _product_in_python, _add_product_in_python
    share_of_product, add_share_of_product = _share_of_product_in_python, _add_share_of_product_in_python
else:
    product, add_product = intrinsic(_product), intrinsic(_add_product)
    share_of_product, add_share_of_product = intrinsic(_share_of_product), intrinsic(_add_share_of_product)
