"""The memory of a step: where it begins, how much it takes, and when it is taken again."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphgrad.compiler.units import LINE as STEP
from graphgrad.compiler.units import MEETING, SHARING
from graphgrad.runtime.team import threads_for

LINE = 64
"""The bytes of a line of the processor's cache."""


def aligned(count: int, dtype: Any) -> Any:
    """So many numbers that begin at a line of the processor's cache; the first lines of them are 0."""
    return Reused().take(count, dtype)


class Reused:
    """Memory that is taken again once nothing reads what was computed in it: fresh memory can cost more than arithmetic."""

    MOST = 2**28
    """As many bytes are kept from one call to the next."""

    def __init__(self) -> None:
        self._raw: Any = None

    def take(self, count: int, dtype: Any) -> Any:
        """Memory as `aligned` gives it; of threads that take at once, each gets its own."""
        size = count * np.dtype(dtype).itemsize
        raw, self._raw = self._raw, None
        if raw is None or raw.nbytes < size + LINE or sys.getrefcount(raw) > 2:  # `raw` itself, and the question
            raw = np.empty(size + LINE, np.uint8)
        start = -raw.ctypes.data % LINE
        raw[: start + (MEETING + SHARING) * np.dtype(dtype).itemsize] = 0
        if size <= self.MOST:
            self._raw = raw
        return raw[start : start + size].view(dtype)


def memory_for(
    module: Any, samples: int, dtype: Any, too_large: Callable[[int, int], Exception], reused: Reused | None = None
) -> tuple[Any, int | None]:
    """The memory of a compiled step on so many samples, and by how many threads it is made; None for one without a team."""
    shared, each, own = module.MEMORY
    threads = threads_for(module.WORK * samples) if hasattr(module, "WORK") else None
    padded = -(-samples // module.LANES) * module.LANES
    count = shared + each * padded + own * (threads or 1)
    try:
        return (reused or Reused()).take(count, dtype), threads
    except (MemoryError, ValueError):
        raise too_large(samples, count * np.dtype(dtype).itemsize) from None


def places(shapes: Sequence[tuple[int, ...]]) -> tuple[list[int], int]:
    """Where each of several arrays begins, at a line of the cache, and how many numbers they take together."""
    starts, count = [], 0
    for shape in shapes:
        starts.append(count)
        count += -(-math.prod(shape) // STEP) * STEP
    return starts, count


def viewed(flat: Any, starts: Sequence[int], shapes: Sequence[tuple[int, ...]]) -> list[Any]:
    """The arrays that begin at these places of one."""
    return [flat[at : at + math.prod(shape)].reshape(shape) for at, shape in zip(starts, shapes, strict=True)]


def kept_together(shapes: Sequence[tuple[int, ...]], dtype: Any) -> tuple[Any, list[Any]]:
    """One array for several, each of which begins at a line of the cache, and a view of each."""
    starts, count = places(shapes)
    flat = aligned(count, dtype)
    return flat, viewed(flat, starts, shapes)
