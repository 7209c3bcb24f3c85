"""What an operation is, and the register through which the text form and the operators of nodes find it by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from graphgrad.graph.errors import ShapeError
from graphgrad.graph.notation import Notation, function
from graphgrad.graph.types import Type

if TYPE_CHECKING:
    from graphgrad.graph.domain import Domain
    from graphgrad.graph.formula import Formula
    from graphgrad.graph.node import Node

Operand = Any
"""What an operation takes: a node, or a number that becomes a constant."""


class Misfit(ShapeError):
    """The operands do not fit; `{0}`, `{1}` in the message stand for them until their names are put in."""


@dataclass(frozen=True, slots=True)
class NoGradient:
    """The explicit answer of a rule for an input that has no gradient, with the reason."""

    reason: str


class Operation:
    """One operation: its type rule, its notation, its derivative, and what computes it.

    What computes it is either a `formula` (out of which the reference and the compiled code come) or an
    `expand` into simpler operations. Instances are immutable and compare by their fields, so that two uses with the
    same options are the same operation.
    """

    name: str

    @property
    def key(self) -> str:
        """What tells this operation from others across processes, for the kernel cache."""
        return repr(self)

    def infer(self, *types: Type) -> Type:
        """The type of the result; raises Misfit where the operands do not fit."""
        raise TypeError(f"{self.name} has no type rule")

    def notation(self, *types: Type) -> Notation:
        """How the operation is written for operands of these types."""
        return function(self.name, options=self.options())

    def options(self) -> str:
        """The keyword arguments of the text form, empty where all have their defaults."""
        return ""

    def formula(self, *types: Type) -> Formula:
        """The index formula that computes the result for one sample."""
        raise TypeError(f"{self.name} has no formula")

    def expand(self, *inputs: Node) -> Node | None:
        """The same value in simpler operations, or None where the operation has a formula of its own."""
        return None

    def expansion(self, node: Node) -> Node | None:
        """The expansion of a node that this operation made; some depend on more than the operands, such as its name."""
        return self.expand(*node.inputs)

    @property
    def unfolds(self) -> bool:
        """Whether the gradient is that of the expansion, by the chain rule."""
        return False

    def domains(self, *types: Type) -> tuple[Domain | None, ...]:
        """Which values the operands must have, where an array is given for them; empty where any number will do."""
        return ()

    def starts(self, *types: Type) -> tuple[float | None, ...]:
        """Where an operand that is a parameter begins, if it is all one number; empty where it is drawn."""
        return ()

    def updates(self, *inputs: Node) -> dict[Node, Node]:
        """The operands that a training step leaves with a new value (running statistics, a counter), with that value."""
        return {}

    def evaluated(self, *inputs: Node) -> Node | None:
        """The node that stands in its place when the network is used and not trained; None where it is the same."""
        return None

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        """The contribution of `gradient` (of `output`) to each input's gradient, as nodes."""
        raise TypeError(f"{self.name} has no gradient rule")

    def __call__(self, *operands: Operand) -> Node:
        from graphgrad.graph.node import apply

        return apply(self, operands)


FUNCTIONS: dict[str, Callable[..., Any]] = {}
"""Every public operation by the name that the text form and Python use for it."""

F = TypeVar("F", bound=Callable[..., Any])


def public(function: F, name: str | None = None) -> F:
    """Register a function under its name (usable as a decorator)."""
    FUNCTIONS[name or function.__name__] = function
    return function
