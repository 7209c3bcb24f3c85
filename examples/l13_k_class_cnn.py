"""A convolutional network of ten classes: which handwritten digit is it?

Two levels of convolution, ReLU and max pooling, then y = softmax(E) and the K-class cross entropy; the targets are the
digits themselves. Prints the accuracy on digits that were held out, and some that were mistaken.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import graphgrad as gg

digits = load_digits()
seen, held_out, t_seen, t_held_out = train_test_split(
    digits.images[:, None] / 16.0, digits.target, test_size=0.25, stratify=digits.target, random_state=0
)

g = gg.networks.k_class_cnn(channels=1, size=8, classes=10, filters=(8, 16))
print(g.summary())

data = {"x": seen, "t": t_seen}
history = gg.fit(g, "l", data, optimizer=gg.Adam(0.01), epochs=15, batch_size=64, dtype="float32", progress=False)
print(
    f"Σ l per batch from {history.loss[0]:.2f} to {history.loss[-1]:.3f} in {len(history.loss)} epochs of {len(seen)}"
)

# ∂l/∂E is y less the one-hot target: the softmax and its loss belong together.
result = gg.compile(g, "l", wrt="E", target="numpy", dtype="float32")(x=held_out, t=t_held_out, **history.params)
assert np.allclose(result.grad["E"], result["y"] - np.eye(10)[t_held_out], atol=1e-6)
assert np.allclose(result["y"].sum(axis=1), 1, atol=1e-6)

found = np.argmax(result["y"], axis=1)
accuracy = np.mean(found == t_held_out)
print(f"held-out accuracy: {accuracy:.4f} of {len(held_out)} digits")
assert accuracy >= 0.95
for k in np.flatnonzero(found != t_held_out)[:3]:
    shares = f"y = {result['y'][k, found[k]]:.2f} against {result['y'][k, t_held_out[k]]:.2f}"
    print(f"a {t_held_out[k]} taken for a {found[k]}: {shares}")
