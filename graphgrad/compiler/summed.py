"""Sums over the samples of a sum of products, as one sum: the samples are one more axis."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from graphgrad.compiler.program import Instruction, Program, fired, formula_of
from graphgrad.graph import Formula, Operation, Type
from graphgrad.ops.batch import SAMPLES, BatchReduce


@dataclass(frozen=True)
class Summed(Operation):
    """A sum over the samples of what one operation makes of each, in one formula."""

    each: Any
    name = "batch_sum"

    def infer(self, *types: Type) -> Type:
        return Type(self.each.infer(*types).shape)

    def formula(self, *types: Type) -> Formula:
        formula: Formula = self.each.formula(*types)
        return replace(formula, over=(*formula.over, SAMPLES))


def with_sums(program: Program) -> Program:
    """The program in which a sum of products, summed over the samples and used nowhere else, is one instruction."""
    users = program.users()
    fixed = set(program.roots)
    new: dict[Instruction, Instruction] = {}
    firings = []
    for old in program.order:
        inputs = tuple(new[operand] for operand in old.inputs)
        made = old.over(inputs)
        if isinstance(old.op, BatchReduce) and old.op.name == "batch_sum":
            (inner,) = old.inputs
            formula = formula_of(inner) if inner.inputs else None
            product = formula is not None and formula.body is None and formula.reduction == "sum"
            if product and len(users[inner]) == 1 and inner not in fixed:
                made = Instruction(Summed(inner.op), new[inner].inputs, old.type)
                reason = "the samples are one more axis that is summed over"
                firings.append(fired("sum over the samples", program, old, reason))
        new[old] = made
    if all(old is made for old, made in new.items()):
        return program
    return program.rebuilt(new, firings)
