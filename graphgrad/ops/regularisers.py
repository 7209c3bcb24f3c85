"""Regularisers R(W): penalties on named parameters, to be added to the objective with a factor λ."""

from __future__ import annotations

from collections.abc import Callable

from graphgrad.graph import FUNCTIONS, PRODUCT, SUM, GraphError, Node, Notation, Type, public
from graphgrad.ops.arithmetic import sign
from graphgrad.ops.composite import Composite
from graphgrad.ops.elementwise import times


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
        total = parts[0]
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
