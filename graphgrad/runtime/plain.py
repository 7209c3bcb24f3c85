"""The elementary functions by NumPy, for where nothing is compiled: in the precision of their argument, as those are."""

from __future__ import annotations

import numpy as np
from scipy import special

from graphgrad.ops import hashing

exp, log, log1p, expm1, sqrt = np.exp, np.log, np.log1p, np.expm1, np.sqrt
log2, log10, atan2 = np.log2, np.log10, np.arctan2
sin, cos, tan, asin, acos, atan = np.sin, np.cos, np.tan, np.arcsin, np.arccos, np.arctan
sinh, cosh, tanh, asinh, acosh, atanh = np.sinh, np.cosh, np.tanh, np.arcsinh, np.arccosh, np.arctanh
erf, erfc, fabs, copysign = special.erf, special.erfc, np.fabs, np.copysign
floor, ceil, rint = np.floor, np.ceil, np.rint
inf, nan, hashed = np.inf, np.nan, hashing.hashed
