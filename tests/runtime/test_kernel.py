"""A step that is translated in one walk is the step that Numba's own passes make of the same text."""

import sys
import types

import numpy as np
import pytest
from numba import config, njit
from numba.core.codegen import CPUCodeLibrary

import graphgrad as gg
from graphgrad.runtime.kernel import OPTIONS, kernel

random = np.random.default_rng(3)
needs_a_compiler = pytest.mark.skipif(bool(config.DISABLE_JIT or config.BOUNDSCHECK), reason="one way alone is there")


def by_numba(source):
    """The step of a generated file as Numba compiles it."""
    module = types.ModuleType("by_numba")
    text = source.replace("from graphgrad.runtime.kernel import kernel, loop", "")
    text = text.replace("from graphgrad.runtime.kernel import kernel", "")
    vars(module)["kernel"], vars(module)["loop"] = lambda signature: njit(signature, **OPTIONS), njit
    exec(compile(text, "by_numba", "exec"), vars(module))
    return module


def lecture():
    return gg.networks.two_hidden_layers(), {"x": (2,), "t": ()}


def classifier():
    with gg.Graph("classifier") as g:
        x, t = gg.input("x", 1, 10, 10), gg.input("t")
        K, b, W = gg.param("K", 4, 1, 3, 3), gg.param("b", 4, 1, 1), gg.param("W", 3, 64)
        g.A = gg.max_pool(gg.relu(gg.conv(x, K) + b), 2)
        g.B = W @ gg.flatten(g.A)
        g.l = gg.cross_entropy_with_logits(g.B, t)
    return g, {"x": (1, 10, 10), "t": ()}


def wide():
    with gg.Graph("wide") as g:
        x, t = gg.input("x", 80), gg.input("t")
        W, V = gg.param("W", 60, 80), gg.param("V", 60)
        g.A = gg.tanh(W @ x)
        g.y = V @ g.A
        g.l = gg.squared_error(g.y, t)
    return g, {"x": (80,), "t": ()}


def deep():
    with gg.Graph("deep") as g:
        h, t = gg.input("x", 6), gg.input("t")
        for k in range(5):
            h = gg.tanh(gg.param(f"W{k}", 6, 6) @ h)
        g.l = gg.squared_error(gg.sum(h), t)
    return g, {"x": (6,), "t": ()}


@needs_a_compiler
@pytest.mark.parametrize("network", [lecture, classifier, wide, deep])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_ways_compute_the_same(network, dtype):
    g, shapes = network()
    data = [
        np.ascontiguousarray(random.random((19, *shape)), dtype).round(0 if not shape else 6)
        for shape in shapes.values()
    ]
    start = {node.name.ident: random.normal(size=node.shape) * 0.3 for node in g.parameters}
    f = gg.compile(g, "l", wrt=list(start), dtype=dtype)
    step = f.bind(**start, optimizer=gg.SGD(0.1))
    same = by_numba(step.source)
    mine = sys.modules[step._module(19)[0].__name__]
    found = []
    for module in (mine, same):
        from graphgrad.runtime.memory import memory_for

        memory, _ = memory_for(module, 19, np.dtype(dtype), MemoryError)
        parameters = step._parameters.copy()
        losses = [module.step(*data, parameters, memory, 0, 1) for _ in range(3)]
        found.append((losses, parameters))
    tolerance = 64 * np.finfo(dtype).eps
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=tolerance)
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=tolerance, atol=tolerance)


@needs_a_compiler
def test_numbers_loops_and_choices_mean_what_they_mean_in_python(tmp_path):
    file = tmp_path / "small_step.py"
    file.write_text(
        """
from graphgrad.runtime.kernel import kernel

@kernel("float64(float64[:, ::1], float64[::1])")
def step(x, out):
    total = 0.0
    best, last = -1.0, 0
    for i in range(x.shape[0]):
        for j in range(i % 2, x.shape[1], 2):
            number = x[i, j] if 0 < j <= 3 and i != 2 or j == 0 else -x[i, j] ** 3.0
            if not number < best:
                best = number
                last = 7 * i // 2 - (3 - j) * 2
            out[i] += number / 4
            total += min(i, j) + max(i - 3, -j) + number
    out[0:2] = 0.5
    if best != best:
        return best
    return total + last
"""
    )
    space: dict = {}
    exec(file.read_text().replace('@kernel("float64(float64[:, ::1], float64[::1])")', ""), space)
    sys.path.insert(0, str(tmp_path))
    try:
        import small_step
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("small_step")
    x = random.normal(size=(6, 7))
    mine, python = np.zeros(6), np.zeros(6)
    assert small_step.step(x, mine) == pytest.approx(space["step"](x, python), rel=1e-14)
    np.testing.assert_allclose(mine, python, rtol=1e-14)
    x[3, 3] = np.nan
    assert np.isnan(small_step.step(x, mine))


def test_constant_arrays_are_seen_from_nests_apart():
    """The U-net reads places and weights of its up-sampling from arrays of the source, in nests that are functions."""
    g = gg.networks.u_net()
    names = [node.name.ident for node in g.parameters]
    given = {name: random.normal(size=g[name].shape) for name in names}
    given |= {node.name.ident: (random.random((2, *node.shape)) > 0.5).astype(float) for node in g.inputs}
    ours, theirs = (gg.compile(g, "l", wrt=names[:2], target=target)(**given) for target in ("cpu", "numpy"))
    np.testing.assert_allclose(ours["l"], theirs["l"], rtol=1e-12)
    for name in names[:2]:
        np.testing.assert_allclose(ours.grad[name], theirs.grad[name], rtol=1e-9, atol=1e-12)


