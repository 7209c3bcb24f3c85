"""Sums of products that begin with what is added to them: a bias, or the other branch of a residual block.

A register tile then starts from it, and no map of sums without it is ever written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from graphgrad.compiler.program import Firing, Instruction, Program, fired
from graphgrad.compiler.schedule import in_tiles
from graphgrad.graph import Formula, Operation, Type, at
from graphgrad.ops import add
from graphgrad.ops.batch import BatchSize


@dataclass(frozen=True)
class Started(Operation):
    """A sum of products and, as the last operand, what it begins with."""

    each: Any
    name = "started"

    def infer(self, *types: Type) -> Type:
        *factors, start = types
        return add.infer(self.each.infer(*factors), start)

    def formula(self, *types: Type) -> Formula:
        *factors, start = types
        formula: Formula = self.each.formula(*factors)
        added = add.formula(self.each.infer(*factors), start)
        places = dict(zip(added.axes, at(*formula.axes), strict=True))
        read = tuple(index.placed(places) for index in added.reads[1])
        return replace(formula, reads=(*formula.reads, read), starts=True)


def with_starts(program: Program, lanes: bool, grid: bool = False) -> tuple[Program, Mapping[Instruction, Instruction]]:
    """The program in which such sums are one instruction, and which of its instructions stands for which.

    On a grid there are none: nothing is computed in tiles."""
    users, fixed = program.users(), set(program.roots)
    new: dict[Instruction, Instruction] = {}
    firings: list[Firing] = []
    for old in program.order:
        inputs = tuple(new[operand] for operand in old.inputs)
        new[old] = old.over(inputs)
        if grid or old.op is not add:
            continue
        for sum_, start in (old.inputs, old.inputs[::-1]):
            alone = len(users[sum_]) == 1 and sum_ not in fixed
            each = sum_.type.per_sample  # a sum over the samples begins at 0 for each thread
            if alone and each and sum_.type == old.type and _is_array(start) and in_tiles(sum_, lanes):
                new[old] = Instruction(Started(sum_.op), (*new[sum_].inputs, new[start]), old.type)
                reason = "a register tile begins with what is added to the sum"
                firings.append(fired("sum from a start", program, old, reason))
                break
    return (program.rebuilt(new, firings) if firings else program), new


def _is_array(instruction: Instruction) -> bool:
    return instruction.constant is None and not isinstance(instruction.op, BatchSize)
