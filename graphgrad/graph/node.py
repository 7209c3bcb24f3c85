"""A node: one named or intermediate value of a graph, made by one operation from other nodes. Nodes never change."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

from graphgrad.graph.errors import GraphError, ShapeError, clipped, shown
from graphgrad.graph.mathml import Formulated
from graphgrad.graph.notation import Style, equation, fill, formula, number, written
from graphgrad.graph.operation import FUNCTIONS, Misfit, Operand, Operation
from graphgrad.graph.place import Place
from graphgrad.graph.types import MOST_ELEMENTS, Type

if TYPE_CHECKING:
    from graphgrad.graph.graph import Graph
    from graphgrad.graph.names import Name

Kind = Literal["input", "parameter", "constant", "operation"]

MOST_ORIGINS = 4  # operands whose lines a sentence names


@dataclass(frozen=True)
class Leaf(Operation):
    """What a node without operands is made by: an input, a parameter, a constant, or the length of the batch."""

    name: str
    kind: Kind
    type: Type
    value: float = 0.0

    def infer(self, *types: Type) -> Type:
        return self.type

    def shown(self, style: Style) -> str:
        """A constant as it is read."""
        return number(self.value, style)


@dataclass(frozen=True, eq=False, slots=True)
class Node(Formulated):
    """A value in a graph. Made by operations and operators, never by hand; `node.name`, `node.shape` describe it.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, W = gg.input("x", 2), gg.param("W", 3, 2)
    ...     g.A = W @ x
    >>> g.A, str(g.A.name), g.A.shape, g.A.per_sample
    (<A = Wx: 3 per sample>, 'A', (3,), True)
    """

    graph: Graph
    op: Any  # an Operation; Any because each operation has options of its own
    inputs: tuple[Node, ...]
    type: Type
    place: Place | None = None
    group: tuple[str, ...] = ()

    __array_ufunc__ = None  # numpy leaves `array * node` to the node

    @property
    def kind(self) -> Kind:
        """`input`, `parameter`, `constant` or `operation`."""
        return self.op.kind if isinstance(self.op, Leaf) else "operation"

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one sample's value."""
        return self.type.shape

    @property
    def per_sample(self) -> bool:
        """Whether every sample of a batch has its own value."""
        return self.type.per_sample

    @property
    def name(self) -> Name | None:
        """The node's name; None for a constant and for an unnamed step of a gradient."""
        return self.graph.name_of(self)

    @property
    def T(self) -> Node:
        """The transpose."""
        return self._apply("transpose")

    def latex(self) -> str:
        """The node's line in TeX: `A = W^{[0]} x`."""
        return equation(self, "latex")

    def text(self) -> str:
        """The node's line in Unicode: `A = W⁽⁰⁾x`."""
        return equation(self, "unicode")

    def __repr__(self) -> str:
        each = " per sample" if self.per_sample else ""
        return f"<{equation(self, 'unicode')}: {self.type}{each}>"

    def _apply(self, function: str, *operands: Operand) -> Node:
        result: Node = FUNCTIONS[function](self, *operands)
        return result

    def _reflected(self, function: str, other: Operand) -> Node:
        result: Node = FUNCTIONS[function](other, self)
        return result

    def __add__(self, other: Operand) -> Node:
        return self._apply("add", other)

    def __radd__(self, other: Operand) -> Node:
        return self._reflected("add", other)

    def __sub__(self, other: Operand) -> Node:
        return self._apply("subtract", other)

    def __rsub__(self, other: Operand) -> Node:
        return self._reflected("subtract", other)

    def __mul__(self, other: Operand) -> Node:
        return self._apply("multiply", other)

    def __rmul__(self, other: Operand) -> Node:
        return self._reflected("multiply", other)

    def __truediv__(self, other: Operand) -> Node:
        return self._apply("divide", other)

    def __rtruediv__(self, other: Operand) -> Node:
        return self._reflected("divide", other)

    def __matmul__(self, other: Operand) -> Node:
        return self._apply("matmul", other)

    def __rmatmul__(self, other: Operand) -> Node:
        return self._reflected("matmul", other)

    def __pow__(self, other: Operand) -> Node:
        return self._apply("power", other)

    def __rpow__(self, other: Operand) -> Node:
        return self._reflected("power", other)

    def __neg__(self) -> Node:
        return self._apply("negative")

    def __gt__(self, other: Operand) -> Node:
        return self._apply("greater", other)

    def __ge__(self, other: Operand) -> Node:
        return self._apply("greater_equal", other)

    def __lt__(self, other: Operand) -> Node:
        return self._apply("less", other)

    def __le__(self, other: Operand) -> Node:
        return self._apply("less_equal", other)

    def __getitem__(self, index: Any) -> Node:
        return self._apply("slice", index)

    def __bool__(self) -> bool:
        raise GraphError(f"{written(self)} is a node and has no truth value while the graph is built")

    def __iter__(self) -> Any:
        raise GraphError(f"{written(self)} is a node and cannot be looped over: its values exist only when it is run")


