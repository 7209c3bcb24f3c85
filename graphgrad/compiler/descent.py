"""Plain descent along the gradient of a layer's weights, made by the matrix product itself.

`W := W - rate (λ W + Σₙ ∂A xᵀ)` is one product that adds to what is there, `W := b W + a (∂Aᵀ x)` with the numbers
b = 1 - rate λ and a = -rate: neither the product nor the gradient is ever written to memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from graphgrad.compiler.products import Descent, as_product
from graphgrad.compiler.program import Builder, Firing, Instruction, Program, Update, formula_of, written
from graphgrad.compiler.rewrites import folded
from graphgrad.ops import add, divide, identity, multiply, negative, subtract

Number = Instruction | float


def with_descents(program: Program) -> Program:
    """The program in which each update that is a number times a product, plus a number times the old value, is one."""
    users: dict[Instruction, int] = {}
    for instruction in program.order:
        for operand in instruction.inputs:
            users[operand] = users.get(operand, 0) + 1
    kept = set(program.values.values())
    updates, builder = [], Builder()
    for update in program.updates:
        found = None if users.get(update.value) else _Split(update, users, kept, builder).run()
        updates.append(update if found is None else Update(update.target, found))
    if tuple(updates) == program.updates:
        return program
    pairs = [(old, new) for old, new in zip(program.updates, updates, strict=True) if old is not new]
    names = {new.value: program.names[old.value] for old, new in pairs}
    reason = "the product adds to what is there"
    firings = [
        Firing("descent by a product", "specialise", partial(written, program.names[old.value]), reason)
        for old, _ in pairs
    ]
    return replace(
        program,
        updates=tuple(updates),
        names={**program.names, **names},
        firings=(*program.firings, *firings),
    )


class _Split:
    """Takes a new value apart: a · product + b · old value."""

    def __init__(self, update: Update, users: dict[Instruction, int], kept: set[Instruction], builder: Builder) -> None:
        self.update, self.users, self.kept, self.make = update, users, kept, builder
        self.product: Instruction | None = None
        self.weights: Instruction | None = None

    def run(self) -> Instruction | None:
        split = self._split(self.update.value)
        if split is None or self.product is None or self.weights is None:
            return None
        left, right = self.product.inputs[0].inputs
        inputs = self.weights, left, right, *map(self._read_before, split)
        return Instruction(Descent(), inputs, self.weights.type)

    def _read_before(self, number: Number) -> Instruction:
        """A number with a statement of its own: the product may come when its array has a new value."""
        if not isinstance(number, Instruction):
            return self.make.number(number)
        moved = number.leaf is not None or (bool(number.inputs) and formula_of(number).body is None)
        return self.make.make(identity, (number,)) if moved else number

    def _split(self, value: Instruction) -> tuple[Number, Number] | None:
        """a and b of a value, None where it is not of this form."""
        if value.leaf is self.update.target:
            self.weights = value
            return 0.0, 1.0
        if self.users.get(value, 0) > 1 or value in self.kept:
            return None
        if value.inputs and (factors := as_product(value)) is not None:
            if not factors.left_transposed or self.product is not None:
                return None  # the product of a layer, not the sum of a gradient over the samples; or a second one
            self.product = value
            return 1.0, 0.0
        if value.op in (add, subtract):
            first, second = map(self._split, value.inputs)
            if first is None or second is None:
                return None
            combine = self._plus if value.op is add else self._minus
            return combine(first[0], second[0]), combine(first[1], second[1])
        if value.op is negative:
            return self._each(value.inputs[0], lambda number: self._minus(0.0, number))
        if value.op in (multiply, divide):
            a, b = value.inputs
            if value.op is multiply and _is_number(a):
                return self._each(b, lambda number: self._times(number, _plain(a)))
            if _is_number(b):
                combine = self._times if value.op is multiply else self._over
                return self._each(a, lambda number: combine(number, _plain(b)))
        return None

    def _each(self, value: Instruction, change: Callable[[Number], Number]) -> tuple[Number, Number] | None:
        split = self._split(value)
        return None if split is None else (change(split[0]), change(split[1]))

    def _plus(self, x: Number, y: Number) -> Number:
        if x == 0.0 or y == 0.0:
            return y if x == 0.0 else x
        return self._made(add, x, y)

    def _minus(self, x: Number, y: Number) -> Number:
        if y == 0.0:
            return x
        if x == 0.0:
            return -y if isinstance(y, float) else self.make.make(negative, (y,))
        return self._made(subtract, x, y)

    def _times(self, x: Number, y: Number) -> Number:
        if 0.0 in (x, y):
            return 0.0
        if 1.0 in (x, y):
            return y if x == 1.0 else x
        return self._made(multiply, x, y)

    def _over(self, x: Number, y: Number) -> Number:
        return 0.0 if x == 0.0 else self._made(divide, x, y)

    def _made(self, op: Any, x: Number, y: Number) -> Number:
        made = tuple(one if isinstance(one, Instruction) else self.make.number(one) for one in (x, y))
        number = folded(op, made)
        return self.make.make(op, made) if number is None else number


def _is_number(value: Instruction) -> bool:
    return not value.type.shape and not value.type.per_sample


def _plain(value: Instruction) -> Number:
    return value if value.constant is None else value.constant
