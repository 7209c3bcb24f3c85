"""Where training begins: the rules that weights are drawn by, and which of them a parameter gets where none is named.

Each parameter draws from the seed and its own name, so that it stays as it is when others are added.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from graphgrad.graph import Graph, GraphError, NamingError, Node
from graphgrad.graph.data import Array
from graphgrad.ops import add, subtract
from graphgrad.ops.options import in_range

Fans = tuple[int, int]
"""How many numbers one output of a connection is a sum of, and how many outputs one input goes into."""

RECTIFIERS = frozenset({"relu", "leaky_relu", "prelu", "elu", "celu", "gelu", "silu", "mish", "softplus"})
"""Activations that let through about half of what comes in, which He's rule makes up for."""

PASSED = frozenset(
    {"add", "subtract", "identity", "reshape", "flatten", "dropout", "max_pool", "avg_pool"}
    | {"batch_norm", "layer_norm", "instance_norm", "group_norm"}
)
"""What may stand between a connection and its activation."""

STARTS = {("prelu", 1): 0.25}
"""Where a parameter begins as an operand of an operation, by the operation's name: the α of a PReLU as in PyTorch."""


class Initialiser(Protocol):
    """A rule that says where a parameter begins."""

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...], fans: Fans) -> Array:
        """An array of the shape."""
        ...


@dataclass(frozen=True)
class Constant:
    """The same number everywhere.

    >>> import graphgrad as gg
    >>> g = gg.parse("w = param(3)")
    >>> gg.initial(g, chosen={"w": gg.Constant(0.5)})["w"].tolist()
    [0.5, 0.5, 0.5]
    """

    value: float

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...], fans: Fans) -> Array:
        return np.full(shape, float(self.value))


class Zeros(Constant):
    """0 everywhere, as for biases.

    >>> import graphgrad as gg
    >>> gg.initial(gg.parse("b = param(2)"), chosen={"b": gg.Zeros()})["b"].tolist()
    [0.0, 0.0]
    """

    def __init__(self) -> None:
        super().__init__(0.0)


@dataclass(frozen=True)
class Uniform:
    """Drawn evenly from -reach to reach.

    Raises GraphError for a reach that is negative.

    >>> import graphgrad as gg
    >>> w = gg.initial(gg.parse("w = param(1000)"), chosen={"w": gg.Uniform(0.1)})["w"]
    >>> bool(abs(w).max() < 0.1), bool(abs(w.mean()) < 0.01)
    (True, True)
    """

    reach: float = 0.05

    def __post_init__(self) -> None:
        in_range("Uniform", "reach", self.reach, 0.0, math.inf)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...], fans: Fans) -> Array:
        return np.asarray(generator.uniform(-self.reach, self.reach, shape))


@dataclass(frozen=True)
class Glorot:
    """Variance 2 / (fan in + fan out), evenly or, with `normal`, from a bell curve: for sigmoid, tanh and no activation.

    Source: Glorot and Bengio, Understanding the difficulty of training deep feedforward neural networks, 2010.

    >>> import graphgrad as gg
    >>> W = gg.initial(gg.parse("W = param(100, 300)"), chosen={"W": gg.Glorot()})["W"]
    >>> bool(abs(W.var() - 2 / (300 + 100)) < 1e-4)
    True
    """

    normal: bool = False

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...], fans: Fans) -> Array:
        return _drawn(generator, shape, 2 / sum(fans), self.normal)


@dataclass(frozen=True)
class He:
    """Variance 2 / fan in, evenly or, with `normal`, from a bell curve: before a ReLU and its kin.

    Source: He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015.

    >>> import graphgrad as gg
    >>> g = gg.parse("x = input(300)\\nW = param(100, 300)\\ny = relu(W @ x)")
    >>> W = gg.initial(g, chosen={"W": gg.He(normal=True)})["W"]
    >>> bool(abs(W.var() - 2 / 300) < 3e-4)
    True
    """

    normal: bool = False

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...], fans: Fans) -> Array:
        return _drawn(generator, shape, 2 / fans[0], self.normal)


