"""Behind a max-pooling only winners count: products with what goes back to them are made for the windows, not the map.

What comes back to a pooled map is 0 but at the winner of each window. Where it is multiplied with the image, for the
gradient of the kernel of the convolution before, or with the kernel, for that of its image, each window has one term:

    ∂K[k] = Σ_p x[s p + r + k] ∂[p]        ∂x[s p + r + k] = Σ K[k] ∂[p]        r: the winner's place in the window p

Of windows of 2 by 2 this is a quarter of the products, and the map of what comes back need not be made. Its plain sum,
the gradient of a bias, is the sum of what comes to the windows. What is not the winner has no part in a sum: a product
of its 0 with an infinite number is left out, too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from graphgrad.compiler.indices import Where, element, shown
from graphgrad.compiler.names import LOOP_NAMES
from graphgrad.compiler.pooled import Winners, read_winners
from graphgrad.compiler.program import Builder, Instruction, Program, fired, formula_of
from graphgrad.compiler.rectified import sends_back
from graphgrad.compiler.summed import Summed
from graphgrad.graph import Axis, Formula, Index, Operation, at
from graphgrad.ops.batch import SAMPLES
from graphgrad.ops.contraction import Contraction

RULE = "winners alone"
NAME = "of_winners"
WHY = "what goes back to a window is 0 but at its winner: only that is multiplied"


def with_winners(program: Program) -> Program:
    """The program in which products with what goes back to winners are made for the windows."""
    make = Builder().make
    new: dict[Instruction, Instruction] = {}
    firings, notes = [], {}
    for old in program.order:
        inputs = tuple(new[operand] for operand in old.inputs)
        made = _by_windows(old)
        if made is None:
            new[old] = old.over(inputs)
            continue
        op, operands = made
        new[old] = make(op, tuple(new[operand] for operand in operands))
        firings.append(fired(RULE, program, old, WHY))
        notes[new[old]] = RULE
    if not firings:
        return program
    found = program.rebuilt(new, firings)
    return replace(found, notes={**found.notes, **notes})


def _by_windows(old: Instruction) -> tuple[Operation, tuple[Instruction, ...]] | None:
    """The operation that goes over the windows instead, and its operands."""
    back = next((one for one in old.inputs if sends_back(one)), None)
    summed = isinstance(old.op, Summed)
    if back is None or not (summed or isinstance(old.op, Contraction)) or not 1 <= len(old.inputs) <= 2:
        return None
    formula = formula_of(old)
    others = [one for one in old.inputs if one is not back]
    plain = formula.body is None and formula.chosen is None and not (formula.within or formula.weights)
    if not plain or len(others) != len(old.inputs) - 1:
        return None
    _, _, under = back.inputs[1].op.loops(back.inputs[1].inputs[0].type)
    if any(not index.stays_inside(extent) for index, extent in zip(under, back.type.shape, strict=True)):
        return None  # a window that reaches beyond the image may have its winner there
    read = formula.reads[old.inputs.index(back)]
    if not others:
        made = _by_window(formula, read, None, back) if summed else None
        return None if made is None else (Summed(made), back.inputs[:1])
    (other,) = others
    if not all(one.type.per_sample for one in back.inputs) or other.type.per_sample != summed:
        return None  # image and windows have samples, the kernel has none
    made = (_by_window if summed else _to_image)(formula, read, formula.reads[old.inputs.index(other)], back)
    if made is None:
        return None
    op = Summed(made) if summed else made
    statement = stated(op.formula(*(one.type for one in (other, *back.inputs))), back.inputs[0].type.shape)
    return (op, (other, *back.inputs)) if statement is not None and statement.laid_out.pays else None


def _by_window(formula: Formula, read: Where, other: Where | None, back: Instruction) -> Contraction | None:
    """The sum over a map as one over windows and, with another operand, over the places in them."""
    axes, inside, under = back.inputs[1].op.loops(back.inputs[1].inputs[0].type)
    channels = len(axes) - len(inside)
    places = [axis for index in read if (axis := index.axis) is not None]
    pooled = places[channels:]
    if len(places) < len(read) or len(set(places)) < len(places) or not set(pooled) <= set(formula.over):
        return None
    window = _fresh("w", back.inputs[0].type.shape[channels:])
    left = tuple(axis for axis in formula.over if axis not in pooled and axis is not SAMPLES)
    at_window = at(*places[:channels], *window)
    if other is None:
        return Contraction("sum", formula.axes, (*left, *window), (at_window,))
    offsets = _fresh("p", tuple(axis.extent or 1 for axis in inside))
    factors = (math.prod(axis.extent or 1 for axis in offsets[k + 1 :]) for k in range(len(offsets)))
    named = dict(zip((*axes[channels:], *inside), at(*window, *offsets), strict=True))
    moved = {axis: index.placed(named) for axis, index in zip(pooled, under[channels:], strict=True)}
    reads = (tuple(index.placed(moved) for index in other), at_window, at_window)
    position = Index(tuple(zip(offsets, factors, strict=True)))
    return Contraction(NAME, formula.axes, (*left, *window, *offsets), reads, chosen=position)


def _to_image(formula: Formula, read: Where, other: Where, back: Instruction) -> Contraction | None:
    """What goes back to the image, of the windows at which a kernel lies there with their winners."""
    inner = formula_of(back)
    if inner.within or inner.chosen is None or inner.reads[0] != inner.reads[1]:
        return None
    offsets = _fresh("p", tuple(axis.extent or 1 for axis in inner.over))
    places = {**dict(zip(inner.axes, read, strict=True)), **dict(zip(inner.over, at(*offsets), strict=True))}
    at_window = tuple(index.placed(places) for index in inner.reads[0])
    reads = (other, at_window, at_window)
    return Contraction(NAME, formula.axes, (*formula.over, *offsets), reads, chosen=inner.chosen.placed(places))


def _fresh(name: str, extents: tuple[int, ...]) -> tuple[Axis, ...]:
    return tuple(Axis(f"{name}{k}", extent) for k, extent in enumerate(extents))


# -- as it is stated -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stated:
    """A sum over the winners of windows in the indices of kernel, image and windows; `to_image` where that is the result."""

    kernel: Where
    image: Where
    numbers: Where
    position: Index
    to_image: bool

    @property
    def axes(self) -> tuple[Axis, ...]:
        """All axes: those of the kernel, of the windows, and inside of a window."""
        every = (*self.kernel, *self.numbers, self.position)
        return tuple(dict.fromkeys(axis for index in every for axis, _ in index.terms))

    def text(self, kernel: str, image: str, numbers: str, winner: str) -> tuple[str, dict[str, int], str]:
        """The line of the sum over these arrays, its extents, and the test for the winners."""
        names = {
            axis: Index(((Axis(name, axis.extent), 1),)) for axis, name in zip(self.axes, LOOP_NAMES, strict=False)
        }

        def of(array: str, where: Where) -> str:
            return element(array, tuple(shown(index.placed(names)) for index in where))

        of_kernel, of_image, of_window = of(kernel, self.kernel), of(image, self.image), of(numbers, self.numbers)
        line = f"{of_image} = {of_kernel}" if self.to_image else f"{of_kernel} += {of_image}"
        extents = {names[axis].terms[0][0].name: axis.extent or 1 for axis in self.axes}
        return f"{line} * {of_window}", extents, f"{of(winner, self.numbers)} == {shown(self.position.placed(names))}"

    @cached_property
    def laid_out(self) -> Winners:
        """How its copies lie in memory. Raises ValueError where there is no function for it."""
        return read_winners(*self.text("K", "x", "d", "w"))


def stated(formula: Formula, windows: tuple[int, ...]) -> Stated | None:
    """A formula as its function is told of it, for windows of this shape; None where there is no function for it."""
    plain = formula.axes and formula.body is None and not (formula.within or formula.weights or formula.starts)
    if formula.chosen is None or len(formula.reads) != 3 or not plain or formula.reads[1] != formula.reads[2]:
        return None
    other, numbers, _ = formula.reads
    if any(index.table for read in formula.reads for index in read) or len(formula.axes) > len(LOOP_NAMES):
        return None
    found: Stated | None
    if SAMPLES in formula.over:
        found = Stated(at(*formula.axes), other, numbers, formula.chosen, False)
    else:
        found = _solved(formula, other, numbers, windows)
    if found is None or len(found.axes) > len(LOOP_NAMES):
        return None
    try:
        return found if found.laid_out.fits else None
    except ValueError:
        return None


def _solved(formula: Formula, kernel: Where, numbers: Where, windows: tuple[int, ...]) -> Stated | None:
    """Where in the image each product goes: the index of a window solved for that of the image.

    w = (i + Σ c a + b) / s is i = s w - Σ c a - b.
    """
    image = {axis: at(axis)[0] for axis in formula.axes}
    where: list[Index] = []
    assert formula.chosen is not None
    for index, window in zip(numbers, _fresh("w", windows), strict=True):
        own = [(axis, factor) for axis, factor in index.terms if axis in image]
        if not own:
            where.append(index)
            continue
        ((axis, factor), *more) = own
        if more or factor != 1 or image[axis] != at(axis)[0]:
            return None
        others = tuple((one, -times) for one, times in index.terms if one != axis)
        image[axis] = Index(((window, index.divisor), *others), -index.offset)
        where.append(at(window)[0])
    return Stated(kernel, tuple(image.values()), tuple(where), formula.chosen, True)


__all__ = ["RULE", "Stated", "stated", "with_winners"]
