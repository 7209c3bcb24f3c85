"""Rewrites of a program: identities as data, applied in phases, every firing recorded.

An identity is written as two formulas over the same variables, with the graph's own operations; a phase goes once
through the program from the leaves up and applies its identities wherever they match.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from graphgrad.compiler.program import Builder, Firing, Instruction, Program, Update
from graphgrad.graph import Graph, Leaf, Node, Type, formula
from graphgrad.ops import (
    add,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    divide,
    identity,
    multiply,
    negative,
    sigmoid,
    subtract,
)
from graphgrad.ops.batch import BatchSpread
from graphgrad.ops.linear import Transpose
from graphgrad.ops.losses import cross_entropy_slope

PHASES = ("fold", "simplify", "stabilise")
_ARITHMETIC = frozenset({add, subtract, multiply, divide, negative})
_COMMUTATIVE = frozenset({add, multiply})


@dataclass(frozen=True)
class Identity:
    """`left = right` for all values of the variables; applied from left to right."""

    name: str
    phase: str
    left: Callable[..., Node]
    right: Callable[..., Node]
    reason: str
    shape: tuple[int, ...] = ()

    @cached_property
    def sides(self) -> tuple[tuple[Node, ...], Node, Node]:
        """The variables and the two formulas, as nodes of a graph of their own."""
        graph = Graph(self.name)
        arity = self.left.__code__.co_argcount
        with graph:
            variables = tuple(
                graph.leaf("input", name, self.shape, per_sample=True) for name in self.left.__code__.co_varnames[:arity]
            )
            return variables, self.left(*variables), self.right(*variables)

    def __str__(self) -> str:
        _, left, right = self.sides
        return f"{formula(left, 'unicode')} = {formula(right, 'unicode')}"


IDENTITIES: tuple[Identity, ...] = (
    Identity("copy", "simplify", lambda a: identity(a), lambda a: a, "a copy has the value of its original"),
    Identity("times one", "simplify", lambda a: a * 1, lambda a: a, "1 is neutral for the product"),
    Identity("divided by one", "simplify", lambda a: a / 1, lambda a: a, "1 is neutral for the product"),
    Identity("plus zero", "simplify", lambda a: a + 0, lambda a: a, "0 is neutral for the sum"),
    Identity("minus zero", "simplify", lambda a: a - 0, lambda a: a, "0 is neutral for the sum"),
    Identity("negated twice", "simplify", lambda a: -(-a), lambda a: a, "-(-a) is a"),
    Identity(
        "transposed twice",
        "simplify",
        lambda a: Transpose()(Transpose()(a)),
        lambda a: a,
        "the transpose of the transpose is the matrix itself",
        shape=(2, 3),
    ),
    Identity(
        "the seed of an objective",
        "simplify",
        lambda a: BatchSpread()(a.graph.add(Leaf("1", "constant", Type(), 1.0), (), Type(), None)) * a,
        lambda a: a,
        "∂J/∂J is 1 for every sample",
    ),
    Identity(
        "cross entropy of a sigmoid",
        "stabilise",
        lambda z, t: binary_cross_entropy(sigmoid(z), t),
        lambda z, t: binary_cross_entropy_with_logits(z, t),
        "-t ln σ(z) - (1-t) ln(1-σ(z)) is computed from z, where no logarithm meets a rounded 0 or 1",
    ),
    Identity(
        "sigmoid with cross entropy",
        "stabilise",
        lambda z, t: cross_entropy_slope(sigmoid(z), t) * (sigmoid(z) * (1 - sigmoid(z))),
        lambda z, t: sigmoid(z) - t,
        "(y-t)/(y(1-y)) · y(1-y) cancels to y - t, exact also where y(1-y) is rounded to 0",
    ),
)


class _Rewriter:
    """One phase over one program."""

    def __init__(self, program: Program, phase: str) -> None:
        self.program = program
        self.phase = phase
        self.builder = Builder()
        self.firings: list[Firing] = []
        self.notes: dict[Instruction, str] = {}
        self.rules: dict[Any, list[tuple[Identity, Node, Node]]] = {}
        for identity_ in IDENTITIES:
            if identity_.phase == phase:
                _, left, right = identity_.sides
                self.rules.setdefault(left.op, []).append((identity_, left, right))

    def run(self) -> Program:
        new: dict[Instruction, Instruction] = {}
        for old in self.program.order:
            if not old.inputs:
                new[old] = self.builder.leaf(old.leaf) if old.leaf is not None else self.builder.number(old.op.value)
                continue
            new[old] = self._make(old.op, tuple(new[operand] for operand in old.inputs), old)
        names: dict[Instruction, Node] = {}
        for old, node in self.program.names.items():
            if old in new and ((known := names.get(new[old])) is None or (known.name is None and node.name is not None)):
                names[new[old]] = node
        return Program(
            {node: new[value] for node, value in self.program.values.items()},
            tuple(Update(update.target, new[update.value]) for update in self.program.updates),
            names,
            (*self.program.firings, *self.firings),
            {**{new[old]: note for old, note in self.program.notes.items() if old in new}, **self.notes},
        )

    def _make(self, op: Any, inputs: tuple[Instruction, ...], old: Instruction) -> Instruction:
        type = op.infer(*(operand.type for operand in inputs))
        if self.phase == "fold" and (value := _folded(op, inputs)) is not None:
            self._record("constants", old, "the operands are numbers")
            return self.builder.number(value)
        for rule, left, right in self.rules.get(op, ()):
            for factor, bound in _matches(left, op, inputs):
                result = self._build(right, bound)
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
        return self.builder.make(side.op, tuple(self._build(operand, bound) for operand in side.inputs))

    def _record(self, rule: str, old: Instruction, reason: str) -> None:
        named = self.program.names.get(old)
        self.firings.append(Firing(rule, self.phase, named.text() if named is not None else repr(old)[:120], reason))


def _folded(op: Any, inputs: tuple[Instruction, ...]) -> float | None:
    """The value of arithmetic on numbers; what has no finite value is left to the step itself."""
    values = [operand.constant for operand in inputs]
    if op not in _ARITHMETIC or any(value is None for value in values):
        return None
    try:
        return float(op.body(*values))
    except (ZeroDivisionError, OverflowError):
        return None


def _matches(left: Node, op: Any, inputs: tuple[Instruction, ...]) -> list[tuple[Instruction | None, dict[Node, Instruction]]]:
    """The ways in which `op(inputs)` is the left side, as (a factor in front of a product, the variables)."""
    found: list[tuple[Instruction | None, dict[Node, Instruction]]] = []
    for bound in _match_inputs(left, op, inputs, {}):
        found.append((None, bound))
    if op is multiply and len(inputs) == 2 and inputs[0].op is multiply:
        # (g · p) · q is read as g · (p · q), so that an identity for p · q holds behind any factor
        factor, first = inputs[0].inputs
        for bound in _match_inputs(left, op, (first, inputs[1]), {}):
            found.append((factor, bound))
    return found


def _match_inputs(
    left: Node, op: Any, inputs: tuple[Instruction, ...], bound: dict[Node, Instruction]
) -> list[dict[Node, Instruction]]:
    if left.op != op or len(left.inputs) != len(inputs):
        return []
    orders = [inputs, inputs[::-1]] if op in _COMMUTATIVE else [inputs]
    results: list[dict[Node, Instruction]] = []
    for order in orders:
        partial = [bound]
        for pattern, operand in zip(left.inputs, order, strict=True):
            partial = [deeper for so_far in partial for deeper in _match(pattern, operand, so_far)]
        results.extend(partial)
    return results


def _match(pattern: Node, operand: Instruction, bound: dict[Node, Instruction]) -> list[dict[Node, Instruction]]:
    if pattern.kind == "input":
        if pattern in bound:
            return [bound] if bound[pattern] is operand else []
        return [{**bound, pattern: operand}]
    if pattern.kind == "constant":
        return [bound] if operand.constant == pattern.op.value else []
    return _match_inputs(pattern, operand.op, operand.inputs, bound)


def rewrite(program: Program, phases: tuple[str, ...] = PHASES) -> Program:
    """The program after these phases, with the record of what was rewritten."""
    for phase in phases:
        program = _Rewriter(program, phase).run()
    return program


__all__ = ["IDENTITIES", "PHASES", "Identity", "rewrite"]
