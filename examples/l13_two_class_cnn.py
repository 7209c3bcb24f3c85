"""A convolutional network of two classes: is the handwritten digit a three or an eight?

One convolution with four filters, ReLU, max pooling, and one neuron with l = -t ln y - (1 - t) ln(1 - y). Prints the
accuracy on digits that were held out, and draws the filters and what they make of a digit to l13_two_class_cnn.svg.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import graphgrad as gg

THREE, EIGHT = 3, 8

digits = load_digits()
chosen = np.isin(digits.target, (THREE, EIGHT))
images = digits.images[chosen][:, None] / 16.0
targets = (digits.target[chosen] == EIGHT).astype(float)
seen, held_out, t_seen, t_held_out = train_test_split(images, targets, test_size=0.25, stratify=targets, random_state=0)

g = gg.networks.two_class_cnn(channels=1, size=8, filters=4)
print(g)
print(f"{g.count_params()} parameters; F is {g.F.type}, P is {g.P.type}")

data = {"x": seen, "t": t_seen}
history = gg.fit(g, "l", data, optimizer=gg.Adam(0.01), epochs=40, batch_size=32, dtype="float32", progress=False)
print(
    f"Σ l per batch from {history.loss[0]:.3f} to {history.loss[-1]:.3f} in {len(history.loss)} epochs of {len(seen)}"
)

result = gg.compile(g, "y", target="numpy", dtype="float32")(x=held_out, **history.params)
accuracy = np.mean((result["y"] > 0.5) == t_held_out)
print(f"held-out accuracy: {accuracy:.4f} of {len(held_out)} digits")
assert accuracy >= 0.95

eight = int(np.argmax(result["y"]))
filters = {f"filter {k + 1}": w[0] for k, w in enumerate(history.params["w_F"])}
maps = {f"map {k + 1}": F for k, F in enumerate(result["F"][eight])}
shown = {"the surest eight": held_out[eight, 0], **filters, "pooled": result["P"][eight, 0], **maps}
Path("l13_two_class_cnn.svg").write_text(gg.tiles(shown, columns=5).svg(), "utf-8")
print("picture: l13_two_class_cnn.svg")
