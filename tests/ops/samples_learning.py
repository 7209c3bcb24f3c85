"""Samples of what learning needs: losses, penalties, normalisation, noise."""

from __future__ import annotations

import zlib

import mpmath as mp
import numpy as np

import graphgrad as gg
from graphgrad.ops.classes import ClassWeights, LabelTargets, _share_of_log, log_probability, over_probability
from graphgrad.ops.noise import Drop
from graphgrad.ops.normalisation import Standardise
from tests.ops.samples import APART, CHANCE, LINE, POSITIVE, away, between, binary, sample, unary
from tests.ops.samples_reductions import distinct

ONES = away(1.0, 1.0)  # -1 and 1


def simplex(random, shape):
    """Probabilities along the first axis of a sample, and all of them well above 0."""
    drawn = random.uniform(0.2, 1.0, shape)
    return drawn / drawn.sum(axis=list(shape).index(3), keepdims=True)


def softmax(z):
    raised = np.exp(z - np.max(z.real, axis=0))
    return raised / raised.sum(axis=0)


def one_hot(t, classes):
    return np.moveaxis(np.eye(classes)[np.asarray(t).astype(int)], -1, 0)


# -- two classes and numbers -----------------------------------------------------------------------------------------

binary(
    "hinge",
    lambda z, t: np.maximum(0, 1 - t * z),
    lambda z, t: max(mp.mpf(0), 1 - t * z),
    away(1.2, 3.0),
    ONES,
    smooth=False,
    odd=False,
)
for gamma, alpha in ((2.0, 0.25), (0.0, 0.4), (3.5, None)):

    def focal(y, t, gamma=gamma, alpha=alpha):
        entropy = -t * np.log(y) - (1 - t) * np.log(1 - y)
        weight = 1 if alpha is None else alpha * t + (1 - alpha) * (1 - t)
        return weight * (t * (1 - y) + (1 - t) * y) ** gamma * entropy

    sample(
        "focal",
        lambda y, t, gamma=gamma, alpha=alpha: gg.focal(y, t, gamma=gamma, alpha=alpha),
        focal,
        (2,),
        (2,),
        mixtures=["n1"],
        domains=CHANCE,
        tag=f"gamma {gamma} alpha {alpha}",
    )
    sample(
        "focal_with_logits",
        lambda z, t, gamma=gamma, alpha=alpha: gg.focal_with_logits(z, t, gamma=gamma, alpha=alpha),
        lambda z, t, focal=focal: focal(1 / (1 + np.exp(-z)), t),
        (2,),
        (),
        mixtures=["nn"],
        domains=(LINE, CHANCE),
        tag=f"gamma {gamma} alpha {alpha}",
    )

for y, t, mixtures in (((), (), ["nn"]), ((2, 3), (3,), ["n1", "1n"])):
    sample(
        "absolute_error",
        gg.absolute_error,
        lambda y, t: np.sum(np.abs(y - t)),
        y,
        t,
        mixtures=mixtures,
        domains=(away(2.0, 3.0), between(-1, 1)),
        smooth=False,
    )
    for delta in (1.0, 0.5):
        sample(
            "huber",
            lambda y, t, delta=delta: gg.huber(y, t, delta=delta),
            lambda y, t, delta=delta: np.sum(
                np.where(np.abs(y - t) <= delta, (y - t) ** 2 / 2, delta * (np.abs(y - t) - delta / 2))
            ),
            y,
            t,
            mixtures=mixtures,
            domains=(away(0.7, 0.9) if delta == 0.5 else away(0.1, 3.0), between(-0.05, 0.05)),
            smooth=False,
            tag=f"delta {delta}",
        )


# -- K classes -------------------------------------------------------------------------------------------------------

unary("log_probability", np.log, mp.log, CHANCE, odd=False, call=log_probability)
binary("over_probability", lambda a, p: a / p, lambda a, p: a / p, LINE, POSITIVE, odd=False, call=over_probability)
binary("share_of_log", lambda q, l: q * l, lambda q, l: q * l, APART, LINE, odd=False, call=_share_of_log)


def labels(scores):
    """Labels that a small step does not move: where the largest of some scores stands."""
    return gg.argmax(scores, axis=0)


