"""New values that are made where the old ones lie: a rule of descent gives what NumPy gives that computes all of it first."""

import re

import numpy as np
import pytest

import graphgrad as gg

RATE = 0.01
GG = {"sqrt": gg.sqrt, "square": gg.square, "sum": gg.sum, "turned": gg.transpose, "abs": gg.abs}
NP = {"sqrt": np.sqrt, "square": np.square, "sum": np.sum, "turned": np.transpose, "abs": np.abs}


def descent(m, W, g, v, u):
    return W - RATE * g, v, u


def the_gradient_itself(m, W, g, v, u):
    return g, v, u


def momentum(m, W, g, v, u):
    faster = 0.9 * v + g
    return W - RATE * faster, faster, u


def adam(m, W, g, v, u):
    mean, spread = 0.9 * v + 0.1 * g, 0.99 * u + 0.01 * m["square"](g)
    return W - RATE * (mean / (m["sqrt"](spread) + 1e-3)), mean, spread


def decay_in_the_momentum(m, W, g, v, u):
    faster = 0.9 * v + (g + 0.1 * W)
    return W - RATE * faster, faster, u


def the_old_velocity(m, W, g, v, u):
    return W - RATE * v, 0.9 * v + g, u


def both_velocities(m, W, g, v, u):
    faster = 0.9 * v + g
    return W - RATE * (faster + 0.5 * v), faster, u


def three_values_change_places(m, W, g, v, u):
    return W - v, u + 0.0 * g, W + 1.0


def what_lies_across(m, W, g, v, u):
    return 0.5 * m["turned"](W) - RATE * g, v + m["turned"](v), u


def a_new_value_read_across(m, W, g, v, u):
    faster = 0.9 * v + g
    return W - RATE * m["turned"](faster), faster, u


def the_length_of_a_new_value(m, W, g, v, u):
    faster = 0.9 * v + g
    return W - faster / (1.0 + m["sum"](m["square"](faster))), faster, u


def one_new_value_twice(m, W, g, v, u):
    faster = 0.9 * v + g
    return W - RATE * faster, faster, faster


def a_chain_of_new_values(m, W, g, v, u):
    faster = 0.9 * v + g
    smooth = 0.5 * u + m["abs"](faster) * W
    return W - RATE * smooth / (1.0 + m["abs"](smooth)), faster, smooth


RULES = [
    descent,
    the_gradient_itself,
    momentum,
    adam,
    decay_in_the_momentum,
    the_old_velocity,
    both_velocities,
    three_values_change_places,
    what_lies_across,
    a_new_value_read_across,
    the_length_of_a_new_value,
    one_new_value_twice,
    a_chain_of_new_values,
]


class Rule:
    """A rule of descent with two arrays of state."""

    def __init__(self, rule):
        self.rule = rule

    def update(self, W, gradient, state):
        v, u = state.array("v", W, 0.5), state.array("u", W, 0.25)
        return dict(zip((W, v, u), self.rule(GG, W, gradient, v, u), strict=True))


def network(side, penalty):
    with gg.Graph("network") as g:
        W, x = gg.param("W", side, side), gg.input("x", side)
        g.y = gg.tanh(W @ x)
        loss = gg.batch_sum(gg.sum(gg.square(g.y)))
        g.J = loss + penalty * gg.l2(W) if penalty else loss
    return g


