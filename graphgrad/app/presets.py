"""Networks to begin with: each is a text, the arrays it is first seen with, and a sentence on what to look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """A network of the lecture with its first numbers; `chosen` is the node that the inspector opens with."""

    title: str
    text: str
    arrays: Mapping[str, Any]
    of: str
    chosen: str
    story: str


LECTURE = Preset(
    "Two hidden layers",
    """\
"two hidden layers"
x = input(2)
t = input()
W0 = param(3, 2)
W1 = param(3, 3)
w = param(3)
A = W0 @ x
B = sigmoid(A)
C = W1 @ B
D = sigmoid(C)
E = w @ D
y = sigmoid(E)
l = binary_cross_entropy(y, t)
""",
    {
        "x": [[0.4, -1.0]],
        "t": [1.0],
        "W0": [[0.5, -0.2], [-0.3, 0.8], [0.9, 0.1]],
        "W1": [[0.2, -0.5, 0.7], [1.1, 0.4, -0.6], [-0.8, 0.3, 0.9]],
        "w": [0.6, -1.2, 0.3],
    },
    "l",
    "B",
    "The lecture's network, one line for each node. Step forward through the values, then backward through the "
    "gradients; choose a node to see its rule; change any number below.",
)

CHAIN = Preset(
    "Chain rule",
    """\
"chain rule"
x = input()
v = 1 / x
u = 2 * v
f = u ** 2
""",
    {"x": [2.0]},
    "f",
    "v",
    "f(u) = u², u(v) = 2v, v(x) = 1/x: the factors 2u · 2 · (−1/x²) multiply to df/dx, which is −1 at x = 2.",
)

NEURON = Preset(
    "One neuron",
    """\
"one neuron"
x = input(3)
t = input()
w = param(3)
z = w @ x
y = sigmoid(z)
l = binary_cross_entropy(y, t)
""",
    {"x": [[1.0, 0.4, -1.0], [1.0, -2.1, 3.0]], "t": [1.0, 1.0], "w": [2.0, -3.6, 0.5]},
    "l",
    "y",
    "Batch processing: the same weights for every sample. The first weight is the bias, so every sample begins with 1; "
    "add a row to have one more sample.",
)

PRESETS = {preset.title: preset for preset in (LECTURE, CHAIN, NEURON)}
