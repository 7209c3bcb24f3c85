"""What makes two graphs the same: their lines in order, what each computes from what, and how it is called."""

from __future__ import annotations

import graphgrad as gg
from graphgrad.graph import Node


def structure(graph: gg.Graph, named: set[str] | None = None) -> tuple:
    """The graph as plain data that can be compared.

    `named` says which nodes are lines; the rest are parts of the lines that use them. Left out, these are the nodes
    that the user named.
    """
    if named is None:
        named = idents(graph)

    def called(node: Node) -> str | None:
        label = graph.name_of(node)
        return label.ident if label and label.ident in named else None

    def part(node: Node) -> tuple:
        if (ident := called(node)) is not None:
            return ("node", ident)
        if (pair := graph.gradient_of(node)) is not None:
            return ("gradient", *map(part, pair))
        if node.kind == "constant":
            return ("number", node.op.value)
        return expression(node)

    def expression(node: Node) -> tuple:
        return (node.op if node.inputs else node.op.kind, node.type, *map(part, node.inputs))

    lines = [
        (
            graph.name_of(node),
            node.kind,
            node.group,
            expression(node),
            node.op.value if node.kind == "constant" else None,
        )
        for node in graph.nodes
        if called(node)
    ]
    return graph.title, lines


def idents(graph: gg.Graph) -> set[str]:
    return {label.ident for node in graph.nodes if (label := graph.given_name(node))}


def same(graph: gg.Graph, other: gg.Graph) -> bool:
    """Whether `other` is `graph`, where steps of `graph` without a name may have their letter for a name in `other`."""
    named = idents(other)
    return idents(graph) <= named and structure(graph, named) == structure(other, named)
