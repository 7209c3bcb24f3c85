"""Noise: dropout, whose mask is a formula of seed, name, step and place.

No generator is drawn from and no mask is kept. Whether an element is dropped is a hash of the seed, the node's name, the
number of the training step, the sample's place in the batch and the element's place in the sample. So the same element
gets the same answer in the forward pass and in the gradient, in the reference and in compiled code, in float32 and in
float64, on one thread and on many, and in a training that was stopped and resumed.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from graphgrad.graph import (
    PRODUCT,
    SUM,
    Formula,
    GraphError,
    Misfit,
    Node,
    NoGradient,
    Notation,
    Operand,
    Operation,
    Type,
    at,
    axes_of,
    function,
    number,
    public,
)
from graphgrad.graph.errors import clipped
from graphgrad.ops.batch import SAMPLES
from graphgrad.ops.options import in_range
from graphgrad.ops.symbolic import sp, where

STEPS = 2**24
"""How many places a hash tells apart: the whole numbers up to here are exact in float32."""

MOST_SEED = 2**63


@dataclass(frozen=True)
class Drop(Operation):
    """`a` over the share that is kept where the hash says so, 0 elsewhere; linear in `a`, and its own transpose."""

    kept: float  # the share, in whole parts of 2**24
    salt: int
    each: bool  # whether samples are dropped apart
    name = "drop"

    def infer(self, a: Type, step: Type) -> Type:
        return Type(a.shape, a.per_sample or step.per_sample or self.each)

    def notation(self, a: Type, step: Type) -> Notation:
        return Notation(r"{0} \odot M", "{0} ⊙ M", "drop({0}, {1})", PRODUCT, (PRODUCT, SUM))

    def formula(self, a: Type, step: Type) -> Formula:
        axes = axes_of(a.shape)

        def body(a: Any, step: Any, *places: Any) -> Any:
            sample, places = (places[0], places[1:]) if self.each else (0, places)
            element = sp.Integer(0)
            for place, axis in zip(places, axes, strict=True):
                element = element * axis.extent + place
            drawn = sp.Function("hashed")(self.salt, step, sample, element)
            return where(drawn < self.kept, a / self.kept, 0)

        values = (SAMPLES, *axes) if self.each else axes
        return Formula(axes, (at(*axes), ()), body=body, values=values)

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        return self(gradient, inputs[1]), NoGradient("a step is counted, and cannot be moved a little")


@dataclass(frozen=True)
class Dropout(Operation):
    """Dropout, under a salt that its seed and its name make."""

    rate: float = 0.5
    seed: int = 0
    name = "dropout"

    def infer(self, a: Type, step: Type) -> Type:
        if step.shape:
            raise Misfit(f"{{1}} is {step}; the number of the step is a scalar, such as param('step')")
        if a.size > STEPS:
            raise Misfit(f"{{0}} has {a.size:,} elements, of which a hash tells {STEPS:,} apart")
        return Type(a.shape, a.per_sample or step.per_sample)

    def options(self) -> str:
        return ", ".join([f"rate={number(self.rate)}"] * (self.rate != 0.5) + [f"seed={self.seed}"] * (self.seed != 0))

    def notation(self, a: Type, step: Type) -> Notation:
        plain = function("dropout", options=self.options())
        return Notation(r"\operatorname{dropout}\left({0}\right)", "dropout({0})", plain.text)

    @property
    def unfolds(self) -> bool:
        return True

    def expansion(self, node: Node) -> Node:
        a, step = node.inputs
        named = node.name.ident if node.name else ""
        salt = zlib.crc32(f"{self.seed} {named}".encode()) % STEPS
        kept = max(round((1 - self.rate) * STEPS), 1) / STEPS
        with node.graph.derivation():
            return Drop(kept, salt, node.per_sample)(a, step)

    def starts(self, *types: Type) -> tuple[float | None, ...]:
        return None, 0.0

    def updates(self, *inputs: Node) -> dict[Node, Node]:
        _, step = inputs
        return {step: step + 1} if step.kind == "parameter" else {}

    def evaluated(self, *inputs: Node) -> Node | None:
        return inputs[0]


@public
def dropout(a: Node, step: Operand, rate: float = 0.5, seed: int = 0) -> Node:
    """Dropout: each element is 0 with the probability `rate`, and a / (1 - rate) otherwise, so that its mean is a.

    step  the number of the training step, a parameter of no shape, `step = gg.param("step")`, for all dropouts of a
          graph: it begins at 0, and each training step (`fit`, or a bound step) counts it up. A number stays as it is.
    rate  the share that is dropped, from 0 on and below 1.
    seed  a whole number; with the node's name it tells one dropout from another.

    The gradient passes where the value did. Whether an element is dropped is a hash of seed, name, step, the sample's place
    in the batch and the element's place, to one part in 16,777,216; in float32 steps are counted as far. In
    `Graph.evaluation()` nothing is dropped: y = a.

    Raises GraphError for a rate out of range, ShapeError for a step with a shape.
    Source: Srivastava et al., Dropout, 2014, scaled in training as in PyTorch.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, step = gg.input("x", 6), gg.param("step")
    ...     g.A = gg.dropout(x, step)
    >>> f = gg.compile(g, "A", target="numpy")
    >>> f(x=[1.0] * 6, step=0)["A"].tolist(), f(x=[1.0] * 6, step=1)["A"].tolist()
    ([0.0, 0.0, 2.0, 0.0, 2.0, 0.0], [2.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < MOST_SEED:
        raise GraphError(f"dropout: seed is {clipped(repr(seed))}; it is a whole number from 0 on")
    return Dropout(in_range("dropout", "rate", rate, 0.0, 1.0, "[)"), seed)(a, step)


__all__ = ["dropout"]
