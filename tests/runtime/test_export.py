"""A function that has left: its file alone, in a process that cannot import this package, gives the same numbers."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import graphgrad as gg

random = np.random.default_rng(8)

ALONE = """
import sys
sys.modules["graphgrad"] = None  # an import of it fails
import numpy as np
from net import evaluate
given = dict(np.load("given.npz"))
np.savez("found.npz", **evaluate(**given))
"""


def run_alone(folder: Path, given):
    np.savez(folder / "given.npz", **given)
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(np.load(folder / "found.npz"))


def neuron():
    with gg.Graph("neuron") as g:
        x, w = gg.input("x", 4), gg.param("w", 4)
        g.y = gg.sigmoid(w @ x)
        g.J = gg.batch_mean(gg.square(g.y - 1)) + 0.1 * gg.l2(w)
    return g, ["J", "y"]


def convolution():
    with gg.Graph("convolution") as g:
        x, K = gg.input("x", 1, 9, 9), gg.param("K", 3, 1, 3, 3)
        g.A = gg.max_pool(gg.tanh(gg.conv(x, K, padding=1)), 2)
        g.J = gg.batch_mean(gg.sum(g.A))
    return g, ["J", "A"]


def wide():
    with gg.Graph("wide") as g:
        x, W = gg.input("x", 80), gg.param("W", 70, 80)
        g.A = gg.relu(W @ x)
        g.J = gg.batch_sum(gg.sum(gg.sin(g.A)))
    return g, ["J"]


@pytest.mark.parametrize("network", [neuron, convolution, wide])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_file_alone_gives_the_same_numbers(tmp_path, network, dtype):
    g, outputs = network()
    params = [node.name.ident for node in g.parameters]
    f = gg.compile(g, outputs, wrt=params, dtype=dtype)
    weights = {node.name.ident: random.normal(size=node.shape) for node in g.parameters}
    X = random.normal(size=(21, *g["x"].shape)).astype(dtype)
    f.export(tmp_path / "net.py", **weights)
    r, found = f(x=X, **weights), run_alone(tmp_path, {"x": X})
    tolerance = 1e-12 if dtype == "float64" else 1e-5
    assert set(found) == {*outputs, *(f"grad_{name}" for name in params)}
    for name in outputs:
        np.testing.assert_allclose(found[name], r[name], rtol=tolerance, atol=tolerance)
    for name in params:
        np.testing.assert_allclose(found[f"grad_{name}"], r.grad[name], rtol=tolerance, atol=tolerance * 100)


def test_one_sample_and_other_weights(tmp_path):
    g, _ = neuron()
    f = gg.compile(g, "y", wrt="w")
    f.export(tmp_path / "net.py")
    x, w = random.normal(size=4), random.normal(size=4)
    found = run_alone(tmp_path, {"x": x, "w": w})
    assert found["y"] == pytest.approx(1 / (1 + np.exp(-w @ x)))
    np.testing.assert_allclose(found["grad_w"], found["y"] * (1 - found["y"]) * x)


def test_a_name_of_numpys_own_and_a_gradient_that_is_the_number_of_samples(tmp_path):
    with gg.Graph() as g:
        x, b = gg.input("x"), gg.param("file")
        g.J = gg.batch_sum(x + b)
    gg.compile(g, "J", wrt="file").export(tmp_path / "net.py", file=2.0)
    found = run_alone(tmp_path, {"x": np.arange(5.0)})
    assert found["J"] == 20
    assert found["grad_file"] == 5


def test_an_empty_batch_is_refused_by_the_file_too(tmp_path):
    g, _ = neuron()
    gg.compile(g, "y").export(tmp_path / "net.py", w=np.ones(4))
    np.savez(tmp_path / "given.npz", x=np.ones((0, 4)))
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.endswith("ValueError: the batch is empty: give at least one sample\n")


def test_what_does_not_fit_is_said(tmp_path):
    g, _ = neuron()
    f = gg.compile(g, "y", wrt="w")
    with pytest.raises(gg.GraphError, match=r"export writes a Python module: 'a-b.py' should be a name like net.py"):
        f.export(tmp_path / "a-b.py")
    with pytest.raises(gg.GraphError, match=r"w takes \(4,\), and is given an array of shape \(3,\)"):
        f.export(tmp_path / "net.py", w=np.ones(3))
    with pytest.raises(gg.GraphError, match=r"cannot be written"):
        f.export(tmp_path / "nowhere" / "net.py")


def test_names_that_the_source_has_for_itself(tmp_path):
    with gg.Graph("names") as g:
        h = gg.input("batch", 8)
        for name in ("layer", "v", "first", "loss", "value"):
            h = gg.tanh(gg.param(name, 8, 8) @ h)
        g.J = gg.batch_mean(gg.sum(gg.square(h)))
    given = {node.name.ident: random.normal(size=node.shape) for node in g.parameters} | {
        "batch": random.normal(size=(40, 8))
    }
    f = gg.compile(g, "J", wrt=["layer", "loss"])
    f.export(tmp_path / "net.py")
    found, expected = run_alone(tmp_path, given), gg.compile(g, "J", wrt=["layer", "loss"], target="numpy")(**given)
    np.testing.assert_allclose(found["J"], expected["J"], rtol=1e-12)
    for name in ("layer", "loss"):
        np.testing.assert_allclose(found[f"grad_{name}"], expected.grad[name], rtol=1e-10, atol=1e-14)
