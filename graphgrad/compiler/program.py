"""What runs: instructions without names or order of their own, equal ones made once, each knowing its named nodes.

A `Program` is made from nodes of a graph and rewritten; the graph itself never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from typing import Any

from graphgrad.graph import ATOM, Formula, Leaf, Node, Operation, Type, ancestors, computed_from
from graphgrad.graph.notation import binding, fill
from graphgrad.graph.notation import number as shown_number


@dataclass(frozen=True, eq=False, slots=True)
class Instruction:
    """One value to compute. Leaves carry the node that they stand for, or a constant."""

    op: Any
    inputs: tuple[Instruction, ...]
    type: Type
    leaf: Node | None = None

    @property
    def constant(self) -> float | None:
        """The value of a constant, None for anything else."""
        return self.op.value if isinstance(self.op, Leaf) and self.leaf is None else None

    def over(self, inputs: tuple[Instruction, ...]) -> Instruction:
        """The same operation on these operands."""
        same = all(a is b for a, b in zip(inputs, self.inputs, strict=True))
        return self if same else Instruction(self.op, inputs, self.type, self.leaf)

    def __repr__(self) -> str:
        return self.leaf.op.name if self.leaf is not None else f"{self.op.name}({', '.join(map(repr, self.inputs))})"


def formula_of(instruction: Instruction) -> Formula:
    """The formula of an instruction for the types of its operands."""
    return _formula_for(instruction.op, *(operand.type for operand in instruction.inputs))


@lru_cache(4096)
def _formula_for(op: Operation, *types: Type) -> Formula:
    return op.formula(*types)


@lru_cache(4096)
def type_for(op: Operation, *types: Type) -> Type:
    """The type of what an operation makes of operands of these types."""
    return op.infer(*types)


class Builder:
    """Makes instructions; the same operation on the same operands is made once."""

    def __init__(self) -> None:
        self._made: dict[Any, Instruction] = {}

    def leaf(self, node: Node) -> Instruction:
        """The instruction of an input, a parameter, a constant or the number of samples."""
        if node.kind == "constant" and type(node.op) is Leaf:
            return self.number(node.op.value)
        key = node if node.kind != "constant" else type(node.op)
        return self._once(key, Instruction(node.op, (), node.type, node))

    def number(self, value: float) -> Instruction:
        """A constant."""
        return self._once((float, repr(value)), Instruction(Leaf("number", "constant", Type(), value), (), Type()))

    def make(self, op: Operation, inputs: tuple[Instruction, ...]) -> Instruction:
        """The instruction `op(inputs)`."""
        key = (op, inputs)
        found = self._made.get(key)
        return found or self._once(key, Instruction(op, inputs, type_for(op, *(operand.type for operand in inputs))))

    def _once(self, key: Any, instruction: Instruction) -> Instruction:
        return self._made.setdefault(key, instruction)


@dataclass(frozen=True, slots=True)
class Update:
    """At the end of the step, a parameter (or the state of an optimiser) takes a new value."""

    target: Node
    value: Instruction


@dataclass(frozen=True, slots=True)
class Firing:
    """A rewrite that was applied: its name, its reason, and the line of the graph that it changed, told when it is asked
    for: with the names that its nodes have then."""

    rule: str
    phase: str
    told: Callable[[], str]
    reason: str

    @property
    def line(self) -> str:
        return self.told()


@dataclass(frozen=True)
class Program:
    """The instructions for some nodes of a graph.

    `values` says which instruction computes each node asked for, `names` which node an instruction stands for (a named
    one where there is one), `notes` which rewrite made it.
    """

    values: Mapping[Node, Instruction]
    updates: tuple[Update, ...]
    names: Mapping[Instruction, Node]
    firings: tuple[Firing, ...] = ()
    notes: Mapping[Instruction, str] = field(default_factory=dict)

    @property
    def roots(self) -> tuple[Instruction, ...]:
        return tuple(dict.fromkeys([*self.values.values(), *(update.value for update in self.updates)]))

    @cached_property
    def order(self) -> tuple[Instruction, ...]:
        """All instructions that are needed, each after its operands."""
        return tuple(in_order(self.roots))

    def rebuilt(self, new: Mapping[Instruction, Instruction], firings: Iterable[Firing]) -> Program:
        """The program with other instructions in the places of its own."""
        return replace(
            self,
            values={node: new[value] for node, value in self.values.items()},
            updates=tuple(Update(update.target, new[update.value]) for update in self.updates),
            names={new[old]: node for old, node in self.names.items() if old in new},
            notes={new[old]: note for old, note in self.notes.items() if old in new},
            firings=(*self.firings, *firings),
        )

    def users(self) -> dict[Instruction, list[Instruction]]:
        """What reads each instruction, once for each time that it is read."""
        found: dict[Instruction, list[Instruction]] = {}
        for instruction in self.order:
            for operand in instruction.inputs:
                found.setdefault(operand, []).append(instruction)
        return found

    def key(self, leaves: Iterable[Node], results: Iterable[Instruction]) -> str:
        """The program as text, the same in every process: what the kernel cache is keyed by.

        To it belong what a step takes and what it returns, each in its order.
        """
        lines = [f"leaves {' '.join(leaf.op.name for leaf in leaves)}"]
        number: dict[Instruction, int] = {}
        for instruction in self.order:
            operands = " ".join(f"%{number[operand]}" for operand in instruction.inputs)
            named = self.names.get(instruction)
            what = f"{instruction.op.kind} {instruction.op!r}" if not instruction.inputs else instruction.op.key
            title = written(named) if named is not None else ""
            number[instruction] = len(number)
            lines.append(f"%{number[instruction]} {what} {operands} : {instruction.type} {title}")
        for node, instruction in self.values.items():
            label = node.name
            lines.append(f"value {label.ident if label else ''} {node.type} %{number[instruction]}")
        lines.append(f"results {' '.join(f'%{number[result]}' for result in results)}")
        lines += [f"update {u.target.op.name} %{number[u.value]}" for u in self.updates]
        return "\n".join(lines)


LONGEST = 16
"""How many operations the line of a node may write out in a comment."""


def written(node: Node) -> str:
    """The line of a node, or nothing where it would go on and on: operands without a name are written out in it."""
    stack, count = [node], 0
    while stack:
        count += 1
        if count > LONGEST:
            return ""
        stack.extend(operand for operand in stack.pop().inputs if operand.name is None)
    return node.text()


def described(instruction: Instruction, names: Mapping[Instruction, Node]) -> str:
    """The formula of an instruction over the names of its operands, those without one written out."""
    count = 0

    def of(one: Instruction) -> tuple[str, int]:
        nonlocal count
        count += 1
        if one.constant is not None:  # also where a derivative by itself has a name: it is 1 there and everywhere
            return shown_number(one.constant, "unicode"), ATOM
        node = names.get(one) if one is not instruction else None
        if node is not None and node.name is not None:
            return node.name.text, ATOM
        if not one.inputs:
            return (one.leaf.name.text if one.leaf is not None and one.leaf.name else one.op.name), ATOM
        if count > LONGEST:
            return "…", ATOM
        notation = one.op.notation(*(operand.type for operand in one.inputs))
        binds, asked = binding(notation, "unicode", len(one.inputs))
        operands = [
            text if bound >= least else f"({text})"
            for (text, bound), least in zip(map(of, one.inputs), asked, strict=True)
        ]
        return fill(notation.unicode, operands), binds

    return of(instruction)[0]


def fired(rule: str, program: Program, old: Instruction, reason: str) -> Firing:
    """The record of a rewrite of phase specialise, with the line that the instruction computed."""
    node = program.names.get(old)
    told = partial(described, old, program.names) if node is None else partial(written, node)
    return Firing(rule, "specialise", told, reason)


def in_order(roots: Iterable[Instruction]) -> list[Instruction]:
    """The roots and what they need, each after its operands."""
    order: list[Instruction] = []
    seen: set[Instruction] = set()
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        instruction, done = stack.pop()
        if done:
            order.append(instruction)
        elif instruction not in seen:
            seen.add(instruction)
            stack.append((instruction, True))
            stack.extend((operand, False) for operand in reversed(instruction.inputs) if operand not in seen)
    return order


def program(nodes: Iterable[Node], updates: Mapping[Node, Node] | None = None) -> Program:
    """The program that computes these nodes and sets these parameters, composite operations written out."""
    asked = list(nodes)
    updates = updates or {}
    builder = Builder()
    made: dict[Node, Instruction] = {}
    for node in ancestors(*asked, *updates.values(), operands=computed_from):
        expansion = node.graph.expansion(node)
        if isinstance(node.op, Leaf):
            made[node] = builder.leaf(node)
        elif expansion is not None:
            made[node] = made[expansion]
        else:
            made[node] = builder.make(node.op, tuple(made[operand] for operand in node.inputs))
    names: dict[Instruction, Node] = {}
    for node, instruction in made.items():
        known = names.get(instruction)
        if known is None or (known.name is None and node.name is not None):
            names[instruction] = node
    return Program(
        {node: made[node] for node in asked},
        tuple(Update(target, made[value]) for target, value in updates.items()),
        names,
    )
