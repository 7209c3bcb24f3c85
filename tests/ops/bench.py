"""The graphs that the suite of the operations runs: samples of one operation side by side in one graph.

One program for many samples keeps the suite fast; every case reads its own part of the results.
"""

from __future__ import annotations

import builtins
import importlib.util
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from types import SimpleNamespace

import numba
import numpy as np

import graphgrad as gg
from graphgrad.graph import Node
from graphgrad.ops.reference import evaluate
from tests.ops.samples import EXACT, SAMPLES, Sample

TARGETS = ("numpy", "cpu", "cuda")
DTYPES = ("float64", "float32")
N = 4

INTERPRETED = "cpu, interpreted"
"""The generated source run by Python itself: what the printer wrote for every sample, without compiling it."""

ON_LANES = "cpu, interpreted on lanes"
"""The same of the source that computes several samples at once."""


def run(
    graph, outputs: Iterable[Node], arrays: Mapping[Node, np.ndarray], target: str, dtype: str
) -> dict[Node, np.ndarray]:
    """The values of any nodes of a graph by the compiled function for a target."""
    outputs = list(outputs)
    in_python = target in (INTERPRETED, ON_LANES)
    function = gg.compile(graph, outputs, target="cpu" if in_python else target, dtype=dtype)
    if target == INTERPRETED:
        vars(function).update(_module=interpreted(function._generate()), _on_lanes=False)
        vars(function).update(_team_module=interpreted(function._generate(team=True)))
    if target == ON_LANES:
        vars(function).update(_lanes_module=interpreted(function._generate(lanes=True, team=True)), _on_lanes=True)
    with np.errstate(all="ignore" if in_python else "warn"):
        return call(function, outputs, arrays)


def interpreted(source: str) -> tuple[SimpleNamespace, str]:
    """The module of a generated source, with Python's own functions in the place of Numba's."""

    def import_(name, scope=None, local=None, names=(), level=0):
        return (
            _in_python(name)
            if name.startswith(("numba", "graphgrad.runtime"))
            else __import__(name, scope, local, names, level)
        )

    scope = {"__builtins__": {**vars(builtins), "__import__": import_}}
    exec(compile(source, "generated", "exec"), scope)
    return SimpleNamespace(**scope), source


@cache
def _in_python(name: str):
    """A module of the runtime as it is where Numba is switched off."""
    if name == "numba":
        return SimpleNamespace(njit=lambda *signature, **options: lambda function: function)
    if name.endswith(".kernel"):
        return SimpleNamespace(kernel=lambda signature: lambda function: function)
    if name.endswith(".lanewise"):
        return SimpleNamespace(function=vars(_in_python("graphgrad.runtime.elementary")).get)
    if name.endswith(".contraction"):
        return SimpleNamespace(contraction=importlib.import_module(name).in_python)
    if name.endswith(".vectorised"):
        return _in_python("graphgrad.runtime.elementary")
    importlib.import_module(name)  # and what it imports, while Numba is on
    spec = importlib.util.find_spec(name)
    module = importlib.util.module_from_spec(spec)
    switched, numba.config.DISABLE_JIT = numba.config.DISABLE_JIT, 1
    try:
        spec.loader.exec_module(module)
    finally:
        numba.config.DISABLE_JIT = switched
    return module


def call(function, outputs: Iterable[Node], arrays: Mapping[Node, np.ndarray]) -> dict[Node, np.ndarray]:
    """The values of the outputs of a compiled function."""
    result = function(**{leaf.name.ident: arrays[leaf] for leaf in function.inputs})
    return {node: np.asarray(result[node]) for node in outputs}


