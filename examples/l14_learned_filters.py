"""What a network learns: the filters of a trained CNN, and the feature maps in which they find their edges.

A small CNN is trained on handwritten digits. Before training its filters are noise; afterwards each answers to an edge
or a stroke of one direction. Draws the filters before and after, and the feature maps of a few digits, as SVG files.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import graphgrad as gg

digits = load_digits()
images = digits.images[:, None] / 16.0

with gg.Graph("digits") as g:
    x, t = gg.input("x", 1, 8, 8), gg.input("t")
    K, b = gg.param("K", 8, 1, 3, 3), gg.param("b", 8, 1, 1)
    W, c = gg.param("W", 10, 128), gg.param("c", 10)
    g.F = gg.relu(
        gg.conv(x, K, padding=1) + b
    )  # 8 feature maps; * in the lecture, a cross-correlation as in every framework
    g.P = gg.max_pool(g.F, 2)
    g.E = W @ gg.flatten(g.P) + c
    g.l = gg.cross_entropy_with_logits(g.E, t)

before = gg.initial(g, seed=0)
data = {"x": images, "t": digits.target}
history = gg.fit(
    g, "l", data, params=before, optimizer=gg.Adam(0.01), epochs=12, batch_size=64, dtype="float32", progress=False
)
print(f"Σ l per batch from {history.loss[0]:.1f} to {history.loss[-1]:.2f}; {g.count_params():,} parameters")

result = gg.compile(g, "l", dtype="float32")(x=images, t=digits.target, **history.params)
found = np.argmax(result["E"], axis=1)
print(f"digits that are told right: {np.mean(found == digits.target):.3f}")
assert np.mean(found == digits.target) > 0.97

# Each filter has moved, and the maps that it makes are the convolution of the image with it.
moved = np.linalg.norm((history.params["K"] - before["K"]).reshape(8, -1), axis=1)
print(f"how far each filter has moved: {np.round(moved, 2).tolist()}")
assert (moved > 0.1).all()

some = [int(np.flatnonzero(digits.target == digit)[0]) for digit in (0, 1, 7)]
drawings = {
    "filters": gg.tiles({"K before": before["K"], "K after": history.params["K"]}),
    "maps": gg.tiles({f"F of a {digits.target[k]}": result["F"][k] for k in some}),
}
for name, drawing in drawings.items():
    Path(f"l14_{name}.svg").write_text(drawing.svg(), "utf-8")
    print(f"picture: l14_{name}.svg")
