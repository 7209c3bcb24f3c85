"""Composite operations: one node in the picture, written out in simpler operations where it is computed.

The gradient follows from the parts by the chain rule, unless the operation states a shorter one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from graphgrad.graph import Graph, Leaf, Misfit, Node, NoGradient, Notation, Operation, ShapeError, Type, function
from graphgrad.graph.domain import Domain

Rule = Callable[..., tuple[Node | NoGradient, ...]]


@dataclass(frozen=True, eq=False)
class Composite(Operation):
    """`name(*inputs)` is `body(*inputs)`; `rule(gradient, output, *inputs)` may state its gradient.

    `settings` are the options that differ from their defaults, as the text form writes them; `expects` says which
    values arrays given for its operands must have.
    """

    name: str
    body: Callable[..., Node]
    written: Notation | Callable[..., Notation] | None = None
    rule: Rule | None = None
    settings: tuple[tuple[str, Any], ...] = ()
    expects: tuple[Domain | None, ...] = ()

    @property
    def key(self) -> str:
        return f"{self.name}({self.options()})"

    def options(self) -> str:
        return ", ".join(f"{option}={value!r}" for option, value in self.settings)

    def domains(self, *types: Type) -> tuple[Domain | None, ...]:
        return self.expects

    @property
    def unfolds(self) -> bool:
        return self.rule is None

    @lru_cache(maxsize=1024)  # noqa: B019 - operations are few, and stay
    def infer(self, *types: Type) -> Type:
        scratch = Graph()
        operands = [scratch.add(Leaf("operand", "input", type), (), type, None) for type in types]
        try:
            with scratch.derivation():
                return self.body(*operands).type
        except ShapeError:
            told = " and ".join(f"{{{position}}} is {type}" for position, type in enumerate(types))
            raise Misfit(f"{told}, which do not fit together") from None

    def notation(self, *types: Type) -> Notation:
        if self.written is None:
            return function(self.name, options=self.options())
        return self.written(*types) if callable(self.written) else self.written

    def expand(self, *inputs: Node) -> Node:
        with inputs[0].graph.derivation():
            return self.body(*inputs)

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        assert self.rule is not None
        return self.rule(gradient, output, *inputs)
