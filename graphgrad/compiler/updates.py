"""Which new values of parameters are made where the old ones lie, and which are made before and copied.

An update is made in passing: the loop that computes an element of the new value writes it over the old one. Another
update may read such a new value, element by element: v := μ v + g, W := W - η v are one loop that goes over W, v and g
once. What would be wrong or impossible in passing is pinned: computed on its own while all old values are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace

from graphgrad.compiler.products import Descent
from graphgrad.compiler.program import Instruction, Program, Update, formula_of
from graphgrad.graph import Node
from graphgrad.ops import identity


@dataclass(frozen=True)
class Detached:
    """A program whose updates are safe to be made one after the other, at the end of the step.

    What is `pinned` has statements of its own before them. What is `late` comes with them: new values that are made in
    passing, and what only these read.
    """

    program: Program
    pinned: frozenset[Instruction]
    late: frozenset[Instruction]


def detached(program: Program) -> Detached:
    """Pin what has to be, and find what is made in passing."""
    reading = _Reading(program)
    passing = reading.passing()
    pinned, updates, names = set(), [], dict(program.names)
    for update in program.updates:
        value = update.value
        if value not in passing:
            pinned.add(value)
            value = Instruction(identity, (value,), value.type)
            names[value] = names.get(update.value, update.target)
        updates.append(Update(update.target, value))
    late = reading.late(passing) | {update.value for update in updates}
    return Detached(replace(program, updates=tuple(updates), names=names), frozenset(pinned), frozenset(late))


class _Reading:
    """Who reads what, and where."""

    def __init__(self, program: Program) -> None:
        self.order, self.users = program.order, program.users()
        self.asked = set(program.values.values())
        self.values = Counter(update.value for update in program.updates)
        self.new: dict[Node | None, Instruction] = {update.target: update.value for update in program.updates}

    def passing(self) -> set[Instruction]:
        """The new values that are made in passing."""
        passing = {
            value
            for value in self.values
            if (isinstance(value.op, Descent) or _is_elementwise(value))
            and self.values[value] == 1
            and value not in self.asked
        }
        while pinned := {one for one in passing if not (self._is_passed_on(one, passing) and self._is_in_time(one))}:
            passing -= pinned  # and so what these read may have to be as well
        return passing

    def late(self, passing: set[Instruction]) -> set[Instruction]:
        """New values that are made in passing, and what is made for them alone, element by element.

        Whatever old value that reads, these are made of as well, and they are in time.
        """
        late = set(passing)
        for instruction in reversed(self.order):
            users = self.users.get(instruction, [])
            if not users or instruction in late or instruction in self.asked or instruction in self.values:
                continue
            if instruction.type.shape and _is_elementwise(instruction) and late.issuperset(users):
                alike = all(_is_elementwise(user) and user.type == instruction.type for user in users)
                late.update([instruction] if alike else [])
        return late

    def _is_passed_on(self, value: Instruction, passing: set[Instruction]) -> bool:
        """Whether nothing reads a new value but others that are made in passing, in loops over the same elements."""
        stack = list(self.users.get(value, ()))
        if stack and not value.type.shape:
            return False  # arrays read it, in loops of their own
        while stack:
            user = stack.pop()
            if not _is_elementwise(user) or user.type != value.type or user in self.asked:
                return False
            if user not in passing:
                if user in self.values:
                    return False
                stack.extend(self.users[user])
        return True

    def _is_in_time(self, value: Instruction) -> bool:
        """Whether all old values of which it is made are there until it is: those that it is written over itself, and
        those whose new ones are made of it."""
        for instruction, moved in self._made_of(value, self.values):
            new = self.new.get(instruction.leaf)
            if new is None or (new is value and not moved):
                continue
            if moved or all(one is not value for one, _ in self._made_of(new)):
                return False
        return True

    def _made_of(self, value: Instruction, known: Container[Instruction] = ()) -> Iterator[tuple[Instruction, bool]]:
        """What a value is made of element by element, and whether it is read at another index; what is known is not
        looked into."""
        stack, seen = [(value, False)], set()
        while stack:
            instruction, moved = stack.pop()
            if (instruction, moved) in seen or (instruction in known and instruction is not value):
                continue
            seen.add((instruction, moved))
            yield instruction, moved
            formula = formula_of(instruction) if instruction.inputs else None
            if formula is not None and formula.pointwise:
                stack.extend((operand, moved or formula.body is None) for operand in instruction.inputs)


def _is_elementwise(value: Instruction) -> bool:
    if not value.inputs:
        return False
    formula = formula_of(value)
    return formula.pointwise and formula.body is not None
