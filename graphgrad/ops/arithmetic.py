"""Arithmetic and the elementary functions, with broadcasting as NumPy does it."""

from __future__ import annotations

from typing import Any

from graphgrad.graph import ATOM, POWER, PRODUCT, SUM, Node, Notation, Operand, Type, number, public
from graphgrad.ops.elementwise import Elementwise, built_in
from graphgrad.ops.symbolic import expm1 as _expm1
from graphgrad.ops.symbolic import log1p as _log1p
from graphgrad.ops.symbolic import sp, where


def _product(*types: Type) -> Notation:
    latex, unicode = (r"\odot", "⊙") if all(type.shape for type in types) else (r"\cdot", "·")
    return Notation(f"{{0}} {latex} {{1}}", f"{{0}} {unicode} {{1}}", "{0} * {1}", PRODUCT, (PRODUCT, PRODUCT))


def _called(latex: str, unicode: str, text: str) -> Notation:
    return Notation(latex, unicode, text)


add = built_in(
    "add",
    lambda a, b: a + b,
    lambda y, a, b: (1, 1),
    Notation("{0} + {1}", "{0} + {1}", "{0} + {1}", SUM, (SUM, SUM)),
)
subtract = built_in(
    "subtract",
    lambda a, b: a - b,
    lambda y, a, b: (1, -1),
    Notation("{0} - {1}", "{0} − {1}", "{0} - {1}", SUM, (SUM, PRODUCT)),
)
multiply = built_in("multiply", lambda a, b: a * b, lambda y, a, b: (b, a), _product)
divide = built_in(
    "divide",
    lambda a, b: a / b,
    lambda y, a, b: (1 / b, -y / b),
    Notation(r"\frac{{0}}{{1}}", "{0} / {1}", "{0} / {1}", PRODUCT, (PRODUCT, POWER), (SUM, SUM)),
)
negative = built_in(
    "negative", lambda a: -a, lambda y, a: -1, Notation("-{0}", "−{0}", "-{0}", PRODUCT, (PRODUCT,))
)
identity = built_in("identity", lambda a: a, lambda y, a: 1, Notation("{0}", "{0}", "identity({0})", SUM, (SUM,)))
square = built_in(
    "square",
    lambda a: a**2,
    lambda y, a: 2 * a,
    Notation("{0}^2", "{0}²", "square({0})", POWER, (ATOM,)),
)
reciprocal = built_in(
    "reciprocal",
    lambda a: 1 / a,
    lambda y, a: -square(y),
    Notation(r"\frac{1}{{0}}", "1/{0}", "reciprocal({0})", PRODUCT, (POWER,), (SUM,)),
)
sqrt = built_in(
    "sqrt",
    lambda a: sp.sqrt(a),
    lambda y, a: 1 / (2 * y),
    _called(r"\sqrt{{0}}", "√({0})", "sqrt({0})"),
)
exp = built_in("exp", lambda a: sp.exp(a), lambda y, a: y, _called(r"e^{{0}}", "exp({0})", "exp({0})"))
log = built_in(
    "log",
    lambda a: sp.log(a),
    lambda y, a: 1 / a,
    _called(r"\ln\left({0}\right)", "ln({0})", "log({0})"),
)
expm1 = built_in("expm1", lambda a: _expm1(a), lambda y, a: y + 1, _called("e^{{0}} - 1", "expm1({0})", "expm1({0})"))
log1p = built_in(
    "log1p",
    lambda a: _log1p(a),
    lambda y, a: 1 / (1 + a),
    _called(r"\ln\left(1 + {0}\right)", "ln(1 + {0})", "log1p({0})"),
)
sign = built_in(
    "sign",
    lambda a: sp.Piecewise((-1, a < 0), (1, a > 0), (a, True)),
    lambda y, a: 0,
    _called(r"\operatorname{sign}\left({0}\right)", "sign({0})", "sign({0})"),
)
abs_ = built_in(
    "abs",
    lambda a: where(a < 0, -a, a),
    lambda y, a: sign(a),
    _called(r"\left\lvert {0} \right\rvert", "|{0}|", "abs({0})"),
)
step = built_in(
    "step",
    lambda a: where(a <= 0, 0, where(a > 0, 1, a)),
    lambda y, a: 0,
    _called(r"\mathbb{1}\left[{0} > 0\right]", "1[{0} > 0]", "step({0})"),
)


def _power_notation(exponent: str) -> Notation:
    return Notation(f"{{0}}^{{{exponent}}}", f"{{0}}^{exponent}", f"{{0}} ** {exponent}", POWER, (ATOM,))


_power = Elementwise(
    "power",
    lambda a, b: a**b,
    lambda y, a, b: (b * power(a, b - 1), y * log(a)),
    Notation("{0}^{{1}}", "{0}^{1}", "{0} ** {1}", POWER, (ATOM, ATOM), (ATOM, SUM)),
    (),
    True,
)


@public
def power(a: Operand, b: Operand) -> Any:
    """`a ** b`: y = aᵇ, elementwise; 2, -1, 1/2, 1 and 0 as exponents take their own operations.

    Shapes broadcast. The gradient is b·aᵇ⁻¹ for a and y·ln a for b, so an exponent that is a node asks for a > 0.
    Source: NumPy's `power`.
    """
    if isinstance(b, int | float) and not isinstance(b, bool):
        if isinstance(a, Node) and b == 1:
            return a
        special = {2: square, -1: reciprocal, 0.5: sqrt}.get(b)
        if special is not None:
            return special(a)
        return _fixed_power(a, exponent=b) if b != 1 else a
    return _power(a, b)


def _exponent(a: Any, *, exponent: float = 3.0) -> Any:
    return a ** (sp.Integer(int(exponent)) if exponent == int(exponent) else sp.Float(exponent))


def _raised(*types: Type, exponent: float) -> Notation:
    shown = number(exponent)
    text = f"({shown})" if shown.startswith("-") else shown
    return Notation(f"{{0}}^{{{shown}}}", f"{{0}}^{text}", f"{{0}} ** {text}", POWER, (ATOM,))


_fixed_power = Elementwise(
    "power", _exponent, lambda y, a, exponent: exponent * power(a, exponent - 1), _raised, (("exponent", 3.0),), True
)
