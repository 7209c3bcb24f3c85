"""The graph as the user wrote it: its nodes in order, their names, their groups. It is never rewritten."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

from graphgrad.graph.errors import GraphError, NamingError, did_you_mean, shown
from graphgrad.graph.letters import Letters
from graphgrad.graph.mathml import Formulated
from graphgrad.graph.names import Name, gradient_name, name
from graphgrad.graph.node import Leaf, Node, real_number
from graphgrad.graph.operation import FUNCTIONS, Operation
from graphgrad.graph.place import Place, here
from graphgrad.graph.types import Type, checked_shape

if TYPE_CHECKING:
    import networkx

MOST_NODES = 1_000_000

_open = threading.local()


def current() -> Graph:
    """The graph of the innermost `with gg.Graph(...)`."""
    stack: list[Graph] = getattr(_open, "stack", [])
    if not stack:
        raise GraphError("no graph is open here: write this inside `with gg.Graph(...) as g:`")
    return stack[-1]


class Graph(Formulated):
    """A directed acyclic graph of named nodes, written one line at a time.

    >>> import graphgrad as gg
    >>> with gg.Graph("one neuron") as g:
    ...     x, w = gg.input("x", 2), gg.param("w", 2)
    ...     g.z = w @ x
    ...     g.y = gg.sigmoid(g.z)
    >>> print(g)
    one neuron
    z = wᵀx
    y = σ(z)
    """

    _title: str
    _nodes: list[Node]  # what the user wrote, in order
    _derived: dict[Node, None]  # gradients and other nodes that the engine wrote, in order
    _named: dict[Node, Name]  # by the user
    _by_form: dict[str, Node]  # any form of a name given by the user
    _letters: Letters  # of the unnamed steps
    _gradients: dict[Node, tuple[Node, Node]]  # node -> (of, wrt)
    _sweeps: dict[Node, dict[Node, Node]]  # of -> {wrt: gradient}, filled by the calculus
    _expansions: dict[Node, Node | None]  # node of a composite operation -> the same in simpler operations
    _obstacles: dict[tuple[Node, Node], str]  # (of, wrt) -> why there is no gradient
    _labels: dict[Node, Name]  # of derived nodes, by the engine
    _objectives: dict[Node, Node]  # loss per sample -> its sum over the samples, for training
    _groups: list[str]  # titles of the groups that are open
    _deriving: int  # how many derivations are open
    _where: Callable[[], Place | None]  # says where the node that is being written stands
    _most_nodes: int

    def __init__(self, title: str = "") -> None:
        nodes: list[Node] = []
        named: dict[Node, Name] = {}
        by_form: dict[str, Node] = {}
        self.__dict__.update(
            _title=checked_title(title, "graph", least=0),
            _nodes=nodes,
            _derived={},
            _named=named,
            _by_form=by_form,
            _letters=Letters(nodes, named, by_form),
            _gradients={},
            _sweeps={},
            _expansions={},
            _obstacles={},
            _labels={},
            _objectives={},
            _groups=[],
            _deriving=0,
            _where=here,
            _most_nodes=MOST_NODES,
        )

    # -- writing -------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if not hasattr(_open, "stack"):
            _open.stack = []
        _open.stack.append(self)
        return self

    def __exit__(self, *exception: object) -> None:
        _open.stack.pop()

    def add(self, op: Operation, inputs: tuple[Node, ...], type: Type, place: Place | None) -> Node:
        """Append the node `op(inputs)`; called by operations, which have checked the operands."""
        if len(self._nodes) + len(self._derived) >= (most := self._most_nodes):
            raise GraphError(f"{self._title or 'the graph'} has {most:,} nodes, which is the most there can be")
        node = Node(self, op, inputs, type, place, tuple(self._groups))
        if self._deriving:
            self._derived[node] = None
        else:
            self._nodes.append(node)
        return node

    def leaf(self, kind: str, written: str, shape: tuple[object, ...], per_sample: bool) -> Node:
        """Declare an input or a parameter."""
        label = name(written, parameter=kind == "parameter")
        if len(shape) == 1 and isinstance(shape[0], tuple | list):
            shape = tuple(shape[0])
        type = Type(checked_shape(shape, label.tex), per_sample)
        self._claim(label)
        place = self.where()
        node = self.add(Leaf(label.ident, kind, type), (), type, place)  # type: ignore[arg-type]
        self._give(node, label)
        return node

    def define(self, written: str, value: Any) -> Node:
        """Name a node: the `g.A = ...` of the lecture's lines. A node that has a name already is copied by identity."""
        label = name(written)
        self._claim(label)
        node = value if isinstance(value, Node) else self._constant(label, value)
        if node.graph is not self:
            raise GraphError(f"{label.tex}: the node belongs to another graph ({node.graph.title!r})")
        if node in self._named or node in self._derived:
            node = FUNCTIONS["identity"](node)
        self._give(node, label)
        return node

    def name_as(self, node: Node, label: Name) -> None:
        """Give a node of the graph a name in all its three forms; raises NamingError where it is taken."""
        self._claim(label)
        self._give(node, label)

    def _constant(self, label: Name, value: object) -> Node:
        real = real_number(value)
        if real is None:
            raise GraphError(
                f"{label.tex} = {shown(value)}: a line of a graph is a node or a finite number, this is neither"
            )
        return self.add(Leaf(label.ident, "constant", Type(), real), (), Type(), self.where())

    def _claim(self, label: Name) -> None:
        first = self._by_form.get(label.ident, self._by_form.get(label.tex))
        if first is not None:
            at = f" ({first.place})" if first.place else ""
            place = self.where()
            again = f" at {place}" if place and not place.defines else ""
            raise NamingError(
                f"the name {label.tex} is used twice: {first.text()}{at} has it, it is given again{again}"
            )

    def _give(self, node: Node, label: Name) -> None:
        self._letters.give_way(node, label)
        self._named[node] = label
        for form in (label.ident, label.tex, label.text):
            self._by_form.setdefault(form, node)

    def __setattr__(self, attribute: str, value: Any) -> None:
        if attribute == "title" and isinstance(value, str):
            self.__dict__["_title"] = checked_title(value, "graph", least=0)
            return
        if hasattr(type(self), attribute) or attribute.startswith("_"):
            raise NamingError(
                f"{attribute} is a part of Graph itself and cannot name a node as an attribute: "
                f'write g["{attribute.strip("_")}"] = ... instead'
            )
        self.define(attribute, value)

    def __setitem__(self, written: str, value: Any) -> None:
        self.define(written, value)

    @contextmanager
    def group(self, title: str) -> Iterator[None]:
        """Put the nodes written inside into a group (a layer) of this title."""
        self._groups.append(checked_title(title, "group"))
        try:
            yield
        finally:
            self._groups.pop()

    @contextmanager
    def derivation(self) -> Iterator[None]:
        """Nodes written inside are the engine's (gradients), kept apart from what the user wrote."""
        self.__dict__["_deriving"] += 1
        groups = self._groups.copy()
        self._groups.clear()
        try:
            yield
        finally:
            self._groups.extend(groups)
            self.__dict__["_deriving"] -= 1

    @contextmanager
    def written_by(self, where: Callable[[], Place | None], most_nodes: int = MOST_NODES) -> Iterator[None]:
        """Nodes written inside stand where `where()` says, not at the user's line of Python, and are so many at most."""
        before = {"_where": self._where, "_most_nodes": self._most_nodes}
        self.__dict__.update(_where=where, _most_nodes=most_nodes)
        try:
            yield
        finally:
            self.__dict__.update(before)

    # -- reading -------------------------------------------------------------------------------------------------

    @property
    def title(self) -> str:
        return self._title

    def where(self) -> Place | None:
        """Where the node that is being written stands; the engine's own nodes stand nowhere."""
        return None if self._deriving else self._where()

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes that the user wrote, in order."""
        return tuple(self._nodes)

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The inputs and targets, in the order of their declaration."""
        return tuple(node for node in self._nodes if node.kind == "input")

    @property
    def parameters(self) -> tuple[Node, ...]:
        """The parameters, in the order of their declaration."""
        return tuple(node for node in self._nodes if node.kind == "parameter")

    @property
    def steps(self) -> tuple[Node, ...]:
        """The nodes that compute something, in order: the lines of the forward pass."""
        return tuple(node for node in self._nodes if node.kind == "operation")

    @property
    def outputs(self) -> tuple[Node, ...]:
        """The steps that no other step uses."""
        used = {operand for node in self._nodes for operand in node.inputs}
        return tuple(node for node in self.steps if node not in used)

    def name_of(self, node: Node) -> Name | None:
        """The name given by the user, the name of a gradient, or the next free capital letter for an unnamed step."""
        if (given := self._named.get(node)) is not None:
            return given
        if (label := self._labels.get(node)) is not None:
            return label
        if (pair := self._gradients.get(node)) is not None:
            of, wrt = (self.name_of(part) for part in pair)
            return gradient_name(of, wrt) if of and wrt else None
        return self._letters.of(node)

    def given_name(self, node: Node) -> Name | None:
        """The name that the user gave, if any."""
        return self._named.get(node)

    def find(self, written: str) -> Node | None:
        """The node of this name in any of its forms, or None."""
        given = self._by_form.get(written)
        return self._letters.find(written) if given is None else given

    def __getitem__(self, written: str | Node) -> Node:
        """The node of this name, in any of its forms: `g["W^{[0]}"]`, `g["W0"]`; a node of this graph is itself."""
        if isinstance(written, Node):
            if written.graph is not self:
                raise GraphError(f"{written!r} belongs to another graph ({written.graph.title!r})")
            return written
        if not isinstance(written, str) or (node := self.find(written)) is None:
            raise NamingError(self._unknown(written))
        return node

    def _unknown(self, written: object) -> str:
        known = [label.ident for node in self._nodes if (label := self.name_of(node))]
        hint = did_you_mean(str(written), known)
        shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
        return (
            f"{str(written)[:60]!r} is not a node of {self._title or 'this graph'!r}{hint} (it has {shown or 'none'})"
        )

    def __getattr__(self, attribute: str) -> Node:
        if attribute.startswith("_"):
            raise AttributeError(attribute)
        try:
            return self[attribute]
        except NamingError as error:
            raise AttributeError(str(error)) from None

    def __contains__(self, written: object) -> bool:
        if isinstance(written, Node):
            return written.graph is self
        return isinstance(written, str) and self.find(written) is not None

    def gradient_of(self, node: Node) -> tuple[Node, Node] | None:
        """What the node is the gradient of, as (of, wrt); None for any other node."""
        return self._gradients.get(node)

    @property
    def gradients(self) -> dict[Node, tuple[Node, Node]]:
        """All gradient nodes so far, with what they are the gradient of."""
        return dict(self._gradients)

    @property
    def sweeps(self) -> dict[Node, dict[Node, Node]]:
        """What the calculus has derived so far: of -> {wrt: gradient}."""
        return self._sweeps

    @property
    def objectives(self) -> dict[Node, Node]:
        """The sums over the samples that were made to train on: loss per sample -> sum."""
        return self._objectives

    @property
    def obstacles(self) -> dict[tuple[Node, Node], str]:
        """Where a sweep met an input without a gradient: (of, wrt) -> the reason."""
        return self._obstacles

    def expansion(self, node: Node) -> Node | None:
        """The node in simpler operations, made once; None where its operation has a formula of its own."""
        if node not in self._expansions:
            self._expansions[node] = node.op.expansion(node) if node.inputs else None
        return self._expansions[node]

    def is_derived(self, node: Node) -> bool:
        """Whether the node was written by the engine, not by the user."""
        return node in self._derived

    def name_derived(self, node: Node, label: Name) -> None:
        """Give a derived node a name to be shown by; it cannot be looked up by it."""
        self._labels[node] = label

    def mark_gradient(self, node: Node, of: Node, wrt: Node) -> None:
        """Record that the node is ∂of/∂wrt, from which its name follows."""
        self._gradients[node] = (of, wrt)

    # -- describing ----------------------------------------------------------------------------------------------

    def count_params(self) -> int:
        """How many numbers the parameters hold together; nothing is allocated."""
        return sum(node.type.size for node in self.parameters)

    def summary(self) -> str:
        """The table of the nodes: name, formula, shape, parameters."""
        from graphgrad.graph.notation import formula

        rows = [("node", "formula", "shape", "per", "parameters")]
        for node in self._nodes:
            if node.kind == "constant" and node not in self._named:
                continue
            label = self.name_of(node)
            kind = formula(node, "unicode") if node.inputs else node.kind
            each = "sample" if node.per_sample else ""
            count = f"{node.type.size:,}" if node.kind == "parameter" else ""
            rows.append((label.text if label else "", kind, str(node.type), each, count))
        widths = [max(len(row[column]) for row in rows) for column in range(5)]
        lines = [
            "  ".join(
                cell.rjust(width) if column == 4 else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        rule = "-" * max(map(len, lines))
        title = [self._title] if self._title else []
        total = f"{self.count_params():,} parameters in {len(self.parameters)} arrays, {len(self.steps)} steps"
        return "\n".join([*title, lines[0], rule, *lines[1:], rule, total])

    def to_networkx(self) -> networkx.MultiDiGraph[str]:
        """The graph for networkx: a node for each identifier, an edge for each operand with its position.

        Gradients that the user's nodes are computed from are there too, with the steps to them.
        """
        import networkx

        result: networkx.MultiDiGraph[str] = networkx.MultiDiGraph(title=self._title)
        ident: dict[Node, str] = {}
        for position, node in enumerate(dict.fromkeys((*self._nodes, *ancestors(*self._nodes)))):
            label = self.name_of(node)
            ident[node] = label.ident if label and label.ident not in result else f"{node.kind} {position}"
            result.add_node(
                ident[node],
                op=node.op.name if node.inputs else node.kind,
                formula=node.text(),
                shape=node.shape,
                per_sample=node.per_sample,
                group=node.group,
            )
        for node, target in ident.items():
            for operand, source in enumerate(node.inputs):
                result.add_edge(ident[source], target, operand=operand)
        return result

    def latex(self) -> str:
        r"""All lines in TeX, one below the other, aligned at their signs of equality."""
        lines = r" \\ ".join(node.latex().replace("=", "&=", 1) for node in self.steps)
        return rf"\begin{{aligned}} {lines} \end{{aligned}}"

    def __str__(self) -> str:
        title = [self._title] if self._title else []
        return "\n".join([*title, *(node.text() for node in self.steps)])

    def __repr__(self) -> str:
        return f"<Graph {self._title!r}: {len(self.steps)} steps, {self.count_params():,} parameters>"


def checked_title(title: object, what: str, least: int = 1) -> str:
    """The title of a graph or a group, in one line of at most 80 printable characters."""
    shown = str(title)
    if not shown.isprintable() or not least <= len(shown) <= 80:
        raise NamingError(f"{shown[:40]!r} cannot title a {what}: one line of {least} to 80 printable characters can")
    return shown


def ancestors(*roots: Node, operands: Callable[[Node], tuple[Node, ...]] | None = None) -> list[Node]:
    """The nodes that the roots depend on, and the roots, each after its operands.

    `operands` may say what a node depends on, where that is not its inputs.
    """
    operands = operands or (lambda node: node.inputs)
    order: list[Node] = []
    seen: set[Node] = set()
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((operand, False) for operand in reversed(operands(node)) if operand not in seen)
    return order


def computed_from(node: Node) -> tuple[Node, ...]:
    """What a node is computed from: its expansion if its operation is composite, else its inputs."""
    expansion = node.graph.expansion(node)
    return node.inputs if expansion is None else (expansion,)
