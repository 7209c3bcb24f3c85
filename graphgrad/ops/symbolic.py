"""SymPy, imported when the first formula is looked at, and the evaluation of a formula with NumPy.

SymPy sees the body of one operation at a time, never a network; a graph can be built, differentiated and run from
the kernel cache without it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


class _Sympy:
    """The module `sympy`, imported at the first attribute that is asked for."""

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module("sympy"), attribute)


sp: Any = _Sympy()

Array = np.ndarray[Any, np.dtype[Any]]


def is_expression(value: object) -> bool:
    """Whether a value is a SymPy expression (without importing SymPy to find out)."""
    return "sympy" in sys.modules and isinstance(value, sp.Basic)


def numeric(symbols: Sequence[Any], expression: Any) -> Callable[..., Array]:
    """A function that evaluates a SymPy expression on arrays: the slow, certain reference of an operation's body.

    The expression is walked, never turned into code.
    """
    place = {symbol: position for position, symbol in enumerate(symbols)}

    def walk(part: Any) -> Callable[[Sequence[Array]], Array]:
        if part in place:
            position = place[part]
            return lambda values: values[position]
        if part in (sp.true, sp.false):
            truth = np.asarray(bool(part))
            return lambda values: truth
        if part.is_number and not part.has(sp.I):
            constant = np.float64(float(part))
            return lambda values: constant  # type: ignore[return-value]
        if part.is_Piecewise:
            pieces = [(walk(value), walk(condition)) for value, condition in part.args]

            def piecewise(values: Sequence[Array]) -> Array:
                chosen = [np.asarray(condition(values)) for _, condition in pieces]
                results = [np.asarray(value(values)) for value, _ in pieces]
                shape = np.broadcast_shapes(*(a.shape for a in (*chosen, *results)))
                return np.select(
                    [np.broadcast_to(condition, shape) for condition in chosen],
                    [np.broadcast_to(result, shape) for result in results],
                    np.nan,
                )

            return piecewise
        if part.is_Pow:
            base, exponent = walk(part.base), walk(part.exp)
            if part.exp == -1:
                return lambda values: 1.0 / base(values)
            if part.exp == sp.Rational(1, 2):
                return lambda values: np.sqrt(base(values))
            return lambda values: np.power(base(values), exponent(values))
        function = _NUMPY.get(part.func.__name__)
        if function is None:
            raise ValueError(f"{part.func.__name__} has no numerical value: a formula may use {', '.join(_NUMPY)}")
        arguments = [walk(argument) for argument in part.args]
        if len(arguments) == 1:
            only = arguments[0]
            return lambda values: function(only(values))

        def fold(values: Sequence[Array]) -> Array:
            result = arguments[0](values)
            for argument in arguments[1:]:
                result = function(result, argument(values))
            return result

        return fold

    program = walk(sp.sympify(expression))

    def evaluate(*values: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(program(values))

    return evaluate


def _erf(x: Array) -> Array:
    from scipy.special import erf

    return np.asarray(erf(x))


_NUMPY: dict[str, Callable[..., Any]] = {
    "Add": np.add,
    "Mul": np.multiply,
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "expm1": np.expm1,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": _erf,
    "Abs": np.abs,
    "sign": np.sign,
    "floor": np.floor,
    "ceiling": np.ceil,
    "Max": np.maximum,
    "Min": np.minimum,
    "StrictGreaterThan": np.greater,
    "GreaterThan": np.greater_equal,
    "StrictLessThan": np.less,
    "LessThan": np.less_equal,
    "Equality": np.equal,
    "Unequality": np.not_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Not": np.logical_not,
}


def log1p(x: Any) -> Any:
    """log(1 + x) as SymPy's own function, so that code and reference keep its accuracy near 0."""
    return importlib.import_module("sympy.codegen.cfunctions").log1p(x)


def expm1(x: Any) -> Any:
    """exp(x) - 1 as SymPy's own function, so that code and reference keep its accuracy near 0."""
    return importlib.import_module("sympy.codegen.cfunctions").expm1(x)


def where(condition: Any, then: Any, otherwise: Any) -> Any:
    """`then` where the condition holds, else `otherwise`; a NaN makes any comparison false."""
    return sp.Piecewise((then, condition), (otherwise, True))
