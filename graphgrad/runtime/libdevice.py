"""Functions of NVIDIA's own library of mathematics that Numba has no name for that takes both precisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils


def typed(name: str) -> Callable[..., Any]:
    """The typing and the code of a function of one number, for an intrinsic of the target cuda."""

    def function(typing_context: Any, x: Any) -> Any:
        if not isinstance(x, types.Float):
            return None

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = context.get_value_type(x)
            called = f"__nv_{name}{'f' if x.bitwidth == 32 else ''}"
            declared = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), called)
            return builder.call(declared, arguments)

        return x(x), generate

    return function
