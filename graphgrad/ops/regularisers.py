"""Regularisers R(W): penalties on named parameters, to be added to the objective with a factor λ."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from graphgrad.graph import FUNCTIONS, PRODUCT, SUM, GraphError, Node, NoGradient, Notation, Type, public
from graphgrad.ops.composite import Composite
from graphgrad.ops.elementwise import times
from graphgrad.ops.magnitude import sign
from graphgrad.ops.options import in_range


def _norms(norm: str, unicode: str, text: str) -> Callable[..., Notation]:
    def written(*types: Type) -> Notation:
        count = range(len(types))
        return Notation(
            " + ".join(rf"\lVert {{{k}}} \rVert{norm}" for k in count),
            " + ".join(f"‖{{{k}}}‖{unicode}" for k in count),
            f"{text}({{*}})",
            SUM if len(types) > 1 else PRODUCT,
        )

    return written


def _total(of: str) -> Callable[..., Node]:
    def body(*weights: Node) -> Node:
        parts = [FUNCTIONS["sum"](FUNCTIONS[of](weight)) for weight in weights]
        total: Node = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    return body


class Penalty(Composite):
    """A penalty on any number of weights: a scalar, whatever their shapes."""

    def infer(self, *types: Type) -> Type:
        return Type((), any(type.per_sample for type in types))


_l1 = Penalty(
    "l1",
    _total("abs"),
    _norms("_1", "₁", "l1"),
    lambda gradient, output, *weights: tuple(times(gradient, sign(weight)) for weight in weights),
)
_l2 = Penalty(
    "l2",
    _total("square"),
    _norms("_2^2", "₂²", "l2"),
    lambda gradient, output, *weights: tuple(times(gradient, 2 * weight) for weight in weights),
)


def _weights(name: str, weights: tuple[Node, ...]) -> None:
    if not weights:
        raise GraphError(f"{name}() has nothing to penalise: name at least one parameter, as in {name}(W0, W1)")


@public
def l1(*weights: Node) -> Node:
    """The L1 penalty R = Σ |w| over all elements of the named parameters, a scalar.

    The gradient is sign(w), and 0 at w = 0. Source: Tibshirani, Regression shrinkage and selection via the lasso, 1996.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     w = gg.param("w", 2)
    ...     g.R = gg.l1(w)
    >>> float(gg.compile(g, ["R"], target="numpy")(w=[1.0, -2.0])["R"])
    3.0
    """
    _weights("l1", weights)
    return _l1(*weights)


@public
def l2(*weights: Node) -> Node:
    """The squared L2 penalty R = Σ w² over all elements of the named parameters, a scalar (not halved).

    Source: Hoerl and Kennard, Ridge regression, 1970.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     w = gg.param("w", 2)
    ...     g.R = gg.l2(w)
    >>> float(gg.compile(g, ["R"], target="numpy")(w=[1.0, -2.0])["R"])
    5.0
    """
    _weights("l2", weights)
    return _l2(*weights)


@lru_cache(maxsize=256)
def _elastic_net(ratio: float) -> Penalty:
    def rule(gradient: Node, output: Node, *weights: Node) -> tuple[Node | NoGradient, ...]:
        return tuple(times(gradient, ratio * sign(weight) + 2 * (1 - ratio) * weight) for weight in weights)

    return Penalty(
        "elastic_net",
        lambda *weights: ratio * _l1(*weights) + (1 - ratio) * _l2(*weights),
        rule=rule,
        settings=(("ratio", ratio),) * (ratio != 0.5),
    )


@public
def elastic_net(*weights: Node, ratio: float = 0.5) -> Node:
    """The elastic net R = ρ Σ |w| + (1 - ρ) Σ w² over all elements of the named parameters, a scalar.

    ρ is the ratio: 1 leaves the L1 penalty, 0 the squared L2 penalty, which is not halved. Raises GraphError unless it lies
    between 0 and 1. Source: Zou and Hastie, Regularization and variable selection via the elastic net, 2005.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     w = gg.param("w", 2)
    ...     g.R = gg.elastic_net(w, ratio=0.75)
    >>> float(gg.compile(g, ["R"], target="numpy")(w=[1.0, -2.0])["R"])
    3.5
    """
    _weights("elastic_net", weights)
    return _elastic_net(in_range("elastic_net", "ratio", ratio, 0.0, 1.0))(*weights)
