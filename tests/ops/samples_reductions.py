"""Samples of what takes one value out of many elements: extremes, softmax and its kin, products, spreads, norms."""

from __future__ import annotations

import numpy as np

import graphgrad as gg
from graphgrad.graph import FUNCTIONS
from graphgrad.ops import norms
from graphgrad.ops.extremes import Picked, Placed
from graphgrad.ops.products import Others
from tests.ops.samples import APART, LINE, POSITIVE, binary, sample, unary


def distinct(random, shape):
    """Numbers that are well apart from one another, of either sign, so that a small step changes no winner."""
    return random.permutation(np.linspace(-2, 2.11, int(np.prod(shape)))).reshape(shape)


AXES = (None, 0, -1, (0, 2), [1])


def over_axes(name, value, *, domain=LINE, smooth=True, **options):
    """A reduction over several choices of axes, with and without the reduced axes kept."""
    told = " ".join(f"{option} {choice}" for option, choice in options.items())
    for number, axis in enumerate(AXES):
        keepdims = number % 2 == 1
        numpy_axis = tuple(axis) if isinstance(axis, list) else axis
        sample(
            name,
            lambda a, axis=axis, keepdims=keepdims: FUNCTIONS[name](a, axis=axis, keepdims=keepdims, **options),
            lambda a, axis=numpy_axis, keepdims=keepdims: value(a, axis=axis, keepdims=keepdims, **options),
            (2, 3, 4),
            mixtures=["n1"[keepdims]],
            domains=domain,
            smooth=smooth,
            tag=f"{told} axis {axis}{' kept' if keepdims else ''}".strip(),
        )
    sample(
        name,
        lambda a: FUNCTIONS[name](a, **options),
        lambda a: value(a, **options),
        (3,),
        domains=domain,
        smooth=smooth,
        tag=told,
    )


def flat_position(find):
    """NumPy's argmax over any axes, counted in order among them."""

    def position(a, axis=None, keepdims=False):
        axes = tuple(range(a.ndim)) if axis is None else tuple(np.atleast_1d(axis) % a.ndim)
        last = np.moveaxis(a, axes, range(a.ndim - len(axes), a.ndim))
        found = find(last.reshape(*last.shape[: a.ndim - len(axes)], -1), axis=-1).astype(float)
        return np.expand_dims(found, axes) if keepdims else found

    return position


over_axes("max", np.max, domain=distinct, smooth=False)
over_axes("min", np.min, domain=distinct, smooth=False)
over_axes("argmax", flat_position(np.argmax), domain=distinct, smooth=False)
over_axes("argmin", flat_position(np.argmin), domain=distinct, smooth=False)
for name in ("max", "min", "argmax", "argmin"):
    sample(name, FUNCTIONS[name], lambda a, name=name: a * 0.0 if name.startswith("arg") else a, (), smooth=False)
    sample(
        name, FUNCTIONS[name], lambda a, name=name: a[0] * 0.0 if name.startswith("arg") else a[0], (1,), smooth=False
    )
for others in (False, True):
    sample(
        "picked",
        lambda a, others=others: Picked((1,), others=others)(a, gg.argmax(a, axis=1)),
        lambda a, others=others: np.sum(a, axis=1) - np.max(a, axis=1) if others else np.max(a, axis=1),
        (2, 3),
        domains=distinct,
        smooth=False,
        tag="the others" if others else "",
    )
    sample(
        "placed",
        lambda v, a, others=others: Placed((2, 3), (0, 1), True, others)(v, gg.argmax(a, keepdims=True)),
        lambda v, a, others=others: np.where((a == np.max(a)) != others, v, 0),
        (1, 1),
        (2, 3),
        domains=distinct,
        smooth=False,
        tag="the others" if others else "",
    )

# -- softmax ---------------------------------------------------------------------------------------------------------


def softmax(z, axis=-1):
    return np.exp(z) / np.sum(np.exp(z), axis=axis, keepdims=True)


