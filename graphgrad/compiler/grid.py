"""A step on a grid of threads, as on a GPU: each element of a nest of loops is computed by a thread of its own.

All threads run the whole step and meet where one reads what another has written. A sum over the samples is made in
shares: each is added up by one thread in one order, and the shares of an element are then added up by a block of
threads, so that the result has the same bits however many threads there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from graphgrad.compiler.indices import Where, names_of, running
from graphgrad.compiler.layout import Layout
from graphgrad.compiler.loops import (
    AddUp,
    Combine,
    Divided,
    Given,
    Let,
    Loop,
    Samples,
    Shared,
    Statement,
    Step,
    Store,
)
from graphgrad.compiler.lower import Lowering, lower, nested, stretched
from graphgrad.compiler.names import LOOP_NAMES
from graphgrad.compiler.program import Instruction, Program
from graphgrad.compiler.scalar import literal
from graphgrad.compiler.schedule import Item, Nest
from graphgrad.graph import Axis, Node

SHARES = 4096
"""Into how many shares a sum over the samples is divided, at most."""

PARTS = 65536
"""How many numbers the shares of all elements of an array are, at most: enough work for every thread there is."""


def lower_to_grid(
    program: Program,
    leaves: tuple[Node, ...],
    title: str,
    dtype: str,
    results: tuple[Instruction, ...] = (),
    returns: Instruction | None = None,
) -> Step:
    """The loops of a program for a grid of threads; its parameters are in one array."""
    return lower(program, leaves, title, dtype, results, returns, team=True, resident=True, on=OnGrid)


class OnGrid(Lowering):
    """Writes nests of loops whose turns are apart from each other, and sums in shares."""

    grid = True
    stretch = 128

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.by_block: set[Instruction] = set()  # sums that no thread has as a number of its own

    def _phase(self, phase: int, body: list[Statement], given: list[Given], layout: Layout) -> list[Samples | Shared]:
        return [Shared(body)]

    def _body_of(self, phase: int, nests: list[Nest]) -> tuple[list[Statement], list[Given]]:
        body, given = super()._body_of(phase, nests)
        if phase % 2:  # shares of all sums first, so that threads need not wait between them
            body.sort(key=lambda line: isinstance(line, AddUp))
        return body, given

    def _nest(self, nest: Nest) -> list[Statement]:
        (item, *_) = nest.items
        return self._over_samples(item) if item.over_samples else super()._nest(nest)

    def _around(self, nest: Nest, axes: Sequence[Axis]) -> list[Loop]:
        per_sample = nest.items[0].instruction.type.per_sample
        return [*([Loop("n", None, stop="N")] if per_sample else []), *super()._around(nest, axes)]

    def _is_divided(self, axes: Sequence[Axis], nest: Nest) -> bool:
        return bool(self._around(nest, axes))

    def _is_from_first(self, item: Item) -> bool:
        first = super()._is_from_first(item) and not item.instruction.type.per_sample
        return first or item.instruction in self.by_block

    def _in_scope(self, item: Item) -> bool:
        alone = item.instruction.type.per_sample or item.instruction in self.by_block
        return not alone and super()._in_scope(item)

    @property
    def full(self) -> set[Instruction]:
        """What has an element for every sample: all of them, since the next thread that reads it may be any."""
        if not hasattr(self, "_full"):
            self._full = {instruction for instruction in self.plan.items if instruction.type.per_sample}
        return self._full

    def _over_samples(self, item: Item) -> list[Statement]:
        """A sum over the samples."""
        instruction, nest = item.instruction, item.nest
        name = self.array_names[instruction]
        self.here, self.done, self.whole = nest, set(), set()
        self.looping, self.by_all, self.scalars = True, True, {}
        axes = [axis for axis in self._axes(nest) if axis.extent != 1]
        over = tuple(Axis(LOOP_NAMES[len(nest.axes) + k], axis.extent) for k, axis in enumerate(item.own))
        where = (*self._own_place(nest), *running(over))
        loops = self._loops(item.formula, self._axes(nest), over, where)
        zero, part = literal(0.0, self.dtype)[0], self._own_name(name, "part")
        text = self._body(instruction, item.formula, where, (*item.formula.axes, *item.own))[0]
        each: list[Statement] = [Combine(part, "sum", text)]
        if over:
            inner = self._own_name(name, "n")
            each = [Let(inner, zero), *nested(loops, [Combine(inner, "sum", text)]), Combine(part, "sum", inner)]
        self.needed.add(instruction)
        place = names_of(self._axes(nest))
        most = min(max(PARTS // instruction.type.size, 1), SHARES)
        around = [Loop(axis.name, axis.extent) for axis in axes]
        samples = Loop("n", None, each, stop="N")
        store = Store(name, place, part)
        scalars = self._numbers()
        lines: list[Statement] = []
        if most > 1:
            parts = self._own_name(name, "parts")
            self.parts[parts] = (most, *instruction.type.shape)
            scalars.append(Let("shares", f"min(N, {most})"))
            around.insert(0, Loop("share", None, stop="shares"))
            samples = replace(samples, start="N * share // shares", stop="N * (share + 1) // shares")
            store, lines = Store(parts, ("share", *place), part), [self._add_up(instruction, parts, f"min(N, {most})")]
        body: list[Statement] = [Let(part, zero), samples, store]
        first, *further = around
        self.here, self.looping, self.by_all = None, False, False
        comment = self._comment(instruction)
        return [comment, Divided(scalars, replace(first, body=nested(further, body)), len(around)), *lines]

    def _summed_by_all(self, item: Item, own: Where, where: Where, loops: list[Loop]) -> list[Statement]:
        instruction, name = item.instruction, self.array_names[item.instruction]
        part, parts = self._own_name(name, "part"), self._own_name(name, "parts")
        self.by_all = True
        value = self._body(instruction, item.formula, where, item.own)[0]
        numbers, self.by_all = self._numbers(), False
        outer, inner = stretched(loops, Combine(part, "sum", value), self.stretch)
        (first, *further), shape = outer, tuple(loop.extent or 1 for loop in outer)
        self.parts[parts] = shape
        store = Store(parts, tuple(loop.axis for loop in outer), part)
        body: list[Statement] = [Let(part, literal(0.0, self.dtype)[0]), inner, store]
        self.needed.add(instruction)
        self.by_block.add(instruction)
        divided = Divided(numbers, replace(first, body=nested(further, body)), len(outer))
        return [divided, self._add_up(instruction, parts, str(math.prod(shape)))]

    def _add_up(self, instruction: Instruction, parts: str, count: str) -> AddUp:
        """The sum of parts, by the elements of arrays in order."""
        ranks = {self.array_names[instruction]: len(instruction.type.shape), parts: len(self.parts[parts])}
        out, terms = (name if rank == 1 else self._flat(name) for name, rank in ranks.items())
        return AddUp(out, terms, count)
