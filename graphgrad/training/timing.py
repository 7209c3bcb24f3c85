"""How long a training step of a network takes: the first one, which compiles it, and those after it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphgrad.graph import Graph, Node, ancestors
from graphgrad.graph.data import Array
from graphgrad.graph.domain import Domain, expected
from graphgrad.runtime.function import compile
from graphgrad.training.initial import initial
from graphgrad.training.optimizers import SGD

ROUNDS, SECONDS = 7, 0.05


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of the first step on so many samples, with what had to be compiled for it, and the median of later ones."""

    samples: int
    first: float
    step: float


def drawn(graph: Graph, of: Node, samples: int, seed: int = 0) -> dict[str, Array]:
    """Samples drawn at random for the inputs of a node: normal ones, and labels where labels are expected."""
    generator = np.random.default_rng(seed)
    order = ancestors(of)
    asked = expected(order)
    arrays = {}
    for node in graph.inputs:
        if node in order:
            domains = [domain for _, domain in asked.get(node, ())]
            arrays[node.op.name] = _values(generator, (samples, *node.shape), domains)
    return arrays


def _values(generator: np.random.Generator, shape: tuple[int, ...], domains: Sequence[Domain]) -> Array:
    if not domains:
        return generator.normal(size=shape)
    low, high = max(domain.low for domain in domains), min(domain.high for domain in domains)
    if any(domain.ends for domain in domains):
        return np.where(generator.random(shape) < 0.5, low, high)
    if any(domain.whole for domain in domains):
        return generator.integers(int(low), int(min(high, low + 2**31)), shape, endpoint=True).astype(float)
    return generator.uniform(low, high, shape)


def timed(
    graph: Graph, of: Node, samples: Sequence[int], dtype: str = "float32", params: Mapping[str, Any] | None = None
) -> list[Timing]:
    """The timings of a step of plain descent, on each of these numbers of samples."""
    start = {**initial(graph), **(params or {})}
    needed = ancestors(of)
    trained = [node for node in graph.parameters if node in needed]
    function = compile(graph, of, wrt=trained, dtype=dtype, keep=False)
    own = {node.op.name: start[node.op.name] for node in trained}
    step = function.bind(optimizer=SGD(1e-6), **own)
    found = []
    for count in samples:
        data = [array.astype(dtype) for array in drawn(graph, of, count).values()]
        begin = time.perf_counter()
        step(*data)
        first, rounds = time.perf_counter() - begin, []
        for _ in range(ROUNDS):
            steps, begin = 0, time.perf_counter()
            while time.perf_counter() - begin < SECONDS:
                step(*data)
                steps += 1
            rounds.append((time.perf_counter() - begin) / steps)
        found.append(Timing(count, first, statistics.median(rounds)))
    return found
