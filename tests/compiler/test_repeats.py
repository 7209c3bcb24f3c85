"""Layers that are alike are one loop of the source, and compute what they did one after the other."""

import re

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.compiler import repeats
from graphgrad.compiler.loops import Combine, Comment, Let, Loop, Memory, Repeat, Section, Step, Store
from graphgrad.compiler.repeats import Repeats
from graphgrad.runtime.team import num_threads


def dense(x, depth, width, act):
    h = x
    for k in range(depth):
        h = act(gg.param(f"W{k}", width, width) @ h + gg.param(f"b{k}", width))
    return h


def residual(x, depth, width, act):
    h = x
    for k in range(depth):
        inner = act(gg.param(f"V{k}", width + 1, width) @ h)
        h = h + gg.param(f"s{k}") * (gg.param(f"W{k}", width, width + 1) @ inner)
    return h


def recurrent(x, depth, width, act):
    W, h = gg.param("W", width, width), x
    for _ in range(depth):
        h = act(W @ h) + gg.mean(h)
    return h


def normalised(x, depth, width, act):
    h = x
    for k in range(depth):
        h = gg.param(f"c{k}", width) * (h - gg.mean(h)) / gg.sqrt(gg.mean(gg.square(h)) + 1.0)
        h = act(gg.param(f"W{k}", width, width) @ h) if k % 2 else gg.exp(-gg.square(h))
    return h


def convolved(x, depth, width, act):
    h = gg.reshape(x, (1, width // 4, 4))
    for k in range(depth):
        h = act(gg.conv(h, gg.param(f"K{k}", 1 if k == depth - 1 else 3, 3 if k else 1, 3, 3), padding=1))
    return gg.reshape(h, (width,))


def network(build, depth, width=8, act=gg.tanh):
    with gg.Graph("deep") as g:
        x = gg.input("x", width)
        g.y = build(x, depth, width, act)
        loss = gg.batch_mean(gg.sum(gg.square(g.y)))
        for node in list(g.parameters):
            loss = loss + 0.01 * gg.sum(gg.square(node))
        g.J = loss
    return g


def given(g, samples, seed=0):
    random = np.random.default_rng(seed)
    start = {
        p.name.ident: random.normal(size=p.shape) / max(1, p.shape[-1] if p.shape else 1) ** 0.5 for p in g.parameters
    }
    return start, random.normal(size=(samples, *g.x.shape))


def loops_over_layers(source):
    return [int(times) for times in re.findall(r"for layer in range\((\d+)\)", source)]


BUILDERS = [dense, residual, recurrent, normalised, convolved]


@pytest.mark.parametrize("samples", [1, 37])
@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_a_deep_network_has_the_values_and_gradients_of_the_reference(build, samples):
    g = network(build, 9)
    start, X = given(g, samples)
    found = [gg.compile(g, ["J", "y"], wrt=[*start, "x"], target=target)(x=X, **start) for target in ("cpu", "numpy")]
    for name in ("J", "y"):
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-10, atol=1e-14)
    for name in (*start, "x"):
        np.testing.assert_allclose(found[0].grad[name], found[1].grad[name], rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("width", [8, 80])
@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_a_step_of_descent_goes_along_the_gradient(build, width, threads):
    g = network(build, 7, width)
    start, X = given(g, 21)
    reference = gg.compile(g, "J", wrt=list(start), target="numpy")(x=X, **start)
    before = num_threads()
    gg.set_num_threads(threads)
    try:
        step = gg.compile(g, "J", wrt=list(start)).bind(**start, optimizer=gg.SGD(0.1))
        assert step(X) == pytest.approx(float(reference["J"]), rel=1e-10)
    finally:
        gg.set_num_threads(before)
    for name in start:
        np.testing.assert_allclose(step.params[name], start[name] - 0.1 * reference.grad[name], rtol=1e-9, atol=1e-12)
    assert loops_over_layers(step.source)


@pytest.mark.parametrize("optimizer", [gg.SGD(0.01), gg.Adam(0.01)], ids=["SGD", "Adam"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_layers_in_a_loop_give_the_same_numbers_as_one_after_the_other(build, dtype, optimizer, monkeypatch, tmp_path):
    g = network(build, 8)
    start, X = given(g, 19)
    found = []
    for often in (repeats.OFTEN, 10**9):
        monkeypatch.setattr(repeats, "OFTEN", often)
        monkeypatch.setenv("GRAPHGRAD_CACHE_DIR", str(tmp_path / str(often)))
        step = gg.compile(g, "J", wrt=list(start), dtype=dtype).bind(**start, optimizer=optimizer)
        losses = [step(X) for _ in range(3)]
        assert bool(loops_over_layers(step.source)) is (often != 10**9)
        found.append((losses, step.params))
    tolerance = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=tolerance)
    for name in start:
        np.testing.assert_allclose(found[0][1][name], found[1][1][name], rtol=64 * tolerance, atol=8 * tolerance)


def test_a_hundred_layers_read_like_ten():
    sources = [
        gg.compile(network(dense, depth), "J", wrt=[f"W{k}" for k in range(depth)])
        .bind(**given(network(dense, depth), 1)[0], optimizer=gg.SGD(0.1))
        ._generate(True)
        for depth in (12, 100)
    ]
    steps = [re.search(r"^def step.*?^@loop", source, re.MULTILINE | re.DOTALL)[0].splitlines() for source in sources]
    assert len(steps[1]) - len(steps[0]) < 88 // 10  # less than a line for ten layers more
    assert max(loops_over_layers(sources[1])) in (98, 99, 100)


def test_few_layers_stand_one_after_the_other():
    step = gg.compile(network(dense, 3), "J", wrt=["W0"]).bind(**given(network(dense, 3), 1)[0], optimizer=gg.SGD(0.1))
    assert loops_over_layers(step.source) == []
