"""Size, sign and rounding: what jumps, and has the slope 0 beside its jumps."""

from __future__ import annotations

from graphgrad.graph import Notation, function
from graphgrad.ops.elementwise import built_in, documented
from graphgrad.ops.symbolic import rint as _rint
from graphgrad.ops.symbolic import sp, where

sign = built_in(
    "sign",
    lambda a: sp.Piecewise((-1, a < 0), (1, a > 0), (a, True)),
    lambda y, a: 0,
    function("sign", r"\operatorname{sign}"),
    doc="""The sign, elementwise: -1 below 0, 1 above, 0 at 0, NaN for NaN. Its gradient is 0 everywhere, as in PyTorch.
    Source: DLMF, Notations.""",
    example=([-3.0, 0.0, 2.0], [-1.0, 0.0, 1.0]),
)
step = built_in(
    "step",
    lambda a: where(a <= 0, 0, where(a > 0, 1, a)),
    lambda y, a: 0,
    Notation(r"\mathbf 1\left[{0} > 0\right]", "1[{0} > 0]", "step({0})"),
    doc="""The step, elementwise: 1 above 0, 0 at 0 and below, NaN for NaN. Its gradient is 0 everywhere.
    Source: DLMF 1.16, Heaviside's function with the value 0 at 0.""",
    example=([-3.0, 0.0, 2.0], [0.0, 0.0, 1.0]),
)
abs_ = built_in(
    "abs",
    lambda a: where(a < 0, -a, a),
    lambda y, a: sign(a),
    Notation(r"\left\lvert {0} \right\rvert", "|{0}|", "abs({0})"),
    doc="""The absolute value, y = |a|, elementwise. The derivative is the sign of a, 0 at 0. Source: DLMF 1.9.""",
    example=([-3.0, 0.0, 2.0], [3.0, 0.0, 2.0]),
)
floor = built_in(
    "floor",
    lambda a: sp.floor(a),
    lambda y, a: 0,
    Notation(r"\left\lfloor {0} \right\rfloor", "⌊{0}⌋", "floor({0})"),
    doc="""The largest whole number no larger than a, elementwise. Its gradient is 0 everywhere, as in PyTorch.
    Source: Graham, Knuth and Patashnik, Concrete Mathematics, 3.1.""",
    example=([-1.5, 2.5], [-2.0, 2.0]),
)
ceil = built_in(
    "ceil",
    lambda a: sp.ceiling(a),
    lambda y, a: 0,
    Notation(r"\left\lceil {0} \right\rceil", "⌈{0}⌉", "ceil({0})"),
    doc="""The smallest whole number no smaller than a, elementwise. Its gradient is 0 everywhere, as in PyTorch.
    Source: Graham, Knuth and Patashnik, Concrete Mathematics, 3.1.""",
    example=([-1.5, 2.5], [-1.0, 3.0]),
)
round_ = built_in(
    "round",
    lambda a: _rint(a),
    lambda y, a: 0,
    Notation(r"\left\lfloor {0} \right\rceil", "round({0})", "round({0})"),
    doc="""The nearest whole number, elementwise; halfway between two the even one, as NumPy, PyTorch and ONNX have it.

    Its gradient is 0 everywhere. Source: IEEE 754, roundToIntegralTiesToEven.""",
    example=([-1.5, 2.5], [-2.0, 2.0]),
)

__all__ = ["abs_", "ceil", "floor", "round_", "sign", "step"]
__test__ = documented(vars(), __all__)
