"""Exponentials, logarithms, and the error function."""

from __future__ import annotations

import math

from graphgrad.graph import Notation
from graphgrad.ops.elementwise import built_in, documented
from graphgrad.ops.symbolic import expm1 as _expm1
from graphgrad.ops.symbolic import log1p as _log1p
from graphgrad.ops.symbolic import log2 as _log2
from graphgrad.ops.symbolic import log10 as _log10
from graphgrad.ops.symbolic import sp

exp = built_in(
    "exp",
    lambda a: sp.exp(a),
    lambda y, a: y,
    Notation(r"e^{{0}}", "exp({0})", "exp({0})"),
    doc="""The exponential, y = eᵃ, elementwise. It is its own derivative. Source: DLMF 4.2.""",
    example=([0.0, 1.0], [1.0, 2.7183]),
)
expm1 = built_in(
    "expm1",
    lambda a: _expm1(a),
    lambda y, a: exp(a),
    Notation("e^{{0}} - 1", "expm1({0})", "expm1({0})"),
    doc="""y = eᵃ - 1, elementwise, exact to the last places where a is near 0. The derivative is eᵃ. Source: DLMF 4.2.""",
    example=([0.0, 1.0], [0.0, 1.7183]),
)
log = built_in(
    "log",
    lambda a: sp.log(a),
    lambda y, a: 1 / a,
    Notation(r"\ln\left({0}\right)", "ln({0})", "log({0})"),
    doc="""The natural logarithm, y = ln a, elementwise; -infinity at 0, NaN below. The derivative is 1/a. Source: DLMF 4.2.""",
    example=([1.0, 2.0], [0.0, 0.6931]),
)
log1p = built_in(
    "log1p",
    lambda a: _log1p(a),
    lambda y, a: 1 / (1 + a),
    Notation(r"\ln\left(1 + {0}\right)", "ln(1 + {0})", "log1p({0})"),
    doc="""y = ln(1 + a), elementwise, exact to the last places where a is near 0; NaN below -1. The derivative is 1/(1 + a).
    Source: DLMF 4.2.""",
    example=([0.0, 1.0], [0.0, 0.6931]),
)
log2 = built_in(
    "log2",
    lambda a: _log2(a),
    lambda y, a: 1 / (math.log(2) * a),
    Notation(r"\log_2\left({0}\right)", "log₂({0})", "log2({0})"),
    doc="""The logarithm to the base 2, y = log₂ a, elementwise; -infinity at 0, NaN below. The derivative is 1/(a ln 2).
    Source: DLMF 4.2.""",
    example=([1.0, 8.0], [0.0, 3.0]),
)
log10 = built_in(
    "log10",
    lambda a: _log10(a),
    lambda y, a: 1 / (math.log(10) * a),
    Notation(r"\log_{10}\left({0}\right)", "log₁₀({0})", "log10({0})"),
    doc="""The logarithm to the base 10, y = log₁₀ a, elementwise; -infinity at 0, NaN below. The derivative is 1/(a ln 10).
    Source: DLMF 4.2.""",
    example=([1.0, 1000.0], [0.0, 3.0]),
)
erf = built_in(
    "erf",
    lambda a: sp.erf(a),
    lambda y, a: 2 / math.sqrt(math.pi) * exp(-(a * a)),
    Notation(r"\operatorname{erf}\left({0}\right)", "erf({0})", "erf({0})"),
    doc="""The error function, y = 2/√π ∫₀ᵃ exp(-t²) dt, elementwise. The derivative is 2/√π exp(-a²). Source: DLMF 7.2.""",
    example=([0.0, 0.5], [0.0, 0.5205]),
)
erfc = built_in(
    "erfc",
    lambda a: sp.erfc(a),
    lambda y, a: -2 / math.sqrt(math.pi) * exp(-(a * a)),
    Notation(r"\operatorname{erfc}\left({0}\right)", "erfc({0})", "erfc({0})"),
    doc="""The complementary error function, y = 1 - erf a, elementwise, exact where erf a is near 1. The derivative is
    -2/√π exp(-a²). Source: DLMF 7.2.""",
    example=([0.0, 0.5], [1.0, 0.4795]),
)

__all__ = ["erf", "erfc", "exp", "expm1", "log", "log1p", "log2", "log10"]
__test__ = documented(vars(), __all__)