def named(t):
    return np.argmax(t, axis=0)


for shape in ((3,), (3, 2, 2)):
    sample(
        "label_targets",
        lambda s: LabelTargets(3, 0.1)(labels(s)),
        lambda s: 0.9 * one_hot(named(s), 3) + 0.1 / 3,
        shape,
        domains=distinct,
        smooth=False,
    )
    sample(
        "label_targets",
        lambda s: LabelTargets(3, 0.0, 1)(labels(s)),
        lambda s: one_hot(named(s), 3) * (named(s) != 1),
        shape,
        domains=distinct,
        smooth=False,
        tag="one ignored",
    )
sample("class_weights", ClassWeights((0.5, 2.0, 1.0)), lambda a: a * np.array([0.5, 2.0, 1.0]), ())

WEIGHT = (0.5, 2.0, 1.0)


def entropy(logarithms, q, weight=None, label_smoothing=0.0):
    q = (1 - label_smoothing) * q + label_smoothing / 3
    w = np.ones(3) if weight is None else np.asarray(weight)
    return -np.einsum("k,k...,k...->...", w, q, logarithms)


for name, call, logarithms, domain in (
    ("cross_entropy", gg.cross_entropy, np.log, simplex),
    ("cross_entropy_with_logits", gg.cross_entropy_with_logits, lambda z: np.log(softmax(z)), LINE),
):
    for shape, options, mixture in (
        ((3,), {}, "nn"),
        ((3,), {"label_smoothing": 0.1}, "n1"),
        ((3, 2, 1), {"weight": WEIGHT, "label_smoothing": 0.2}, "nn"),
    ):
        tag = " ".join(options)
        sample(
            name,
            lambda p, t, call=call, options=options: call(p, t, **options),
            lambda p, t, logarithms=logarithms, options=options: entropy(logarithms(p), t, **options),
            shape,
            shape,
            mixtures=[mixture],
            domains=(domain, CHANCE),
            tag=f"probabilities {tag}",
        )
        sample(
            name,
            lambda p, s, call=call, options=options: call(p, labels(s), **options),
            lambda p, s, logarithms=logarithms, options=options: entropy(
                logarithms(p), one_hot(named(s), 3), **options
            ),
            shape,
            shape,
            mixtures=[mixture],
            domains=(domain, distinct),
            tag=f"labels {tag}",
        )
    sample(
        name,
        lambda p, s, call=call: call(p, labels(s), ignore_index=2, label_smoothing=0.1),
        lambda p, s, logarithms=logarithms: (
            entropy(logarithms(p), one_hot(named(s), 3), label_smoothing=0.1) * (named(s) != 2)
        ),
        (3, 2),
        (3, 2),
        mixtures=["nn"],
        domains=(domain, distinct),
        tag="one label ignored",
    )
    sample(
        name,
        lambda p, t, w, call=call: call(p, t, weight=w, label_smoothing=0.1),
        lambda p, t, w, logarithms=logarithms: entropy(logarithms(p), t, w, 0.1),
        (3, 2),
        (3, 2),
        (3,),
        mixtures=["nn1"],
        domains=(domain, CHANCE, POSITIVE),
        tag="weights learned",
    )


def margins(z, q):
    return np.sum(np.maximum(0, 1 - np.sum(z * q, axis=0) + z) * (1 - q), axis=0) / 3


def scores(random, shape):
    """Scores whose differences are not near 1, where the hinge has its kinks."""
    return 1.5 * distinct(random, shape)


