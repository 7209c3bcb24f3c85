"""The bound step on a GPU: parameters and state stay there from step to step, and the loss comes back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from graphgrad.compiler import cache
from graphgrad.compiler.descent import with_descents
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

    @property
    def source(self) -> str:
        """The generated source, which needs no GPU to be read."""
        from graphgrad.compiler.cuda import print_step

        return print_step(self._lowered())

    @cached_property
    def _program(self) -> Program:
        return with_descents(with_sums(rewrite(self._written, self._rewrites)))

    def explain(self) -> str:
        """What was rewritten and why, and how much memory a step takes."""
        memory = self._lowered().memory
        return explained(self._title, self._program, (memory.shared, memory.each, memory.own), self.dtype)

    def _lowered(self) -> Step:
        from graphgrad.compiler.grid import lower_to_grid

        returns = self._program.values[self.objective]
        return lower_to_grid(self._program, self._leaves, self._title, self.dtype.name, returns=returns)

    @cached_property
    def _kernel(self) -> Any:
        """The compiled step: one for any number of samples."""
        gpu.required()
        key = self._written.key(self._leaves, [self._written.values[self.objective]])
        module, _ = cache.load(
            f"{self.dtype.name} bound cuda {self._rewrites} {self._title}\n{key}", lambda: self.source
        )
        return module

    def _kept_together(self, shapes: Sequence[tuple[str, tuple[int, ...]]]) -> tuple[Any, dict[str, Array]]:
        return gpu.kept_together(shapes, self.dtype)

    def _own(self, samples: int) -> tuple[Any, ...]:
        """What a step on so many samples has besides its data; the memory is taken again while their number stays."""
        if self._room is None or self._room[0] != samples:
            self._room = samples, gpu.memory_for(self._kernel, samples, self.dtype, self._too_large).there
        return (self._parameters, self._room[1]) if self.params or self.state else (self._room[1],)

    def _losses(self, arrays: tuple[Array, ...], batch: int, steps: int) -> Array:
        losses = gpu.Losses(steps, self.dtype)
        arguments = (*map(gpu.sent, arrays), batch, losses.there, *self._own(batch))
        gpu.launcher(self._kernel, batch, arguments)(*arguments)
        found = losses.read()
        wrong = np.flatnonzero(np.isnan(found))
        return found[: wrong[0]] if len(wrong) else found

    def _ready(self, arrays: tuple[Array, ...], samples: int) -> None:
        """Room for a batch of this size on the GPU, which the next ones are copied to."""
        rooms = [gpu.room(array.shape, self.dtype) for array in arrays]
        loss = gpu.Losses(1, self.dtype)
        rest = (samples, loss.there, *self._own(samples))
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
