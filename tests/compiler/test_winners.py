"""Gradients behind a max-pooling: made for the winners of windows alone, and the numbers of the slow reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphgrad as gg

random = np.random.default_rng(8)


def network(
    *shape: int, maps: int = 8, further: int = 40, size: int = 3, pool: object = 2, **options: object
) -> gg.Graph:
    """Two convolutions, each rectified and pooled."""
    rank = len(shape) - 1
    with gg.Graph() as g:
        x = gg.input("x", *shape)
        K, b = gg.param("K", maps, shape[0], *[size] * rank), gg.param("b", maps, *[1] * rank)
        W = gg.param("W", further, maps, *[size] * rank)
        g.A = gg.max_pool(gg.relu(gg.conv(x, K, **options) + b), pool)
        g.B = gg.max_pool(gg.relu(gg.conv(g.A, W, padding=size // 2)), 2)
        g.J = gg.batch_mean(gg.sum(g.B**2))
    return g


def agrees_with_the_reference(g: gg.Graph, samples: int, dtype: str = "float64") -> str:
    """The source of a function whose gradients were those of the slow reference."""
    given = {node.op.name: random.normal(size=node.shape) * 0.3 for node in g.parameters}
    (x,) = (random.normal(size=(samples, *node.shape)) for node in g.inputs)
    fast = gg.compile(g, "J", wrt=list(given), dtype=dtype, keep=False)
    got, expected = fast(x=x, **given), gg.compile(g, "J", wrt=list(given), target="numpy")(x=x, **given)
    scale = 1e-9 if dtype == "float64" else 2e-4
    for name in given:
        largest = np.abs(expected.grad[name]).max()
        np.testing.assert_allclose(got.grad[name], expected.grad[name], rtol=0, atol=scale * max(1.0, largest))
    return fast.source_on_lanes if samples > 1 else fast.source


def test_kernel_and_image_are_multiplied_with_the_winners_as_on_paper():
    source = agrees_with_the_reference(network(3, 14, 18), samples=19)
    assert '"dJ_dK_own[i, j, k, m] += x[j, 2 * p + r + k, 2 * q + u + m] * multiply_[i, p, q]"' in source
    assert '"dJ_dW_own[i, j, k, m] += A[j, 2 * p + r + k - 1, 2 * q + u + m - 1] * multiply[i, p, q]"' in source
    assert '"dJ_dA[j, 2 * p + k + r - 1, 2 * q + m + u - 1] = W[i, j, k, m] * multiply[i, p, q]"' in source
    assert source.count('where="max_pool_winner') == 3
    assert "max_poolᵀ" not in source, "the map of what comes back to the pooling is not made"


def test_one_sample_goes_the_same_way():
    source = agrees_with_the_reference(network(3, 14, 18), samples=1)
    assert source.count("= of_winners(") == 3
    assert "lanes=" not in source, "one sample fills its vectors all the same"


@settings(max_examples=30, deadline=None)
@given(
    shape=st.sampled_from([(4, 21), (1, 14, 17), (3, 15, 13), (5, 12, 12), (2, 9, 9, 8)]),
    maps=st.sampled_from([3, 8, 17]),
    size=st.sampled_from([1, 2, 3]),
    padding=st.integers(0, 1),
    stride=st.sampled_from([1, 1, 2]),
    dilation=st.sampled_from([1, 1, 2]),
    pool=st.sampled_from([2, 3]),
    samples=st.sampled_from([1, 5, 21]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_any_shape_gives_the_numbers_of_the_reference(
    shape, maps, size, padding, stride, dilation, pool, samples, dtype
):
    options = {"padding": padding, "stride": stride, "dilation": dilation}
    try:
        g = network(*shape, maps=maps, size=size, pool=pool, **options)
    except gg.ShapeError:
        return  # no window fits
    agrees_with_the_reference(g, samples, dtype)


@pytest.mark.parametrize(
    "pool", [{"kernel": 3, "stride": 2}, {"kernel": 2, "stride": 1}, {"kernel": (3, 2)}, {"kernel": 2, "dilation": 2}]
)
def test_windows_of_any_kind_have_winners(pool):
    with gg.Graph() as g:
        x, K = gg.input("x", 4, 13, 13), gg.param("K", 16, 4, 3, 3)
        L = gg.param("L", 16, 16, 3, 3)
        g.A = gg.conv(x, K)
        g.B = gg.max_pool(gg.conv(g.A, L, padding=1), **pool)
        g.J = gg.batch_mean(gg.sum(g.B**2))
    source = agrees_with_the_reference(g, samples=17)
    assert "dJ_dL_own[i, j, k, m] += A[" in source
    assert "= of_winners(" in source


@pytest.mark.parametrize("pool", [{"kernel": 3, "stride": 2, "padding": 1}, {"kernel": 2, "ceil_mode": True}])
def test_where_a_window_reaches_beyond_the_image_all_products_are_made(pool):
    with gg.Graph() as g:
        x, K = gg.input("x", 4, 13, 13), gg.param("K", 8, 4, 3, 3)
        g.A = gg.max_pool(gg.conv(x, K), **pool)
        g.J = gg.batch_mean(gg.sum(g.A**2))
    assert "of_winners" not in agrees_with_the_reference(g, samples=17)


def test_what_else_reads_the_map_is_not_in_the_way():
    with gg.Graph() as g:
        x, K, L = gg.input("x", 4, 12, 12), gg.param("K", 8, 4, 3, 3), gg.param("L", 8, 8, 3, 3)
        g.A = gg.relu(gg.conv(x, K, padding=1))
        g.B = g.A + gg.conv(g.A, L, padding=1)
        g.C = gg.max_pool(g.B, 2)
        g.J = gg.batch_mean(gg.sum(g.C**2) + gg.sum(g.B))
    agrees_with_the_reference(g, samples=18)


def test_a_learned_image_and_a_kernel_of_each_sample_are_left_to_all_products():
    with gg.Graph() as g:
        x, L, K = gg.input("x", 8, 3, 3), gg.param("L", 8, 12, 12), gg.param("K", 8, 8, 3, 3)
        g.A = gg.max_pool(gg.conv(L, K * gg.sum(x)), 2)
        g.J = gg.batch_mean(gg.sum(g.A**2))
    assert "of_winners" not in agrees_with_the_reference(g, samples=17)


@pytest.mark.parametrize("samples", [1, 17])
def test_what_comes_to_the_windows_of_all_samples_alike_is_left_to_all_products(samples):
    """A saliency map: what a weighted sum of the pooled map owes to each pixel."""
    with gg.Graph() as g:
        x, K, W = gg.input("x", 8, 14, 14), gg.param("K", 16, 8, 3, 3), gg.param("W", 16, 6, 6)
        g.A = gg.max_pool(gg.conv(x, K), 2)
        g.J = gg.sum(W * g.A)
    given = {"K": random.normal(size=(16, 8, 3, 3)), "W": random.normal(size=(16, 6, 6))}
    images = random.normal(size=(samples, 8, 14, 14))
    got = gg.compile(g, "J", wrt=["x"], keep=False)(x=images, **given).grad["x"]
    expected = gg.compile(g, "J", wrt=["x"], target="numpy")(x=images, **given).grad["x"]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-11)


def test_winners_that_all_samples_share_are_left_to_all_products():
    with gg.Graph() as g:
        x, L, K = gg.input("x", 16, 6, 6), gg.param("L", 8, 14, 14), gg.param("K", 16, 8, 3, 3)
        g.A = gg.max_pool(gg.conv(L, K), 2)
        g.J = gg.batch_mean(gg.sum(x * g.A))
    agrees_with_the_reference(g, samples=17)


@pytest.mark.parametrize("samples", [1, 17])
def test_a_pooled_map_may_be_transposed(samples):
    with gg.Graph() as g:
        x, K, W = gg.input("x", 4, 28), gg.param("K", 8, 4, 3), gg.param("W", 13, 8)
        g.A = gg.max_pool(gg.conv(x, K), 2)
        g.J = gg.batch_mean(gg.sum(gg.tanh(W * g.A.T)))
    assert "of_winners" in agrees_with_the_reference(g, samples)


@pytest.mark.parametrize("samples", [1, 17])
def test_a_kernel_of_one_number_is_left_to_the_loops(samples):
    with gg.Graph() as g:
        x, K = gg.input("x", 2048), gg.param("K")
        g.A = gg.max_pool(gg.einsum("l,->l", x, K), (64,))
        g.J = gg.batch_mean(gg.sum(g.A**2))
    agrees_with_the_reference(g, samples)


def test_windows_may_lie_in_the_padding_altogether():
    with gg.Graph() as g:
        x, K = gg.input("x", 64, 3), gg.param("K", 16, 64, 1)
        g.A = gg.max_pool(gg.conv(x, K, padding=40), (2,), stride=41)
        g.J = gg.batch_mean(gg.sum((g.A + 1) ** 2))
    agrees_with_the_reference(g, samples=17)


def test_a_pixel_that_no_winner_sees_has_no_part_in_the_gradient():
    """The kernel's gradient is that of the image without what only losers see, infinite as it may be."""
    with gg.Graph() as g:
        x, K = gg.input("x", 16, 12, 12), gg.param("K", 16, 16, 1, 1)
        g.A = gg.max_pool(gg.conv(x, K), 2)
        g.J = gg.batch_mean(gg.sum(g.A**2))
    f = gg.compile(g, "J", wrt=["K"], keep=False)
    assert "of_winners" in f.source_on_lanes
    images = random.normal(size=(20, 16, 12, 12)) + 3
    images[:, :, ::2, 1::2] = -5.0
    losers = images.copy()
    losers[:, :, ::2, 1::2] = -np.inf
    weights = np.abs(random.normal(size=(16, 16, 1, 1))) + 0.1
    expected = f(x=images, K=weights).grad["K"]
    with np.errstate(invalid="ignore"):
        got = f(x=losers, K=weights).grad["K"]
    np.testing.assert_array_equal(got, expected)


def test_no_number_goes_through():
    f = gg.compile(g := network(3, 14, 18), "J", wrt=["K", "W"], keep=False)
    given = {node.op.name: random.normal(size=node.shape) for node in g.parameters}
    images = random.normal(size=(18, 3, 14, 18))
    images[3, 1, 5, 5] = np.inf
    result = f(x=images, **given)
    assert np.isnan(result.grad["K"][:, 1]).any(), "∞ - ∞ of an image that winners see"


def test_a_step_says_why_it_goes_over_windows():
    g = network(3, 14, 18)
    told = gg.compile(g, "J", wrt=["K", "b", "W"], keep=False).explain()
    assert "winners alone" in told
    assert "what goes back to a window is 0 but at its winner" in told


def test_few_products_are_left_to_the_loops():
    with gg.Graph() as g:
        x, K = gg.input("x", 1, 6), gg.param("K", 1, 1, 3)
        g.A = gg.max_pool(gg.conv(x, K), 2)
        g.J = gg.batch_mean(gg.sum(g.A**2))
    assert "of_winners" not in agrees_with_the_reference(g, samples=17)
