"""The elementary functions of the C library that generated code calls, in the precision of their argument."""

from __future__ import annotations

import math

import numpy as np
from numba import config
from numba.extending import register_jitable

from graphgrad.ops import hashing

if config.DISABLE_JIT:
    from graphgrad.runtime.plain import (
        acos,
        acosh,
        asin,
        asinh,
        atan,
        atan2,
        atanh,
        copysign,
        cos,
        cosh,
        erf,
        erfc,
        exp,
        expm1,
        fabs,
        log,
        log1p,
        log2,
        log10,
        sin,
        sinh,
        sqrt,
        tan,
        tanh,
    )
else:
    from math import (  # type: ignore[assignment]
        acos,
        acosh,
        asin,
        asinh,
        atan,
        atan2,
        atanh,
        copysign,
        cos,
        cosh,
        erf,
        erfc,
        exp,
        expm1,
        fabs,
        log,
        log1p,
        log2,
        log10,
        sin,
        sinh,
        sqrt,
        tan,
        tanh,
    )

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
