"""Networks of random shapes: what the register tiles, products and loops of the processor make is the reference's."""

import numpy as np
import pytest

import graphgrad as gg


def convolutions(random):
    """A convolution of one to three axes, with any stride, padding, dilation and groups, pooled or not."""
    axes = int(random.integers(1, 4))
    groups = int(random.choice([1, 1, 2]))
    before, after = groups * int(random.integers(1, 4)), groups * int(random.integers(1, 5))
    kernel = [int(k) for k in random.integers(1, 4, axes)]
    dilation = [int(d) for d in random.integers(1, 3, axes)]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True)]
    extents = [r + int(random.integers(2, 7 if axes < 3 else 4)) for r in reach]
    with gg.Graph() as g:
        x, K = gg.input("x", before, *extents), gg.param("K", after, before // groups, *kernel)
        h = gg.conv(
            x,
            K,
            stride=[int(s) for s in random.integers(1, 3, axes)],
            padding=[int(p) for p in random.integers(0, 3, axes)],
            dilation=dilation,
            groups=groups,
        )
        if random.random() < 0.5 and min(h.shape[1:]) >= 2:
            h = gg.max_pool(h, 2) if random.random() < 0.5 else gg.avg_pool(h, 2)
        g.y = gg.tanh(h)
    return g


def layers(random):
    """Dense layers of any width, across the sizes at which products change their code."""
    with gg.Graph() as g:
        width = int(random.integers(1, 90))
        h = gg.input("x", width)
        for k in range(int(random.integers(1, 4))):
            after = int(random.integers(1, 90))
            W, b = gg.param(f"W{k}", after, width), gg.param(f"b{k}", after)
            h, width = gg.relu(W @ h + b), after
        g.y = gg.softmax(h)
    return g


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("network", [convolutions, layers])
def test_values_and_gradients_are_those_of_the_reference(network, seed):
    random = np.random.default_rng(seed)
    g = network(random)
    with g:
        g.J = gg.batch_mean(gg.sum(gg.square(g.y)))
    names = [node.name.ident for node in g.parameters]
    weights = {name: random.normal(size=g[name].shape) for name in names}
    dtype = ("float64", "float32")[seed % 2]
    ours, theirs = (gg.compile(g, "J", wrt=[*names, "x"], target=target, dtype=dtype) for target in ("cpu", "numpy"))
    tolerance = 1e-11 if dtype == "float64" else 2e-4
    for samples in (1, 19):
        given = {"x": random.normal(size=(samples, *g["x"].shape)), **weights}
        mine, reference = ours(**given), theirs(**given)
        np.testing.assert_allclose(mine["y"], reference["y"], rtol=tolerance, atol=tolerance)
        for name in (*names, "x"):
            np.testing.assert_allclose(mine.grad[name], reference.grad[name], rtol=tolerance, atol=tolerance)
