"""Samples of every operation: how it is called, on what operands, and a second opinion on its value.

An operation gets its whole suite from one row here. `unary` and `binary` are for elementwise operations: a NumPy
formula, and the same in mpmath; `sample` is for any other: a NumPy formula for one sample, and the operands' shapes.
A mixture such as "n1" says which operands have a value for each sample (n) and which share one (1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import mpmath as mp
import numpy as np
from scipy import special

import graphgrad as gg
from graphgrad.graph import FUNCTIONS
from graphgrad.ops.batch import BatchSpread
from graphgrad.ops.losses import _logit_difference, cross_entropy_slope
from graphgrad.ops.reductions import Broadcast

Shape = tuple[int, ...]
Domain = Callable[[np.random.Generator, Shape], np.ndarray]


def between(low: float, high: float) -> Domain:
    return lambda random, shape: random.uniform(low, high, shape)


def away(low: float, high: float) -> Domain:
    """Of both signs, and not near 0."""
    return lambda random, shape: random.uniform(low, high, shape) * random.choice([-1.0, 1.0], shape)


LINE, POSITIVE, APART, CHANCE = between(-2, 2), between(0.3, 3), away(0.3, 2), between(0.15, 0.85)


@dataclass(frozen=True, eq=False)
class Sample:
    """One way to use an operation. `value` is its NumPy formula for one sample, for the whole batch where `whole`."""

    name: str
    call: Callable[..., gg.Node]
    value: Callable[..., np.ndarray]
    shapes: tuple[Shape, ...]
    mixture: str
    domains: tuple[Domain, ...]
    smooth: bool = True
    whole: bool = False
    tag: str = ""

    def __str__(self) -> str:
        shapes = ",".join("x".join(map(str, shape)) or "scalar" for shape in self.shapes)
        return "-".join(filter(None, (self.name, self.tag, shapes, self.mixture)))


@dataclass(frozen=True, eq=False)
class Exact:
    """An elementwise operation as a function of mpmath, with the value and slope that it has at its kinks.

    `odd` says that the NumPy formula also holds outside of the domain, at infinities and NaN.
    """

    name: str
    call: Callable[..., gg.Node]
    value: Callable[..., np.ndarray]
    exact: Callable[..., object]
    domains: tuple[Domain, ...]
    kinks: dict[float, tuple[float, float]]
    odd: bool


SAMPLES: list[Sample] = []
EXACT: dict[str, Exact] = {}


def sample(name, call, value, *shapes, mixtures=None, domains=LINE, smooth=True, whole=False, tag=""):
    """Any operation, in every mixture of per-sample and shared operands unless they are named."""
    domains = domains if isinstance(domains, tuple) else (domains,) * len(shapes)
    for mixture in mixtures or map("".join, product("n1", repeat=len(shapes))):
        SAMPLES.append(Sample(name, call, value, shapes, mixture, domains, smooth, whole, tag))


def unary(name, value, exact, domain=LINE, *, smooth=True, kinks=None, odd=True, call=None):
    """An elementwise operation of one operand; `kinks` are {point: (value, slope)}."""
    call = call or FUNCTIONS[name]
    EXACT[name] = Exact(name, call, value, exact, (domain,), kinks or {}, odd)
    for shape, mixture in (((), "n"), ((2, 3), "n"), ((1,), "1")):
        sample(name, call, value, shape, mixtures=[mixture], domains=domain, smooth=smooth)


def binary(name, value, exact, *domains, smooth=True, odd=True, call=None):
    """An elementwise operation of two operands, which broadcast."""
    call = call or FUNCTIONS[name]
    domains = domains or (LINE, LINE)
    EXACT[name] = Exact(name, call, value, exact, domains, {}, odd)
    for a, b, mixture in (
        ((), (), "nn"),
        ((2, 3), (3,), "1n"),
        ((), (3,), "n1"),
        ((2, 1), (1, 3), "nn"),
    ):
        sample(name, call, value, a, b, mixtures=[mixture], domains=domains, smooth=smooth)


# -- arithmetic and elementary functions -----------------------------------------------------------------------------

binary("add", lambda a, b: a + b, lambda a, b: a + b)
binary("subtract", lambda a, b: a - b, lambda a, b: a - b)
binary("multiply", lambda a, b: a * b, lambda a, b: a * b)
binary("divide", lambda a, b: a / b, lambda a, b: a / b, LINE, APART)
binary("power", lambda a, b: a**b, lambda a, b: a**b, POSITIVE, LINE)
unary("negative", lambda a: -a, lambda a: -a)
unary("identity", lambda a: a, lambda a: a)
unary("square", lambda a: a * a, lambda a: a**2)
unary("reciprocal", lambda a: 1 / a, lambda a: 1 / a, APART)
unary("sqrt", np.sqrt, mp.sqrt, POSITIVE)
unary("exp", np.exp, mp.exp)
unary("log", np.log, mp.log, POSITIVE)
unary("expm1", lambda a: np.exp(a) - 1 if np.iscomplexobj(a) else np.expm1(a), mp.expm1)
unary("log1p", lambda a: np.log(1 + a) if np.iscomplexobj(a) else np.log1p(a), mp.log1p, between(-0.7, 3))
unary("sign", np.sign, mp.sign, APART, smooth=False, kinks={0.0: (0.0, 0.0)})
unary("abs", np.abs, mp.fabs, APART, smooth=False, kinks={0.0: (0.0, 0.0)})
unary(
    "step",
    lambda a: np.heaviside(a, 0.0),
    lambda a: mp.mpf(a > 0),
    APART,
    smooth=False,
    kinks={0.0: (0.0, 0.0)},
)

for exponent in (3, -2, 2.5, 2, -1, 0.5, 1, 0):
    sample(
        "power",
        lambda a, exponent=exponent: a**exponent,
        lambda a, exponent=exponent: a**exponent,
        (3,),
        domains=POSITIVE,
        tag=f"to {exponent}",
    )
sample("power", lambda a: 2**a, lambda a: 2**a, (3,), tag="of 2")
sample("multiply", lambda a: a * a, lambda a: a * a, (3,), tag="with itself")
sample("multiply", lambda a: -3 * a, lambda a: -3 * a, (3,), tag="with a number")
sample("subtract", lambda a: 1 - a, lambda a: 1 - a, (3,), tag="from a number")
sample("subtract", lambda a: a - a * a, lambda a: a - a * a, (3,), tag="of its square")
sample("divide", lambda a: 1 / a, lambda a: 1 / a, (3,), domains=APART, tag="a number")

# -- activations -----------------------------------------------------------------------------------------------------

unary(
    "sigmoid",
    lambda z: 1 / (1 + np.exp(-z)) if np.iscomplexobj(z) else special.expit(z),
    lambda z: 1 / (1 + mp.exp(-z)),
)
unary("tanh", np.tanh, mp.tanh)
unary(
    "relu",
    lambda z: np.maximum(z, 0),
    lambda z: max(z, mp.mpf(0)),
    APART,
    smooth=False,
    kinks={0.0: (0.0, 0.0)},
)

# -- linear algebra --------------------------------------------------------------------------------------------------

for a, b, mixtures in (
    ((3, 2), (2,), ["nn", "n1", "1n", "11"]),
    ((2, 3), (3, 4), ["nn", "n1", "1n", "11"]),
    ((3, 3), (3,), ["1n"]),
    ((4,), (4, 3), ["nn", "n1"]),
    ((3,), (3,), ["nn", "1n"]),
    ((3, 3), (3, 3), ["1n"]),
    ((1, 1), (1,), ["1n"]),
):
    sample("matmul", lambda a, b: a @ b, lambda a, b: np.einsum(_product(a, b), a, b), a, b, mixtures=mixtures)
sample("matmul", lambda a: a @ a, lambda a: np.einsum("ik,kj->ij", a, a), (3, 3), tag="with itself")
sample(
    "matmul",
    lambda a, b: a.T @ b,
    lambda a, b: np.einsum("ki,k->i", a, b),
    (3, 2),
    (3,),
    mixtures=["1n"],
    tag="transposed",
)
sample("outer", gg.outer, lambda a, b: np.einsum("i,j->ij", a, b), (2,), (3,))
sample("transpose", gg.transpose, lambda a: np.einsum("ij->ji", a), (2, 3))
sample("transpose", gg.transpose, lambda a: a, (3,), tag="of a vector")


def _product(a: np.ndarray, b: np.ndarray) -> str:
    return f"{'ik'[2 - a.ndim :]},{'kj'[: b.ndim]}->{'i' * (a.ndim - 1)}{'j' * (b.ndim - 1)}"


# -- sums and means --------------------------------------------------------------------------------------------------


def reduction(name, total, shape, axis, keepdims, mixture):
    """A function of an array along axes, against NumPy's of the same signature."""
    sample(
        name,
        lambda a: FUNCTIONS[name](a, axis=axis, keepdims=keepdims),
        lambda a: total(a, axis=tuple(axis) if isinstance(axis, list) else axis, keepdims=keepdims),
        shape,
        mixtures=[mixture],
        tag=f"axis {axis}{' kept' if keepdims else ''}",
    )


