"""Sums of products as statements: the call of a function that is stated at the head of the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from graphgrad.compiler.bands import cut as rows_of
from graphgrad.compiler.indices import Where, element, minus, plus, running, shown
from graphgrad.compiler.loops import Comment, Loop, Statement, Store, SumOfProducts, SumOfWinners, Tiled
from graphgrad.compiler.names import FIRST, LOOP_NAMES, ROW
from graphgrad.compiler.program import Instruction, formula_of, written
from graphgrad.compiler.residues import residues
from graphgrad.compiler.scalar import SUM, grouped
from graphgrad.compiler.schedule import Item, row_in, substitute
from graphgrad.compiler.starts import Started
from graphgrad.compiler.tiling import registers, tile_of
from graphgrad.compiler.units import LANES
from graphgrad.compiler.values import Values
from graphgrad.graph import Axis, Formula, Index
from graphgrad.ops.batch import SAMPLES


class Sums(Values):
    """Writes the sums of products that are computed in register tiles."""

    def _tiles(self, item: Item) -> list[Statement]:
        """A sum of products in register tiles; where its indices are divided, one for each of their residues."""
        self.here, self.done = item.nest, set()
        lines = [*self._summed(item.instruction), self._comment(item.instruction)]
        copied: list[Statement] = []
        calls: list[Statement] = []
        parts = residues(item.formula) or ()
        for k, (formula, place) in enumerate(parts):
            before, call = self._sum(item, formula, place, f"{k}" * (len(parts) > 1))
            copied += before
            calls.append(call)
        self.here = None
        return [*copied, *lines, *calls]

    def _winners(self, item: Item) -> list[Statement]:
        """A sum over the winners of windows."""
        self.here, self.done = item.nest, set()
        instruction, stated = item.instruction, self.plan.winners[item.instruction]
        arrays = [self._whole(operand) for operand in instruction.inputs]
        self.needed.add(instruction)
        out = self.own_sum(instruction) if item.over_samples else self.array_names[instruction]
        first, numbers, winner = (array.partition("[")[0] for array in arrays)
        kernel, image = (first, out) if stated.to_image else (out, first)
        text, extents, where = stated.text(kernel, image, numbers, winner)
        lanes = LANES[self.dtype] if self.lanes else 1
        room = stated.laid_out.room(lanes)
        name = self.array_names[instruction]
        function, copies = self._own_name("sum", name), self._own_name(name, "room")
        self.scratch[copies] = (room,), item.nest
        self.sums[function] = SumOfWinners(function, text, extents, where, registers(), lanes, room)
        sample = () if item.over_samples else self._sample(instruction)
        target = "".join([out, *(f"[{one}]" for one in sample)])
        self.here = None
        return [
            self._comment(instruction),
            Tiled(function, target, [*arrays, copies], self.lanes and item.over_samples),
        ]

    def _sum(self, item: Item, formula: Formula, place: Where, part: str) -> tuple[list[Statement], Tiled]:
        """The call of a function that is stated at the head for it, and what is copied before."""
        instruction, band = item.instruction, self.plan.bands.get(item.nest)
        axes = tuple(Axis(LOOP_NAMES[k], axis.extent) for k, axis in enumerate(formula.axes))
        if band is not None:
            axes = self._axes(item.nest)
        summed = tuple(axis for axis in formula.over if axis is not SAMPLES) if item.over_samples else formula.over
        over = tuple(Axis(LOOP_NAMES[len(axes) + k], axis.extent) for k, axis in enumerate(summed))
        places = {
            axis: Index(((loop, 1),)) for axis, loop in zip((*formula.axes, *summed), (*axes, *over), strict=True)
        }
        first = ""
        if band is not None:
            rows = band.rows[item.nest]
            cut, whole = formula.axes[rows.position], formula.axes[rows.position].extent or 1
            start = Axis(FIRST, whole - rows.count + 1)
            places[cut] = Index(((start, 1), *running((axes[rows.position],))[0].terms))
            first = shown(Index(((Axis(ROW, band.times), rows.count),)))
        row = None if self.lanes else row_in(instruction, formula)
        shapes = tuple(operand.type.shape for operand in instruction.inputs)
        per_sample = tuple(operand.type.per_sample for operand in instruction.inputs)
        tile = tile_of(formula if band is None else rows_of(formula, rows), shapes, per_sample, row)
        by_name = {axis.name: axis for axis in formula.axes}
        sides = [axis and by_name[axis.name] for axis in (tile.left, tile.right)]
        loops = dict(zip(formula.axes, axes, strict=True))
        along = {loops[axis].name: size for axis, size in zip(sides, tile.sizes, strict=True) if axis}
        within = self._within(item, formula, over, places, (*sides, row))
        copied: list[Statement] = []
        operands = []
        for side, read in enumerate(formula.reads):
            array, where, copying = self._operand(item, side, tuple(index.placed(places) for index in read), part)
            copied += copying
            operands.append((array, element(array.partition("[")[0], tuple(map(shown, where)))))
        out = self.own_sum(instruction) if item.over_samples else self.array_names[instruction]
        self.needed.add(instruction)
        sign = "+=" if item.over_samples else "="
        function = self._own_name("sum", self.array_names[instruction], *filter(None, [part]))
        target = self._stored(instruction, tuple(index.placed(places) for index in place))
        (_, left), (_, right), *begins = operands
        begin = "".join(f"{element} + " for _, element in begins)
        text = f"{out}[{', '.join(map(shown, target))}] {sign} {begin}{left} * {right}"
        extents = {axis.name: axis.extent or 1 for axis in (*axes, *over)}
        at_once = places[row].terms[0][0].name if row is not None else ""
        self.sums[function] = SumOfProducts(function, text, extents, along, within, at_once)
        sample = () if item.over_samples else self._sample(instruction)
        target_array = "".join([out, *(f"[{one}]" for one in sample)])
        self.whole = set()
        arrays = [array for array, _ in operands]
        return copied, Tiled(function, target_array, arrays, item.over_samples and self.lanes, first)

    def _summed(self, instruction: Instruction) -> list[Statement]:
        """The line of a sum of products, apart from that of what it begins with, where it has a name."""
        node = self.program.names.get(instruction)
        if node is None or not isinstance(instruction.op, Started):
            return []
        sums = [one for one in node.inputs if one.op == instruction.op.each and one.name is not None]
        return [Comment(partial(written, one)) for one in sums]

    def _operand(self, item: Item, side: int, where: Where, part: str) -> tuple[str, Where, list[Statement]]:
        """An operand as an array with its indices; as a copy with zeros around it where it is read beyond its ends."""
        operand = item.instruction.inputs[side]
        while operand in self.plan.inline:  # a transpose, whose indices change places
            inner = formula_of(operand)
            assert inner.body is None and len(operand.inputs) == 1, "any other operand has statements of its own"
            where, operand = substitute(inner.reads[0], inner.axes, where), operand.inputs[0]
        name, shift, copied = self._widened(item, side, operand, where, part)
        if name:
            return name, tuple(replace(i, offset=i.offset + by) for i, by in zip(where, shift, strict=True)), copied
        return self._whole(operand), where, []

    def _whole(self, operand: Instruction) -> str:
        """An operand as an array, that of the sample or the block."""
        if operand.leaf is not None:
            self.used.add(operand.leaf)
            array = self.leaf_names[operand.leaf]
        else:
            self.needed.add(operand)
            array = self.array_names[operand]
        return "".join([array, *(f"[{sample}]" for sample in self._sample(operand))])

    def _widened(
        self, item: Item, side: int, operand: Instruction, where: Where, part: str
    ) -> tuple[str, tuple[int, ...], list[Statement]]:
        """A copy of an operand with zeros where it is read beyond its ends, how its indices move, and what copies it.

        The name is empty where it is read inside of itself, as the loops run."""
        inside = [(0, extent - 1) for extent in operand.type.shape]
        ends = list(inside)
        for k, (index, extent) in enumerate(zip(where, operand.type.shape, strict=True)):
            if not index.stays_inside(extent) and index not in self.whole:
                low, high = index.range()
                ends[k] = min(low, 0), max(high, extent - 1)
        if ends == inside:
            return "", (), []
        name = self._own_name(self.local[item.instruction], "ab"[side], "wide", *filter(None, [part]))
        shape, shift = [high - low + 1 for low, high in ends], tuple(-low for low, _ in ends)
        self.scratch[name] = tuple(shape), item.nest
        axes = tuple(Axis(LOOP_NAMES[k], extent) for k, extent in enumerate(shape))
        source_at = tuple(Index(((axis, 1),), -by) for axis, by in zip(axes, shift, strict=True))
        running = tuple(axis.name for axis in axes)
        copied: list[Statement] = [Store(name, running, grouped(self._read(operand, source_at, 0.0), SUM))]
        for axis in reversed(axes):
            copied = [Loop(axis.name, axis.extent, copied)]
        return name, shift, copied

    def _within(
        self,
        item: Item,
        formula: Formula,
        over: tuple[Axis, ...],
        places: dict[Axis, Index],
        along: Sequence[Axis | None],
    ) -> dict[str, tuple[str, str]]:
        """From where to where what is summed over runs, so that an operand is read inside of itself."""
        limits: dict[str, tuple[str, str]] = {}
        self.whole = set()
        for read, operand in zip(formula.reads, item.instruction.inputs, strict=True):
            for index, extent in zip(read, operand.type.shape, strict=True):
                placed = index.placed(places)
                if placed.stays_inside(extent) or any(axis in along for axis, _ in index.terms):
                    continue
                ends = [(axis, factor) for axis, factor in placed.terms if axis in over]
                if len(ends) != 1 or abs(ends[0][1]) != 1 or ends[0][0].name in limits:
                    continue
                axis, factor = ends[0]
                rest = Index(tuple(term for term in placed.terms if term[0] not in over), placed.offset)
                low, high = (
                    (minus(0, rest), minus(extent, rest)) if factor > 0 else (plus(rest, 1 - extent), plus(rest, 1))
                )
                limits[axis.name] = shown(low), shown(high)
                self.whole.add(placed)
        return limits
