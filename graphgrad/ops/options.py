"""Options of operations that are numbers: each has its range, and a sentence for what lies outside of it."""

from __future__ import annotations

from graphgrad.graph import GraphError, number
from graphgrad.graph.node import clipped, real_number


def in_range(who: str, option: str, value: object, low: float, high: float, bounds: str = "[]") -> float:
    """The value as a number; raises GraphError unless it lies between `low` and `high`.

    `bounds` says which of the two belong to the range: "[)" takes low and not high.
    """
    real = real_number(value)
    if real is not None:
        above = real >= low if bounds[0] == "[" else real > low
        below = real <= high if bounds[1] == "]" else real < high
        if above and below:
            return real
    raise GraphError(f"{who}: {option} is {clipped(repr(value))}; {_told(low, high, bounds)}")


def _told(low: float, high: float, bounds: str) -> str:
    least = f"{'at least' if bounds[0] == '[' else 'above'} {number(low)}"
    most = f"{'at most' if bounds[1] == ']' else 'below'} {number(high)}"
    if high == float("inf"):
        return f"it is a number {least}"
    return f"it is a number {least} and {most}"