@needs_a_compiler
def test_a_line_that_no_step_has_is_refused(tmp_path):
    file = tmp_path / "odd_step.py"
    file.write_text("def step(x):\n    while x[0] > 0:\n        x[0] = x[0] - 1\n")
    space: dict = {}
    exec(compile(file.read_text(), str(file), "exec"), space)
    with pytest.raises(Exception, match="a step has no line like while"):
        kernel("void(float64[::1])")(space["step"])


@pytest.mark.parametrize("layers", [6, 24])  # so many nests that they are functions; that what calls them is plain
@pytest.mark.parametrize("samples", [1, 19])
def test_nests_that_are_functions_apart_do_what_they_did_in_place(samples, layers):
    with gg.Graph("deep") as g:
        h = gg.input("x", 5)
        s = gg.param("s")
        for k in range(layers):
            width = 5 if k % 5 else 6
            W, b = gg.param(f"W{k}", width, h.shape[0]), gg.param(f"b{k}", width)
            h = (gg.tanh, gg.sigmoid, gg.sin)[k % 3](W @ h + (b if k % 2 else -b * s))
            if k % 7 == 6:
                h = h - gg.mean(h)
        g.J = gg.batch_mean(gg.sum(gg.square(h)))
    names = [node.name.ident for node in g.parameters]
    given = {name: random.normal(size=g[name].shape) for name in names} | {"x": random.normal(size=(samples, 5))}
    ours, theirs = (gg.compile(g, "J", wrt=[*names, "x"], target=target)(**given) for target in ("cpu", "numpy"))
    assert float(ours["J"]) == pytest.approx(float(theirs["J"]), rel=1e-12)
    for name in (*names, "x"):
        np.testing.assert_allclose(ours.grad[name], theirs.grad[name], rtol=1e-10, atol=1e-14)
    step = gg.compile(g, "J", wrt=names).bind(**{name: given[name] for name in names}, optimizer=gg.SGD(0.1))
    assert step(given["x"]) == pytest.approx(float(theirs["J"]), rel=1e-12)
    for name in names:
        np.testing.assert_allclose(step.params[name], given[name] - 0.1 * theirs.grad[name], rtol=1e-10, atol=1e-14)


@needs_a_compiler
def test_descent_of_large_weights_is_made_by_the_product():
    g, _ = wide()
    X, T, start = (
        random.normal(size=(9, 80)),
        random.normal(size=9),
        {"W": random.normal(size=(60, 80)), "V": np.ones(60)},
    )
    with g:
        g["J"] = gg.batch_mean(g.l) + 0.3 * gg.l2(g.W)
    f = gg.compile(g, "J", wrt=["W", "V"])
    gradient = f(x=X, t=T, **start).grad["W"]
    step = f.bind(**start, optimizer=gg.SGD(0.05))
    step(X, T)
    assert "add_share_of_product(W, " in step.source
    assert "dJ_dW" not in step.source
    assert "specialise: descent by a product at W − rate · ∂J/∂W (the product adds to what is there)" in step.explain()
    np.testing.assert_allclose(step.params["W"], start["W"] - 0.05 * gradient, rtol=1e-12, atol=1e-14)
    step.state["rate"][...] = 0.0
    before = step.params["W"].copy()
    step(X, T)
    np.testing.assert_array_equal(step.params["W"], before)


def test_functions_without_a_vector_form_in_nests_that_are_functions_apart():
    acts = [gg.gelu, gg.tanh, gg.softplus, gg.sin, gg.elu]
    with gg.Graph("deep") as g:
        h = gg.input("x", 8)
        for k in range(14):
            h = acts[k * k % 5](gg.param(f"W{k}", 8 + k % 3, h.shape[0]) @ h)
            h = h - gg.max(h) if k % 4 == 1 else h
        g.J = gg.batch_mean(gg.sum(gg.square(h)))
    given = {node.name.ident: random.normal(size=node.shape) / 3 for node in g.parameters}
    names, given["x"] = list(given), random.normal(size=(30, 8))
    ours, theirs = (gg.compile(g, "J", wrt=names, target=target)(**given) for target in ("cpu", "numpy"))
    assert float(ours["J"]) == pytest.approx(float(theirs["J"]), rel=1e-11)
    for name in names:
        np.testing.assert_allclose(ours.grad[name], theirs.grad[name], rtol=1e-9, atol=1e-13)


@needs_a_compiler
def test_a_step_is_optimised_once(monkeypatch, tmp_path):
    """What Numba's passes over single functions do, its passes over all of them do again: a step has the latter alone."""
    monkeypatch.setenv("GRAPHGRAD_CACHE_DIR", str(tmp_path))  # what lies in the cache is not optimised any more
    one_by_one = []
    known = CPUCodeLibrary._optimize_functions
    monkeypatch.setattr(
        CPUCodeLibrary, "_optimize_functions", lambda self, module: (one_by_one.append(self.name), known(self, module))
    )
    g, shapes = lecture()
    gg.compile(g, "l", dtype="float32")(
        **{name: np.ones((3, *shape)) for name, shape in shapes.items()},
        **{node.name.ident: np.ones(node.shape) for node in g.parameters},
    )
    njit("float64(float64)")(lambda x: x + 1.0)
    names = {name.rpartition(".")[2] for name in one_by_one}
    assert "<lambda>" in names
    assert "step" not in names
