"""Register tiles: a sum of products on lanes, computed a few output elements at a time whose sums stay in registers.

Every number that is loaded is used for a whole row or column of the tile: four maps by six places need ten loads for 24
products. The two axes of a tile are such that each operand depends on one of them only, as the maps and the columns of
a convolution do. Source: Goto and van de Geijn, Anatomy of high-performance matrix multiplication, 2008.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from graphgrad.compiler.processor import registers_for_lanes
from graphgrad.compiler.residues import residues
from graphgrad.graph import Axis, Formula, Index, at

FEWEST = 32
"""From how many products for one sample on a sum of products is computed in tiles."""

LONGEST = 16
"""How many elements a tile has at most along one axis."""

USES = 8
"""How often a sum of products of one sample uses each number, at least, to be worth tiles."""

SEVERAL = 4
"""How many elements of a row are computed at once, at least."""

REST = 1.1
"""What a rest that does not fill a tile is taken to cost: it is code of its own."""

ALONG = 0.45
"""What a load costs, in products, of a number that is used once, where it goes along with its product."""

FOR_SUMS = 3 / 4
"""Which share of the registers holds sums, at most."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Along which output axes a tile extends, that of the left operand and that of the right one, and how far."""

    left: Axis | None
    right: Axis | None
    sizes: tuple[int, int]


def registers() -> int:
    """How many sums of lanes fit into the registers beside what is being multiplied."""
    count, wide = registers_for_lanes()
    return int(count * FOR_SUMS) // wide


def is_tiled(formula: Formula, per_sample: Sequence[bool]) -> bool:
    """Whether a formula is a sum of products of two operands that is worth a tile."""
    plain = formula.body is None and len(formula.reads) == 2 + formula.starts and formula.chosen is None
    if not plain or formula.within or formula.weights or not any(per_sample):
        return False
    if any(index.table for read in formula.reads for index in read) or residues(formula) is None:
        return False
    count = 1
    for axis in (*formula.axes, *formula.over):
        count *= axis.extent or 1
    return bool(formula.axes) and count >= FEWEST and any(axis.extent is not None for axis in formula.over)


def row_of(formula: Formula, sizes: Sequence[int]) -> Axis | None:
    """The axis along which one sample's elements are computed at once: in each array it moves the last index alone.

    It is one of the result where there is one, and None where that is not worth while for operands of these sizes.
    """
    count = 1
    for axis in (*formula.axes, *formula.over):
        count *= axis.extent or 1
    if count < USES * max(sizes):
        return None
    reads = [*formula.reads, at(*formula.axes)]
    fitting = [
        axis
        for axis in (*formula.axes, *formula.over)
        if (axis.extent or 0) >= SEVERAL and all(_moves_last(axis, read) for read in reads)
    ]
    return max(fitting, key=lambda axis: (axis in formula.axes, axis.extent), default=None)


def _moves_last(axis: Axis, read: Sequence[Index]) -> bool:
    """Whether an axis moves the last index of a read by a few elements each time, if any."""
    steps = [dict(index.terms).get(axis, 0) for index in read]
    whole = all(index.divisor == 1 for index in read)
    return whole and not any(steps[:-1]) and (not steps or 0 <= steps[-1] <= SEVERAL)


