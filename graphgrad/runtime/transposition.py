"""Registers transposed: numbers that lie beside each other in memory come to lie in the same place of several registers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

PART = 128
"""The bits of a register within which its numbers change places in one instruction."""


def columns_of(b: Any, lines: Sequence[Any]) -> list[Any]:
    """Of lines of two numbers, of four, ..., each in a small register: their first numbers in one register, their second ones
    in another, and so on.

    Line i becomes part i // few of register i % few, which its numbers do not leave any more as these are transposed.
    """
    few = lines[0].type.count
    return _transposed(b, [_beside(b, lines[first::few]) for first in range(few)])


def _beside(b: Any, parts: Sequence[Any]) -> Any:
    """Parts of a register as one."""
    while len(parts) > 1:
        count = 2 * parts[0].type.count
        parts = [_shuffled(b, *pair, list(range(count))) for pair in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def _transposed(b: Any, rows: list[Any]) -> list[Any]:
    """Blocks of one number, of two, ... change places with those on the other side of the diagonal."""
    width, size = rows[0].type.count, 1
    while size < len(rows):
        upper = [width + c - size if c & size else c for c in range(width)]
        lower = [width + c if c & size else c + size for c in range(width)]
        for r in (r for r in range(len(rows)) if not r & size):
            pair = rows[r], rows[r + size]
            rows[r], rows[r + size] = (_shuffled(b, *pair, places) for places in (upper, lower))
        size *= 2
    return rows


def _shuffled(b: Any, one: Any, other: Any, places: list[int]) -> Any:
    return b.shuffle_vector(one, other, ir.Constant(ir.VectorType(ir.IntType(32), len(places)), places))
