"""Losses of one sample against numbers and against two classes; those against K classes are in `classes`.

Nothing here crosses the batch: `batch_sum` and `batch_mean` over a loss make the objective. Losses of two classes are
taken element by element, those of numbers are summed over the elements of a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from graphgrad.graph import FUNCTIONS, PRODUCT, SUM, Node, Notation, Operand, Type, public
from graphgrad.graph.domain import Domain
from graphgrad.ops.activations import sigmoid
from graphgrad.ops.comparisons import clip, minimum
from graphgrad.ops.composite import Composite
from graphgrad.ops.elementwise import Elementwise, times
from graphgrad.ops.magnitude import step
from graphgrad.ops.options import in_range
from graphgrad.ops.symbolic import log1p, sp, where

FLOOR = -100.0  # the least that a logarithm of a probability is taken to be, as PyTorch's BCELoss does
THIN = 1e-36  # the least that y(1 - y) is taken to be in the gradient, so that it is finite, in float32 too

ZERO_TO_ONE = Domain("targets from 0 to 1", 0.0, 1.0, instead="targets of -1 and 1 are ({0} + 1) / 2")
SIGNS = Domain("targets of -1 and 1", -1.0, 1.0, ends=True, instead="targets of 0 and 1 are 2 * {0} - 1")


@dataclass(frozen=True, eq=False)
class TwoClasses(Elementwise):
    """A loss of a score or a probability against a target that tells two classes apart."""

    built_in: bool = True
    targets: Domain = ZERO_TO_ONE

    def domains(self, *types: Type) -> tuple[Domain | None, ...]:
        return None, self.targets


def ln(p: Any) -> Any:
    """ln p, no less than -100, so that the loss of a probability of 0 (or, by rounding, of less) is finite."""
    return where(p <= sp.exp(FLOOR), FLOOR, sp.log(p))


def _ln_of_rest(p: Any) -> Any:
    """ln(1 - p), no less than -100, with all its digits also where 1 - p is rounded to 1."""
    return where(1 - p <= sp.exp(FLOOR), FLOOR, log1p(-p))


def _spread(y: Any) -> Any:
    """y(1 - y), no less than 1e-12; where y is no probability, its size, so that the slope points back and is finite."""
    spread = y * (1 - y)
    return where(spread <= -THIN, -spread, where(spread <= THIN, THIN, spread))


# -- two classes ---------------------------------------------------------------------------------------------------

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

_logit_difference = Elementwise(
    "negative_logit",
    lambda y: _ln_of_rest(y) - ln(y),
    None,
    Notation(r"\ln\frac{1 - {0}}{{0}}", "ln((1 − {0}) / {0})", "log((1 - {0}) / {0})"),
    (),
    True,
)

_binary_cross_entropy = TwoClasses(
    "binary_cross_entropy",
    lambda y, t: -t * ln(y) - (1 - t) * _ln_of_rest(y),
    lambda loss, y, t: (cross_entropy_slope(y, t), _logit_difference(y)),
    Notation(
        r"-{1} \ln {0} - \left(1 - {1}\right) \ln\left(1 - {0}\right)",
        "−{1} ln {0} − (1 − {1}) ln(1 − {0})",
        "binary_cross_entropy({0}, {1})",
        SUM,
        (PRODUCT, PRODUCT),
    ),
)

_binary_cross_entropy_with_logits = TwoClasses(
    "binary_cross_entropy_with_logits",
    lambda z, t: where(z <= 0, -z * t, z * (1 - t)) + log1p(sp.exp(-where(z < 0, -z, z))),
    lambda loss, z, t: (sigmoid(z) - t, -z),
    Notation(
        r"-{1} \ln \sigma\left({0}\right) - \left(1 - {1}\right) \ln\left(1 - \sigma\left({0}\right)\right)",
        "−{1} ln σ({0}) − (1 − {1}) ln(1 − σ({0}))",
        "binary_cross_entropy_with_logits({0}, {1})",
        SUM,
        (PRODUCT, PRODUCT),
    ),
)

_hinge = TwoClasses(
    "hinge",
    lambda z, t: where(1 - t * z <= 0, 0, 1 - t * z),
    lambda loss, z, t: (-t * step(1 - t * z), -z * step(1 - t * z)),
    Notation(
        r"\max\left(0, 1 - {1} \, {0}\right)",
        "max(0, 1 − {1} {0})",
        "hinge({0}, {1})",
        operands=(PRODUCT, PRODUCT),
    ),
    targets=SIGNS,
)


@public
def binary_cross_entropy(y: Operand, t: Operand) -> Node:
    """The binary cross entropy on probabilities, l = -t ln y - (1-t) ln(1-y), elementwise; t lies between 0 and 1.

    `y` and `t` broadcast. The logarithms are no less than -100, as in PyTorch's BCELoss, so that the loss is finite for
    every finite y; of y = σ(z) it is computed from z, exact at any score. ∂l/∂y = (y - t) / (y(1 - y)).

    Raises ShapeError where the shapes do not broadcast, DataError for a target that is no probability.
    Source: the lecture; Bishop, Pattern Recognition and Machine Learning, 4.3.2.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     y, t = gg.input("y"), gg.input("t")
    ...     g.l = gg.binary_cross_entropy(y, t)
    >>> gg.compile(g, "l", target="numpy")(y=[0.5, 0.0], t=[1.0, 1.0])["l"].round(4).tolist()
    [0.6931, 100.0]
    """
    return _binary_cross_entropy(y, t)  # type: ignore[no-any-return]


@public
def binary_cross_entropy_with_logits(z: Operand, t: Operand) -> Node:
    """The binary cross entropy of a score, l = -t ln σ(z) - (1-t) ln(1-σ(z)), elementwise; t lies between 0 and 1.

    Computed as max(z(1 - t), -zt) + ln(1 + e^-|z|), of which neither term is negative: exact at every finite z.
    ∂l/∂z = σ(z) - t. `z` and `t` broadcast.

    Raises ShapeError where the shapes do not broadcast, DataError for a target that is no probability.
    Source: PyTorch's BCEWithLogitsLoss.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     z, t = gg.input("z"), gg.input("t")
    ...     g.l = gg.binary_cross_entropy_with_logits(z, t)
    >>> gg.compile(g, "l", target="numpy")(z=[0.0, -1000.0], t=[1.0, 1.0])["l"].round(4).tolist()
    [0.6931, 1000.0]
    """
    return _binary_cross_entropy_with_logits(z, t)  # type: ignore[no-any-return]


@public
def hinge(z: Operand, t: Operand) -> Node:
    """The hinge loss of a score, l = max(0, 1 - t z), elementwise; t is -1 or 1, not 0 or 1.

    ∂l/∂z = -t where t z < 1, and 0 elsewhere, at the kink as well. `z` and `t` broadcast. K classes have
    `multi_class_hinge`.

    Raises ShapeError where the shapes do not broadcast, DataError for a target that is neither -1 nor 1.
    Source: Vapnik, The Nature of Statistical Learning Theory, 1995.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     z, t = gg.input("z"), gg.input("t")
    ...     g.l = gg.hinge(z, t)
    >>> gg.compile(g, "l", target="numpy")(z=[2.0, 0.5, 0.5], t=[1.0, 1.0, -1.0])["l"].tolist()
    [0.0, 0.5, 1.5]
    """
    return _hinge(z, t)  # type: ignore[no-any-return]


@lru_cache(maxsize=256)
def _focal(name: str, gamma: float, alpha: float | None) -> Composite:
    def body(scores: Node, t: Node) -> Node:
        if name == "focal":
            hit, miss, loss = scores, 1 - scores, binary_cross_entropy(scores, t)
        else:
            hit, miss, loss = sigmoid(scores), sigmoid(-scores), binary_cross_entropy_with_logits(scores, t)
        if gamma:
            loss = (t * miss + (1 - t) * hit) ** gamma * loss
        return loss if alpha is None else (alpha * t + (1 - alpha) * (1 - t)) * loss

    settings = (("gamma", gamma),) * (gamma != 2) + (("alpha", alpha),) * (alpha != 0.25)
    return Composite(name, body, settings=settings, expects=(None, ZERO_TO_ONE))


def _focusing(name: str, gamma: object, alpha: object) -> Composite:
    exponent = 0.0 if gamma == 0 else in_range(f"{name} (gamma is 0, or 1 and more)", "gamma", gamma, 1.0, float("inf"))
    return _focal(name, exponent, None if alpha is None else in_range(name, "alpha", alpha, 0.0, 1.0))


@public
def focal(y: Operand, t: Operand, gamma: float = 2.0, alpha: float | None = 0.25) -> Node:
    """The focal loss on probabilities, l = αₜ (1 - yₜ)^γ (-ln yₜ), elementwise, with yₜ = y where t is 1, else 1 - y.

    It is binary cross entropy with less weight on what is right already: γ = 0 leaves the weights αₜ alone, which are α
    where t is 1 and 1 - α where it is 0; `alpha=None` leaves those out. γ is 0, or at least 1, so that the gradient has a
    value everywhere. t between 0 and 1 mixes both. `focal_with_logits` takes scores, and is exact at any of them.

    Raises GraphError for γ or α out of range, DataError for a target that is no probability.
    Source: Lin et al., Focal loss for dense object detection, 2017; the defaults are torchvision's.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     y, t = gg.input("y"), gg.input("t")
    ...     g.l = gg.focal(y, t, alpha=None)
    >>> gg.compile(g, "l", target="numpy")(y=[0.5, 0.9], t=[1.0, 1.0])["l"].round(6).tolist()
    [0.173287, 0.001054]
    """
    return _focusing("focal", gamma, alpha)(y, t)


@public
def focal_with_logits(z: Operand, t: Operand, gamma: float = 2.0, alpha: float | None = 0.25) -> Node:
    """The focal loss of a score, l = αₜ (1 - yₜ)^γ (-ln yₜ) with y = σ(z), elementwise; as `focal`, finite for every z.

    Source: torchvision's sigmoid_focal_loss.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     z, t = gg.input("z"), gg.input("t")
    ...     g.l = gg.focal_with_logits(z, t)
    >>> gg.compile(g, "l", target="numpy")(z=[0.0, -1000.0], t=[1.0, 1.0])["l"].round(6).tolist()
    [0.043322, 250.0]
    """
    return _focusing("focal_with_logits", gamma, alpha)(z, t)


# -- numbers -------------------------------------------------------------------------------------------------------

_squared_error = Composite(
    "squared_error",
    lambda y, t: FUNCTIONS["sum"](FUNCTIONS["square"](y - t)),
    Notation(
        r"\left\lVert {0} - {1} \right\rVert_2^2", "‖{0} − {1}‖₂²", "squared_error({0}, {1})", operands=(SUM, PRODUCT)
    ),
)
_absolute_error = Composite(
    "absolute_error",
    lambda y, t: FUNCTIONS["sum"](FUNCTIONS["abs"](y - t)),
    Notation(
        r"\left\lVert {0} - {1} \right\rVert_1", "‖{0} − {1}‖₁", "absolute_error({0}, {1})", operands=(SUM, PRODUCT)
    ),
)


@lru_cache(maxsize=256)
def _huber(delta: float) -> Composite:
    def body(y: Node, t: Node) -> Node:
        far = FUNCTIONS["abs"](y - t)
        near = minimum(far, delta)
        total: Node = FUNCTIONS["sum"](near * (far - near / 2))
        return total

    def rule(gradient: Node, output: Node, y: Node, t: Node) -> tuple[Any, ...]:
        slope = clip(y - t, -delta, delta)
        return times(gradient, slope), times(gradient, -slope)

    return Composite("huber", body, rule=rule, settings=(("delta", delta),) * (delta != 1))


@public
def squared_error(y: Operand, t: Operand) -> Node:
    """The squared error of one sample, l = Σᵢ (yᵢ - tᵢ)², a scalar (neither halved nor divided).

    `y` and `t` broadcast as in NumPy. Source: Bishop, Pattern Recognition and Machine Learning, 1.1.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     y, t = gg.input("y", 2), gg.input("t", 2)
    ...     g.l = gg.squared_error(y, t)
    >>> float(gg.compile(g, ["l"], target="numpy")(y=[1.0, 2.0], t=[0.0, 4.0])["l"])
    5.0
    """
    return _squared_error(y, t)


@public
def absolute_error(y: Operand, t: Operand) -> Node:
    """The absolute error of one sample, l = Σᵢ |yᵢ - tᵢ|, a scalar; its gradient is sign(y - t), 0 where they are equal.

    `y` and `t` broadcast as in NumPy. Source: PyTorch's L1Loss, before its mean.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     y, t = gg.input("y", 2), gg.input("t", 2)
    ...     g.l = gg.absolute_error(y, t)
    >>> float(gg.compile(g, ["l"], target="numpy")(y=[1.0, 2.0], t=[0.0, 4.0])["l"])
    3.0
    """
    return _absolute_error(y, t)


@public
def huber(y: Operand, t: Operand, delta: float = 1.0) -> Node:
    """The Huber loss of one sample, a scalar: l = Σᵢ h(yᵢ - tᵢ), h(r) = r²/2 for |r| ≤ δ, else δ(|r| - δ/2).

    ∂h/∂r is r, kept between -δ and δ. `y` and `t` broadcast as in NumPy. Raises GraphError unless δ is above 0.
    Source: Huber, Robust estimation of a location parameter, 1964; PyTorch's HuberLoss, before its mean.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     y, t = gg.input("y", 2), gg.input("t", 2)
    ...     g.l = gg.huber(y, t)
    >>> float(gg.compile(g, ["l"], target="numpy")(y=[0.5, 2.0], t=[0.0, 5.0])["l"])
    2.625
    """
    return _huber(in_range("huber", "delta", delta, 0.0, float("inf"), "()"))(y, t)


__all__ = [
    "absolute_error",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "focal",
    "focal_with_logits",
    "hinge",
    "huber",
    "squared_error",
]
