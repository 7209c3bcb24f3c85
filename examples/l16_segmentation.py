"""Segmentation: which pixels belong to the zero, which to the one, and which to neither?

Each image holds two handwritten digits, a zero and a one, at places of their own under noise. A fully convolutional
network gives every pixel a class from the 9 by 9 pixels around it; its loss is the mean cross entropy of the pixels.
Prints the share of pixels that are right and the Dice overlap of each digit, on digits that were held out, and draws some
to l16_segmentation.svg.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import graphgrad as gg
from graphgrad.networks import convolution

SIDE = 16
generator = np.random.default_rng(0)
digits = load_digits()
zeros, ones = (digits.images[digits.target == digit] / 16.0 for digit in (0, 1))


def scene(zero, one):
    """An image with both digits side by side, each at a height of its own, and the class of each pixel."""
    image, classes = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE))
    for column, digit in enumerate(generator.permutation([1, 2])):
        top = generator.integers(0, SIDE - 8 + 1)
        window = slice(top, top + 8), slice(8 * column, 8 * column + 8)
        image[window] = ink = zero if digit == 1 else one
        classes[window] = digit * (ink > 0.3)
    return np.clip(image + generator.normal(0, 0.1, image.shape), 0, 1)[None], classes


def scenes(zeros, ones, count):
    made = [scene(zeros[generator.integers(len(zeros))], ones[generator.integers(len(ones))]) for _ in range(count)]
    return {"x": np.stack([image for image, _ in made]), "t": np.stack([classes for _, classes in made])}


seen, held_out = scenes(zeros[:120], ones[:120], 300), scenes(zeros[120:], ones[120:], 100)

with gg.Graph("fully convolutional network") as g:
    x, t = gg.input("x", 1, SIDE, SIDE), gg.input("t", SIDE, SIDE)
    convolution(x, 8, size=5, name="F1")
    convolution(g.F1, 8, size=5, name="F2")
    convolution(g.F2, 3, None, size=1, name="E")
    g.y = gg.softmax(g.E, axis=0)
    g.L = gg.cross_entropy(g.y, t)
    g.l = gg.mean(g.L)
print(g)
print(f"{g.count_params():,} parameters")

history = gg.fit(g, "l", seen, optimizer=gg.Adam(0.01), epochs=12, batch_size=10, dtype="float32", progress=False)
print(f"Σ l per batch from {history.loss[0]:.2f} to {history.loss[-1]:.2f} in {len(history.loss)} epochs")

y = gg.compile(g, "y", target="numpy", dtype="float32")(x=held_out["x"], **history.params)["y"]
found, asked = np.argmax(y, axis=1), held_out["t"]
right = np.mean(found == asked)
dice = [2 * np.sum((found == k) & (asked == k)) / (np.sum(found == k) + np.sum(asked == k)) for k in (1, 2)]
print(
    f"held-out pixels that are right: {right:.3f} of {asked.size:,}; Dice of zeros {dice[0]:.3f}, of ones {dice[1]:.3f}"
)
assert min(dice) > 0.75

pictures = {"image": held_out["x"][:, 0], "found": found, "asked": asked}
shown = {f"{what} {k + 1}": arrays[k] for what, arrays in pictures.items() for k in range(4)}
Path("l16_segmentation.svg").write_text(gg.tiles(shown, columns=4).svg(), "utf-8")
print("picture: l16_segmentation.svg")
