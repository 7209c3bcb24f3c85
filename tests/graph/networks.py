"""The lecture's network, in the three ways in which a graph is written."""

# ruff: noqa: F841 - the names of local variables are the names of nodes

from __future__ import annotations

import graphgrad as gg

TEXT = """\
"two hidden layers"
x = input(2)
t = input()
W0 = param(3, 2)
W1 = param(3, 3)
w = param(3)
with group("Layer 1"):
    A = W0 @ x
    B = sigmoid(A)
with group("Layer 2"):
    C = W1 @ B
    D = sigmoid(C)
with group("Output"):
    E = w @ D
    y = sigmoid(E)
l = binary_cross_entropy(y, t)
J = batch_sum(l) + 0.01 * l2(W0, W1, w)
"""


def by_attributes() -> gg.Graph:
    with gg.Graph("two hidden layers") as g:
        x, t = gg.input("x", 2), gg.input("t")
        W0 = gg.param("W^{[0]}", 3, 2)
        W1, w = gg.param("W^{[1]}", 3, 3), gg.param("w", 3)
        with g.group("Layer 1"):
            g.A = W0 @ x
            g.B = gg.sigmoid(g.A)
        with g.group("Layer 2"):
            g.C = W1 @ g.B
            g.D = gg.sigmoid(g.C)
        with g.group("Output"):
            g.E = w @ g.D
            g.y = gg.sigmoid(g.E)
        g.l = gg.binary_cross_entropy(g.y, t)
        g.J = gg.batch_sum(g.l) + 0.01 * gg.l2(W0, W1, w)
    return g


@gg.network
def two_hidden_layers(x=gg.Input(2), t=gg.Input(), W0=gg.Param(3, 2, tex="W^{[0]}"), W1=gg.Param(3, 3), w=gg.Param(3)):
    with gg.group("Layer 1"):
        A = W0 @ x
        B = gg.sigmoid(A)
    with gg.group("Layer 2"):
        C = W1 @ B
        D = gg.sigmoid(C)
    with gg.group("Output"):
        E = w @ D
        y = gg.sigmoid(E)
    l = gg.binary_cross_entropy(y, t)
    J = gg.batch_sum(l) + 0.01 * gg.l2(W0, W1, w)


def by_function() -> gg.Graph:
    return two_hidden_layers()


def by_text() -> gg.Graph:
    return gg.parse(TEXT)


WAYS = {"attributes": by_attributes, "function": by_function, "text": by_text}
