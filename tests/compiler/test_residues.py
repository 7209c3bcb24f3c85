"""Where a stride is undone, every residue of it is a sum of products of its own: the numbers of the slow reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphgrad as gg
from graphgrad.compiler.residues import residues
from graphgrad.graph import Axis, Formula, Index

random = np.random.default_rng(6)


def agrees_with_the_reference(g: gg.Graph, samples: int) -> str:
    start = {node.name.ident: random.normal(size=node.shape) * 0.3 for node in g.parameters}
    step = gg.compile(g, "J", wrt=list(start)).bind(**start, optimizer=gg.SGD(0.1))
    x = random.normal(size=(samples, *g.inputs[0].shape))
    slow = gg.compile(g, "J", wrt=list(start), target="numpy")(x=x, **start)
    np.testing.assert_allclose(step(x), slow["J"], rtol=1e-11)
    for name, value in start.items():
        np.testing.assert_allclose(step.params[name], value - 0.1 * slow.grad[name], rtol=1e-9, atol=1e-11)
    return step.source


def two_layers(stride: int, size: int, padding: int = 0, dilation: int = 1, turned: bool = False) -> gg.Graph:
    """The gradient goes back through the second layer, or that layer itself undoes a stride."""
    with gg.Graph() as g:
        x, K0 = gg.input("x", 2, 13, 12), gg.param("K_0", 3, 2, 2, 2)
        h = gg.tanh(gg.conv(x, K0))
        if turned:
            K, b = gg.param("K", 3, 4, size, size), gg.param("b", 4, 1, 1)
            g.A = gg.conv_transpose(h, K, stride=stride, padding=padding) + b
        else:
            g.A = gg.conv(h, gg.param("K", 4, 3, size, size), stride=stride, padding=padding, dilation=dilation)
        g.J = gg.batch_mean(gg.sum(g.A**2))
    return g


def test_the_gradient_of_stride_two_is_four_sums():
    source = agrees_with_the_reference(two_layers(2, 3, padding=1), samples=9)
    assert source.count("sum_dJ_d") >= 4
    assert "K[m, i, 2 * p + 1, 2 * q + 1]" in source
    assert "[i, 2 * j + 1, 2 * k] = " in source


@settings(max_examples=8, deadline=None)
@given(
    stride=st.sampled_from([2, 3]),
    size=st.sampled_from([1, 2, 3, 4]),
    padding=st.integers(0, 2),
    dilation=st.sampled_from([1, 2]),
    turned=st.booleans(),
    samples=st.sampled_from([1, 5]),
)
def test_any_stride_gives_the_numbers_of_the_reference(stride, size, padding, dilation, turned, samples):
    padding = min(padding, size - 1)
    agrees_with_the_reference(two_layers(stride, size, padding, dilation, turned), samples)


def test_residues_are_found_by_hand():
    """out[j] = Σ_p x[(j - p) / 2] w[p]: even places read the even weights, odd places the odd ones."""
    j, p = Axis("j", 5), Axis("p", 3)
    x, w = Index(((j, 1), (p, -1)), 0, 2), Index(((p, 1),))
    found = residues(Formula((j,), ((x,), (w,)), (p,), "sum"))
    assert found is not None
    even, odd = found
    for (formula, (place,)), count, weights, first in ((even, 3, 2, 0), (odd, 2, 1, 1)):
        (own,), (over,) = formula.axes, formula.over
        assert (own.extent, over.extent) == (count, weights)
        assert place == Index(((own, 2),), first)
        ((read,), (weight,)) = formula.reads
        assert read == Index(((own, 1), (over, -1)))
        assert weight == Index(((over, 2),), first)


@pytest.mark.parametrize("step", [2, 4])
def test_what_has_no_weight_at_a_residue_is_left_to_plain_loops(step):
    j, p = Axis("j", 6), Axis("p", 1 if step == 2 else 3)
    index = Index(((j, 1), (p, -1 if step == 2 else -2)), 0, step)
    assert residues(Formula((j,), ((index,), (Index(((p, 1),)),)), (p,), "sum")) is None
