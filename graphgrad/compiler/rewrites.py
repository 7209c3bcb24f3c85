"""Rewrites of a program: identities as data, applied in phases, every firing recorded.

The identities themselves, with their reasons, are those of `calculus.identities`, which what is shown is simplified by
too; a phase goes once through the program from the leaves up and applies its identities wherever they match. The last one,
which no identity follows that reads how a gradient came about, writes a number that was repeated as the number itself,
and simplifies once more.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from graphgrad.calculus.identities import IDENTITIES, Identity, matches
from graphgrad.compiler.program import Builder, Firing, Instruction, Program, Update, described, type_for
from graphgrad.compiler.rectified import with_pools_first, with_slopes_of_outputs
from graphgrad.graph import Node, Type
from graphgrad.ops import add, divide, multiply, negative, subtract
from graphgrad.ops.elementwise import Elementwise
from graphgrad.ops.reductions import Broadcast

PHASES = ("fold", "simplify", "stabilise", "specialise")
_ARITHMETIC = frozenset({add, subtract, multiply, divide, negative})


class _Rewriter:
    """One phase over one program."""

    def __init__(self, program: Program, phase: str) -> None:
        self.program = program
        self.phase = phase
        self.builder = Builder()
        self.firings: list[Firing] = []
        self.notes: dict[Instruction, str] = {}
        self.rules: dict[Any, list[Identity]] = {}
        present = {instruction.op for instruction in program.order}
        for identity in IDENTITIES:
            of_phase = "simplify" if phase == "specialise" else phase
            if identity.phase == of_phase and (identity.needs is None or identity.needs in present):
                _, left = identity.pattern
                self.rules.setdefault(left.op, []).append(identity)

    def run(self) -> Program:
        new: dict[Instruction, Instruction] = {}
        for old in self.program.order:
            if not old.inputs:
                new[old] = self.builder.leaf(old.leaf) if old.leaf is not None else self.builder.number(old.op.value)
                continue
            new[old] = self._make(old.op, tuple(new[operand] for operand in old.inputs), old)
        names: dict[Instruction, Node] = {}
        for old, node in self.program.names.items():
            if old in new and (
                (known := names.get(new[old])) is None or (known.name is None and node.name is not None)
            ):
                names[new[old]] = node
        return Program(
            {node: new[value] for node, value in self.program.values.items()},
            tuple(Update(update.target, new[update.value]) for update in self.program.updates),
            names,
            (*self.program.firings, *self.firings),
            {**{new[old]: note for old, note in self.program.notes.items() if old in new}, **self.notes},
        )

    def _make(self, op: Any, inputs: tuple[Instruction, ...], old: Instruction) -> Instruction:
        type = type_for(op, *(operand.type for operand in inputs))
        if self.phase == "specialise" and (plain := _unrepeated(op, inputs, type)) != inputs:
            self._record("a repeated number", old, "an operation on each element takes a number for all of them")
            inputs = plain
        if self.phase in ("fold", "specialise") and (value := folded(op, inputs)) is not None:
            self._record("constants", old, "the operands are numbers")
            return self.builder.number(value)
        for rule in self.rules.get(op, ()):
            variables, left = rule.pattern
            for factor, bound in matches(left, op, inputs, _constant):
                operands = [bound[variable] for variable in variables]
                own, right = rule.right_of(*(operand.type for operand in operands))
                result = self._build(right, dict(zip(own, operands, strict=True)))
                if factor is not None:
                    result = self.builder.make(multiply, (factor, result))
                if result.type == type:
                    self._record(rule.name, old, rule.reason)
                    if self.phase == "stabilise":
                        self.notes[result] = rule.name
                    return result
        return self.builder.make(op, inputs)

    def _build(self, side: Node, bound: dict[Node, Instruction]) -> Instruction:
        if side in bound:
            return bound[side]
        if side.kind == "constant":
            return self.builder.number(side.op.value)
        if (written_out := side.graph.expansion(side)) is not None:
            return self._build(written_out, bound)
        return self.builder.make(side.op, tuple(self._build(operand, bound) for operand in side.inputs))

    def _record(self, rule: str, old: Instruction, reason: str) -> None:
        named = self.program.names.get(old)
        told = named.text if named is not None else partial(described, old, self.program.names)
        self.firings.append(Firing(rule, self.phase, told, reason))


def _constant(term: Instruction) -> float | None:
    return term.constant


def _unrepeated(op: Any, inputs: tuple[Instruction, ...], type: Type) -> tuple[Instruction, ...]:
    """The operands of an operation on each element, a number where one is a number repeated."""
    if not isinstance(op, Elementwise):
        return inputs
    found = list(inputs)
    for k, operand in enumerate(inputs):
        if isinstance(operand.op, Broadcast) and operand.inputs[0].constant is not None:
            changed = [*found[:k], operand.inputs[0], *found[k + 1 :]]
            if op.infer(*(one.type for one in changed)) == type:
                found = changed
    return tuple(found)


def folded(op: Any, inputs: tuple[Instruction, ...]) -> float | None:
    """The value of arithmetic on numbers; what has no finite value is left to the step itself."""
    values = [operand.constant for operand in inputs]
    if op not in _ARITHMETIC or any(value is None for value in values):
        return None
    try:
        return float(op.body(*values))
    except (ZeroDivisionError, OverflowError):
        return None


def rewrite(program: Program, phases: tuple[str, ...] = PHASES) -> Program:
    """The program after these phases, with the record of what was rewritten."""
    for phase in phases:
        program = _Rewriter(program, phase).run()
        if phase == "specialise":
            program = with_slopes_of_outputs(with_pools_first(program))
    return program


__all__ = ["IDENTITIES", "PHASES", "Identity", "rewrite"]
