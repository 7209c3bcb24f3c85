"""Trigonometric and hyperbolic functions, and their inverses; angles are in radians."""

from __future__ import annotations

from graphgrad.graph import Notation
from graphgrad.ops.arithmetic import rsqrt
from graphgrad.ops.elementwise import Elementwise, built_in, documented
from graphgrad.ops.symbolic import sp


def _named(name: str, latex: str = "") -> Notation:
    return Notation(rf"\{latex or name}\left({{*}}\right)", f"{latex or name}({{*}})", f"{name}({{*}})")


def _inverse(name: str, latex: str) -> Notation:
    return Notation(rf"\operatorname{{{latex}}}\left({{*}}\right)", f"{latex}({{*}})", f"{name}({{*}})")


sin = built_in(
    "sin",
    lambda a: sp.sin(a),
    lambda y, a: cos(a),
    _named("sin"),
    doc="""The sine, y = sin a, elementwise. The derivative is cos a. Source: DLMF 4.14.""",
    example=([0.0, 1.0], [0.0, 0.8415]),
)
cos: Elementwise = built_in(
    "cos",
    lambda a: sp.cos(a),
    lambda y, a: -sin(a),
    _named("cos"),
    doc="""The cosine, y = cos a, elementwise. The derivative is -sin a. Source: DLMF 4.14.""",
    example=([0.0, 1.0], [1.0, 0.5403]),
)
tan = built_in(
    "tan",
    lambda a: sp.tan(a),
    lambda y, a: 1 + y**2,
    _named("tan"),
    doc="""The tangent, y = tan a, elementwise. The derivative is 1 + y². Source: DLMF 4.14.""",
    example=([0.0, 1.0], [0.0, 1.5574]),
)
asin = built_in(
    "asin",
    lambda a: sp.asin(a),
    lambda y, a: rsqrt((1 - a) * (1 + a)),
    _named("asin", "arcsin"),
    doc="""The inverse sine, y = arcsin a in [-π/2, π/2], elementwise; NaN outside of [-1, 1]. The derivative is 1/√(1 - a²).
    Source: DLMF 4.23.""",
    example=([0.0, 1.0], [0.0, 1.5708]),
)
acos = built_in(
    "acos",
    lambda a: sp.acos(a),
    lambda y, a: -rsqrt((1 - a) * (1 + a)),
    _named("acos", "arccos"),
    doc="""The inverse cosine, y = arccos a in [0, π], elementwise; NaN outside of [-1, 1]. The derivative is -1/√(1 - a²).
    Source: DLMF 4.23.""",
    example=([0.0, 1.0], [1.5708, 0.0]),
)
atan = built_in(
    "atan",
    lambda a: sp.atan(a),
    lambda y, a: 1 / (1 + a**2),
    _named("atan", "arctan"),
    doc="""The inverse tangent, y = arctan a in [-π/2, π/2], elementwise. The derivative is 1/(1 + a²). Source: DLMF 4.23.""",
    example=([0.0, 1.0], [0.0, 0.7854]),
)
atan2 = built_in(
    "atan2",
    lambda a, b: sp.atan2(a, b),
    lambda y, a, b: (b / (a**2 + b**2), -a / (a**2 + b**2)),
    Notation(r"\operatorname{atan2}\left({*}\right)", "atan2({*})", "atan2({*})"),
    doc="""The angle of the point (b, a), with its quadrant: y = arctan(a / b) in [-π, π], elementwise.

    Shapes broadcast. The gradients are b/(a² + b²) and -a/(a² + b²). Source: DLMF 4.23.""",
    example=([1.0, 0.0], [1.0, -1.0], [0.7854, 3.1416]),
)
sinh = built_in(
    "sinh",
    lambda a: sp.sinh(a),
    lambda y, a: cosh(a),
    _named("sinh"),
    doc="""The hyperbolic sine, y = (eᵃ - e⁻ᵃ)/2, elementwise. The derivative is cosh a. Source: DLMF 4.28.""",
    example=([0.0, 1.0], [0.0, 1.1752]),
)
cosh: Elementwise = built_in(
    "cosh",
    lambda a: sp.cosh(a),
    lambda y, a: sinh(a),
    _named("cosh"),
    doc="""The hyperbolic cosine, y = (eᵃ + e⁻ᵃ)/2, elementwise. The derivative is sinh a. Source: DLMF 4.28.""",
    example=([0.0, 1.0], [1.0, 1.5431]),
)
asinh = built_in(
    "asinh",
    lambda a: sp.asinh(a),
    lambda y, a: rsqrt(1 + a**2),
    _inverse("asinh", "arsinh"),
    doc="""The inverse hyperbolic sine, y = ln(a + √(a² + 1)), elementwise. The derivative is 1/√(1 + a²). Source: DLMF 4.37.""",
    example=([0.0, 1.0], [0.0, 0.8814]),
)
acosh = built_in(
    "acosh",
    lambda a: sp.acosh(a),
    lambda y, a: rsqrt((a - 1) * (a + 1)),
    _inverse("acosh", "arcosh"),
    doc="""The inverse hyperbolic cosine, y = ln(a + √(a² - 1)) ≥ 0, elementwise; NaN below 1. The derivative is 1/√(a² - 1).
    Source: DLMF 4.37.""",
    example=([1.0, 2.0], [0.0, 1.317]),
)
atanh = built_in(
    "atanh",
    lambda a: sp.atanh(a),
    lambda y, a: 1 / ((1 - a) * (1 + a)),
    _inverse("atanh", "artanh"),
    doc="""The inverse hyperbolic tangent, y = ln((1 + a)/(1 - a))/2, elementwise; NaN outside of [-1, 1]. The derivative is
    1/(1 - a²). Source: DLMF 4.37.""",
    example=([0.0, 0.5], [0.0, 0.5493]),
)

__all__ = ["acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cos", "cosh", "sin", "sinh", "tan"]
__test__ = documented(vars(), __all__)
