"""One step of gradient descent, W := W - η ∂J/∂W, and within it one single weight W⁰₁₂: before, gradient, after."""

import numpy as np

import graphgrad as gg

ETA = 0.5

with gg.Graph("one step") as g:
    x, t = gg.input("x", 2), gg.input("t")
    W0, w = gg.param("W^{[0]}", 3, 2), gg.param("w", 3)
    g.A = W0 @ x
    g.B = gg.sigmoid(g.A)
    g.y = gg.sigmoid(w @ g.B)
    g.l = gg.binary_cross_entropy(g.y, t)
    g.J = gg.batch_sum(g.l) + 0.01 * gg.l2(W0, w)

data = {"x": np.array([[0.4, -1.0], [-2.1, 3.0]]), "t": np.array([1.0, 0.0])}
weights = {"W0": np.array([[0.5, -0.2], [-0.3, 0.8], [0.9, 0.1]]), "w": np.array([0.6, -1.2, 0.3])}
f = gg.compile(g, "J", wrt=["W0", "w"])

for parameter in (W0, w):
    print(gg.grad(g.J, parameter).text())

before = f(**data, **weights)
updated = {name: array - ETA * before.grad[name] for name, array in weights.items()}
after = f(**data, **updated)

for name, array in weights.items():
    print(
        f"\n{name} before\n{array}\n∂J/∂{name}\n{np.round(before.grad[name], 4)}\n{name} after\n{np.round(updated[name], 4)}"
    )
print(f"\nJ before {before['J']:.4f}, after {after['J']:.4f}")
assert after["J"] < before["J"]

# The same single weight by a central difference.
h = 1e-6
nudge = np.zeros((3, 2))
nudge[0, 1] = h
difference = (
    f(**data, W0=weights["W0"] + nudge, w=weights["w"])["J"] - f(**data, W0=weights["W0"] - nudge, w=weights["w"])["J"]
) / (2 * h)
gradient = before.grad["W0"][0, 1]
print(
    f"W⁰₁₂: {weights['W0'][0, 1]} - {ETA} · {gradient:.6f} = {updated['W0'][0, 1]:.6f}; by differences ∂J/∂W⁰₁₂ = {difference:.6f}"
)
assert abs(difference - gradient) < 1e-6

# The bound step does the same inside compiled code.
step = f.bind(**weights, optimizer=gg.SGD(ETA))
loss = step(data["x"], data["t"])
assert abs(loss - before["J"]) < 1e-12
assert np.allclose(step.params["W0"], updated["W0"], atol=1e-14)
