"""Initial parameters: each rule's distribution, the rule that fits a parameter's part, the same numbers from the same seed."""

from __future__ import annotations

import numpy as np
import pytest

import graphgrad as gg


def network():
    with gg.Graph() as g:
        x, step = gg.input("x", 50), gg.param("step")
        W0, b0, W1, w = gg.param("W0", 200, 50), gg.param("b0", 200), gg.param("W1", 40, 200), gg.param("w", 40)
        m, v, gamma, beta, alpha = (gg.param(name, 200) for name in ("m", "v", "gamma", "beta", "alpha"))
        g.h = gg.prelu(gg.batch_norm(W0 @ x + b0, m, v, gamma, beta), alpha)
        g.k = gg.tanh(W1 @ gg.dropout(g.h, step))
        g.y = w @ g.k
    return g


def test_every_parameter_begins_by_its_part():
    start = gg.initial(network(), seed=3)
    for name, value in {"b0": 0, "m": 0, "v": 1, "gamma": 1, "beta": 0, "alpha": 0.25, "step": 0}.items():
        assert (start[name] == value).all(), name
    for name, variance in {"W0": 2 / 50, "W1": 2 / 240, "w": 2 / 41}.items():  # He before PReLU, Glorot otherwise
        assert np.var(start[name]) == pytest.approx(variance, rel=0.25), name
        assert abs(start[name]).max() <= np.sqrt(3 * variance)


def test_the_same_seed_makes_the_same_numbers_whatever_else_there_is():
    with gg.Graph() as g:
        x, W0 = gg.input("x", 50), gg.param("W0", 200, 50)
        g.h = gg.relu(W0 @ x)
    one, other = gg.initial(network(), seed=3), gg.initial(g, seed=3)
    np.testing.assert_array_equal(one["W0"], other["W0"])
    assert (gg.initial(g, seed=4)["W0"] != one["W0"]).all()


@pytest.mark.parametrize(
    ("rule", "variance", "most"),
    [
        (gg.Uniform(0.3), 0.03, 0.3),
        (gg.Glorot(), 2 / 250, np.sqrt(6 / 250)),
        (gg.Glorot(normal=True), 2 / 250, 1.0),
        (gg.He(), 2 / 50, np.sqrt(6 / 50)),
        (gg.He(normal=True), 2 / 50, 2.0),
        (gg.Constant(2.0), 0.0, 2.0),
        (gg.Zeros(), 0.0, 0.0),
    ],
    ids=repr,
)
def test_rules_have_their_spread(rule, variance, most):
    drawn = gg.initial(network(), chosen={"W0": rule})["W0"]
    assert np.var(drawn) == pytest.approx(variance, rel=0.05)
    assert abs(drawn).max() <= most
    assert drawn.shape == (200, 50)


def test_orthogonal_rows_or_columns():
    start = gg.initial(network(), chosen={"W0": gg.Orthogonal(2.0), "W1": gg.Orthogonal()})
    np.testing.assert_allclose(start["W0"].T @ start["W0"], 4 * np.eye(50), atol=1e-12)
    np.testing.assert_allclose(start["W1"] @ start["W1"].T, np.eye(40), atol=1e-12)


def test_fans_of_filters_and_of_local_connections():
    with gg.Graph() as g:
        x = gg.input("x", 3, 12)
        w, v, u = gg.param("w", 40, 3, 5), gg.param("v", 40, 12, 3, 5), gg.param("u", 3, 40, 2)
        V = gg.param("V", 36, 300)
        g.A = gg.relu(gg.conv(x, w, padding="same"))
        g.B = gg.relu(gg.locally_connected(x, v, padding="same"))
        g.C = gg.relu(gg.conv_transpose(x, u))
        g.D = gg.relu(gg.flatten(x) @ V)
    start = gg.initial(g)
    for name, fan_in in {"w": 15, "v": 15, "u": 6, "V": 36}.items():
        assert np.var(start[name]) == pytest.approx(2 / fan_in, rel=0.15), name


def test_fit_takes_rules_for_parameters():
    with gg.Graph() as g:
        x, t, w, b = gg.input("x", 2), gg.input("t"), gg.param("w", 2), gg.param("b")
        g.l = gg.squared_error(w @ x + b, t)
    data = {"x": np.eye(2), "t": [1.0, 2.0]}
    history = gg.fit(g, "l", data, params={"w": gg.Constant(3.0), "b": 0.5}, epochs=0, progress=False)
    np.testing.assert_array_equal(history.params["w"], [3.0, 3.0])
    assert history.params["b"] == 0.5


def test_what_does_not_fit_is_said():
    g = network()
    with pytest.raises(gg.GraphError, match="Orthogonal draws matrices and filters; the shape"):
        gg.initial(g, chosen={"b0": gg.Orthogonal()})
    with pytest.raises(gg.NamingError, match="x is no parameter"):
        gg.initial(g, chosen={"x": gg.Zeros()})
    with pytest.raises(gg.NamingError, match="did you mean W0"):
        gg.initial(g, chosen={"W00": gg.Zeros()})
    with pytest.raises(gg.GraphError, match="Uniform: reach is -1"):
        gg.Uniform(-1)
