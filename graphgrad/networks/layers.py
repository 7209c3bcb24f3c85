"""Layers: functions that declare a layer's parameters and write its named lines in a group of the open graph.

A layer called `h` has the weights `W_h` (filters `w_h`), the bias `b_h`, the line `z_h` before its activation and the line
`h` after it; one without an activation is `h` alone.
"""

from __future__ import annotations

from collections.abc import Callable

from graphgrad.graph import FUNCTIONS, GraphError, NamingError, Node, ShapeError, current
from graphgrad.graph.errors import did_you_mean, shown
from graphgrad.ops import avg_pool, batch_norm, conv, max_pool

Activation = str | Callable[[Node], Node] | None
"""An activation by its name, or a function of a node; None leaves it out."""


def dense(x: Node, units: int | None, activation: Activation = None, name: str = "dense", bias: bool = True) -> Node:
    """A full connection, activation(W x + b), of a vector x with n elements: W is (units, n), b is (units,).

    With `units` None the result is a scalar, wᵀx + b. Raises ShapeError where x is no vector.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 2)
    ...     h = gg.networks.dense(x, 3, "relu", name="h")
    >>> print(g)
    A = Wₕ x
    zₕ = A + bₕ
    h = ReLU(zₕ)
    """
    if x.type.rank != 1:
        raise ShapeError(f"dense {name}: it connects the elements of a vector, and x is {x.type}; flatten(x) is one")
    shape = () if units is None else (units,)
    with current().group(name):
        weights = _param(f"{'w' if units is None else 'W'}_{name}", *shape, x.shape[0])
        z = weights @ x
        return _activated(z + _param(f"b_{name}", *shape) if bias else z, activation, name)


def convolution(
    x: Node,
    filters: int,
    activation: Activation = "relu",
    name: str = "conv",
    size: int | tuple[int, ...] = 3,
    stride: int = 1,
    padding: str | int = "same",
    normalised: bool = False,
) -> Node:
    """K feature maps, activation(x ⋆ w + b), of an array x with channels: (C, *S) becomes (K, *O).

    size        the extent of a filter along every axis, or one for each; stride and padding are those of `conv`.
    normalised  batch normalisation with its running statistics in the place of the bias.
    """
    axes = x.type.rank - 1
    if axes < 1:
        raise ShapeError(f"convolution {name}: x is {x.type} and has no places; its first axis is that of the channels")
    extents = (size,) * axes if isinstance(size, int) else tuple(size)
    with current().group(name):
        w = _param(f"w_{name}", filters, x.shape[0], *extents)
        maps = conv(x, w, stride=stride, padding=padding)
        if normalised:
            mean, variance, gamma, beta = (
                _param(f"{of}_{name}", filters) for of in ("mean", "variance", "gamma", "beta")
            )
            return _activated(batch_norm(maps, mean, variance, gamma, beta), activation, name)
        return _activated(maps + _param(f"b_{name}", filters, *(1,) * axes), activation, name)


def pooling(x: Node, size: int = 2, kind: str = "max", name: str = "pool") -> Node:
    """The largest ("max") or the mean ("average") of each window of `size` along every axis but the first."""
    pools = {"max": max_pool, "average": avg_pool}
    if kind not in pools:
        raise GraphError(f"pooling {name}: there is no kind {shown(kind)}, only {' and '.join(pools)}")
    return current().define(name, pools[kind](x, size))


def activated(z: Node, activation: Activation, name: str) -> Node:
    """An activation on z, under a name; a PReLU has a learned α for the layer."""
    function = FUNCTIONS.get(activation) if isinstance(activation, str) else activation
    if activation == "prelu":
        return current().define(name, FUNCTIONS["prelu"](z, _param(f"alpha_{name}")))
    if not callable(function):
        raise NamingError(
            f"{name}: there is no activation {shown(activation)}{did_you_mean(str(activation), FUNCTIONS)}"
        )
    return current().define(name, function(z))


def _activated(z: Node, activation: Activation, name: str) -> Node:
    if activation is None:
        return current().define(name, z)
    return activated(current().define(f"z_{name}", z), activation, name)


def _param(name: str, *shape: int) -> Node:
    return current().leaf("parameter", name, shape, per_sample=False)
