"""The identities that formulas are simplified by, as data: the same for what is compiled and for what is shown.

An identity is written as two formulas over the same variables, with the graph's own operations, and has a reason that
can be read. The compiler applies them to programs, the derivation to the formulas of gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

from graphgrad.graph import Graph, Leaf, Node, Operation, Type, formula
from graphgrad.ops import (
    add,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    exp,
    identity,
    log,
    log_softmax,
    multiply,
    sigmoid,
    softmax,
)
from graphgrad.ops.batch import BatchSpread
from graphgrad.ops.classes import log_probability, over_probability
from graphgrad.ops.linear import Transpose
from graphgrad.ops.losses import cross_entropy_slope
from graphgrad.ops.reductions import Reduce

_COMMUTATIVE = frozenset({add, multiply})


class Term(Protocol):
    """What identities are matched against: an operation on other terms."""

    @property
    def op(self) -> Any: ...

    @property
    def inputs(self) -> Sequence[Any]: ...


T = TypeVar("T", bound=Term)
Bound = dict[Node, T]
"""What the variables of an identity stand for."""


@dataclass(frozen=True)
class Identity:
    """`left = right` for all values of the variables; applied from left to right.

    A program without the operation `needs` has nothing that matches, and the two sides need not be made for it.
    """

    name: str
    phase: str
    left: Callable[..., Node]
    right: Callable[..., Node]
    reason: str
    shape: tuple[int, ...] = ()
    needs: Operation | None = None

    @cached_property
    def pattern(self) -> tuple[tuple[Node, ...], Node]:
        """The variables and the left side, as nodes of a graph of their own."""
        with Graph(self.name) as graph:
            variables = self._variables(graph)
            return variables, self.left(*variables)

    @cached_property
    def sides(self) -> tuple[tuple[Node, ...], Node, Node]:
        """The variables and the two formulas."""
        variables, left = self.pattern
        with left.graph:
            return variables, left, self.right(*variables)

    def right_of(self, *types: Type) -> tuple[tuple[Node, ...], Node]:
        """The variables and the right side for operands of these types, which decide how an operation is written out."""
        with Graph(self.name) as graph:
            variables = self._variables(graph, *types)
            return variables, self.right(*variables)

    def _variables(self, graph: Graph, *types: Type) -> tuple[Node, ...]:
        names = self.left.__code__.co_varnames[: self.left.__code__.co_argcount]
        return tuple(
            graph.leaf("input", name, type.shape, type.per_sample)
            for name, type in zip(names, types or (Type(self.shape, True),) * len(names), strict=True)
        )

    def __str__(self) -> str:
        _, left, right = self.sides
        return f"{formula(left, 'unicode')} = {formula(right, 'unicode')}"


def _of_softmax(axis: int) -> tuple[Identity, ...]:
    """The logarithm of a softmax over an axis, and the gradients that come back through it."""
    shape = (3,) if axis in (-1, 0) else (2, 3, 2)

    def slope(z: Node, g: Node) -> Node:
        y = softmax(z, axis)
        return multiply(y, g - Reduce("sum", axis, True)(g * y))  # type: ignore[no-any-return]

    def cancelled(z: Node, g: Node) -> Node:
        return g - softmax(z, axis) * Reduce("sum", axis, True)(g)

    def identity(name: str, left: Callable[..., Node], right: Callable[..., Node], reason: str) -> Identity:
        return Identity(name, "stabilise", left, right, reason, shape, exp)

    known = "ln softmax(z) is computed from z, where no logarithm meets a rounded 0"
    through = "y ⊙ (g/y - Σ (g/y) y) cancels to g - y Σ g, exact also where y is rounded to 0"
    return (
        identity("logarithm of a softmax", lambda z: log(softmax(z, axis)), lambda z: log_softmax(z, axis), known),
        identity(
            "cross entropy of a softmax",
            lambda z: log_probability(softmax(z, axis)),
            lambda z: log_softmax(z, axis),
            known,
        ),
        identity(
            "softmax with cross entropy",
            lambda z, q: slope(z, over_probability(-q, softmax(z, axis))),
            lambda z, q: softmax(z, axis) * Reduce("sum", axis, True)(q) - q,
            "y ⊙ (g - Σ g y) with g = -q/y cancels to y Σ q - q; of a label, Σ q is 1: softmax - one-hot",
        ),
        identity(
            "softmax with a loss on probabilities",
            lambda z, g: slope(z, over_probability(g, softmax(z, axis))),
            cancelled,
            through,
        ),
        identity(
            "softmax with a weighted logarithm",
            lambda z, g: slope(z, g * over_probability(1, softmax(z, axis))),
            cancelled,
            through,
        ),
        identity("softmax with a logarithm", lambda z, g: slope(z, g * (1 / softmax(z, axis))), cancelled, through),
    )


IDENTITIES: tuple[Identity, ...] = (
    Identity("copy", "simplify", lambda a: identity(a), lambda a: a, "a copy has the value of its original"),
    Identity("times one", "simplify", lambda a: a * 1, lambda a: a, "1 is neutral for the product"),
    Identity("divided by one", "simplify", lambda a: a / 1, lambda a: a, "1 is neutral for the product"),
    Identity("plus zero", "simplify", lambda a: a + 0, lambda a: a, "0 is neutral for the sum"),
    Identity("minus zero", "simplify", lambda a: a - 0, lambda a: a, "0 is neutral for the sum"),
    Identity("negated twice", "simplify", lambda a: -(-a), lambda a: a, "-(-a) is a"),
    Identity(
        "transposed twice",
        "simplify",
        lambda a: Transpose()(Transpose()(a)),
        lambda a: a,
        "the transpose of the transpose is the matrix itself",
        shape=(2, 3),
    ),
    Identity(
        "the seed of an objective",
        "simplify",
        lambda a: BatchSpread()(a.graph.add(Leaf("1", "constant", Type(), 1.0), (), Type(), None)) * a,
        lambda a: a,
        "∂J/∂J is 1 for every sample",
    ),
    Identity(
        "cross entropy of a sigmoid",
        "stabilise",
        lambda z, t: binary_cross_entropy(sigmoid(z), t),
        lambda z, t: binary_cross_entropy_with_logits(z, t),
        "-t ln σ(z) - (1-t) ln(1-σ(z)) is computed from z, where no logarithm meets a rounded 0 or 1",
    ),
    Identity(
        "sigmoid with cross entropy",
        "stabilise",
        lambda z, t: cross_entropy_slope(sigmoid(z), t) * (sigmoid(z) * (1 - sigmoid(z))),
        lambda z, t: sigmoid(z) - t,
        "(y-t)/(y(1-y)) · y(1-y) cancels to y - t, exact also where y(1-y) is rounded to 0",
    ),
    *(identity for axis in (-1, 0, 1, 2, -2, -3) for identity in _of_softmax(axis)),
)


def matches(
    left: Node, op: Any, inputs: tuple[T, ...], constant: Callable[[T], float | None]
) -> list[tuple[T | None, Bound[T]]]:
    """The ways in which `op(inputs)` is the left side, as (a factor in front of a product, the variables).

    `constant` says the number that a term is, None for any other. A composite operation of the left side is there as it
    is or written out.
    """
    found: list[tuple[T | None, Bound[T]]] = []
    for bound in _match_inputs(left, op, inputs, {}, constant):
        found.append((None, bound))
    if op is multiply and len(inputs) == 2 and inputs[0].op is multiply:
        # (g · p) · q is read as g · (p · q), so that an identity for p · q holds behind any factor
        factor, first = inputs[0].inputs
        for bound in _match_inputs(left, op, (first, inputs[1]), {}, constant):
            found.append((factor, bound))
    return found


def _match_inputs(
    left: Node, op: Any, inputs: tuple[T, ...], bound: Bound[T], constant: Callable[[T], float | None]
) -> list[Bound[T]]:
    if left.op != op:
        written_out = left.graph.expansion(left)
        return [] if written_out is None else _match_inputs(written_out, op, inputs, bound, constant)
    if len(left.inputs) != len(inputs):
        return []
    orders = [inputs, inputs[::-1]] if op in _COMMUTATIVE else [inputs]
    results: list[Bound[T]] = []
    for order in orders:
        partial = [bound]
        for pattern, operand in zip(left.inputs, order, strict=True):
            partial = [deeper for so_far in partial for deeper in _match(pattern, operand, so_far, constant)]
        results.extend(partial)
    return results


def _match(pattern: Node, operand: T, bound: Bound[T], constant: Callable[[T], float | None]) -> list[Bound[T]]:
    if pattern.kind == "input":
        if pattern in bound:
            return [bound] if bound[pattern] is operand else []
        return [{**bound, pattern: operand}]
    if pattern.kind == "constant":
        return [bound] if constant(operand) == pattern.op.value else []
    return _match_inputs(pattern, operand.op, tuple(operand.inputs), bound, constant)


__all__ = ["IDENTITIES", "Identity", "matches"]
