"""The elementary functions of the C library that generated code calls, in the precision of their argument."""

from __future__ import annotations

import math

import numpy as np
from numba import config
from numba.extending import register_jitable

from graphgrad.ops import hashing

if config.DISABLE_JIT:
    from graphgrad.runtime import plain as of
else:
    of = math  # type: ignore[misc]

exp, log, log1p, expm1, sqrt = of.exp, of.log, of.log1p, of.expm1, of.sqrt
log2, log10, atan2 = of.log2, of.log10, of.atan2
sin, cos, tan, asin, acos, atan = of.sin, of.cos, of.tan, of.asin, of.acos, of.atan
sinh, cosh, tanh, asinh, acosh, atanh = of.sinh, of.cosh, of.tanh, of.asinh, of.acosh, of.atanh
erf, erfc, fabs, copysign = of.erf, of.erfc, of.fabs, of.copysign
floor, ceil, rint = np.floor, np.ceil, np.rint  # those of math give integers, which hold no NaN
register_jitable(hashing.mixed)
hashed = register_jitable(hashing.hashed)
inf, nan = math.inf, math.nan

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "ceil",
    "copysign",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "exp",
    "expm1",
    "fabs",
    "floor",
    "hashed",
    "inf",
    "log",
    "log1p",
    "log2",
    "log10",
    "nan",
    "rint",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
]
