"""Several samples at once: the numbers of one sample after the other, whatever is left over in the last block."""

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import networks

random = np.random.default_rng(11)


@pytest.fixture(scope="module")
def lecture():
    g = networks.two_hidden_layers()
    return g, {leaf.op.name: random.normal(size=leaf.shape) for leaf in g.parameters}


@pytest.mark.parametrize("samples", [2, 7, 8, 9, 40])
def test_each_sample_has_the_numbers_that_it_has_alone(lecture, samples):
    g, weights = lecture
    f = gg.compile(g, "l", wrt=["W0", "x", "C"])
    X, T = random.normal(size=(samples, 2)), random.integers(0, 2, samples).astype(float)
    together = f(x=X, t=T, **weights)
    for k in range(samples):
        alone = f(x=X[k], t=T[k], **weights)
        for node, value in alone.values.items():
            if node.per_sample:
                np.testing.assert_allclose(together[node][k], value, rtol=1e-14)
        for name, value in alone.grad.items():
            np.testing.assert_allclose(together.grad[name][k], value, rtol=1e-13)


def test_samples_that_fill_up_the_last_block_count_for_nothing():
    with gg.Graph() as g:
        x = gg.input("x", 3)
        g.J = gg.batch_sum(gg.sum(gg.exp(x)))
        g.n = gg.batch_sum(gg.sum(x * 0 + 1))
    X = random.normal(size=(21, 3))
    r = gg.compile(g, ["J", "n"])(x=X)
    assert r["n"] == 63
    np.testing.assert_allclose(r["J"], np.exp(X).sum(), rtol=1e-14)


def test_nan_stays_with_its_sample_and_infinity_goes_through(lecture):
    g, weights = lecture
    f = gg.compile(g, "y")
    X = random.normal(size=(20, 2))
    clean = f(x=X, **weights)["y"]
    X[3, 0] = np.nan
    with pytest.warns(gg.NotFiniteWarning):
        broken = f(x=X, **weights)["y"]
    assert np.isnan(broken[3])
    np.testing.assert_array_equal(np.delete(broken, 3), np.delete(clean, 3))
    X[3] = np.inf, 0.0
    A = f(x=X, **weights)["A"]
    np.testing.assert_array_equal(A[3], np.inf * np.sign(weights["W0"][:, 0]))


def test_a_choice_and_a_winner_are_made_for_each_sample():
    with gg.Graph() as g:
        x, t = gg.input("x", 5), gg.input("t")
        g.m = gg.max(x)
        g.k = gg.argmax(x)
        g.r = gg.leaky_relu(x, alpha=0.1)
        g.l = gg.cross_entropy_with_logits(x, t)
    X, T = random.normal(size=(11, 5)), random.integers(0, 5, 11).astype(float)
    r = gg.compile(g, ["m", "k", "r", "l"], wrt=["x"])(x=X, t=T)
    np.testing.assert_array_equal(r["m"], X.max(axis=1))
    np.testing.assert_array_equal(r["k"], X.argmax(axis=1))
    np.testing.assert_allclose(r["r"], np.where(X > 0, X, 0.1 * X), rtol=1e-15)
    expected = np.log(np.exp(X).sum(axis=1)) - X[np.arange(11), T.astype(int)]
    np.testing.assert_allclose(r["l"], expected, rtol=1e-13)
    assert r.grad["x"].shape == (11, 5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sum_over_a_million_samples_keeps_its_digits(dtype):
    with gg.Graph() as g:
        x = gg.input("x")
        g.J = gg.batch_sum(gg.square(x))
    X = random.random(1_000_003).astype(dtype)
    exact = float(np.sum(np.square(X.astype(np.float64)), dtype=np.longdouble))
    found = float(gg.compile(g, "J", dtype=dtype)(x=X)["J"])
    assert abs(found - exact) <= 8 * np.finfo(dtype).eps * exact


def test_functions_without_a_vector_form_are_those_of_the_c_library():
    with gg.Graph() as g:
        x = gg.input("x")
        g.a, g.b, g.c = gg.erf(x), gg.atan(x), gg.sqrt(gg.abs(x))
    X = random.normal(size=19)
    r = gg.compile(g, ["a", "b", "c"])(x=X)
    np.testing.assert_allclose(r["b"], np.arctan(X), rtol=1e-15)
    np.testing.assert_array_equal(r["c"], np.sqrt(np.abs(X)))