for axis in (-1, 0, (0, 2), [1], None):
    numpy_axis = tuple(axis) if isinstance(axis, list) else axis
    for name, value in (("softmax", softmax), ("log_softmax", lambda z, axis: np.log(softmax(z, axis)))):
        sample(
            name,
            lambda z, name=name, axis=axis: FUNCTIONS[name](z, axis=axis),
            lambda z, value=value, axis=numpy_axis: value(z, axis=axis),
            (2, 3, 4),
            mixtures=["n1"[axis == 0]],
            tag=f"axis {axis}",
        )
for name, value in (("softmax", softmax), ("log_softmax", lambda z: z - np.log(np.sum(np.exp(z))))):
    sample(name, FUNCTIONS[name], value, (3,))
    sample(name, FUNCTIONS[name], lambda z, one=name == "softmax": one + 0 * z, (1,), mixtures=["n"])
over_axes("logsumexp", lambda a, axis=None, keepdims=False: np.log(np.sum(np.exp(a), axis=axis, keepdims=keepdims)))
sample("logsumexp", gg.logsumexp, lambda a: a, ())

# -- products, spreads, norms ----------------------------------------------------------------------------------------


def with_zeros(random, shape):
    """Numbers of which some are 0."""
    return np.where(random.uniform(size=shape) < 0.2, 0.0, random.uniform(-2, 2, shape))


def others(a, axis):
    """The product of all others, by its definition."""
    axes = tuple(np.atleast_1d(axis) % a.ndim)
    result = np.ones_like(a)
    for here in np.ndindex(a.shape):
        for there in np.ndindex(a.shape):
            if here != there and all(here[k] == there[k] for k in range(a.ndim) if k not in axes):
                result[here] *= a[there]
    return result


over_axes("prod", np.prod)
for shape in ((1,), (2,), (3,), (7,), (2, 2)):
    sample("prod", gg.prod, np.prod, shape, domains=with_zeros, mixtures=["n"], tag="with zeros")
sample("prod", gg.prod, lambda a: a, (), mixtures=["n"])
for axis in ((0,), (1,), (0, 1)):
    sample(
        "others",
        Others(axis=axis),
        lambda a, axis=axis: others(a, axis),
        (2, 3),
        domains=with_zeros,
        tag=f"axes {axis}",
    )


def variance(a, axis=None, keepdims=False, correction=1):
    apart = a - np.mean(a, axis=axis, keepdims=True)
    divisor = a.size // np.mean(a, axis=axis).size - correction
    return np.sum(apart * apart, axis=axis, keepdims=keepdims) / divisor


over_axes("variance", variance)
over_axes("variance", variance, correction=0)
over_axes("std", lambda a, **options: np.sqrt(variance(a, **options)))
over_axes("std", lambda a, **options: np.sqrt(variance(a, **options)), correction=0.5)


def size(a):
    """|a|, as an analytic function on either side of 0."""
    return a * np.sign(np.real(a))


def norm(a, ord=2, axis=None, keepdims=False):
    return np.sum(size(a) ** ord, axis=axis, keepdims=keepdims) ** (1 / ord)


for order in (2, 1, 3, 1.5):
    over_axes("norm", norm, domain=APART, ord=order)
over_axes(
    "norm",
    lambda a, axis=None, keepdims=False, **order: np.max(np.abs(a), axis, keepdims=keepdims),
    domain=distinct,
    smooth=False,
    ord="inf",
)
unary("inverse", lambda a: 1 / a, lambda a: 1 / a, APART, odd=False, kinks={0.0: (0.0, 0.0)}, call=norms.inverse)
binary("share", lambda a, y: a / y, lambda a, y: a / y, LINE, POSITIVE, odd=False, call=norms._share)
binary("scaled", lambda a, top: a / top, lambda a, top: a / top, POSITIVE, POSITIVE, odd=False, call=norms._scaled)
