"""Products of matrices over all samples, by the BLAS library that SciPy brings.

`product(out, left, right)` is out = left right, and `add_product(out, left, right, scale, keep)` adds to what was there:
out = keep · out + scale · left right. Matrices are in row order or transposed; no array is made. `share_of_product` and
`add_share_of_product` take the number of a thread and of all, and make that thread's share of the result: some of its rows
or, where there are more of these, of its columns. Each thread reads one operand whole, and so it is the smaller one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

WHOLE, LETTER, ANY = ir.IntType(64), ir.IntType(8), ir.IntType(8).as_pointer()
_KINDS = {types.float32: "s", types.float64: "d"}
TOGETHER = 16
"""Rows and columns are shared so many at a time, as register tiles of the library have, where there are as many for each
thread."""


def _product(typing_context: Any, out: Any, left: Any, right: Any) -> Any:
    return _typed(out, left, right)


def _add_product(typing_context: Any, out: Any, left: Any, right: Any, scale: Any, keep: Any) -> Any:
    return _typed(out, left, right, out.dtype, out.dtype)


def _share_of_product(typing_context: Any, out: Any, left: Any, right: Any, thread: Any, threads: Any) -> Any:
    return _typed(out, left, right, types.int64, types.int64)


def _add_share_of_product(
    typing_context: Any, out: Any, left: Any, right: Any, scale: Any, keep: Any, thread: Any, threads: Any
) -> Any:
    return _typed(out, left, right, out.dtype, out.dtype, types.int64, types.int64)


def _typed(out: Any, left: Any, right: Any, *others: Any) -> Any:
    kind = _KINDS.get(out.dtype)
    if kind is None or any(one.dtype != out.dtype or one.ndim != 2 or one.layout not in "CF" for one in (left, right)):
        return None
    from numba.np.linalg import ensure_blas

    ensure_blas()

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = [
            context.make_array(one)(context, builder, value)
            for one, value in zip(signature.args[:3], arguments[:3], strict=True)
        ]
        shapes = [cgutils.unpack_tuple(builder, array.shape, 2) for array in arrays]
        number = context.get_value_type(out.dtype)
        factors = [value for kind, value in zip(others, arguments[3:], strict=True) if kind == out.dtype]
        share = [value for kind, value in zip(others, arguments[3:], strict=True) if kind != out.dtype]
        factors = factors or [ir.Constant(number, 1.0), ir.Constant(number, 0.0)]
        scale, keep = (builder.bitcast(cgutils.alloca_once_value(builder, value), ANY) for value in factors)
        # In the library's order of columns the rows of `out` are columns: outᵀ = rightᵀ leftᵀ.
        (rows, columns), inner = shapes[0], shapes[1][1]
        (_, left_type, right_type), (c, b, a) = signature.args[:3], arrays

        def letter(text: str) -> Any:
            return ir.Constant(LETTER, ord(text))

        first_row: Any = ir.Constant(WHOLE, 0)
        first_column: Any = ir.Constant(WHOLE, 0)
        width = columns
        if share:
            thread, threads = share
            wide = builder.icmp_signed(">", columns, rows)
            extent = builder.select(wide, columns, rows)
            first = _beginning(builder, extent, thread, threads)
            count = builder.sub(_beginning(builder, extent, builder.add(thread, ir.Constant(WHOLE, 1)), threads), first)
            first_row, first_column = builder.select(wide, first_row, first), builder.select(wide, first, first_column)
            rows, columns = builder.select(wide, rows, count), builder.select(wide, count, columns)

        def operand(kind: Any, shape: Any, array: Any, row: Any, column: Any) -> tuple[Any, Any, Any]:
            in_rows = kind.layout == "C"
            step = shape[1] if in_rows else shape[0]
            far, near = (row, column) if in_rows else (column, row)
            start = builder.gep(array.data, [builder.add(builder.mul(far, step), near)])
            return letter("n" if in_rows else "t"), builder.bitcast(start, ANY), step

        trans_a, data_a, step_a = operand(right_type, shapes[2], a, ir.Constant(WHOLE, 0), first_column)
        trans_b, data_b, step_b = operand(left_type, shapes[1], b, first_row, ir.Constant(WHOLE, 0))
        called = ir.FunctionType(
            ir.IntType(32),
            [LETTER, LETTER, LETTER, WHOLE, WHOLE, WHOLE, ANY, ANY, WHOLE, ANY, WHOLE, ANY, ANY, WHOLE],
        )
        gemm = cgutils.get_or_insert_function(builder.module, called, "numba_xxgemm")
        sizes = columns, rows, inner
        start = builder.add(builder.mul(first_row, width), first_column)
        target = builder.bitcast(builder.gep(c.data, [start]), ANY)
        builder.call(
            gemm,
            (letter(kind), trans_a, trans_b, *sizes, scale, data_a, step_a, data_b, step_b, keep, target, width),
        )
        return context.get_dummy_value()

    return types.none(out, left, right, *others), generate


def _beginning(builder: Any, extent: Any, thread: Any, threads: Any) -> Any:
    """Where the share of a thread begins."""
    one, most, each = ir.Constant(WHOLE, 1), ir.Constant(WHOLE, TOGETHER), builder.sdiv(extent, threads)
    together = builder.select(builder.icmp_signed("<", each, most), each, most)
    together = builder.select(builder.icmp_signed("<", together, one), one, together)
    count = builder.sdiv(builder.sub(builder.add(extent, together), one), together)
    first = builder.mul(builder.sdiv(builder.mul(count, thread), threads), together)
    return builder.select(builder.icmp_signed("<", first, extent), first, extent)


def _product_in_python(out: Any, left: Any, right: Any) -> None:
    np.dot(left, right, out)


def _add_product_in_python(out: Any, left: Any, right: Any, scale: Any, keep: Any) -> None:
    out[...] = keep * out + scale * (left @ right)


def _share(out: Any, thread: int, threads: int) -> tuple[slice, slice]:
    rows, columns = out.shape
    together = max(1, min(TOGETHER, max(rows, columns) // threads))
    count = -(-max(rows, columns) // together)
    some = slice(count * thread // threads * together, count * (thread + 1) // threads * together)
    return (slice(None), some) if columns > rows else (some, slice(None))


def _share_of_product_in_python(out: Any, left: Any, right: Any, thread: int, threads: int) -> None:
    rows, columns = _share(out, thread, threads)
    out[rows, columns] = left[rows] @ right[:, columns]


def _add_share_of_product_in_python(
    out: Any, left: Any, right: Any, scale: Any, keep: Any, thread: int, threads: int
) -> None:
    rows, columns = _share(out, thread, threads)
    _add_product_in_python(out[rows, columns], left[rows], right[:, columns], scale, keep)


if config.DISABLE_JIT:
    product, add_product = _product_in_python, _add_product_in_python
    share_of_product, add_share_of_product = _share_of_product_in_python, _add_share_of_product_in_python
else:
    product, add_product = intrinsic(_product), intrinsic(_add_product)
    share_of_product, add_share_of_product = intrinsic(_share_of_product), intrinsic(_add_share_of_product)
