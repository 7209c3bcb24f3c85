"""Convolution on a photograph: one filter of 3 x 3 has nine parameters, K filters give K feature maps, F = σ(x ⋆ w).

The star is a cross-correlation, as in every framework: the filter lies on the image as it is, and is not turned round.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_sample_image

import graphgrad as gg

photograph = load_sample_image("china.jpg").mean(axis=2)[20:404:3, 100:484:3] / 255.0  # grey, 128 by 128

with gg.Graph("one filter") as one:
    x, w = gg.input("x", 1, 128, 128), gg.param("w", 1, 1, 3, 3)
    one.F = gg.sigmoid(gg.conv(x, w))
print(one.summary())
assert one.count_params() == 9
assert one.F.shape == (1, 126, 126)

# Four filters, four feature maps.
filters = np.array(
    [
        [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],  # edges that stand (Sobel)
        [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],  # edges that lie
        [[0, -1, 0], [-1, 4, -1], [0, -1, 0]],  # points and edges of all directions (Laplace)
        [[1 / 9] * 3] * 3,  # the mean
    ]
)[:, None]
with gg.Graph("four filters") as g:
    x, w = gg.input("x", 1, 128, 128), gg.param("w", 4, 1, 3, 3)
    g.A = gg.conv(x, w, padding="same")
    g.F = gg.sigmoid(g.A)
    g.s = gg.sum(g.A[0, 63:66, 63:66])
f = gg.compile(g, ["s", "F"], wrt=["x"])
r = f(x=photograph[None], w=filters)
print(f"\n{g.A.text()}: {g.A.type} from {w.type}, {g.count_params()} parameters")
assert g.count_params() == 4 * 9

# One output is the sum of the products with what lies under the filter.
under = photograph[39:42, 59:62]
assert np.isclose(r["A"][0, 40, 60], np.sum(under * filters[0, 0]), rtol=1e-12)
print(
    f"A[0, 40, 60] = Σ of {np.round(under, 2).tolist()} times {filters[0, 0].astype(int).tolist()} = {r['A'][0, 40, 60]:.4f}"
)

# Which pixels feed an output: where its gradient is not 0. Nine outputs of 3 x 3 see 5 x 5 pixels.
rows, columns = np.nonzero(gg.compile(g, "s", wrt="x")(x=photograph[None], w=np.ones((4, 1, 3, 3))).grad["x"][0])
assert (rows.min(), rows.max(), columns.min(), columns.max()) == (62, 66, 62, 66)
print(f"nine outputs of a map see rows {rows.min()} to {rows.max()}, columns {columns.min()} to {columns.max()}")

# Stride, dilation and groups change the shape of the result, and what a filter costs.
with gg.Graph("options") as options:
    x = gg.input("x", 4, 128, 128)
    for label, shape, choice in (
        ("strided", (8, 4, 3, 3), {"stride": 2, "padding": 1}),
        ("dilated", (8, 4, 3, 3), {"dilation": 4}),
        ("grouped", (8, 1, 3, 3), {"groups": 4}),
    ):
        options[label] = gg.conv(x, gg.param(f"w_{label}", *shape), **choice)
        print(f"{options[label].text():<40} {options[label].type}, {np.prod(shape)} weights")
assert [node.shape for node in options.outputs] == [(8, 64, 64), (8, 120, 120), (8, 126, 126)]

shown = gg.tiles({"photograph": photograph, "filter": filters, "F": r["F"]}, columns=4)
Path("l11_convolution.svg").write_text(shown.svg(), "utf-8")
print("picture: l11_convolution.svg")
