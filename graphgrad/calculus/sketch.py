"""A copy of some nodes to one side, in which formulas of derivatives are simplified and written down.

The nodes of the user stand in it under their names and are never rewritten; what the engine derived is rebuilt with the
identities that the compiler uses, and each firing is kept with its reason.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

from graphgrad.calculus.identities import IDENTITIES, Identity, matches
from graphgrad.graph import (
    ATOM,
    POWER,
    PRODUCT,
    SUM,
    Formulated,
    Graph,
    Leaf,
    Name,
    Node,
    Style,
    Type,
    ancestors,
    number,
    written,
)
from graphgrad.graph.notation import binding, fill, symbol
from graphgrad.ops import identity, multiply
from graphgrad.ops.classes import LabelTargets
from graphgrad.ops.elementwise import is_one
from graphgrad.ops.linear import MatMul, Outer
from graphgrad.ops.reductions import Broadcast, Reduce, broadcast_to

PHASES = ("simplify", "stabilise")


@dataclass(frozen=True, slots=True)
class Step(Formulated):
    """One simplification: `before` became `after`, both in TeX, by the identity of this name, for this reason."""

    rule: str
    before: str
    after: str
    reason: str
    phase: str = ""

    def latex(self) -> str:
        return f"{self.before} = {self.after}"

    def __str__(self) -> str:
        return f"{self.rule}: {self.reason}"


class Sketch:
    """The copies, made once each; `steps` are the simplifications so far."""

    def __init__(self, phases: tuple[str, ...] = PHASES) -> None:
        self.graph = Graph()
        self.phases = phases
        self.steps: list[Step] = []
        self.originals: dict[Node, Node] = {}
        self._copies: dict[Node, Node] = {}
        self._made: dict[Any, Node] = {}

    def leaf(self, label: Name, type: Type = Type()) -> Node:  # noqa: B008 - a type never changes
        """A value that is only a name."""
        with self.graph.derivation():
            node = self.graph.add(Leaf(label.ident, "input", type), (), type, None)
        self.graph.name_derived(node, label)
        return node

    def stand_in(self, node: Node) -> Node:
        """A node as a name alone, whatever it is computed from."""
        if node.kind == "constant" and node.name is None:
            return self.copy(node)
        if node not in self._copies:
            self._copies[node] = self.leaf(name_of(node), node.type)
            self.originals[self._copies[node]] = node
        return self._copies[node]

    def another(self, node: Node) -> Node:
        """One more name for a node that has a stand-in already."""
        again = self.leaf(name_of(node), node.type)
        self.originals[again] = node
        return again

    def output(self, node: Node, inputs: tuple[Node, ...]) -> Node:
        """The node once more, computed from these copies of its operands."""
        with self.graph.derivation():
            again = self.graph.add(node.op, inputs, node.type, None)
        self.graph.name_derived(again, name_of(node))
        self.originals[again] = node
        return again

    def copy(self, root: Node) -> Node:
        """The node with all that it is computed from; its derived parts simplified."""
        for node in ancestors(root):
            if node not in self._copies:
                self._copies[node] = self._copied(node)
        return self._copies[root]

    def _copied(self, node: Node) -> Node:
        inputs = tuple(self._copies[operand] for operand in node.inputs)
        label = node.name
        with self.graph.derivation():
            if not inputs:
                copy = self.graph.add(node.op, (), node.type, None)
            elif node.graph.is_derived(node):
                copy = self.make(node.op, inputs, node.type)
                if label is not None and copy in self.originals:
                    copy = self.graph.add(identity, (copy,), node.type, None)
            else:
                copy = self.graph.add(node.op, inputs, node.type, None)
                self._made.setdefault((node.op, inputs), copy)
        if label is not None:
            self.graph.name_derived(copy, label)
            self.originals[copy] = node
        return copy

    def simplified(self, root: Node) -> Node:
        """A formula over copies, rebuilt with the identities."""
        rebuilt: dict[Node, Node] = {}
        with self.graph.derivation():
            for node in ancestors(root, operands=lambda node: () if node in self.originals else node.inputs):
                named = node in self.originals or not node.inputs
                inputs = () if named else tuple(rebuilt[operand] for operand in node.inputs)
                rebuilt[node] = node if named else self.make(node.op, inputs, node.type)
        return rebuilt[root]

    def product(self, a: Node, b: Node) -> Node:
        """a · b, simplified."""
        with self.graph.derivation():
            return self.make(multiply, (a, b), multiply.infer(a.type, b.type))

    def make(self, op: Any, inputs: tuple[Node, ...], type: Type) -> Node:
        """`op(*inputs)` after the first identity that applies, if any does."""
        if op is multiply and (rest := _without_ones(inputs, type)) is not None:
            return rest
        if isinstance(op, Reduce) and _sums_to_one(op, *inputs):
            one = self.graph.add(Leaf("1", "constant", Type(), 1.0), (), Type(), None)
            return broadcast_to(one, type.shape, tuple(range(type.rank)))
        for rule in IDENTITIES:
            if rule.phase not in self.phases:
                continue
            _, left, right = rule.sides
            for factor, bound in matches(left, op, inputs, _constant):
                result = self._build(right, bound)
                if factor is not None:
                    result = self._operation(multiply, (factor, result))
                if result.type.shape == type.shape:
                    self._record(rule, op, inputs, type, result)
                    return result
        return self._operation(op, inputs, type)

    def _operation(self, op: Any, inputs: tuple[Node, ...], type: Type | None = None) -> Node:
        found = self._made.get((op, inputs))
        if found is None:
            type = type or op.infer(*(operand.type for operand in inputs))
            found = self._made[op, inputs] = self.graph.add(op, inputs, type, None)
        return found

    def _build(self, side: Node, bound: dict[Node, Node]) -> Node:
        if side in bound:
            return bound[side]
        if not side.inputs:
            return self.graph.add(side.op, (), side.type, None)
        inputs = tuple(self._build(operand, bound) for operand in side.inputs)
        return self.make(side.op, inputs, side.op.infer(*(operand.type for operand in inputs)))

    def _record(self, rule: Identity, op: Any, inputs: tuple[Node, ...], type: Type, result: Node) -> None:
        with self.graph.derivation():
            before = self.graph.add(op, inputs, type, None)
        shown = juxtaposed(before, "latex"), juxtaposed(result, "latex")
        self.steps.append(Step(rule.name, *shown, rule.reason, rule.phase))


def name_of(node: Node) -> Name:
    """The name of a node, or its formula in parentheses where it has none."""
    if (label := node.name) is not None:
        return label
    return Name(rf"\left({written(node, 'latex')}\right)", f"({written(node, 'unicode')})", "step")


def _constant(term: Node) -> float | None:
    return term.op.value if type(term.op) is Leaf and term.kind == "constant" else None


def is_ones(node: Node) -> bool:
    """Whether the node is 1, or 1 repeated."""
    while isinstance(node.op, Broadcast):
        node = node.inputs[0]
    return is_one(node)


def _sums_to_one(op: Reduce, a: Node) -> bool:
    """Whether it is the sum over the classes of what a label asks for, of which there is one in all."""
    return isinstance(a.op, LabelTargets) and a.op.ignored is None and op.name == "sum" and op.axes(a.type) == (0,)


def _without_ones(inputs: tuple[Node, ...], type: Type) -> Node | None:
    rest = [operand for operand in inputs if not is_ones(operand)]
    return rest[0] if len(rest) == 1 and rest[0].shape == type.shape else None


def juxtaposed(node: Node, style: Style, opened: Container[Node] = ()) -> str:
    """The formula with products side by side, as on paper: `y(1 - y)`; nodes that are opened stand by their formula."""
    return _juxtaposed(node, style, opened)[0]


def _juxtaposed(node: Node, style: Style, opened: Container[Node]) -> tuple[str, int]:
    if node not in opened and (sign := symbol(node, style)) is not None:
        return sign, SUM if sign.startswith(("-", "−")) else POWER if sign.startswith("∂") else ATOM
    if not node.inputs:
        shown = number(node.op.value, style) if type(node.op) is Leaf and node.kind == "constant" else node.op.name
        return shown, SUM if shown.startswith(("-", "−")) else ATOM
    if node.op is multiply and _side_by_side(node, opened):
        parts = [enclosed(*_juxtaposed(operand, style, opened), PRODUCT, style) for operand in node.inputs]
        if parts[1].startswith(("-", "−")):  # a minus between two factors would be read as a difference
            parts[1] = enclosed(parts[1], SUM, PRODUCT, style)
        return _joined(parts, style), PRODUCT
    op = node.op
    if isinstance(op, Reduce) and op.name == "sum" and len(op.axes(node.inputs[0].type)) == node.inputs[0].type.rank:
        op = Reduce("sum")  # over all there is: Σ says it, whether or not the axes are kept
    notation = op.notation(*(operand.type for operand in node.inputs))
    binds, asked = binding(notation, style, len(node.inputs))
    if isinstance(node.op, MatMul | Outer):  # a matrix product binds tighter than one by elements
        asked = tuple(
            max(least, POWER) if _by_elements(operand, opened) else least
            for operand, least in zip(node.inputs, asked, strict=True)
        )
    parts = [
        enclosed(*_juxtaposed(operand, style, opened), least, style)
        for operand, least in zip(node.inputs, asked, strict=True)
    ]
    return fill(getattr(notation, style), parts), binds


def _side_by_side(node: Node, opened: Container[Node]) -> bool:
    """Whether the factors need no sign between them: one is a number, or it is y(1 - y) of the same y."""
    first, second = node.inputs
    if not (first.shape and second.shape):
        return True
    of_the_same = second.op.name == "subtract" and any(operand is first for operand in second.inputs)
    return of_the_same and first not in opened and symbol(first, "latex") is not None


def _by_elements(node: Node, opened: Container[Node]) -> bool:
    return node.op is multiply and (node in opened or symbol(node, "latex") is None)


def _joined(parts: list[str], style: Style) -> str:
    first, second = parts
    if style == "latex":
        return rf"{first} \cdot {second}" if second[:1].isdigit() else rf"{first} {second}"
    return f"{first}{second}" if second.startswith("(") else f"{first} · {second}"


def enclosed(shown: str, binds: int, least: int, style: Style) -> str:
    """The formula, in parentheses where it binds too loosely."""
    if binds >= least:
        return shown
    return rf"\left({shown}\right)" if style == "latex" else f"({shown})"
