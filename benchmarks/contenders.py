"""Each contender's training step of a workload: forward, gradients and descent, by Adam in the workload of that name; a step
returns the loss before it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from workloads import PENALTY, RATE, Workload

Step = Callable[[], float]
ADAM_RATE, BETA1, BETA2, EPSILON = 1e-3, 0.9, 0.999, 1e-8


def graphgrad(workload: str, load: Workload, threads: int) -> Step:
    """The bound step, and its compiled loop."""
    import graphgrad as gg

    gg.set_num_threads(threads)
    weights = dict(load.weights)
    with gg.Graph(load.name) as g:
        x, t = gg.input("x", *load.arrays["x"].shape[1:]), gg.input("t")
        if workload.startswith(("lecture", "loop")):
            W0, W1, w = (gg.param(name, *weights[name].shape) for name in ("W0", "W1", "w"))
            g.y = gg.sigmoid(w @ gg.sigmoid(W1 @ gg.sigmoid(W0 @ x)))
            g.J = gg.batch_sum(gg.binary_cross_entropy(g.y, t))
        else:
            h, penalty = x, None
            for k in (1, 2, 3):
                if f"K{k}" in weights:
                    weights[f"b{k}"] = weights[f"b{k}"].reshape(-1, 1, 1)
                    K, b = (gg.param(name, *weights[name].shape) for name in (f"K{k}", f"b{k}"))
                    h = gg.max_pool(gg.relu(gg.conv(h, K, padding=int(workload == "cnn")) + b), 2)
                elif f"W{k}" in weights:
                    W, b = (gg.param(name, *weights[name].shape) for name in (f"W{k}", f"b{k}"))
                    h = W @ h + b if k == 3 else gg.relu(W @ h + b)
            if "W" in weights:
                W, b = gg.param("W", *weights["W"].shape), gg.param("b", 10)
                h = W @ gg.flatten(h) + b
            else:
                penalty = gg.l2(*(g[f"W{k}"] for k in (1, 2, 3)))
            g.J = gg.batch_mean(gg.cross_entropy_with_logits(h, t))
            if penalty is not None:
                g["J2"] = g.J + float(PENALTY) * penalty
    objective = g.outputs[-1]
    rule = gg.Adam(ADAM_RATE) if workload == "adam" else gg.SGD(float(RATE))
    step = gg.compile(g, objective, wrt=list(weights), dtype="float32").bind(**weights, optimizer=rule)
    X, T = load.arrays["x"], load.arrays["t"]
    if load.loop:
        return lambda: float(step.run((X, T), load.loop)[-1])
    return lambda: step(X, T)


def torch(workload: str, load: Workload, threads: int) -> Step:
    """PyTorch, eager, channels last for images."""
    import torch as th

    th.set_num_threads(threads)
    F = th.nn.functional
    w = {name: th.from_numpy(array.copy()).requires_grad_() for name, array in load.weights.items()}
    x, t = th.from_numpy(load.arrays["x"]), th.from_numpy(load.arrays["t"])
    if x.dim() == 4:
        x = x.contiguous(memory_format=th.channels_last)
    labels = t.long()
    descent = th.optim.SGD(list(w.values()), lr=float(RATE))
    if workload == "adam":
        descent = th.optim.Adam(list(w.values()), lr=ADAM_RATE, fused=True)

    def loss() -> Any:
        if workload.startswith("lecture"):
            score = th.sigmoid(th.sigmoid(x @ w["W0"].T) @ w["W1"].T) @ w["w"]
            return F.binary_cross_entropy_with_logits(score, t, reduction="sum")
        h = x
        for k in (1, 2, 3):
            if f"K{k}" in w:
                h = F.max_pool2d(F.relu(F.conv2d(h, w[f"K{k}"], w[f"b{k}"], padding=int(workload == "cnn"))), 2)
            elif f"W{k}" in w:
                h = F.linear(h, w[f"W{k}"], w[f"b{k}"])
                h = h if k == 3 else F.relu(h)
        if "W" in w:
            return F.cross_entropy(F.linear(h.flatten(1), w["W"], w["b"]), labels)
        return F.cross_entropy(h, labels) + float(PENALTY) * sum((w[f"W{k}"] ** 2).sum() for k in (1, 2, 3))

    def step() -> float:
        descent.zero_grad()
        value = loss()
        value.backward()
        descent.step()
        return float(value.item())

    return step


def jax(workload: str, load: Workload, threads: int) -> Step:
    """JAX, one jitted step; for the compiled loop, a scan."""
    import jax as jx
    import jax.numpy as jnp

    x, t = jnp.asarray(load.arrays["x"]), jnp.asarray(load.arrays["t"])

    def cross_entropy(z: Any, t: Any) -> Any:
        picked = jnp.take_along_axis(jx.nn.log_softmax(z), t.astype(jnp.int32)[:, None], 1)
        return -picked.mean()

    def loss(w: Any, x: Any, t: Any) -> Any:
        if workload.startswith(("lecture", "loop")):
            score = jx.nn.sigmoid(jx.nn.sigmoid(x @ w["W0"].T) @ w["W1"].T) @ w["w"]
            return jnp.sum(jx.nn.softplus(score) - t * score)
        h = x
        for k in (1, 2, 3):
            if f"K{k}" in w:
                pad = "SAME" if workload == "cnn" else "VALID"
                h = jx.lax.conv_general_dilated(h, w[f"K{k}"], (1, 1), pad, dimension_numbers=("NCHW", "OIHW", "NCHW"))
                h = jx.nn.relu(h + w[f"b{k}"][:, None, None])
                h = jx.lax.reduce_window(h, -jnp.inf, jx.lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
            elif f"W{k}" in w:
                h = h @ w[f"W{k}"].T + w[f"b{k}"]
                h = h if k == 3 else jx.nn.relu(h)
        if "W" in w:
            return cross_entropy(h.reshape(len(h), -1) @ w["W"].T + w["b"], t)
        return cross_entropy(h, t) + PENALTY * sum((w[f"W{k}"] ** 2).sum() for k in (1, 2, 3))

    def update(w: Any, x: Any, t: Any) -> Any:
        value, gradient = jx.value_and_grad(loss)(w, x, t)
        return value, jx.tree.map(lambda a, g: a - RATE * g, w, gradient)

    state = {"w": {name: jnp.asarray(array) for name, array in load.weights.items()}}
    if load.loop:

        def body(w: Any, _: Any) -> Any:
            value, w = update(w, x, t)
            return w, value

        many = jx.jit(lambda w: jx.lax.scan(body, w, None, load.loop))

        def loop() -> float:
            state["w"], values = many(state["w"])
            return float(values[-1])

        return loop

    if workload == "adam":

        def adam(w: Any, m: Any, v: Any, count: Any, x: Any, t: Any) -> Any:
            value, g = jx.value_and_grad(loss)(w, x, t)
            m = jx.tree.map(lambda m, g: BETA1 * m + (1 - BETA1) * g, m, g)
            v = jx.tree.map(lambda v, g: BETA2 * v + (1 - BETA2) * g * g, v, g)
            first, second = 1 - BETA1**count, 1 - BETA2**count
            moved = jx.tree.map(lambda a, m, v: a - ADAM_RATE * (m / first) / (jnp.sqrt(v / second) + EPSILON), w, m, v)
            return value, moved, m, v, count + 1

        zeros = jx.tree.map(jnp.zeros_like, state["w"])
        state |= {"m": zeros, "v": zeros, "count": jnp.float32(1)}
        by_adam = jx.jit(adam)

        def adam_step() -> float:
            value, *new = by_adam(*state.values(), x, t)
            state.update(zip(state, new, strict=True))
            return float(value)

        return adam_step
    compiled = jx.jit(update)

    def step() -> float:
        value, state["w"] = compiled(state["w"], x, t)
        return float(value)

    return step


def pytensor(workload: str, load: Workload, threads: int) -> Step:
    """PyTensor, shared parameters, its Numba mode."""
    import pytensor as pn
    import pytensor.tensor as pt

    x, t = pt.fmatrix("x"), pt.fvector("t")
    w = {name: pn.shared(array.copy(), name) for name, array in load.weights.items()}
    if workload.startswith("lecture"):
        score = pt.sigmoid(pt.sigmoid(x @ w["W0"].T) @ w["W1"].T) @ w["w"]
        value = (pt.softplus(score) - t * score).sum()
    else:
        h = x
        for k in (1, 2, 3):
            h = h @ w[f"W{k}"].T + w[f"b{k}"]
            h = h if k == 3 else pt.maximum(h, np.float32(0))
        logs = h - pt.logsumexp(h, axis=1, keepdims=True)
        value = -logs[pt.arange(h.shape[0]), t.astype("int64")].mean()
        value = value + PENALTY * sum((w[f"W{k}"] ** 2).sum() for k in (1, 2, 3))
    shared = list(w.values())
    slopes = pn.grad(value, shared)
    updates = [(a, (a - RATE * g).astype("float32")) for a, g in zip(shared, slopes, strict=True)]
    update = pn.function([x, t], value.astype("float32"), updates=updates, mode="NUMBA")
    X, T = load.arrays["x"], load.arrays["t"]
    return lambda: float(update(X, T))
