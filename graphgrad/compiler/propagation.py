"""Which values show in a result: an element of them that is no number makes the result none as well."""

from __future__ import annotations

from collections.abc import Iterable

from graphgrad.compiler.bodies import template
from graphgrad.compiler.indices import Where
from graphgrad.compiler.program import Instruction, Program, formula_of
from graphgrad.graph import Formula
from graphgrad.ops.elementwise import At


def shown_in(program: Program, results: Iterable[Instruction]) -> frozenset[Instruction]:
    """The values that show in one of these results, as far as that is seen: by way of sums and products, and of functions
    that do not choose between values."""
    found = set(results)
    for instruction in reversed(program.order):
        if instruction in found and instruction.inputs and _is_passed_on(formula := formula_of(instruction)):
            found.update(
                operand
                for operand, read in zip(instruction.inputs, formula.reads, strict=True)
                if _is_whole(read, operand.type.shape)
            )
    return frozenset(found)


def _is_passed_on(formula: Formula) -> bool:
    """Whether each element that a formula reads counts."""
    if formula.reduction not in (None, "sum") or formula.within or formula.chosen is not None or formula.values:
        return False
    body = formula.body
    return body is None or (isinstance(body, At) and " if " not in template(body.op, "float64", False)[0])


def _is_whole(read: Where, shape: tuple[int, ...]) -> bool:
    """Whether a read goes over all elements of its operand."""
    axes = [index.axis for index in read]
    return len(set(axes)) == len(shape) and [axis and axis.extent for axis in axes] == list(shape)
