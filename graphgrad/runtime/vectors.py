"""What the writers of sums share: elements of arrays at affine indices, vectors of them, and their products.

They write LLVM instructions in one piece, so that Numba neither has to type nor to rewrite their many lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from graphgrad.compiler.stated import Access, Affine
from graphgrad.runtime.lanes import Lanes
from graphgrad.runtime.vectorised import has_fma

WHOLE = ir.IntType(64)
AT_ONCE = 64
"""How many bytes of a row are computed at once: a register of the widest kind."""


class Pointer:
    """An array in memory, read and written at affine indices."""

    def __init__(self, context: Any, builder: Any, type: Any, array: Any) -> None:
        self.builder = builder
        self.lanes = isinstance(type.dtype, Lanes)
        made = context.make_array(type)(context, builder, array)
        self.data = made.data
        size = context.get_abi_sizeof(context.get_data_type(type.dtype))
        self.strides = [
            builder.sdiv(stride, ir.Constant(WHOLE, size)) for stride in cgutils.unpack_tuple(builder, made.strides)
        ]

    def element(self, access: Access, places: Mapping[str, Any]) -> Any:
        b = self.builder
        at: Any = ir.Constant(WHOLE, 0)
        for stride, index in zip(self.strides, access.indices, strict=True):
            at = b.add(at, b.mul(stride, affine(b, index, places)))
        return b.gep(self.data, [at])

    def load(self, access: Access, places: Mapping[str, Any], vector: Any, align: int, at_once: str | None) -> Any:
        """An element of lanes; those of a row along which it moves; or one number for all lanes."""
        b = self.builder
        place = self.element(access, places)
        step = access.step(at_once)
        if step:
            reach = ir.VectorType(vector.element, step * (vector.count - 1) + 1)
            row = b.load(b.bitcast(place, reach.as_pointer()), align=align)
            return row if step == 1 else b.shuffle_vector(row, ir.Constant(reach, ir.Undefined), _every(step, vector))
        value = b.load(place, align=align)
        if self.lanes:
            return value
        nothing = ir.Constant(vector, ir.Undefined)
        first = b.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
        return b.shuffle_vector(first, nothing, _every(0, vector))


def rolled(module: Any, branch: Any) -> None:
    """Have the loop that a branch goes back in stay one: unrolled, it takes longer to compile and gains next to nothing, and
    a tile needs more registers than there are."""
    never = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    loop = module.add_metadata([ir.MetaDataString(module, f"loop {len(module.metadata)}"), never])
    loop.operands = loop, never  # what is said of a loop begins with itself
    branch.set_metadata("llvm.loop", loop)


@contextmanager
def rounds(builder: Any, start: Any, stop: Any, step: Any) -> Iterator[Any]:
    """A loop over start, start + step, ... below a stop, that stays one."""
    with cgutils.for_range_slice(builder, start, stop, step, WHOLE) as (index, _):
        yield index
        last = builder.block
    rolled(builder.module, last.terminator)


def _every(step: int, vector: Any) -> Any:
    """The places 0, step, 2 step, ... of a vector."""
    return ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [step * k for k in range(vector.count)])


def affine(builder: Any, index: Affine, places: Mapping[str, Any]) -> Any:
    value: Any = ir.Constant(WHOLE, index.constant)
    for axis, factor in index.terms.items():
        part = places[axis] if factor == 1 else builder.mul(ir.Constant(WHOLE, factor), places[axis])
        value = builder.add(value, part)
    return value


def fma(builder: Any, x: Any, y: Any, z: Any) -> Any:
    """x * y + z of vectors, rounded once where the processor has that in one instruction."""
    if not has_fma():
        return builder.fadd(builder.fmul(x, y), z)
    width = 32 if x.type.element == ir.FloatType() else 64
    kind = ir.FunctionType(x.type, [x.type] * 3)
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{x.type.count}f{width}")
    return builder.call(function, (x, y, z))
