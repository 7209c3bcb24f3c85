"""Steps on a GPU: arrays that go there, the memory of a step, and one kernel on as many threads as help."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numba import config

from graphgrad.graph import GraphError
from graphgrad.graph.data import Array
from graphgrad.runtime.memory import places

try:
    from numba import cuda
except ImportError:  # a Numba that leaves it to the package numba-cuda, which is not there
    cuda = None

EACH = 8
"""About how many numbers a thread computes before another one is asked to help."""

one_by_one = threading.RLock()
"""Held while a step is on the GPU."""


def is_there() -> bool:
    """Whether there is a GPU that Numba can use."""
    return cuda is not None and bool(cuda.is_available())


def required() -> None:
    """Raises GraphError where there is none."""
    if not is_there():
        why = str((cuda and cuda.cuda_error()) or "none was found").split()
        raise GraphError(
            "target='cuda' computes on an NVIDIA GPU, by its driver and the package numba-cuda (pip install "
            f"'graphgrad[cuda12]', or cuda13); here Numba says: {' '.join(why).rstrip('.:')}. target='cpu' needs neither"
        )


class Memory:
    """Numbers on the GPU, which are brought back part by part as they are read."""

    def __init__(self, count: int, dtype: Any) -> None:
        self.there = cuda.device_array(max(count, 1), dtype)

    def __getitem__(self, place: int | slice) -> Any:
        if isinstance(place, slice):
            return self.there[place].copy_to_host()
        return self.there[place : place + 1].copy_to_host()[0]


def memory_for(module: Any, samples: int, dtype: Any, too_large: Callable[[int, int], Exception]) -> Memory:
    """The memory of a compiled step on so many samples."""
    required()
    shared, each, _ = module.MEMORY
    count = shared + each * samples
    try:
        return Memory(count, dtype)
    except (MemoryError, cuda.cudadrv.driver.CudaAPIError):
        raise too_large(samples, count * np.dtype(dtype).itemsize) from None


def room(shape: tuple[int, ...], dtype: Any) -> Any:
    """Room for an array on the GPU."""
    required()
    return cuda.device_array(shape, dtype)


def sent(array: Array) -> Any:
    """A copy of an array on the GPU."""
    required()
    return cuda.to_device(array)


def kept_together(shapes: Sequence[tuple[str, tuple[int, ...]]], dtype: Any) -> tuple[Any, dict[str, Array]]:
    """One array for several, each of which begins at a whole line, and a view of each by its name.

    Steps on the GPU change it, and it is read and changed by the program between them: it lies where it was used last.
    Without a GPU it is there all the same, as the source of a step is.
    """
    starts, count = places(shapes)
    both = is_there() and not config.ENABLE_CUDASIM
    flat = cuda.managed_array(max(count, 1), dtype) if both else np.empty(max(count, 1), dtype)
    seen = np.asarray(flat)
    return flat, {
        name: seen[start : start + math.prod(shape)].reshape(shape)
        for start, (name, shape) in zip(starts, shapes, strict=True)
    }


class Losses:
    """The loss of each step, in memory that the GPU writes and the program reads."""

    def __init__(self, count: int, dtype: Any) -> None:
        required()
        self.there = cuda.mapped_array(count, dtype)

    def read(self) -> Array:
        """The losses as they are now, when the steps have been made."""
        return np.array(self.there.copy_to_host() if config.ENABLE_CUDASIM else self.there)


def launcher(module: Any, samples: int, arguments: Sequence[Any]) -> Callable[..., None]:
    """The kernel of a step for arguments of these types, on so many samples.

    It runs on at most as many blocks as are at work at once, since they wait for each other, and is done when it returns.
    """
    from graphgrad.runtime.device import THREADS

    with one_by_one:
        blocks = 1
        if not config.ENABLE_CUDASIM:
            compiled = module.run.compile(tuple(map(module.run.typeof_pyval, arguments)))
            wanted = -(-module.WORK * samples // (THREADS * EACH))
            blocks = max(1, min(compiled.max_cooperative_grid_blocks(THREADS), wanted))
        run = module.run[blocks, THREADS]

    def launch(*arguments: Any) -> None:
        with one_by_one:
            run(*arguments)
            cuda.synchronize()

    return launch
