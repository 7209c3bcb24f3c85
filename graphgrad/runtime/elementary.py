"""The elementary functions that generated code calls, in the precision of their argument."""

from __future__ import annotations

import math

import numpy as np
from numba import config

if config.DISABLE_JIT:
    from scipy.special import erf

    exp, log, log1p, expm1, sqrt = np.exp, np.log, np.log1p, np.expm1, np.sqrt
    sin, cos, tan, asin, acos, atan = np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan
    sinh, cosh, tanh, asinh, acosh, atanh = np.sinh, np.cosh, np.tanh, np.arcsinh, np.arccosh, np.arctanh
    floor, ceil, fabs, copysign = np.floor, np.ceil, np.fabs, np.copysign
else:
    from math import (  # type: ignore[assignment]
        acos,
        acosh,
        asin,
        asinh,
        atan,
        atanh,
        ceil,
        copysign,
        cos,
        cosh,
        erf,
        exp,
        expm1,
        fabs,
        floor,
        log,
        log1p,
        sin,
        sinh,
        sqrt,
        tan,
        tanh,
    )

inf, nan = math.inf, math.nan

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "copysign",
    "cos",
    "cosh",
    "erf",
    "exp",
    "expm1",
    "fabs",
    "floor",
    "inf",
    "log",
    "log1p",
    "nan",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
]
