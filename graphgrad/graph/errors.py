"""The errors a user meets: each is one sentence about the graph, never a trace from a library below."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST_PART = 200  # characters of a formula in a sentence


def did_you_mean(written: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the known one that is nearest, if any is near."""
    import difflib

    near = difflib.get_close_matches(written[:80], known, 1, cutoff=0.5 if len(written) < 4 else 0.6)
    return f"; did you mean {near[0]}?" if near else ""


def clipped(text: str) -> str:
    """A part of a sentence, cut where it would bury the rest."""
    return text if len(text) <= LONGEST_PART else f"{text[:LONGEST_PART]}..."


def shown(value: object) -> str:
    """A value of the user's as it stands in a sentence, whatever it is."""
    try:
        return clipped(repr(value))
    except Exception:  # noqa: BLE001 - a value's own description may raise anything, and a huge integer's does
        return "..."


class GraphError(ValueError):
    """Something about a graph is wrong; the message names the node, its formula, the shapes and the line."""


class ShapeError(GraphError):
    """The shapes of an operation's operands do not fit together."""


class NamingError(GraphError):
    """A name is unknown, used twice, or not one that a node can have."""


class TextError(GraphError):
    """The text form cannot be read; `line` and `column` (both from 1) say where, `reason` why."""

    def __init__(self, reason: str, line: int, column: int, file: str = "") -> None:
        super().__init__(f"{f'{file}, ' if file else ''}line {line}, column {column}: {reason}")
        self.reason = reason
        self.line = line
        self.column = column


class GradientError(GraphError):
    """A gradient was asked for that does not exist."""


class DataError(GraphError):
    """An array given to a compiled function is missing, of the wrong shape or kind, or not finite."""


class AdviceWarning(UserWarning):
    """A network is about to be trained whose loss does not fit its output layer; `Graph.advice()` says it beforehand."""


class NotFiniteWarning(UserWarning):
    """A value is NaN; it is said here and passed through, never hidden."""