@lru_cache(1024)
def tile_of(
    formula: Formula, shapes: tuple[tuple[int, ...], ...], per_sample: tuple[bool, ...], row: Axis | None = None
) -> Tile:
    """The tile that needs the fewest loads and products for operands of these shapes, with what is left over at the ends
    of its axes.

    It does not extend along a `row` that is computed at once. Along an axis that is not the tile's, what an operand
    would need zeros for around it is left out. What is not `per_sample`, or with a row what does not go along it, is one
    number for all lanes.
    """
    uses = [{axis for index in read for axis, _ in index.terms} for read in formula.reads]
    _, wide = registers_for_lanes()
    on_lanes = per_sample if row is None else [row in axes for axes in uses]
    widths = wide if on_lanes[0] else 1, wide if on_lanes[1] else 1
    own: list[list[Axis | None]] = [
        [
            axis
            for axis in formula.axes
            if axis in uses[k] and axis not in uses[1 - k] and (axis.extent or 0) > 1 and axis != row
        ]
        or [None]
        for k in (0, 1)
    ]
    inside = _inside(formula, shapes)
    for axes in own:
        if not inside.keys().isdisjoint(axes):
            axes.append(None)
    best: tuple[float, Tile] | None = None
    for left in own[0]:
        for right in own[1]:
            others = math.prod(axis.extent or 1 for axis in formula.axes if axis not in (left, right))
            kept = math.prod(share for axis, share in inside.items() if axis not in (left, right))
            for a, b in itertools.product(_lengths(left), _lengths(right)):
                if not _fits(a, b, widths):
                    continue
                stretches = [
                    _pieces(1 if axis is None else axis.extent or 1, size) for axis, size in ((left, a), (right, b))
                ]
                cost = sum(m * n * _cost(p, q, widths) for (m, p), (n, q) in itertools.product(*stretches))
                total = cost * others * kept * REST ** (len(stretches[0]) + len(stretches[1]) - 2)
                if best is None or total < best[0]:
                    best = total, Tile(left, right, (a, b))
    assert best is not None
    return best[1]


def _fits(rows: int, columns: int, widths: tuple[int, int]) -> bool:
    """Whether a tile leaves a register free, beside its sums, the numbers of its shorter side and one of the longer."""
    (held, width), (_, passing) = sorted([(rows, widths[0]), (columns, widths[1])], key=lambda side: side[0])
    count, wide = registers_for_lanes()
    return rows * columns <= registers() and rows * columns * wide + held * width + passing < count


def _cost(rows: int, columns: int, widths: tuple[int, int]) -> float:
    """What one round of a tile costs: its products, its loads, and the round itself.

    Registers as wide as lanes take a number that is used once along with its product.
    """
    _, wide = registers_for_lanes()
    left, right = rows * widths[0], columns * widths[1]
    alone = ALONG if min(rows, columns) == 1 and wide == 1 else 1.0
    return wide * rows * columns + min(left, right) + alone * max(left, right) + 2


def _lengths(axis: Axis | None) -> range:
    """How many elements a tile may have along an axis."""
    return range(1, 2 if axis is None else LONGEST + 1)


def _inside(formula: Formula, shapes: Sequence[Sequence[int]]) -> dict[Axis, float]:
    """Of axes of the result along which an operand is read beyond its ends, the share of the products that are inside."""
    found: dict[Axis, float] = {}
    for read, shape in zip(formula.reads, shapes, strict=True):
        for index, extent in zip(read, shape, strict=False):
            summed = [(axis, step) for axis, step in index.terms if axis in formula.over]
            moves = [(axis, step) for axis, step in index.terms if axis in formula.axes]
            if index.stays_inside(extent) or len(summed) != 1 or len(moves) != 1 or abs(summed[0][1]) != 1:
                continue
            ((over, sign),), ((axis, step),) = summed, moves
            if step > 0 and index.divisor == 1 and axis.extent and over.extent:
                starts = [sign * k + index.offset for k in range(over.extent)]
                places = [range(start, start + step * axis.extent, step) for start in starts]
                count = sum(len(_between(place, extent)) for place in places)
                found[axis] = found.get(axis, 1.0) * count / (axis.extent * over.extent)
    return found


def _between(places: range, extent: int) -> range:
    """Those of the places that are inside of an axis of this extent."""
    first = max(0, -(places.start // places.step))
    last = (extent - 1 - places.start) // places.step + 1
    return places[first : max(first, last)]


def _pieces(extent: int, size: int) -> list[tuple[int, int]]:
    """How many tiles of which size an axis is covered by."""
    whole, rest = divmod(extent, size)
    return [(whole, size)] * bool(whole) + [(1, rest)] * bool(rest)
