"""SymPy, imported when the first formula is looked at, and the evaluation of a formula with NumPy.

SymPy sees the body of one operation at a time, never a network; a graph can be built, differentiated and run from
the kernel cache without it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from graphgrad.ops.hashing import hashed


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

    The expression is walked, never turned into code. Raises ValueError for a function that has no value here.
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
            constant = float(part)  # of no precision of its own: float32 stays float32
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
        if part.func.__name__ == "ITE":
            condition, then, otherwise = map(walk, part.args)
            return lambda values: np.where(condition(values), then(values), otherwise(values))
        if part.is_Pow:
            if part.exp.is_number and part.exp.is_negative:
                divisor = walk(part.base**-part.exp)
                return lambda values: 1.0 / divisor(values)
            base, exponent = walk(part.base), walk(part.exp)
            if part.exp == sp.Rational(1, 2):
                return lambda values: np.sqrt(base(values))
            return lambda values: np.power(base(values), exponent(values))
        function = _NUMPY.get(part.func.__name__)
        if function is None:
            raise ValueError(f"{part.func.__name__} has no numerical value: a formula may use {', '.join(FUNCTIONS)}")
        arguments = [walk(argument) for argument in part.args]
        if len(arguments) == 1:
            only = arguments[0]
            return lambda values: function(only(values))
        if part.func.__name__ == "hashed":
            return lambda values: hashed(*(argument(values) for argument in arguments))

        def fold(values: Sequence[Array]) -> Array:
            result = arguments[0](values)
            for argument in arguments[1:]:
                result = function(result, argument(values))
            return result

        return fold

    program = walk(plain(sp.sympify(expression, strict=True)))

    def evaluate(*values: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(program(values))

    return evaluate


def _special(name: str) -> Callable[[Array], Array]:
    def evaluate(x: Array) -> Array:
        return np.asarray(getattr(importlib.import_module("scipy.special"), name)(x))

    return evaluate


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "log2": np.log2,
    "log10": np.log10,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "atan2": np.arctan2,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "erf": _special("erf"),
    "erfc": _special("erfc"),
    "Abs": np.abs,
    "floor": np.floor,
    "ceiling": np.ceil,
    "rint": np.rint,
}
"""The functions that a formula may use, by SymPy's name for each; the compiler has a list of the same names."""

PLAIN = ("sign", "Max", "Min", "Heaviside", "DiracDelta")
"""The functions that are first written out in cases."""

_NUMPY: dict[str, Callable[..., Any]] = {
    **FUNCTIONS,
    "Add": np.add,
    "Mul": np.multiply,
    "StrictGreaterThan": np.greater,
    "GreaterThan": np.greater_equal,
    "StrictLessThan": np.less,
    "LessThan": np.less_equal,
    "Equality": np.equal,
    "Unequality": np.not_equal,
    "And": np.logical_and,
    "Or": np.logical_or,
    "Not": np.logical_not,
    "hashed": hashed,
}


def unknown(expression: Any) -> set[str]:
    """The names of the functions in an expression that have no numerical value here."""
    known = {*_NUMPY, *PLAIN, "Pow", "Piecewise", "ExprCondPair", "ITE"} - {"hashed"}
    parts = (part for part in sp.preorder_traversal(expression) if part.args)
    return {part.func.__name__ for part in parts if not part.is_number} - known


def plain(expression: Any) -> Any:
    """The expression with its jumps and extremes in cases, where a NaN goes through.

    sign(0) is 0; of two equal numbers Max and Min take the first in SymPy's own order, which puts a constant first, so
    that Max(0, x) has the slope 0 at 0; DiracDelta, the slope of a jump, is 0.
    """
    rules = {
        "sign": lambda x: sp.Piecewise((-1, x < 0), (1, x > 0), (0, sp.Eq(x, 0)), (sp.nan, True)),
        "Heaviside": lambda x, at_0: sp.Piecewise((0, x < 0), (1, x > 0), (at_0, sp.Eq(x, 0)), (sp.nan, True)),
        "DiracDelta": lambda x, *order: sp.S.Zero,
        "Max": lambda *parts: reduce(larger, sorted(parts, key=sp.default_sort_key)),
        "Min": lambda *parts: reduce(smaller, sorted(parts, key=sp.default_sort_key)),
    }
    for name, rule in rules.items():
        if function := [part.func for part in sp.preorder_traversal(expression) if part.func.__name__ == name]:
            expression = expression.replace(function[0], rule)
    return expression


def larger(a: Any, b: Any) -> Any:
    """The larger of two numbers: the first of equal ones, NaN where one of them is."""
    return where(a >= b, a, where(a < b, b, a + b))


def smaller(a: Any, b: Any) -> Any:
    """The smaller of two numbers: the first of equal ones, NaN where one of them is."""
    return where(a <= b, a, where(a > b, b, a + b))


def derived(expression: Any, symbol: Any) -> Any:
    """The derivative; what is rounded (floor, ceiling, rint) counts as a constant, and |x| has the slope 0 at 0."""
    whole = {part: sp.Dummy(real=True) for part in sp.preorder_traversal(expression) if part.func.__name__ in _ROUNDED}
    smooth = expression.xreplace(whole).replace(sp.Abs, lambda x: x * plain(sp.sign(x)))
    back = {constant: part for part, constant in whole.items()}
    return sp.diff(plain(smooth), symbol).xreplace(back)


_ROUNDED = ("floor", "ceiling", "rint")


def rint(x: Any) -> Any:
    """The nearest whole number, the even one of two."""
    return sp.Function("rint")(x)


def log2(x: Any) -> Any:
    """The logarithm to the base 2 as SymPy's own function, exact for powers of 2."""
    return importlib.import_module("sympy.codegen.cfunctions").log2(x)


def log10(x: Any) -> Any:
    """The logarithm to the base 10 as SymPy's own function, exact for powers of 10."""
    return importlib.import_module("sympy.codegen.cfunctions").log10(x)


def log1p(x: Any) -> Any:
    """log(1 + x) as SymPy's own function, so that code and reference keep its accuracy near 0."""
    return importlib.import_module("sympy.codegen.cfunctions").log1p(x)


def expm1(x: Any) -> Any:
    """exp(x) - 1 as SymPy's own function, so that code and reference keep its accuracy near 0."""
    return importlib.import_module("sympy.codegen.cfunctions").expm1(x)


def where(condition: Any, then: Any, otherwise: Any) -> Any:
    """`then` where the condition holds, else `otherwise`; a NaN makes any comparison false."""
    return sp.Piecewise((then, condition), (otherwise, True))
