"""The lecture's networks: their lines, their counts and their numbers; each compiles, trains, draws and can be saved."""

from __future__ import annotations

import numpy as np
import pytest

import graphgrad as gg

SMALL = {
    "two_hidden_layers": {},
    "logistic_neuron": {},
    "two_class_cnn": {"size": 4, "filters": 2},
    "k_class_cnn": {"size": 4, "classes": 3, "filters": (2, 2)},
    "fcn": {"size": 4, "filters": (2,), "classes": 3},
    "u_net": {"size": 4, "filters": 2, "depth": 1, "classes": 3},
    "localisation": {"size": 4, "filters": (2,), "hidden": 3},
}


def test_the_lecture_s_numbers():
    result = gg.compile(gg.networks.logistic_neuron(), "l", wrt="w", target="numpy")(
        x=[[0.4, -1.0], [-2.1, 3.0]], w=[2.0, -3.6, 0.5], t=[1.0, 1.0]
    )
    np.testing.assert_allclose(result["z"], [0.06, 11.06], rtol=1e-12)
    np.testing.assert_allclose(result["y"], [0.5150, 0.999984], atol=5e-5)
    assert round(float(result["l"][0]), 4) == 0.6636
    np.testing.assert_allclose(result.grad["w"][0], [-0.4850, -0.1940, 0.4850], atol=5e-5)
    toy = gg.networks.chain_toy()
    assert gg.compile(toy, "f", wrt="x", target="numpy")(x=2.0).grad["x"] == -1.0


def test_the_three_connections():
    networks = [getattr(gg.networks, f"{kind}_connection")() for kind in ("full", "local", "shared")]
    assert [g.count_params() for g in networks] == [22_500, 450, 3]
    assert [g.y.shape for g in networks] == [(150,)] * 3
    x = np.random.default_rng(0).normal(size=150)
    w = np.array([0.5, -1.0, 2.0])
    band = sum(np.diag(np.full(150 - abs(k), w[k + 1]), k) for k in (-1, 0, 1))
    arrays = [{"W": band}, {"w": np.broadcast_to(w, (1, 150, 1, 3))}, {"w": w.reshape(1, 1, 3)}]
    for g, parameters in zip(networks, arrays, strict=True):
        result = gg.compile(g, "y", target="numpy")(x=x, **parameters)
        np.testing.assert_allclose(result["y"], band @ x, rtol=1e-12, atol=1e-12)


def test_counts_and_shapes():
    assert gg.networks.two_hidden_layers(5, (4, 6)).count_params() == 20 + 24 + 6
    assert gg.networks.two_class_cnn(3, (6, 8), 5).count_params() == 5 * 27 + 5 + 5 * 12 + 1
    assert gg.networks.k_class_cnn(hidden=32).count_params() == 80 + 1168 + 64 * 32 + 32 + 320 + 10
    assert gg.networks.fcn(size=(8, 12), classes=4).y.shape == (4, 8, 12)
    assert gg.networks.fcn(size=(8, 8, 8), filters=(2,)).y.shape == (2, 8, 8, 8)
    assert gg.networks.u_net(size=32, depth=3, classes=4).E.shape == (4, 32, 32)
    assert gg.networks.localisation(size=(8, 8, 8)).y.shape == (6,)


def data(g, samples=6):
    """Random samples for the inputs of a graph, with targets that its loss takes."""
    random = np.random.default_rng(0)
    arrays = {node.op.name: random.normal(size=(samples, *node.shape)) for node in g.inputs}
    labelled = "softmax" in {node.op.name for node in g.steps}
    arrays["t"] = random.integers(0, 3, arrays["t"].shape) if labelled else (arrays["t"] > 0) * 1.0
    return arrays


@pytest.mark.parametrize("name", SMALL)
def test_gradients_along_a_direction_of_all_parameters(name):
    g = getattr(gg.networks, name)(**SMALL[name])
    arrays = {**data(g), **gg.initial(g, seed=1)}
    random = np.random.default_rng(1)
    for node in g.parameters:
        arrays[node.op.name] = arrays[node.op.name] + 0.1 * random.normal(size=node.shape)
    along = {node.op.name: random.normal(size=node.shape) for node in g.parameters}
    f = gg.compile(g, "l", wrt=g.parameters, target="numpy")
    gradients = f(**arrays).grad
    slope = sum(np.sum(gradients[name] * direction) for name, direction in along.items())
    ends = [
        np.sum(f(**{**arrays, **{name: arrays[name] + h * direction for name, direction in along.items()}})["l"])
        for h in (1e-6, -1e-6)
    ]
    assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)


@pytest.mark.parametrize("name", ["two_class_cnn", "fcn"])
def test_convolutional_networks_learn(name):
    g = getattr(gg.networks, name)(**SMALL[name])
    history = gg.fit(g, "l", data(g), optimizer=gg.Adam(0.02), epochs=60, progress=False)
    assert history.loss[-1] < 0.9 * history.loss[0]


@pytest.mark.parametrize("name", SMALL)
def test_losses_fit_their_output_layers(name):
    assert getattr(gg.networks, name)(**SMALL[name]).advice() == []


@pytest.mark.parametrize("name", [*SMALL, "chain_toy", "full_connection", "local_connection", "shared_connection"])
def test_each_is_a_graph_like_any_other(name):
    g = getattr(gg.networks, name)(**SMALL.get(name, {}))
    assert type(g) is gg.Graph
    assert gg.parse(g.text()).text() == g.text()
    assert g.evaluation().text() == g.text()
    assert "<svg" in g.draw().svg()


def test_an_image_that_cannot_be_halved():
    with pytest.raises(gg.GraphError, match="cannot be halved 2 times: 4 does not divide its extents"):
        gg.networks.k_class_cnn(size=10)
    with pytest.raises(gg.GraphError, match="cannot be halved 3 times"):
        gg.networks.u_net(size=(8, 12), depth=3)
