"""∂l/∂W⁰ as the lecture writes it, ∂l/∂y · ∂y/∂E · ∂E/∂D · ∂D/∂C · ∂C/∂B · ∂B/∂A · ∂A/∂W⁰:
by names, by local derivatives, and as computed."""

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

chain = gg.chain(g.l, W0)
for row in chain.rows:
    print(f"{row:<11} {chain.text(row)}")
print(f"\n{chain.latex()}\n")
assert [str(factor) for factor in chain.factors] == ["∂l/∂y", "∂y/∂E", "∂E/∂D", "∂D/∂C", "∂C/∂B", "∂B/∂A", "∂A/∂W⁽⁰⁾"]

# As computed: one line for each node on the way back, with its transposes, its shape and its numbers.
way = [factor.wrt for factor in chain.factors]
sample = {"x": [0.4, -1.0], "t": 1.0}
weights = {
    "W0": np.array([[0.5, -0.2], [-0.3, 0.8], [0.9, 0.1]]),
    "W1": np.array([[0.2, -0.5, 0.7], [1.1, 0.4, -0.6], [-0.8, 0.3, 0.9]]),
    "w": np.array([0.6, -1.2, 0.3]),
}
result = gg.compile(g, "l", wrt=way)(**sample, **weights)
for node in way:
    gradient = result.grad[node]
    print(f"{gg.grad(g.l, node).text():<36} {np.shape(gradient)!s:<8} {np.round(gradient, 4).tolist()}")

# By hand: from ∂l/∂E = y - t back to ∂l/∂W⁰ = ∂l/∂A xᵀ.
back = weights["w"] * (result["y"] - sample["t"])
back = weights["W1"].T @ (back * result["D"] * (1 - result["D"]))
back = back * result["B"] * (1 - result["B"])
assert np.allclose(result.grad["W0"], np.outer(back, sample["x"]), atol=1e-14)
