"""One training step of the lecture's network, in graphgrad and its peers: interleaved, equal losses checked.

Prints the median time of a step called from Python, its ratio to the best peer with the spread over the rounds, and
what a new process takes to its first step; writes the same to benchmarks/results.json. A peer that is not installed is
left out.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROUNDS = 15
SECONDS = 0.05  # how long one contender runs in one round
RATE = 0.1
STEPS_COMPARED = 20

generator = np.random.default_rng(0)
WEIGHTS = {
    "W0": generator.normal(size=(3, 2)).astype("float32"),
    "W1": generator.normal(size=(3, 3)).astype("float32"),
    "w": generator.normal(size=3).astype("float32"),
}


def samples(count):
    return generator.normal(size=(count, 2)).astype("float32"), (generator.random(count) > 0.5).astype("float32")


def graphgrad_step(X, T):
    """The bound step: parameters inside, loss back."""
    import graphgrad as gg

    with gg.Graph("two hidden layers") as g:
        x, t = gg.input("x", 2), gg.input("t")
        W0, W1, w = gg.param("W0", 3, 2), gg.param("W1", 3, 3), gg.param("w", 3)
        g.y = gg.sigmoid(w @ gg.sigmoid(W1 @ gg.sigmoid(W0 @ x)))
        g.J = gg.batch_sum(gg.binary_cross_entropy(g.y, t))
    step = gg.compile(g, "J", wrt=["W0", "W1", "w"], dtype="float32").bind(**WEIGHTS, optimizer=gg.SGD(RATE))
    return lambda: step(X, T)


def torch_step(X, T):
    """PyTorch, eager, with its own SGD."""
    import torch

    torch.set_num_threads(1)
    x, t = torch.from_numpy(X), torch.from_numpy(T)
    W0, W1, w = (torch.from_numpy(array.copy()).requires_grad_() for array in WEIGHTS.values())
    descent = torch.optim.SGD([W0, W1, w], lr=RATE)

    def step():
        score = torch.sigmoid(torch.sigmoid(x @ W0.T) @ W1.T) @ w
        loss = torch.nn.functional.binary_cross_entropy_with_logits(score, t, reduction="sum")
        descent.zero_grad()
        loss.backward()
        descent.step()
        return loss.item()

    return step


def jax_step(X, T):
    """JAX, one jitted step with the parameters donated."""
    import jax
    import jax.numpy as jnp

    def loss(weights, x, t):
        score = jax.nn.sigmoid(jax.nn.sigmoid(x @ weights["W0"].T) @ weights["W1"].T) @ weights["w"]
        return jnp.sum(jax.nn.softplus(score) - t * score)

    @jax.jit
    def update(weights, x, t):
        value, gradient = jax.value_and_grad(loss)(weights, x, t)
        return value, jax.tree.map(lambda a, g: a - RATE * g, weights, gradient)

    state = {"weights": jax.tree.map(jnp.asarray, WEIGHTS)}

    def step():
        value, state["weights"] = update(state["weights"], X, T)
        return float(value)

    return step


def pytensor_step(X, T):
    """PyTensor, shared parameters, its Numba mode."""
    import pytensor
    import pytensor.tensor as pt

    x, t = pt.fmatrix("x"), pt.fvector("t")
    shared = [pytensor.shared(array.copy(), name) for name, array in WEIGHTS.items()]
    W0, W1, w = shared
    score = pt.sigmoid(pt.sigmoid(x @ W0.T) @ W1.T) @ w
    loss = (pt.softplus(score) - t * score).sum()
    gradients = pytensor.grad(loss, shared)
    updates = [(a, (a - np.float32(RATE) * g).astype("float32")) for a, g in zip(shared, gradients, strict=True)]
    update = pytensor.function([x, t], loss, updates=updates, mode="NUMBA")
    return lambda: float(update(X, T))


CONTENDERS = {
    "graphgrad, bound step": graphgrad_step,
    "torch, eager": torch_step,
    "jax, jit": jax_step,
    "pytensor, numba": pytensor_step,
}


def timed(step):
    """Seconds of one call, over about SECONDS of calls."""
    count, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < SECONDS:
        for _ in range(20):
            step()
        count += 20
    return spent / count


def compare(count):
    """The contenders on `count` samples: their times by round, after their losses were found equal."""
    X, T = samples(count)
    steps, losses = {}, {}
    for name, make in CONTENDERS.items():
        try:
            steps[name] = make(X, T)
        except ImportError as missing:
            print(f"  {name}: left out, {missing}")
            continue
        losses[name] = [float(steps[name]()) for _ in range(STEPS_COMPARED)]
    reference = next(iter(losses.values()))
    for name, found in losses.items():
        assert np.allclose(found, reference, rtol=1e-4), f"{name} computes other losses"
    times = {name: [] for name in steps}
    for _ in range(ROUNDS):
        for name, step in steps.items():
            times[name].append(timed(step))
    return times


def report(count):
    print(f"\nlecture's network, {count} sample{'s' * (count != 1)}, float32, one training step from Python")
    times = compare(count)
    peers = [name for name in times if not name.startswith("graphgrad")]
    rows = []
    for name, rounds in times.items():
        median = statistics.median(rounds)
        row = {"workload": f"lecture, {count}", "contender": name, "median_us": median * 1e6}
        line = f"  {name:<24}{median * 1e6:9.2f} µs"
        if peers and name not in peers:
            ratios = [own / min(times[peer][k] for peer in peers) for k, own in enumerate(rounds)]
            row |= {"ratio": statistics.median(ratios), "ratio_least": min(ratios), "ratio_most": max(ratios)}
            line += f"   {row['ratio']:.3f} of the best peer ({row['ratio_least']:.3f} to {row['ratio_most']:.3f})"
        rows.append(row)
        print(line)
    return rows


def by_keyword():
    """A call with every array by keyword, float64: forward, loss, all gradients; nothing is updated."""
    import graphgrad as gg

    with gg.Graph("two hidden layers") as g:
        x, t = gg.input("x", 2), gg.input("t")
        W0, W1, w = gg.param("W0", 3, 2), gg.param("W1", 3, 3), gg.param("w", 3)
        g.y = gg.sigmoid(w @ gg.sigmoid(W1 @ gg.sigmoid(W0 @ x)))
        g.l = gg.binary_cross_entropy(g.y, t)
    f = gg.compile(g, "l", wrt=["W0", "W1", "w"])
    arrays = {name: array.astype("float64") for name, array in WEIGHTS.items()}
    arrays |= {"x": np.array([0.4, -1.0]), "t": np.array(1.0)}
    times = [timed(lambda: f(**arrays)) for _ in range(ROUNDS)]
    median = statistics.median(times)
    print(
        f"\na call with every array by keyword, 1 sample, float64: {median * 1e6:.2f} µs (least {min(times) * 1e6:.2f})"
    )
    return [
        {"workload": "by keyword, 1", "contender": "graphgrad", "median_us": median * 1e6, "least_us": min(times) * 1e6}
    ]


FIRST = """
import time
start = time.perf_counter()
import graphgrad as gg
imported = time.perf_counter()
import numba
numba_imported = time.perf_counter()
with gg.Graph("two hidden layers") as g:
    x, t = gg.input("x", 2), gg.input("t")
    W0, W1, w = gg.param("W0", 3, 2), gg.param("W1", 3, 3), gg.param("w", 3)
    g.y = gg.sigmoid(w @ gg.sigmoid(W1 @ gg.sigmoid(W0 @ x)))
    g.l = gg.binary_cross_entropy(g.y, t)
f = gg.compile(g, "l", wrt=["W0", "W1", "w"])
f(x=[0.4, -1.0], t=1.0, W0=[[.1, .2]] * 3, W1=[[.1, .2, .3]] * 3, w=[.1, .2, .3])
print(imported - start, numba_imported - imported, time.perf_counter() - numba_imported)
"""


def first_call():
    print("\na new process: import graphgrad, import numba, then the first call with all gradients")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for cache in ("empty", "filled", "filled", "filled"):
            environment = {**os.environ, "GRAPHGRAD_CACHE_DIR": folder}
            done = subprocess.run(
                [sys.executable, "-c", FIRST], env=environment, capture_output=True, text=True, check=True
            )
            own, numba, call = map(float, done.stdout.split())
            rows.append({"workload": f"first call, cache {cache}", "import": own, "numba": numba, "call": call})
            print(f"  cache {cache:<8} {own:6.3f} s {numba:6.3f} s {call:6.3f} s")
    return rows


def main():
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    rows = first_call() + by_keyword() + report(1) + report(32)
    result = {
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "rows": rows,
    }
    target = Path(__file__).with_name("results.json")
    target.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(f"\n{target}")


if __name__ == "__main__":
    main()
