"""Behind a max-pooling only winners count: sums of what goes back to them are taken over the windows, not over the map.

What comes back to a pooled map is 0 but at the winner of each window. Where such a map is multiplied and summed up, as
in the gradient of the weights of the convolution before it, Σ_y x[y + k] ∂[y], each window has one term that is not 0:

    Σ_p x[s p + r + k] ∂[p]   where r is the place in the window p of its winner

Of windows of 2 by 2 this is a quarter of the products, and the map of ∂ is not needed. Its plain sum, the gradient of a
bias, is the sum of what comes to the windows. What is not the winner has no part in the sum, as what is not in the image
has none: a product of its 0 with an infinite pixel is left out, too.
"""

from __future__ import annotations

import math
from dataclasses import replace

from graphgrad.compiler.pooled import Winners
from graphgrad.compiler.program import Builder, Firing, Instruction, Program, described, formula_of, written
from graphgrad.compiler.rectified import sends_back
from graphgrad.compiler.stated import Access, Affine, Sum
from graphgrad.compiler.summed import Summed
from graphgrad.graph import Axis, Formula, Index, at
from graphgrad.ops.batch import SAMPLES
from graphgrad.ops.contraction import Contraction

RULE = "winners alone"
LEAST = 1024
"""How many products for one sample make a function of its own worth while."""

WHY = "what goes back to a window is 0 but at its winner: the sum goes over the windows"


def with_winners(program: Program) -> Program:
    """The program in which sums over the samples of what goes back to the winners are sums over the windows."""
    make = Builder().make
    new: dict[Instruction, Instruction] = {}
    firings, notes = [], {}
    for old in program.order:
        inputs = tuple(new[operand] for operand in old.inputs)
        made = _by_windows(old) if isinstance(old.op, Summed) else None
        if made is None:
            new[old] = old.over(inputs)
            continue
        contraction, operands = made
        new[old] = make(Summed(contraction), tuple(new[operand] for operand in operands))
        node = program.names.get(old)
        firings.append(
            Firing(RULE, "specialise", described(old, program.names) if node is None else written(node), WHY)
        )
        notes[new[old]] = RULE
    if not firings:
        return program
    found = program.rebuilt(new, firings)
    return replace(found, notes={**found.notes, **notes})


def _by_windows(summed: Instruction) -> tuple[Contraction, tuple[Instruction, ...]] | None:
    """The sum over the windows for a sum with what goes back through a pooling, and its operands."""
    back = next((one for one in summed.inputs if sends_back(one)), None)
    formula = formula_of(summed)
    others = [one for one in summed.inputs if one is not back]
    if back is None or formula.within or formula.weights or len(summed.inputs) > 2 or len(others) == len(summed.inputs):
        return None
    slopes, winner = back.inputs
    axes, inside, under = winner.op.loops(winner.inputs[0].type)
    channels = len(axes) - len(inside)
    window, offsets = (
        tuple(Axis(f"{letter}{k}", axis.extent) for k, axis in enumerate(some))
        for letter, some in (("w", axes[channels:]), ("p", inside))
    )
    places = [index.axis for index in formula.reads[summed.inputs.index(back)]]
    pooled = places[channels:]
    if not set(pooled) <= set(formula.over) or len(set(places)) < len(places) or None in places:
        return None
    if any(not index.stays_inside(extent) for index, extent in zip(under, back.type.shape, strict=True)):
        return None  # a window that reaches beyond the image may have its winner there
    named = dict(zip((*axes[channels:], *inside), at(*window, *offsets), strict=True))
    moved = {axis: index.placed(named) for axis, index in zip(pooled, under[channels:], strict=True) if axis}
    left = tuple(axis for axis in formula.over if axis not in moved and axis is not SAMPLES)
    read = at(*(axis for axis in places[:channels] if axis), *window)
    if not others:
        return Contraction("sum", formula.axes, (*left, *window), (read,)), (slopes,)
    (image,) = others
    under_kernel = tuple(index.placed(moved) for index in formula.reads[summed.inputs.index(image)])
    factors = (math.prod(axis.extent or 1 for axis in offsets[k + 1 :]) for k in range(len(offsets)))
    position = Index(tuple(zip(offsets, factors, strict=True)))
    reads = (under_kernel, read, read)
    taken = Contraction("of_winners", formula.axes, (*left, *window, *offsets), reads, chosen=position)
    return (taken, (image, slopes, winner)) if stated(taken.formula()) is not None else None


def stated(formula: Formula) -> Winners | None:
    """A sum over the winners of windows as its function is told of it; None where there is no function for it."""
    if formula.chosen is None or len(formula.reads) != 3 or formula.within or formula.weights or formula.starts:
        return None
    every = [*formula.reads[0], *formula.reads[1], *formula.reads[2], formula.chosen]
    if any(index.divisor > 1 or index.table for index in every):
        return None
    over = [axis for axis in formula.over if axis is not SAMPLES]
    extents = {axis.name: axis.extent or 1 for axis in (*formula.axes, *over)}
    out, image, numbers, winners = (
        Access(name, tuple(map(_affine, read)))
        for name, read in zip("oxdw", (at(*formula.axes), *formula.reads), strict=True)
    )
    found = Winners(Sum(out, image, numbers, extents, {}, {}, True), winners, _affine(formula.chosen))
    return found if found.fits and found.products >= LEAST else None


def _affine(index: Index) -> Affine:
    return Affine({axis.name: factor for axis, factor in index.terms}, index.offset)


__all__ = ["RULE", "stated", "with_winners"]
