"""Views into a step's memory: an array of a given shape from a given element on, without allocating anything."""

from __future__ import annotations

import math
from typing import Any

from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic


def typed(typing_context: Any, memory: Any, start: Any, shape: Any) -> Any:
    """`memory.reshape(-1)[start : start + size].reshape(shape)` as a view that does not own its memory."""
    if not isinstance(memory, types.Array) or memory.layout != "C":
        return None
    view = types.Array(memory.dtype, len(shape), "C")
    return view(memory, start, shape), view_at(view)


def view_at(view: Any) -> Any:
    """The code of a view of this type: (memory, first number, shape) to an array that begins there."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        shape = signature.args[2]
        base = context.make_array(signature.args[0])(context, builder, arguments[0])
        offset = context.cast(builder, arguments[1], signature.args[1], types.intp)
        extents = [
            context.cast(builder, extent, signature.args[2].types[k], types.intp)
            for k, extent in enumerate(cgutils.unpack_tuple(builder, arguments[2], len(shape)))
        ]
        item = context.get_data_type(view.dtype)
        itemsize = context.get_constant(types.intp, context.get_abi_sizeof(item))
        strides = [itemsize] if extents else []
        for extent in reversed(extents[1:]):
            strides.insert(0, builder.mul(strides[0], extent))
        result = context.make_array(view)(context, builder)
        from numba.np.arrayobj import populate_array

        populate_array(
            result,
            data=builder.bitcast(builder.gep(base.data, [offset]), item.as_pointer()),
            shape=extents,
            strides=strides,
            itemsize=itemsize,
            meminfo=None,
            parent=None,
        )
        return result._getvalue()

    return generate


def in_python(memory: Any, start: int, shape: tuple[int, ...]) -> Any:
    """The same of arrays of NumPy."""
    return memory.reshape(-1)[start : start + math.prod(shape)].reshape(shape)


array_at = in_python if config.DISABLE_JIT else intrinsic(typed)
