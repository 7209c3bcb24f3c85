"""Losses of a two-class and of a K-class output: cross entropy on probabilities and on logits, hinge, squared error.

Each is a node of the graph, with its gradient; cross entropy on logits stays finite for every finite score.
"""

import numpy as np

import graphgrad as gg

with gg.Graph("losses of a score z with the target t") as g:
    z, t = gg.input("z"), gg.input("t")
    g.y = gg.sigmoid(z)
    g.l_entropy = gg.binary_cross_entropy(g.y, t)
    g.l_logits = gg.binary_cross_entropy_with_logits(z, t)
    g.l_hinge = gg.hinge(z, 2 * t - 1)
    g.l_square = gg.squared_error(g.y, t)

losses = ["l_entropy", "l_logits", "l_hinge", "l_square"]
for loss in losses:
    print(f"{g[loss].text():<60} {gg.grad(g[loss], z).text()}")

scores = np.array([-1000.0, -2.0, 0.0, 2.0, 1000.0])
print("\nt = 1        " + "".join(f"{f'z = {score:g}':>12}" for score in scores))
for loss in losses:
    result = gg.compile(g, loss, wrt="z")(z=scores, t=np.ones_like(scores))
    assert np.isfinite(result[loss]).all()
    assert np.isfinite(result.grad["z"]).all()
    print(f"{loss:<13}" + "".join(f"{value:12.4g}" for value in result[loss]))
    print(f"{'  d/dz':<13}" + "".join(f"{value:12.4g}" for value in result.grad["z"]))
    if loss == "l_logits":
        # l = -ln σ(z), so the loss of the hopeless score is 1000 itself and its gradient σ(z) - t is -1.
        assert result[loss][0] == 1000.0
        assert result.grad["z"][0] == -1.0

# K classes, t being a one in the place of the class: with softmax, ∂l/∂E = y - t.
with gg.Graph("three classes") as k:
    E, t = gg.input("E", 3), gg.input("t", 3)
    k.y = gg.softmax(E)
    k.l = gg.cross_entropy(k.y, t)
    k.l_logits = gg.cross_entropy_with_logits(E, t)

print(f"\n{k}")
for score in ([1.0, 2.0, 0.5], [1000.0, -1000.0, 0.0]):
    for loss in ("l", "l_logits"):
        result = gg.compile(k, [loss, "y"], wrt="E")(E=score, t=[0.0, 1.0, 0.0])
        print(f"E = {score}: {loss} = {result[loss]:.4g}, ∂{loss}/∂E = {np.round(result.grad['E'], 4)}")
        assert np.allclose(result.grad["E"], result["y"] - [0, 1, 0], atol=1e-15)
