"""The stable forms at extremes against mpmath, value and gradient: right to the last places that the input decides."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

import graphgrad as gg
from tests.ops.bench import DTYPES, TARGETS, run

SIZES = (1e-300, 1e-30, 1e-8, 1e-3, 0.5, 1, 3, 17, 36.7, 40, 88, 100, 700, 745, 1e4, 1e30)
SCORES = [0.0, *(sign * size for size in SIZES for sign in (1, -1))]

ELEMENTWISE = {
    "softplus": (lambda z: mp.log1p(mp.exp(-abs(z))) + max(z, 0), lambda z: 1 / (1 + mp.exp(-z))),
    "log_sigmoid": (lambda z: min(z, 0) - mp.log1p(mp.exp(-abs(z))), lambda z: 1 / (1 + mp.exp(z))),
    "elu": (lambda z: z if z > 0 else mp.expm1(z), lambda z: mp.mpf(1) if z > 0 else mp.exp(z)),
    "celu": (lambda z: z if z > 0 else mp.expm1(z), lambda z: mp.mpf(1) if z > 0 else mp.exp(z)),
    "expm1": (mp.expm1, mp.exp),
    "sigmoid": (lambda z: 1 / (1 + mp.exp(-z)), None),
    "silu": (lambda z: z / (1 + mp.exp(-z)), None),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise(name, target, dtype):
    info = np.finfo(dtype)
    points = np.array(SCORES, dtype)
    points = points[(points == 0) | (np.abs(points) > 1e-37)]
    value, slope = ELEMENTWISE[name]
    with gg.Graph() as g:
        z = gg.input("z")
        g.y = getattr(gg, name)(z)
    wanted = [g.y, gg.grad(g.y, z)]
    found = run(g, wanted, {z: points}, target, dtype)
    for node, exact in zip(wanted, (value, slope), strict=True):
        if exact is None:
            continue
        with mp.workdps(400):  # of 1 + 1e-300 every digit counts
            expected = np.array([_rounded(exact(mp.mpf(float(point))), dtype) for point in points])
        np.testing.assert_allclose(found[node], expected, rtol=4 * float(info.eps), atol=2 * float(info.tiny))


def _rounded(exact: mp.mpf, dtype: str) -> float:
    return (
        float(np.array(float(exact)).astype(dtype))
        if abs(exact) < np.finfo(dtype).max
        else float(mp.sign(exact) * mp.inf)
    )


ROWS = [
    [0.0, 0.0, 0.0],
    [1000.0, 1000.0, -1000.0],
    [1e4, 0.0, -1e4],
    [0.0, -40.0, -800.0],
    [0.0, -1e-3, -700.0],
    [88.0, 89.0, -17.0],
    [-0.6931471805599453, -0.6931471805599453, -800.0],
    [1e30, -1e30, 0.5],
    [3.0, 1.0, 2.0],
]


def exactly(row):
    """Softmax, its logarithm and the logarithm of the sum, with every digit."""
    row = [mp.mpf(float(z)) for z in row]
    total = mp.fsum(mp.exp(z) for z in row)
    return [mp.exp(z) / total for z in row], [z - mp.log(total) for z in row], mp.log(total)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_softmax_and_its_kin(target, dtype):
    """Softmax within the rounding of zᵢ - max z, which e raises to |zᵢ - max z| ulp; its logarithm within a few ulp."""
    info = np.finfo(dtype)
    eps, tiny = float(info.eps), 2 * float(info.tiny)
    rows = np.array(ROWS, dtype)
    with gg.Graph() as g:
        z, u = gg.input("z", 3), gg.input("u", 3)
        g.y, g.k, g.s = gg.softmax(z), gg.log_softmax(z), gg.logsumexp(z)
        g.l = gg.sum(g.k * u)
        g.m = gg.sum(g.y * u)
    weights = np.tile(np.array([1.0, 0.0, 0.0], dtype), (len(rows), 1))
    wanted = [g.y, g.k, g.s, gg.grad(g.s, z), gg.grad(g.l, z), gg.grad(g.m, z)]
    found = run(g, wanted, {z: rows, u: weights}, target, dtype)
    y, k, s, of_s, of_l, of_m = (found[node] for node in wanted)
    with mp.workdps(60):
        for n, row in enumerate(rows):
            share, logarithm, total = exactly(row)
            below = np.abs(row.astype(float) - float(row.max()))
            rtol = eps * (4 + below)
            share, exact = np.array(share, float), np.array(logarithm, float)
            assert np.all(np.abs(y[n] - share) <= rtol * share + tiny)
            assert np.all(np.abs(of_s[n] - share) <= rtol * share + tiny)
            assert np.all(np.abs(k[n] - exact) <= 4 * eps * np.abs(exact) + tiny)
            assert abs(s[n] - float(total)) <= 4 * eps * max(abs(float(row.max())), abs(float(total)))
            one = np.array([1.0, 0.0, 0.0])
            assert np.all(np.abs(of_l[n] - (one - share)) <= 4 * eps)
            assert np.all(np.abs(of_m[n] - share[0] * (one - share)) <= 4 * eps)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("order", [1, 2, 3, 1.5, "inf"])
def test_norms(order, target, dtype):
    """No power is too large or too small: relative errors of a few ulp from the smallest to the largest numbers."""
    info = np.finfo(dtype)
    base = np.array([[3.0, -4.0, 0.5]])
    scales = [1.0, float(info.tiny) * 8, float(info.max) / 16, 1e-20, 1e20]
    rows = np.concatenate([base * scale for scale in scales]).astype(dtype)
    with gg.Graph() as g:
        a = gg.input("a", 3)
        g.y = gg.norm(a, ord=order)
    slope = gg.grad(g.y, a)
    found = run(g, [g.y, slope], {a: rows}, target, dtype)
    for n, row in enumerate(rows):
        size, slopes = _norm([mp.mpf(float(element)) for element in row], mp.mpf(order))
        assert abs(found[g.y][n] - size) <= 8 * float(info.eps) * size
        np.testing.assert_allclose(found[slope][n], slopes, rtol=8 * float(info.eps))


def _norm(row, p):
    """The norm and its slopes, with more digits than the numbers have."""
    with mp.workdps(60):
        if p == mp.inf:
            size = max(map(abs, row))
            slopes = [mp.sign(element) * (abs(element) == size) for element in row]
        else:
            size = mp.fsum(abs(element) ** p for element in row) ** (1 / p)
            slopes = [mp.sign(element) * (abs(element) / size) ** (p - 1) for element in row]
        return float(size), [float(one) for one in slopes]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
def test_second_derivatives_stay_finite(target, dtype):
    """What a condition leaves aside must not come back as 0 times infinity."""
    points = np.array([-1000.0, -100.0, -1.0, 0.0, 1.0, 100.0, 1000.0], dtype)
    with gg.Graph() as g:
        z = gg.input("z")
        wanted = []
        for k, name in enumerate(
            ("elu", "selu", "celu", "softplus", "log_sigmoid", "gelu", "silu", "mish", "leaky_relu")
        ):
            y = g.define(f"y{k}", getattr(gg, name)(z))
            wanted += [y, first := gg.grad(y, z), gg.grad(first, z)]
    found = run(g, wanted, {z: points}, target, dtype)
    for node in wanted:
        assert np.isfinite(found[node]).all(), node.text()
