"""Rows of a convolution with what is made of them, and sums that begin with a bias: the numbers of the slow reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphgrad as gg
from graphgrad.runtime.bound import BoundStep

random = np.random.default_rng(5)


def bound(g: gg.Graph) -> tuple[BoundStep, dict[str, np.ndarray]]:
    start = {node.name.ident: random.normal(size=node.shape) * 0.3 for node in g.parameters}
    f = gg.compile(g, "J", wrt=list(start))
    return f.bind(**start, optimizer=gg.SGD(0.1)), start


def agrees_with_the_reference(g: gg.Graph, samples: int = 19) -> str:
    """The source of a step on lanes, whose loss and new parameters were those of the slow reference."""
    step, start = bound(g)
    data = {node.op.name: random.normal(size=(samples, *node.shape)) for node in g.inputs}
    slow = gg.compile(g, "J", wrt=list(start), target="numpy")(**data, **start)
    np.testing.assert_allclose(step(*data.values()), slow["J"], rtol=1e-11)
    for name, value in start.items():
        np.testing.assert_allclose(step.params[name], value - 0.1 * slow.grad[name], rtol=1e-9, atol=1e-11)
    return step.source


def network(make, *shape: int, maps: int = 6, size: int = 3, **options: object) -> gg.Graph:
    """A convolution with a bias, and what `make` makes of it."""
    with gg.Graph() as g:
        x = gg.input("x", *shape)
        K, b = gg.param("K", maps, shape[0], *[size] * (len(shape) - 1)), gg.param("b", maps, *[1] * (len(shape) - 1))
        g.A = gg.conv(x, K, **options) + b
        g.B = make(g.A)
        g.J = gg.batch_mean(gg.sum(g.B**2))
    return g


def test_rows_are_pooled_as_they_come():
    source = agrees_with_the_reference(network(lambda a: gg.max_pool(gg.relu(a), 2), 1, 14, 18))
    assert "for row in range(6):" in source
    assert '"A[i, j, k] = b[i, 0, 0] + x[m, first + j + p, k + q] * K[i, m, p, q]"' in source
    assert "A = lanes_at(memory, mine + " in source
    assert "(6, 2, 16))" in source, "two rows of A are all there is of it"


def test_what_is_read_again_is_kept_whole():
    source = agrees_with_the_reference(network(lambda a: gg.avg_pool(gg.tanh(a), 2), 2, 14, 18))
    assert "for row in range(6):" in source
    kept = next(
        line for line in source.splitlines() if "tanh" not in line and "= lanes_at" in line and "(6, 12, 16)" in line
    )
    assert kept, "the slope of tanh needs its values"


def test_windows_that_reach_into_each_other_are_pooled_afterwards():
    source = agrees_with_the_reference(network(lambda a: gg.max_pool(gg.relu(a), 3, stride=1), 1, 14, 18))
    assert "for row in" not in source.partition("sum_A(")[0]


@settings(max_examples=8, deadline=None)
@given(
    height=st.integers(10, 17),
    width=st.integers(10, 17),
    size=st.sampled_from([1, 2, 3]),
    padding=st.integers(0, 1),
    stride=st.sampled_from([1, 2]),
    window=st.sampled_from([1, 2, 3, (2, 1), (1, 2)]),
    pooled=st.sampled_from(["max", "avg", "smooth", "none"]),
    samples=st.sampled_from([1, 5]),
)
def test_any_shape_gives_the_numbers_of_the_reference(height, width, size, padding, stride, window, pooled, samples):
    make = {
        "max": lambda a: gg.max_pool(gg.relu(a), window),
        "avg": lambda a: gg.avg_pool(gg.sigmoid(a), window),
        "smooth": lambda a: gg.max_pool(gg.tanh(a), window),
        "none": lambda a: gg.softplus(a),
    }[pooled]
    agrees_with_the_reference(
        network(make, 2, height, width, maps=5, size=size, padding=padding, stride=stride), samples
    )


def test_the_rows_of_one_sample_are_computed_several_columns_at_once():
    g = network(lambda a: gg.avg_pool(gg.relu(a), 2), 3, 20, 20, maps=8)
    agrees_with_the_reference(g, samples=1)
    source = gg.compile(g, "J", wrt=["K", "b"], keep=False).source
    assert '"A[i, j, k] = b[i, 0, 0] + x[m, j + p, k + q] * K[i, m, p, q]"' in source
    assert '"dJ_dK[i, j, k, m] += x[j, p + k, q + m] * dJ_dA[i, p, q]"' in source
    assert source.count('at_once="k"') == source.count('at_once="q"') == 1


def test_volumes_are_cut_into_slices():
    source = agrees_with_the_reference(network(lambda a: gg.max_pool(gg.relu(a), 2), 2, 9, 9, 9, maps=4, size=2))
    assert "for row in range(4):" in source


def test_the_other_branch_of_a_residual_block_is_what_the_sum_begins_with():
    with gg.Graph() as g:
        x, K, W = gg.input("x", 4, 12, 12), gg.param("K", 4, 4, 3, 3), gg.param("W", 4, 4, 3, 3)
        g.A = gg.relu(gg.conv(x, K, padding=1))
        g.B = x + gg.conv(g.A, W, padding=1)
        g.J = gg.batch_mean(gg.sum(g.B**2))
    source = agrees_with_the_reference(g)
    assert "= x[i, first, k] + " in source or "= x[i, j, k] + " in source


@pytest.mark.parametrize("samples", [1, 3, 40])
def test_what_is_added_to_a_sum_over_the_samples_is_added_once(samples):
    with gg.Graph() as g:
        x, K = gg.input("x", 3, 20, 20), gg.param("K", 8, 3, 3, 3)
        g.J = gg.batch_mean(gg.sum(gg.conv(x, K) ** 2)) + 0.7 * gg.l2(K)
    agrees_with_the_reference(g, samples)
    start = {"K": random.normal(size=(8, 3, 3, 3))}
    data = random.normal(size=(samples, 3, 20, 20))
    ours, theirs = (gg.compile(g, "J", wrt="K", target=target)(x=data, **start) for target in ("cpu", "numpy"))
    np.testing.assert_allclose(ours.grad["K"], theirs.grad["K"], rtol=1e-10)


@pytest.mark.parametrize("bias", [(), (6,), (1,)])
def test_a_bias_of_any_shape_that_fits_is_what_a_product_begins_with(bias):
    with gg.Graph() as g:
        x, W, b = gg.input("x", 9), gg.param("W", 6, 9), gg.param("b", *bias)
        g.B = gg.tanh(W @ x + b)
        g.J = gg.batch_mean(gg.sum(g.B))
    step, _ = bound(g)
    assert "specialise: sum from a start at " in step.explain()
    place = {(): "()", (6,): "i", (1,): "0"}[bias]
    assert f"b[{place}] + W[i, j] * x[j]" in agrees_with_the_reference(g)
    assert step.source


def test_one_sample_is_multiplied_with_a_transposed_matrix():
    with gg.Graph() as g:
        x, K = gg.input("x", 24, 16), gg.param("K", 12, 16)
        g.A = gg.max_pool(x @ K.T, (2, 1))
        g.J = gg.batch_mean(gg.sum(g.A**2))
    agrees_with_the_reference(g, samples=1)
