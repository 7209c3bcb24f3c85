"""Threads that share a step: the same numbers, the same bits again, from several Python threads and after a fork."""

import multiprocessing
import threading

import numba
import numpy as np
import pytest

import graphgrad as gg
from graphgrad import networks
from graphgrad.runtime import team

random = np.random.default_rng(13)
SAMPLES = 2_000 if numba.config.DISABLE_JIT else 200_000  # without a compiler, one thread makes each step, slowly
X, T = random.normal(size=(SAMPLES, 2)), random.integers(0, 2, SAMPLES).astype(float)


@pytest.fixture
def threads():
    """Sets how many threads share a step, and resets it in the end."""
    before = gg.num_threads()
    yield gg.set_num_threads
    gg.set_num_threads(before)


@pytest.fixture(scope="module")
def function():
    g = networks.two_hidden_layers()
    return gg.compile(g, "l", wrt=["W0", "W1", "w"]), {
        leaf.op.name: random.normal(size=leaf.shape) for leaf in g.parameters
    }


def trained(function, steps=4):
    f, weights = function
    step = f.bind(optimizer=gg.SGD(1e-4), **weights)
    losses = [step(X, T) for _ in range(steps)]
    return losses, step.params


def test_the_work_is_large_enough_to_be_shared():
    alone = gg.num_threads() == 1 or numba.config.DISABLE_JIT or numba.config.BOUNDSCHECK
    assert team.threads_for(63 * SAMPLES) > 1 or alone


@pytest.mark.parametrize("count", [2, 3])
def test_threads_change_rounding_and_nothing_else(function, threads, count):
    threads(1)
    losses, params = trained(function)
    threads(count)
    shared_losses, shared_params = trained(function)
    np.testing.assert_allclose(shared_losses, losses, rtol=1e-12)
    for name, array in params.items():
        np.testing.assert_allclose(shared_params[name], array, rtol=1e-10)
    again_losses, again_params = trained(function)
    assert again_losses == shared_losses
    for name, array in shared_params.items():
        np.testing.assert_array_equal(again_params[name], array)


def test_the_compiled_loop_is_shared_too(function, threads):
    f, weights = function
    threads(2)
    one, loop = (f.bind(optimizer=gg.SGD(1e-4), **weights) for _ in range(2))
    losses = [one(X, T) for _ in range(5)]
    np.testing.assert_array_equal(loop.run((X, T), 5), losses)


def layers():
    """Two layers made by products, with a penalty, whose sums and updates the threads divide."""
    weights = {"W1": random.normal(size=(96, 80)) / 9, "b": np.zeros(96), "W2": random.normal(size=(64, 96)) / 9}
    with gg.Graph("layers") as g:
        x, t = gg.input("x", 80), gg.input("t", 64)
        W1, b, W2 = (gg.param(name, *array.shape) for name, array in weights.items())
        g.y = W2 @ gg.relu(W1 @ x + b)
        g.J = gg.batch_mean(gg.squared_error(g.y, t)) + 1e-2 * gg.l2(W1, W2)
    return gg.compile(g, "J", wrt=list(weights)), weights


