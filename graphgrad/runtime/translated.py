"""A function of a generated file whose text is translated when it is compiled, in the place where Numba looks for it."""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable
from typing import Any


def translated(step: Callable[..., Any]) -> Callable[..., Any]:
    """The code of a step for Numba, out of its text, when it is asked for."""

    def generate(context: Any, builder: Any, found: Any, values: Any) -> Any:
        from graphgrad.runtime.translation import translate  # what is in the cache does without

        return translate(definition_of(step), step.__globals__, context, builder, found, values)

    return generate


def definition_of(step: Callable[..., Any]) -> ast.FunctionDef:
    """The text of a step, as it stands in its file."""
    file = step.__code__.co_filename
    linecache.checkcache(file)
    lines = ast.parse("".join(linecache.getlines(file))).body
    (definition,) = (line for line in lines if isinstance(line, ast.FunctionDef) and line.name == step.__name__)
    return definition


def in_place_of(
    step: Callable[..., Any], typed: Callable[..., Any], intrinsic: Callable[[Any], Any]
) -> Callable[..., Any]:
    """The function that Numba sees: in the file of the step and at its line, where the cache looks for it.

    It calls an intrinsic, the type and the code of which are `typed`.
    """
    code = step.__code__
    listed = ", ".join(code.co_varnames[: code.co_argcount])
    space = {**step.__globals__, "_typed": typed}
    exec(f"def body(typing_context, {listed}): return _typed(typing_context, {listed})", space)  # noqa: S102 - names that the printer made
    space["body"] = intrinsic(space["body"])
    tree = ast.parse(f"def {step.__name__}({listed}): return body({listed})")
    exec(compile(ast.increment_lineno(tree, code.co_firstlineno - 1), code.co_filename, "exec"), space)  # noqa: S102
    small: Callable[..., Any] = space[step.__name__]
    small.__doc__ = step.__doc__
    return small
