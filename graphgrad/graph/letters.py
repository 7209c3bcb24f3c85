"""The letters by which the unnamed steps of a graph are called: the next free capitals, in the order of the steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from graphgrad.graph.names import Name, letter

if TYPE_CHECKING:
    from graphgrad.graph.node import Node


class Letters:
    """The letters of a graph's unnamed steps, given out when the first of them is asked for.

    A step that is named gives its letter back, and so do the steps after it: the letters always run in order. Naming
    the step that was written last, as a graph does while it is written, costs nothing.
    """

    def __init__(self, nodes: Sequence[Node], named: Mapping[Node, Name], taken: Mapping[str, Node]) -> None:
        self._nodes, self._named, self._taken = nodes, named, taken
        self._steps: dict[Node, tuple[Name, int, int]] = {}  # with the position of the step and of its letter
        self._by_form: dict[str, Node] = {}
        self._position = self._letter = 0

    def of(self, node: Node) -> Name | None:
        """The letter of a step; None for what has a name or needs none."""
        if node not in self._steps:
            self._go_on()
        return self._steps[node][0] if node in self._steps else None

    def find(self, written: str) -> Node | None:
        """The step of this letter."""
        self._go_on()
        return self._by_form.get(written)

    def give_way(self, node: Node, label: Name) -> None:
        """Take back what the naming of `node` as `label` changes."""
        for step in (node, *(self._by_form.get(form) for form in (label.ident, label.tex))):
            while step in self._steps:
                _, (lettered, self._position, self._letter) = self._steps.popitem()
                for form in (lettered.ident, lettered.tex, lettered.text):
                    self._by_form.pop(form, None)

    def _go_on(self) -> None:
        while self._position < len(self._nodes):
            node = self._nodes[self._position]
            if node.kind == "operation" and node not in self._named:
                while (label := letter(self._letter)).ident in self._taken or label.tex in self._taken:
                    self._letter += 1
                self._steps[node] = label, self._position, self._letter
                self._by_form |= dict.fromkeys((label.ident, label.tex, label.text), node)
                self._letter += 1
            self._position += 1
