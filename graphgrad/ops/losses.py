"""Losses of one sample; `batch_sum` and `batch_mean` over them make the objective."""

from __future__ import annotations

from typing import Any

from graphgrad.graph import FUNCTIONS, PRODUCT, SUM, Node, Notation, Operand, public
from graphgrad.ops.activations import sigmoid
from graphgrad.ops.composite import Composite
from graphgrad.ops.elementwise import Elementwise, built_in
from graphgrad.ops.symbolic import log1p, sp, where

_FLOOR = -100.0  # the least that a logarithm of a probability is taken to be, as PyTorch's BCELoss does
_THIN = 1e-12  # the least that y(1 - y) is taken to be in the gradient, likewise


def _ln(p: Any) -> Any:
    """ln p, no less than -100, so that the loss of a probability of exactly 0 or 1 is finite."""
    return where(sp.And(p >= 0, p <= sp.exp(_FLOOR)), _FLOOR, sp.log(p))


def _spread(y: Any) -> Any:
    return where(y * (1 - y) <= _THIN, _THIN, y * (1 - y))


cross_entropy_slope = Elementwise(
    "cross_entropy_slope",
    lambda y, t: (y - t) / _spread(y),
    None,
    Notation(
        r"\frac{{0} - {1}}{{0} \left(1 - {0}\right)}",
        "({0} − {1}) / ({0} (1 − {0}))",
        "({0} - {1}) / ({0} * (1 - {0}))",
        PRODUCT,
        (SUM, PRODUCT),
    ),
    (),
    True,
)
"""∂/∂y of the binary cross entropy on probabilities, (y - t) / (y(1 - y))."""

binary_cross_entropy = built_in(
    "binary_cross_entropy",
    lambda y, t: -t * _ln(y) - (1 - t) * _ln(1 - y),
    lambda loss, y, t: (cross_entropy_slope(y, t), _logit_difference(y)),
    Notation(
        r"-{1} \ln {0} - \left(1 - {1}\right) \ln\left(1 - {0}\right)",
        "−{1} ln {0} − (1 − {1}) ln(1 − {0})",
        "binary_cross_entropy({0}, {1})",
        SUM,
        (PRODUCT, PRODUCT),
    ),
)

_logit_difference = Elementwise(
    "negative_logit",
    lambda y: _ln(1 - y) - _ln(y),
    None,
    Notation(r"\ln\frac{1 - {0}}{{0}}", "ln((1 − {0}) / {0})", "log((1 - {0}) / {0})"),
    (),
    True,
)

binary_cross_entropy_with_logits = built_in(
    "binary_cross_entropy_with_logits",
    lambda z, t: where(z <= 0, 0, z) - z * t + log1p(sp.exp(-where(z < 0, -z, z))),
    lambda loss, z, t: (sigmoid(z) - t, -z),
    Notation(
        r"-{1} \ln \sigma\left({0}\right) - \left(1 - {1}\right) \ln\left(1 - \sigma\left({0}\right)\right)",
        "−{1} ln σ({0}) − (1 − {1}) ln(1 − σ({0}))",
        "binary_cross_entropy_with_logits({0}, {1})",
        SUM,
        (PRODUCT, PRODUCT),
    ),
)

_squared_error = Composite(
    "squared_error",
    lambda y, t: FUNCTIONS["sum"](FUNCTIONS["square"](y - t)),
    Notation(
        r"\left\lVert {0} - {1} \right\rVert_2^2", "‖{0} − {1}‖₂²", "squared_error({0}, {1})", operands=(SUM, PRODUCT)
    ),
)


@public
def squared_error(y: Operand, t: Operand) -> Node:
    """The squared error of one sample, l = Σᵢ (yᵢ - tᵢ)², a scalar.

    `y` and `t` broadcast as in NumPy. Source: Bishop, Pattern Recognition and Machine Learning, 1.1.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     y, t = gg.input("y", 2), gg.input("t", 2)
    ...     g.l = gg.squared_error(y, t)
    >>> float(gg.compile(g, ["l"], target="numpy")(y=[1.0, 2.0], t=[0.0, 4.0])["l"])
    5.0
    """
    return _squared_error(y, t)

__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "squared_error"]
