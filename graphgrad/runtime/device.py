"""What generated CUDA code calls: elementary functions, views into the memory, sums and products by all threads of a grid.

With `NUMBA_ENABLE_CUDASIM=1` Numba runs a kernel in Python, with a thread of Python for each of the GPU, and all of this
is plain Python as well: so a step is tried, and tested, without a GPU.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numpy as np
from numba import config
from numba import cuda as numba_cuda

from graphgrad.ops import hashing
from graphgrad.runtime import elementary, libdevice, plain, views

FEW = 32
"""Up to how many parts of a sum are added up by one thread."""

TILE = 4 if config.ENABLE_CUDASIM else 32
"""A block computes so many rows and columns of a product, in steps of so many terms."""

PADDED = TILE + 1
"""How far rows of a tile are apart, so that a column of it is not read from one bank of the shared memory."""

THREADS = (TILE // 2) ** 2
"""The threads of a block: each computes four elements of a tile."""

kernel = numba_cuda.jit if config.ENABLE_CUDASIM else numba_cuda.jit(cache=True)

if config.ENABLE_CUDASIM:
    from numba.cuda.simulator import kernel as simulated

    class _Running:
        """Numba's names for a kernel, as they are in the one that runs."""

        def __getattr__(self, name: str) -> Any:
            return getattr(simulated._get_kernel_context(), name)

        @property
        def shared(self) -> Any:
            return self

        def array(self, shape: Any, dtype: Any) -> Any:
            """An array that the threads of a block share: that of the line, the same however many ask for it at once.

            In the simulator's own look-up, two that are the first to ask get one each.
            """
            running = simulated._get_kernel_context()
            place = running.blockIdx.x, sys._getframe(1).f_lineno
            return vars(running).setdefault("of_blocks", {}).setdefault(place, np.full(shape, np.nan, dtype))

    cuda: Any = _Running()

    def device(function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that kernels call; as silent as a GPU about what is infinite or NaN."""

        def silent(*arguments: Any) -> Any:
            with np.errstate(all="ignore"):
                return function(*arguments)

        return silent

    on_grid: Any = device
    array_at: Any = views.in_python
    globals().update({name: getattr(plain, name) for name in elementary.__all__})
else:
    from numba.cuda.extending import intrinsic

    cuda = numba_cuda

    def device(function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that kernels call."""
        compiled: Callable[..., Any] = cuda.jit(device=True)(function)
        return compiled

    array_at = intrinsic(views.typed)
    globals().update({name: getattr(elementary, name) for name in elementary.__all__})
    floor, ceil, rint = (intrinsic(libdevice.typed(name)) for name in ("floor", "ceil", "rint"))
    _known = {**vars(hashing), "mixed": device(hashing.mixed)}
    hashed = device(FunctionType(hashing.hashed.__code__, _known, "hashed"))

    def on_grid(step: Callable[..., Any]) -> Callable[..., Any]:
        """A step that all threads of a grid run."""
        from graphgrad.runtime.translation_on_gpu import device_step

        named = {"thread_of_grid": thread_of_grid, "threads_of_grid": threads_of_grid, "meet": meet}
        compiled: Callable[..., Any] = device_step(step, named)
        return compiled


@device
def thread_of_grid() -> int:
    """The number of a thread among all of its grid."""
    number: int = cuda.grid(1)
    return number


@device
def threads_of_grid() -> int:
    """How many threads the grid has."""
    count: int = cuda.gridsize(1)
    return count


@device
def meet() -> None:
    """Wait for all threads of the grid."""
    cuda.cg.this_grid().sync()


@device
def add_up(out: Any, parts: Any, count: int) -> None:
    """out = Σₖ parts[k] for the first `count` parts, by elements in order, by all threads of a grid.

    Of few parts each element is added up by one thread, of many by a block. The order depends on the count alone, so the
    bits are the same on every grid.
    """
    zero = out.dtype.type(0)
    size, thread, block = out.size, cuda.threadIdx.x, cuda.blockIdx.x
    if count <= FEW:
        for k in range(cuda.grid(1), size, cuda.gridsize(1)):
            sum_ = zero
            for part in range(count):
                sum_ += parts[size * part + k]
            out[k] = sum_
        return
    sums = cuda.shared.array(THREADS, out.dtype)
    for k in range(block, size, cuda.gridDim.x):
        sum_ = zero
        for part in range(thread, count, THREADS):
            sum_ += parts[size * part + k]
        sums[thread] = sum_
        cuda.syncthreads()
        half = THREADS // 2
        while half:
            if thread < half:
                sums[thread] += sums[thread + half]
            cuda.syncthreads()
            half //= 2
        if thread == 0:
            out[k] = sums[0]
        cuda.syncthreads()


@device
def product(out: Any, left: Any, right: Any, left_turned: bool, right_turned: bool, scale: Any, keep: Any) -> None:
    """out = keep · out + scale · left @ right, by all threads of a grid; where `keep` is 0, as in BLAS, `out` is not read.

    Each factor may be turned, to be taken transposed: its array is not, so that one function, with its shared memory, is
    there for all. A block computes one tile after the other. A step brings so many columns of the left and rows of the
    right into shared memory; each thread adds up four elements, first within the step, so that a long sum loses few digits.
    """
    zero = out.dtype.type(0)
    a = cuda.shared.array((TILE, PADDED), out.dtype)
    b = cuda.shared.array((TILE, PADDED), out.dtype)
    thread, half = cuda.threadIdx.x, TILE // 2
    row, column = thread // half, thread % half
    rows, columns, terms = out.shape[0], out.shape[1], left.shape[0] if left_turned else left.shape[1]
    across = (columns + TILE - 1) // TILE
    for tile in range(cuda.blockIdx.x, (rows + TILE - 1) // TILE * across, cuda.gridDim.x):
        top, edge = tile // across * TILE, tile % across * TILE
        s00, s01, s10, s11 = zero, zero, zero, zero
        for first in range(0, terms, TILE):
            for k in range(thread, TILE * TILE, THREADS):  # neighbouring threads read what lies side by side
                slow, fast = k // TILE, k % TILE
                if left_turned:
                    inside = first + slow < terms and top + fast < rows
                    a[fast, slow] = left[first + slow, top + fast] if inside else zero
                else:
                    inside = top + slow < rows and first + fast < terms
                    a[slow, fast] = left[top + slow, first + fast] if inside else zero
                if right_turned:
                    inside = edge + slow < columns and first + fast < terms
                    b[fast, slow] = right[edge + slow, first + fast] if inside else zero
                else:
                    inside = first + slow < terms and edge + fast < columns
                    b[slow, fast] = right[first + slow, edge + fast] if inside else zero
            cuda.syncthreads()
            t00, t01, t10, t11 = zero, zero, zero, zero
            for p in range(TILE):
                a0, a1, b0, b1 = a[row, p], a[row + half, p], b[p, column], b[p, column + half]
                t00 += a0 * b0
                t01 += a0 * b1
                t10 += a1 * b0
                t11 += a1 * b1
            s00 += t00
            s01 += t01
            s10 += t10
            s11 += t11
            cuda.syncthreads()
        for i, j, value in (
            (top + row, edge + column, s00),
            (top + row, edge + column + half, s01),
            (top + row + half, edge + column, s10),
            (top + row + half, edge + column + half, s11),
        ):
            if i < rows and j < columns:
                out[i, j] = scale * value if keep == zero else keep * out[i, j] + scale * value
