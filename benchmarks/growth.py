"""How cost grows: with the batch, the depth and the width of a network, and with the nodes of a graph.

    python growth.py          writes growth.json and growth.svg beside this file

Each point is a process of its own with an empty cache: seconds to build the graph, to differentiate it, to compile its
first step, and for a step after that.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
POINTS = {
    "samples": [1, 4, 16, 64, 256, 1024, 4096],
    "layers": [1, 3, 10, 30, 100],
    "width": [8, 32, 128, 512, 2048],
    "nodes": [10, 100, 1000, 10_000],
}
PARTS = ("build", "differentiate", "compile", "step")


def measured(axis: str, size: int) -> dict[str, float]:
    """The seconds of each part at one point."""
    import numpy as np

    import graphgrad as gg
    import graphgrad.runtime.bound  # what is loaded once does not grow

    gg.set_num_threads(1)
    random = np.random.default_rng(0)
    samples, layers, width = 64, 3, 32
    if axis == "samples":
        samples = size
    elif axis == "layers":
        layers = size
    elif axis == "width":
        width = size
    times = [time.perf_counter()]
    with gg.Graph("growing") as g:
        if axis == "nodes":  # a chain of elementwise nodes on a vector
            x, w = gg.input("x", 8), gg.param("w", 8)
            h = x
            for k in range(size // 2):
                h = gg.tanh(h) if k % 2 else h * w
                h = h + x
        else:
            x, h = gg.input("x", width), None
            for k in range(layers):
                W, b = gg.param(f"W{k}", width, width), gg.param(f"b{k}", width)
                h = gg.tanh(W @ (x if h is None else h) + b)
        g.J = gg.batch_mean(gg.sum(gg.square(h)))
    names = [node.name.ident for node in g.parameters if node.name]
    times.append(time.perf_counter())
    for name in names:
        gg.grad(g.J, g[name])
    times.append(time.perf_counter())
    start = {name: random.normal(size=g[name].shape) / width**0.5 for name in names}
    begin = time.perf_counter()
    f = gg.compile(g, "J", wrt=names, dtype="float32", keep=False)
    step = f.bind(**start, optimizer=gg.SGD(1e-3))
    X = random.normal(size=(samples, x.shape[0])).astype("float32")
    step(X)
    compile_ = time.perf_counter() - begin
    best = float("inf")
    for _ in range(5):
        count, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < 0.05:
            step(X)
            count += 1
        best = min(best, (time.perf_counter() - begin) / count)
    build, differentiate = (b - a for a, b in itertools.pairwise(times))
    return dict(zip(PARTS, (build, differentiate, compile_, best), strict=True))


def drawn(results: dict[str, list[dict[str, Any]]]) -> None:
    """The chart: a panel for what grows, a line for each part, all axes logarithmic."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(results), figsize=(14, 3.6), sharey=True)
    for panel, (axis, rows) in zip(panels, results.items(), strict=True):
        for part in PARTS:
            panel.loglog([row["size"] for row in rows], [row[part] for row in rows], "o-", ms=3, label=part)
        panel.set_xlabel(axis)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("seconds")
    panels[0].legend(frameon=False, fontsize="small", loc="upper left", ncols=2)
    figure.tight_layout()
    figure.savefig(HERE / "growth.svg")


def main() -> None:
    if len(sys.argv) == 3:
        print(json.dumps(measured(sys.argv[1], int(sys.argv[2]))))
        return
    results: dict[str, list[dict[str, Any]]] = {}
    for axis, sizes in POINTS.items():
        for size in sizes:
            with tempfile.TemporaryDirectory() as cache:
                found = subprocess.run(
                    [sys.executable, __file__, axis, str(size)],
                    env={**os.environ, "GRAPHGRAD_CACHE_DIR": cache, "OMP_NUM_THREADS": "1"},
                    check=True,
                    capture_output=True,
                    text=True,
                )
            row = {"size": size, **json.loads(found.stdout)}
            results.setdefault(axis, []).append(row)
            print(f"{axis:8} {size:6}  " + "  ".join(f"{part} {row[part]:.6f} s" for part in PARTS), flush=True)
    (HERE / "growth.json").write_text(json.dumps(results, indent=1), "utf-8")
    drawn(results)


if __name__ == "__main__":
    main()
