"""Normalisation: values brought to mean 0 and variance 1, over the batch or within one sample.

Batch normalisation crosses the batch. While training, its statistics are `batch_mean`s, so that every sample has a part
in the value and the gradient of every other; beside them it keeps running statistics, two parameters that no gradient
reaches and that each training step moves towards the statistics of its batch. `Graph.evaluation()` puts the running
statistics in the place of those of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from graphgrad.graph import (
    FUNCTIONS,
    GraphError,
    Misfit,
    Node,
    NoGradient,
    Notation,
    Operand,
    Operation,
    Type,
    function,
    number,
    public,
)
from graphgrad.ops.batch import batch_mean, batch_size
from graphgrad.ops.options import in_range
from graphgrad.ops.reductions import Reduce, broadcast_to
from graphgrad.ops.shape import reshape

_BEGINS = {"mean": 0.0, "variance": 1.0, "scale": 1.0, "shift": 0.0}
"""The operands of a normalisation beside the values themselves, and where each begins."""


@dataclass(frozen=True)
class Standardise(Operation):
    """x̂ = (x - μ) / √(σ² + ε) with the mean and the variance over some axes of a sample; the variance is divided by m."""

    axes: tuple[int, ...]
    eps: float
    name = "standardise"

    def infer(self, x: Type) -> Type:
        return x

    def notation(self, x: Type) -> Notation:
        return Notation(r"\hat{{0}}", "norm({0})", "standardise({0})")

    def _mean(self, a: Node) -> Node:
        return Reduce("mean", self.axes, True)(a)

    def _deviation(self, x: Node) -> tuple[Node, Node]:
        """x - μ and √(σ² + ε)."""
        apart = x - self._mean(x)
        return apart, FUNCTIONS["sqrt"](self._mean(FUNCTIONS["square"](apart)) + self.eps)

    def expand(self, *inputs: Node) -> Node:
        with inputs[0].graph.derivation():
            apart, spread = self._deviation(*inputs)
            return apart / spread

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        _, spread = self._deviation(*inputs)
        return ((gradient - self._mean(gradient) - output * self._mean(gradient * output)) / spread,)


@dataclass(frozen=True)
class Normalisation(Operation):
    """A normalisation; `roles` say what its operands are after the first: mean, variance, scale, shift."""

    name: str
    roles: tuple[str, ...]
    eps: float = 1e-5

    @property
    def unfolds(self) -> bool:
        return True

    def own(self, operands: tuple[Node, ...]) -> dict[str, Node]:
        """The operands after the first, by their roles."""
        return dict(zip(self.roles, operands, strict=True))

    def starts(self, *types: Type) -> tuple[float | None, ...]:
        return (None, *(_BEGINS[role] for role in self.roles))

    def shown(self) -> list[str]:
        """The options that differ from their defaults."""
        return [f"eps={number(self.eps)}"] * (self.eps != 1e-5)

    def options(self) -> str:
        return ", ".join(self.shown())

    def notation(self, *types: Type) -> Notation:
        given = [f"{role}={{{position}}}" for position, role in enumerate(self.roles, 1)]
        plain = function(self.name)
        return replace(plain, text=f"{self.name}({', '.join(['{0}', *given, *self.shown()])})")

    def check(self, types: tuple[Type, ...], shape: tuple[int, ...], what: str) -> None:
        """Raises Misfit where a scale, a shift or a statistic has not this shape."""
        for position, (role, type) in enumerate(zip(self.roles, types, strict=True), 1):
            if type.shape != shape:
                raise Misfit(f"{{{position}}} is {type}, and the {role} of {{0}} is a number for each {what}, {shape}")
            if role in ("mean", "variance") and type.per_sample:
                raise Misfit(
                    f"{{{position}}} has a value for each sample; a running {role} is a parameter that all share"
                )

    def scaled(self, standard: Node, own: dict[str, Node], new: tuple[int, ...]) -> Node:
        """γ x̂ + β, with scale and shift repeated along new axes."""
        if "scale" in own:
            standard = standard * broadcast_to(own["scale"], standard.shape, new)
        return standard + broadcast_to(own["shift"], standard.shape, new) if "shift" in own else standard


@dataclass(frozen=True)
class BatchNorm(Normalisation):
    """Over the samples and the places of each channel; with running statistics in its operands where it has them."""

    momentum: float = 0.1
    training: bool = True

    def shown(self) -> list[str]:
        momentum = [f"momentum={number(self.momentum)}"] * (self.momentum != 0.1)
        return [*momentum, *super().shown(), *["training=False"] * (not self.training)]

    def infer(self, x: Type, *types: Type) -> Type:
        if self._of_batch and not x.per_sample:
            raise Misfit("{0} is the same for every sample: there is no batch to take a mean over")
        self.check(types, x.shape[:1], "channel")
        return Type(x.shape, x.per_sample or any(type.per_sample for type in types))

    @property
    def _of_batch(self) -> bool:
        return self.training or "mean" not in self.roles

    def _statistics(self, x: Node) -> tuple[Node, Node, Node]:
        """x - μ, and μ and σ² of each channel over the batch."""
        places = tuple(range(1, x.type.rank))

        def mean(a: Node) -> Node:
            return batch_mean(Reduce("mean", places)(a) if places else a)

        mu = mean(x)
        apart = x - broadcast_to(mu, x.shape, places)
        return apart, mu, mean(FUNCTIONS["square"](apart))

    def expand(self, *inputs: Node) -> Node:
        x, *rest = inputs
        own, places = self.own(tuple(rest)), tuple(range(1, x.type.rank))
        with x.graph.derivation():
            if self._of_batch:
                apart, _, variance = self._statistics(x)
            else:
                apart, variance = x - broadcast_to(own["mean"], x.shape, places), own["variance"]
            spread = FUNCTIONS["sqrt"](variance + self.eps)
            return self.scaled(apart / broadcast_to(spread, x.shape, places), own, places)

    def updates(self, *inputs: Node) -> dict[Node, Node]:
        x, *rest = inputs
        own = self.own(tuple(rest))
        if not self.training or "mean" not in own:
            return {}
        _, mean, variance = self._statistics(x)
        count = batch_size(x.graph) * (x.type.size // (x.shape[0] if x.shape else 1))
        unbiased = variance * (count / FUNCTIONS["maximum"](count - 1, 1))
        kept = 1 - self.momentum
        return {
            own["mean"]: kept * own["mean"] + self.momentum * mean,
            own["variance"]: kept * own["variance"] + self.momentum * unbiased,
        }

    def evaluated(self, *inputs: Node) -> Node | None:
        return replace(self, training=False)(*inputs) if self.training and "mean" in self.roles else None


@dataclass(frozen=True)
class LayerNorm(Normalisation):
    """Over all axes of a sample from one on."""

    axis: int = -1

    def shown(self) -> list[str]:
        return [*[f"axis={self.axis}"] * (self.axis != -1), *super().shown()]

    def infer(self, x: Type, *types: Type) -> Type:
        if not -x.rank <= self.axis < x.rank:
            raise Misfit(f"axis {self.axis} is out of range: {{0}} has {x.rank} ax{'i' if x.rank == 1 else 'e'}s")
        self.check(types, x.shape[self.axis % x.rank :], "place that is normalised")
        return Type(x.shape, any(type.per_sample for type in (x, *types)))

    def expand(self, *inputs: Node) -> Node:
        x, *rest = inputs
        first = self.axis % x.type.rank
        with x.graph.derivation():
            standard = Standardise(tuple(range(first, x.type.rank)), self.eps)(x)
            return self.scaled(standard, self.own(tuple(rest)), tuple(range(first)))


@dataclass(frozen=True)
class GroupNorm(Normalisation):
    """Over the places of one sample, for each group of channels; for each channel where `groups` is None."""

    groups: int | None = None

    def shown(self) -> list[str]:
        return super().shown()

    def infer(self, x: Type, *types: Type) -> Type:
        least = 2 if self.groups is None else 1
        if x.rank < least:
            raise Misfit(
                f"{{0}} is {x}; it takes channels along the first axis{' and places along others' * (least > 1)}"
            )
        if self.groups is not None and (self.groups < 1 or x.shape[0] % self.groups):
            raise Misfit(f"{{0}} has {x.shape[0]} channels, which {self.groups} groups do not share out evenly")
        self.check(types, x.shape[:1], "channel")
        return Type(x.shape, any(type.per_sample for type in (x, *types)))

    def notation(self, *types: Type) -> Notation:
        plain = super().notation(*types)
        if self.groups is None:
            return plain
        return replace(plain, text=plain.text.replace("{0}", f"{{0}}, {self.groups}", 1))

    def expand(self, *inputs: Node) -> Node:
        x, *rest = inputs
        places = tuple(range(1, x.type.rank))
        with x.graph.derivation():
            if self.groups is None:
                standard = Standardise(places, self.eps)(x)
            else:
                apart = reshape(x, (self.groups, x.shape[0] // self.groups, *x.shape[1:]))
                standard = reshape(Standardise((*places, x.type.rank), self.eps)(apart), x.shape)
            return self.scaled(standard, self.own(tuple(rest)), places)


def _roles(name: str, **operands: Operand | None) -> tuple[tuple[str, ...], list[Operand]]:
    """The operands that are given, and what each of them is."""
    if (operands.get("mean") is None) != (operands.get("variance") is None):
        raise GraphError(f"{name}: a running mean and a running variance are kept together, and one of them is missing")
    given = {role: operand for role, operand in operands.items() if operand is not None}
    return tuple(given), list(given.values())


def _eps(name: str, eps: object) -> float:
    return in_range(name, "eps", eps, 0.0, float("inf"), "()")


@public
def batch_norm(
    x: Node,
    mean: Node | None = None,
    variance: Node | None = None,
    scale: Operand | None = None,
    shift: Operand | None = None,
    momentum: float = 0.1,
    eps: float = 1e-5,
    training: bool = True,
) -> Node:
    """Batch normalisation, y = γ (x - μ) / √(σ² + ε) + β, for each channel of x, the first axis of a sample: (C, *S).

    mean, variance  parameters of shape (C,): the running statistics. A training step (`fit`, or a bound step) moves
                    them by `momentum`, m := (1 - momentum) m + momentum μ, likewise the variance, divided by n - 1.
                    They begin at 0 and 1, and no gradient reaches them. ONNX's momentum is 1 minus this one.
    scale, shift    γ and β of shape (C,), parameters for the most part; 1 and 0 where left out.
    training        with True, μ and σ² are those of the batch and of all places S, by `batch_mean`, σ² divided by n;
                    with False they are the running ones. `Graph.evaluation()` makes the one out of the other.

    Without running statistics it is the batch's own in training and evaluation alike. A loss of one sample depends on the
    others here, so gradients are those of an objective: `batch_sum(l)`, `batch_mean(l)`.

    Raises ShapeError where a parameter is not (C,), or x is the same for every sample.
    Source: Ioffe and Szegedy, Batch normalization, 2015; PyTorch's batch_norm.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, m, v = gg.input("x", 1), gg.param("m", 1), gg.param("v", 1)
    ...     g.A = gg.batch_norm(x, m, v)
    >>> arrays = {"x": [[1.0], [3.0]], "m": [0.0], "v": [4.0]}
    >>> gg.compile(g, "A", target="numpy")(**arrays)["A"].round(3).tolist()
    [[-1.0], [1.0]]
    >>> gg.compile(g.evaluation(), "A", target="numpy")(**arrays)["A"].round(3).tolist()
    [[0.5], [1.5]]
    """
    roles, operands = _roles("batch_norm", mean=mean, variance=variance, scale=scale, shift=shift)
    rate = in_range("batch_norm", "momentum", momentum, 0.0, 1.0)
    return BatchNorm("batch_norm", roles, _eps("batch_norm", eps), rate, bool(training))(x, *operands)


@public
def layer_norm(
    x: Node, scale: Operand | None = None, shift: Operand | None = None, axis: int = -1, eps: float = 1e-5
) -> Node:
    """Layer normalisation, y = γ (x - μ) / √(σ² + ε) + β over all axes of one sample from `axis` on.

    μ and σ² are taken over these axes, σ² divided by their number of elements. scale (γ) and shift (β) have the shape of
    these axes. `axis` is ONNX's; PyTorch's layer_norm gives the shape of these axes in its place.

    Raises ShapeError for an axis out of range and for a scale or shift of another shape.
    Source: Ba, Kiros and Hinton, Layer normalization, 2016.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 2)
    ...     g.A = gg.layer_norm(x)
    >>> gg.compile(g, "A", target="numpy")(x=[1.0, 3.0])["A"].round(3).tolist()
    [-1.0, 1.0]
    """
    roles, operands = _roles("layer_norm", scale=scale, shift=shift)
    return LayerNorm("layer_norm", roles, _eps("layer_norm", eps), axis)(x, *operands)


@public
def instance_norm(x: Node, scale: Operand | None = None, shift: Operand | None = None, eps: float = 1e-5) -> Node:
    """Instance normalisation, y = γ (x - μ) / √(σ² + ε) + β, for each channel of one sample over its places.

    x is (C, *S); scale (γ) and shift (β) are (C,); σ² is divided by the number of places.

    Raises ShapeError where x has no places, and for a scale or shift of another shape.
    Source: Ulyanov, Vedaldi and Lempitsky, Instance normalization, 2016; PyTorch's instance_norm.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 2, 2)
    ...     g.A = gg.instance_norm(x)
    >>> gg.compile(g, "A", target="numpy")(x=[[1.0, 3.0], [4.0, 0.0]])["A"].round(3).tolist()
    [[-1.0, 1.0], [1.0, -1.0]]
    """
    roles, operands = _roles("instance_norm", scale=scale, shift=shift)
    return GroupNorm("instance_norm", roles, _eps("instance_norm", eps))(x, *operands)


@public
def group_norm(
    x: Node, groups: int, scale: Operand | None = None, shift: Operand | None = None, eps: float = 1e-5
) -> Node:
    """Group normalisation, y = γ (x - μ) / √(σ² + ε) + β, for each group of C / groups channels of one sample.

    x is (C, *S); μ and σ² are taken over the channels of a group and their places; scale (γ) and shift (β) are (C,).
    One group is layer normalisation over the whole sample, C groups are instance normalisation.

    Raises ShapeError where the groups do not share out the channels, and for a scale or shift of another shape.
    Source: Wu and He, Group normalization, 2018; PyTorch's group_norm.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 4)
    ...     g.A = gg.group_norm(x, 2)
    >>> gg.compile(g, "A", target="numpy")(x=[1.0, 3.0, 4.0, 0.0])["A"].round(3).tolist()
    [-1.0, 1.0, 1.0, -1.0]
    """
    if isinstance(groups, bool) or not isinstance(groups, int):
        raise GraphError(f"group_norm: groups is {groups!r}; it is a whole number")
    roles, operands = _roles("group_norm", scale=scale, shift=shift)
    return GroupNorm("group_norm", roles, _eps("group_norm", eps), groups)(x, *operands)


__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm"]
