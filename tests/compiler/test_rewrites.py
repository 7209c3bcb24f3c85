"""Rewrites: every identity holds by numbers, each firing is recorded, and rounding is what they mend."""

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.compiler.rewrites import IDENTITIES
from graphgrad.ops.reference import evaluate


@pytest.mark.parametrize("identity", IDENTITIES, ids=lambda identity: identity.name)
def test_both_sides_of_an_identity_have_the_same_value(identity):
    variables, left, right = identity.sides
    random = np.random.default_rng(1)
    given = {v: random.uniform(0.1, 0.9, (50, *v.shape)) for v in variables}
    values = evaluate([left, right], given, 50)
    a, b = (np.broadcast_to(values[side], (50, *side.shape)) for side in (left, right))
    np.testing.assert_allclose(a, b, rtol=1e-12)


def neuron():
    with gg.Graph() as g:
        z, t = gg.input("z"), gg.input("t")
        g.y = gg.sigmoid(z)
        g.l = gg.binary_cross_entropy(g.y, t)
    return g


def test_a_firing_is_recorded_with_its_line_and_its_reason():
    f = gg.compile(neuron(), "l", wrt="z", target="numpy")
    fired = {firing.rule: firing.line for firing in f.program.firings}
    assert fired["cross entropy of a sigmoid"] == "l = −t ln y − (1 − t) ln(1 − y)"
    assert fired["sigmoid with cross entropy"] == "∂l/∂z = ∂l/∂y · y · (1 − y)"


def test_without_rewrites_the_formulas_are_computed_as_they_are_written():
    g = neuron()
    plain = gg.compile(g, "l", wrt="z", target="numpy", rewrites=())
    assert plain.program.firings == ()
    ours = gg.compile(g, "l", wrt="z", target="numpy")
    z, t = np.linspace(-5, 5, 11), np.tile([0.0, 1.0], 6)[:11]
    np.testing.assert_allclose(plain(z=z, t=t)["l"], ours(z=z, t=t)["l"], rtol=1e-12)
    np.testing.assert_allclose(plain(z=z, t=t).grad["z"], ours(z=z, t=t).grad["z"], rtol=1e-12)


@pytest.mark.parametrize("target", ["numpy", "cpu"])
@pytest.mark.parametrize(
    ("z", "t", "loss", "slope"), [(800, 0, 800, 1), (-800, 1, 800, -1), (800, 1, 0, 0), (-800, 0, 0, 0)]
)
def test_a_saturated_sigmoid_has_the_exact_loss_and_slope(target, z, t, loss, slope):
    r = gg.compile(neuron(), "l", wrt="z", target=target)(z=float(z), t=float(t))
    assert r["l"] == loss
    assert r.grad["z"] == slope


def test_twice_transposed_is_not_transposed():
    with gg.Graph() as g:
        w, x = gg.param("W", 2, 3), gg.input("x", 3)
        g.A = w.T.T @ x
    program = gg.compile(g, "A", target="numpy").program
    assert "transpose" not in [instruction.op.name for instruction in program.roots[0].inputs]
    assert [firing.rule for firing in program.firings] == ["transposed twice"]


def test_a_number_that_is_repeated_is_written_as_the_number():
    """∂/∂x Σ sin x = 1 ⊙ cos x, and ∂/∂x Σ x²/2 = 𝟏/2 ⊙ 2x."""
    with gg.Graph() as g:
        x = gg.input("x", 5)
        g.J = gg.sum(gg.sin(x))
        g.H = gg.sum(gg.square(x)) / 2
    point = np.linspace(-2, 2, 5)
    for loss, slope in (("J", np.cos(point)), ("H", point)):
        f = gg.compile(g, loss, wrt="x")
        np.testing.assert_allclose(f(x=point).grad["x"], slope, rtol=1e-15)
        assert "a repeated number" in [firing.rule for firing in f.program.firings]
        assert "broadcast_to" not in [instruction.op.name for instruction in f.program.order]
    assert "1.0 *" not in gg.compile(g, "J", wrt="x").source


def test_explain_names_each_rewrite_its_line_and_its_reason():
    g = gg.networks.two_hidden_layers()
    f = gg.compile(g, "l", wrt=["W0", "w"])
    said = f.explain().splitlines()
    assert said[0] == f"two hidden layers: {len(f.program.order)} instructions"
    (stable,) = [line for line in said if line.startswith("stabilise: cross entropy of a sigmoid at l = ")]
    assert stable.endswith(")")
    assert said[-1].startswith("memory: ")
