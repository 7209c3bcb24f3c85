"""Where training begins: weights drawn from Glorot's uniform distribution, biases zero, from a seed."""

from __future__ import annotations

import math

import numpy as np

from graphgrad.graph import Graph, Node
from graphgrad.graph.data import Array
from graphgrad.ops import add, subtract


def initial(graph: Graph, seed: int = 0) -> dict[str, Array]:
    """An array for each parameter, by identifier: U(-a, a) with a = √(6 / (fan in + fan out)), and 0 for a bias.

    A bias is a parameter that is only ever added. Each parameter draws from the seed and its own name, so that it
    stays as it is when others are added. Source: Glorot and Bengio, Understanding the difficulty of training deep
    feedforward neural networks, 2010.
    """
    biases = _biases(graph)
    return {node.op.name: _draw(node, seed, node in biases) for node in graph.parameters}


def _draw(node: Node, seed: int, bias: bool) -> Array:
    if bias:
        return np.zeros(node.shape)
    fan_out, fan_in = (node.shape[0], math.prod(node.shape[1:])) if len(node.shape) > 1 else (1, math.prod(node.shape))
    reach = math.sqrt(6 / (fan_in + fan_out))
    generator = np.random.default_rng([seed, *node.op.name.encode()])
    return np.asarray(generator.uniform(-reach, reach, node.shape))


def _biases(graph: Graph) -> set[Node]:
    uses: dict[Node, list[bool]] = {}
    for node in graph.nodes:
        for operand in node.inputs:
            if operand.kind == "parameter":
                uses.setdefault(operand, []).append(node.op in (add, subtract))
    return {node for node, added in uses.items() if all(added)}
