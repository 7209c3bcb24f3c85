"""Arithmetic and powers, with broadcasting as NumPy does it."""

from __future__ import annotations

from typing import Any

from graphgrad.graph import ATOM, POWER, PRODUCT, SUM, Node, Notation, Operand, Type, number, public
from graphgrad.ops.elementwise import Elementwise, built_in, documented, internal
from graphgrad.ops.symbolic import sp, where


def _product(*types: Type) -> Notation:
    latex, unicode = (r"\odot", "⊙") if all(type.shape for type in types) else (r"\cdot", "·")
    return Notation(f"{{0}} {latex} {{1}}", f"{{0}} {unicode} {{1}}", "{0} * {1}", PRODUCT, (PRODUCT, PRODUCT))


add = built_in(
    "add",
    lambda a, b: a + b,
    lambda y, a, b: (1, 1),
    Notation("{0} + {1}", "{0} + {1}", "{0} + {1}", SUM, (SUM, SUM)),
    doc="""`a + b`: y = a + b, elementwise.

    Shapes broadcast as NumPy's do; raises ShapeError where they cannot. The gradient passes unchanged to both, summed
    over what was stretched.
    Source: Goodfellow et al., Deep Learning, 2016, 2.1.""",
    example=([1.0, 2.0], [0.5, -2.0], [1.5, 0.0]),
)
subtract = built_in(
    "subtract",
    lambda a, b: a - b,
    lambda y, a, b: (1, -1),
    Notation("{0} - {1}", "{0} − {1}", "{0} - {1}", SUM, (SUM, PRODUCT)),
    doc="""`a - b`: y = a - b, elementwise. Shapes broadcast; raises ShapeError where they cannot.

    Source: Goodfellow et al., Deep Learning, 2016, 2.1.""",
    example=([1.0, 2.0], [0.5, -2.0], [0.5, 4.0]),
)
multiply = built_in(
    "multiply",
    lambda a, b: a * b,
    lambda y, a, b: (b, a),
    _product,
    doc="""`a * b`: y = a b, elementwise (the Hadamard product, written ⊙).

    Shapes broadcast; raises ShapeError where they cannot. The gradient of each operand is the other one.
    Source: Goodfellow et al., Deep Learning, 2016, 2.2 (the element-wise product).""",
    example=([1.0, 2.0], [0.5, -2.0], [0.5, -4.0]),
)
divide = built_in(
    "divide",
    lambda a, b: a / b,
    lambda y, a, b: (1 / b, -y / b),
    Notation(r"\frac{{0}}{{1}}", "{0} / {1}", "{0} / {1}", PRODUCT, (PRODUCT, POWER), (SUM, SUM)),
    doc="""`a / b`: y = a / b, elementwise, by the rules of IEEE 754: 1/0 is infinity, 0/0 is NaN.

    Shapes broadcast; raises ShapeError where they cannot. The gradients are 1/b and -y/b.
    Source: NumPy's `divide`.""",
    example=([1.0, 2.0], [0.5, -2.0], [2.0, -1.0]),
)
negative = built_in(
    "negative",
    lambda a: -a,
    lambda y, a: -1,
    Notation("-{0}", "−{0}", "-{0}", PRODUCT, (PRODUCT,)),
    doc="""`-a`: y = -a, elementwise.

    Source: NumPy's `negative`.""",
    example=([1.0, -2.0], [-1.0, 2.0]),
)
identity = built_in(
    "identity",
    lambda a: a,
    lambda y, a: 1,
    Notation("{0}", "{0}", "identity({0})", SUM, (SUM,)),
    doc="""The same value under another name, y = a: what naming a node a second time makes.

    Source: ONNX, `Identity`.""",
    example=([1.0, -2.0], [1.0, -2.0]),
)
square = built_in(
    "square",
    lambda a: a**2,
    lambda y, a: 2 * a,
    Notation("{0}^2", "{0}²", "square({0})", POWER, (ATOM,)),
    doc="""The square, y = a², elementwise. The derivative is 2a.

    Source: NumPy's `square`.""",
    example=([3.0, -0.5], [9.0, 0.25]),
)
reciprocal = built_in(
    "reciprocal",
    lambda a: 1 / a,
    lambda y, a: -square(y),
    Notation(r"\frac{1}{{0}}", "1/{0}", "reciprocal({0})", PRODUCT, (POWER,), (SUM,)),
    doc="""The reciprocal, y = 1/a, elementwise; infinite at 0. The derivative is -y².

    Source: NumPy's `reciprocal`.""",
    example=([4.0, -0.5], [0.25, -2.0]),
)
sqrt = built_in(
    "sqrt",
    lambda a: sp.sqrt(a),
    lambda y, a: 1 / (2 * y),
    Notation(r"\sqrt{{0}}", "√({0})", "sqrt({0})"),
    doc="""The square root, y = √a, elementwise; NaN below 0. The derivative 1/(2y) is infinite at 0.

    Source: NIST Digital Library of Mathematical Functions, 4.2.""",
    example=([4.0, 0.25], [2.0, 0.5]),
)
rsqrt = built_in(
    "rsqrt",
    lambda a: 1 / sp.sqrt(a),
    lambda y, a: -0.5 * y**3,
    Notation(r"\frac{1}{\sqrt{{0}}}", "1/√({0})", "rsqrt({0})", PRODUCT),
    doc="""The reciprocal square root, y = 1/√a, elementwise; infinite at 0, NaN below. The derivative is -y³/2.

    Source: ONNX, `Reciprocal` of `Sqrt`.""",
    example=([4.0, 0.25], [0.5, 2.0]),
)


