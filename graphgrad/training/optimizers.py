"""Rules of descent, each written as formulas of nodes and compiled into the step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphgrad.graph import GraphError, Node
from graphgrad.ops import sqrt, square

if TYPE_CHECKING:
    from graphgrad.runtime.bound import State


def _in_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value < high:
        raise GraphError(f"{name} is {value!r}; it lies between {low:g} and {high:g}")


@dataclass(frozen=True)
class SGD:
    """Gradient descent, W := W - η ∂J/∂W, with momentum v := μ v + ∂J/∂W, W := W - η v where μ is not 0.

    Source: the lecture's update rule; Polyak, Some methods of speeding up the convergence of iteration methods, 1964.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     w, x = gg.param("w"), gg.input("x")
    ...     g.J = gg.batch_sum(gg.square(w * x))
    >>> step = gg.compile(g, "J", wrt="w").bind(w=1.0, optimizer=gg.SGD(0.25))
    >>> step([1.0]), float(step.params["w"])
    (1.0, 0.5)
    """

    rate: float
    momentum: float = 0.0

    def __post_init__(self) -> None:
        _in_range("the rate of SGD", self.rate, 0.0, float("inf"))
        _in_range("the momentum of SGD", self.momentum, 0.0, 1.0)

    def update(self, parameter: Node, gradient: Node, state: State) -> dict[Node, Node]:
        rate = state.number("rate", self.rate)
        if not self.momentum:
            return {parameter: parameter - rate * gradient}
        velocity = state.array("velocity", parameter)
        faster = self.momentum * velocity + gradient
        return {velocity: faster, parameter: parameter - rate * faster}


@dataclass(frozen=True)
class Adam:
    """Adam: steps scaled by running means of the gradient and of its square.

    m := β₁m + (1-β₁)g, v := β₂v + (1-β₂)g², W := W - η (m / (1-β₁ᵗ)) / (√(v / (1-β₂ᵗ)) + ε).
    Source: Kingma and Ba, Adam: a method for stochastic optimization, 2015.

    The first step of each parameter is η long, whatever the size of its gradient:

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     w, x = gg.param("w"), gg.input("x")
    ...     g.J = gg.batch_sum(gg.square(w * x))
    >>> step = gg.compile(g, "J", wrt="w").bind(w=1.0, optimizer=gg.Adam(0.25))
    >>> step([3.0]), round(float(step.params["w"]), 6)
    (9.0, 0.75)
    """

    rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _in_range("the rate of Adam", self.rate, 0.0, float("inf"))
        _in_range("beta1 of Adam", self.beta1, 0.0, 1.0)
        _in_range("beta2 of Adam", self.beta2, 0.0, 1.0)

    def update(self, parameter: Node, gradient: Node, state: State) -> dict[Node, Node]:
        rate = state.number("rate", self.rate)
        power1, power2 = state.number("beta1_power", 1.0), state.number("beta2_power", 1.0)
        m, v = state.array("mean", parameter), state.array("square", parameter)
        mean = self.beta1 * m + (1 - self.beta1) * gradient
        spread = self.beta2 * v + (1 - self.beta2) * square(gradient)
        decay1, decay2 = self.beta1 * power1, self.beta2 * power2
        step = (mean / (1 - decay1)) / (sqrt(spread / (1 - decay2)) + self.epsilon)
        return {power1: decay1, power2: decay2, m: mean, v: spread, parameter: parameter - rate * step}
