"""Steps on a GPU: arrays that go there, the memory of a step, and one kernel on as many threads as help."""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

import numpy as np
from numba import config

from graphgrad.graph import GraphError
from graphgrad.graph.data import Array
from graphgrad.runtime.memory import places, viewed

try:
    from numba import cuda
except ImportError:  # a Numba that leaves it to the package numba-cuda, which is not there
    cuda = None

EACH = 8
"""About how many numbers a thread computes before another one is asked to help."""

SECONDS = 0.25
"""About how long one launch may take: one that drives a screen ends those that take seconds, and none is interrupted."""

OUT_OF_MEMORY = 2
"""The number of the driver's error."""

one_by_one = threading.RLock()
"""Held while a step is on the GPU."""


def is_there() -> bool:
    """Whether there is a GPU that Numba can use."""
    return cuda is not None and bool(cuda.is_available())


def required() -> None:
    """Raises GraphError where there is none."""
    if is_there():
        return
    found = "Numba finds no CUDA" if cuda is None else " ".join(str(cuda.cuda_error() or "there is none").split())
    raise GraphError(
        "target='cuda' computes on an NVIDIA GPU, by its driver and the package numba-cuda (pip install "
        f"'graphgrad[cuda12]', or cuda13): {found.rstrip('.:')}. target='cpu' needs neither"
    )


def version() -> str:
    """That of the package numba-cuda, which is part of what a kernel in the cache depends on."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version("numba-cuda")
    return ""


def taken(make: Callable[..., Any], *given: Any) -> Any:
    """Memory of the GPU, as `make` takes it; MemoryError where there is too little of it."""
    required()
    try:
        return make(*given)
    except cuda.cudadrv.driver.CudaAPIError as error:
        if int(error.args[0]) != OUT_OF_MEMORY:
            raise
        raise MemoryError("the GPU has too little memory for what is computed on it; give fewer samples") from None


class Memory:
    """Numbers on the GPU, which are brought back part by part as they are read."""

    def __init__(self, count: int, dtype: Any) -> None:
        self.there = taken(cuda.device_array, max(count, 1), dtype)

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
    except MemoryError:
        raise too_large(samples, count * np.dtype(dtype).itemsize) from None


def room(shape: tuple[int, ...], dtype: Any) -> Any:
    """Room for an array on the GPU."""
    return taken(cuda.device_array, shape, dtype)


def sent(array: Array) -> Any:
    """A copy of an array on the GPU."""
    return taken(cuda.to_device, array)


def kept_together(shapes: Sequence[tuple[int, ...]], dtype: Any) -> tuple[Any, list[Array]]:
    """One array for several, each of which begins at a whole line, and a view of each.

    Steps on the GPU change it, and it is read and changed by the program between them, not meanwhile: it lies where it was
    used last. Without a GPU it is there all the same, as the source of a step is.
    """
    starts, count = places(shapes)
    both = is_there() and not config.ENABLE_CUDASIM
    flat = (taken(cuda.managed_array, max(count, 1), dtype)) if both else np.empty(max(count, 1), dtype)
    return flat, viewed(np.asarray(flat), starts, shapes)


class Losses:
    """The loss of each step, in memory that the GPU writes and the program reads."""

    def __init__(self, count: int, dtype: Any) -> None:
        self.there = taken(cuda.mapped_array, count, dtype)

    def read(self) -> Array:
        """The losses as they are now, when the steps have been made."""
        return np.array(self.there.copy_to_host() if config.ENABLE_CUDASIM else self.there)


def launcher(module: Any, samples: int, arguments: Sequence[Any]) -> Callable[..., None]:
    """The kernel of a step for arguments of these types, on so many samples.

    It runs on at most as many blocks as are at work at once, since they wait for each other, and is done when it returns.
    """
    from graphgrad.runtime.device import THREADS

    with one_by_one, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*under-utilization")  # a small step needs few threads
        blocks = 1
        if not config.ENABLE_CUDASIM:
            compiled = module.run.compile(tuple(map(module.run.typeof_pyval, arguments)))
            wanted = -(-(module.ONCE + module.WORK * samples) // (THREADS * EACH))
            blocks = max(1, min(compiled.max_cooperative_grid_blocks(THREADS), wanted))
        run = module.run[blocks, THREADS]

    def launch(*arguments: Any) -> None:
        with one_by_one:
            run(*arguments)
            cuda.synchronize()

    return launch


def in_parts(steps: int, make: Callable[[int, int], bool]) -> None:
    """Make steps, as many in one go as take about a quarter of a second; `make` says whether to go on."""
    done, some = 0, 1
    while done < steps:
        start = time.perf_counter()
        if not make(done, min(done + some, steps)):
            return
        seconds = time.perf_counter() - start
        done, some = done + some, max(1, min(2 * some, int(some * SECONDS / max(seconds, 1e-9))))
