"""Pooling: a quarter of the numbers, much of what they say, and a gradient that goes to the winner.

A digit that is moved by one pixel changes less after pooling than before: a part of the invariance that the lecture
speaks of.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

import graphgrad as gg

digits = load_digits().images[:100] / 16.0

with gg.Graph("pooling") as g:
    x = gg.input("x", 1, 8, 8)
    g.M = gg.max_pool(x, 2)
    g.A = gg.avg_pool(x, 2)
    g.m = gg.global_max_pool(x)
    g.a = gg.global_avg_pool(x)
    g.s = gg.sum(g.M)
    g.t = gg.sum(g.A)
print(g.summary())
assert g.M.shape == g.A.shape == (1, 4, 4)
assert g.m.shape == g.a.shape == (1,)

largest, mean = gg.compile(g, ["s", "A", "m", "a"], wrt="x"), gg.compile(g, "t", wrt="x")
r = largest(x=digits[:, None])
blocks = digits.reshape(-1, 4, 2, 4, 2)
assert np.array_equal(r["M"][:, 0], blocks.max(axis=(2, 4)))
assert np.allclose(r["A"][:, 0], blocks.mean(axis=(2, 4)), rtol=1e-14)
print(f"\n{digits[0].size} numbers become {r['M'][0].size}")

# The gradient of Σ M is 1 at the winner of each window and 0 elsewhere; that of Σ A is 1/4 everywhere.
winners = r.grad["x"][:, 0]
assert set(np.unique(winners)) == {0.0, 1.0}
assert (winners.reshape(-1, 4, 2, 4, 2).sum(axis=(2, 4)) == 1).all()
assert (mean(x=digits[:, None]).grad["x"] == 0.25).all()
ties = largest(x=np.ones((1, 8, 8))).grad["x"][0]
assert ties[::2, ::2].all()
assert ties.sum() == 16
print("each window's gradient goes to its winner, the first where several are equal")

# Moved by one pixel to the right, the digits differ from where they were; after pooling, by less.
moved = np.pad(digits, ((0, 0), (0, 0), (1, 0)))[:, :, :8]
before = np.linalg.norm(moved - digits) / np.linalg.norm(digits)
after = {}
for name in ("M", "A", "m"):
    there, here = largest(x=moved[:, None])[name], r[name]
    after[name] = np.linalg.norm(there - here) / np.linalg.norm(here)
print(
    f"moved by a pixel, the digits change by {before:.0%}, M by {after['M']:.0%}, A by {after['A']:.0%}, m by {after['m']:.0%}"
)
assert after["m"] < after["A"] < before
assert after["M"] < before

shown = {"x": digits[:4], "M": r["M"][:4, 0], "A": r["A"][:4, 0], "∂Σ M/∂x": winners[:4]}
Path("l12_pooling.svg").write_text(gg.tiles(shown).svg(), "utf-8")
print("picture: l12_pooling.svg")
