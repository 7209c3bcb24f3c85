"""The bound step on a GPU: parameters and state stay there from step to step, and the loss comes back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from graphgrad.compiler import cache
from graphgrad.compiler.cuda import print_step
from graphgrad.compiler.descent import with_descents
from graphgrad.compiler.grid import lower_to_grid
from graphgrad.compiler.loops import Step
from graphgrad.compiler.program import Program
from graphgrad.compiler.rewrites import rewrite
from graphgrad.compiler.summed import with_sums
from graphgrad.graph.data import Array
from graphgrad.runtime import gpu
from graphgrad.runtime.bound import BoundStep
from graphgrad.runtime.function import explained


class BoundStepOnGPU(BoundStep):
    """`step(X, T)` copies a batch to the GPU and makes one training step there; `run` copies the data once.

    `params` and `state` lie in memory that both sides see: reading them brings them here, the next step takes them back.
    """

    _room: tuple[int, Any] | None = None
    _rooms: Sequence[Any] = ()

    @cached_property
    def source(self) -> str:
        """The generated source, which needs no GPU to be read."""
        return print_step(self._lowered)

    def explain(self) -> str:
        """What was rewritten and why, and how much memory a step takes."""
        memory = self._lowered.memory
        return explained(self._title, self._program, (memory.shared, memory.each, memory.own), self.dtype)

    @cached_property
    def _program(self) -> Program:
        return with_descents(with_sums(rewrite(self._written, self._rewrites)))

    @cached_property
    def _lowered(self) -> Step:
        returns = self._program.values[self.objective]
        return lower_to_grid(self._program, self._leaves, self._title, self.dtype.name, returns=returns)

    @cached_property
    def _kernel(self) -> Any:
        """The compiled step: one for any number of samples."""
        gpu.required()
        key = self._written.key(self._leaves, [self._written.values[self.objective]])
        kind = f"{self.dtype.name} bound cuda {gpu.version()} {self._rewrites} {self._title}"
        return cache.load(f"{kind}\n{key}", lambda: self.source)[0]

    def _kept_together(self, shapes: Sequence[tuple[int, ...]]) -> tuple[Any, list[Array]]:
        return gpu.kept_together(shapes, self.dtype)

    def _own(self, samples: int) -> tuple[Any, ...]:
        """What a step on so many samples has besides its data; the memory is taken again while their number stays."""
        if self._room is None or self._room[0] != samples:
            self._room, self._step, self._rooms = None, None, []  # what was taken before is free
            self._room = samples, gpu.memory_for(self._kernel, samples, self.dtype, self._too_large).there
        return (self._parameters, self._room[1]) if self.params or self.state else (self._room[1],)

    def _losses(self, arrays: tuple[Array, ...], batch: int, steps: int) -> Array:
        if not steps:
            return np.empty(0, self.dtype)
        own, losses = self._own(batch), gpu.Losses(steps, self.dtype)
        data = (*map(gpu.sent, arrays), batch, losses.there)
        launch = gpu.launcher(self._kernel, batch, (*data, 0, 1, *own))
        wrong: list[int] = []

        def make(first: int, last: int) -> bool:
            launch(*data, first, last, *own)
            wrong.extend(np.flatnonzero(np.isnan(losses.read()[first:last])) + first)
            return not wrong

        gpu.in_parts(steps, make)
        return losses.read()[: wrong[0] if wrong else steps]

    def _ready(self, arrays: tuple[Array, ...], samples: int) -> None:
        """Room for a batch of this size on the GPU, which the next ones are copied to."""
        own = self._own(samples)
        if self._step is not None and [room.shape for room in self._rooms] == [array.shape for array in arrays]:
            return
        rooms = self._rooms = [gpu.room(array.shape, self.dtype) for array in arrays]
        loss = gpu.Losses(1, self.dtype)
        rest = (samples, loss.there, 0, 1, *own)
        launch = gpu.launcher(self._kernel, samples, (*rooms, *rest))

        def step(*batch: Any) -> float:
            if not all(type(one) is np.ndarray and one.dtype == self.dtype and one.flags.carray for one in batch):
                raise TypeError("arrays of another kind are looked at first")
            with gpu.one_by_one:
                for room, one in zip(rooms, batch, strict=True):
                    room.copy_to_device(one)
                launch(*rooms, *rest)
                return float(loss.read()[0])

        self._step, self._rest = step, ()
