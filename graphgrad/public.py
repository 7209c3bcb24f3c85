"""The graph that users hold, with everything one can ask of it, and the functions that begin one."""

from __future__ import annotations

from typing import Any

from graphgrad.graph import Graph as _Graph
from graphgrad.graph import Node, current


class Graph(_Graph):
    __doc__ = _Graph.__doc__


def input(name: str, *shape: int) -> Node:
    return current().leaf("input", name, shape, per_sample=True)


def param(name: str, *shape: int) -> Node:
    return current().leaf("parameter", name, shape, per_sample=False)
