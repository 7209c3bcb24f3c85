"""Steps on a GPU: by Numba's simulator, which runs a kernel in Python, and by threads that take turns in an order."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from numba import config

import graphgrad as gg
from graphgrad.runtime import gpu

pytestmark = pytest.mark.skipif(not config.ENABLE_CUDASIM, reason="NUMBA_ENABLE_CUDASIM=0: this is for the simulator")

if config.ENABLE_CUDASIM:
    from tests.runtime.turns import Grid


def lecture():
    """Two hidden layers, a loss, penalties: sums over samples and over weights."""
    with gg.Graph("two hidden layers") as g:
        x, t = gg.input("x", 2), gg.input("t")
        W0, W1, w = gg.param("W0", 3, 2), gg.param("W1", 3, 3), gg.param("w", 3)
        g.A = W0 @ x
        g.B = gg.sigmoid(g.A)
        g.C = W1 @ g.B
        g.y = gg.sigmoid(w @ gg.sigmoid(g.C))
        g.l = gg.binary_cross_entropy(g.y, t)
        g.J = gg.batch_sum(g.l) + 0.01 * gg.l2(W0, W1, w)
    return g


def products():
    """Layers that are products of matrices over all samples, and a penalty that is a long sum."""
    with gg.Graph("large layers") as g:
        x, t = gg.input("x", 9), gg.input("t", 10)
        W, V = gg.param("W", 11, 9), gg.param("V", 10, 11)
        g.h = gg.tanh(W @ x)
        g.l = gg.squared_error(V @ g.h, t)
        g.J = gg.batch_mean(g.l) + 0.1 * gg.l2(W)
    return g


def convolutions():
    """A convolution with its pooling, and classes."""
    with gg.Graph("convolutions") as g:
        x, t = gg.input("x", 2, 6, 7), gg.input("t")
        K, b, W = gg.param("K", 3, 2, 3, 3), gg.param("b", 3, 1, 1), gg.param("W", 4, 18)
        g.A = gg.conv(x, K, padding=1) + b
        g.B = gg.max_pool(gg.relu(g.A), 2, stride=2)
        g.z = W @ gg.reshape(g.B, 3 * 3 * 3)[:18]
        g.l = gg.cross_entropy_with_logits(g.z, t)
        g.J = gg.batch_mean(g.l)
    return g


def deep():
    """Layers that are alike: a loop over them."""
    with gg.Graph("six layers") as g:
        h, t = gg.input("x", 5), gg.input("t")
        for k in range(6):
            h = gg.tanh(gg.param(f"W{k}", 5, 5) @ h + gg.param(f"b{k}", 5))
        g.l = gg.squared_error(gg.sum(h), t)
        g.J = gg.batch_mean(g.l)
    return g


@pytest.fixture(autouse=True)
def _products_are_made_of_small_matrices(monkeypatch):
    """And sums are long from few terms on, and made in fewer shares the larger they are: the simulator is slow."""
    monkeypatch.setattr("graphgrad.compiler.products.LARGE", 80)
    monkeypatch.setattr("graphgrad.compiler.grid.OnGrid.stretch", 20)
    monkeypatch.setattr("graphgrad.compiler.grid.PARTS", 60)


NETWORKS = pytest.mark.parametrize("network", [lecture, products, convolutions, deep])


def arrays(g, samples, dtype="float64"):
    random = np.random.default_rng(samples)
    given = {leaf.name.ident: random.normal(size=(samples, *leaf.shape)) for leaf in g.inputs}
    if not g["t"].shape:
        given["t"] = random.integers(0, 2, samples)
    weights = {leaf.name.ident: 0.5 * random.normal(size=leaf.shape) for leaf in g.parameters}
    return tuple({name: array.astype(dtype) for name, array in some.items()} for some in (given, weights))


@NETWORKS
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
@pytest.mark.parametrize("samples", [1, 37])
def test_values_and_gradients_are_those_of_the_reference(network, samples, dtype, tolerance):
    g = network()
    wrt = [node.name.ident for node in (*g.parameters, *g.inputs) if node.name.ident != "t"]
    data, weights = arrays(g, samples, dtype)
    ours, theirs = (gg.compile(g, "J", wrt=wrt, target=t, dtype=dtype)(**data, **weights) for t in ("cuda", "numpy"))
    for node, expected in {**theirs.values, **theirs.gradients}.items():
        got = ours.grad[node] if node in theirs.gradients else ours[node]
        scale = np.abs(expected).max(initial=1e-3)
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * scale, err_msg=str(node.name))


@NETWORKS
@pytest.mark.parametrize("optimizer", [gg.SGD(0.05), gg.SGD(0.05, momentum=0.9), gg.Adam(0.01)])
def test_a_bound_step_trains_as_that_of_the_cpu_does(network, optimizer):
    g = network()
    data, weights = arrays(g, 7)
    ours, theirs = (
        gg.compile(g, "J", wrt=list(weights), target=target).bind(optimizer=optimizer, **weights)
        for target in ("cuda", "cpu")
    )
    given = [data[node.name.ident] for node in ours.inputs]
    assert [ours(*given) for _ in range(2)] == pytest.approx([theirs(*given) for _ in range(2)], rel=1e-10)
    np.testing.assert_allclose(ours.run(data, 4, batch_size=3), theirs.run(data, 4, batch_size=3), rtol=1e-9)
    for name, array in theirs.params.items():
        np.testing.assert_allclose(ours.params[name], array, rtol=1e-8, atol=1e-10, err_msg=name)


def forwards(threads):
    return threads


def backwards(threads):
    return threads[::-1]


def at_random(threads):
    return list(np.random.default_rng(len(threads)).permutation(threads))


@NETWORKS
def test_threads_wait_for_each_other_where_they_must(network):
    """With fewer meetings, a thread that has its turn first would read what is not written yet."""
    g = network()
    data, weights = arrays(g, 6)
    f = gg.compile(g, "J", wrt=list(weights), target="cuda")
    step = f.bind(optimizer=gg.Adam(0.1), **weights)
    module, bound = f._kernel, step._kernel
    found = []
    for blocks, order in ((1, forwards), (3, backwards), (2, at_random)):
        memory, rest = (np.full(m.MEMORY[0] + 6 * m.MEMORY[1], np.nan) for m in (module, bound))
        parameters, losses = np.array(step._parameters), np.full(3, np.nan)
        given = [data[node.name.ident] for node in f.inputs if node.per_sample]
        kept = f._together([weights.get(leaf.name.ident) for leaf in f.inputs])
        Grid(blocks, order).run(module, *given, *kept, memory)
        given = [data[node.name.ident] for node in step.inputs]
        Grid(blocks, order).run(bound, *given, 4, losses, 0, 3, parameters, rest)
        found.append((memory, parameters, losses))
    assert np.isfinite(found[0][2]).all()
    for other in found[1:]:
        for one, same in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, same)


def test_a_meeting_that_is_missing_is_found():
    """The test above can fail."""
    f = gg.compile(lecture(), "J", wrt="W0", target="cuda")
    data, weights = arrays(f.graph, 3)
    at = f.source.index("    grid.sync()\n")
    source = f.source[:at] + f.source[at + len("    grid.sync()\n") :]
    module = ModuleType("generated")
    exec(compile(source, "generated", "exec"), vars(module))
    found = []
    for order in (forwards, backwards):
        memory = np.full(module.MEMORY[0] + 3 * module.MEMORY[1], np.nan)
        kept = f._together([weights.get(leaf.name.ident) for leaf in f.inputs])
        Grid(1, order).run(module, data["x"], data["t"], *kept, memory)
        found.append(memory)
    assert not np.array_equal(*found, equal_nan=True)


def test_the_threads_of_a_block_share_one_array(monkeypatch):
    """Also where all of them are the first to ask for it."""
    from numba.cuda.simulator import kernel as simulated

    from graphgrad.runtime import device

    def slow(*given, made=np.full):
        time.sleep(0.01)
        return made(*given)

    monkeypatch.setattr(device.np, "full", slow)
    monkeypatch.setattr(simulated, "_kernel_context", SimpleNamespace(blockIdx=SimpleNamespace(x=0)))
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(lambda: device.cuda.shared.array(2, float)) for _ in range(4)]
        first, *others = [one.result() for one in asked]
    assert all(other is first for other in others)


def test_a_loss_that_is_no_number_changes_no_parameter():
    with gg.Graph() as g:
        x, w = gg.input("x"), gg.param("w")
        g.l = gg.log(w * x)
    step = gg.compile(g, "l", wrt="w", target="cuda").bind(w=1.0, optimizer=gg.SGD(0.5))
    with pytest.warns(gg.NotFiniteWarning, match="the loss is NaN at this step: nothing was changed by it"):
        losses = step.run({"x": [1.0, -1.0, 3.0]}, 4, batch_size=1)
    np.testing.assert_allclose(losses, [0.0])
    assert step.params["w"] == 0.5
    with pytest.warns(gg.NotFiniteWarning, match="the rate is 0.5"):
        assert np.isnan(step([-1.0]))
    assert step.params["w"] == 0.5


def test_steps_go_on_where_the_last_launch_ended(monkeypatch):
    """Long runs are made in parts: batches follow each other all the same."""
    g = lecture()
    data, weights = arrays(g, 5)
    found = []
    for seconds in (0.0, 1000.0):
        monkeypatch.setattr(gpu, "SECONDS", seconds)
        step = gg.compile(g, "J", wrt="W0", target="cuda").bind(optimizer=gg.SGD(0.1), **weights)
        found.append(step.run(data, 7, batch_size=2))
    np.testing.assert_array_equal(*found)
    assert len(set(found[0])) == 7
    assert step.run(data, 0).tolist() == []


def test_a_run_takes_memory_for_a_batch_and_not_for_all_samples(monkeypatch):
    g = lecture()
    data, weights = arrays(g, 50)
    step = gg.compile(g, "J", wrt="W0", target="cuda").bind(optimizer=gg.SGD(0.1), **weights)
    asked = []
    taken = gpu.memory_for
    monkeypatch.setattr(
        gpu, "memory_for", lambda module, samples, *rest: asked.append(samples) or taken(module, samples, *rest)
    )
    step.run(data, 2, batch_size=4)
    step.run(data, 2, batch_size=4)
    assert asked == [4]


def test_too_little_memory_is_a_sentence(monkeypatch):
    f = gg.compile(lecture(), "J", wrt="W0", target="cuda")
    data, weights = arrays(f.graph, 3)

    def full(*given):
        raise gpu.cuda.cudadrv.driver.CudaAPIError(gpu.OUT_OF_MEMORY, "out of memory")

    monkeypatch.setattr(gpu.cuda, "device_array", full)
    with pytest.raises(gg.DataError, match=r"3 samples need .* GiB"):
        f(**data, **weights)


def test_parameters_and_the_rate_are_changed_between_steps():
    with gg.Graph() as g:
        x, w = gg.input("x"), gg.param("w")
        g.l = gg.square(w * x)
    step = gg.compile(g, "l", wrt="w", target="cuda").bind(w=3.0, optimizer=gg.SGD(0.25))
    assert step(1.0) == 9.0
    assert step.params["w"] == 1.5
    step.params["w"][...], step.state["rate"][...] = 2.0, 0.0
    assert [step(1.0), step(np.ones(2, "float32"))] == [4.0, 8.0]


def test_training_goes_on_a_gpu():
    with gg.Graph() as g:
        x, t, w = gg.input("x"), gg.input("t"), gg.param("w")
        g.l = gg.squared_error(w * x, t)
    data = {"x": [1.0, 2.0], "t": [2.0, 4.0]}
    history = gg.fit(g, "l", data, optimizer=gg.SGD(0.1), epochs=20, target="cuda", progress=False)
    assert history.params["w"] == pytest.approx(2.0)


def test_bad_input_is_a_sentence_before_any_kernel_runs():
    f = gg.compile(lecture(), "J", wrt="W0", target="cuda")
    data, weights = arrays(f.graph, 3)
    with pytest.raises(gg.DataError, match="x"):
        f(**{**data, "x": np.zeros((3, 5))}, **weights)
    with pytest.raises(gg.DataError, match="t"):
        f(**{**data, "t": np.full(3, 2.0)}, **weights)
    with pytest.raises(gg.GraphError, match="njit is code for the CPU"):
        _ = f.njit


def test_without_a_gpu_a_sentence_says_what_is_missing(monkeypatch):
    f = gg.compile(lecture(), "J", wrt="W0", target="cuda")
    monkeypatch.setattr(gpu.cuda, "is_available", lambda: False)
    monkeypatch.setattr(
        gpu.cuda, "cuda_error", lambda: "Error at driver init:\n\nCUDA driver not found.", raising=False
    )
    data, weights = arrays(f.graph, 3)
    with pytest.raises(gg.GraphError, match=r"NVIDIA GPU.*graphgrad\[cuda12\].*driver init: CUDA driver not found"):
        f(**data, **weights)
    step = f.bind(optimizer=gg.SGD(0.1), **weights)
    with pytest.raises(gg.GraphError, match="target='cpu' needs neither"):
        step(data["x"], data["t"])
    assert "def run(x, t, batch, losses, first, last, parameters, memory)" in step.source


def test_the_source_is_read_without_a_gpu():
    """Nor does the package for it have to be there."""
    script = (
        "import sys, graphgrad as gg\n"
        "g = gg.networks.two_hidden_layers()\n"
        "f = gg.compile(g, 'l', wrt='W0', target='cuda')\n"
        "assert '@kernel' in f.source and 'memory: ' in f.explain()\n"
        "assert not any(name.startswith('numba.cuda') for name in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_source_has_a_line_for_each_node_and_fits_100_columns():
    for network in (lecture, products, convolutions, deep):
        g = network()
        wrt = [node.name.ident for node in g.parameters]
        f = gg.compile(g, "J", wrt=wrt, target="cuda")
        assert max(map(len, f.source.splitlines())) <= 100
        if network is not deep:  # there the formulas are those of the first layer
            lines = f.source.replace("\n", " ")
            for node in g.steps:
                assert node.text()[:40] in lines, node.text()


def test_a_large_layer_is_a_product_and_its_descent_one_as_well():
    g = products()
    f = gg.compile(g, "J", wrt=["W", "V"], target="cuda")
    assert "product(" in f.source
    step = f.bind(optimizer=gg.SGD(0.1), W=np.zeros((11, 9)), V=np.zeros((10, 11)))
    assert "product(V, " in step.source
    assert "specialise: descent by a product" in step.explain()


def test_results_of_all_kinds_come_back():
    """Outputs that are an input, a number, one of another shape."""
    with gg.Graph() as g:
        x, w = gg.input("x", 2), gg.param("w", 2)
        g.same = 1.0 * x
        g.one = 3.0 * gg.sum(w) / gg.sum(w)
        g.n = gg.batch_sum(gg.sum(0 * x) + 1.0)
    r = gg.compile(g, ["same", "one", "n"], target="cuda")(x=[[1.0, 2.0], [3.0, 4.0]], w=[1.0, 1.0])
    assert r["same"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert (float(r["one"]), float(r["n"])) == (3.0, 2.0)