for shape, mixture in (((3,), "nn"), ((3, 2), "1n")):
    sample(
        "kl_divergence",
        gg.kl_divergence,
        lambda p, t: np.sum(t * (np.log(t) - np.log(p)), axis=0),
        shape,
        shape,
        mixtures=[mixture],
        domains=simplex,
    )
    sample(
        "kl_divergence",
        lambda p, s: gg.kl_divergence(p, labels(s)),
        lambda p, s: -np.sum(one_hot(named(s), 3) * np.log(p), axis=0),
        shape,
        shape,
        mixtures=[mixture],
        domains=(simplex, distinct),
        tag="labels",
    )
    sample(
        "multi_class_hinge",
        lambda z, s: gg.multi_class_hinge(z, labels(s)),
        lambda z, s: margins(z, one_hot(named(s), 3)),
        shape,
        shape,
        mixtures=[mixture],
        domains=(scores, distinct),
        tag="labels",
    )
    sample(
        "multi_class_hinge",
        lambda z, s: gg.multi_class_hinge(z, LabelTargets(3)(labels(s))),
        lambda z, s: margins(z, one_hot(named(s), 3)),
        shape,
        shape,
        mixtures=[mixture],
        domains=(scores, distinct),
        tag="one-hot",
    )


def overlap(p, t, smooth=1.0, axes=None):
    shared, size = np.sum(p * t, axis=axes), np.sum(p, axis=axes) + np.sum(t, axis=axes)
    return 1 - np.mean((2 * shared + smooth) / (size + smooth))


for shape, mixture in (((4,), "nn"), ((2, 3), "1n")):
    sample("dice", gg.dice, overlap, shape, shape, mixtures=[mixture], domains=CHANCE)
sample(
    "dice",
    lambda p, t: gg.dice(p, t, smooth=0.5, per_class=True),
    lambda p, t: overlap(p, t, 0.5, (1, 2)),
    (3, 2, 2),
    (3, 2, 2),
    mixtures=["n1"],
    domains=CHANCE,
    tag="per class",
)
sample(
    "dice",
    lambda p, s: gg.dice(p, labels(s), per_class=True),
    lambda p, s: overlap(p, one_hot(named(s), 3), 1.0, (1, 2)),
    (3, 2, 2),
    (3, 2, 2),
    mixtures=["nn"],
    domains=(CHANCE, distinct),
    smooth=False,
    tag="labels",
)

# -- penalties -------------------------------------------------------------------------------------------------------

for ratio in (0.5, 0.2):
    sample(
        "elastic_net",
        lambda v, w, ratio=ratio: gg.elastic_net(v, w, ratio=ratio),
        lambda v, w, ratio=ratio: (
            ratio * (np.sum(np.abs(v)) + np.sum(np.abs(w))) + (1 - ratio) * (np.sum(v * v) + np.sum(w * w))
        ),
        (3,),
        (2, 2),
        mixtures=["11"],
        domains=APART,
        smooth=False,
        tag=f"ratio {ratio}",
    )
sample(
    "elastic_net", gg.elastic_net, lambda w: np.sum(np.abs(w) + w * w) / 2, (3,), domains=APART, smooth=False, tag="one"
)

# -- normalisation ---------------------------------------------------------------------------------------------------


def standard(x, axes, eps=1e-5):
    apart = x - x.mean(axis=axes, keepdims=True)
    return apart / np.sqrt((apart * apart).mean(axis=axes, keepdims=True) + eps)


def along(a, rank, axis=0):
    """A number for each channel, along the first axis of a sample (or the second of a batch)."""
    return np.reshape(a, [-1 if k == axis else 1 for k in range(rank)])


def affine(x, scale, shift, axis=0):
    return x * along(scale, x.ndim, axis) + along(shift, x.ndim, axis)


for axes in ((0,), (1, 2)):
    sample(
        "standardise",
        lambda x, axes=axes: Standardise(axes, 0.1)(x),
        lambda x, axes=axes: standard(x, axes, 0.1),
        (2, 3, 2),
        tag=f"axes {axes}",
    )
for shape, axes in (((), (0,)), ((3,), (0,)), ((2, 3), (0, 2))):
    sample(
        "batch_norm",
        lambda x: gg.batch_norm(x, eps=0.01),
        lambda x, axes=axes: standard(x, axes, 0.01),
        shape,
        mixtures=["n"],
        whole=True,
    )
for training in (True, False):
    sample(
        "batch_norm",
        lambda x, m, v, g, b, training=training: gg.batch_norm(x, m, v, g, b, training=training),
        lambda x, m, v, g, b, training=training: affine(
            standard(x, (0, 2)) if training else (x - along(m, 3, 1)) / np.sqrt(along(v, 3, 1) + 1e-5), g, b, axis=1
        ),
        (2, 3),
        *[(2,)] * 4,
        mixtures=["n1111"],
        domains=(LINE, LINE, POSITIVE, LINE, LINE),
        whole=True,
        tag="training" if training else "in use",
    )