for name, total in (("sum", np.sum), ("mean", np.mean)):
    reduction(name, total, (2, 3), None, keepdims=True, mixture="1")
    reduction(name, total, (2, 3), 0, keepdims=False, mixture="n")
    reduction(name, total, (2, 3), -1, keepdims=True, mixture="n")
    reduction(name, total, (2, 3, 2), (0, 2), keepdims=False, mixture="n")
    reduction(name, total, (2, 3), [1], keepdims=False, mixture="1")
    for shape in ((), (3,), (1,)):
        sample(name, FUNCTIONS[name], total, shape, mixtures=["n"])
sample(
    "broadcast_to", lambda a: Broadcast((2, 3), (0,))(a), lambda a: a * np.ones((2, 3)), (3,), tag="a new first axis"
)
sample(
    "broadcast_to",
    lambda a: Broadcast((2, 3), (1,))(a),
    lambda a: a[:, None] * np.ones((2, 3)),
    (2,),
    tag="a new last axis",
)
sample("broadcast_to", lambda a: Broadcast((2, 3), ())(a), lambda a: a * np.ones((2, 3)), (2, 1), tag="an axis of 1")
sample("broadcast_to", lambda a: Broadcast((2, 3), (0, 1))(a), lambda a: a * np.ones((2, 3)), (), tag="a number")

