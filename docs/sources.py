"""Writes the generated sources in `sources/`; `make docs` runs it.

They are those of one step of gradient descent on several samples, as the processor of the writer has them: the sizes of
register tiles are those of its registers.
"""

import re
from pathlib import Path

import numpy as np

import graphgrad as gg

DIGEST = re.compile("# [0-9a-f]{64}")
"""The last line of a source that is in the kernel cache."""


def lecture() -> gg.Graph:
    """The lecture's network with two hidden layers."""
    return gg.networks.two_hidden_layers()


def lenet() -> gg.Graph:
    """Two convolutions with pooling and a dense layer, on images of 28 x 28."""
    with gg.Graph("LeNet") as g:
        x, t = gg.input("x", 1, 28, 28), gg.input("t")
        K1, b1 = gg.param("K^{(1)}", 8, 1, 5, 5), gg.param("b^{(1)}", 8, 1, 1)
        K2, b2 = gg.param("K^{(2)}", 16, 8, 5, 5), gg.param("b^{(2)}", 16, 1, 1)
        W, b = gg.param("W", 10, 256), gg.param("b", 10)
        g.A = gg.conv(x, K1) + b1
        g.B = gg.max_pool(gg.relu(g.A), 2)
        g.C = gg.conv(g.B, K2) + b2
        g.D = gg.max_pool(gg.relu(g.C), 2)
        g.z = W @ gg.flatten(g.D) + b
        g.l = gg.cross_entropy_with_logits(g.z, t)
    return g


def deep() -> gg.Graph:
    """Thirty hidden layers that are alike: one loop forward, one backward."""
    with gg.Graph("thirty layers") as g:
        x, t = gg.input("x", 16), gg.input("t")
        h = x
        for k in range(1, 31):
            W, b = gg.param(f"W^{{({k})}}", 16, 16), gg.param(f"b^{{({k})}}", 16)
            g[f"h^{{({k})}}"] = h = gg.tanh(W @ h + b)
        g.z = gg.param("w", 16) @ h
        g.l = gg.binary_cross_entropy_with_logits(g.z, t)
    return g


def main() -> None:
    folder = Path(__file__).parent / "sources"
    folder.mkdir(exist_ok=True)
    for make in (lecture, lenet, deep):
        write(folder / f"{make.__name__}.py", make(), "cpu")
    write(folder / "lecture_cuda.py", lecture(), "cuda")


def write(file: Path, g: gg.Graph, target: str) -> None:
    start = {node.name.ident: np.zeros(node.shape) for node in g.parameters if node.name}
    f = gg.compile(g, "l", wrt=list(start), dtype="float32", target=target)
    source = f.bind(**start, optimizer=gg.SGD(0.1)).source
    lines = [line for line in source.splitlines() if not DIGEST.fullmatch(line)]
    file.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
