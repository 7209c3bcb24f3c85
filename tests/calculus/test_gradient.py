"""The reverse sweep: gradients as nodes, against formulas derived by hand, differences, and the lecture's numbers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

import graphgrad as gg
from graphgrad.calculus.gradient import sweep
from graphgrad.graph import ancestors
from graphgrad.ops.reference import evaluate


def sigma(z):
    return 1 / (1 + np.exp(-z))


def by_hand(x, t, W0, W1, w, penalty=0.01):
    """∂J/∂node of the lecture's network, derived on paper."""
    A = x @ W0.T
    B = sigma(A)
    C = B @ W1.T
    D = sigma(C)
    E = D @ w
    y = sigma(E)
    dE = y - t
    dD = dE[:, None] * w
    dC = dD * D * (1 - D)
    dB = dC @ W1
    dA = dB * B * (1 - B)
    return {
        "y": (y - t) / (y * (1 - y)),
        "E": dE,
        "D": dD,
        "C": dC,
        "B": dB,
        "A": dA,
        "x": dA @ W0,
        "t": np.log((1 - y) / y),
        "w": dE @ D + 2 * penalty * w,
        "W1": np.einsum("ni,nj->ij", dC, B) + 2 * penalty * W1,
        "W0": np.einsum("ni,nj->ij", dA, x) + 2 * penalty * W0,
    }


