"""The layout of a step's memory: where each value begins, for all samples, for each of them, and for each thread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from graphgrad.compiler.loops import Memory, Section
from graphgrad.compiler.program import Instruction
from graphgrad.graph import Node

LINE = 16
"""Where threads meet, and arrays that are computed with on lanes begin, are multiples of so many numbers."""

MEETING = 2 * LINE
"""The numbers at the beginning of the memory of a team, by which its threads wait for each other."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value that has a place in the memory; `pass_` is the phase over the samples in which it is summed up, if it is."""

    instruction: Instruction
    number: int
    name: str
    full: bool
    pass_: int | None = None
    own_name: str = ""


@dataclass(slots=True)
class Layout:
    """Sections, and for each pass over the samples which of the totals it adds up to, and by way of which lanes."""

    sections: list[Section] = field(default_factory=list)
    memory: Memory = field(default=Memory(0, 0, 0, 0, 0))
    sums: dict[int, tuple[int, int]] = field(default_factory=dict)
    partial: dict[int, int] = field(default_factory=dict)


def lay_out(
    values: Sequence[Value],
    leaves: Sequence[tuple[str, Node]],
    scratch: Sequence[tuple[str, tuple[int, ...]]],
    lanes: int,
    team: bool,
) -> Layout:
    """Find a place for all values and leaves; on `lanes`, a per-sample number takes a place for each of them."""
    layout = Layout()
    sums: dict[int, list[Value]] = {}
    for value in values:
        if value.pass_ is not None:
            sums.setdefault(value.pass_, []).append(value)
    shared, own, each, kept = MEETING if team else 0, 0, 0, 0
    for pass_, summed in sorted(sums.items()):
        at = own if team else shared
        first = at
        for value in summed:
            shape = value.instruction.type.shape
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
                shape = value.instruction.type.shape
                layout.sections.append(Section(value.own_name, None, "own", own, shape, lanes=True))
                own += lanes * math.prod(shape)
    for name, leaf in leaves:
        size = math.prod(leaf.shape)
        if leaf.per_sample:
            layout.sections.append(Section(name, None, "own", own, leaf.shape, lanes=True))
            own += lanes * size
        else:
            layout.sections.append(Section(name, None, "kept", kept, leaf.shape))
            kept += _rounded(size)
    for value in values:
        type, size = value.instruction.type, value.instruction.type.size
        if value.pass_ is not None:
            continue
        if value.full:
            layout.sections.append(Section(value.name, value.number, "each", each, type.shape, lanes > 1))
            each += size
        elif type.per_sample and team:
            layout.sections.append(Section(value.name, value.number, "own", own, type.shape, lanes > 1))
            own += _rounded(lanes * size)
        else:
            layout.sections.append(Section(value.name, value.number, "shared", shared, type.shape))
            shared += size
    for name, shape in scratch:
        layout.sections.append(Section(name, None, "own", own, shape, lanes=True))
        own += lanes * math.prod(shape)
    if team:
        shared, own = _rounded(shared), _rounded(own)
    layout.memory = Memory(kept, shared, each, own, totals)
    return layout


def _rounded(count: int) -> int:
    return -(-count // LINE) * LINE
