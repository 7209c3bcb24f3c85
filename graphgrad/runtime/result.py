"""What a call of a compiled function gives: the values by name, read from the step's memory when they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphgrad.compiler.program import Instruction
from graphgrad.graph import NamingError, Node
from graphgrad.graph.data import Array
from graphgrad.ops.batch import BatchSize

if TYPE_CHECKING:
    from graphgrad.runtime.function import Function


@dataclass(eq=False, slots=True)
class Result:
    """The values of one call: `r["A"]` of any named node on the way, `r.grad["W0"]` of the gradients.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, w = gg.input("x"), gg.param("w")
    ...     g.A = w * x
    ...     g.y = gg.square(g.A)
    >>> r = gg.compile(g, "y", wrt=["w", "A"], target="numpy")(x=3.0, w=2.0)
    >>> float(r["A"]), float(r.grad["w"]), dict(r.grad)["A"].item()
    (6.0, 36.0, 12.0)
    """

    function: Function
    arguments: list[Array]
    samples: int
    single: bool
    interpreted: dict[Instruction, Array] | None
    memory: Any
    module: Any = None

    def __repr__(self) -> str:
        count = "one sample" if self.single else f"{self.samples} samples"
        return f"<Result of {_listed(self.function.outputs)} for {count}>"

    def __getitem__(self, name: str | Node) -> Any:
        node = self.function.graph[name]
        if node not in self.function.program.values:
            raise NamingError(
                f"{node.text()} is not on the way to {_listed(self.function.outputs)}: add it to the outputs"
                if self.function.keep
                else f"{node.text()} was not kept: add it to the outputs, or compile with keep=True"
            )
        return self._value(node)

    @property
    def grad(self) -> Gradients:
        """The gradients of the first output, by name of what they are with respect to."""
        return Gradients(self)

    @property
    def values(self) -> dict[Node, Any]:
        """All named values, by node."""
        gradients = set(self.function.gradients.values())
        return {node: self._value(node) for node in self.function.program.values if node not in gradients}

    @property
    def gradients(self) -> dict[Node, Any]:
        """All gradients, by the node that they are with respect to."""
        return {wrt: self._value(gradient) for wrt, gradient in self.function.gradients.items()}

    def _value(self, node: Node) -> Any:
        instruction = self.function.program.values[node]
        array = self._array(instruction)
        if node.per_sample and not instruction.type.per_sample:
            array = np.broadcast_to(array, (self.samples, *node.shape))
        elif not instruction.type.shape and node.shape:
            array = np.broadcast_to(array, node.shape)
        return array[0] if self.single and node.per_sample else array

    def _array(self, instruction: Instruction) -> Any:
        if self.interpreted is not None:
            return self.interpreted[instruction]
        if instruction.leaf is not None:
            if isinstance(instruction.op, BatchSize):
                return self.function.dtype.type(self.samples)
            return self.arguments[self.function.leaves.index(instruction.leaf)]
        if instruction.constant is not None:
            return self.function.dtype.type(instruction.constant)
        start, each, shape, per_sample = self.module.SECTIONS[self.function._numbers[instruction]]
        assert self.memory is not None
        lanes = self.module.LANES
        padded = -(-self.samples // lanes) * lanes
        start += each * padded
        if not per_sample:
            return self.memory[start : start + math.prod(shape)].reshape(shape) if shape else self.memory[start]
        flat = self.memory[start : start + math.prod(shape) * padded]
        if lanes > 1:
            flat = flat.reshape(-1, math.prod(shape), lanes).swapaxes(1, 2)
        return flat.reshape(padded, *shape)[: self.samples]


@dataclass(frozen=True, eq=False)
class Gradients(Mapping[str, Any]):
    """Gradients by the name of what they are with respect to."""

    result: Result

    def __getitem__(self, name: str | Node) -> Any:
        function = self.result.function
        node = function.graph[name]
        if node not in function.gradients:
            raise NamingError(
                f"the gradient for {node.name} was not asked for: compile with wrt=[..., {str(node.name)!r}]"
            )
        return self.result._value(function.gradients[node])

    def __iter__(self) -> Iterator[str]:
        return (node.name.ident for node in self.result.function.gradients if node.name)

    def __len__(self) -> int:
        return len(self.result.function.gradients)


def _listed(nodes: Iterable[Node]) -> str:
    return ", ".join(str(node.name) for node in nodes)
