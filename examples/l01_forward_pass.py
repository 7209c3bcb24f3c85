"""The forward pass, one named line at a time: A = W⁰x, B = σ(A), C = W¹B, D = σ(C), E = wᵀD, y = σ(E), l(y, t).

Every name is kept: each node's value is read from the compiled step by its name and drawn on the picture.

`python l01_forward_pass.py [PICTURE.svg]` says where the picture goes.
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

sample = {"x": [0.4, -1.0], "t": 1.0}
weights = {
    "W0": np.array([[0.5, -0.2], [-0.3, 0.8], [0.9, 0.1]]),
    "W1": np.array([[0.2, -0.5, 0.7], [1.1, 0.4, -0.6], [-0.8, 0.3, 0.9]]),
    "w": np.array([0.6, -1.2, 0.3]),
}

print(g.summary(), end="\n\n")
result = gg.compile(g, "l")(**sample, **weights)
for node in g.steps:
    print(f"{node.text():<36} = {np.round(result[node], 4)}")

# The same in plain NumPy.
hidden = 1 / (1 + np.exp(-weights["W0"] @ sample["x"]))
hidden = 1 / (1 + np.exp(-weights["W1"] @ hidden))
y = 1 / (1 + np.exp(-weights["w"] @ hidden))
assert abs(result["y"] - y) < 1e-15
assert abs(result["l"] + np.log(y)) < 1e-15

picture = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp()) / "forward.svg"
picture.write_text(g.draw(values=result).svg(), "utf-8")
print(f"\npicture: {picture}")
