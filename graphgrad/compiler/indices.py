"""Indices as they run in the loops, and as text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from graphgrad.compiler.program import Instruction
from graphgrad.graph import Axis, Index

Where = tuple[Index, ...]
Terms = tuple[tuple[Axis, int], ...]


def running(axes: Iterable[Axis]) -> Where:
    """The running indices; along an axis of one element there is no loop, and the index is 0."""
    return tuple(Index() if axis.extent == 1 else Index(((axis, 1),)) for axis in axes)


def names_of(axes: tuple[Axis, ...]) -> tuple[str, ...]:
    return tuple(map(shown, running(axes)))


def zeros(instruction: Instruction) -> Where:
    return tuple(Index() for _ in instruction.type.shape)


def minus(number: int, index: Index) -> Index:
    """A number less an index."""
    return Index(tuple((axis, -factor) for axis, factor in index.terms), number - index.offset)


def plus(index: Index, number: int) -> Index:
    """An index and a number more."""
    return replace(index, offset=index.offset + number)


def shown(index: Index) -> str:
    """An affine index as source, whatever table it goes through."""
    if index.divisor > 1:
        return f"{apart(shown(replace(index, divisor=1)))} // {index.divisor}"
    ahead = index.offset > 0 and all(factor < 0 for _, factor in index.terms)
    text = str(index.offset) if ahead else ""
    for axis, factor in index.terms:
        part = axis.name if abs(factor) == 1 else f"{abs(factor)} * {axis.name}"
        text = f"{text} {'-' if factor < 0 else '+'} {part}" if text else f"{'-' * (factor < 0)}{part}"
    if not ahead and (index.offset or not text):
        sign = "-" if index.offset < 0 else "+"
        text = f"{text} {sign} {abs(index.offset)}" if text else str(index.offset)
    return text


def in_order(axes: tuple[Axis, ...]) -> str:
    """The position among the axes, counted in order."""
    terms, count = [], 1
    for axis in reversed(axes):
        terms += [(axis, count)] * (axis.extent != 1)
        count *= axis.extent or 1
    return shown(Index(tuple(reversed(terms))))


def element(array: str, index: tuple[str, ...]) -> str:
    """An element as source; of a scalar's array, the one it has."""
    return f"{array}[{', '.join(index) or '()'}]"


def apart(text: str) -> str:
    """Text in parentheses, unless it is one name or one number."""
    return text if text.isidentifier() or text.isdigit() else f"({text})"
