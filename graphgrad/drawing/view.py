"""What a picture shows of a graph, as plain data: cards, edges, groups, values and gradients. No markup, no layout."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from graphgrad.drawing.cells import Cell, Grid, cells, grid
from graphgrad.drawing.numbers import Array, written_out
from graphgrad.drawing.style import NOT_COMPUTED, TAGS
from graphgrad.graph import DataError, Graph, GraphError, Node, ancestors, written
from graphgrad.ops import activations, classes, losses
from graphgrad.ops.elementwise import Elementwise

Kind = Literal["input", "parameter", "constant", "linear", "activation", "loss", "group"]
Path = tuple[str, ...]
Side = Literal["forward", "backward"]
Collapse = bool | Iterable[str | Path] | None

ACTIVATIONS = {*activations.__all__, "softmax", "log_softmax"}
LOSSES = {*losses.__all__, *classes.__all__}

MOST_VISIBLE = 60
"""With more nodes than this, groups start collapsed."""

LONGEST_LINE = 20
LONGEST_TITLE = 16  # of one line, in the larger letters


@dataclass(frozen=True, slots=True)
class Card:
    """A node, or a collapsed group, as it stands on the picture."""

    id: str
    kind: Kind
    title: tuple[str, ...]
    tag: str
    extent: str
    letter: str
    full: str
    form: Grid | None
    path: Path = ()


@dataclass(frozen=True, slots=True)
class Edge:
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Group:
    """An expanded group: what stands in it directly, and the groups inside it."""

    id: str
    title: str
    path: Path
    cards: tuple[str, ...]
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class GraphView:
    """Everything a picture shows. `above` puts a card over the one that uses it; a value is None if not computed."""

    title: str
    cards: tuple[Card, ...]
    edges: tuple[Edge, ...]
    groups: tuple[Group, ...]
    above: tuple[Edge, ...]
    of: str = ""
    sides: tuple[Side, ...] = ()
    values: Mapping[str, Array | int | None] = field(default_factory=dict)
    gradients: Mapping[str, Array | int | None] = field(default_factory=dict)

    def shown(self, card: Card, side: Side) -> tuple[Cell, ...]:
        """What the cells of a card say, forward or backward."""
        assert card.form is not None
        return cells((self.values if side == "forward" else self.gradients).get(card.id), card.form)

    def described(self, card: Card) -> str:
        """The card in words, with its numbers in full."""
        lines = [card.full]
        for side, values in (("forward", self.values), ("backward", self.gradients)):
            if side in self.sides and card.form is not None:
                name = "value" if side == "forward" else f"gradient of {self.of}" if self.of else "gradient"
                lines.append(f"{name}: {_in_full(values.get(card.id))}")
        return "\n".join(lines)


def view(
    graph: Graph,
    values: Mapping[Node, Array] | None = None,
    gradients: Mapping[Node, Array] | None = None,
    of: Node | None = None,
    collapse: Collapse = None,
    sample: int | None = None,
) -> GraphView:
    """The view of a graph. Arrays are those of one sample or of a batch, out of which `sample` picks one.

    Raises DataError where an array has not its node's shape, GraphError where a group is unknown.
    """
    nodes = drawn(graph)
    ids = {node: f"n{position}" for position, node in enumerate(nodes)}
    groups = _groups(nodes)
    folded = collapsed(graph, collapse)
    forward, backward = (
        {ids[node]: picked(node, arrays[node], sample, what) for node in nodes if node in arrays}
        for arrays, what in ((values or {}, "value"), (gradients or {}, "gradient"))
    )
    shown: dict[str, Card] = {}
    stands: dict[Node, str] = {}
    for node in nodes:
        outer = _outermost(node, folded)
        if outer is None:
            together = any(isinstance(side.get(ids[node]), int) for side in (forward, backward))
            stands[node] = ids[node]
            shown[ids[node]] = _card(ids[node], node, together)
        else:
            stands[node] = groups[outer]
            if stands[node] not in shown:
                shown[stands[node]] = _folded_card(groups[outer], outer, nodes)
    edges = _edges(nodes, stands)
    sides: list[Side] = []
    if values is not None:
        sides.append("forward")
    if gradients is not None or of is not None:
        sides.append("backward")
    return GraphView(
        graph.title,
        tuple(shown.values()),
        edges,
        _nested((), groups, shown),
        _above(nodes, stands, shown),
        written(of, "unicode") if of is not None else "",
        tuple(sides),
        forward,
        backward,
    )


def drawn(graph: Graph) -> tuple[Node, ...]:
    """The nodes that a picture shows, in order: all but unnamed numbers, which stand in the formulas."""
    every = ancestors(*graph.nodes)
    return tuple(node for node in every if node.kind != "constant" or graph.given_name(node) is not None)


def kind_of(node: Node) -> Kind:
    """What the node is to the reader: input, parameter, linear operation, activation, loss."""
    if node.kind != "operation":
        return node.kind
    op = node.op
    if op.name in LOSSES or _is_objective(node):
        return "loss"
    own = isinstance(op, Elementwise) and not op.built_in and op.arity == 1 and not op.name.endswith("'")
    return "activation" if own or op.name in ACTIVATIONS else "linear"


def _is_objective(node: Node) -> bool:
    """A scalar at the end of the graph that all samples share, though each has a part in it."""
    if node.per_sample or node.shape or node not in node.graph.outputs:
        return False
    return any(operand.per_sample for operand in ancestors(node))


def collapsed(graph: Graph, collapse: Collapse) -> frozenset[Path]:
    """The groups that are drawn as one card each; None folds the innermost first until few enough nodes are left."""
    nodes = drawn(graph)
    every = set(_groups(nodes))
    if collapse is None:
        folded: set[Path] = set()
        for depth in range(max(map(len, every), default=0), 0, -1):
            if _visible(nodes, folded) <= MOST_VISIBLE:
                break
            folded |= {path for path in every if len(path) == depth}
        return frozenset(folded)
    if isinstance(collapse, bool):
        return frozenset(every if collapse else ())
    chosen = set()
    for group in collapse:
        found = {path for path in every if path == group or path[-1] == group}
        if not found:
            known = ", ".join(" / ".join(path) for path in sorted(every)) or "none"
            raise GraphError(f"{group!r} is not a group of {graph.title or 'this graph'!r} (it has {known})")
        chosen |= found
    return frozenset(chosen)


def _visible(nodes: tuple[Node, ...], folded: Collection[Path]) -> int:
    return len({_outermost(node, folded) or node for node in nodes})


def _outermost(node: Node, folded: Collection[Path]) -> Path | None:
    """The folded group behind which the node is, if any."""
    paths = (node.group[:depth] for depth in range(1, len(node.group) + 1))
    return next((path for path in paths if path in folded), None)


def picked(node: Node, value: object, sample: int | None, what: str) -> Array | int:
    """One sample's array out of what is given for a node, or the number of samples where none is chosen."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise DataError(f"{written(node)}: its {what} is not made of real numbers but of {array.dtype}")
    if array.shape == node.shape:
        return array
    if array.ndim == 0 or array.shape[1:] != node.shape:
        raise DataError(f"{written(node)} has the shape {node.type}, the {what} given for it has {array.shape}")
    if sample is None:
        return np.asarray(array[0]) if len(array) == 1 else len(array)
    if not -len(array) <= sample < len(array):
        raise DataError(f"sample {sample} does not exist: the {what} of {written(node)} holds {len(array)} samples")
    return np.asarray(array[sample])


