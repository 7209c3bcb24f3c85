"""Activation functions: values and slopes, units that are saturated or dead, and what the learned α of a PReLU becomes.

Five networks of one hidden layer learn the same two moons side by side, one for each activation, as one graph. Four of
the sixteen units of each begin far below zero: a ReLU has no gradient there and never learns, its leaky kin do.
"""

import time

import numpy as np
from sklearn.datasets import make_moons

import graphgrad as gg
from graphgrad.networks import dense

ACTIVATIONS = ["sigmoid", "tanh", "relu", "leaky_relu", "prelu"]
UNITS, FAR = 16, 4

# The curve, its slope, and what a million elements cost.
points = np.array([-10.0, -2.0, -0.5, 0.5, 2.0, 10.0])
million = np.linspace(-3, 3, 1_000_000, dtype=np.float32)
print("f(z), and f'(z) below, at z =" + "".join(f"{z:9g}" for z in points) + "     cost")
for name in ACTIVATIONS:
    with gg.Graph(name) as g:
        z = gg.input("z")
        g.y = gg.prelu(z, gg.param("alpha")) if name == "prelu" else getattr(gg, name)(z)
    alpha = {"alpha": 0.25} if name == "prelu" else {}
    result = gg.compile(g, "y", wrt="z")(z=points, **alpha)
    f = gg.compile(g, "y", dtype="float32")
    times = []
    for _ in range(6):
        start = time.perf_counter()
        f(z=million, **alpha)
        times.append(time.perf_counter() - start)
    print(f"{name:<29}" + "".join(f"{y:9.4f}" for y in result["y"]) + f"  {min(times) * 1e3:.2f} ns each")
    print(" " * 29 + "".join(f"{slope:9.4f}" for slope in result.grad["z"]))

# The five networks, each with its own loss; the objective is their sum, so that no one disturbs another.
with gg.Graph("five activations") as g:
    x, t = gg.input("x", 2), gg.input("t")
    losses = []
    for name in ACTIVATIONS:
        h = dense(x, UNITS, name, name=f"h_{name}")
        E = dense(h, None, name=f"E_{name}")
        g[f"l_{name}"] = gg.binary_cross_entropy_with_logits(E, t)
        losses.append(gg.batch_mean(g[f"l_{name}"]))
        g[f"slope_{name}"] = gg.grad(gg.sum(h), g[f"z_h_{name}"])
    g.J = sum(losses[1:], start=losses[0])

samples, moon = make_moons(200, noise=0.15, random_state=0)
data = {"x": samples, "t": moon.astype(float)}
start = gg.initial(g, seed=0)
for name in ACTIVATIONS:
    start[f"b_h_{name}"][:FAR] = -6.0

look = gg.compile(g, [f"{value}_{name}" for name in ACTIVATIONS for value in ("h", "l", "E", "slope")])
history = gg.fit(g, "J", data, optimizer=gg.Adam(0.02), epochs=150, batch_size=50, params=start, progress=False)

print(f"\n{'':<12}{'':>10}{'before':>30}{'after':>40}")
print(f"{'':<12}" + 2 * "   saturated  dead  mean of h      loss" + "  accuracy")
dead, accuracies = {}, {}
for name in ACTIVATIONS:
    line = f"{name:<12}"
    for params in (start, history.params):
        result = look(**data, **params)
        slopes = np.abs(result[f"slope_{name}"])
        dead[name] = int(np.sum(np.all(slopes == 0, axis=0)))
        line += f"{np.mean(slopes < 0.01):11.1%}{dead[name]:6d}"
        line += f"{np.mean(result[f'h_{name}']):11.3f}{np.mean(result[f'l_{name}']):10.4f}"
    accuracies[name] = np.mean((result[f"E_{name}"] > 0) == (moon == 1))
    print(f"{line}{accuracies[name]:10.1%}")
alpha = float(history.params["alpha_h_prelu"])
print(f"\nα of the PReLU: 0.25 before, {alpha:.4f} after {len(history.steps)} steps of backpropagation")

assert dead["relu"] >= FAR
assert dead["leaky_relu"] == dead["prelu"] == dead["sigmoid"] == 0
assert abs(alpha - 0.25) > 0.01
assert min(accuracies.values()) > 0.8
