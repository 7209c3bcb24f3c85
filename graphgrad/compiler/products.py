"""Which instructions are one product of matrices over all samples: layers, their transposes, and their weights' gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from graphgrad.compiler.program import Instruction, Program, formula_of
from graphgrad.graph import Formula, Operation, Type
from graphgrad.ops.batch import SAMPLES, BatchReduce
from graphgrad.ops.linear import MatMul, Outer, Transpose

LARGE = 4096
"""From how many elements of the weights on a product is made for all samples at once."""


@dataclass(frozen=True, slots=True)
class Factors:
    """The two matrices of a product over all samples: operands as they lie, and whether each is taken transposed.

    The product is multiplied by `scale` and added to `keep` times what was there, where these are given.
    """

    left: Instruction
    left_transposed: bool
    right: Instruction
    right_transposed: bool
    scale: Instruction | None = None
    keep: Instruction | None = None


@dataclass(frozen=True)
class Descent(Operation):
    """Weights on their way down: keep · W + scale · Σₙ l rᵀ, of (W, l, r, scale, keep)."""

    name = "descent"

    def infer(self, *types: Type) -> Type:
        return types[0]

    def formula(self, *types: Type) -> Formula:
        """Where it reads; its code is that of the product."""
        _, left, right, *numbers = types
        outer = Outer().formula(left, right)
        own = tuple(index for (index,) in outer.reads)
        return replace(outer, reads=(own, *outer.reads, *(() for _ in numbers)), over=(SAMPLES,), reduction="sum")


def as_product(instruction: Instruction) -> Factors | None:
    """A layer's product, its transpose, or its weights' gradient, where it is large: one matrix product over the batch."""
    op, inputs = instruction.op, instruction.inputs
    if isinstance(op, Descent):
        _, left, right, scale, keep = inputs
        return Factors(left, True, right, False, scale, keep)
    if isinstance(op, BatchReduce) and isinstance(inputs[0].op, Outer):
        left, right = inputs[0].inputs
        large = instruction.type.size >= LARGE and left.type.per_sample and right.type.per_sample
        return Factors(left, True, right, False) if large else None
    if not isinstance(op, MatMul) or max(operand.type.size for operand in inputs if operand.type.rank) < LARGE:
        return None
    (a, b), ranks = inputs, (inputs[0].type.rank, inputs[1].type.rank)
    if ranks == (2, 1) and b.type.per_sample and not a.type.per_sample:
        matrix, transposed = _untransposed(a)
        return Factors(b, False, matrix, not transposed)
    if ranks == (1, 2) and a.type.per_sample and not b.type.per_sample:
        matrix, transposed = _untransposed(b)
        return Factors(a, False, matrix, transposed)
    return None


def _untransposed(matrix: Instruction) -> tuple[Instruction, bool]:
    return (matrix.inputs[0], True) if isinstance(matrix.op, Transpose) else (matrix, False)


def on_lanes(program: Program) -> bool:
    """Whether samples are computed a block at a time: where products that are made of all at once are not most of it."""
    work = {True: 0, False: 0}
    for instruction in program.order:
        each = any(operand.type.per_sample for operand in instruction.inputs)
        if each and not isinstance(instruction.op, Outer):
            formula = formula_of(instruction)
            count = math.prod(axis.extent or 1 for axis in (*formula.axes, *formula.over))
            work[as_product(instruction) is not None] += count
    return work[False] > work[True]
