"""The CUDA printer: loops as a readable Python file that Numba compiles for a GPU. It is what `f.source` shows there.

A step is one function that all threads of a grid run: each takes every so many-th element of a nest of loops, and they
meet where one needs what another has written.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from graphgrad.compiler.lines import constants
from graphgrad.compiler.loops import (
    AddUp,
    Alone,
    Divided,
    Flat,
    Loop,
    Meet,
    Product,
    Section,
    Statement,
    Step,
)
from graphgrad.compiler.printer import Printer, times_n
from graphgrad.compiler.scalar import literal

DEVICE_FUNCTIONS = frozenset({"add_up", "array_at", "product"})


def print_step(step: Step) -> str:
    """The whole file: imports, the step as a device function, and the kernel that runs it."""
    return _Printer(step).file()


class _Printer(Printer):
    def file(self) -> str:
        step = self.step
        names = [argument.name for argument in step.arguments]
        own = [*(["parameters"] if step.memory.kept else []), "memory"]
        body, used = self.body()
        self._step(names, own, body, used)
        self._run(names, own)
        lines, self.lines = self.lines, []
        called = {name for line in lines for name in re.findall(r"(\w+)\(", line)}
        functions = {"kernel", "on_grid"} | step.functions | (called & DEVICE_FUNCTIONS)
        self.lines = [
            self._title(),
            "",
            "import numpy as np",
            "from numba import cuda",
            *self._imports("device", functions),
            "",
            f"real = np.{step.dtype}",
            *(line for name, numbers in {**step.tables, **self.places}.items() for line in constants(name, numbers)),
            *self._table([f"ONCE = {step.once}  # and about so many once for the step"]),
            *lines,
        ]
        return "\n".join(self.lines) + "\n"

    def _step(self, names: list[str], own: list[str], body: list[str], used: set[str]) -> None:
        self.lines = ["", "", "@on_grid"]
        self._wrapped(f"def step({', '.join([*names, *own])}):")
        self._emit(1, f'"""{self._promise()} All threads of a grid run it."""')
        if "thread" in used:
            self._emit(1, "thread, threads = cuda.grid(1), cuda.gridsize(1)")
        if "grid" in used:
            self._emit(1, "grid = cuda.cg.this_grid()")
        if length := self._samples():
            self._emit(1, f"{length}  # samples")
        self._views(used)
        self.lines += body
        if self.step.returns is not None:
            self._emit(1, f"return {self.step.loss}")

    def _run(self, names: list[str], own: list[str]) -> None:
        """The kernel: one step, or where it trains, steps over consecutive batches of the data, over and over."""
        self.lines += ["", "", "@kernel"]
        if not self.step.updates:
            self._wrapped(f"def run({', '.join([*names, *own])}):")
            self._emit(1, '"""One step by all threads of a grid."""')
            self._emit(1, f"step({', '.join([*names, *own])})")
            return
        self._wrapped(f"def run({', '.join([*names, 'batch', 'losses', 'first', 'last', *own])}):")
        data = [argument.name for argument in self.step.arguments if argument.per_sample]
        self._emit(1, '"""Steps over consecutive batches, again and again: those from `first` to before `last`."""')
        sliced = [f"{name}[start:stop]" if name in data else name for name in names]
        self._emit(1, "for k in range(first, last):")
        if data:
            self._emit(2, f"start = k % (({data[0]}.shape[0] + batch - 1) // batch) * batch")
            self._emit(2, f"stop = min(start + batch, {data[0]}.shape[0])")
        self._emit(2, f"loss = step({', '.join([*sliced, *own])})")
        self._emit(2, "if cuda.grid(1) == 0:")
        self._emit(3, "losses[k] = loss")
        self._emit(2, "if loss != loss:")
        self._emit(3, "return")

    def _flat(self, flat: Flat, sections: Mapping[str, Section]) -> str:
        if (section := sections.get(flat.of)) is not None:
            return self._view(section, is_flat=True)
        (argument,) = (one for one in self.step.arguments if one.name == flat.of)
        size = math.prod(argument.shape)
        return f"array_at({flat.of}, 0, ({times_n(size) if argument.per_sample else size},))"

    def _statement(self, depth: int, statement: Statement) -> None:
        match statement:
            case Divided(scalars, loop, count):
                self._statements(depth, scalars)
                self._elements(depth, loop, count)
            case Product(out, left, right, scale, keep):
                numbers = (
                    [scale, keep] if scale else [literal(1.0, self.step.dtype)[0], literal(0.0, self.step.dtype)[0]]
                )
                arrays = [side.removesuffix(".T") for side in (left, right)]
                turned = [str(side.endswith(".T")) for side in (left, right)]
                self._emit(depth, f"product({', '.join([out, *arrays, *turned, *numbers])})")
            case AddUp(out, parts, count):
                self._emit(depth, f"add_up({out}, {parts}, {count})")
            case Alone(body):
                self._emit(depth, "if thread == 0:")
                self._statements(depth + 1, body)
            case Meet():
                self._emit(depth, "grid.sync()")
            case _:
                super()._statement(depth, statement)

    def _elements(self, depth: int, loop: Loop, count: int) -> None:
        """Loops inside of each other as one over all their turns, of which a thread takes every so many-th."""
        loops, body = [loop], list(loop.body)
        while len(loops) < count:
            (inner,) = body
            assert isinstance(inner, Loop)
            loops.append(inner)
            body = inner.body
        known = [one.extent or 1 for one in loops]
        free = [one.stop for one in loops if one.extent is None]
        size = math.prod(known)
        turns = " * ".join([*([str(size)] if size > 1 or not free else []), *free])
        if count == 1:
            self._emit(depth, f"for {loop.axis} in range(thread, {turns}, threads):")
        else:
            self._emit(depth, f"for element in range(thread, {turns}, threads):")
            places = []
            for k, one in enumerate(loops):
                after = math.prod(known[k + 1 :])
                text = f"element // {after}" if after > 1 else "element"
                places.append(f"{text} % {one.extent}" if k else text)
            self._emit(depth + 1, f"{', '.join(one.axis for one in loops)} = {', '.join(places)}")
        self._statements(depth + 1, body)
