"""The graph that users hold, with everything one can ask of it, and the declarations that begin one."""

from __future__ import annotations

from contextlib import AbstractContextManager

from graphgrad.graph import Graph as _Graph
from graphgrad.graph import Node, current


class Graph(_Graph):
    __doc__ = _Graph.__doc__


def input(name: str, *shape: int) -> Node:
    """Declare an input or a target of the open graph: a value of this shape for each sample, a number without one.

    The name is an identifier (`x`), a Greek letter or TeX (`\\vec{x}`). Raises NamingError for a name that is taken or
    that is none, ShapeError for a shape that is none.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, t = gg.input("x", 2), gg.input("t")
    >>> x.shape, t.shape, x.per_sample
    ((2,), (), True)
    """
    return current().leaf("input", name, shape, per_sample=True)


def param(name: str, *shape: int) -> Node:
    """Declare a parameter of the open graph: one value of this shape that all samples share.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     W0 = gg.param("W^{[0]}", 3, 2)
    >>> W0.name.ident, W0.shape, g.count_params()
    ('W0', (3, 2), 6)
    """
    return current().leaf("parameter", name, shape, per_sample=False)


def group(title: str) -> AbstractContextManager[None]:
    """Put the nodes that are written inside into a group (a layer) of the open graph.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x", 2)
    ...     with gg.group("Layer 1"):
    ...         g.A = gg.sigmoid(x)
    >>> g.A.group
    ('Layer 1',)
    """
    return current().group(title)