# -- the batch -------------------------------------------------------------------------------------------------------

for shape in ((), (3,), (2, 3)):
    sample("batch_sum", gg.batch_sum, lambda a: np.sum(a, axis=0), shape, mixtures=["n"], whole=True)
    sample("batch_mean", gg.batch_mean, lambda a: np.mean(a, axis=0), shape, mixtures=["n"], whole=True)
    sample("batch_spread", BatchSpread(), lambda a: a, shape)

# -- losses and penalties --------------------------------------------------------------------------------------------

binary(
    "binary_cross_entropy",
    lambda y, t: -t * np.log(y) - (1 - t) * np.log(1 - y),
    lambda y, t: -t * mp.log(y) - (1 - t) * mp.log(1 - y),
    CHANCE,
    CHANCE,
    odd=False,
)
binary(
    "binary_cross_entropy_with_logits",
    lambda z, t: (
        np.log(1 + np.exp(z)) - z * t if np.iscomplexobj(z) or np.iscomplexobj(t) else np.logaddexp(0, z) - z * t
    ),
    lambda z, t: mp.log(1 + mp.exp(z)) - z * t,
    LINE,
    CHANCE,
    odd=False,
)
binary(
    "cross_entropy_slope",
    lambda y, t: (y - t) / (y * (1 - y)),
    lambda y, t: (y - t) / (y * (1 - y)),
    CHANCE,
    CHANCE,
    odd=False,
    call=cross_entropy_slope,
)
unary(
    "negative_logit",
    lambda y: np.log((1 - y) / y),
    lambda y: mp.log((1 - y) / y),
    CHANCE,
    odd=False,
    call=_logit_difference,
)
for y, t, mixtures in (((), (), ["nn"]), ((3,), (3,), None), ((2, 3), (3,), ["n1"]), ((3,), (), ["1n"])):
    sample("squared_error", gg.squared_error, lambda y, t: np.sum((y - t) ** 2), y, t, mixtures=mixtures)
for shape in ((), (3,), (2, 3)):
    sample("l1", gg.l1, lambda w: np.sum(np.abs(w)), shape, domains=APART, smooth=False)
    sample("l2", gg.l2, lambda w: np.sum(w * w), shape)
sample(
    "l1",
    gg.l1,
    lambda v, w: np.sum(np.abs(v)) + np.sum(np.abs(w)),
    (3,),
    (2, 2),
    mixtures=["11", "n1"],
    domains=APART,
    smooth=False,
)
sample("l2", gg.l2, lambda v, w: np.sum(v * v) + np.sum(w * w), (3,), (2, 2), mixtures=["11", "n1"])

import tests.ops.samples_elementwise  # noqa: E402
import tests.ops.samples_indexed  # noqa: E402
import tests.ops.samples_learning  # noqa: E402
import tests.ops.samples_reductions  # noqa: E402, F401
