"""The networks of the lecture, by name; each is a function of its sizes that returns the graph."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphgrad.graph import GraphError, Node
from graphgrad.networks.blocks import double_convolution, u_net_block
from graphgrad.networks.layers import convolution, dense, pooling
from graphgrad.ops import (
    absolute_error,
    binary_cross_entropy,
    conv,
    cross_entropy,
    expand_dims,
    flatten,
    locally_connected,
    mean,
    reciprocal,
    sigmoid,
    softmax,
    square,
    upsample,
)
from graphgrad.public import Graph, group, input, param

Size = int | tuple[int, ...]
"""The places of an image: 28 is 28 x 28; a tuple has one extent for each axis."""


def two_hidden_layers(inputs: int = 2, hidden: tuple[int, int] = (3, 3)) -> Graph:
    """The lecture's network: A = W⁰x, B = σ(A), C = W¹B, D = σ(C), E = wᵀD, y = σ(E), l(y, t).

    >>> import graphgrad as gg
    >>> print(gg.networks.two_hidden_layers())
    two hidden layers
    A = W⁽⁰⁾x
    B = σ(A)
    C = W⁽¹⁾B
    D = σ(C)
    E = wᵀD
    y = σ(E)
    l = −t ln y − (1 − t) ln(1 − y)
    """
    first, second = hidden
    with Graph("two hidden layers") as g:
        x, t = input("x", inputs), input("t")
        W0, W1, w = param("W^{[0]}", first, inputs), param("W^{[1]}", second, first), param("w", second)
        g.A = W0 @ x
        g.B = sigmoid(g.A)
        g.C = W1 @ g.B
        g.D = sigmoid(g.C)
        g.E = w @ g.D
        g.y = sigmoid(g.E)
        g.l = binary_cross_entropy(g.y, t)
    return g


def logistic_neuron(inputs: int = 2) -> Graph:
    """One neuron, y = σ(w₀ + w₁x₁ + ... ), whose weights begin with the bias.

    With w = (2.0, -3.6, 0.5) and x = (0.4, -1.0), z = 0.06 and y = 0.5150.

    >>> import graphgrad as gg
    >>> f = gg.compile(gg.networks.logistic_neuron(), "y", target="numpy")
    >>> r = f(x=[0.4, -1.0], w=[2.0, -3.6, 0.5])
    >>> round(float(r["z"]), 6), round(float(r["y"]), 4)
    (0.06, 0.515)
    """
    with Graph("logistic neuron") as g:
        x, t, w = input("x", inputs), input("t"), param("w", inputs + 1)
        g.z = w[0] + w[1:] @ x
        g.y = sigmoid(g.z)
        g.l = binary_cross_entropy(g.y, t)
    return g


def chain_toy() -> Graph:
    """The chain rule's toy: v = 1/x, u = 2v, f = u², so that df/dx = 2u · 2 · (-1/x²).

    >>> import graphgrad as gg
    >>> g = gg.networks.chain_toy()
    >>> r = gg.compile(g, "f", wrt="x", target="numpy")(x=2.0)
    >>> float(r["f"]), float(r.grad["x"])
    (1.0, -1.0)
    """
    with Graph("chain rule") as g:
        x = input("x")
        g.v = reciprocal(x)
        g.u = 2 * g.v
        g.f = square(g.u)
    return g


# -- convolutional networks ----------------------------------------------------------------------------------------


def two_class_cnn(channels: int = 1, size: Size = 8, filters: int = 4) -> Graph:
    """A convolutional network of two classes: F = ReLU(x ⋆ w + b), pooled, and one neuron y = σ(E) with l(y, t)."""
    with Graph("two-class CNN") as g:
        x, t = input("x", channels, *_places(size, 2)), input("t")
        convolution(x, filters, name="F")
        pooling(g.F, name="P")
        g.v = flatten(g.P)
        dense(g.v, None, name="E")
        g.y = sigmoid(g.E)
        g.l = binary_cross_entropy(g.y, t)
    return g


def k_class_cnn(
    channels: int = 1, size: Size = 8, classes: int = 10, filters: Sequence[int] = (8, 16), hidden: int | None = None
) -> Graph:
    """A convolutional network of K classes: levels of convolution, ReLU and pooling, then y = softmax(E) with l(y, t).

    t is the number of the class. `hidden` units, if any, stand between the levels and the scores E.

    >>> import graphgrad as gg
    >>> gg.networks.k_class_cnn().count_params()
    1898
    """
    with Graph(f"CNN of {classes} classes") as g:
        x, t = input("x", channels, *_places(size, 2 ** len(filters))), input("t")
        g.v = flatten(_levels(g, x, filters))
        last = g.v if hidden is None else dense(g.v, hidden, "relu", name="h")
        dense(last, classes, name="E")
        g.y = softmax(g.E)
        g.l = cross_entropy(g.y, t)
    return g


def fcn(channels: int = 1, size: Size = 16, classes: int = 2, filters: Sequence[int] = (8, 16)) -> Graph:
    """A fully convolutional network for segmentation: levels down, scores by filters of 1, and up to the image's places.

    t holds the class of each place; the loss of a sample is the mean cross entropy over its places.
    Source: Long, Shelhamer and Darrell, Fully convolutional networks for semantic segmentation, 2015.
    """
    places = _places(size, 2 ** len(filters))
    with Graph("fully convolutional network") as g:
        x, t = input("x", channels, *places), input("t", *places)
        convolution(_levels(g, x, filters), classes, None, name="S", size=1)
        g.E = upsample(g.S, 2 ** len(filters), mode="bilinear" if len(places) == 2 else "nearest")
        _segmented(g, t)
    return g


def u_net(channels: int = 1, size: Size = 16, classes: int = 2, filters: int = 8, depth: int = 2) -> Graph:
    """A U-Net for segmentation: `depth` levels down, a bottom, and as many up, each beside what came down there.

    The first level has `filters` maps, each level below twice as many. t and the loss are those of `fcn`.
    Source: Ronneberger, Fischer and Brox, U-Net, 2015.
    """
    places = _places(size, 2**depth)
    with Graph("U-Net") as g:
        x, t = input("x", channels, *places), input("t", *places)
        down: list[Node] = []
        for level in range(1, depth + 1):
            down.append(double_convolution(x, filters * 2 ** (level - 1), name=f"D{level}"))
            x = pooling(down[-1], name=f"P{level}")
        x = double_convolution(x, filters * 2**depth, name="B")
        for level in range(depth, 0, -1):
            x = u_net_block(x, down[level - 1], filters * 2 ** (level - 1), name=f"U{level}")
        convolution(x, classes, None, name="E", size=1)
        _segmented(g, t)
    return g


def localisation(channels: int = 1, size: Size = 16, filters: Sequence[int] = (8, 16), hidden: int = 32) -> Graph:
    """A network that finds one thing: its bounding box y = σ(E), as the parts of the image's extents.

    t and y hold two numbers for each axis, the first edges of the box and then the last, between 0 and 1: (top, left,
    bottom, right) for an image. The loss is the absolute error, Σ |y - t|.
    """
    places = _places(size, 2 ** len(filters))
    with Graph("localisation network") as g:
        x, t = input("x", channels, *places), input("t", 2 * len(places))
        g.v = flatten(_levels(g, x, filters))
        dense(dense(g.v, hidden, "relu", name="h"), 2 * len(places), name="E")
        g.y = sigmoid(g.E)
        g.l = absolute_error(g.y, t)
    return g


def _levels(g: Graph, x: Node, filters: Sequence[int]) -> Node:
    """Levels of convolution, ReLU and pooling: F1, P1, F2, P2, ..."""
    for level, count in enumerate(filters, 1):
        with group(f"level {level}"):
            x = pooling(convolution(x, count, name=f"F{level}"), name=f"P{level}")
    return x


def _segmented(g: Graph, t: Node) -> None:
    """The last lines of a segmentation with the scores E: a softmax over the classes, and the mean loss of the places."""
    g.y = softmax(g.E, axis=0)
    g.l = mean(cross_entropy(g.y, t))


def _places(size: Size, parts: int) -> tuple[int, ...]:
    """The extents of an image; raises GraphError where one cannot be halved as often as the levels ask."""
    extents = (size, size) if isinstance(size, int) else tuple(size)
    if any(extent % parts for extent in extents):
        halvings = round(math.log2(parts))
        raise GraphError(
            f"an image of {extents} cannot be halved {halvings} times: {parts} does not divide its extents"
        )
    return extents


# -- the three connections -----------------------------------------------------------------------------------------


def full_connection(inputs: int = 150, units: int = 150) -> Graph:
    """Every unit with every input: y = W x, with units · inputs weights (150 · 150 = 22,500).

    >>> import graphgrad as gg
    >>> gg.networks.full_connection().count_params()
    22500
    """
    with Graph("full connection") as g:
        x, W = input("x", inputs), param("W", units, inputs)
        g.y = W @ x
    return g


def local_connection(inputs: int = 150, neighbours: int = 3) -> Graph:
    """Every unit with its neighbours, and weights of its own: inputs · neighbours weights (150 · 3 = 450).

    >>> import graphgrad as gg
    >>> gg.networks.local_connection().count_params()
    450
    """
    with Graph("local connection") as g:
        x, w = input("x", inputs), param("w", 1, inputs, 1, neighbours)
        g.y = locally_connected(expand_dims(x, 0), w, padding="same")[0]
    return g


def shared_connection(inputs: int = 150, neighbours: int = 3) -> Graph:
    """Every unit with its neighbours, and the same weights for all: a convolution with as many weights as neighbours (3).

    >>> import graphgrad as gg
    >>> gg.networks.shared_connection().count_params()
    3
    """
    with Graph("shared connection") as g:
        x, w = input("x", inputs), param("w", 1, 1, neighbours)
        g.y = conv(expand_dims(x, 0), w, padding="same")[0]
    return g
