"""ReLU, and what is read of its output: its slope, and the largest of a window.

**The slope by the output.** 1[A > 0] = 1[ReLU(A) > 0], so that A need not be kept for the backward sweep.

**Behind the pooling.** The largest of rectified numbers is the rectified largest one, max(ReLU(A)) = ReLU(max(A)): it is
then taken of one number in each window only, and so is its slope. What goes back to a window's winner is
∂ ⊙ 1[max(A) > 0], for where the first largest of ReLU(A) is not that of A, all of the window lies below 0, where the
slope is 0. No map of the size of A has to be kept.
"""

from __future__ import annotations

from dataclasses import replace

from graphgrad.compiler.program import Builder, Instruction, Program, fired
from graphgrad.ops import multiply, relu
from graphgrad.ops.contraction import Contraction, turned
from graphgrad.ops.magnitude import step
from graphgrad.ops.pooling import MaxPool, Pooling, Winner

BEHIND = "ReLU behind the pooling"
_WHY_BEHIND = "the largest of rectified numbers is the rectified largest one, and only it has a slope"
BY_OUTPUT = "slope of ReLU by its output"
_WHY_BY_OUTPUT = "ReLU is above 0 where its operand is, which then need not be kept"


def with_slopes_of_outputs(program: Program) -> Program:
    """The program in which the slope of ReLU is read off its output, where that is there."""
    order = program.order
    rectified = {one.inputs[0] for one in order if one.op is relu}
    make = Builder().make
    new: dict[Instruction, Instruction] = {}
    firings = []
    for old in order:
        inputs = tuple(new[operand] for operand in old.inputs)
        if old.op is relu:
            new[old] = make(relu, inputs)
        elif old.op is step and old.inputs[0] in rectified:
            new[old] = make(step, (make(relu, inputs),))
            firings.append(fired(BY_OUTPUT, program, old, _WHY_BY_OUTPUT))
        else:
            new[old] = old.over(inputs)
    return program.rebuilt(new, firings) if firings else program


def with_pools_first(program: Program) -> Program:
    """The program in which what is pooled is rectified afterwards, where nothing else reads it rectified."""
    return _Moves(program).run()


class _Moves:
    def __init__(self, program: Program) -> None:
        self.program = program
        self.users, self.fixed = program.users(), set(program.roots)
        self.make = Builder().make
        self.new: dict[Instruction, Instruction] = {}

    def run(self) -> Program:
        order = self.program.order
        moved = {one for one in order if one.op is relu and self._may_move(one)}
        if not moved:
            return self.program
        firings, notes = [], {}
        for old in order:
            inputs = tuple(self.new[operand] for operand in old.inputs)
            if isinstance(old.op, Pooling) and old.inputs[0] in moved:
                pooled = self.make(old.op, (self.new[old.inputs[0].inputs[0]],))
                self.new[old] = pooled if isinstance(old.op, Winner) else self.make(relu, (pooled,))
                if isinstance(old.op, MaxPool):
                    firings.append(fired(BEHIND, self.program, old, _WHY_BEHIND))
                    notes[self.new[old]] = BEHIND
            elif old.op is multiply and (winner := self._sent_to(old, moved)) is not None:
                self.new[old] = self._sent(old, winner)
                notes[self.new[old]] = notes[self.new[winner]] = BEHIND
            else:
                self.new[old] = old.over(inputs)
        found = self.program.rebuilt(self.new, firings)
        return replace(found, notes={**found.notes, **notes})

    def _may_move(self, rectified: Instruction) -> bool:
        """Whether only poolings read it, and what goes back through them meets the slope at once."""
        users = self.users.get(rectified, [])
        if rectified in self.fixed or not all(isinstance(user.op, MaxPool | Winner) for user in users):
            return False
        winners = [user for user in users if isinstance(user.op, Winner)]
        sent = [back for winner in winners for back in self.users.get(winner, ())]
        slopes = [slope for back in sent for slope in self.users.get(back, ())]
        return (
            len(winners) < len(users)
            and self.fixed.isdisjoint([*winners, *sent])
            and all(sends_back(back) for back in sent)
            and all(slope.op is multiply and self._slope_of(rectified) in slope.inputs for slope in slopes)
        )

    def _slope_of(self, rectified: Instruction) -> Instruction | None:
        (a,) = rectified.inputs
        return next((user for user in self.users[a] if user.op is step), None)

    def _sent_to(self, product: Instruction, moved: set[Instruction]) -> Instruction | None:
        """The winners to which a product sends what goes back to a window, times the slope there."""
        for back in product.inputs:
            if sends_back(back) and back.inputs[-1].inputs[0] in moved:
                return back.inputs[-1]
        return None

    def _sent(self, product: Instruction, winner: Instruction) -> Instruction:
        back = next(one for one in product.inputs if sends_back(one) and one.inputs[-1] is winner)
        (a,) = self.new[winner].inputs
        largest = self.make(_largest(winner.op), (a,))
        given = self.make(multiply, (self.new[back.inputs[0]], self.make(step, (largest,))))
        return self.make(back.op, (given, self.new[winner]))


def sends_back(instruction: Instruction) -> bool:
    """Whether it is the transpose of pooling: what comes to each window goes to its winner."""
    transposed = isinstance(instruction.op, Contraction) and instruction.op.name == turned(MaxPool.name)
    return transposed and isinstance(instruction.inputs[-1].op, Winner)


def _largest(op: Winner) -> MaxPool:
    return MaxPool(op.kernel, op.stride, op.padding, op.dilation, op.ceil_mode)


__all__ = ["BEHIND", "BY_OUTPUT", "with_pools_first", "with_slopes_of_outputs"]
