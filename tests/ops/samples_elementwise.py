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

# -- activations -----------------------------------------------------------------------------------------------------


def one_way_or_other(z, above, below):
    """Two formulas that meet at 0, the lower one looked at only there."""
    return np.where(z > 0, above(z), below(np.where(z > 0, 0, z)))


def logistic(z):
    return 1 / (1 + np.exp(-z))


def soft(z):
    return np.log(1 + np.exp(z)) if np.iscomplexobj(z) else np.logaddexp(0, z)


def exactly_soft(z):
    return mp.log(1 + mp.exp(z))


unary("log_sigmoid", lambda z: -soft(-z), lambda z: -exactly_soft(-z))
unary(
    "softsign", lambda z: z / (1 + z * np.sign(np.real(z))), lambda z: z / (1 + abs(z)), APART, kinks={0.0: (0.0, 1.0)}
)
unary("softplus", soft, exactly_soft)
unary("silu", lambda z: z * logistic(z) if np.iscomplexobj(z) else z / (1 + np.exp(-z)), lambda z: z / (1 + mp.exp(-z)))
unary("mish", lambda z: z * np.tanh(soft(z)), lambda z: z * mp.tanh(exactly_soft(z)))
unary("gelu", lambda z: 0.5 * z * special.erfc(-z / np.sqrt(2)), lambda z: z * mp.ncdf(z))
unary(
    "gelu_tanh",
    lambda z: z / (1 + np.exp(-np.sqrt(8 / np.pi) * (z + 0.044715 * z**3))),
    lambda z: z / 2 * (1 + mp.tanh(mp.sqrt(2 / mp.pi) * (z + mp.mpf(0.044715) * z**3))),
    call=lambda z: gg.gelu(z, approximate="tanh"),
)
unary(
    "leaky_relu",
    lambda z: np.where(z > 0, z, 0.01 * z),
    lambda z: z if z > 0 else mp.mpf(0.01) * z,
    APART,
    smooth=False,
    kinks={0.0: (0.0, 0.01)},
)
binary(
    "prelu",
    lambda z, alpha: np.where(z > 0, z, alpha * z),
    lambda z, alpha: z if z > 0 else alpha * z,
    APART,
    LINE,
    smooth=False,
)
for alpha in (-0.5, 2.0):
    sample(
        "leaky_relu",
        lambda z, alpha=alpha: gg.leaky_relu(z, alpha=alpha),
        lambda z, alpha=alpha: np.where(z > 0, z, alpha * z),
        (3,),
        domains=APART,
        smooth=False,
        tag=f"alpha {alpha}",
    )
LAMBDA, ALPHA = 1.0507009873554805, 1.6732632423543772
for name, scale, alpha, slope in (("elu", 1, 1, 1), ("celu", 1, 1, 1), ("selu", LAMBDA, ALPHA, LAMBDA * ALPHA)):
    unary(
        name,
        lambda z, scale=scale, alpha=alpha: scale * one_way_or_other(z, lambda z: z, lambda z: alpha * np.expm1(z)),
        lambda z, scale=scale, alpha=alpha: mp.mpf(scale) * (z if z > 0 else mp.mpf(alpha) * mp.expm1(z)),
        APART,
        smooth=False,
        kinks={0.0: (0.0, slope)},
    )
for name, call, value in (
    ("elu", lambda z: gg.elu(z, alpha=0.5), lambda z: 0.5 * (np.exp(z) - 1)),
    ("celu", lambda z: gg.celu(z, alpha=0.5), lambda z: 0.5 * (np.exp(z / 0.5) - 1)),
):
    sample(
        name,
        call,
        lambda z, value=value: np.where(np.real(z) > 0, z, value(z)),
        (3,),
        domains=APART,
        tag="alpha 0.5",
    )
sample("softplus", lambda z: gg.softplus(z, beta=3), lambda z: soft(3 * z) / 3, (3,), tag="beta 3")
unary(
    "hard_sigmoid",
    lambda z: np.clip(z / 6 + 0.5, 0, 1),
    lambda z: min(max(mp.mpf(1 / 6) * z + mp.mpf(0.5), mp.mpf(0)), mp.mpf(1)),
    smooth=False,
    kinks={3.0: (1.0, 0.0), -3.0: (0.0, 0.0), 0.0: (0.5, 1 / 6)},
)
sample(
    "hard_sigmoid",
    lambda z: gg.hard_sigmoid(z, alpha=0.2),
    lambda z: np.clip(0.2 * z + 0.5, 0, 1),
    (3,),
    domains=APART,
    smooth=False,
    tag="as in ONNX",
)
unary(
    "hard_tanh",
    lambda z: np.clip(z, -1, 1),
    lambda z: min(max(z, mp.mpf(-1)), mp.mpf(1)),
    between(-0.9, 0.9),
    smooth=False,
    kinks={1.0: (1.0, 0.0), -1.0: (-1.0, 0.0)},
)
sample(
    "hard_tanh",
    lambda z: gg.hard_tanh(z, low=-0.2, high=3),
    lambda z: np.clip(z, -0.2, 3),
    (3,),
    domains=APART,
    smooth=False,
    tag="from -0.2 to 3",
)
