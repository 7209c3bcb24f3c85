"""Localisation: where in the image is the digit?

A handwritten digit lies somewhere in a larger image under noise; the network gives its bounding box. Prints the overlap of
the box found with the box asked (intersection over union) on digits that were held out.
"""

import numpy as np
from sklearn.datasets import load_digits

import graphgrad as gg

SIDE = 16
generator = np.random.default_rng(0)
images = load_digits().images / 16.0


def scene(digit):
    """An image with the digit at a random place, and the box around its ink: top, left, bottom, right, from 0 to 1."""
    top, left = generator.integers(0, SIDE - 8 + 1, 2)
    image = generator.uniform(0, 0.2, (SIDE, SIDE))
    image[top : top + 8, left : left + 8] += 0.8 * digit
    rows, columns = (np.flatnonzero(np.any(digit > 0.3, axis=axis)) for axis in (1, 0))
    box = [top + rows[0], left + columns[0], top + rows[-1] + 1, left + columns[-1] + 1]
    return image[None], np.array(box) / SIDE


def scenes(digits):
    made = [scene(digit) for digit in digits]
    return {"x": np.stack([image for image, _ in made]), "t": np.stack([box for _, box in made])}


def overlap(a, b):
    """Intersection over union of boxes."""
    corner, far = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:], b[:, 2:])
    shared = np.prod(np.maximum(far - corner, 0), axis=1)
    return shared / (np.prod(a[:, 2:] - a[:, :2], axis=1) + np.prod(b[:, 2:] - b[:, :2], axis=1) - shared)


seen, held_out = scenes(images[:1400]), scenes(images[1400:])

g = gg.networks.localisation(channels=1, size=SIDE, filters=(8, 16), hidden=32)
print(g)
print(f"{g.count_params():,} parameters")

history = gg.fit(g, "l", seen, optimizer=gg.Adam(0.005), epochs=15, batch_size=50, dtype="float32", progress=False)
print(f"Σ l per batch from {history.loss[0]:.2f} to {history.loss[-1]:.2f} in {len(history.loss)} epochs")

y = gg.compile(g, "y", target="numpy", dtype="float32")(x=held_out["x"], **history.params)["y"]
shared = overlap(y, held_out["t"])
guess = overlap(np.broadcast_to(seen["t"].mean(axis=0), y.shape), held_out["t"])
print(f"held-out overlap of the boxes: {shared.mean():.3f} on average, {np.mean(shared > 0.5):.1%} above one half")
print(f"a box that is always the same: {guess.mean():.3f} on average, {np.mean(guess > 0.5):.1%} above one half")
assert shared.mean() > 0.7
