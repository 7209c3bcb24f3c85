"""The networks that the drawing tests draw, with their values and gradients by the reference."""

from __future__ import annotations

import numpy as np

import graphgrad as gg
from graphgrad.calculus.gradient import sweep
from graphgrad.ops.reference import evaluate


def lecture():
    with gg.Graph("two hidden layers") as g:
        x, t = gg.input("x", 2), gg.input("t")
        W0, W1, w = gg.param("W^{[0]}", 3, 2), gg.param("W^{[1]}", 3, 3), gg.param("w", 3)
        g.A = W0 @ x
        g.B = gg.sigmoid(g.A)
        g.C = W1 @ g.B
        g.D = gg.sigmoid(g.C)
        g.E = w @ g.D
        g.y = gg.sigmoid(g.E)
        g.l = gg.binary_cross_entropy(g.y, t)
    return g


def with_objective():
    g = lecture()
    with g:
        g.J = gg.batch_sum(g.l) + 0.01 * gg.l2(g.W0, g.W1, g.w)
    return g


def deep(layers=3, width=3, title="deep"):
    with gg.Graph(title) as g:
        h, t = gg.input("x", 2), gg.input("t")
        for k in range(layers):
            with g.group(f"Layer {k + 1}"):
                W, b = gg.param(f"W{k}", width, h.shape[0]), gg.param(f"b{k}", width)
                g[f"z{k}"] = W @ h + b
                g[f"h{k}"] = gg.tanh(g[f"z{k}"])
                h = g[f"h{k}"]
        g.E = gg.param("w", width) @ h
        g.l = gg.binary_cross_entropy(gg.sigmoid(g.E), t)
    return g


def random_arrays(g, samples=1, seed=0):
    draw = np.random.default_rng(seed)
    return {
        node: draw.uniform(0, 1, ((samples, *node.shape) if node.per_sample else node.shape))
        for node in g.nodes
        if node.kind in ("input", "parameter")
    }


def computed(g, of, arrays, samples=1):
    """The values of all nodes, and the gradients of `of` by all nodes."""
    gradients = sweep(g[of])
    values = evaluate([*g.nodes, *gradients.values()], arrays, samples)
    return {node: values[node] for node in g.nodes}, {node: values[gradient] for node, gradient in gradients.items()}
