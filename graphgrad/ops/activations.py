"""Activation functions. Adding one costs about four lines here, and nothing elsewhere."""

from __future__ import annotations

import math
from typing import Any, Literal

from graphgrad.graph import GraphError, Node, Notation, function, public
from graphgrad.graph.node import clipped
from graphgrad.ops.arithmetic import square
from graphgrad.ops.comparisons import minimum, where
from graphgrad.ops.elementwise import built_in, documented, internal
from graphgrad.ops.exponentials import erfc, exp
from graphgrad.ops.magnitude import abs_, step
from graphgrad.ops.symbolic import expm1, log1p, sp
from graphgrad.ops.symbolic import where as _where


def _named(name: str, shown: str) -> Notation:
    return function(name, rf"\operatorname{{{shown}}}", shown)


def _positive(z: Any) -> Any:
    """max(z, 0), through which NaN goes."""
    return _where(z <= 0, 0, z)


sigmoid = built_in(
    "sigmoid",
    lambda z: 1 / (1 + sp.exp(-z)),
    lambda y, z: y * (1 - y),
    Notation(r"\sigma\left({0}\right)", "σ({0})", "sigmoid({0})"),
    doc="""The logistic function, y = σ(z) = 1/(1 + e⁻ᶻ) in (0, 1), elementwise. The derivative is y(1 - y).
    Source: Rumelhart, Hinton and Williams, Learning representations by back-propagating errors, 1986.""",
    example=([0.0, 2.0], [0.5, 0.8808]),
)
log_sigmoid = built_in(
    "log_sigmoid",
    lambda z: _where(z >= 0, 0, z) - log1p(sp.exp(-sp.Abs(z))),
    lambda y, z: sigmoid(-z),
    Notation(r"\ln \sigma\left({0}\right)", "ln σ({0})", "log_sigmoid({0})"),
    doc="""The logarithm of the logistic function, y = ln σ(z) = min(z, 0) - ln(1 + e^-|z|), elementwise; exact to the last
    places for any z. The derivative is σ(-z). Source: PyTorch's `LogSigmoid`.""",
    example=([0.0, -1000.0], [-0.6931, -1000.0]),
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
softsign = built_in(
    "softsign",
    lambda z: z / (1 + sp.Abs(z)),
    lambda y, z: 1 / square(1 + abs_(z)),
    doc="""Softsign, y = z/(1 + |z|) in (-1, 1), elementwise. The derivative is 1/(1 + |z|)².
    Source: Bergstra, Desjardins, Lamblin and Bengio, Quadratic polynomials learn better image features, 2009.""",
    example=([-1.0, 0.0, 3.0], [-0.5, 0.0, 0.75]),
)

# -- of the kind of ReLU ---------------------------------------------------------------------------------------------

relu = built_in(
    "relu",
    lambda z: _positive(z),
    lambda y, z: step(z),
    Notation(r"\operatorname{ReLU}\left({0}\right)", "ReLU({0})", "relu({0})"),
    doc="""The rectified linear unit, elementwise: z above 0, 0 elsewhere, NaN for NaN. The derivative is 1 above 0 and 0
    elsewhere, at 0 too. Source: Nair and Hinton, Rectified linear units improve restricted Boltzmann machines, 2010.""",
    example=([-1.0, 0.0, 2.0], [0.0, 0.0, 2.0]),
)
leaky_relu = built_in(
    "leaky_relu",
    lambda z, *, alpha=0.01: _where(z > 0, z, alpha * z),
    lambda y, z, alpha: step(z) + alpha * (1 - step(z)),
    _named("leaky_relu", "LeakyReLU"),
    doc="""The leaky rectified linear unit, elementwise: z above 0, αz elsewhere; `alpha` is 0.01 unless given, as in PyTorch.

    The derivative is 1 above 0 and α elsewhere, at 0 too; the formula holds for any α, above 1 as well.
    Source: Maas, Hannun and Ng, Rectifier nonlinearities improve neural network acoustic models, 2013.""",
    example=([-1.0, 0.0, 2.0], [-0.01, 0.0, 2.0]),
)
prelu = built_in(
    "prelu",
    lambda z, alpha: _where(z > 0, z, alpha * z),
    lambda y, z, alpha: (step(z) + alpha * (1 - step(z)), minimum(z, 0)),
    _named("prelu", "PReLU"),
    doc="""The rectified linear unit with a learned slope, elementwise: z above 0, αz elsewhere, for any α, above 1 as well.

    `alpha` is a node: of shape () shared by all units, of the shape of z one for each unit, of shape (K, 1, 1) one for
    each of K feature maps; shapes broadcast. At z = 0 the derivative for z is α. The gradient for α is min(z, 0), summed over the
    units that share it.
    Source: He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015.""",
    example=([-1.0, 0.0, 2.0], [0.25, 0.25, 0.25], [-0.25, 0.0, 2.0]),
)
elu = built_in(
    "elu",
    lambda z, *, alpha=1.0: _where(z > 0, z, alpha * expm1(z)),
    lambda y, z, alpha: where(step(z), 1, alpha * exp(minimum(z, 0))),
    _named("elu", "ELU"),
    doc="""The exponential linear unit, elementwise: z above 0, α(eᶻ - 1) elsewhere; `alpha` is 1 unless given.

    The derivative is 1 above 0, αeᶻ elsewhere. Source: Clevert, Unterthiner and Hochreiter, Fast and accurate deep network
    learning by exponential linear units, 2016.""",
    example=([-1.0, 0.0, 2.0], [-0.6321, 0.0, 2.0]),
)
celu = built_in(
    "celu",
    lambda z, *, alpha=1.0: _where(z > 0, z, alpha * expm1(z / alpha)),
    lambda y, z, alpha: exp(minimum(z, 0) / alpha),
    _named("celu", "CELU"),
    above={"alpha": 0},
    doc="""The continuously differentiable exponential linear unit, elementwise: z above 0, α(exp(z/α) - 1) elsewhere.

    `alpha` is 1 unless given, and above 0. The derivative is 1 above 0, exp(z/α) elsewhere.
    Source: Barron, Continuously differentiable exponential linear units, 2017.""",
    example=([-1.0, 0.0, 2.0], [-0.6321, 0.0, 2.0]),
)

_ALPHA, _SCALE = 1.6732632423543772, 1.0507009873554805  # at which mean 0 and variance 1 stay from layer to layer

selu = built_in(
    "selu",
    lambda z: _SCALE * _where(z > 0, z, _ALPHA * expm1(z)),
    lambda y, z: where(step(z), _SCALE, _SCALE * _ALPHA * exp(minimum(z, 0))),
    _named("selu", "SELU"),
    doc="""The scaled exponential linear unit, elementwise: λz above 0, λα(eᶻ - 1) elsewhere, λ = 1.0507, α = 1.6733.

    The derivative is λ above 0, λαeᶻ elsewhere. Source: Klambauer, Unterthiner, Mayr and Hochreiter, Self-normalizing
    neural networks, 2017, with the numbers to double precision.""",
    example=([-1.0, 0.0, 2.0], [-1.1113, 0.0, 2.1014]),
)

# -- smooth ones -----------------------------------------------------------------------------------------------------

softplus = built_in(
    "softplus",
    lambda z, *, beta=1.0: _positive(z) + log1p(sp.exp(-sp.Abs(beta * z))) / beta,
    lambda y, z, beta: sigmoid(z if beta == 1 else beta * z),
    above={"beta": 0},
    doc="""Softplus, y = ln(1 + exp(βz))/β, elementwise; `beta` is 1 unless given, and above 0.

    Computed as max(z, 0) + ln(1 + exp(-|βz|))/β, exact for any z, so that it needs no threshold (PyTorch's, 20, replaces it
    by z). The derivative is σ(βz). Source: Dugas, Bengio, Bélisle, Nadeau and Garcia, Incorporating second-order functional
    knowledge for better option pricing, 2001.""",
    example=([0.0, 1000.0], [0.6931, 1000.0]),
)
silu = built_in(
    "silu",
    lambda z: z / (1 + sp.exp(-z)),
    lambda y, z: sigmoid(z) + y * sigmoid(-z),
    _named("silu", "SiLU"),
    doc="""The sigmoid-weighted linear unit (also called swish), y = z σ(z), elementwise. The derivative is σ(z) + y σ(-z).
    Source: Elfwing, Uchibe and Doya, Sigmoid-weighted linear units for neural network function approximation, 2018.""",
    example=([-1.0, 0.0, 2.0], [-0.2689, 0.0, 1.7616]),
)
mish = built_in(
    "mish",
    lambda z: z * sp.tanh(_positive(z) + log1p(sp.exp(-sp.Abs(z)))),
    lambda y, z: tanh(softplus(z)) + z * (1 - square(tanh(softplus(z)))) * sigmoid(z),
    doc="""Mish, y = z tanh(ln(1 + eᶻ)), elementwise. The derivative is t + z (1 - t²) σ(z) with t = tanh(ln(1 + eᶻ)).
    Source: Misra, Mish: a self regularized non-monotonic activation function, 2020.""",
    example=([-1.0, 0.0, 2.0], [-0.3034, 0.0, 1.944]),
)
_SLOPE, _CUBIC = math.sqrt(8 / math.pi), 0.044715

_gelu = internal(
    "gelu",
    lambda z: z * sp.erfc(-z / sp.sqrt(2)) / 2,
    lambda y, z: erfc(-math.sqrt(0.5) * z) / 2 + z * exp(-square(z) / 2) / math.sqrt(2 * math.pi),
    _named("gelu", "GELU"),
)
_gelu_tanh = internal(
    "gelu_tanh",
    lambda z: z / (1 + sp.exp(-_twice(z))),
    lambda y, z: sigmoid(_twice(z)) + y * sigmoid(-_twice(z)) * _SLOPE * (1 + 3 * _CUBIC * square(z)),
    Notation(r"\operatorname{GELU}_{\tanh}\left({0}\right)", "GELUₜₐₙₕ({0})", 'gelu({0}, approximate="tanh")'),
)


def _twice(z: Any) -> Any:
    """2u with u = √(2/π) (z + 0.044715 z³), since (1 + tanh u)/2 = σ(2u)."""
    return _SLOPE * (z + _CUBIC * z * square(z))


@public
def gelu(z: Node, approximate: Literal["none", "tanh"] = "none") -> Any:
    """The Gaussian error linear unit, y = z Φ(z) with Φ the normal distribution's cumulative function, elementwise.

    The derivative is Φ(z) + z φ(z), φ the density. `approximate="tanh"` is the earlier form
    y = z/2 (1 + tanh(√(2/π) (z + 0.044715 z³))). Raises GraphError for another `approximate`.
    Source: Hendrycks and Gimpel, Gaussian error linear units, 2016; the names are those of PyTorch and ONNX.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     z = gg.input("z", 3)
    ...     g.A = gg.gelu(z)
    >>> gg.compile(g, "A", target="numpy")(z=[-1.0, 0.0, 2.0])["A"].round(4).tolist()
    [-0.1587, 0.0, 1.9545]
    """
    if approximate not in ("none", "tanh"):
        raise GraphError(f"gelu: approximate is 'none' or 'tanh', not {clipped(repr(approximate))}")
    return _gelu(z) if approximate == "none" else _gelu_tanh(z)


# -- in straight pieces ----------------------------------------------------------------------------------------------

hard_sigmoid = built_in(
    "hard_sigmoid",
    lambda z, *, alpha=1 / 6, beta=0.5: _where(
        z <= -beta / alpha, 0, _where(z >= (1 - beta) / alpha, 1, alpha * z + beta)
    ),
    lambda y, z, alpha, beta: alpha * step(y) * step(1 - y),
    above={"alpha": 0},
    doc="""A logistic function in straight pieces, y = min(max(αz + β, 0), 1), elementwise.

    α = 1/6 and β = 1/2 unless given, which is PyTorch's `Hardsigmoid`; ONNX has α = 0.2 (give `alpha=0.2`). α is above 0.
    The derivative is α where 0 < y < 1, else 0. Source: Courbariaux, Bengio and David, BinaryConnect, 2015.""",
    example=([-4.0, 0.0, 1.5], [0.0, 0.5, 0.75]),
)
hard_tanh = built_in(
    "hard_tanh",
    lambda z, *, low=-1.0, high=1.0: _where(z <= low, low, _where(z >= high, high, z)),
    lambda y, z, low, high: step(y - low) * step(high - y),
    above={"high": "low"},
    doc="""A hyperbolic tangent in straight pieces, elementwise: z kept between `low` and `high`, -1 and 1 unless given.

    The derivative is 1 strictly between the two, else 0, as PyTorch's `Hardtanh` has it (`clip` has 1 on the bounds too).
    Source: Collobert, Large scale machine learning, 2004.""",
    example=([-4.0, 0.5, 1.5], [-1.0, 0.5, 1.0]),
)


__all__ = [
    "celu",
    "elu",
    "gelu",
    "hard_sigmoid",
    "hard_tanh",
    "leaky_relu",
    "log_sigmoid",
    "mish",
    "prelu",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "tanh",
]
__test__ = documented(vars(), __all__)