def apply(op: Operation, operands: tuple[Operand, ...]) -> Node:
    """The node `op(operands)`, in the graph of its operands; numbers become constants.

    Raises GraphError where the operands belong to different graphs, ShapeError where they do not fit.
    """
    graph = next((operand.graph for operand in operands if isinstance(operand, Node)), None)
    if graph is None:
        called = clipped(", ".join(map(shown, operands)))
        raise GraphError(f"{op.name}({called}): none of the operands is a node of a graph")
    inputs = tuple(
        operand if isinstance(operand, Node) else constant_in(graph, operand, op.name) for operand in operands
    )
    for operand in inputs:
        if operand.graph is not graph:
            raise GraphError(
                f"{op.name}: {written(inputs[0])} belongs to {graph.title or 'one graph'!r} and {written(operand)} to "
                f"{operand.graph.title or 'another'!r}; a node takes operands of its own graph only"
            )
    try:
        type = op.infer(*(operand.type for operand in inputs))
    except Misfit as misfit:
        raise ShapeError(explain(op, inputs, misfit)) from None
    if type.size > MOST_ELEMENTS:
        too_large = Misfit(f"the result is {type}, which is more than {MOST_ELEMENTS:,} elements")
        raise ShapeError(explain(op, inputs, too_large))
    return graph.add(op, inputs, type, graph.where())


def constant_in(graph: Graph, value: Operand, who: str) -> Node:
    """A number as a node of the graph; raises GraphError, in the name of who asks, where it is none."""
    real = real_number(value)
    if real is None:
        raise GraphError(
            f"{who}: an operand is {shown(value)} of type {type(value).__name__}; operands are nodes and finite numbers"
        )
    return graph.add(Leaf(number(real), "constant", Type(), real), (), Type(), None)


def real_number(value: object) -> float | None:
    """The value as a constant of a graph: a finite real number that is no truth value, or None."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        real = float(value)
    except OverflowError:
        return None
    return real if math.isfinite(real) else None


def explain(op: Operation, inputs: tuple[Node, ...], misfit: Misfit) -> str:
    """The sentence of a misfit: formula, shapes, where the operands come from, the user's line."""
    called = [_called(operand) for operand in inputs]
    notation = op.notation(*(operand.type for operand in inputs))
    place = inputs[0].graph.where()
    left = f"{place.target} = " if place and place.target else ""
    sentence = f"{left}{clipped(fill(notation.text, called))}: {clipped(fill(str(misfit), called))}"
    origin = [_origin(operand) for operand in dict.fromkeys(inputs) if operand.kind != "constant"]
    if origin := [part for part in origin if part][:MOST_ORIGINS]:
        sentence += f" ({'; '.join(origin)})"
    return f"{sentence}, at {place}" if place and not place.defines else sentence


def _called(node: Node) -> str:
    named = node.name
    return named.tex if named else clipped(written(node))


def _origin(node: Node) -> str:
    place = f", {node.place}" if node.place else ""
    if node.inputs:
        named = node.name
        operands = [_called(operand) for operand in node.inputs]
        right = clipped(fill(node.op.notation(*(operand.type for operand in node.inputs)).text, operands))
        return f"{named.tex} = {right}{place}" if named else ""
    if not node.shape:
        return f"{_called(node)} is a scalar {node.kind}{place}"
    return f"{_called(node)} is {'an' if node.kind == 'input' else 'a'} {node.kind} of shape {node.type}{place}"


__all__ = ["Kind", "Leaf", "Node", "apply", "clipped", "formula"]
