"""Losses at extremes against mpmath: finite, and right to the last digits, in value and in gradient."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

import graphgrad as gg
from tests.ops.bench import DTYPES, TARGETS, run

SCORES = [
    0.0,
    *(sign * a for a in (1e-30, 1e-8, 0.5, 3, 17, 20, 36.7, 40, 88, 100, 700, 745, 1e4, 1e30) for sign in (1, -1)),
]
TARGET_VALUES = [0.0, 1.0, 0.3]


@pytest.fixture(params=TARGET_VALUES, ids=lambda t: f"t={t}")
def points(request):
    return np.array(SCORES), np.full(len(SCORES), request.param)


def exact(z: float, t: float) -> tuple[float, float]:
    """The loss and its slope, with more digits than exp(-1e30) needs."""
    with mp.workdps(60):
        z, t = mp.mpf(z), mp.mpf(t)
        loss = mp.log1p(mp.exp(-abs(z))) + (max(z, 0) - z * t)
        return loss, 1 / (1 + mp.exp(-z)) - t


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("form", ["on probabilities", "on logits"])
def test_binary_cross_entropy_of_a_score(form, target, dtype, points):
    with gg.Graph() as g:
        z, t = gg.input("z"), gg.input("t")
        if form == "on probabilities":
            g.y = gg.sigmoid(z)
            g.l = gg.binary_cross_entropy(g.y, t)
        else:
            g.l = gg.binary_cross_entropy_with_logits(z, t)
    arrays = {leaf: array.astype(dtype) for leaf, array in zip((z, t), points, strict=True)}
    slope = gg.grad(g.l, z)
    found = run(g, [g.l, slope], arrays, target, dtype)
    expected = [exact(float(a), float(b)) for a, b in zip(*arrays.values(), strict=True)]
    eps, tiny = float(np.finfo(dtype).eps), float(np.finfo(dtype).tiny)
    np.testing.assert_allclose(found[g.l], [float(loss) for loss, _ in expected], rtol=4 * eps, atol=tiny)
    np.testing.assert_allclose(found[slope], [float(d) for _, d in expected], rtol=4 * eps, atol=2 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("t", TARGET_VALUES)
def test_binary_cross_entropy_of_a_probability(t, target, dtype):
    """Right for every probability between 0 and 1, finite also there; no logarithm is taken to be below -100."""
    info = np.finfo(dtype)
    y = np.array(
        [0.0, float(info.tiny), 1e-30, 1e-20, 1e-8, 0.3, 1 - 1e-3, float(np.nextafter(info.dtype.type(1), 0)), 1.0],
        dtype,
    )
    with gg.Graph() as g:
        p, target_node = gg.input("y"), gg.input("t")
        g.l = gg.binary_cross_entropy(p, target_node)
    slope = gg.grad(g.l, p)
    found = run(g, [g.l, slope], {p: y, target_node: np.full(len(y), t, dtype)}, target, dtype)
    assert np.isfinite(found[g.l]).all()
    assert np.isfinite(found[slope]).all()
    t = float(np.asarray(t, dtype))
    with mp.workdps(60):
        within = [mp.mpf(float(a)) for a in y]
        loss = [
            float(
                -t * max(mp.log(a) if a > 0 else -mp.inf, -100)
                - (1 - t) * max(mp.log1p(-a) if a < 1 else -mp.inf, -100)
            )
            for a in within
        ]
        slopes = [float((a - t) / (a * (1 - a))) for a in within[2:-1]]
    np.testing.assert_allclose(found[g.l], loss, rtol=8 * float(info.eps))
    np.testing.assert_allclose(found[slope][2:-1], slopes, rtol=8 * float(info.eps))