def test_the_lectures_network_has_the_gradients_derived_by_hand(lecture):
    g, expected = lecture.g, by_hand(**lecture.arrays)
    gradients = {name: gg.grad(g.J, g[name]) for name in expected}
    values = evaluate(gradients.values(), lecture.given, 7)
    for name, node in gradients.items():
        assert_allclose(values[node], expected[name], rtol=1e-12, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("target", ["numpy", "cpu"])
def test_compiled_gradients_are_those_derived_by_hand(lecture, target):
    expected = by_hand(**lecture.arrays)
    r = gg.compile(lecture.g, ["J"], wrt=list(expected), target=target)(**lecture.arrays)
    for name, gradient in expected.items():
        assert_allclose(r.grad[name], gradient, rtol=1e-12, atol=1e-14, err_msg=name)


def test_the_lectures_network_agrees_with_differences(lecture):
    check = lecture.g.check_gradients(lecture.arrays)
    assert check.ok, check
    assert check.worst.error < 1e-6
    assert [row.name for row in check.rows][:11] == ["x", "t", "W0", "W1", "w", "A", "B", "C", "D", "E", "y"]


def neuron():
    """The lecture's batch example: one neuron that takes its bias first."""
    with gg.Graph("one neuron") as g:
        x, t, w = gg.input("x", 3), gg.input("t"), gg.param("w", 3)
        g.z = w @ x
        g.y = gg.sigmoid(g.z)
        g.l = gg.binary_cross_entropy(g.y, t)
        g.J = gg.batch_sum(g.l)
    return g


def test_the_numbers_of_the_slide_on_batches():
    g = neuron()
    w = np.array([2.0, -3.6, 0.5])
    r = gg.compile(g, ["l"], wrt=["w"], target="numpy")(x=[1, 0.4, -1.0], t=1, w=w)
    assert_allclose([r["z"], r["y"], r["l"]], [0.06, 0.5150, 0.6636], atol=5e-5)
    assert_allclose(r.grad["w"], [-0.4850, -0.1940, 0.4850], atol=5e-5)
    r = gg.compile(g, ["l"], target="numpy")(x=[[1, 0.4, -1.0], [1, -2.1, 3.0]], t=[1, 1], w=w)
    assert_allclose(r["z"], [0.06, 11.06], rtol=1e-12)
    assert_allclose(r["y"], [0.5150, 0.999984], atol=5e-5)


def test_the_toy_chain_of_the_slides():
    with gg.Graph("toy") as g:
        x = gg.input("x")
        g.v = 1 / x
        g.u = 2 * g.v
        g.f = g.u**2
    nodes = [g.f, gg.grad(g.f, x), gg.grad(g.f, g.u), gg.grad(g.u, g.v), gg.grad(g.v, x)]
    values = evaluate(nodes, {x: np.array([2.0])}, 1)
    assert [float(np.ravel(values[node])[0]) for node in nodes] == [1.0, -1.0, 2.0, 2.0, -0.25]


def test_gradients_of_the_samples_sum_to_the_gradient_of_the_batch(lecture):
    g = lecture.g
    for name in ("W0", "W1", "w"):
        each, total = gg.grad(g.l, g[name]), gg.grad(gg.batch_sum(g.l), g[name])
        assert each.per_sample
        assert not total.per_sample
        values = evaluate([each, total], lecture.given, 7)
        assert_allclose(values[each].sum(axis=0), values[total], rtol=1e-13)


def test_gradients_are_differentiated_again():
    with gg.Graph() as g:
        x = gg.input("x")
        g.f = x**3 * gg.exp(x)
    first = gg.grad(g.f, x)
    second = gg.grad(first, x)
    third = gg.grad(second, x)
    a = np.array([0.5, -1.3])
    values = evaluate([first, second, third], {x: a}, 2)
    assert_allclose(values[first], (a**3 + 3 * a**2) * np.exp(a), rtol=1e-14)
    assert_allclose(values[second], (a**3 + 6 * a**2 + 6 * a) * np.exp(a), rtol=1e-13)
    assert_allclose(values[third], (a**3 + 9 * a**2 + 18 * a + 6) * np.exp(a), rtol=1e-13)


def test_the_second_derivative_of_the_loss_of_a_score_is_that_of_the_sigmoid():
    with gg.Graph() as g:
        z, t = gg.input("z"), gg.input("t")
        g.l = gg.binary_cross_entropy(gg.sigmoid(z), t)
    second = gg.grad(gg.grad(g.l, z), z)
    a = np.array([-3.0, 0.0, 2.5])
    values = evaluate([second], {z: a, t: np.array([0.0, 1.0, 1.0])}, 3)
    assert_allclose(values[second], sigma(a) * (1 - sigma(a)), rtol=1e-12)


def test_the_hessian_is_symmetric(lecture):
    g, (_, _, W0, _, w) = lecture.g, lecture.leaves
    v = np.random.default_rng(1).normal(size=(3, 2))
    u = np.random.default_rng(2).normal(size=3)
    with g:
        direction, other = gg.param("v", 3, 2), gg.param("u", 3)
        g.f = gg.sum(gg.grad(g.J, W0) * direction)
        g.h = gg.sum(gg.grad(g.J, w) * other)
    left, right = gg.grad(g.f, w), gg.grad(g.h, W0)
    values = evaluate([left, right], lecture.given | {direction: v, other: u}, 7)
    assert_allclose(u @ values[left], np.sum(v * values[right]), rtol=1e-12)


def test_contributions_of_a_fan_out_are_added():
    with gg.Graph() as g:
        a, b = gg.input("a"), gg.input("b")
        g.y = a * b + a / b + gg.square(a) + a
    p, q = np.array([0.7, -2.0]), np.array([1.5, 0.4])
    nodes = [gg.grad(g.y, a), gg.grad(g.y, b)]
    values = evaluate(nodes, {a: p, b: q}, 2)
    assert_allclose(values[nodes[0]], q + 1 / q + 2 * p + 1, rtol=1e-14)
    assert_allclose(values[nodes[1]], p - p / q**2, rtol=1e-14)


def test_a_diamond_is_counted_once_for_each_path():
    with gg.Graph() as g:
        a = gg.input("a")
        u = a
        for _ in range(40):
            u = u + u
        g.y = u
    gradient = gg.grad(g.y, a)
    assert evaluate([gradient], {a: np.array([1.0])}, 1)[gradient] == 2.0**40


def test_a_sweep_is_made_once(lecture):
    g, (_, _, W0, *_) = lecture.g, lecture.leaves
    before = len(g.nodes)
    assert gg.grad(g.l, W0) is gg.grad(g.l, W0)
    assert sweep(g.l) is sweep(g.l)
    assert len(g.nodes) == before


def test_gradients_are_named_after_what_they_are(lecture):
    g, (x, _, W0, *_) = lecture.g, lecture.leaves
    gradient = gg.grad(g.l, W0)
    assert (gradient.name.ident, gradient.name.text) == ("dl_dW0", "∂l/∂W⁽⁰⁾")
    assert gradient.name.tex == r"\frac{\partial l}{\partial W^{[0]}}"
    assert gradient.text() == "∂l/∂W⁽⁰⁾ = ∂l/∂A xᵀ"
    assert gg.grad(g.l, g.A).text() == "∂l/∂A = ∂l/∂B ⊙ B ⊙ (1 − B)"
    assert gg.grad(g.l, g.B).text() == "∂l/∂B = W⁽¹⁾ᵀ ∂l/∂C"
    assert gg.grad(g.l, x).text() == "∂l/∂x = W⁽⁰⁾ᵀ ∂l/∂A"
    assert gg.grad(g.l, g.y).latex() == (r"\frac{\partial l}{\partial y} = \frac{y - t}{y \left(1 - y\right)}")
    assert gg.grad(g.l, g.l).text() == "∂l/∂l = 1"


def test_what_has_no_gradient_is_said_in_a_sentence(lecture):
    g, (_, t, W0, *_) = lecture.g, lecture.leaves
    with gg.Graph("another") as other:
        z = gg.input("z")
        other.f = gg.square(z)

    def sentence(of, wrt):
        with pytest.raises(gg.GradientError) as caught:
            gg.grad(of, wrt)
        return str(caught.value)

    assert sentence(g.D, W0) == (
        "the gradient of D does not exist: it has the shape 3 and a gradient is that of a scalar; "
        "take sum(D) or one of its elements"
    )
    assert sentence(g.y, t) == "∂y/∂t does not exist: y = sigmoid(E) does not depend on t"
    assert sentence(g.E, g.y) == "∂E/∂y does not exist: E = w @ D does not depend on y"
    assert sentence(g.y, z) == "y and z belong to different graphs"
    assert sentence(g.y, "W0") == "grad takes two nodes of a graph, not 'W0'"
    with g:
        g.m = gg.batch_mean(g.E)
        g.q = gg.square(g.E - g.m)
    assert sentence(g.q, W0) == (
        "the gradient of q for each sample does not exist: through m = 1/N Σₙ E every sample has a part in it; "
        "take the gradient of batch_sum(q)"
    )


def test_through_the_batch_the_sum_has_a_gradient():
    with gg.Graph() as g:
        x = gg.input("x")
        g.J = gg.batch_sum(gg.square(x - gg.batch_mean(x)))
    a = np.array([1.0, 2.0, 6.0])
    gradient = gg.grad(g.J, x)
    assert_allclose(evaluate([gradient], {x: a}, 3)[gradient], 2 * (a - a.mean()), atol=1e-14)


def test_an_input_that_nothing_uses_has_no_gradient():
    with gg.Graph() as g:
        x, unused = gg.input("x"), gg.param("W", 2)
        g.y = gg.square(x)
    assert unused not in sweep(g.y)
    with pytest.raises(gg.GradientError, match="does not depend on W"):
        gg.grad(g.y, unused)


def deep(steps):
    with gg.Graph() as g:
        x = gg.input("x")
        u = x
        for _ in range(steps // 2):
            u = gg.tanh(u) + x
        g.l = u
    return g, x


def test_a_gradient_grows_in_proportion_to_its_graph():
    written = {}
    for steps in (2_000, 10_000):
        g, x = deep(steps)
        gradient = gg.grad(g.l, x)
        written[steps] = len(ancestors(gradient))
    assert written[10_000] - written[2_000] <= 8_000 * (written[2_000] / 2_000) * 1.01
    value = evaluate([g.l, gradient], {x: np.array([0.3])}, 1)
    assert np.isfinite(value[gradient]).all()
