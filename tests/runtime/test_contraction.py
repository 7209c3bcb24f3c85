"""Sums of products along a row at once, in register tiles: the numbers of `einsum` over all windows."""

import numpy as np
import pytest
from numba import njit
from numpy.lib.stride_tricks import sliding_window_view

from graphgrad.runtime.contraction import contraction, in_python

random = np.random.default_rng(3)
CHANNELS, MAPS, HEIGHT, SIZE = 3, 5, 6, 3


def windows(x: np.ndarray, step: int = 1) -> np.ndarray:
    """[m, j, k, p, q]: the windows of every channel."""
    return sliding_window_view(x, (SIZE, SIZE), (1, 2))[:, ::step, ::step]


def both(text, extents, arrays, **options):
    """What the compiled sum and the one in Python leave in the first array, from the same numbers."""
    sum_ = contraction(text, extents, **options)
    results = []
    count = len(arrays)
    call = {
        3: njit(lambda a, b, c: sum_(a, b, c)),
        4: njit(lambda a, b, c, d: sum_(a, b, c, d)),
    }[count]
    for function in (call, in_python(text, extents, **options)):
        out = arrays[0].copy()
        function(out, *arrays[1:])
        results.append(out)
    return results


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [1, 4, 10, 24, 33, 70])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_row_of_an_image_at_once(dtype, width, step):
    x = random.normal(size=(CHANNELS, step * HEIGHT + SIZE, step * width + SIZE)).astype(dtype)
    K, b = (random.normal(size=shape).astype(dtype) for shape in ((MAPS, CHANNELS, SIZE, SIZE), (MAPS,)))
    expected = np.einsum("mjkpq,impq->ijk", windows(x, step)[:, :HEIGHT, :width], K) + b[:, None, None]
    for found in both(
        f"y[i, j, k] = b[i] + x[m, {step} * j + p, {step} * k + q] * K[i, m, p, q]",
        {"i": MAPS, "j": HEIGHT, "k": width, "m": CHANNELS, "p": SIZE, "q": SIZE},
        [np.full((MAPS, HEIGHT, width), np.nan, dtype), x, K, b],
        tile={"j": 3, "i": 2},
        at_once="k",
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-4 if dtype == "float32" else 1e-12, atol=1e-5)


@pytest.mark.parametrize("width", [1, 7, 16, 32, 50])
@pytest.mark.parametrize("sign", ["=", "+="])
def test_what_is_summed_along_a_row_is_added_up_in_the_end(width, sign):
    x, dy = random.normal(size=(CHANNELS, HEIGHT + 2, width + 2)), random.normal(size=(MAPS, HEIGHT, width))
    before = random.normal(size=(MAPS, CHANNELS, SIZE, SIZE))
    expected = np.einsum("mjkpq,ijk->impq", windows(x), dy) + (before if sign == "+=" else 0)
    for found in both(
        f"dK[i, m, p, q] {sign} x[m, j + p, k + q] * dy[i, j, k]",
        {"i": MAPS, "m": CHANNELS, "p": SIZE, "q": SIZE, "j": HEIGHT, "k": width},
        [before, x, dy],
        tile={"q": 3, "i": 4},
        at_once="k",
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12)


def test_what_such_a_sum_begins_with_is_added_once():
    W, x, b = random.normal(size=(6, 70)), random.normal(size=70), random.normal(size=6)
    for found in both(
        "y[i] = b[i] + W[i, j] * x[j]", {"i": 6, "j": 70}, [np.zeros(6), W, x, b], tile={"i": 4}, at_once="j"
    ):
        np.testing.assert_allclose(found, W @ x + b, rtol=1e-13)


def test_a_row_has_to_lie_in_a_row():
    with pytest.raises(ValueError, match="k moves more than the last index of x"):
        both(
            "y[i, k] = x[k, j] * W[i, j]",
            {"i": 2, "k": 4, "j": 3},
            [np.zeros((2, 4)), np.zeros((4, 3)), np.zeros((2, 3))],
            tile={"i": 2},
            at_once="k",
        )
