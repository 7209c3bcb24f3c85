"""The compiled function: batches and single samples, names, values on request, and compiled code that calls it."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest

import graphgrad as gg


@pytest.fixture(scope="module")
def neuron():
    with gg.Graph("logistic neuron") as g:
        x, t, w = gg.input("x", 3), gg.input("t"), gg.param("w", 3)
        g.z = w @ x
        g.y = gg.sigmoid(g.z)
        g.l = gg.binary_cross_entropy(g.y, t)
        g.J = gg.batch_sum(g.l)
    return g


X = np.array([[1.0, 0.4, -1.0], [1.0, -2.1, 3.0]])
T = np.array([1.0, 1.0])
W = np.array([2.0, -3.6, 0.5])
TARGETS = pytest.mark.parametrize("target", ["numpy", "cpu", "cuda"])


@TARGETS
def test_the_lectures_numbers_for_one_sample(neuron, target):
    r = gg.compile(neuron, ["l"], wrt=["w"], target=target)(x=X[0], t=1.0, w=W)
    assert round(float(r["z"]), 4) == 0.06
    assert round(float(r["y"]), 4) == 0.5150
    assert round(float(r["l"]), 4) == 0.6636
    np.testing.assert_allclose(r.grad["w"], [-0.4850, -0.1940, 0.4850], atol=5e-5)
    assert np.shape(r["z"]) == ()
    assert r.grad["w"].shape == (3,)


@TARGETS
def test_a_batch_has_a_leading_axis_and_the_objective_has_none(neuron, target):
    r = gg.compile(neuron, ["J", "l"], wrt=["w", "x"], target=target)(x=X, t=T, w=W)
    np.testing.assert_allclose(r["z"], [0.06, 11.06], rtol=1e-12)
    assert round(float(r["y"][1]), 6) == 0.999984
    assert np.shape(r["J"]) == ()
    assert r.grad["w"].shape == (3,)
    assert r.grad["x"].shape == (2, 3)


@TARGETS
def test_the_gradient_of_a_loss_per_sample_is_per_sample(neuron, target):
    each = gg.compile(neuron, "l", wrt="w", target=target)(x=X, t=T, w=W).grad["w"]
    total = gg.compile(neuron, "J", wrt="w", target=target)(x=X, t=T, w=W).grad["w"]
    assert each.shape == (2, 3)
    np.testing.assert_allclose(each.sum(axis=0), total, rtol=1e-12)


def test_names_may_be_identifiers_nodes_or_tex(neuron):
    r = gg.compile(neuron, neuron.l, wrt=[neuron.w], target="numpy")(x=X, t=T, w=W)
    assert (r["l"] == r[neuron.l]).all()
    assert (r.grad["w"] == r.grad[neuron.w]).all()
    assert set(r.grad) == {"w"}


@TARGETS
def test_arrays_of_any_layout_and_kind_of_number_are_taken(neuron, target):
    f = gg.compile(neuron, "J", wrt="w", target=target)
    expected = f(x=X, t=T, w=W).grad["w"]
    frozen = W.copy()
    frozen.flags.writeable = False
    for x, t, w in (
        (np.repeat(X, 2, axis=0)[::2], [1, 1], frozen),
        (np.asfortranarray(X), np.array([True, True]), np.repeat(W, 2)[::2]),
        (X.tolist(), T.astype(np.int8), W.tolist()),
    ):
        np.testing.assert_allclose(f(x=x, t=t, w=w).grad["w"], expected, rtol=1e-12)


@TARGETS
def test_nan_and_infinity_go_through_and_nan_is_said(neuron, target):
    f = gg.compile(neuron, "l", wrt="w", target=target)
    with pytest.warns(gg.NotFiniteWarning, match=r"x holds NaN at sample 1, position 2"):
        r = f(x=np.array([[1.0, 0.0, 0.0], [1.0, 0.0, np.nan]]), t=T, w=W)
    assert np.isfinite(r["l"][0])
    assert np.isnan(r["l"][1])
    assert f(x=np.array([-np.inf, 0.0, 0.0]), t=0.0, w=W)["z"] == -np.inf


@pytest.mark.parametrize("value", [gg.sin, gg.relu, lambda x: gg.where(gg.equal(x, 1.0), x, 2.0), gg.step])
@pytest.mark.parametrize("shape", [(), (2,)])
def test_nan_among_very_many_samples_is_said_whether_or_not_it_shows_in_the_result(value, shape):
    with gg.Graph() as g:
        x = gg.input("x", *shape)
        g.J = gg.batch_sum(gg.sum(gg.square(value(x))))
    f, array = gg.compile(g, "J", keep=False), np.linspace(-1, 1, 2**18).reshape(-1, *shape)
    assert np.isfinite(f(x=array)["J"])  # and nothing is said
    array[2000] = np.nan
    for given in (array, np.asfortranarray(array)):
        with pytest.warns(gg.NotFiniteWarning, match="x holds NaN at sample 2000") as said:
            f(x=given)
        assert len(said) == 1


def test_one_compile_serves_every_number_of_samples(neuron):
    f = gg.compile(neuron, "J", wrt="w")
    source = f.source
    for samples in (1, 3, 50):
        f(x=np.ones((samples, 3)), t=np.ones(samples), w=W)
    assert f.source is source


def test_it_can_be_called_in_the_callers_own_compiled_code(neuron):
    f = gg.compile(neuron, "J", wrt="w")
    assert [leaf.op.name for leaf in f.inputs] == ["x", "t", "w"]
    inner = f.njit

    @numba.njit
    def descend(x, t, w, steps):
        for _ in range(steps):
            _, slope = inner(x, t, w)
            w = w - 0.1 * slope
        return w

    ours = descend(X, T, W, 3)
    w = W
    for _ in range(3):
        w = w - 0.1 * f(x=X, t=T, w=w).grad["w"]
    np.testing.assert_allclose(ours, w, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"outputs": "q"}, r"'q' is not a node of 'logistic neuron'"),
        ({"outputs": []}, r"name at least one output of 'logistic neuron'"),
        ({"outputs": "l", "target": "tpu"}, r"'tpu' is no target: there are numpy, cpu"),
        ({"outputs": "l", "dtype": "int8"}, r"'int8' is no dtype to compile for: there are float32, float64"),
        ({"outputs": "x", "wrt": "w"}, r"the gradient of x does not exist: it has the shape 3"),
        ({"outputs": "z", "wrt": "t"}, r"∂z/∂t does not exist: z = .* does not depend on t"),
    ],
)
def test_what_cannot_be_compiled_is_said(neuron, arguments, sentence):
    with pytest.raises(gg.GraphError, match=sentence):
        gg.compile(neuron, **arguments)


def test_what_was_not_asked_for_is_said(neuron):
    r = gg.compile(neuron, "y", target="numpy")(x=X, w=W)
    with pytest.raises(gg.NamingError, match=r"is not on the way to y: add it to the outputs"):
        r["l"]
    with pytest.raises(gg.NamingError, match=r"the gradient for w was not asked for"):
        r.grad["w"]


def test_results_stay_as_they_were_while_they_are_read_and_their_memory_is_taken_again_after():
    g = gg.networks.two_hidden_layers()
    f = gg.compile(g, "l")
    weights = {leaf.name.ident: np.full(leaf.shape, 0.3) for leaf in g.parameters}
    T = np.ones(40)
    first = f(x=np.ones((40, 2)), t=T, **weights)
    held, copy = first["A"], first["A"].copy()
    del first  # a view of one value holds all of them
    second = f(x=-np.ones((40, 2)), t=T, **weights)
    np.testing.assert_array_equal(held, copy)
    assert not np.shares_memory(held, second.memory)
    place = second.memory.ctypes.data
    del second
    assert f(x=np.ones((40, 2)), t=T, **weights).memory.ctypes.data == place


@pytest.mark.parametrize("samples", [1, 40])
def test_without_the_values_on_the_way_the_outputs_are_the_same(samples):
    g = gg.networks.two_hidden_layers()
    given = {leaf.name.ident: np.linspace(-1, 1, int(np.prod(leaf.shape))).reshape(leaf.shape) for leaf in g.parameters}
    given |= {"x": np.ones((samples, 2)), "t": np.ones(samples)}
    lean, full = (gg.compile(g, "l", wrt="W0", keep=keep)(**given) for keep in (False, True))
    np.testing.assert_allclose(lean["l"], full["l"], rtol=1e-14)
    np.testing.assert_allclose(lean.grad["W0"], full.grad["W0"], rtol=1e-13)
    with pytest.raises(
        gg.NamingError, match=r"A = W⁽⁰⁾x was not kept: add it to the outputs, or compile with keep=True"
    ):
        lean["A"]


def test_threads_that_ask_at_once_get_one_program():
    """Results are found by their instructions: two programs of one function would not know each other's."""
    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(10):
            with gg.Graph() as g:
                x, W = gg.input("x", 4), gg.param("W", 3, 4)
                g.l = gg.sum(gg.tanh(W @ x))
            f, together = gg.compile(g, "l", wrt="W"), threading.Barrier(4)

            def ask(f=f, together=together):
                together.wait()
                return f.program

            with ThreadPoolExecutor(4) as pool:
                found = [asked.result() for asked in [pool.submit(ask) for _ in range(4)]]
            assert all(program is found[0] for program in found)
    finally:
        sys.setswitchinterval(switching)
