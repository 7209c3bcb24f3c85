"""Backpropagation: the backward sweep step by step, each ∂l/∂node on the picture beside the forward value.

`python l07_backpropagation.py [PICTURE.svg]` says where the picture goes.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

import graphgrad as gg

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

everything = [*g.parameters, *g.steps]
sample = {"x": [0.4, -1.0], "t": 1.0}
weights = {
    "W0": np.array([[0.5, -0.2], [-0.3, 0.8], [0.9, 0.1]]),
    "W1": np.array([[0.2, -0.5, 0.7], [1.1, 0.4, -0.6], [-0.8, 0.3, 0.9]]),
    "w": np.array([0.6, -1.2, 0.3]),
}
result = gg.compile(g, "l", wrt=everything)(**sample, **weights)

print("forward")
for node in g.steps:
    print(f"  {node.text():<36} {np.round(result[node], 4)}")
print("backward")
for node in reversed(everything):
    print(f"  {gg.grad(g.l, node).text():<36} {np.round(result.grad[node], 4).tolist()}")

assert result.grad["l"] == 1.0
print(f"\n{g.check_gradients(**sample, **weights)}")

picture = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp()) / "backward.svg"
picture.write_text(g.draw(values=result).svg(), "utf-8")
print(f"\npicture: {picture}")