# -- cards -------------------------------------------------------------------------------------------------------


def _card(id: str, node: Node, together: bool) -> Card:
    kind = kind_of(node)
    line = node.text()
    extent = "×".join(map(str, node.shape)) or "scalar"
    tag = f"{TAGS[kind]} · {node.type.size:,}" if kind == "parameter" else TAGS[kind]
    letter = ""
    if kind == "activation":
        letter = shortened(node.op.notation(*(operand.type for operand in node.inputs)).unicode.partition("(")[0], 5)
    each = ", one for each sample" if node.per_sample else ""
    return Card(
        id,
        kind,
        wrapped(line),
        tag,
        extent,
        letter,
        f"{line}\n{_SPOKEN[kind]}, {'a scalar' if not node.shape else f'shape {extent}'}{each}",
        grid(node.shape, together),
        node.group,
    )


_SPOKEN: dict[Kind, str] = {
    "input": "input",
    "parameter": "parameter",
    "constant": "constant",
    "linear": "operation",
    "activation": "activation",
    "loss": "loss",
    "group": "group",
}


def _folded_card(id: str, path: Path, nodes: tuple[Node, ...]) -> Card:
    inside = [node for node in nodes if node.group[: len(path)] == path]
    steps = sum(node.kind == "operation" for node in inside)
    params = sum(node.type.size for node in inside if node.kind == "parameter")
    counted = f"{steps:,} node{'s' * (steps != 1)} · {params:,} param{'s' * (params != 1)}"
    return Card(id, "group", wrapped(path[-1]), TAGS["group"], counted, "", f"{path[-1]}\n{counted}", None, path)


