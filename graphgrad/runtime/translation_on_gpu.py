"""The same translation for a GPU: a step's text becomes instructions directly, not by Numba's own passes, which take a
minute and more for a large one.

What the text says about the grid is called by functions of one name each; elements of a nest are numbered from 0 on.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from typing import Any

from numba import types

from graphgrad.runtime import views
from graphgrad.runtime.translated import definition_of, in_place_of
from graphgrad.runtime.translation import Code, translate


def device_step(step: Callable[..., Any], of_grid: dict[str, Callable[..., Any]]) -> Any:
    """A step as a device function; `of_grid` has what it calls as `thread_of_grid`, `threads_of_grid` and `meet`."""
    from numba import cuda
    from numba.cuda.extending import intrinsic

    names = {**step.__globals__, **of_grid, "array_at": views.array_at}

    def typed(typing_context: Any, *given: Any) -> Any:
        definition = Named().visit(definition_of(step))
        returns = any(isinstance(line, ast.Return) for line in definition.body)

        def generate(context: Any, builder: Any, found: Any, values: Any) -> Any:
            return translate(definition, names, context, builder, found, values, OnGPU)

        return (given[-1].dtype if returns else types.none)(*given), generate

    return cuda.jit(device=True)(in_place_of(step, typed, intrinsic))


class Named(ast.NodeTransformer):
    """What is said of the grid, by names."""

    def visit_Assign(self, line: ast.Assign) -> ast.Assign | None:
        if isinstance(line.targets[0], ast.Name) and line.targets[0].id == "grid":
            return None
        self.generic_visit(line)
        return line

    def visit_Call(self, call: ast.Call) -> ast.Call:
        match call.func:
            case ast.Attribute(value=ast.Name(id="grid"), attr="sync"):
                return ast.Call(ast.Name("meet", ast.Load()), [], [])
            case ast.Attribute(value=ast.Name(id="cuda"), attr="grid" | "gridsize" as name):
                called = "thread_of_grid" if name == "grid" else "threads_of_grid"
                return ast.Call(ast.Name(called, ast.Load()), [], [])
        self.generic_visit(call)
        return call


class OnGPU(Code):
    """Instructions of one function: NVIDIA's compiler makes functions of its own where it wants them."""

    def apart(self, line: ast.stmt) -> None:
        self.line(line)

    def adds_in_any_order(self, name: str) -> bool:
        return False

    def stays_rolled(self, name: str, count: int, body: Sequence[ast.stmt]) -> bool:
        return False

    def called(self, generate: Any) -> None:
        """Functions of the device lie in libraries of their own."""
        self.context.add_linking_libs(getattr(generate, "libs", ()))

    def value(self, expression: ast.expr) -> Any:
        match expression:
            case ast.BinOp(left=left, op=ast.FloorDiv() | ast.Mod() as sign, right=right) if _is_element(left):
                divide = self.b.udiv if isinstance(sign, ast.FloorDiv) else self.b.urem
                return divide(self.value(left), self.value(right))
        return super().value(expression)


def _is_element(expression: ast.expr) -> bool:
    """Whether it is the number of an element, or a quotient of it."""
    match expression:
        case ast.Name(id="element"):
            return True
        case ast.BinOp(left=left, op=ast.FloorDiv()):
            return _is_element(left)
    return False
