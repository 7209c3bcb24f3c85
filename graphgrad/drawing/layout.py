"""From DOT to a file's bytes: by pygraphviz, which brings Graphviz along, else by the system's `dot`."""

from __future__ import annotations

import importlib.util
import threading
import warnings
from functools import lru_cache

import graphviz

from graphgrad.graph import GraphError

FIX = (
    "install it with `pip install pygraphviz`, or the program dot with `apt install graphviz`, `brew install graphviz`"
)

_one_at_a_time = threading.Lock()  # Graphviz keeps its state in globals


class DrawingError(GraphError):
    """A picture cannot be made; the message names what is missing."""


def render(dot: str, format: str) -> bytes:
    """Lay out and print a graph; `format` is svg, png or pdf. Raises DrawingError where there is no Graphviz."""
    if importlib.util.find_spec("pygraphviz") is not None:
        return _in_process(dot, format)
    try:
        return bytes(graphviz.Source(dot).pipe(format=format, engine="dot", quiet=True))
    except graphviz.ExecutableNotFound:
        raise DrawingError(f"a picture needs Graphviz, and there is none: {FIX}") from None
    except graphviz.CalledProcessError as error:
        raise DrawingError(f"Graphviz could not draw the graph as {format}: {_said(error.stderr)}") from None


def _in_process(dot: str, format: str) -> bytes:
    import pygraphviz

    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a number that fills its cell is meant to
        try:
            return bytes(pygraphviz.AGraph(string=dot).draw(format=format, prog="dot"))
        except (pygraphviz.DotError, ValueError, OSError) as error:
            raise DrawingError(f"Graphviz could not draw the graph as {format}: {_said(str(error))}") from None


def _said(reason: object) -> str:
    text = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason or "")
    return " ".join(text.split())[:200] or "it gave no reason"


@lru_cache(maxsize=128)
def laid_out(dot: str) -> str:
    """The SVG of a graph, kept: pictures that differ in their values alone share one layout."""
    return render(dot, "svg").decode()
