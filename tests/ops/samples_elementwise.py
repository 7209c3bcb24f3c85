"""Samples of the elementary functions, comparisons, choices and activations."""

from __future__ import annotations

import mpmath as mp
import numpy as np
from scipy import special

import graphgrad as gg
from graphgrad.ops import arithmetic, comparisons
from graphgrad.ops.softmax import _above_top
from tests.ops.samples import APART, CHANCE, EXACT, LINE, POSITIVE, Exact, between, binary, sample, unary

FLAT = {0.0: (0.0, 0.0)}
"""A kink at 0 with the value 0 and the slope 0."""

# -- elementary functions --------------------------------------------------------------------------------------------

unary("rsqrt", lambda a: 1 / np.sqrt(a), lambda a: 1 / mp.sqrt(a), POSITIVE)
unary("log2", lambda a: np.log(a) / np.log(2) if np.iscomplexobj(a) else np.log2(a), lambda a: mp.log(a, 2), POSITIVE)
unary("log10", lambda a: np.log(a) / np.log(10) if np.iscomplexobj(a) else np.log10(a), mp.log10, POSITIVE)
unary("erf", special.erf, mp.erf)
unary("erfc", special.erfc, mp.erfc)
unary("sin", np.sin, mp.sin)
unary("cos", np.cos, mp.cos)
unary("tan", np.tan, mp.tan, between(-1.2, 1.2))
unary("asin", np.arcsin, mp.asin, between(-0.9, 0.9))
unary("acos", np.arccos, mp.acos, between(-0.9, 0.9))
unary("atan", np.arctan, mp.atan)
unary("sinh", np.sinh, mp.sinh)
unary("cosh", np.cosh, mp.cosh)
unary("asinh", np.arcsinh, mp.asinh)
unary("acosh", np.arccosh, mp.acosh, between(1.2, 4))
unary("atanh", np.arctanh, mp.atanh, between(-0.8, 0.8))
binary("atan2", lambda a, b: np.arctan(a / b) if np.iscomplexobj(a + b) else np.arctan2(a, b), mp.atan2, LINE, POSITIVE)
binary(
    "power_by_base",
    lambda a, b: b * a ** (b - 1),
    lambda a, b: b * a ** (b - 1),
    POSITIVE,
    LINE,
    odd=False,
    call=arithmetic._power_by_base,
)
binary(
    "power_by_exponent",
    lambda a, b: a**b * np.log(a),
    lambda a, b: a**b * mp.log(a),
    POSITIVE,
    LINE,
    odd=False,
    call=arithmetic._power_by_exponent,
)
unary("ln", np.log, mp.log, POSITIVE, call=arithmetic._ln)
binary(
    "above_top",
    lambda top, others: np.where(others >= 0, top + np.log1p(others), top),
    lambda top, others: top + mp.log1p(others),
    LINE,
    POSITIVE,
    smooth=False,
    odd=False,
    call=_above_top,
)

TENTHS = [lambda random, shape, odd=odd: (2 * random.integers(-9, 9, shape) + odd) / 10 for odd in (0, 1)]
"""Even and odd tenths, of which none are equal or near each other."""

# -- rounding, comparisons, choices ----------------------------------------------------------------------------------

unary("floor", np.floor, mp.floor, CHANCE, smooth=False)
unary("ceil", np.ceil, mp.ceil, CHANCE, smooth=False)
unary("round", np.round, mp.nint, between(-0.4, 0.4), smooth=False)
for name, value in (
    ("greater", np.greater),
    ("greater_equal", np.greater_equal),
    ("less", np.less),
    ("less_equal", np.less_equal),
    ("equal", np.equal),
    ("not_equal", np.not_equal),
    ("logical_and", np.logical_and),
    ("logical_or", np.logical_or),
):
    binary(
        name,
        lambda a, b, value=value: value(a, b).astype(float),
        lambda a, b, value=value: mp.mpf(bool(value(a, b))),
        *((APART, APART) if "logical" in name else TENTHS),
        smooth=False,
    )
unary("logical_not", lambda a: np.logical_not(a).astype(float), lambda a: mp.mpf(not a), APART, smooth=False)
binary("maximum", np.maximum, lambda a, b: max(a, b), *TENTHS, smooth=False)
binary("minimum", np.minimum, lambda a, b: min(a, b), *TENTHS, smooth=False)
EXACT["where"] = Exact(
    "where",
    gg.where,
    lambda c, a, b: np.where(c != 0, a, b),
    lambda c, a, b: a if c else b,
    (lambda random, shape: random.integers(0, 2, shape).astype(float), LINE, LINE),
    {},
    True,
)
for shapes, mixture in ((((), (), ()), "nnn"), (((2, 3), (3,), ()), "1nn"), (((3,), (2, 1), (2, 3)), "n1n")):
    sample(
        "where",
        lambda c, a, b: gg.where(c > 0, a, b),
        lambda c, a, b: np.where(c > 0, a, b),
        *shapes,
        mixtures=[mixture],
        domains=(APART, LINE, LINE),
        smooth=False,
    )
unary(
    "clip",
    lambda a: np.clip(a, 0, 1),
    lambda a: min(max(a, mp.mpf(0)), mp.mpf(1)),
    APART,
    smooth=False,
    call=comparisons._clip,
    kinks={0.0: (0.0, 1.0), 1.0: (1.0, 1.0)},
)
sample(
    "clip", lambda a: gg.clip(a, -0.7, 0.7), lambda a: np.clip(a, -0.7, 0.7), (3,), smooth=False, tag="between numbers"
)
sample("clip", lambda a: gg.clip(a, high=0.1), lambda a: np.minimum(a, 0.1), (3,), smooth=False, tag="above")
sample(
    "clip",
    lambda a, b: gg.clip(a, b, 1.5),
    lambda a, b: np.clip(a, b, 1.5),
    (2, 3),
    (3,),
    smooth=False,
    mixtures=["n1"],
    tag="by a node",
)