@pytest.mark.parametrize("side", [3, 80])  # on lanes; by products, in loops that threads share
@pytest.mark.parametrize("penalty", [0.0, 0.3])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_of_descent(rule, penalty, side):
    random = np.random.default_rng(side)
    W, X = random.normal(size=(side, side)) / side, random.normal(size=(40, side))
    step = gg.compile(network(side, penalty), "J", wrt="W").bind(W=W, optimizer=Rule(rule))
    v, u = np.full(W.shape, 0.5), np.full(W.shape, 0.25)
    for _ in range(3):
        y = np.tanh(X @ W.T)
        loss = np.sum(y**2) + penalty * np.sum(W**2)
        gradient = (2 * y * (1 - y**2)).T @ X + 2 * penalty * W
        assert step(X) == pytest.approx(loss)
        W, v, u = rule(NP, W, gradient, v, u)
    np.testing.assert_allclose(step.params["W"], W, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(step.state["W_v"], v, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(step.state["W_u"], u, rtol=1e-9, atol=1e-9)


def a_number_of_the_product(m, W, c, p, J, gW, gc):
    return {"p": 0.5 * p, "W": W + p * gW}


def a_new_number_of_the_product(m, W, c, p, J, gW, gc):
    return {"p": 0.5 * p, "W": W + 0.5 * p * gW}


def a_number_that_weights_are_kept_by(m, W, c, p, J, gW, gc):
    return {"p": 0.5 * p, "W": p * W - RATE * gW}


def an_element_of_the_weights(m, W, c, p, J, gW, gc):
    return {"c": c - RATE * gc, "W": W + c[0] * gW}


def two_that_read_each_other(m, W, c, p, J, gW, gc):
    return {"c": c - RATE * gc * m["sum"](W), "W": W * m["sum"](c) - RATE * gW}


def a_new_row_for_all_rows(m, W, c, p, J, gW, gc):
    smooth = c - RATE * gc
    return {"c": smooth, "W": W * smooth - RATE * gW}


def an_old_row_for_all_rows(m, W, c, p, J, gW, gc):
    return {"c": c - RATE * gc, "W": W * c - RATE * gW}


def the_loss(m, W, c, p, J, gW, gc):
    return {"p": J, "W": W - RATE * gW, "c": c - p * gc}


def a_number_old_and_new(m, W, c, p, J, gW, gc):
    less = 0.5 * p
    return {"W": W + p * gW, "c": c + less * gc - p * c, "p": less}


TOGETHER = [
    a_number_of_the_product,
    a_new_number_of_the_product,
    a_number_that_weights_are_kept_by,
    an_element_of_the_weights,
    two_that_read_each_other,
    a_new_row_for_all_rows,
    an_old_row_for_all_rows,
    the_loss,
    a_number_old_and_new,
]


class Together:
    """A rule of descent that moves two parameters and a number by each other: it is written when it is asked of both."""

    def __init__(self, rule, loss):
        self.rule, self.loss, self.known = rule, loss, {}

    def update(self, parameter, gradient, state):
        self.known[parameter.name.ident] = parameter, gradient
        if len(self.known) < 2:
            return {}
        (W, gW), (c, gc) = self.known["W"], self.known["c"]
        p = state.number("p", -RATE)
        named = {"W": W, "c": c, "p": p}
        return {named[name]: new for name, new in self.rule(GG, W, c, p, self.loss, gW, gc).items()}


@pytest.mark.parametrize("side", [3, 80])
@pytest.mark.parametrize("rule", TOGETHER, ids=lambda rule: rule.__name__)
def test_parameters_that_move_together(rule, side):
    random = np.random.default_rng(side)
    X = random.normal(size=(40, side))
    new = {"W": random.normal(size=(side, side)) / side, "c": random.normal(size=side) / side, "p": -RATE}
    with gg.Graph("network") as g:
        W, c, x = gg.param("W", side, side), gg.param("c", side), gg.input("x", side)
        g.y = gg.tanh(W @ x + c)
        g.J = gg.batch_sum(gg.sum(gg.square(g.y)))
    step = gg.compile(g, "J", wrt=["W", "c"]).bind(W=new["W"], c=new["c"], optimizer=Together(rule, g.J))
    for _ in range(3):
        y = np.tanh(X @ new["W"].T + new["c"])
        loss, slope = np.sum(y**2), 2 * y * (1 - y**2)
        assert step(X) == pytest.approx(loss)
        new |= rule(NP, new["W"], new["c"], new["p"], loss, slope.T @ X, slope.sum(0))
    for name, array in {**step.params, **step.state}.items():
        np.testing.assert_allclose(array, new[name], rtol=1e-9, atol=1e-9)


def passes(rule, penalty=0.0):
    """How many of the loops after the check of the loss go over the weights, their velocity or their gradient."""
    step = gg.compile(network(80, penalty), "J", wrt="W").bind(W=np.zeros((80, 80)), optimizer=Rule(rule))
    _, end = step.source.split("changes no parameter\n")
    loops = re.split(r"\n    for i in ", end.partition("return loss")[0])
    return sum(re.search(r"\b(W|W_v|batch_sum)\[i, j\]", loop) is not None for loop in loops)


@pytest.mark.parametrize("rule", [momentum, adam, decay_in_the_momentum, a_chain_of_new_values])
def test_weights_state_and_gradient_are_gone_over_once(rule):
    assert passes(rule) == passes(rule, 0.3) == 1
