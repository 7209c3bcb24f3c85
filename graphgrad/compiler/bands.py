"""Bands: a convolution and what is made of its rows, a few rows at a time, while they are in the cache.

What only the same band reads is never kept whole: of a map that is pooled at once, a window's rows are all there is.
The same idea is `compute_at` in Ragan-Kelley et al., Halide, 2013.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from graphgrad.compiler.indices import Where
from graphgrad.compiler.program import Instruction
from graphgrad.compiler.tiling import tile_of
from graphgrad.graph import Axis, Formula, Index

LARGE = 512
"""From how many elements on a map is made in bands; smaller ones stay in the cache whole."""

Reads = Callable[[Instruction], Sequence[tuple[Instruction, Where]]]


@dataclass(frozen=True, slots=True)
class Rows:
    """Which axis of a nest is cut into rows, and how many of them a band takes."""

    position: int
    count: int


@dataclass(frozen=True, slots=True)
class Band:
    """Nests whose rows are made together, so many times; of what is `passing` only the rows of one band are kept."""

    rows: Mapping[Any, Rows]
    times: int
    passing: frozenset[Instruction]


def bands_of(
    nests: Sequence[Any],
    tiled: frozenset[Instruction],
    kept: frozenset[Instruction],
    reads: Reads,
    users: Callable[[Instruction], Iterable[Instruction]],
) -> list[Band]:
    """The bands among the nests of a pass over the samples; `reads` are those of an instruction in its own axes."""
    found: list[Band] = []
    taken: set[Any] = set()
    for start, nest in enumerate(nests):
        (first, *_) = nest.items
        if nest in taken or first.instruction not in tiled or first.over_samples:
            continue
        divided = any(index.divisor > 1 for read in first.formula.reads for index in read)
        if first.instruction.type.size < LARGE or divided:
            continue
        for position in _cuts(first):
            band = _Growing(nests[start:], position, tiled, reads).band(kept, users)
            if band is not None and _is_tiled_as_well(first, band.rows[nest]):
                found.append(band)
                taken.update(band.rows)
                break
    return found


def _cuts(item: Any) -> list[int]:
    """The axes that may be cut: those of the images, along which the weights do not change."""
    read = {True: set[Axis](), False: set[Axis]()}
    for operand, where in zip(item.instruction.inputs, item.formula.reads, strict=True):
        read[operand.type.per_sample] |= {axis for index in where for axis, _ in index.terms}
    images = read[True] - read[False]
    return [k for k, axis in enumerate(item.formula.axes) if axis in images and axis.extent != 1]


def _is_tiled_as_well(item: Any, rows: Rows) -> bool:
    """Whether the rows of a band fill register tiles as well as the whole map does."""
    shapes = tuple(operand.type.shape for operand in item.instruction.inputs)
    per_sample = tuple(operand.type.per_sample for operand in item.instruction.inputs)
    whole, part = (tile_of(one, shapes, per_sample).sizes for one in (item.formula, cut(item.formula, rows)))
    return part[0] * part[1] >= whole[0] * whole[1]


def cut(formula: Formula, rows: Rows) -> Formula:
    """The formula of the rows of one band."""
    old = formula.axes[rows.position]
    new = Axis(old.name, rows.count)
    places = {old: Index(((new, 1),))}
    axes = tuple(new if axis == old else axis for axis in formula.axes)
    reads = tuple(tuple(index.placed(places) for index in read) for read in formula.reads)
    return replace(formula, axes=axes, reads=reads)


class _Growing:
    """A band that grows nest by nest, for rows along one axis of the first one."""

    def __init__(self, nests: Sequence[Any], position: int, tiled: frozenset[Instruction], reads: Reads) -> None:
        (first, *self.others), self.tiled, self.reads = nests, tiled, reads
        self.first = first
        self.position = {first: position}
        self.share = {first: Fraction(1)}  # rows for each of the first nest's
        self.made_by = {item.instruction: first for item in first.items}
        self.later: set[Instruction] = set()

    def band(self, kept: frozenset[Instruction], users: Callable[[Instruction], Iterable[Instruction]]) -> Band | None:
        for nest in self.others:
            if self._joins(nest):
                self.made_by.update({item.instruction: nest for item in nest.items})
            else:
                self.later.update(item.instruction for item in nest.items)
        count = math.lcm(*(share.denominator for share in self.share.values()))
        extent = self.first.axes[self.position[self.first]].extent
        if len(self.position) == 1 or extent % count or extent == count:
            return None
        times = extent // count
        rows = {nest: Rows(self.position[nest], int(count * share)) for nest, share in self.share.items()}
        if any(nest.axes[one.position].extent != times * one.count for nest, one in rows.items()):
            return None
        passing = {
            instruction
            for instruction, nest in self.made_by.items()
            if instruction not in kept and all(user in self.made_by for user in users(instruction))
        }
        return Band(rows, times, frozenset(passing))

    def _joins(self, nest: Any) -> bool:
        """Whether every read of what the band makes is of the rows that it has made, and nothing else is still missing."""
        found: set[tuple[int, Fraction]] = set()
        for item in nest.items:
            if item.over_samples or item.instruction in self.tiled:
                return False
            for operand, where in self.reads(item.instruction):
                if operand in self.later:
                    return False
                if operand in self.made_by:
                    place = self._rows_read(item.formula, operand, where, self.made_by[operand])
                    if place is None:
                        return False
                    found.add(place)
        if len(found) != 1:
            return False
        ((self.position[nest], self.share[nest]),) = found
        return True

    def _rows_read(
        self, formula: Formula, operand: Instruction, where: Where, maker: Any
    ) -> tuple[int, Fraction] | None:
        """The axis along which a formula has to go with the rows of an operand, and its rows for each of the first."""
        position = self.position[maker]
        if len(where) != len(operand.type.shape) or where[position].table or where[position].divisor > 1:
            return None
        own = [(axis, step) for axis, step in where[position].terms if axis in formula.axes]
        others = Index(tuple(term for term in where[position].terms if term not in own), where[position].offset)
        if len(own) != 1 or any(axis.extent is None for axis, _ in others.terms):
            return None
        ((axis, step),) = own
        elsewhere = any(axis == used for k, index in enumerate(where) if k != position for used, _ in index.terms)
        if elsewhere or step < 1 or not others.stays_inside(step):
            return None
        return formula.axes.index(axis), self.share[maker] / step


__all__ = ["Band", "Rows", "bands_of", "cut"]
