"""The layout of a step's memory: where each value begins, for all samples, for each of them, and for each thread.

What belongs to the samples of one block lies where it is wanted no longer: working memory that is small stays in the cache.
"""

from __future__ import annotations

import bisect
import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from graphgrad.compiler.loops import Memory, Section
from graphgrad.compiler.program import Instruction
from graphgrad.compiler.units import LINE, MEETING, SHARING
from graphgrad.graph import Node


@dataclass(frozen=True, slots=True)
class Value:
    """A value that has a place in the memory, and the shape that is kept of it.

    `pass_` is the phase over the samples in which it is summed up, if it is; `plain` where that is not done on lanes. Its
    `span` are the numbers of the nests of loops from the one that makes it to the last one that reads it. What is `full`
    has a place for each sample, and one that only `passes` is overwritten after that: if it can be by one that is written
    `over` it, element by element, and else by a later one.
    """

    instruction: Instruction
    number: int
    name: str
    shape: tuple[int, ...]
    full: bool
    pass_: int | None = None
    own_name: str = ""
    plain: bool = False
    span: tuple[int, int] = (0, 0)
    passes: bool = False
    over: tuple[str, ...] = ()


class _Places:
    """Places that are free again once their value is no longer read; asked for in the order of the values."""

    def __init__(self, first: int) -> None:
        self.end = first
        self._free: list[tuple[int, int]] = []  # where, and how much
        self._taken: list[tuple[int, int, int, str]] = []  # until when, where, how much, and by which value

    def take(self, name: str, size: int, span: tuple[int, int], over: Sequence[str] = ()) -> int:
        """A place for a value: that of one over which it is written, if there is one."""
        while self._taken and self._taken[0][0] < span[0]:
            _, at, count, _ = heapq.heappop(self._taken)
            self._give(at, count)
        before = next((one for one in self._taken if one[3] in over), None)
        if before is not None:
            self._taken.remove(before)
            heapq.heapify(self._taken)
            at = before[1]
        else:
            at = self._new(size)
        heapq.heappush(self._taken, (span[1], at, size, name))
        return at

    def _new(self, size: int) -> int:
        fitting = [(count, at) for at, count in self._free if count >= size]
        if not fitting:
            self.end += size
            return self.end - size
        count, at = min(fitting)
        self._free.remove((at, count))
        if count > size:
            bisect.insort(self._free, (at + size, count - size))
        return at

    def _give(self, at: int, count: int) -> None:
        k = bisect.bisect(self._free, (at, 0))
        if k < len(self._free) and self._free[k][0] == at + count:
            count += self._free.pop(k)[1]
        if k and sum(self._free[k - 1]) == at:
            k -= 1
            before, more = self._free.pop(k)
            at, count = before, more + count
        self._free.insert(k, (at, count))


@dataclass(slots=True)
class Layout:
    """Sections, and for each pass over the samples which of the totals it adds up to, by way of which lanes, and how many
    of them are plain numbers."""

    sections: list[Section] = field(default_factory=list)
    memory: Memory = field(default=Memory(0, 0, 0, 0, 0))
    sums: dict[int, tuple[int, int]] = field(default_factory=dict)
    partial: dict[int, int] = field(default_factory=dict)
    plain: dict[int, int] = field(default_factory=dict)


def lay_out(
    values: Sequence[Value],
    leaves: Sequence[tuple[str, Node]],
    scratch: Sequence[tuple[str, tuple[int, ...], tuple[int, int]]],
    parts: Mapping[str, tuple[int, ...]],
    lanes: int,
    team: bool,
    grid: bool,
    products: bool = False,
) -> Layout:
    """Find a place for all values and leaves; on `lanes`, a per-sample number takes a place for each of them.

    Values that have a place in common are of one size, so that a sample has its numbers of all of them in the same place, and
    no thread gets into the way of another; on a `grid`, where the samples lie beside each other, it does so whatever the size.
    `parts` are those of sums that several threads add up, by name and shape.
    """
    layout = Layout()
    sums: dict[int, list[Value]] = {}
    for value in values:
        if value.pass_ is not None:
            sums.setdefault(value.pass_, []).append(value)
    for summed in sums.values():
        summed.sort(key=lambda value: value.plain)
    shared = (MEETING + SHARING * products) * team
    own = each = kept = 0
    for pass_, summed in sorted(sums.items()):
        at = own if team else shared
        first = at
        for value in summed:
            shape = value.shape
            layout.sections.append(Section(value.name, value.number, "total" if team else "shared", at, shape))
            if team and lanes == 1:
                layout.sections.append(Section(value.own_name, None, "own", at, shape))
            at += math.prod(shape)
        layout.sums[pass_] = (first, at)
        own, shared = (at, shared) if team else (own, at)
    totals = own if team else shared
    own = _rounded(own) if team else 0
    if lanes > 1:
        for pass_, summed in sorted(sums.items()):
            layout.partial[pass_] = own
            for value in summed:
                layout.sections.append(Section(value.own_name, None, "own", own, value.shape, lanes=not value.plain))
                own += (1 if value.plain else lanes) * math.prod(value.shape)
            layout.plain[pass_] = sum(math.prod(value.shape) for value in summed if value.plain)
            own = _rounded(own)
    for name, leaf in leaves:
        size = math.prod(leaf.shape)
        if leaf.per_sample:
            layout.sections.append(Section(name, None, "own", own, leaf.shape, lanes=True))
            own += lanes * size
        else:
            layout.sections.append(Section(name, None, "kept", kept, leaf.shape, leaf=leaf.op.name))
            kept += _rounded(size)
    passing: list[tuple[tuple[int, int], str, int | None, tuple[int, ...], tuple[str, ...]]] = []
    briefly: dict[int, list[Value]] = {}
    for value in values:
        shape, size = value.shape, math.prod(value.shape)
        if value.pass_ is not None:
            continue
        if value.full and value.passes:
            briefly.setdefault(0 if grid else size, []).append(value)
        elif value.full:
            layout.sections.append(Section(value.name, value.number, "each", each, shape, lanes > 1))
            each += size
        elif value.instruction.type.per_sample:
            passing.append((value.span, value.name, value.number, shape, value.over))
        else:
            layout.sections.append(Section(value.name, value.number, "shared", shared, shape))
            shared += size
    for name, shape in parts.items():
        layout.sections.append(Section(name, None, "shared", shared, shape))
        shared += math.prod(shape)
    passing += [(span, name, None, shape, ()) for name, shape, span in scratch]
    for some in briefly.values():
        places = _Places(each)
        for value in sorted(some, key=lambda one: one.span):
            at = places.take(value.name, math.prod(value.shape), value.span, value.over)
            layout.sections.append(Section(value.name, value.number, "each", at, value.shape, lanes > 1))
        each = places.end
    places = _Places(own if team else shared)
    for span, name, number, shape, over in sorted(passing, key=lambda one: one[0]):
        size = _rounded(lanes * math.prod(shape)) if team else math.prod(shape)
        at = places.take(name, size, span, over)
        layout.sections.append(Section(name, number, "own" if team else "shared", at, shape, lanes > 1))
    own, shared = (places.end, shared) if team else (own, places.end)
    if team:
        shared, own = _rounded(shared), _rounded(own)
    layout.memory = Memory(kept, shared, each, own, totals)
    return layout


def _rounded(count: int) -> int:
    return -(-count // LINE) * LINE
