"""Batch processing: one sample, two at once, and mini-batches, through the same graph and one compiled step.

The lecture's weights w = [2.0, -3.6, 0.5] take the bias first, so a sample is written (1, x₁, x₂).
"""

import numpy as np

import graphgrad as gg

with gg.Graph("one neuron") as g:
    x, t, w = gg.input("x", 3), gg.input("t"), gg.param("w", 3)
    g.z = w @ x
    g.y = gg.sigmoid(g.z)
    g.l = gg.binary_cross_entropy(g.y, t)

f = gg.compile(g, "l", wrt="w")
weights = np.array([2.0, -3.6, 0.5])
a, b = np.array([1.0, 0.4, -1.0]), np.array([1.0, -2.1, 3.0])

one = f(x=a, t=1.0, w=weights)
print(
    f"one sample:  z = {one['z']:.2f}, σ(z) = {one['y']:.4f}, l = {one['l']:.4f}, ∂l/∂w = {np.round(one.grad['w'], 4)}"
)
assert round(float(one["z"]), 12) == 0.06
assert round(float(one["y"]), 4) == 0.5150
assert round(float(one["l"]), 4) == 0.6636
assert np.round(one.grad["w"], 4).tolist() == [-0.4850, -0.1940, 0.4850]

two = f(x=np.stack([a, b]), t=np.array([1.0, 1.0]), w=weights)
print(f"two at once: z = {np.round(two['z'], 2)}, σ(z) = {np.round(two['y'], 6)}, ∂l/∂w\n{np.round(two.grad['w'], 4)}")
assert round(float(two["z"][1]), 12) == 11.06
assert round(float(two["y"][1]), 6) == 0.999984
assert (two.grad["w"][0] == one.grad["w"]).all()

# Mini-batches: the gradient of Σ l over all samples is the sum of those over its parts.
generator = np.random.default_rng(0)
samples = np.insert(generator.normal(size=(100, 2)), 0, 1.0, axis=1)
targets = (samples[:, 1] > samples[:, 2]).astype(float)
whole = f(x=samples, t=targets, w=weights)
parts = [f(x=samples[k : k + 32], t=targets[k : k + 32], w=weights) for k in range(0, 100, 32)]
assert [len(part["l"]) for part in parts] == [32, 32, 32, 4]
assert np.allclose(sum(part.grad["w"].sum(0) for part in parts), whole.grad["w"].sum(0), rtol=1e-12)

history = gg.fit(
    g, "l", {"x": samples, "t": targets}, params={"w": weights}, optimizer=gg.SGD(0.05), epochs=30, batch_size=32
)
print(
    f"mini-batches of 32: Σ l per batch from {history.loss[0]:.2f} to {history.loss[-1]:.2f} in {len(history.loss)} epochs"
)
print(f"w = {np.round(history.params['w'], 3)}")
assert history.loss[-1] < history.loss[0] / 5