@pytest.mark.parametrize("optimizer", [gg.SGD(1e-3), gg.SGD(1e-3, momentum=0.9), gg.Adam(1e-3)], ids=repr)
def test_threads_that_wait_only_where_they_have_to_are_never_too_early(threads, optimizer):
    f, weights = layers()
    X, T = random.normal(size=(2048, 80)), random.normal(size=(2048, 64))

    def trained(count):
        threads(count)
        step = f.bind(optimizer=optimizer, **weights)
        return step.run((X, T), 40, 512), step.params

    losses, params = trained(1)
    for count in (2, 3, 3, 5):
        found, changed = trained(count)
        np.testing.assert_allclose(found, losses, rtol=1e-12)
        for name, array in params.items():
            np.testing.assert_allclose(changed[name], array, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_sums_over_the_samples_may_be_read_in_another_shape(threads, count):
    threads(count)
    X, w = random.normal(size=(SAMPLES // 2, 2, 3)), random.normal(size=(3, 2))
    with gg.Graph("flat") as g:
        x, W = gg.input("x", 2, 3), gg.param("w", 3, 2)
        g.S = gg.batch_sum(gg.square(x))
        g.J = gg.sum(gg.square(gg.reshape(g.S, (3, 2)) * W))
    step = gg.compile(g, "J", wrt="w").bind(w=w, optimizer=gg.SGD(0.0))
    assert step(X) == pytest.approx(np.sum(((X**2).sum(0).reshape(3, 2) * w) ** 2))


def test_python_threads_may_step_at_once(function, threads):
    threads(2)
    expected, _ = trained(function)
    found = []
    callers = [threading.Thread(target=lambda: found.append(trained(function)[0])) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [expected] * 4


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_starts_threads_of_its_own(function, threads):
    threads(2)
    expected, _ = trained(function)
    receiver, sender = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=lambda: sender.send(trained(function)[0]))
    child.start()
    assert receiver.poll(60)
    assert receiver.recv() == expected
    child.join()


@pytest.mark.parametrize("count", [0, -1, 2.0, True, "2"])
def test_a_number_of_threads_that_is_none_is_said(count):
    with pytest.raises(gg.GraphError, match="set_num_threads takes a whole number from 1 on, not"):
        gg.set_num_threads(count)


def two_large_layers():
    """With a penalty: products that wait for each other, for scalars, and for nothing; and where its weights start."""
    with gg.Graph() as g:
        x, W, V = gg.input("x", 90), gg.param("W", 81, 90), gg.param("V", 70, 81)
        g.A = gg.relu(W @ x)
        g.J = gg.batch_mean(gg.sum((V @ g.A) ** 2)) + 0.1 * gg.l2(W, V)
    return g, {"W": random.normal(size=(81, 90)) * 0.1, "V": random.normal(size=(70, 81)) * 0.1}


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_function_of_large_products_is_shared(threads, count):
    g, start = two_large_layers()
    f, samples = gg.compile(g, "J", wrt=["W", "V"]), random.normal(size=(601, 90))
    threads(count)
    r, W, V = f(x=samples, **start), start["W"], start["V"]
    A = np.maximum(samples @ W.T, 0)
    slope = 2 / len(samples) * A @ V.T
    np.testing.assert_allclose(r["A"], A, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(r["J"], ((A @ V.T) ** 2).sum(1).mean() + 0.1 * ((W**2).sum() + (V**2).sum()))
    np.testing.assert_allclose(r.grad["V"], slope.T @ A + 0.2 * V, rtol=1e-10)
    np.testing.assert_allclose(r.grad["W"], (slope @ V * (A > 0)).T @ samples + 0.2 * W, rtol=1e-10)


@pytest.mark.parametrize("count", [2, 3])
def test_matrix_products_are_shared_by_rows(threads, count):
    g, start = two_large_layers()
    f, samples = gg.compile(g, "J", wrt=["W", "V"]), random.normal(size=(601, 90))
    assert f.bind(optimizer=gg.SGD(1e-3), **start).source.count("share_of_product(") == 5

    def run():
        step = f.bind(optimizer=gg.SGD(1e-3), **start)
        return [step(samples) for _ in range(3)], {name: array.copy() for name, array in step.params.items()}

    threads(1)
    losses, params = run()
    threads(count)
    shared_losses, shared = run()
    np.testing.assert_allclose(shared_losses, losses, rtol=1e-12)
    again_losses, again = run()
    assert again_losses == shared_losses
    for name, array in params.items():
        np.testing.assert_allclose(shared[name], array, rtol=1e-10, atol=1e-13)
        np.testing.assert_array_equal(again[name], shared[name])
