"""A product that threads share: each makes some rows or columns, and together they are NumPy's product."""

import numpy as np
import pytest
from numba import njit

from graphgrad.runtime.products import add_product, add_share_of_product, product, share_of_product

random = np.random.default_rng(8)


@njit
def whole(out, left, right):
    product(out, left, right)


@njit
def share(out, left, right, thread, threads):
    share_of_product(out, left, right, thread, threads)


@njit
def added(out, left, right, scale, keep):
    add_product(out, left, right, scale, keep)


@njit
def added_share(out, left, right, scale, keep, thread, threads):
    add_share_of_product(out, left, right, scale, keep, thread, threads)


@pytest.mark.parametrize(("rows", "columns"), [(1, 5), (2, 5), (7, 5), (40, 5), (7, 40), (33, 70), (1, 100), (48, 48)])
@pytest.mark.parametrize("left_turned", [False, True])
@pytest.mark.parametrize("right_turned", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_shares_make_up_the_product(rows, columns, left_turned, right_turned, dtype):
    left, right = random.normal(size=(rows, 11)).astype(dtype), random.normal(size=(11, columns)).astype(dtype)
    a = np.ascontiguousarray(left.T).T if left_turned else left
    b = np.ascontiguousarray(right.T).T if right_turned else right
    expected, close = left.astype(float) @ right, {"rtol": 1e-4 if dtype is np.float32 else 1e-12, "atol": 1e-5}
    out = np.full((rows, columns), np.nan, dtype)
    whole(out, a, b)
    np.testing.assert_allclose(out, expected, **close)
    before = random.normal(size=out.shape).astype(dtype)
    summed = before.copy()
    added(summed, a, b, dtype(0.5), dtype(-2.0))
    np.testing.assert_allclose(summed, -2 * before + 0.5 * expected, **close)
    for threads in (1, 2, 3):
        parts, sums = np.full((threads, rows, columns), np.nan, dtype), before.copy()
        for thread in range(threads):
            share(parts[thread], a, b, thread, threads)
            added_share(sums, a, b, dtype(0.5), dtype(-2.0), thread, threads)
        made = np.isfinite(parts)
        assert (made.sum(0) == 1).all()  # each number by one thread
        assert made.sum((1, 2)).max() <= (
            max(rows, columns) / threads + min(16, max(rows, columns) / threads + 1)
        ) * min(rows, columns)
        np.testing.assert_allclose(np.nansum(parts, 0), expected, **close)
        np.testing.assert_allclose(sums, -2 * before + 0.5 * expected, **close)
