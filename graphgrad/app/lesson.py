"""A network compiled for the pages, kept from run to run and from session to session by its text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import streamlit as st

import graphgrad as gg
from graphgrad.calculus.gradient import sweep
from graphgrad.drawing import picture
from graphgrad.drawing.view import drawn
from graphgrad.graph import Node, ancestors


@dataclass(frozen=True, eq=False)
class Lesson:
    """A graph, the scalar that is differentiated, and the compiled function of all values and all gradients."""

    graph: gg.Graph
    of: Node
    function: gg.Function

    @cached_property
    def on_gpu(self) -> gg.Function:
        """The same function for a GPU, whose source is shown."""
        f = self.function
        return gg.compile(self.graph, f.outputs, wrt=list(f.gradients), target="cuda")

    @cached_property
    def gradients(self) -> dict[Node, Node]:
        """The gradient nodes of all that is drawn, in the order in which the backward sweep makes them."""
        seen = set(drawn(self.graph))
        return {node: gradient for node, gradient in sweep(self.of).items() if node in seen}

    @cached_property
    def ids(self) -> dict[str, Node]:
        """The nodes by their ids in the picture."""
        return {f"n{position}": node for position, node in enumerate(drawn(self.graph))}

    @cached_property
    def used(self) -> dict[Node, tuple[Node, ...]]:
        """What each node is used by, of all that `of` depends on."""
        users: dict[Node, list[Node]] = {node: [] for node in self.graph.nodes}
        for node in ancestors(self.of):
            for operand in dict.fromkeys(node.inputs):
                users.setdefault(operand, []).append(node)
        return {node: tuple(found) for node, found in users.items()}

    @cached_property
    def svg(self) -> str:
        """The picture without numbers, in the colours of the page: the browser fills in what a step has reached."""
        return picture(self.graph, {}, {}, self.of, theme="auto").painted(legend=False, blank=True)

    def run(self, arrays: Mapping[str, Any]) -> gg.Result:
        """All values and gradients. Raises DataError where an array does not fit."""
        return self.function(**{leaf.op.name: arrays[leaf.op.name] for leaf in self.function.inputs})


@st.cache_resource(max_entries=64, show_spinner="Compiling the network")
def lesson(text: str, of: str) -> Lesson:
    """The network of a text, compiled for the gradients of one of its scalars.

    Raises TextError for a text that cannot be read, GraphError for a name that is none of its scalars.
    """
    graph = gg.parse(text)
    target = graph[of]
    seen = set(drawn(graph))
    outputs = [target, *(node for node in graph.steps if node is not target)]
    function = gg.compile(graph, outputs, wrt=[node for node in sweep(target) if node in seen], target="cpu")
    return Lesson(graph, target, function)


@st.cache_data(max_entries=64, show_spinner=False)
def scalars(text: str) -> list[str]:
    """The identifiers of the steps that can be differentiated."""
    return [node.name.ident for node in gg.parse(text).steps if not node.shape and node.name]
