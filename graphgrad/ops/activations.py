"""Activation functions. Adding one costs about four lines here, and nothing elsewhere."""

from __future__ import annotations

from graphgrad.graph import Notation
from graphgrad.ops.elementwise import built_in, documented
from graphgrad.ops.magnitude import step
from graphgrad.ops.symbolic import sp, where

sigmoid = built_in(
    "sigmoid",
    lambda z: 1 / (1 + sp.exp(-z)),
    lambda y, z: y * (1 - y),
    Notation(r"\sigma\left({0}\right)", "σ({0})", "sigmoid({0})"),
    doc="""The logistic function, y = σ(z) = 1/(1 + e⁻ᶻ) in (0, 1), elementwise. The derivative is y(1 - y).
    Source: Rumelhart, Hinton and Williams, Learning representations by back-propagating errors, 1986.""",
    example=([0.0, 2.0], [0.5, 0.8808]),
)
tanh = built_in(
    "tanh",
    lambda z: sp.tanh(z),
    lambda y, z: 1 - y**2,
    Notation(r"\tanh\left({0}\right)", "tanh({0})", "tanh({0})"),
    doc="""The hyperbolic tangent, y = tanh z in (-1, 1), elementwise. The derivative is 1 - y².
    Source: LeCun, Bottou, Orr and Müller, Efficient BackProp, 1998.""",
    example=([0.0, 0.5], [0.0, 0.4621]),
)
relu = built_in(
    "relu",
    lambda z: where(z <= 0, 0, z),
    lambda y, z: step(z),
    Notation(r"\operatorname{ReLU}\left({0}\right)", "ReLU({0})", "relu({0})"),
    doc="""The rectified linear unit, elementwise: z above 0, 0 elsewhere, NaN for NaN. The derivative is 1 above 0 and 0
    elsewhere, at 0 too. Source: Nair and Hinton, Rectified linear units improve restricted Boltzmann machines, 2010.""",
    example=([-1.0, 0.0, 2.0], [0.0, 0.0, 2.0]),
)

__all__ = ["relu", "sigmoid", "tanh"]
__test__ = documented(vars(), __all__)
