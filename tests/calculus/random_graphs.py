"""Random networks: vectors of one to four elements, steps that share operands, every kind of loss and objective."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import graphgrad as gg

SAMPLES = 3


@dataclass(frozen=True)
class Drawn:
    """A graph, the scalar that is derived, and arrays for all its leaves."""

    graph: gg.Graph
    of: gg.Node
    arrays: dict[str, np.ndarray]


def draw(seed: int) -> Drawn:
    """The graph of this number; the same one each time."""
    random = np.random.default_rng(seed)
    with gg.Graph(f"graph {seed}") as g:
        builder = _Builder(random)
        for _ in range(random.integers(3, 9)):
            builder.step()
        loss = builder.loss()
        of = g["l"] = loss
        if random.random() < 0.5:
            gathered = gg.batch_sum(loss) if random.random() < 0.5 else gg.batch_mean(loss)
            penalty = [gg.l2, gg.elastic_net][random.integers(2)]
            of = g["J"] = gathered + 0.1 * penalty(*g.parameters)
    arrays = {}
    for leaf in (*g.inputs, *g.parameters):
        shape = ((SAMPLES,) if leaf.per_sample else ()) + leaf.shape
        arrays[leaf.name.ident] = random.normal(size=shape)
    if "t" in arrays:
        arrays["t"] = (random.random(SAMPLES) < 0.5).astype(float)
    return Drawn(g, of, arrays)


class _Builder:
    """Adds steps on what is there already, so that paths meet and part."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random
        self.parameters = 0
        x = gg.input("x", int(random.integers(1, 5)))
        self.vectors = [x, self.parameter(3, x.shape[0]) @ x]

    def parameter(self, *shape: int) -> gg.Node:
        self.parameters += 1
        return gg.param(f"W{self.parameters}", *shape)

    def any(self) -> gg.Node:
        recent = self.vectors[-4:]
        return recent[self.random.integers(len(recent))]

    def step(self) -> None:
        v = self.vectors[-1]
        n = v.shape[0]
        choices = [
            self.linear,
            self.activation,
            self.shifted,
            self.scaled,
            self.softmax,
            self.met,
            self.centred,
            self.matrix,
        ]
        self.vectors.append(choices[self.random.integers(len(choices))](v, n))

    def linear(self, v: gg.Node, n: int) -> gg.Node:
        m = int(self.random.integers(1, 5))
        return self.parameter(m, n) @ v if self.random.random() < 0.7 else v @ self.parameter(n, m)

    def activation(self, v: gg.Node, n: int) -> gg.Node:
        return [gg.sigmoid, gg.tanh, gg.relu, gg.sin][self.random.integers(4)](v)

    def shifted(self, v: gg.Node, n: int) -> gg.Node:
        return v + self.parameter(*((n,) if self.random.random() < 0.7 else ()))

    def scaled(self, v: gg.Node, n: int) -> gg.Node:
        return self.parameter(*((n,) if self.random.random() < 0.5 else ())) * v / 2

    def softmax(self, v: gg.Node, n: int) -> gg.Node:
        return (gg.softmax if self.random.random() < 0.5 else gg.log_softmax)(v)

    def met(self, v: gg.Node, n: int) -> gg.Node:
        """Two nodes of one shape together; the one and the same twice where there is no other."""
        others = [other for other in self.vectors if other.shape == v.shape]
        other = others[self.random.integers(len(others))]
        return [v + other, v * other, v - other / 3, gg.maximum(v, other)][self.random.integers(4)]

    def centred(self, v: gg.Node, n: int) -> gg.Node:
        return v - [gg.mean, gg.sum, gg.max][self.random.integers(3)](v)

    def matrix(self, v: gg.Node, n: int) -> gg.Node:
        """Through a matrix: an outer product, transposed or flattened, and back."""
        product = gg.outer(v, self.any())
        if self.random.random() < 0.5:
            return self.parameter(product.shape[0]) @ gg.tanh(product)
        return self.parameter(2, product.type.size) @ gg.flatten(product.T)

    def loss(self) -> gg.Node:
        v = self.vectors[-1]
        n = v.shape[0]
        kind = self.random.integers(5)
        if kind == 0:
            return gg.squared_error(v, gg.input("t"))
        if kind == 1 and n > 1:
            return gg.cross_entropy(gg.softmax(v), gg.input("t"))
        if kind == 2 and n > 1:
            return gg.cross_entropy_with_logits(v, gg.input("t"))
        score = self.parameter(n) @ v
        if kind == 3:
            return gg.binary_cross_entropy_with_logits(score, gg.input("t"))
        return gg.binary_cross_entropy(gg.sigmoid(score), gg.input("t"))
