"""The compiled function of a graph on a GPU: one kernel for any number of samples."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from graphgrad.compiler import cache
from graphgrad.compiler.cuda import print_step
from graphgrad.compiler.grid import lower_to_grid
from graphgrad.compiler.loops import Step
from graphgrad.compiler.program import Program
from graphgrad.compiler.summed import with_sums
from graphgrad.graph import GraphError
from graphgrad.graph.data import Array
from graphgrad.runtime.function import Function, explained
from graphgrad.runtime.result import Result


class FunctionOnGPU(Function):
    """`f(x=..., W0=...)` copies the arrays to the GPU; of what is computed there, that comes back which is read.

    `source` and `explain()` need no GPU.
    """

    def _specialised(self, found: Program) -> Program:
        return with_sums(found)

    def _run(self, values: list[Array], samples: int, single: bool) -> Result:
        from graphgrad.runtime import gpu  # the source is read without

        gpu.required()
        module = self._kernel
        memory = gpu.memory_for(module, samples, self.dtype, self._too_large)
        data = [value for leaf, value in zip(self.leaves, values, strict=True) if leaf.per_sample]
        arguments = (*map(gpu.sent, [*data, *self._together(values)]), memory.there)
        gpu.launcher(module, samples, arguments)(*arguments)
        return Result(self, values, samples, single, None, memory, module)

    @cached_property
    def _kernel(self) -> Any:
        from graphgrad.runtime import gpu

        return cache.load(self._key(f"cuda {gpu.version()}"), lambda: self.source)[0]

    @cached_property
    def _lowered(self) -> Step:
        return lower_to_grid(self.program, self.leaves, self.graph.title, self.dtype.name, self._results)

    @cached_property
    def source(self) -> str:
        """The generated source: one for any number of samples."""
        return print_step(self._lowered)

    @property
    def source_on_lanes(self) -> str:
        """The same, since it is one for any number of samples."""
        return self.source

    @property
    def njit(self) -> Any:
        """Raises GraphError: what the caller's own kernel may call is the `step` of `source`."""
        raise GraphError("njit is code for the CPU: compile for target='cpu'; a kernel calls the step of `source`")

    def explain(self) -> str:
        """What was rewritten and why, and how much memory a step takes."""
        memory = self._lowered.memory
        return explained(self.graph.title, self.program, (memory.shared, memory.each, memory.own), self.dtype)

    def bind(self, optimizer: Any = None, **parameters: object) -> Any:
        """The training step with parameters, optimiser state and memory on the GPU."""
        from graphgrad.runtime.bound_on_gpu import BoundStepOnGPU

        return BoundStepOnGPU(self, optimizer, parameters)