def wrapped(line: str) -> tuple[str, ...]:
    """A title in one line, or in two that break outside of parentheses; what is too long is shortened."""
    if len(line) <= LONGEST_TITLE:
        return (line,)
    depth, best = 0, (10**6, 0)
    for position, letter in enumerate(line):
        depth += (letter == "(") - (letter == ")")
        longer = max(position, len(line) - position - 1)
        if letter == " " and longer <= LONGEST_LINE:
            best = min(best, (100 * depth + longer, position))
    if best[1]:
        return line[: best[1]], line[best[1] + 1 :]
    head = line[:LONGEST_LINE].rpartition(" ")[0]
    if len(head) < LONGEST_LINE // 2:
        head = line[:LONGEST_LINE]
    return head, shortened(line[len(head) :].strip(), LONGEST_LINE)


def shortened(text: str, longest: int) -> str:
    """The text, with its end replaced by `…` where it is too long."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def _in_full(value: Array | int | None) -> str:
    if value is None:
        return f"{NOT_COMPUTED} (not computed)"
    return f"{value:,} samples" if isinstance(value, int) else written_out(value)


# -- edges and groups --------------------------------------------------------------------------------------------


def _edges(nodes: tuple[Node, ...], stands: Mapping[Node, str]) -> tuple[Edge, ...]:
    """What is computed from what, between the cards that are seen; each pair once."""
    pairs = {
        Edge(stands[operand], stands[node]): None
        for node in nodes
        for operand in node.inputs
        if operand in stands and stands[operand] != stands[node]
    }
    return tuple(pairs)


def _above(nodes: tuple[Node, ...], stands: Mapping[Node, str], shown: Mapping[str, Card]) -> tuple[Edge, ...]:
    """Each parameter over the step that uses it first, and an input that comes in late (a target) likewise."""
    found: dict[str, Edge] = {}
    placed: set[str] = set()
    for node in nodes:
        target = stands[node]
        late = any(operand.kind == "operation" for operand in node.inputs)
        for operand in node.inputs:
            source = stands.get(operand)
            leaf = operand.kind == "parameter" or (operand.kind == "input" and late)
            if source is None or not leaf or source in placed or source == target:
                continue
            placed.add(source)
            apart = shown[source].path != shown[target].path or "group" in (shown[source].kind, shown[target].kind)
            if target not in found and not apart:
                found[target] = Edge(source, target)
    return tuple(found.values())


def _groups(nodes: Iterable[Node]) -> dict[Path, str]:
    """An id for each group and each group around it, in order."""
    paths = {node.group[:depth]: None for node in nodes for depth in range(1, len(node.group) + 1)}
    return {path: f"g{position}" for position, path in enumerate(paths)}


def _nested(outer: Path, ids: Mapping[Path, str], shown: Mapping[str, Card]) -> tuple[Group, ...]:
    """The expanded groups directly inside `outer`."""
    found = []
    for path, id in ids.items():
        if path[:-1] != outer or id in shown:
            continue
        inside = tuple(
            card.id for card in shown.values() if (card.path[:-1] if card.kind == "group" else card.path) == path
        )
        groups = _nested(path, ids, shown)
        if inside or groups:
            found.append(Group(id, path[-1], path, inside, groups))
    return tuple(found)
