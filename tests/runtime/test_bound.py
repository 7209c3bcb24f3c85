"""The bound step: hand-written descent gives the same parameters, and a bad step changes nothing."""

import numpy as np
import pytest

import graphgrad as gg

random = np.random.default_rng(5)
X, T = random.normal(size=(12, 3)), random.integers(0, 2, 12).astype(float)
W = np.array([0.3, -0.2, 0.1])


@pytest.fixture(scope="module")
def neuron():
    with gg.Graph() as g:
        x, t, w = gg.input("x", 3), gg.input("t"), gg.param("w", 3)
        g.l = gg.binary_cross_entropy(gg.sigmoid(w @ x), t)
        g.J = gg.batch_mean(g.l) + 0.1 * gg.l2(w)
    return g


def slope(x, t, w):
    return x.T @ (1 / (1 + np.exp(-x @ w)) - t)


def test_a_step_is_that_of_the_lecture(neuron):
    step = gg.compile(neuron, "l", wrt="w").bind(w=W, optimizer=gg.SGD(0.1))
    w = W.copy()
    for _ in range(5):
        y = 1 / (1 + np.exp(-X @ w))
        assert step(X, T) == pytest.approx(-(T * np.log(y) + (1 - T) * np.log(1 - y)).sum(), rel=1e-12)
        w -= 0.1 * slope(X, T, w)
        np.testing.assert_allclose(step.params["w"], w, rtol=1e-12)
    np.testing.assert_array_equal(W, [0.3, -0.2, 0.1])


def test_the_objective_may_hold_a_mean_and_a_regulariser(neuron):
    step = gg.compile(neuron, "J", wrt="w").bind(w=W, optimizer=gg.SGD(0.5))
    step(X, T)
    np.testing.assert_allclose(step.params["w"], W - 0.5 * (slope(X, T, W) / 12 + 0.2 * W), rtol=1e-12)


def test_momentum_and_adam_follow_their_papers(neuron):
    f = gg.compile(neuron, "l", wrt="w")
    momentum, adam = f.bind(w=W, optimizer=gg.SGD(0.1, momentum=0.9)), f.bind(w=W, optimizer=gg.Adam(0.01))
    w, v = W.copy(), np.zeros(3)
    for _ in range(4):
        momentum(X, T)
        v = 0.9 * v + slope(X, T, w)
        w = w - 0.1 * v
    np.testing.assert_allclose(momentum.params["w"], w, rtol=1e-12)
    w, m, s = W.copy(), np.zeros(3), np.zeros(3)
    for k in range(1, 5):
        adam(X, T)
        g = slope(X, T, w)
        m, s = 0.9 * m + 0.1 * g, 0.999 * s + 0.001 * g * g
        w = w - 0.01 * (m / (1 - 0.9**k)) / (np.sqrt(s / (1 - 0.999**k)) + 1e-8)
    np.testing.assert_allclose(adam.params["w"], w, rtol=1e-10)


def test_the_compiled_loop_makes_the_steps_that_single_calls_make(neuron):
    f = gg.compile(neuron, "l", wrt="w")
    one, loop = f.bind(w=W, optimizer=gg.SGD(0.1)), f.bind(w=W, optimizer=gg.SGD(0.1))
    single = [one(X[k : k + 5], T[k : k + 5]) for _ in range(2) for k in (0, 5, 10)]
    np.testing.assert_array_equal(loop.run({"t": T, "x": X}, steps=6, batch_size=5), single)
    np.testing.assert_array_equal(loop.params["w"], one.params["w"])


def test_parameters_that_are_not_trained_stay(neuron):
    with gg.Graph() as g:
        x, a, b = gg.input("x"), gg.param("a"), gg.param("b")
        g.l = gg.square(a * x + b)
    step = gg.compile(g, "l", wrt="b").bind(a=2.0, b=1.0, optimizer=gg.SGD(0.25))
    assert step([1.0]) == 9
    assert step.params == {"a": 2.0, "b": 1.0 - 0.25 * 6}


