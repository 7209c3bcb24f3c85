"""Weights' gradients behind a max-pooling: of each window only its winner counts, so only winners are multiplied.

A generated step states such a sum at its head, as it is read on paper, and calls it on its arrays:

    sum_dK = of_winners("dK[i, j, k, m] += x[j, 2 * p + r + k, 2 * q + u + m] * dA[i, p, q]",
                        {"i": 8, "j": 3, "k": 5, "m": 5, "p": 12, "q": 12, "r": 2, "u": 2},
                        where="winner[i, p, q] == 2 * r + u", registers=24, room=4836)

Of each sample the image is copied with its channels side by side and zeros around it, and what has come to each window
beside the place where its winner lies in that copy. The kernel's sums of one map then stay in registers, `registers` of
them at once, while window after window adds its number times rows of the image: a quarter of the products where windows
are 2 by 2. The copies and the sums lie in an array of `room` numbers, or lanes of them.

Source: as for a product with a sparse matrix, rows by rows: Gustavson, Two fast algorithms for sparse matrices, 1978.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from graphgrad.runtime.contraction import AT_ONCE, WHOLE, Pointer, fma, rolled, sums_of_products
from graphgrad.runtime.lanes import Lanes, spread
from graphgrad.runtime.stated import SLACK, Winners, read_winners

STRETCH = 1024
"""How many windows are summed up one after the other; a sum of more numbers would lose digits."""


def of_winners(
    text: str, extents: Mapping[str, int], *, where: str, registers: int, room: int
) -> Callable[..., Any]:
    """The compiled function (out, image, numbers, winners, room) of a sum over the winners of windows.

    After these comes which of the lanes are alive, where the arrays are of lanes. Raises ValueError where the text is no
    such sum, or needs more room.
    """
    if config.DISABLE_JIT:
        return in_python(text, extents, where=where, registers=registers, room=room)
    count = itertools.count()
    names = re.sub(r"\w+(?=\[)", lambda name: f"array{next(count)}", text), where.partition("[")[2]
    key = (*names, repr(extents), registers, room)
    if key not in _known:
        _known[key] = _compiled(read_winners(text, extents, where), registers, room)
        sums_of_products.add(_known[key])
    return _known[key]


_known: dict[tuple[Any, ...], Callable[..., Any]] = {}


def _compiled(found: Winners, registers: int, room: int) -> Callable[..., Any]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _Writer(found, registers, room, context, builder, signature, arguments).write()
        return context.get_dummy_value()

    def alone(typing_context: Any, out: Any, image: Any, numbers: Any, winners: Any, room: Any) -> Any:
        return types.none(out, image, numbers, winners, room), generate

    def on_lanes(typing_context: Any, out: Any, image: Any, numbers: Any, winners: Any, room: Any, alive: Any) -> Any:
        return types.none(out, image, numbers, winners, room, alive), generate

    del alone, on_lanes
    raise NotImplementedError