@dataclass(frozen=True)
class Orthogonal:
    """Rows of length `gain` at right angles to each other (columns where there are fewer), filters flattened to rows.

    Source: Saxe, McClelland and Ganguli, Exact solutions to the nonlinear dynamics of learning in deep linear neural
    networks, 2014; the columns' signs are made definite as in PyTorch.

    >>> import graphgrad as gg
    >>> W = gg.initial(gg.parse("W = param(2, 3)"), chosen={"W": gg.Orthogonal()})["W"]
    >>> (abs(W @ W.T)).round(12).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    gain: float = 1.0

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...], fans: Fans) -> Array:
        if len(shape) < 2:
            raise GraphError(f"Orthogonal draws matrices and filters; the shape {shape} has no rows")
        rows, columns = shape[0], math.prod(shape[1:])
        q, r = np.linalg.qr(generator.normal(size=(max(rows, columns), min(rows, columns))))
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        return self.gain * (q if rows >= columns else q.T).reshape(shape)


def _drawn(generator: np.random.Generator, shape: tuple[int, ...], variance: float, normal: bool) -> Array:
    if normal:
        return np.asarray(generator.normal(0.0, math.sqrt(variance), shape))
    reach = math.sqrt(3 * variance)
    return np.asarray(generator.uniform(-reach, reach, shape))


def initial(graph: Graph, seed: int = 0, chosen: Mapping[str, object] | None = None) -> dict[str, Array]:
    """An array for each parameter, by identifier, drawn from the seed and the parameter's name.

    `chosen` names a rule (gg.He(), gg.Orthogonal(), ...) or an array for some of them, by name. The others begin by their
    part in the graph: a bias (which is only ever added) at 0, the states, scales and shifts of a normalisation and the
    step of a dropout where these say, the α of a PReLU at 0.25, weights before a ReLU and its kin by He's rule, others by
    Glorot's, both evenly.

    Raises NamingError for a name that is no parameter, GraphError for a rule that cannot draw the shape.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, W, b = gg.input("x", 2), gg.param("W", 3, 2), gg.param("b", 3)
    ...     g.A = gg.relu(W @ x + b)
    >>> start = gg.initial(g, seed=1, chosen={"W": gg.Orthogonal()})
    >>> start["b"].tolist(), (start["W"].T @ start["W"]).round(6).tolist()
    ([0.0, 0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]])
    """
    named: dict[Node, object] = {}
    for key, rule in (chosen or {}).items():
        node = graph[key]
        if node.kind != "parameter":
            raise NamingError(f"{key} is no parameter of {graph.title or 'the graph'!r}: {node.text()}")
        named[node] = rule
    found: dict[str, Array] = {}
    uses = _uses(graph)
    for node in graph.parameters:
        rule = named.get(node) if node in named else _by_part(node, uses)
        if not hasattr(rule, "draw"):
            found[node.op.name] = np.asarray(rule)
            continue
        generator = np.random.default_rng([seed, *node.op.name.encode()])
        try:
            found[node.op.name] = rule.draw(generator, node.shape, _fans(node, uses))
        except GraphError as error:
            raise GraphError(f"{node.name}: {error}") from None
    return found


Uses = Mapping[Node, list[tuple[Node, int]]]
"""By whom each node is used, and as which operand."""


def _uses(graph: Graph) -> Uses:
    uses: dict[Node, list[tuple[Node, int]]] = {}
    for node in graph.nodes:
        for position, operand in enumerate(node.inputs):
            uses.setdefault(operand, []).append((node, position))
    return uses


def _by_part(node: Node, uses: Uses) -> Initialiser:
    """The rule that fits the part that a parameter has in its graph."""
    for user, position in uses.get(node, ()):
        start = STARTS.get((user.op.name, position))
        starts = user.op.starts(*(operand.type for operand in user.inputs))
        if start is not None or (starts and (start := starts[position]) is not None):
            return Constant(start)
    users = [user for user, _ in uses.get(node, ())]
    if users and all(user.op in (add, subtract) for user in users):
        return Zeros()
    return He() if any(_rectified(user, uses) for user in users) else Glorot()


def _rectified(node: Node, uses: Uses) -> bool:
    """Whether what a connection makes goes into a rectifier, straight or past a bias, a normalisation or a pooling."""
    pending = [node]
    while pending:
        for user, position in uses.get(pending.pop(), ()):
            if position == 0 and user.op.name in RECTIFIERS:
                return True
            if user.op.name in PASSED:
                pending.append(user)
    return False


def _fans(node: Node, uses: Uses) -> Fans:
    shape = node.shape
    user, position = uses[node][0] if uses.get(node) else (None, 0)
    name = user.op.name if user is not None else ""
    if len(shape) < 2:
        return math.prod(shape), 1
    if name == "locally_connected":
        channels = len(shape) // 2
        window = math.prod(shape[channels + 1 :])
        return shape[channels] * window, shape[0] * window
    window = math.prod(shape[2:])
    fans = shape[1] * window, shape[0] * window
    turned = (name == "matmul" and position == 1) or name == "conv_transpose"
    return fans[::-1] if turned else fans
