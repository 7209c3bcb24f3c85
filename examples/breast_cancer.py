"""The lecture's network on real data: 569 tumours of 30 measured features each, benign (1) or malignant (0).

Prints the accuracy on tumours that were held out, and draws the graph, with the values and
gradients of one of them, to breast_cancer.svg in the current directory.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import graphgrad as gg

with gg.Graph("breast cancer") as g:
    x, t = gg.input("x", 30), gg.input("t")
    W0, W1, w = gg.param("W^{[0]}", 3, 30), gg.param("W^{[1]}", 3, 3), gg.param("w", 3)
    g.A = W0 @ x
    g.B = gg.sigmoid(g.A)
    g.C = W1 @ g.B
    g.D = gg.sigmoid(g.C)
    g.E = w @ g.D
    g.y = gg.sigmoid(g.E)
    g.l = gg.binary_cross_entropy(g.y, t)
    g.R = gg.l2(W0, W1, w)
    g.J = gg.batch_mean(g.l) + 0.003 * g.R

tumours = load_breast_cancer()
seen, held_out, t_seen, t_held_out = train_test_split(
    tumours.data, tumours.target.astype(float), test_size=0.25, stratify=tumours.target, random_state=0
)
mean, deviation = seen.mean(0), seen.std(0)
seen, held_out = (seen - mean) / deviation, (held_out - mean) / deviation

history = gg.fit(g, "J", {"x": seen, "t": t_seen}, optimizer=gg.SGD(0.5), epochs=200, batch_size=32, seed=0)
print(f"J from {history.loss[0]:.4f} to {history.loss[-1]:.4f} in {len(history.loss)} epochs of {len(seen)} tumours")

result = gg.compile(g, "J", wrt=[*g.parameters, *g.steps])(x=held_out, t=t_held_out, **history.params)
accuracy = np.mean((result["y"] > 0.5) == t_held_out)
print(f"held-out accuracy: {accuracy:.4f} of {len(held_out)} tumours")
assert accuracy >= 0.95

Path("breast_cancer.svg").write_text(g.draw(values=result, sample=0).svg(), "utf-8")
print("picture: breast_cancer.svg")
