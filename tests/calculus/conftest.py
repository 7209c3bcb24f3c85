"""The lecture's network, with data, as the tests of the calculus use it."""

from types import SimpleNamespace

import numpy as np
import pytest

import graphgrad as gg


@pytest.fixture
def lecture():
    """The network line by line as on the slides, an objective, and arrays for seven samples."""
    with gg.Graph("two hidden layers") as g:
        x, t = gg.input("x", 2), gg.input("t")
        W0, W1, w = gg.param("W^{[0]}", 3, 2), gg.param("W^{[1]}", 3, 3), gg.param("w", 3)
        g.A = W0 @ x
        g.B = gg.sigmoid(g.A)
        g.C = W1 @ g.B
        g.D = gg.sigmoid(g.C)
        g.E = w @ g.D
        g.y = gg.sigmoid(g.E)
        g.l = gg.binary_cross_entropy(g.y, t)
        g.J = gg.batch_sum(g.l) + 0.01 * gg.l2(W0, W1, w)
    random = np.random.default_rng(0)
    arrays = {
        "x": random.normal(size=(7, 2)),
        "t": (random.random(7) < 0.5).astype(float),
        "W0": random.normal(size=(3, 2)),
        "W1": random.normal(size=(3, 3)),
        "w": random.normal(size=3),
    }
    return SimpleNamespace(
        g=g, arrays=arrays, leaves=(x, t, W0, W1, w), given=dict(zip((x, t, W0, W1, w), arrays.values(), strict=True))
    )
