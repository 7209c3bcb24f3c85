"""A sum of products as it is stated: one line of indices, read as data and never run."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Affine:
    """`constant + Σ factor * axis`."""

    terms: Mapping[str, int]
    constant: int

    def at(self, places: Mapping[str, Any]) -> Any:
        """Its value, of whole numbers."""
        return self.constant + sum(factor * places[axis] for axis, factor in self.terms.items())


@dataclass(frozen=True)
class Access:
    """An array and where it is read or written."""

    array: str
    indices: tuple[Affine, ...]

    def step(self, axis: str | None) -> int:
        """How far it moves along its last axis with an axis, which moves no other index; 0 where it stays."""
        return self.indices[-1].terms.get(axis or "", 0) if self.indices else 0

    @property
    def axes(self) -> list[str]:
        """The axes by which it is moved, in the order of its indices."""
        return list(dict.fromkeys(axis for index in self.indices for axis in index.terms))


def _affine(node: ast.expr) -> Affine:
    """An affine index, out of the few signs that one is written with."""
    match node:
        case ast.Name(id=axis):
            return Affine({axis: 1}, 0)
        case ast.Constant(value=int() as number):
            return Affine({}, number)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _times(-1, _affine(operand))
        case ast.BinOp(left=left, op=ast.Mult(), right=right) if not (factor := _affine(left)).terms:
            return _times(factor.constant, _affine(right))
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            a, b = _affine(left), _times(-1 if isinstance(op, ast.Sub) else 1, _affine(right))
            axes = dict.fromkeys((*a.terms, *b.terms))
            return Affine({x: a.terms.get(x, 0) + b.terms.get(x, 0) for x in axes}, a.constant + b.constant)
    raise ValueError(f"{ast.unparse(node)} is no affine index")


def _times(factor: int, index: Affine) -> Affine:
    return Affine({axis: factor * times for axis, times in index.terms.items()}, factor * index.constant)


def _access(node: ast.expr) -> Access:
    match node:
        case ast.Subscript(value=ast.Name(id=array), slice=ast.Tuple(elts=indices)):
            return Access(array, tuple(map(_affine, indices)))
        case ast.Subscript(value=ast.Name(id=array), slice=index):
            return Access(array, (_affine(index),))
    raise ValueError(f"{ast.unparse(node)} is no element of an array")


@dataclass(frozen=True)
class Sum:
    """A sum of products that was read from its text."""

    out: Access
    left: Access
    right: Access
    extents: Mapping[str, int]
    tile: Mapping[str, int]
    within: Mapping[str, tuple[Affine, Affine]]
    adds: bool
    start: Access | None = None
    at_once: str | None = None

    @property
    def given(self) -> list[str]:
        """The places that come with each call."""
        reads = [self.out, self.left, self.right, *([self.start] if self.start else [])]
        indices = [index for access in reads for index in access.indices]
        return list(dict.fromkeys(axis for index in indices for axis in index.terms if axis not in self.extents))

    @property
    def axes(self) -> list[str]:
        """The axes of the result, and those that are summed over."""
        return [axis for axis in self.extents if axis in self.out.axes]

    @property
    def over(self) -> list[str]:
        return [axis for axis in self.extents if axis not in self.axes]

    def along(self, access: Access) -> str | None:
        """The axis of the tile on which an operand depends."""
        return next((axis for axis in self.tile if axis in access.axes), None)


def read(
    text: str,
    extents: Mapping[str, int],
    tile: Mapping[str, int],
    within: Mapping[str, tuple[str, str]],
    at_once: str | None,
) -> Sum:
    adds = " += " in text
    left_side, _, right_side = text.partition(" += " if adds else " = ")
    product, start = ast.parse(right_side, mode="eval").body, None
    if isinstance(product, ast.BinOp) and isinstance(product.op, ast.Add):
        start, product = _access(product.left), product.right
    if not isinstance(product, ast.BinOp) or not isinstance(product.op, ast.Mult):
        raise ValueError(f"{text} is no product of two elements")  # noqa: TRY004 - it is the text that is wrong
    limits = {
        axis: (_affine(ast.parse(low, mode="eval").body), _affine(ast.parse(high, mode="eval").body))
        for axis, (low, high) in within.items()
    }
    out = _access(ast.parse(left_side, mode="eval").body)
    left, right = _access(product.left), _access(product.right)
    for access in (out, left, right, *([start] if start else [])):
        if any(at_once in index.terms for index in access.indices[:-1]):
            raise ValueError(f"{at_once} moves more than the last index of {access.array}")
    return Sum(out, left, right, extents, tile, limits, adds, start, at_once)


def nameless(text: str) -> str:
    """The text with its arrays by number: sums that differ in the names of their arrays only are one."""
    count = itertools.count()
    return re.sub(r"\w+(?=\[)", lambda name: f"array{next(count)}", text)


def read_test(text: str) -> tuple[Access, Affine]:
    """A test that an element of an array is an affine index, as in `winner[i, p] == 2 * r + s`."""
    match ast.parse(text, mode="eval").body:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            return _access(left), _affine(right)
    raise ValueError(f"{text} is no test of an element")
