"""What differs between training a network and using it: states that a step moves, and the graph without training's noise.

An operation says itself which of its operands a training step leaves with a new value (running statistics, the number of
the step), and what stands in its place when nothing is trained.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from graphgrad.calculus.gradient import grad
from graphgrad.graph import Graph, GraphError, Node, Place, written
from graphgrad.ops import identity

G = TypeVar("G", bound=Graph)


def states(nodes: Iterable[Node]) -> dict[Node, Node]:
    """The states that these nodes keep from one training step to the next: parameter -> its new value.

    Raises GraphError where two nodes would leave the same state with different values.
    """
    found: dict[Node, Node] = {}
    movers: dict[Node, Node] = {}
    for node in nodes:
        if not node.inputs:
            continue
        with node.graph.derivation():
            own = node.op.updates(*node.inputs)
        for state, value in own.items():
            if state in found and written(found[state]) != written(value):
                raise GraphError(
                    f"{state.name} is a state of {movers[state].text()} and of {node.text()}, which would move it "
                    "differently: give each its own"
                )
            found[state], movers[state] = value, node
    return found


def evaluation(graph: G) -> G:
    """The graph as it is used when it has been trained: with running statistics, and without dropout."""
    new = type(graph)(graph.title)
    made: dict[Node, Node] = {}
    for node in graph.nodes:
        with new.written_by(partial(_place, node)), ExitStack() as groups:
            for title in node.group:
                groups.enter_context(new.group(title))
            inputs = tuple(_counterpart(operand, new, made) for operand in node.inputs)
            made[node] = _in_use(node, new, inputs)
    return new


def _place(node: Node) -> Place | None:
    return node.place


def _in_use(node: Node, new: Graph, inputs: tuple[Node, ...]) -> Node:
    """The node as it is when the network is used, under its name."""
    there = node.op.evaluated(*inputs) if inputs else None
    label = node.graph.given_name(node)
    if there is None:
        there = new.add(node.op, inputs, node.type, node.place)
    elif label is not None and new.given_name(there) is not None:
        there = identity(there)
    if label is not None:
        new.name_as(there, label)
    return there


def _counterpart(operand: Node, new: Graph, made: dict[Node, Node]) -> Node:
    """What an operand of the one graph is in the other; gradients are derived anew."""
    if operand not in made:
        with new.derivation():
            if (pair := operand.graph.gradient_of(operand)) is not None:
                of, wrt = (_counterpart(part, new, made) for part in pair)
                made[operand] = grad(of, wrt)
            else:
                inputs = tuple(_counterpart(part, new, made) for part in operand.inputs)
                made[operand] = new.add(operand.op, inputs, operand.type, None)
    return made[operand]
