"""The elementary functions of lanes that have no vector form of their own: square roots and the like by one instruction
of the processor, the rest by the C library, one lane after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from graphgrad.runtime import elementary
from graphgrad.runtime.lanes import Lanes

_INSTRUCTIONS = ("sqrt", "fabs", "floor", "ceil", "rint")
_OPERANDS = {"atan2": 2, "copysign": 2, "hashed": 4}


def _typed(name: str, operands: tuple[Any, ...]) -> Any:
    """The signature and the code of the function for operands of these types."""
    scalar = getattr(elementary, name)
    body = {1: lambda x: scalar(x), 2: lambda x, y: scalar(x, y), 4: lambda a, b, c, d: scalar(a, b, c, d)}[
        len(operands)
    ]
    lanes = next((operand for operand in operands if isinstance(operand, Lanes)), None)
    real = lanes.real if lanes is not None else next((o for o in operands if isinstance(o, types.Float)), None)
    if real is None:
        return None
    numbers = real(*(operand.real if isinstance(operand, Lanes) else operand for operand in operands))

    def once(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return context.compile_internal(builder, body, numbers, arguments)

    def by_instruction(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = arguments[0].type
        called = f"llvm.{name}.v{vector.count}f{real.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, [vector]), called)
        return builder.call(function, arguments)

    if lanes is None:
        return numbers, once
    count = lanes.count

    def one_by_one(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        result = ir.Constant(context.get_value_type(lanes), ir.Undefined)
        for k in range(count):
            at = ir.Constant(ir.IntType(32), k)
            each = [
                builder.extract_element(argument, at) if isinstance(operand, Lanes) else argument
                for argument, operand in zip(arguments, operands, strict=True)
            ]
            value = context.compile_internal(builder, body, numbers, each)
            result = builder.insert_element(result, value, at)
        return result

    return lanes(*operands), by_instruction if name in _INSTRUCTIONS else one_by_one


def function(name: str) -> Callable[..., Any]:
    """The elementary function of this name, for lanes and for numbers."""
    if config.DISABLE_JIT:
        plain: Callable[..., Any] = getattr(elementary, name)
        return plain
    result: Callable[..., Any] = intrinsic(_by_operands(name)[_OPERANDS.get(name, 1)])
    return result


def _by_operands(name: str) -> dict[int, Callable[..., Any]]:
    """The typing of a function of one, two or four operands; Numba looks at how many it names."""

    def one(typing_context: Any, x: Any) -> Any:
        return _typed(name, (x,))

    def two(typing_context: Any, x: Any, y: Any) -> Any:
        return _typed(name, (x, y))

    def four(typing_context: Any, key: Any, step: Any, sample: Any, element: Any) -> Any:
        return _typed(name, (key, step, sample, element))

    return {1: one, 2: two, 4: four}