for axis, mixture in ((-1, "n11"), (0, "111")):
    shape = (2, 3)[axis:]
    sample(
        "layer_norm",
        lambda x, g, b, axis=axis: gg.layer_norm(x, g, b, axis=axis, eps=0.01),
        lambda x, g, b, axis=axis: standard(x, tuple(range(axis % 2, 2)), 0.01) * g + b,
        (2, 3),
        shape,
        shape,
        mixtures=[mixture],
        tag=f"axis {axis}",
    )
sample("layer_norm", gg.layer_norm, lambda x: standard(x, 0), (4,))
sample("instance_norm", lambda x: gg.instance_norm(x, eps=0.1), lambda x: standard(x, (1, 2), 0.1), (2, 2, 3))
sample(
    "instance_norm",
    gg.instance_norm,
    lambda x, g, b: affine(standard(x, 1), g, b),
    (2, 3),
    (2,),
    (2,),
    mixtures=["n11"],
    tag="affine",
)


def by_groups(x, groups, eps=1e-5):
    apart = x.reshape(groups, -1)
    return standard(apart, 1, eps).reshape(x.shape)


for groups, shape in ((2, (4, 3)), (1, (2, 2)), (3, (6,))):
    sample(
        "group_norm",
        lambda x, groups=groups: gg.group_norm(x, groups, eps=0.1),
        lambda x, groups=groups: by_groups(x, groups, 0.1),
        shape,
        tag=f"{groups} groups",
    )
sample(
    "group_norm",
    lambda x, g, b: gg.group_norm(x, 2, g, b),
    lambda x, g, b: affine(by_groups(x, 2), g, b),
    (4, 2, 1),
    (4,),
    (4,),
    mixtures=["n11"],
    tag="affine",
)

# -- noise -----------------------------------------------------------------------------------------------------------


def drawn(salt, step, sample, element):
    """The hash of dropout in whole numbers of Python."""
    h = 0
    for count, part in enumerate((salt, step, sample, element)):
        h = (h ^ part) if count else part
        h = ((h ^ (h >> 16)) * 0x7FEB352D) % 2**32
        h = ((h ^ (h >> 15)) * 0x846CA68B) % 2**32
        h ^= h >> 16
    return (h >> 8) / 2**24


def dropped(salt, kept, step, a, each):
    """`a` after dropout, of one sample or, with `each`, of a batch."""
    kept = round(kept * 2**24) / 2**24
    mask = np.array(
        [
            [drawn(salt, int(step.real), n, k) < kept for k in range(a[0].size if each else a.size)]
            for n in range(len(a) if each else 1)
        ]
    )
    return np.where(mask.reshape(a.shape), a / kept, 0)


def counted(random, shape):
    """The number of a step, and a half, which a small step leaves where it is."""
    return np.full(shape, 7.5)


for shape, each in (((2, 3), True), ((), True), ((4,), False)):
    sample(
        "drop",
        lambda a, step, each=each: Drop(round(0.7 * 2**24) / 2**24, 1234, each)(a, step),
        lambda a, step, each=each: dropped(1234, 0.7, step, a, each),
        shape,
        (),
        mixtures=["n1" if each else "11"],
        domains=(LINE, counted),
        whole=True,
    )
for rate, seed, name in ((0.5, 0, "half"), (0.2, 3, "fifth"), (0.0, 1, "none")):
    sample(
        "dropout",
        lambda a, step, rate=rate, seed=seed, name=name: a.graph.define(
            name, gg.dropout(a, step, rate=rate, seed=seed)
        ),
        lambda a, step, rate=rate, seed=seed, name=name: dropped(
            zlib.crc32(f"{seed} {name}".encode()) % 2**24, 1 - rate, step, a, True
        ),
        (3, 2),
        (),
        mixtures=["n1"],
        domains=(LINE, counted),
        whole=True,
        tag=name,
    )
