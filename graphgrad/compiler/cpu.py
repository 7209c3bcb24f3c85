"""The CPU printer: loops as a readable Python file that Numba compiles. It is what `f.source` shows."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence

from graphgrad.compiler.lines import WIDTH, constants, stated
from graphgrad.compiler.loops import (
    Alone,
    Combine,
    Divided,
    EachSample,
    Loop,
    Meet,
    Product,
    Samples,
    Section,
    Statement,
    Step,
    SumOfProducts,
    SumOfWinners,
    Tiled,
    Together,
)
from graphgrad.compiler.printer import Printer, times_n

LANES_IMPORT = "\0 what is imported of lanes"
PRODUCTS_IMPORT = "\0 what is imported of products"
OF_PRODUCTS = frozenset({"product", "add_product", "share_of_product", "add_share_of_product"})
OF_LANES = frozenset({"add_sums_of_lanes", "below", "choose", "lanes_at", "load_lanes", "numbered"})

CHUNK = 256
"""How many blocks of lanes are summed up in one go: sums of more numbers, one after the other, would lose digits."""


def print_step(step: Step) -> str:
    """The whole file: imports, the compiled step, and a wrapper for the caller's own compiled code."""
    return _Printer(step).file()


class _Printer(Printer):
    def __init__(self, step: Step) -> None:
        super().__init__(step)
        self.on_lanes = False

    def file(self) -> str:
        step = self.step
        names = [argument.name for argument in step.arguments]
        kept = ["parameters"] if step.memory.kept else []
        own = [*kept, "memory", *(["thread", "threads"] if step.team else [])]
        body, used = self.body()
        sums = [one for one in step.sums if one.function in used]
        self.lines = [
            self._title(),
            "",
            "import numpy as np",
            *(["from numba import njit"] if self._is_called() else ()),
            *self._imports("elementary", step.functions - step.wide if step.lanes == 1 else ()),
            *self._imports("contraction", {"contraction" for one in sums if isinstance(one, SumOfProducts)}),
            f"from graphgrad.runtime.kernel import kernel{', loop' * self._trains()}",
            LANES_IMPORT,
            *(["from graphgrad.runtime.lanewise import function"] if self._lanewise() else ()),
            *(["from graphgrad.runtime.meeting import meet"] if step.team else ()),
            PRODUCTS_IMPORT,
            *(["from graphgrad.runtime.shares import meet_and_share"] if step.team and step.products else ()),
            *self._imports("vectorised", step.wide),
            "from graphgrad.runtime.views import array_at",
            *self._imports("winners", {"of_winners" for one in sums if isinstance(one, SumOfWinners)}),
            "",
            f"real = np.{step.dtype}",
            *(f'{name} = function("{name}")' for name in self._lanewise()),
            *(f"{name} = real(np.{name})" for name in sorted(step.functions & {"inf", "nan"}) if step.lanes > 1),
            *(line for name, numbers in {**step.tables, **self.places}.items() for line in constants(name, numbers)),
            *(line for one in sums for line in stated(one)),
            *self._table(),
            "",
            "",
            *self._decorator(),
        ]
        self._wrapped(f"def step({', '.join([*names, *own])}):")
        self._emit(1, f'"""{self._promise()}"""')
        self._head()
        self._views(used)
        if step.memory.totals:
            first = "mine" if step.team else "0"
            last = f"mine + {step.memory.totals}" if step.team else str(step.memory.totals)
            self._emit(1, "# the sums over the samples begin at 0")
            self._emit(1, f"memory[{first} : {last}] = real(0.0)")
        self.lines += body
        if step.returns is not None:
            self._emit(1, f"return {step.loss}")
        elif not step.phases:
            self._emit(1, "pass")
        if self._trains():
            self._loop(names, own)
        elif self._is_called():
            self._call(names)
        called = {name for line in self.lines for name in re.findall(r"(\w+)\(", line)}
        position = self.lines.index(LANES_IMPORT)
        self.lines[position : position + 1] = self._imports("lanes", called & OF_LANES if step.lanes > 1 else ())
        position = self.lines.index(PRODUCTS_IMPORT)
        self.lines[position : position + 1] = self._imports("products", called & OF_PRODUCTS if step.products else ())
        return "\n".join(self.lines) + "\n"

    def _trains(self) -> bool:
        """Whether a loop over many steps goes with the step."""
        return bool(self.step.updates and self.step.returns and self._samples())

    def _is_called(self) -> bool:
        """Whether a function of arrays that gives arrays goes with the step."""
        return not (self.step.updates or self.step.team)

    def _lanewise(self) -> list[str]:
        """The functions that are computed on lanes, and have no vector form."""
        return sorted(self.step.functions - self.step.wide - {"inf", "nan"}) if self.step.lanes > 1 else []

    def _head(self) -> None:
        """How many samples there are, and where in the memory the thread has what is its own."""
        step, length = self.step, self._samples()
        if length:
            self._emit(1, f"{length}  # samples")
        if step.lanes > 1:
            count = f"(N + {step.lanes - 1}) // {step.lanes}" if length else "0"
            self._emit(1, f"blocks = {count}  # of {step.lanes} samples, the last one perhaps of fewer")
        if step.team:
            each = step.memory.each
            padded = f"{each * step.lanes} * blocks" if step.lanes > 1 else f"{each} * N"
            self._emit(
                1, f"areas = {step.memory.shared}{f' + {padded}' if each else ''}  # where those of the threads begin"
            )
            self._emit(1, f"mine = areas + {step.memory.own} * thread  # where that of this thread begins")

    def _share(self, extent: int | str | None, start: int = 0) -> str:
        """The share that a thread has of a range, which may not begin at 0."""
        before = f"{start} + " if start else ""
        return f"{before}{extent} * thread // threads, {before}{extent} * (thread + 1) // threads"

    def _blocks(self, depth: int, phase: Samples) -> None:
        """A pass over the samples, a block of lanes at a time."""
        lanes, (start, stop) = self.step.lanes, phase.sums
        count, blocks = stop - start, "first, last"
        self._emit(depth, "# this thread's share of the blocks")
        self._emit(depth, "first, last = blocks * thread // threads, blocks * (thread + 1) // threads")
        if count:
            self._emit(depth, f"for chunk in range(first, last, {CHUNK}):")
            depth, blocks = depth + 1, f"chunk, min(chunk + {CHUNK}, last)"
            partial = f"mine + {phase.partial}"
            self._emit(depth, "# sums of so many blocks are short enough to lose few digits")
            zeros = f"{partial} : {partial} + {lanes * (count - phase.plain) + phase.plain}"
            self._emit(depth, f"memory[{zeros}] = real(0.0)")
        self._emit(depth, f"for block in range({blocks}):")
        if count:
            self._emit(depth + 1, f"alive = below(memory, N - {lanes} * block)")
        for given in phase.given:
            self._emit(depth + 1, f"load_lanes({given.argument}, {lanes} * block, {given.lanes})")
        self.on_lanes = True
        self._statements(depth + 1, phase.body)
        self.on_lanes = False
        if count:
            self._emit(depth, "# these sums go into those of the thread")
            own = f"mine{f' + {start}' if start else ''}"
            if laned := count - phase.plain:
                self._emit(depth, f"partial = lanes_at(memory, {partial}, ({laned},))")
                self._emit(depth, f"add_sums_of_lanes(memory, {own}, partial)")
            if phase.plain:
                self._emit(depth, f"for k in range({phase.plain}):")
                first = f"mine{f' + {start + laned}' if start + laned else ''}"
                self._emit(depth + 1, f"memory[{first} + k] += memory[mine + {phase.partial + lanes * laned} + k]")

    def _together(self, depth: int, sums: Sequence[tuple[int, int]], shared: bool) -> None:
        """What is summed up by all threads is brought together in the part of the first."""
        self._emit(depth, "# the sums of all threads go into those of the first")
        self._emit(depth, "for k in range(1, threads):")
        for start, stop in sums:
            part = self._share(stop - start, start) if shared else f"{start}, {stop}" if start else f"{stop}"
            self._emit(depth + 1, f"for i in range({part}):")
            self._emit(depth + 2, f"memory[areas + i] += memory[areas + {self.step.memory.own} * k + i]")

    def _loop(self, names: list[str], own: list[str]) -> None:
        """The whole training loop: consecutive batches of the data, over and over."""
        data = [a.name for a in self.step.arguments if a.per_sample]
        rest = [a.name for a in self.step.arguments if not a.per_sample]
        self.lines += ["", "", "@loop"]
        self._wrapped(f"def run({', '.join([*data, *rest, 'batch', 'losses', *own])}):")
        sliced = [f"{name}[start:stop]" if name in data else name for name in names]
        for depth, line in (
            (1, '"""Steps over consecutive batches until `losses` is full; returns how many were done."""'),
            (1, "start = 0"),
            (1, "for k in range(losses.size):"),
            (2, f"stop = min(start + batch, {data[0]}.shape[0])"),
            (2, f"losses[k] = step({', '.join([*sliced, *own])})"),
            (2, "if losses[k] != losses[k]:"),
            (3, "return k"),
            (2, f"start = stop if stop < {data[0]}.shape[0] else 0"),
            (1, "return losses.size"),
        ):
            self._emit(depth, line)

    def _call(self, names: list[str]) -> None:
        """The step as a function of arrays that returns arrays, for other compiled code."""
        self.lines += ["", "", '@njit(nogil=True, error_model="numpy")']
        self._wrapped(f"def call({', '.join(names)}):")
        memory = self.step.memory
        self._emit(1, '"""Allocates the memory, computes one step, returns the results asked for."""')
        if length := self._samples():
            self._emit(1, length)
        count = " + ".join([str(memory.shared)] + [times_n(memory.each)] * bool(memory.each))
        self._emit(1, f"memory = np.empty({count}, real)")
        value = "value = " if self.step.returns else ""
        self._emit(1, f"{value}step({', '.join([*names, 'memory'])})")
        results = ["value"] if value else []
        for k, result in enumerate(self.step.results):
            if isinstance(result, str):
                results.append(result)
                continue
            self._emit(1, f"result_{k} = {self._slice(result)}")
            results.append(f"result_{k}")
        self._emit(1, f"return {', '.join(results)}{',' * (len(results) == 1)}")

    def _slice(self, section: Section) -> str:
        start = self._start(section)
        if section.name in self.scalars:
            return f"memory[{start}]"
        size = math.prod(section.shape)
        each = section.zone == "each"
        shape = (*(["N"] if each else []), *map(str, section.shape))
        return f"memory[{start} : {start} + {times_n(size) if each else size}].reshape({', '.join(shape)})"

    def _decorator(self) -> list[str]:
        signature = self._signature()
        if len(signature) < WIDTH - 12:
            return [f'@kernel("{signature}")']
        parts = textwrap.wrap(signature, WIDTH - 6, break_long_words=False)
        spaced = [part + " " for part in parts[:-1]] + parts[-1:]
        return ["@kernel(", *(f'    "{part}"' for part in spaced), ")"]

    def _signature(self) -> str:
        real = self.step.dtype

        def array(rank: int) -> str:
            if rank == 0:
                return f"Array({real}, 0, 'C')"
            return f"{real}[{', '.join([':'] * (rank - 1) + ['::1'])}]"

        types = [array(len(argument.shape) + argument.per_sample) for argument in self.step.arguments]
        result = real if self.step.returns else "void"
        kept = [array(1)] if self.step.memory.kept else []
        team = ["int64", "int64"] if self.step.team else []
        return f"{result}({', '.join([*types, *kept, array(1), *team])})"

    def _statement(self, depth: int, statement: Statement) -> None:
        match statement:
            case Combine(name, "argmax", text, position) if self.on_lanes:
                best = f"{name}_best"
                self._emit(depth, f"candidate = {text}")
                self._emit(depth, f"better = (candidate > {best}) | ((candidate != candidate) & ({best} == {best}))")
                self._emit(depth, f"{best} = choose(better, candidate, {best})")
                self._emit(depth, f"{name} = choose(better, real({position}), {name})")
            case Combine(name, "max" | "min" as reduction, text) if self.on_lanes:
                self._emit(depth, f"candidate = {text}")
                better = f"(candidate {'>' if reduction == 'max' else '<'} {name}) | (candidate != candidate)"
                self._emit(depth, f"{name} = choose({better}, candidate, {name})")
            case Tiled(function, out, operands, adds, first):
                given = [out, *operands, *["alive"] * adds, *[first] * bool(first)]
                self._emit(depth, f"{function}({', '.join(given)})")
            case Product(out, left, right, scale, keep, room):
                numbers = f", {scale}, {keep}" if scale else ""
                function = f"{'add_' * bool(scale)}{'share_of_' * self.step.team}product"
                share = ", memory, thread, threads" * self.step.team
                self._emit(depth, f"{function}({out}, {left}, {right}{numbers}, {room}{share})")
            case Divided(scalars, Loop(axis, extent, body)):
                self._statements(depth, scalars)
                self._emit(depth, f"for {axis} in range({self._share(extent)}):")
                self._statements(depth + 1, body)
            case EachSample(body):
                share = self._share("N") if self.step.team else "N"
                self._emit(depth, f"for n in range({share}):")
                self._statements(depth + 1, body)
            case Samples() as phase:
                self._blocks(depth, phase)
            case Alone(body):
                self._emit(depth, "if thread == 0:")
                self._statements(depth + 1, body)
            case Meet(anew):
                self._emit(depth, f"meet{'_and_share' * anew}(memory, threads)")
            case Together(sums, shared):
                self._together(depth, sums, shared)
            case _:
                super()._statement(depth, statement)
