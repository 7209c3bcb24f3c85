"""Samples of what reads its operands at other places: products, shapes, slices, connections, pooling, up-sampling.

The second opinions are written with NumPy's own views of windows, and for transposed operations by scattering.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import graphgrad as gg
from graphgrad.graph import Axis, Index, at
from graphgrad.ops.contraction import Contraction
from graphgrad.ops.pooling import Winner
from graphgrad.ops.resample import Resample, Rows
from tests.ops.samples import LINE, sample
from tests.ops.samples_reductions import distinct


def whole(count):
    return lambda random, shape: random.integers(0, count, shape).astype(float)


def numbers(positions):
    return np.rint(np.real(positions)).astype(int)


# -- linear algebra ------------------------------------------------------------------------------------------------

for a, b, mixture in (
    ((2, 3, 4), (2, 4, 2), "nn"),
    ((2, 3, 4), (4, 2), "n1"),
    ((3, 4), (2, 4, 2), "1n"),
    ((2, 1, 2, 3), (3, 3, 2), "n1"),
    ((3,), (2, 3, 2), "nn"),
    ((2, 3, 2), (2,), "1n"),
    ((1, 1, 2), (2, 2, 1), "n1"),
):
    sample("matmul", lambda a, b: a @ b, np.matmul, a, b, mixtures=[mixture], tag="along leading axes")
sample("dot", gg.dot, lambda a, b: np.sum(a * b), (3,), (3,))
for letters, *shapes in (
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("bij,bkj->bik", (2, 3, 2), (2, 2, 2)),
    ("ij->ji", (2, 3)),
    ("ij->", (2, 3)),
    ("ii->", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij,j->ji", (2, 2, 3), (3,)),
    ("i,j,k->kji", (2,), (3,), (2,)),
    (",i->i", (), (3,)),
    ("ij,i,j->", (2, 3), (2,), (3,)),
):
    sample(
        "einsum",
        lambda *a, letters=letters: gg.einsum(letters, *a),
        lambda *a, letters=letters: np.einsum(letters, *a),
        *shapes,
        mixtures=["n" * len(shapes), "1" + "n" * (len(shapes) - 1)],
        tag=letters,
    )


def summed(axes, over, *reads):
    """A contraction by its definition: every term by itself, 0 where one of its factors is not there."""

    def value(*arrays):
        result = np.zeros([axis.extent for axis in axes], np.result_type(*arrays))
        for place in np.ndindex(*(axis.extent for axis in (*axes, *over))):
            at_ = dict(zip((*axes, *over), place, strict=True))
            term = 1.0
            for array, read in zip(arrays, reads, strict=True):
                where = [(sum(at_[a] * f for a, f in index.terms) + index.offset) / index.divisor for index in read]
                there = all(w == int(w) and 0 <= w < extent for w, extent in zip(where, array.shape, strict=True))
                term = term * (array[tuple(map(int, where))] if there else 0.0)
            result[place[: len(axes)]] += term
        return result

    return value


i, j, k = Axis("i", 4), Axis("j", 2), Axis("k", 3)
for tag, axes, over, reads, shapes in (
    ("strided", (i,), (k,), ((Index(((i, 2), (k, 1)), -1),), at(k)), ((8,), (3,))),
    ("nowhere plain", (), (i, k), ((Index(((i, 2), (k, 1)), -1),), (Index(((i, 3), (k, -1)), 1),)), ((9,), (9,))),
    ("at a fixed place", (i,), (), ((Index((), 1), *at(i)), at(i)), ((2, 4), (4,))),
    ("a part of an axis", (), (i,), (at(i), (Index(((i, 1),), 1),)), ((6,), (5,))),
    ("divided", (i, j), (k,), ((Index(((i, 1), (k, 1)), 0, 2),), at(j, k)), ((3,), (2, 3))),
    ("twice", (i, j), (), ((Index(((i, 1), (j, 2))), Index(((i, 1),))), at(j)), ((6, 4), (2,))),
):
    sample(
        "contraction",
        Contraction(tag, axes, over, reads),
        summed(axes, over, *reads),
        *shapes,
        mixtures=["nn", "n1"],
        tag=tag,
    )

# -- shapes --------------------------------------------------------------------------------------------------------

for shape, target in (
    ((2, 6), (3, 4)),
    ((2, 6), (3, -1)),
    ((6,), (2, 1, 3)),
    ((2, 3, 2), (6, 2)),
    ((), (1, 1)),
    ((1,), ()),
):
    for mixture in "n1":
        sample(
            "reshape",
            lambda a, target=target: gg.reshape(a, target),
            lambda a, target=target: np.reshape(a, target),
            shape,
            mixtures=[mixture],
            tag=f"to {target}",
        )
sample("reshape", lambda a: gg.reshape(a * a, -1), lambda a: np.ravel(a * a), (2, 3), tag="of a step")
for shape in ((2, 3, 2), (1,), ()):
    sample("flatten", gg.flatten, np.ravel, shape)
for shape, axis in (((1, 3, 1), None), ((1, 3, 1), -1), ((1, 3, 1), (0, 2)), ((1, 1), None)):
    sample(
        "squeeze",
        lambda a, axis=axis: gg.squeeze(a, axis),
        lambda a, axis=axis: np.squeeze(a, axis),
        shape,
        mixtures=["n"],
        tag=f"axis {axis}",
    )
for shape, axis in (((2, 3), 0), ((2, 3), -1), ((3,), (0, 2)), ((), 0)):
    sample(
        "expand_dims",
        lambda a, axis=axis: gg.expand_dims(a, axis),
        lambda a, axis=axis: np.expand_dims(a, axis),
        shape,
        mixtures=["n"],
        tag=f"axis {axis}",
    )
for axes in ((2, 0, 1), (0, -1, 1), (0, 1, 2)):
    sample(
        "permute",
        lambda a, axes=axes: gg.permute(a, axes),
        lambda a, axes=axes: np.transpose(a, axes),
        (2, 3, 4),
        tag=f"to {axes}",
    )
for shape, target in (((3,), (2, 3)), ((3, 1), (2, 3, 4)), ((), (2,)), ((1, 3), (2, 3))):
    sample(
        "broadcast_to",
        lambda a, target=target: gg.broadcast_to(a, target),
        lambda a, target=target: np.broadcast_to(a, target),
        shape,
        mixtures=["n"],
        tag=f"NumPy's, to {target}",
    )

# -- slices and joins ----------------------------------------------------------------------------------------------

for cuts in (
    np.s_[1:3],
    np.s_[::2, 1],
    np.s_[-1],
    np.s_[::-1, ..., 0],
    np.s_[3:0:-2, 1:, -2:],
    np.s_[..., ::-2],
    np.s_[2, 1, 0],
    np.s_[-3:100, :],
):
    sample(
        "slice",
        lambda a, cuts=cuts: a[cuts],
        lambda a, cuts=cuts: np.asarray(a[cuts]),
        (4, 2, 3),
        mixtures=["n", "1"],
        tag=str(cuts).replace("slice", "").replace("None", ""),
    )
sample("slice", lambda a: (a * a)[1] + a[0], lambda a: (a * a)[1] + a[0], (2, 3), tag="of a step")
for axis in (None, 0, (0, -1)):
    sample(
        "flip", lambda a, axis=axis: gg.flip(a, axis), lambda a, axis=axis: np.flip(a, axis), (2, 3), tag=f"axis {axis}"
    )
for axis, *shapes in (
    (0, (2, 3), (1, 3)),
    (-1, (2, 3), (2, 1)),
    (1, (2, 1, 2), (2, 3, 2)),
    (0, (1,), (2,), (1,)),
    (0, (3,)),
):
    sample(
        "concatenate",
        lambda *a, axis=axis: gg.concatenate(*a, axis=axis),
        lambda *a, axis=axis: np.concatenate(a, axis),
        *shapes,
        mixtures=["n" * len(shapes), "1" + "n" * (len(shapes) - 1)],
        tag=f"axis {axis}",
    )
sample("concatenate", lambda a: gg.concatenate(a, a * a), lambda a: np.concatenate([a, a * a]), (3,), tag="with itself")
for axis in (0, -1):
    sample(
        "stack",
        lambda *a, axis=axis: gg.stack(*a, axis=axis),
        lambda *a, axis=axis: np.stack(a, axis),
        (2, 3),
        (2, 3),
        mixtures=["nn", "n1"],
        tag=f"axis {axis}",
    )
for mode, widths in product(("constant", "reflect", "edge"), (1, (2, 0), ((0, 1), (2, 1)))):
    for mixture in "n1":
        sample(
            "pad",
            lambda a, widths=widths, mode=mode: gg.pad(a, widths, mode),
            lambda a, widths=widths, mode=mode: np.pad(a, widths, mode),
            (3, 4),
            mixtures=[mixture],
            tag=f"{mode} {widths}",
        )
sample("pad", lambda a: gg.pad(a, 1, value=-1.5), lambda a: np.pad(a, 1, constant_values=-1.5), (2, 3), tag="with -1.5")
sample("pad", lambda a: gg.pad(a, 3, "edge"), lambda a: np.pad(a, 3, "edge"), (1,), tag="of one element")

# -- rows by number ------------------------------------------------------------------------------------------------

for table, positions, mixture in (
    ((5, 2), (3,), "1n"),
    ((5, 2), (2, 3), "1n"),
    ((5,), (), "1n"),
    ((5, 2, 2), (2,), "nn"),
    ((5, 2), (3,), "n1"),
):
    sample(
        "embedding",
        gg.embedding,
        lambda w, t: w[numbers(t)],
        table,
        positions,
        mixtures=[mixture],
        domains=(LINE, whole(5)),
    )
for positions in ((), (3,), (2, 2)):
    sample(
        "one_hot",
        lambda t: gg.one_hot(t, 4),
        lambda t: np.eye(4)[numbers(t)],
        positions,
        domains=whole(4),
        smooth=False,
    )

# -- connections ---------------------------------------------------------------------------------------------------


def each(value, count):
    return value if isinstance(value, tuple) else (value,) * count


def pairs(padding, shape, reach, stride, dilation):
    """How many zeros before and after each axis."""
    if padding == "valid":
        return [(0, 0)] * len(reach)
    if padding != "same":
        return [(p, p) for p in each(padding, len(reach))]
    found = []
    for n, r, s, d in zip(shape, reach, stride, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + d * (r - 1) + 1 - n, 0)
        found.append((total // 2, total - total // 2))
    return found


def windows(x, reach, stride=1, padding=0, dilation=1, fill=0.0, beyond=0):
    """All windows of the last axes of x, as axes (..., *positions, *offsets)."""
    count = len(reach)
    stride, dilation = each(stride, count), each(dilation, count)
    ends = pairs(padding, x.shape[x.ndim - count :], reach, stride, dilation)
    ends = [(before, after + more) for (before, after), more in zip(ends, each(beyond, count), strict=True)]
    padded = np.pad(x, [(0, 0)] * (x.ndim - count) + ends, constant_values=fill)
    spans = tuple(d * (r - 1) + 1 for r, d in zip(reach, dilation, strict=True))
    laid = sliding_window_view(padded, spans, tuple(range(x.ndim - count, x.ndim)))
    steps = [slice(None, None, s) for s in stride] + [slice(None, None, d) for d in dilation]
    return laid[(..., *steps)]


def correlate(x, w, stride=1, padding=0, dilation=1, groups=1):
    """The convolution of a frame, group by group."""
    count, channels, filters = w.ndim - 2, x.shape[0] // groups, w.shape[0] // groups
    laid = windows(x, w.shape[2:], stride, padding, dilation)
    out, inside = "ijl"[:count], "pqr"[:count]
    parts = [
        np.einsum(
            f"c{out}{inside},kc{inside}->k{out}",
            laid[g * channels : (g + 1) * channels],
            w[g * filters : (g + 1) * filters],
        )
        for g in range(groups)
    ]
    return np.concatenate(parts)


def spread(x, w, stride=1, padding=0, output_padding=0, dilation=1, groups=1):
    """The transposed convolution: every element of x adds the filter, times itself, to its window of the result."""
    count = w.ndim - 2
    stride, padding, more, dilation = (each(o, count) for o in (stride, padding, output_padding, dilation))
    full = [
        (n - 1) * s + d * (r - 1) + 1 + m
        for n, s, d, r, m in zip(x.shape[1:], stride, dilation, w.shape[2:], more, strict=True)
    ]
    y = np.zeros((w.shape[1] * groups, *full), np.result_type(x, w))
    channels = x.shape[0] // groups
    for c in range(x.shape[0]):
        maps = slice(c // channels * w.shape[1], (c // channels + 1) * w.shape[1])
        for place in np.ndindex(x.shape[1:]):
            under = tuple(
                slice(a * s, a * s + d * (r - 1) + 1, d)
                for a, s, d, r in zip(place, stride, dilation, w.shape[2:], strict=True)
            )
            y[(maps, *under)] += x[(c, *place)] * w[c]
    return y[(slice(None), *(slice(p, n - p) for p, n in zip(padding, full, strict=True)))]


def options_sample(name, call, value, *shapes, mixtures=("n1",), domains=LINE, smooth=True, **options):
    sample(
        name,
        lambda *a: call(*a, **options),
        lambda *a: value(*a, **options),
        *shapes,
        mixtures=list(mixtures),
        domains=domains,
        smooth=smooth,
        tag=" ".join(f"{option} {choice}" for option, choice in options.items()),
    )


options_sample("conv", gg.conv, correlate, (2, 4, 4), (3, 2, 2, 2), mixtures=("nn", "n1", "1n", "11"))
options_sample("conv", gg.conv, correlate, (1, 5), (2, 1, 3), padding=1, stride=2)
options_sample("conv", gg.conv, correlate, (2, 6), (1, 2, 2), padding="same", dilation=3)
options_sample("conv", gg.conv, correlate, (1, 4, 5), (2, 1, 2, 3), padding="same", stride=(1, 2), mixtures=("nn",))
options_sample("conv", gg.conv, correlate, (1, 5, 4), (2, 1, 3, 2), stride=(2, 1), padding=(0, 2), dilation=(1, 2))
options_sample("conv", gg.conv, correlate, (4, 4), (2, 2, 2), groups=2, padding=1, mixtures=("nn", "n1"))
options_sample("conv", gg.conv, correlate, (3, 3, 3), (6, 1, 2, 2), groups=3, stride=2, padding=1)
options_sample("conv", gg.conv, correlate, (1, 3, 3, 2), (2, 1, 2, 2, 2), padding=1, stride=2)
options_sample("conv", gg.conv, correlate, (2, 3, 2), (3, 2, 1, 1))
options_sample("conv", gg.conv, correlate, (2, 2, 3), (3, 2, 2, 3))

options_sample("conv_transpose", gg.conv_transpose, spread, (2, 3), (2, 2, 3), mixtures=("nn", "n1", "1n"))
options_sample("conv_transpose", gg.conv_transpose, spread, (2, 2, 3), (2, 1, 2, 2), stride=2)
options_sample(
    "conv_transpose", gg.conv_transpose, spread, (1, 3), (1, 2, 3), stride=3, padding=1, output_padding=2, dilation=2
)
options_sample(
    "conv_transpose", gg.conv_transpose, spread, (4, 2, 2), (4, 1, 2, 3), stride=(2, 1), padding=(1, 0), groups=2
)
options_sample("conv_transpose", gg.conv_transpose, spread, (1, 2, 1, 2), (1, 2, 2, 2, 1), stride=2)


def local(x, w, stride=1, padding=0, dilation=1):
    count = x.ndim - 1
    out, inside = "ijl"[:count], "pqr"[:count]
    laid = windows(x, w.shape[x.ndim + 1 :], stride, padding, dilation)
    return np.einsum(f"c{out}{inside},k{out}c{inside}->k{out}", laid, w)


options_sample(
    "locally_connected", gg.locally_connected, local, (1, 4), (2, 4, 1, 3), padding="same", mixtures=("nn", "n1")
)
options_sample("locally_connected", gg.locally_connected, local, (2, 5), (1, 2, 2, 2), stride=2, dilation=2)
options_sample(
    "locally_connected", gg.locally_connected, local, (1, 4, 3), (2, 2, 2, 1, 3, 2), stride=(2, 1), padding=(1, 0)
)

# -- pooling and up-sampling ---------------------------------------------------------------------------------------


def pooled(take, fill):
    """What `take` makes of every window; with ceil_mode, windows go on beyond the padding while they begin before it."""

    def value(x, kernel, stride=None, padding=0, dilation=1, ceil_mode=False, **options):
        count = len(kernel) if isinstance(kernel, tuple) else x.ndim - 1
        reach = each(kernel, count)
        stride = reach if stride is None else each(stride, count)
        pads, dilations, beyond = each(padding, count), each(dilation, count), []
        for n, r, s, p, d in zip(x.shape[x.ndim - count :], reach, stride, pads, dilations, strict=True):
            over = -(n + 2 * p - d * (r - 1) - 1) % s
            begins = (n + 2 * p - d * (r - 1) - 1 + over) // s * s
            beyond.append(over if ceil_mode and begins < n + p else 0)
        laid = windows(x, reach, stride, padding, dilation, fill, tuple(beyond))
        ones = windows(np.ones(x.shape), reach, stride, padding, dilation, 0.0, tuple(beyond))
        ends = [(0, 0)] * (x.ndim - count) + [(p, p) for p in pads]
        padded = np.pad(np.ones(x.shape), ends, constant_values=1.0)
        counted = windows(padded, reach, stride, 0, dilation, 0.0, tuple(beyond))
        return take(laid, tuple(range(-count, 0)), ones, counted, **options)

    return value


def mean_of(laid, axes, inside, counted, count_include_pad=True):
    return laid.sum(axes) / (counted if count_include_pad else inside).sum(axes)


def winner_of(laid, axes, inside, counted):
    return laid.reshape(*laid.shape[: laid.ndim - len(axes)], -1).argmax(-1).astype(float)


POOLS = (
    ((2, 4), {"kernel": 2}),
    ((1, 5), {"kernel": 3, "stride": 2, "padding": 1}),
    ((1, 5, 5), {"kernel": 2, "ceil_mode": True}),
    ((2, 4, 5), {"kernel": (2, 3), "stride": (1, 2), "padding": (1, 0)}),
    ((1, 5, 3), {"kernel": (3, 2), "padding": 1, "stride": 3, "ceil_mode": True}),
    ((3, 4), {"kernel": (2, 2)}),
    ((1, 2, 3, 4), {"kernel": 2, "stride": 1}),
)
for shape, options in POOLS:
    options_sample(
        "max_pool", gg.max_pool, pooled(lambda w, axes, *_: w.max(axes), -np.inf), shape,
        mixtures="n", domains=distinct, smooth=False, **options,
    )  # fmt: skip
    options_sample("avg_pool", gg.avg_pool, pooled(mean_of, 0.0), shape, mixtures="n", **options)
    options_sample(
        "avg_pool", gg.avg_pool, pooled(mean_of, 0.0), shape, mixtures="1", count_include_pad=False, **options
    )
options_sample(
    "max_pool", gg.max_pool, pooled(lambda w, axes, *_: w.max(axes), -np.inf), (2, 6),
    mixtures="1", domains=distinct, smooth=False, kernel=2, stride=1, dilation=3,
)  # fmt: skip
options_sample(
    "max_pool_winner", lambda x, kernel: Winner(kernel)(x), pooled(winner_of, -np.inf), (1, 4, 4),
    mixtures="n", domains=distinct, smooth=False, kernel=2,
)  # fmt: skip
for shape, name in product(((2, 5), (2, 3, 4), (1, 2, 3, 2)), ("global_max_pool", "global_avg_pool")):
    largest = name == "global_max_pool"
    sample(
        name,
        getattr(gg, name),
        lambda x, largest=largest: (np.max if largest else np.mean)(x.reshape(x.shape[0], -1), axis=1),
        shape,
        mixtures=["n"],
        domains=distinct if largest else LINE,
        smooth=not largest,
    )


def adaptive(take):
    def value(x, size):
        sizes = size if isinstance(size, tuple) else (size,) * (x.ndim - 1)
        for axis, count in zip(range(x.ndim - len(sizes), x.ndim), sizes, strict=True):
            if count is not None:
                n = x.shape[axis]
                bins = [slice(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]
                x = np.stack([take(np.moveaxis(x, axis, 0)[each]) for each in bins], axis)
        return x

    return value


for shape, size in (
    ((2, 6), 3),
    ((2, 5), 3),
    ((1, 5, 4), (2, 3)),
    ((1, 3, 5), (None, 2)),
    ((2, 3), 5),
    ((1, 3, 2, 3), 2),
):
    options_sample(
        "adaptive_max_pool", gg.adaptive_max_pool, adaptive(lambda w: w.max(0)), shape,
        mixtures="n", domains=distinct, smooth=False, size=size,
    )  # fmt: skip
    options_sample(
        "adaptive_avg_pool", gg.adaptive_avg_pool, adaptive(lambda w: w.mean(0)), shape, mixtures="n", size=size
    )


def between(x, sizes, align_corners):
    """Linear interpolation at the positions that PyTorch takes, one axis after the other."""
    for axis, m in enumerate(sizes, 1):
        n = x.shape[axis]
        position = np.linspace(0, n - 1, m) if align_corners else np.maximum((np.arange(m) + 0.5) * n / m - 0.5, 0)
        low = np.floor(position + 1e-12).astype(int)
        part = (position - low).reshape([-1 if k == axis else 1 for k in range(x.ndim)])
        x = (1 - part) * np.take(x, low, axis) + part * np.take(x, np.minimum(low + 1, n - 1), axis)
    return x


def upsampled(x, scale=None, size=None, mode="nearest", align_corners=False):
    sizes = (
        each(size, x.ndim - 1)
        if size
        else tuple(n * s for n, s in zip(x.shape[1:], each(scale, x.ndim - 1), strict=True))
    )
    if mode != "nearest":
        return between(x, sizes, align_corners)
    for axis, m in enumerate(sizes, 1):
        x = np.take(x, np.arange(m) * x.shape[axis] // m, axis)
    return x


for shape, options in (
    ((2, 3), {"scale": 2}),
    ((1, 2, 3), {"scale": (3, 2)}),
    ((1, 3, 2), {"size": (5, 3)}),
    ((1, 2, 1, 2), {"scale": 2}),
    ((1, 3), {"scale": 2, "mode": "linear"}),
    ((1, 3), {"size": 7, "mode": "linear", "align_corners": True}),
    ((1, 2, 3), {"scale": 2, "mode": "bilinear"}),
    ((1, 3, 3), {"size": (5, 4), "mode": "bilinear"}),
    ((1, 2, 3), {"scale": (2, 3), "mode": "bilinear", "align_corners": True}),
    ((1, 3, 1), {"size": (2, 3), "mode": "bilinear", "align_corners": True}),
    ((1, 2, 2, 1), {"scale": 2, "mode": "trilinear"}),
):
    options_sample("upsample", gg.upsample, upsampled, shape, mixtures="n", **options)
sample(
    "resample",
    Resample((Rows(3, ((0, -1), (2, 1), (1, 1)), ((0.5, 0.0), (1.0, 2.0), (0.25, 0.5))), None)),
    lambda x: np.array([[0.5, 0, 0], [0, 2, 1], [0, 0.75, 0]]) @ x,
    (3, 2),
)
