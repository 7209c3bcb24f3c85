"""ReLU behind the pooling: the same numbers and gradients as in the order that was written."""

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.compiler.rectified import BEHIND, BY_OUTPUT
from graphgrad.compiler.rewrites import PHASES


def graph(**options: object) -> gg.Graph:
    with gg.Graph("pooled") as g:
        x, w = gg.input("x", 2, 6, 6), gg.param("w", 2, 6, 6)
        g.A = x + w
        g.B = gg.max_pool(gg.relu(g.A), **options)
        g.l = gg.sum(g.B**2) + gg.sum(g.B)
    return g


def by_hand(a: np.ndarray, kernel: int, stride: int) -> tuple[float, np.ndarray]:
    """The loss of one image and its gradient, window by window: the first of the largest takes all."""
    loss, gradient = 0.0, np.zeros_like(a)
    count = (a.shape[1] - kernel) // stride + 1
    for c, i, j in np.ndindex(a.shape[0], count, count):
        window = np.maximum(a[c, i * stride : i * stride + kernel, j * stride : j * stride + kernel], 0)
        p, q = np.unravel_index(np.argmax(window), window.shape)
        loss += window[p, q] ** 2 + window[p, q]
        if window[p, q] > 0:
            gradient[c, i * stride + p, j * stride + q] += 2 * window[p, q] + 1
    return loss, gradient


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 1), (2, 3)])
def test_value_and_gradient_are_those_of_the_order_that_was_written(kernel, stride):
    random = np.random.default_rng(1)
    x, w = random.normal(size=(40, 2, 6, 6)) - 0.7, random.normal(size=(2, 6, 6))
    x[3] = -5.0  # no number above 0 in any window
    x[4] = np.round(x[4])  # equal ones
    g = graph(kernel=kernel, stride=stride)
    f = gg.compile(g, "l", wrt=["x", "w"], keep=False)
    assert BEHIND in str(f.explain())
    found = f(x=x, w=w)
    expected = [by_hand(one + w, kernel, stride) for one in x]
    np.testing.assert_allclose(found["l"], [loss for loss, _ in expected], rtol=1e-12)
    np.testing.assert_allclose(found.grad["x"], [slope for _, slope in expected], rtol=1e-12)
    np.testing.assert_allclose(found.grad["w"], [slope for _, slope in expected], rtol=1e-12)


@pytest.mark.filterwarnings("ignore::graphgrad.NotFiniteWarning")
@pytest.mark.parametrize("samples", [1, 20])
def test_the_largest_of_a_window_is_that_of_its_winner(samples):
    """They are found together, once; what is none, and a window of nothing but -∞, are no exceptions."""
    with gg.Graph() as g:
        x = gg.input("x", 1, 4, 4)
        g.A = gg.max_pool(x, 2)
        g.l = gg.sum(g.A)
    f = gg.compile(g, ["l", "A"], wrt="x", keep=False)
    given = np.random.default_rng(2).normal(size=(samples, 4, 4))
    given[0, :2, :2] = -np.inf
    given[0, 2:, 2:] = 7.0
    given[-1, 1, 3] = np.nan
    found = f(x=given[:, None])
    windows = given.reshape(samples, 2, 2, 2, 2).swapaxes(2, 3).reshape(samples, 2, 2, 4)
    np.testing.assert_array_equal(found["A"][:, 0], windows.max(axis=-1))
    assert f.source.count("candidate = ") == f.source_on_lanes.count("candidate = ") == 1
    assert "for m in" not in f.source.partition("max_poolᵀ")[2]  # each element is in one window, at a known place
    slope = found.grad["x"].reshape(samples, 2, 2, 2, 2).swapaxes(2, 3).reshape(samples, 2, 2, 4)
    np.testing.assert_array_equal(
        slope, np.eye(4)[windows.argmax(axis=-1)]
    )  # the first of equal ones, and what is none


@pytest.mark.filterwarnings("ignore::graphgrad.NotFiniteWarning")
def test_a_number_that_is_none_goes_through():
    g = graph(kernel=2)
    x = np.full((3, 2, 6, 6), -1.0)
    x[1, 0, 0, 0] = np.nan
    found = gg.compile(g, "l", wrt="x", keep=False)(x=x, w=np.zeros((2, 6, 6)))
    assert np.isnan(found["l"]).tolist() == [False, True, False]
    assert np.isnan(found.grad["x"][1, 0, 0, 0])
    assert not np.isnan(found.grad["x"][[0, 2]]).any()


def test_what_else_is_read_of_the_rectified_map_stays_as_it_is_written():
    with gg.Graph() as g:
        x = gg.input("x", 1, 4, 4)
        g.F = gg.relu(x)
        g.l = gg.sum(gg.max_pool(g.F, 2)) + gg.sum(g.F)
    assert BEHIND not in str(gg.compile(g, "l", wrt="x", keep=False).explain())
    with gg.Graph() as h:
        x = gg.input("x", 1, 4, 4)
        h.F = gg.relu(x)
        h.l = gg.sum(gg.max_pool(h.F, 2))
    assert BEHIND in str(gg.compile(h, "l", wrt="x", keep=False).explain())
    assert BEHIND not in str(gg.compile(h, "l", wrt="x", keep=False, rewrites=()).explain())
    kept = gg.compile(h, ["l", "F"])
    assert BEHIND not in str(kept.explain())
    assert kept(x=-np.ones((2, 1, 4, 4)))["F"].max() == 0


@pytest.mark.filterwarnings("ignore::graphgrad.NotFiniteWarning")
def test_the_slope_is_read_off_the_output():
    with gg.Graph() as g:
        x = gg.input("x", 6)
        g.A = x * 2
        g.F = gg.relu(g.A)
        g.l = gg.sum(g.F**2)
    f = gg.compile(g, "l", wrt="x", keep=False)
    assert BY_OUTPUT in str(f.explain())
    assert "ReLU(A)" in f.source
    x = np.array([[-1.0, -0.0, 0.0, 2.0, np.nan, np.inf]])
    np.testing.assert_array_equal(f(x=x).grad["x"], [[0.0, 0.0, 0.0, 16.0, np.nan, np.inf]])


def test_second_derivatives_are_those_of_the_order_that_was_written():
    """The gradient's gradient gathers at the winners, which is not what is sent back to them."""
    with gg.Graph() as g:
        x = gg.input("x", 1, 5, 5)
        g.B = gg.max_pool(gg.relu(gg.sin(x) * 2), 3, stride=1, padding=1)
        g.l = gg.sum(g.B**3)
        g.d = gg.grad(g.l, x)
        g.q = gg.sum(g.d**2)
    x = np.random.default_rng(2).normal(size=(9, 1, 5, 5))
    ours, plain = (gg.compile(g, "q", wrt="x", keep=False, rewrites=phases)(x=x) for phases in (PHASES, ()))
    np.testing.assert_allclose(ours["q"], plain["q"], rtol=1e-11)
    np.testing.assert_allclose(ours.grad["x"], plain.grad["x"], rtol=1e-11, atol=1e-13)


def test_a_gradient_for_the_rectified_map_itself_stays_as_it_is_written():
    with gg.Graph() as g:
        x = gg.input("x", 1, 4, 4)
        F = gg.relu(x)
        g.l = gg.sum(gg.max_pool(F, 2))
        g.d = gg.grad(g.l, F)
    f = gg.compile(g, ["l", "d"], keep=False)
    assert BEHIND not in str(f.explain())
    assert f(x=np.ones((1, 1, 4, 4)))["d"].sum() == 4
