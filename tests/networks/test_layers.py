"""Layers and blocks: shapes, names, groups and parameters; what does not fit is said."""

from __future__ import annotations

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.networks import convolution, dense, double_convolution, pooling, residual_block, u_net_block


def written(layer, *shape):
    with gg.Graph() as g:
        x = gg.input("x", *shape)
        y = layer(x)
    return g, y


@pytest.mark.parametrize(
    ("layer", "shape", "result", "count"),
    [
        (lambda x: dense(x, 10), (784,), (10,), 7_850),
        (lambda x: dense(x, 10), (256 * 256,), (10,), 655_370),
        (lambda x: dense(x, 10), (256**3,), (10,), 167_772_170),
        (lambda x: dense(x, None), (4,), (), 5),
        (lambda x: dense(x, 3, "relu", bias=False), (4,), (3,), 12),
        (lambda x: convolution(x, 8), (3, 28, 28), (8, 28, 28), 8 * 27 + 8),
        (lambda x: convolution(x, 8, padding="valid", stride=2, size=(5, 3)), (3, 28, 28), (8, 12, 13), 8 * 45 + 8),
        (lambda x: convolution(x, 2, size=1), (4, 9), (2, 9), 10),
        (lambda x: convolution(x, 2), (1, 4, 6, 8), (2, 4, 6, 8), 2 * 27 + 2),
        (lambda x: convolution(x, 8, normalised=True), (3, 8, 8), (8, 8, 8), 8 * 27 + 4 * 8),
        (pooling, (3, 8, 6), (3, 4, 3), 0),
        (lambda x: pooling(x, 4, "average"), (3, 8), (3, 2), 0),
        (residual_block, (4, 6, 6), (4, 6, 6), 2 * (4 * 36 + 4)),
        (lambda x: residual_block(x, 8), (4, 6, 6), (8, 6, 6), 8 * 36 + 8 + 8 * 72 + 8 + 8 * 4 + 8),
        (lambda x: double_convolution(x, 4), (2, 6, 6), (4, 6, 6), 4 * 18 + 4 + 4 * 36 + 4),
        (
            lambda x: u_net_block(pooling(x), x, 4),
            (2, 6, 6),
            (4, 6, 6),
            4 * 36 + 4 + 4 * 36 + 4,
        ),
    ],
)
def test_shapes_and_parameters(layer, shape, result, count):
    g, y = written(layer, *shape)
    assert y.shape == result
    assert g.count_params() == count


def test_a_layer_names_its_lines_and_is_a_group():
    g, y = written(lambda x: dense(x, 3, "tanh", name="h1"), 2)
    assert [node.name.ident for node in g.nodes] == ["x", "W_h1", "A", "b_h1", "z_h1", "h1"]
    assert {node.group for node in g.nodes if node.name.ident != "x"} == {("h1",)}
    g, y = written(lambda x: residual_block(x, name="block"), 2, 4, 4)
    assert g.block is y
    assert g.block_a.group == ("block", "block_a")
    assert g.z_block.group == ("block",)


def test_activations_by_name_by_function_and_learned():
    swish = gg.elementwise("swish_of_a_layer", lambda z: z / (1 + z * z))
    g, _ = written(lambda x: dense(dense(dense(x, 3, gg.relu, "a"), 3, swish, "b"), 3, "prelu", "c"), 2)
    assert [g[name].op.name for name in "abc"] == ["relu", "swish_of_a_layer", "prelu"]
    assert g.alpha_c.shape == ()
    assert gg.initial(g)["alpha_c"] == 0.25


def test_a_block_has_its_gradients():
    with gg.Graph() as g:
        x, t = gg.input("x", 2, 4, 4), gg.input("t", 3, 4, 4)
        down = residual_block(x, 3, "tanh", "down", normalised=True)
        up = u_net_block(pooling(down, kind="average"), down, 3, "tanh", "up")
        g.J = gg.batch_mean(gg.squared_error(up, t))
    random = np.random.default_rng(0)
    arrays = {"x": random.normal(size=(3, 2, 4, 4)), "t": random.normal(size=(3, 3, 4, 4)), **gg.initial(g)}
    assert g.check_gradients(arrays, of="J", most=1).ok


@pytest.mark.parametrize(
    ("layer", "shape", "sentence"),
    [
        (lambda x: dense(x, 3, name="h"), (2, 2), "dense h: it connects the elements of a vector, and x is 2x2"),
        (lambda x: convolution(x, 3, name="c"), (4,), "convolution c: x is 4 and has no places"),
        (lambda x: pooling(x, kind="middle"), (1, 4), "there is no kind 'middle', only max and average"),
        (lambda x: dense(x, 3, "rellu"), (2,), "there is no activation 'rellu'; did you mean relu?"),
        (lambda x: dense(x, 3, 7), (2,), "there is no activation 7"),
        (lambda x: u_net_block(x, x, 3, name="u"), (2, 4), "skip is 2x4, which has not twice its places"),
        (lambda x: dense(dense(x, 3), 3), (2,), "is used twice"),
        (lambda x: dense(x, 0), (2,), "the shape (0, 2) has an extent below 1"),
    ],
)
def test_what_does_not_fit_is_said(layer, shape, sentence):
    with pytest.raises(gg.GraphError) as caught:
        written(layer, *shape)
    assert sentence in str(caught.value)