def test_parameters_that_depend_on_each_other_change_at_once():
    with gg.Graph() as g:
        x, a, b = gg.input("x"), gg.param("a", 2), gg.param("b", 2)
        g.J = gg.batch_sum(x) * gg.sum(a * b)
    step = gg.compile(g, "J", wrt=["a", "b"]).bind(a=[1.0, 2.0], b=[10.0, 20.0], optimizer=gg.SGD(0.1))
    step([1.0])
    np.testing.assert_allclose(step.params["a"], [0.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(step.params["b"], [9.9, 19.8])


def test_the_rate_can_be_turned_between_steps(neuron):
    step = gg.compile(neuron, "l", wrt="w").bind(w=W, optimizer=gg.SGD(0.1))
    step.state["rate"][...] = 0.0
    step(X, T)
    np.testing.assert_array_equal(step.params["w"], W)


def test_nan_in_the_data_is_said_and_changes_nothing(neuron):
    step = gg.compile(neuron, "l", wrt="w").bind(w=W, optimizer=gg.SGD(0.1))
    broken = X.copy()
    broken[3, 1] = np.nan
    with (
        pytest.raises(gg.DataError, match="x holds NaN in this batch: nothing was changed"),
        pytest.warns(gg.NotFiniteWarning),
    ):
        step(broken, T)
    np.testing.assert_array_equal(step.params["w"], W)


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda f: f.bind(w=W), "bind needs an optimizer"),
        (lambda f: f.bind(optimizer=gg.SGD(0.1)), "no array is given for w"),
        (lambda f: f.bind(w=W[:2], optimizer=gg.SGD(0.1)), r"w takes \(3,\), and is given an array of shape \(2,\)"),
        (lambda f: f.bind(w=W, optimizer=gg.SGD(0.1))(X), r"step\(x, t\) takes 2 arrays by position, not 1"),
        (lambda f: f.bind(w=W, optimizer=gg.SGD(-1)), "the rate of SGD is -1"),
    ],
)
def test_what_does_not_fit_is_said(neuron, act, sentence):
    with pytest.raises(gg.GraphError, match=sentence):
        act(gg.compile(neuron, "l", wrt="w"))


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (lambda w, g: {w: gg.sum(g)}, r"Rule.update gives w a new value .* of the shape scalar; w has the shape 3$"),
        (lambda w, g: {w: 3.0}, "Rule.update gives <w: 3>: 3.0 for w; both are nodes of its graph"),
        (lambda w, g: None, "Rule.update gives None for w, not a dict of nodes and their new values"),
    ],
)
def test_a_rule_of_descent_that_gives_something_else_is_told_so(neuron, rule, sentence):
    class Rule:
        def update(self, parameter, gradient, state):
            return rule(parameter, gradient)

    with pytest.raises(gg.GraphError, match=sentence):
        gg.compile(neuron, "J", wrt="w").bind(w=W, optimizer=Rule())


@pytest.mark.parametrize("data", ["batch", "losses", "start", "x"])
def test_any_name_may_be_that_of_an_array(data):
    with gg.Graph("names") as g:
        x, W = gg.input(data, 5), gg.param("loss", 5, 5)
        g.stop = gg.tanh(W @ x + gg.param("run", 5))
        g.value = gg.batch_mean(gg.sum(gg.square(g.stop)))
    X, start = np.linspace(-1, 1, 30).reshape(6, 5), {"loss": np.eye(5), "run": np.full(5, 0.5)}
    step = gg.compile(g, "value", wrt=["loss", "run"]).bind(**start, optimizer=gg.SGD(0.1))
    y = np.tanh(X + 0.5)
    slope = 2 * y * (1 - y**2) / 6
    assert step(X) == pytest.approx(np.sum(y**2) / 6)
    np.testing.assert_allclose(step.params["loss"], np.eye(5) - 0.1 * slope.T @ X, rtol=1e-12, atol=1e-15)
    assert len(step.run([X], 3)) == 3


def test_the_loss_is_that_before_the_step_also_where_it_is_a_parameter():
    with gg.Graph("a parameter") as g:
        w = gg.param("w")
        g.J = gg.identity(w)
    step = gg.compile(g, "J", wrt="w").bind(w=2.0, optimizer=gg.SGD(0.5))
    assert [step(), step()] == [2.0, 1.5]
    assert step.params["w"] == 1.0


@pytest.mark.parametrize("target", ["cpu", "cuda"])
def test_a_parameter_may_be_called_as_what_the_optimizer_keeps(target):
    with gg.Graph() as g:
        x, rate = gg.input("x", 3), gg.param("rate", 3)
        g.l = gg.sum(rate * x)
    step = gg.compile(g, "l", wrt="rate", target=target).bind(rate=[1.0, 2.0, 3.0], optimizer=gg.SGD(0.5))
    assert step(np.array([[1.0, 0.0, 2.0]])) == 7.0
    assert step.params["rate"].tolist() == [0.5, 2.0, 2.0]
    assert step.state["rate"] == 0.5
