"""What is timed: data and first weights of each workload, the same numbers for every contender."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

RATE = np.float32(0.01)
PENALTY = np.float32(1e-4)


@dataclass(frozen=True)
class Start:
    """What is asked of a first step: at most so many seconds on a machine on which JAX takes so many."""

    asked: float
    jax: float


@dataclass(frozen=True)
class Workload:
    """One row of the table: its arrays by name, how it is called, and the most that is asked of its ratio to the peers."""

    name: str
    arrays: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    asked: dict[int, float]
    loop: int = 0  # steps in one call, inside of compiled code; 0 where each is called from Python
    peers: tuple[str, ...] = ("torch", "jax", "pytensor")
    dtype: str = "float32"
    trains: bool = True  # else it is a value with its gradients
    starts: tuple[Start, Start] | None = None  # with an empty cache, and from a filled one


def lecture(samples: int, loop: int = 0) -> Workload:
    random = np.random.default_rng(0)
    arrays = {"x": random.normal(size=(samples, 2)), "t": (random.random(samples) < 0.5).astype(float)}
    weights = {"W0": random.normal(size=(3, 2)), "W1": random.normal(size=(3, 3)), "w": random.normal(size=3)}
    asked = (1.0 if samples == 1 else 0.15) if loop else 0.15
    name = f"lecture's network, {samples} sample{'s' * (samples > 1)}{', compiled loop' if loop else ''}"
    peers = ("jax",) if loop else ("torch", "jax", "pytensor")
    starts = None if loop else (Start(0.7, 0.27), Start(0.3, 0.09))
    return Workload(name, arrays, weights, {1: asked}, loop, peers, starts=starts)


def mlp() -> Workload:
    random = np.random.default_rng(1)
    arrays = {"x": random.normal(size=(256, 784)), "t": random.integers(0, 10, 256)}
    weights: dict[str, Any] = {}
    for k, (before, after) in enumerate(((784, 512), (512, 512), (512, 10)), 1):
        weights[f"W{k}"] = random.normal(size=(after, before)) * np.sqrt(2 / before)
        weights[f"b{k}"] = np.zeros(after)
    starts = Start(1.5, 0.48), Start(0.3, 0.18)
    return Workload("MLP 784-512-512-10, batch 256", arrays, weights, {1: 1.0, 2: 1.0}, starts=starts)


def adam() -> Workload:
    """The same with Adam, whose rule goes over weights and state once more."""
    return replace(mlp(), name="MLP as above, with Adam", peers=("torch", "jax"), starts=None)


def _filters(random: np.random.Generator, after: int, before: int, side: int) -> np.ndarray:
    return random.normal(size=(after, before, side, side)) * np.sqrt(2 / (before * side * side))


def lenet() -> Workload:
    random = np.random.default_rng(2)
    arrays = {"x": random.normal(size=(128, 1, 28, 28)), "t": random.integers(0, 10, 128)}
    weights = {"K1": _filters(random, 8, 1, 5), "b1": np.zeros(8), "K2": _filters(random, 16, 8, 5), "b2": np.zeros(16)}
    weights |= {"W": random.normal(size=(10, 256)) * 0.06, "b": np.zeros(10)}
    starts = Start(2.5, 0.98), Start(0.3, 0.20)
    return Workload("LeNet, batch 128", arrays, weights, {1: 0.3, 2: 0.25}, peers=("torch", "jax"), starts=starts)


def cnn() -> Workload:
    random = np.random.default_rng(3)
    arrays = {"x": random.normal(size=(64, 3, 32, 32)), "t": random.integers(0, 10, 64)}
    weights = {}
    for k, (before, after) in enumerate(((3, 32), (32, 64), (64, 64)), 1):
        weights[f"K{k}"], weights[f"b{k}"] = _filters(random, after, before, 3), np.zeros(after)
    weights |= {"W": random.normal(size=(10, 1024)) * 0.03, "b": np.zeros(10)}
    starts = Start(3.0, 1.30), Start(0.3, 0.25)
    return Workload("CNN 32x32x3, batch 64", arrays, weights, {1: 0.5, 2: 0.5}, peers=("torch", "jax"), starts=starts)


LENGTHS = [(10 + k) / 20 for k in range(18)]
TARGET = (1.0, 2.0)


def chain(dtype: str, asked: float) -> Workload:
    random = np.random.default_rng(4)
    arrays = {"x": random.normal(size=10_000_000), "a": np.array(0.7), "b": np.array(0.1)}
    name = f"sum(tanh(ax + b) sigmoid(x)² exp(-x²)) and 3 gradients, 10 M {dtype}"
    return Workload(name, arrays, {}, {1: asked}, 0, ("torch", "inductor", "jax", "pytensor"), dtype, False)


def arm() -> Workload:
    arrays = {"x": np.random.default_rng(5).normal(size=len(LENGTHS))}
    name = "robot arm, cost and 18 partials of a SymPy expression, float64"
    return Workload(name, arrays, {}, {1: 0.05}, 0, ("jax", "pytensor"), "float64", False)


def valley() -> Workload:
    arrays = {"x": np.random.default_rng(6).normal(size=1000)}
    name = "Rosenbrock, n = 1000, gradient, from an indexed sum, float64"
    return Workload(name, arrays, {}, {1: 0.2}, 0, ("torch", "jax", "pytensor"), "float64", False)


WORKLOADS: dict[str, Callable[[], Workload]] = {
    "lecture1": lambda: lecture(1),
    "lecture32": lambda: lecture(32),
    "loop1": lambda: lecture(1, loop=2000),
    "loop32": lambda: lecture(32, loop=2000),
    "mlp": mlp,
    "adam": adam,
    "lenet": lenet,
    "cnn": cnn,
    "chain32": lambda: chain("float32", 0.2),
    "chain64": lambda: chain("float64", 0.3),
    "arm": arm,
    "valley": valley,
}


def made(name: str) -> Workload:
    """A workload by name, its numbers in its precision."""
    found = WORKLOADS[name]()
    for arrays in (found.arrays, found.weights):
        arrays.update({key: np.array(array, found.dtype) for key, array in arrays.items()})
    return found