@dataclass(frozen=True, eq=False)
class Case:
    """One sample in its graph: y is the operation, s = Σ u ⊙ y a scalar over everything, its gradients J^T u."""

    sample: Sample
    operands: tuple[Node, ...]
    u: Node
    y: Node
    s: Node

    @property
    def graph(self):
        return self.y.graph

    @cached_property
    def gradients(self) -> tuple[Node | None, ...]:
        """∂s/∂operand for each operand; None where s has no gradient there."""
        return tuple(_gradient(self.s, operand) for operand in self.operands)

    @cached_property
    def moving(self) -> tuple[Node, ...]:
        """Leaves v of the types of the operands, for the product of the second derivatives with a vector."""
        return tuple(_like(operand, f"v{k}_{self.u.name.ident}") for k, operand in enumerate(self.operands))

    @cached_property
    def second(self) -> tuple[Node | None, ...]:
        """∂<∂s/∂operands, v>/∂operand: the gradient differentiated again."""
        pairs = zip(self.gradients, self.moving, strict=True)
        parts = [_total(gradient * v) for gradient, v in pairs if gradient is not None]
        if not parts:
            return (None,) * len(self.operands)
        slope = sum(parts[1:], start=parts[0])
        return tuple(_gradient(slope, operand) for operand in self.operands)

    def draw(self, samples: int = N) -> dict[Node, np.ndarray]:
        """Arrays for the operands, u and v, the same at every call."""
        random = np.random.default_rng(zlib.crc32(str(self.sample).encode()))
        arrays = {}
        for operand, domain in zip(self.operands, self.sample.domains, strict=True):
            arrays[operand] = domain(random, _extent(operand, samples))
        for leaf in (self.u, *self.moving):
            arrays[leaf] = random.uniform(-1, 1, _extent(leaf, samples))
        return arrays

    def move(self, arrays: Mapping[Node, np.ndarray], step: float) -> dict[Node, np.ndarray]:
        """The arrays with the operands that have a gradient moved by a step along v."""
        triples = zip(self.operands, self.moving, self.gradients, strict=True)
        return {**arrays, **{a: arrays[a] + step * arrays[v] for a, v, gradient in triples if gradient is not None}}

    def reference(self, nodes: Iterable[Node], arrays: Mapping[Node, np.ndarray], samples: int = N) -> list[np.ndarray]:
        """The values by the reference in float64, of full shape."""
        nodes = list(nodes)
        values = evaluate(nodes, arrays, samples)
        return [np.broadcast_to(values[node], _extent(node, samples)) for node in nodes]

    def formula(self, arrays: Mapping[Node, np.ndarray], samples: int = N) -> np.ndarray:
        """y by the sample's own NumPy formula, one sample after the other."""
        values = [np.asarray(arrays[operand]) for operand in self.operands]
        if self.sample.whole:
            return np.asarray(self.sample.value(*values))
        each = [
            self.sample.value(*(a[n] if node.per_sample else a for node, a in zip(self.operands, values, strict=True)))
            for n in range(samples)
        ]
        return np.stack(each) if self.y.per_sample else np.asarray(each[0])


def _like(node: Node, name: str) -> Node:
    kind = "input" if node.per_sample else "parameter"
    return node.graph.leaf(kind, name, node.shape, node.per_sample)


def _total(node: Node) -> Node:
    total = gg.sum(node)
    return gg.batch_sum(total) if total.per_sample else total


def _gradient(of: Node, wrt: Node) -> Node | None:
    try:
        return gg.grad(of, wrt)
    except gg.GradientError:
        return None


def _extent(node: Node, samples: int) -> tuple[int, ...]:
    return (samples, *node.shape) if node.per_sample else node.shape


def case_of(graph, number: int, sample: Sample) -> Case:
    operands = tuple(
        graph.leaf("input" if each == "n" else "parameter", f"a{number}_{k}", shape, each == "n")
        for k, (shape, each) in enumerate(zip(sample.shapes, sample.mixture, strict=True))
    )
    y = graph.define(f"y{number}", sample.call(*operands))
    u = _like(y, f"u{number}")
    return Case(sample, operands, u, y, graph.define(f"s{number}", _total(u * y)))


SIDE_BY_SIDE = 8
"""How many samples of one operation share a graph and a program."""

NAMES = sorted({sample.name for sample in SAMPLES})

PARTS = {
    f"{name}-{start // SIDE_BY_SIDE}": tuple(chosen[start : start + SIDE_BY_SIDE])
    for name in NAMES
    for chosen in [[sample for sample in SAMPLES if sample.name == name]]
    for start in range(0, len(chosen), SIDE_BY_SIDE)
}

FEW = {
    name: chosen[len(chosen) // 2 :][:1]
    for name in NAMES
    if not (name in EXACT and EXACT[name].odd)
    for chosen in [[sample for sample in SAMPLES if sample.name == name]]
}
"""A sample of each operation to be compiled, which is what takes the time; elementwise ones have a test of their own."""

_PART = {sample: part for part, samples in PARTS.items() for sample in samples}


@cache
def cases(part: str) -> tuple[Case, ...]:
    """The cases of some samples of an operation, in one graph."""
    with gg.Graph(part) as graph:
        return tuple(case_of(graph, number, sample) for number, sample in enumerate((PARTS | FEW)[part]))


def case(sample: Sample) -> Case:
    """The case of a sample."""
    return next(one for one in cases(_PART[sample]) if one.sample is sample)


@cache
def computed(part: str, target: str, dtype: str) -> dict[Node, np.ndarray]:
    """Every value and gradient of some cases of an operation, by a target, from arrays rounded to the precision."""
    every = cases(part)
    wanted = [node for one in every for node in (one.y, *one.gradients) if node is not None]
    arrays = {leaf: array.astype(dtype) for one in every for leaf, array in one.draw().items()}
    return run(every[0].graph, wanted, arrays, target, dtype)