# -- powers ----------------------------------------------------------------------------------------------------------


@public
def power(a: Operand, b: Operand) -> Any:
    """`a ** b`: y = aᵇ, elementwise; 2, -1, 1/2, 1 and 0 as exponents take their own operations.

    Shapes broadcast. The gradient is b·aᵇ⁻¹ for a and y·ln a for b, so an exponent that is a node asks for a > 0; at
    a = 0 the gradient for b is 0 where b ≥ 0, and for the exponent 0 the gradient for a is 0, as in PyTorch.
    Source: NIST Digital Library of Mathematical Functions, 4.2.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     a = gg.input("a", 2)
    ...     g.A = a**3
    >>> gg.compile(g, "A", target="numpy")(a=[2.0, -1.0])["A"].tolist()
    [8.0, -1.0]
    """
    if isinstance(b, int | float) and not isinstance(b, bool):
        if isinstance(a, Node) and b == 1:
            return a
        special = {2: square, -1: reciprocal, 0.5: sqrt, -0.5: rsqrt}.get(b)
        if special is not None:
            return special(a)
        return _fixed_power(a, exponent=b) if b != 1 else a
    return _power(a, b)


def _slope_in_base(a: Any, b: Any) -> Any:
    return where(sp.Eq(b, 0), 0, b * a ** (b - 1))


def _slope_in_exponent(a: Any, b: Any) -> Any:
    return where(sp.And(sp.Eq(a, 0), b >= 0), 0, a**b * sp.log(a))


_power_by_base: Elementwise = internal(
    "power_by_base",
    _slope_in_base,
    lambda y, a, b: (b * _power_by_base(a, b - 1), power(a, b - 1) + b * _power_by_exponent(a, b - 1)),
    Notation("{1} {0}^{{1} - 1}", "{1} {0}^({1} − 1)", "{1} * {0} ** ({1} - 1)", PRODUCT, (ATOM, ATOM)),
)
"""∂/∂a of aᵇ; 0 for the exponent 0, also at a = 0."""

_power_by_exponent: Elementwise = internal(
    "power_by_exponent",
    _slope_in_exponent,
    lambda y, a, b: (power(a, b - 1) + b * _power_by_exponent(a, b - 1), _power_by_exponent(a, b) * _ln(a)),
    Notation(r"{0}^{{1}} \ln {0}", "{0}^{1} ln {0}", "{0} ** {1} * log({0})", PRODUCT, (ATOM, ATOM), (ATOM, SUM)),
)
"""∂/∂b of aᵇ; 0 for a = 0 and b no less than 0."""

_ln: Elementwise = internal(
    "ln", lambda a: sp.log(a), lambda y, a: 1 / a, Notation(r"\ln {0}", "ln {0}", "log({0})", PRODUCT, (ATOM,))
)

_power: Elementwise = internal(
    "power",
    lambda a, b: a**b,
    lambda y, a, b: (_power_by_base(a, b), _power_by_exponent(a, b)),
    Notation("{0}^{{1}}", "{0}^{1}", "{0} ** {1}", POWER, (ATOM, ATOM), (ATOM, SUM)),
)


def _exponent(a: Any, *, exponent: float = 3.0) -> Any:
    return a ** (sp.Integer(int(exponent)) if exponent == int(exponent) else sp.Float(exponent))


def _raised(*types: Type, exponent: float) -> Notation:
    shown = number(exponent)
    text = f"({shown})" if shown.startswith("-") else shown
    return Notation(f"{{0}}^{{ {shown} }}", f"{{0}}^{text}", f"{{0}} ** {text}", POWER, (ATOM,))


_fixed_power = Elementwise(
    "power",
    _exponent,
    lambda y, a, exponent: exponent * power(a, exponent - 1) if exponent else 0,
    _raised,
    (("exponent", 3.0),),
    True,
)

__all__ = [
    "add",
    "divide",
    "identity",
    "multiply",
    "negative",
    "power",
    "reciprocal",
    "rsqrt",
    "sqrt",
    "square",
    "subtract",
]
__test__ = documented(vars(), __all__)
