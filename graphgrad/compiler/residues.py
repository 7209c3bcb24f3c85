"""Sums of products with an index that is divided, as sums without: one for each residue of the divisor.

The gradient of a convolution of stride s for its image reads ∂A[(j - p + b) / s], where that is whole. At j = s J + a these
are the p = s u + c of one residue c, and the index is J - u + (a - c + b) / s: a convolution of stride 1 with every s-th
weight, whose results lie s apart. Source: Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from functools import lru_cache

from graphgrad.compiler.indices import Where
from graphgrad.graph import Axis, Formula, Index, at


@lru_cache(1024)
def residues(formula: Formula) -> tuple[tuple[Formula, Where], ...] | None:
    """Formulas without a divided index, and where in the result each lies; None where that is not possible."""
    divided = [index for read in formula.reads for index in read if index.divisor > 1]
    pairs = [_pair(formula, index) for index in divided]
    if any(pair is None for pair in pairs):
        return None
    used = [axis for pair in pairs if pair is not None for axis, _ in pair]
    every = [axis for read in formula.reads for index in read if index.divisor > 1 for axis, _ in index.terms]
    if len(set(used)) != len(every):
        return None
    found = []
    for own in itertools.product(*(range(index.divisor) for index in divided)):
        places: dict[Axis, Index] = {}
        for index, pair, a in zip(divided, pairs, own, strict=True):
            assert pair is not None
            ((out, _), (over, step)), s = pair, index.divisor
            c = next(c for c in range(s) if (a + step * c + index.offset) % s == 0)
            counts = [-(-((axis.extent or 0) - first) // s) for axis, first in ((out, a), (over, c))]
            if counts[0] <= 0:
                break
            if counts[1] <= 0:
                return None  # where no weight is, 0 is what the result has
            for axis, count, first in zip((out, over), counts, (a, c), strict=True):
                places[axis] = Index(((Axis(axis.name, count), s),), first)
        else:
            found.append(_placed(formula, places))
    return tuple(found)


def _pair(formula: Formula, index: Index) -> tuple[tuple[Axis, int], tuple[Axis, int]] | None:
    """The axis of the result and the one summed over, of which a divided index is made, and how far each moves it."""
    out = [term for term in index.terms if term[0] in formula.axes]
    over = [term for term in index.terms if term[0] in formula.over]
    if index.table or len(out) != 1 or len(over) != 1 or len(index.terms) != 2:
        return None
    alone = out[0][1] == 1 and math.gcd(over[0][1], index.divisor) == 1
    return (out[0], over[0]) if alone else None


def _placed(formula: Formula, places: dict[Axis, Index]) -> tuple[Formula, Where]:
    def renamed(axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
        return tuple(places[axis].terms[0][0] if axis in places else axis for axis in axes)

    def moved(read: Where) -> Where:
        return tuple(index.placed(places) for index in read)

    reads = tuple(map(moved, formula.reads))
    return replace(formula, axes=renamed(formula.axes), over=renamed(formula.over), reads=reads), moved(
        at(*formula.axes)
    )


__all__ = ["residues"]
