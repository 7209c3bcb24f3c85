"""Writing a graph in the text form, so that reading it makes the same graph again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from graphgrad.graph.errors import GraphError
from graphgrad.graph.graph import Graph
from graphgrad.graph.names import name
from graphgrad.graph.node import Node, clipped
from graphgrad.graph.notation import ATOM, SUM, fill, in_python, number, written
from graphgrad.graph.operation import FUNCTIONS
from graphgrad.graph.text import DECLARATIONS, LONGEST_LINE, LONGEST_TEXT, MOST_LINES

MOST_STEPS = 24  # unnamed steps that are written inside one line
MOST_GRADIENTS = 24  # likewise, of a gradient of gradients


@dataclass(frozen=True, slots=True)
class Statement:
    """One line of the text form: the node, its name (with the TeX where that is not the usual one), its expression."""

    node: Node
    ident: str
    tex: str | None
    expression: str

    def __str__(self) -> str:
        annotation = f": {quoted(self.tex)}" if self.tex else ""
        return f"{self.ident}{annotation} = {self.expression}"


def write(graph: Graph) -> str:
    """The graph as a text that `read` makes the same graph of.

    Named nodes have a line each, in order; so do unnamed steps that are used several times or not at all, under their
    letter. Unnamed steps that are used once stand inside the line that uses them.

    Raises GraphError for what a text cannot say: steps of a gradient that are not the gradient itself, operations that
    are not registered, and more than `read` takes.
    """
    written_lines = statements(graph)
    lines = [line for line, _ in laid_out(graph.title, [(line.node.group, str(line)) for line in written_lines])]
    text = "".join(f"{line}\n" for line in lines)
    longest = max(map(len, lines), default=0)
    if len(lines) > MOST_LINES or len(text) > LONGEST_TEXT or longest > LONGEST_LINE:
        raise GraphError(
            f"{graph!r} is too large for the text form: {len(lines):,} lines of up to {longest:,} characters, "
            f"{len(text):,} in all; it takes {MOST_LINES:,} of {LONGEST_LINE:,}, {LONGEST_TEXT:,} in all"
        )
    return text


def laid_out(title: str, lines: Sequence[tuple[tuple[str, ...], str]]) -> list[tuple[str, int | None]]:
    """The title and the lines, indented under the headings of their groups; each with its position in `lines`."""
    laid: list[tuple[str, int | None]] = [(quoted(title), None)] if title else []
    before: tuple[str, ...] = ()
    for position, (group, line) in enumerate(lines):
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(before, group, strict=False)))
        for depth in range(shared, len(group)):
            laid.append((f"{'    ' * depth}with group({quoted(group[depth])}):", position))
        laid.append(("    " * len(group) + line, position))
        before = group
    return laid


def statements(graph: Graph) -> list[Statement]:
    """The lines of the text form, in order."""
    writer = _Writer(graph)
    return [writer.statement(node) for node in graph.nodes if node in writer.own]


def quoted(string: str) -> str:
    """A string as it stands in the text form."""
    return '"' + string.replace("\\", r"\\").replace('"', r"\"") + '"'


class _Writer:
    """Decides which nodes have a line of their own, and writes the expressions of the lines."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.own: set[Node] = set()
        users: dict[Node, list[Node]] = {node: [] for node in graph.nodes}
        for node in graph.nodes:
            for operand in node.inputs:
                if operand in users:
                    users[operand].append(node)
                else:
                    self.own.update(self._differentiated(node, operand))
        self.own.update(node for node in graph.nodes if self._stands_alone(node, users[node]))
        self._break_up()

    def _differentiated(self, node: Node, operand: Node) -> Iterator[Node]:
        """The nodes that a gradient names; raises GraphError for other nodes of the engine."""
        seen: set[Node] = set()
        pending = [operand]
        while pending:
            part = pending.pop()
            if not self.graph.is_derived(part):
                yield part
            elif (pair := self.graph.gradient_of(part)) is None:
                step = clipped(written(part, "unicode"))
                raise GraphError(f"{node.text()}: {step} is a step of a gradient, which the text form cannot name")
            elif part not in seen:
                seen.add(part)
                pending += pair

    def _stands_alone(self, node: Node, users: list[Node]) -> bool:
        if node.kind == "constant":
            return self.graph.given_name(node) is not None
        if node.kind != "operation" or self.graph.given_name(node) is not None:
            return True
        return len(users) != 1 or users[0].group != node.group

    def _break_up(self) -> None:
        """Where many steps would stand in one line, they get lines of their own."""
        size: dict[Node, int] = {}
        for node in self.graph.nodes:
            steps = [
                operand for operand in node.inputs if operand.inputs and operand in size and operand not in self.own
            ]
            size[node] = 1 + sum(size[step] for step in steps)
            if size[node] > MOST_STEPS:
                self.own.update(steps)
                size[node] = 1

    def statement(self, node: Node) -> Statement:
        label = self.graph.name_of(node)
        assert label is not None
        usual = name(label.ident, parameter=node.kind == "parameter")
        return Statement(node, label.ident, None if label == usual else label.tex, self._expression(node))

    def _expression(self, node: Node) -> str:
        if node.kind == "constant":
            return number(node.op.value)
        if not node.inputs:
            word = next(word for word, kind in DECLARATIONS.items() if kind == node.kind)
            return f"{word}({', '.join(map(str, node.shape))})"
        if node.op.name == "identity" and (sign := self._sign(node.inputs[0])) is not None:
            return sign
        return self._formula(node)[0]

    def _sign(self, node: Node) -> str | None:
        """How a line refers to a node that stands elsewhere."""
        if node in self.own:
            label = self.graph.name_of(node)
            return label.ident if label else None
        if (pair := self.graph.gradient_of(node)) is None:
            return None
        of, wrt = (self._sign(part) or "" for part in pair)
        if of.count("grad(") + wrt.count("grad(") > MOST_GRADIENTS:
            raise GraphError(f"a gradient of more than {MOST_GRADIENTS} gradients, which the text form cannot name")
        return f"grad({of}, {wrt})"

    def _formula(self, node: Node) -> tuple[str, int]:
        notation = node.op.notation(*(operand.type for operand in node.inputs))
        read = in_python(notation.text, len(node.inputs))
        if read is None or node.op.name not in FUNCTIONS:
            raise GraphError(f"{node.text()}: {node.op.name} is no operation that the text form knows")
        if all(operand.kind == "constant" and self._sign(operand) is None for operand in node.inputs):
            raise GraphError(f"{node.text()}: the text form cannot write an operation on unnamed numbers alone")
        binds, asked = read
        parts = [self._operand(operand, least) for operand, least in zip(node.inputs, asked, strict=True)]
        return fill(notation.text, parts), binds

    def _operand(self, node: Node, least: int) -> str:
        if (sign := self._sign(node)) is not None:
            return sign
        if node.kind == "constant":
            shown, binds = number(node.op.value), SUM if number(node.op.value).startswith("-") else ATOM
        else:
            shown, binds = self._formula(node)
        return shown if binds >= least else f"({shown})"
