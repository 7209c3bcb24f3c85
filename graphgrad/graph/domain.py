"""Which values an operation takes from an array that is given for it: labels of classes, probabilities, signs.

A wrong label has no value in any formula; it is found where the array comes in, and said with its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphgrad.graph.errors import DataError
from graphgrad.graph.notation import number

if TYPE_CHECKING:
    from graphgrad.graph.data import Array
    from graphgrad.graph.node import Node


@dataclass(frozen=True, slots=True)
class Domain:
    """The numbers from `low` to `high`; whole ones where `whole`; the two ends alone where `ends`; and `also` this one.

    `what` names them in a sentence, and `instead` says what a common other convention becomes.
    """

    what: str
    low: float
    high: float
    whole: bool = False
    ends: bool = False
    also: float | None = None
    instead: str = ""

    @property
    def unit(self) -> bool:
        """Whether these are just the numbers from 0 to 1."""
        return (self.low, self.high, self.whole, self.ends, self.also) == (0.0, 1.0, False, False, None)

    def refused(self, array: Array) -> Array | None:
        """Where the array has values that are none of these (a NaN is said elsewhere); None where it has not."""
        if not array.size or (
            not self.whole and not self.ends and array.min() >= self.low and array.max() <= self.high
        ):
            return None
        wrong = (array < self.low) | (array > self.high)
        if self.whole:
            wrong |= array != np.floor(array)
        if self.ends:
            wrong |= (array > self.low) & (array < self.high)
        if self.also is not None:
            wrong &= array != self.also
        return wrong if wrong.any() else None


Expected = Mapping["Node", tuple[tuple["Node", Domain], ...]]
"""What is expected of the array of each leaf, and by which node."""


def expected(nodes: Iterable[Node]) -> Expected:
    """What these nodes expect of the arrays for the leaves that they take directly."""
    found: dict[Node, tuple[tuple[Node, Domain], ...]] = {}
    for node in nodes:
        if not node.inputs:
            continue
        for operand, domain in zip(node.inputs, node.op.domains(*(o.type for o in node.inputs)), strict=False):
            if domain is not None and operand.kind in ("input", "parameter"):
                found[operand] = (*found.get(operand, ()), (node, domain))
    return found


def check(expectations: Expected, values: Mapping[Node, Array]) -> None:
    """Raise DataError for the first value that a node cannot take, naming node, place and value."""
    for leaf, asked in expectations.items():
        for node, domain in asked if leaf in values else ():
            wrong = domain.refused(values[leaf])
            if wrong is not None:
                raise DataError(_sentence(leaf, node, domain, values[leaf], wrong))


def _sentence(leaf: Node, node: Node, domain: Domain, array: Array, wrong: Array) -> str:
    first = tuple(map(int, np.argwhere(wrong)[0]))
    sample, position = (first[:1], first[1:]) if leaf.per_sample else ((), first)
    places = [f"sample {sample[0]}"] if sample else []
    places += [f"position {position[0] if len(position) == 1 else position}"] if position else []
    place = f" at {', '.join(places)}" if places else ""
    line = f" ({node.place})" if node.place else ""
    also = f", or {number(domain.also)} to be left out" if domain.also is not None else ""
    instead = f"; {domain.instead.replace('{0}', str(leaf.name))}" if domain.instead else ""
    return (
        f"{leaf.name} is given {number(float(array[first]))}{place}: {node.text()}{line} takes "
        f"{domain.what}{also}{instead}"
    )
