"""150 inputs and 150 neurons: full connections, connections to three neighbours, and three weights that all share.

What a layer does to its input is a matrix in all three cases: full, banded, and banded with equal rows. The matrix is
the Jacobian ∂A/∂x; it is drawn beside the count of the weights that it is made of.
"""

from pathlib import Path

import numpy as np

import graphgrad as gg

with gg.Graph("three ways to connect 150 inputs and 150 neurons") as g:
    x = gg.input("x", 150)
    W = gg.param("W", 150, 150)
    V = gg.param("V", 1, 150, 1, 3)  # a filter of three weights for each of the 150 positions
    v = gg.param("v", 1, 1, 3)  # one filter
    g.A = W @ x
    image = gg.expand_dims(x, 0)  # one channel
    g.B = gg.locally_connected(image, V, padding="same")[0]
    g.C = gg.conv(image, v, padding="same")[0]

print(g.summary())
counts = {layer: weights.type.size for layer, weights in (("full", W), ("three neighbours", V), ("shared", v))}
for layer, count in counts.items():
    print(f"{layer:<16} {count:>7,} weights")
assert list(counts.values()) == [22_500, 450, 3]

generator = np.random.default_rng(0)
weights = {node.name.ident: generator.normal(size=node.shape) for node in g.parameters}
matrices = {
    layer: gg.jacobian(g[name], x, x=np.zeros(150), **weights).value.reshape(150, 150)
    for layer, name in zip(counts, "ABC", strict=True)
}

# Full, banded, and banded with equal rows.
full, banded, equal = matrices.values()
rows, columns = np.indices((150, 150))
near = abs(rows - columns) <= 1
assert np.array_equal(full, weights["W"])
assert not banded[~near].any()
assert banded[near].all()
assert not equal[~near].any()
assert all((equal.diagonal(offset) == equal[1, 1 + offset]).all() for offset in (-1, 0, 1))
assert equal[75, 74:77].tolist() == weights["v"].ravel().tolist()

# The star is a cross-correlation, as in every framework; the textbook's convolution has its filter the other way round.
signal = generator.normal(size=150)
turned = weights | {"v": weights["v"][..., ::-1]}
done = gg.compile(g, ["A", "B", "C"])(x=signal, **turned)["C"]
assert np.allclose(done, np.convolve(signal, weights["v"].ravel(), mode="same"), rtol=1e-12)

drawn = {f"{layer}, {counts[layer]:,}": matrix for layer, matrix in matrices.items()}
corners = {f"{layer}, 12×12": matrix[:12, :12] for layer, matrix in matrices.items()}
Path("l10_connections.svg").write_text(gg.tiles({**drawn, **corners}, columns=3).svg(), "utf-8")
print("picture: l10_connections.svg")
