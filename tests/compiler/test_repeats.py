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


def network(build, depth, width=8, act=gg.tanh, penalty=True):
    with gg.Graph("deep") as g:
        x = gg.input("x", width)
        g.y = build(x, depth, width, act)
        loss = gg.batch_mean(gg.sum(gg.square(g.y)))
        for node in list(g.parameters) if penalty else ():
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
    g = network(build, 9, width)
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


@pytest.mark.parametrize("width", [8, 128])
def test_a_hundred_layers_read_like_ten(width):
    lines = []
    for depth in (12, 100):
        g = network(dense, depth, width, penalty=False)
        start, _ = given(g, 1)
        source = gg.compile(g, "J", wrt=list(start)).bind(**start, optimizer=gg.SGD(0.1))._generate(True)
        lines.append(source[source.index("\ndef step") : source.index("\n@loop")].splitlines())
        assert max(loops_over_layers(source)) in range(depth - 2, depth + 1)
        assert f"  # b0, b1, …, b{depth - 1}\n" in source
    assert len(lines[1]) - len(lines[0]) < 8


def test_few_layers_stand_one_after_the_other():
    step = gg.compile(network(dense, 3), "J", wrt=["W0"]).bind(**given(network(dense, 3), 1)[0], optimizer=gg.SGD(0.1))
    assert loops_over_layers(step.source) == []


SECTIONS = [Section(name, k, "shared", 8 * k, (8,)) for k, name in enumerate("ABCDEFGHPQ")]


def rolled(*statements, sections=SECTIONS, returns=None):
    """What becomes of statements of one thread."""
    nothing = frozenset()
    memory = Memory(8, 80, 0, 0, 0)
    step = Step(
        "", (), sections, (), memory, (), (), returns, False, "float64", 1, False, nothing, nothing, {}, (), False, 0, 0
    )
    return Repeats(step, statements).rolled()


def doubled(out, array, own="value"):
    return Loop("i", 8, [Let(own, f"2.0 * {array}[i]"), Store(out, ("i",), own)])


CHAIN = [doubled(out, array) for array, out in zip("ABCDEF", "BCDEFG", strict=True)]


def test_a_run_has_a_role_for_each_array_that_is_another_one_each_time():
    (loop,) = rolled(*CHAIN)
    assert (loop.times, [role.name for role in loop.roles]) == (6, ["A_here", "B_here"])
    assert [[array.name for array in role.arrays] for role in loop.roles] == [list("ABCDEF"), list("BCDEFG")]
    assert loop.body == [doubled("B_here", "A_here")]


def test_what_stays_the_same_has_no_role():
    (loop,) = rolled(*(Loop("i", 8, [Store("A", ("i",), f"{array}[i] * P[i]", add=True)]) for array in "BCDEF"))
    assert [role.name for role in loop.roles] == ["B_here"]
    assert loop.body == [Loop("i", 8, [Store("A", ("i",), "B_here[i] * P[i]", add=True)])]


def test_comments_are_those_of_the_first_and_tell_nothing_apart():
    told = [Comment(lambda k=k: f"layer {k}") for k in range(6)]
    (loop,) = rolled(*(one for pair in zip(told, CHAIN, strict=True) for one in pair))
    assert [line.told() for line in loop.body if isinstance(line, Comment)] == ["layer 0"]


@pytest.mark.parametrize(
    "odd",
    [
        Loop("i", 8, [Store("E", ("i",), "3.0 * D[i]")]),
        Loop("i", 7, [Let("value", "2.0 * D[i]"), Store("E", ("i",), "value")]),
        Loop("i", 8, [Let("value", "2.0 * D[i]"), Store("E", ("i",), "value", add=True)]),
        doubled("E", "E"),  # one array, not two
    ],
)
def test_what_is_not_alike_ends_a_run(odd):
    statements = [*CHAIN[:3], odd, *CHAIN[4:]]
    assert rolled(*statements) == statements


def test_arrays_of_another_kind_end_a_run():
    kept = Section("D", 3, "kept", 24, (8,))
    assert rolled(*CHAIN, sections=[*SECTIONS[:3], kept, *SECTIONS[4:]]) == CHAIN


def test_a_number_that_is_read_elsewhere_keeps_its_own_statement():
    sums = [
        line
        for k, array in enumerate("ABCDE")
        for line in (Let(f"sum_{k}", "0.0"), Loop("i", 8, [Combine(f"sum_{k}", "sum", f"{array}[i]")]))
    ]
    (loop,) = rolled(*sums)  # nobody reads them
    assert loop.times == 5
    assert [type(line) for line in rolled(*sums, Store("P", ("0",), "sum_0 + sum_4"))].count(Repeat) == 0
    found = rolled(*sums, returns="sum_4")
    assert [line.times for line in found if isinstance(line, Repeat)] == [4]
    assert found[-2:] == sums[-2:]


def test_a_transposed_array_is_not_an_array_called_t():
    """x.T in the text is the transpose of x, also where an array of the graph has the name T."""
    with gg.Graph("letters") as g:
        x, W = gg.input("x", 128), gg.param("W", 128, 128)
        h = x
        for letter in ("S", "T", "U", "V", "X", "Y"):
            g[letter] = h = gg.tanh(W @ h)
        g.J = gg.batch_mean(gg.sum(gg.square(h)))
    start, X = given(g, 20)
    f = gg.compile(g, "J", wrt=["W"])
    step = f.bind(**start, optimizer=gg.SGD(0.1))
    reference = gg.compile(g, "J", wrt=["W"], target="numpy")(x=X, **start)
    assert step(X) == pytest.approx(float(reference["J"]), rel=1e-10)
    assert loops_over_layers(step.source)
    np.testing.assert_allclose(step.params["W"], start["W"] - 0.1 * reference.grad["W"], rtol=1e-9, atol=1e-12)
