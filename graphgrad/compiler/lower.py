"""From a schedule to loops: names for everything, the layout of the memory, the statements of each nest."""

from __future__ import annotations

import builtins
import keyword
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property

from graphgrad.compiler.bands import cut as rows_of
from graphgrad.compiler.bodies import text_of
from graphgrad.compiler.layout import Layout, Value, lay_out
from graphgrad.compiler.loops import (
    LANES,
    Argument,
    Combine,
    Comment,
    Flat,
    Given,
    Let,
    Loop,
    Product,
    Samples,
    Shared,
    Statement,
    Step,
    Store,
    SumOfProducts,
    Tiled,
)
from graphgrad.compiler.program import Instruction, Program, Update, written
from graphgrad.compiler.scalar import ATOM, CHOICE, FUNCTIONS, PRODUCT, SUM, UNARY, Text, grouped, literal
from graphgrad.compiler.schedule import Item, Nest, Schedule, Where, row_in, schedule, substitute
from graphgrad.compiler.starts import Started, with_starts
from graphgrad.compiler.tiling import tile_of
from graphgrad.graph import Axis, Formula, Index, Node
from graphgrad.ops import identity
from graphgrad.ops.batch import SAMPLES, BatchSize

LOOP_NAMES = "ijkmpqruvcd"
RESERVED = frozenset(
    {*keyword.kwlist, *dir(builtins), *LOOP_NAMES, *FUNCTIONS.values()}
    | {
        "N",
        "n",
        "memory",
        "real",
        "step",
        "call",
        "array_at",
        "njit",
        "np",
        "nan",
        "inf",
        "sqrt",
        "copysign",
        "results",
        "parameters",
        "areas",
        "mine",
        "block",
        "blocks",
        "chunk",
        "alive",
        "thread",
        "threads",
        "candidate",
        "better",
        "partial",
        "meet",
        "lanes_at",
        "load_lanes",
        "choose",
        "numbered",
        "below",
        "sum_of_lanes",
        "function",
        "kernel",
        "product",
        "add_product",
        "row",
        "first",
        "last",
    }
)
IMPORTED = frozenset({*FUNCTIONS.values(), "sqrt", "copysign", "inf", "nan"})
VECTORISED = frozenset({"exp", "expm1", "log", "log1p", "tanh", "sin", "cos", "erf"})
"""The functions that have a vector form, for long loops and for lanes."""
WIDE = 8
"""From how many elements in the innermost loop on a function is built of vector instructions, which compile slower."""
STRETCH = 4096
"""How many terms of a very long sum are added up before their sum is added to the whole."""

ROW, FIRST = "row", "first"
"""The loop over the bands of a map, and the first of the rows that a sum of products is to compute."""

AFTERWARDS = -2
"""A phase after all others, shared by all samples."""
_ROLES = {"scale": "what the gradient is multiplied by", "keep": "what is kept of the weights"}
_START = {"sum": 0.0, "prod": 1.0, "argmax": 0.0, "max": float("-inf"), "min": float("inf")}


def lower(
    program: Program,
    leaves: tuple[Node, ...],
    title: str,
    dtype: str,
    results: tuple[Instruction, ...] = (),
    returns: Instruction | None = None,
    *,
    lanes: bool = False,
    team: bool = False,
    resident: bool = False,
    first: bool = False,
) -> Step:
    """The loops of a program; `leaves` are its arguments in order, `returns` is the scalar that the step returns.

    On `lanes`, samples are computed a block at a time; a `team` of threads shares them; `resident` parameters are in
    one array, from step to step, and no arguments. The results may come `first` in the memory, in their order.
    """
    program, pinned = _detached(program)
    number = {instruction: k for k, instruction in enumerate(program.order)}
    program, new = with_starts(program, lanes)
    number = {new[instruction]: k for instruction, k in number.items()}
    results, returns = tuple(new[one] for one in results), new[returns] if returns is not None else None
    pinned = frozenset(new[one] for one in pinned)
    kept = frozenset(value for value in program.values.values() if value.inputs and value is not returns)
    plan = schedule(program, kept | pinned, lanes)
    lowering = _Lowering(program, plan, kept, leaves, title, dtype, returns, lanes, team, resident)
    lowering.statements()  # finds out which values are read across nests
    lowering.returned()
    return lowering.finish(results, number, first)


def _detached(program: Program) -> tuple[Program, frozenset[Instruction]]:
    """The program with its updates safe to be made one after the other, at the end of the step.

    A new value that something else reads too, or that is made in passing from the old value of another parameter, is
    computed on its own before any parameter changes (it is pinned), and copied in the end.
    """
    targets = {update.target for update in program.updates}
    values = [update.value for update in program.updates]
    users = {operand for instruction in program.order for operand in instruction.inputs}
    pinned, updates, names = set(), [], dict(program.names)
    for update in program.updates:
        value = update.value
        shared = value in users or values.count(value) > 1 or value in program.values.values() or not value.inputs
        if shared or _reads(value, targets - {update.target}):
            pinned.add(value)
            value = Instruction(identity, (value,), value.type)
            names[value] = names.get(update.value, update.target)
        updates.append(Update(update.target, value))
    return replace(program, updates=tuple(updates), names=names), frozenset(pinned)


def _reads(value: Instruction, targets: set[Node]) -> bool:
    """Whether a value may be made in passing from one of these leaves, or from any leaf at another index."""
    stack = [(value, False)]
    while stack:
        instruction, moved = stack.pop()
        if instruction.leaf is not None and (instruction.leaf in targets or (moved and instruction.type.shape)):
            return True
        formula = instruction.op.formula(*(o.type for o in instruction.inputs)) if instruction.inputs else None
        if formula is not None and formula.pointwise:
            stack.extend((operand, moved or formula.body is None) for operand in instruction.inputs)
    return False


class _Names:
    """Identifiers of the generated source: those of the nodes, made unique and kept off reserved words."""

    def __init__(self) -> None:
        self.taken: set[str] = set(RESERVED)

    def unique(self, wanted: str) -> str:
        safe = re.sub(r"\W+", "_", wanted, flags=re.ASCII).strip("_") or "step"
        name, count = safe, 1
        while name in self.taken:
            name, count = f"{safe}_" if count == 1 else f"{safe}_{count}", count + 1
        self.taken.add(name)
        return name


class _Lowering:
    def __init__(
        self,
        program: Program,
        plan: Schedule,
        kept: frozenset[Instruction],
        leaves: tuple[Node, ...],
        title: str,
        dtype: str,
        returns: Instruction | None,
        lanes: bool,
        team: bool,
        resident: bool,
    ) -> None:
        self.program, self.plan, self.kept, self.leaves = program, plan, kept, leaves
        self.title, self.dtype, self.returns = title, dtype, returns
        self.lanes, self.team = lanes, team
        self.resident = frozenset(leaf for leaf in leaves if resident and not leaf.per_sample)
        self.in_lanes = frozenset(leaf for leaf in leaves if lanes and leaf.per_sample)
        names = _Names()
        self.leaf_names = {leaf: names.unique(leaf.op.name) for leaf in leaves}
        self.given = {leaf: names.unique(f"{leaf.op.name}_data") for leaf in self.in_lanes}
        self.array_names: dict[Instruction, str] = {}
        descents = [factors for factors in plan.products.values() if factors.scale is not None]
        roles: dict[Instruction | None, str] = {factors.keep: "keep" for factors in descents}
        roles |= {factors.scale: "scale" for factors in descents}
        self.roles = roles
        for instruction in plan.items:
            node = program.names.get(instruction)
            label = node.name if node is not None else None
            stem = label.ident if label else roles.get(instruction, instruction.op.name)
            self.array_names[instruction] = names.unique(stem)
        self.locals_taken = names
        self.symbols = {self.leaf_names[leaf]: leaf.name.text for leaf in leaves if leaf.name is not None}
        self.updated = {update.value: self.leaf_names[update.target] for update in program.updates}
        self.local: dict[Instruction, str] = {}
        for instruction, item in plan.items.items():
            axes = "".join(LOOP_NAMES[k] for k in range(len(item.nest.axes)))
            scope = axes or ("n" if instruction.type.per_sample else "value" * team)
            stem = self.array_names[instruction]
            self.local[instruction] = names.unique(f"{stem}_{scope}") if scope else stem
        self.own_sums = {
            instruction: names.unique(f"{self.array_names[instruction]}_{'lanes' if lanes else 'own'}")
            for instruction, item in plan.items.items()
            if team and item.over_samples
        }
        self.layout = Layout()
        self.phase = 0
        self.used: set[Node] = set()
        self.needed: set[Instruction] = set()
        self.here: Nest | None = None
        self.done: set[Instruction] = set()
        self.functions: set[str] = set()
        self.wide: set[str] = set()
        self.innermost = 1
        self.flats: dict[str, Flat] = {}
        self.whole: set[Index] = set()
        self.scratch: dict[str, tuple[tuple[int, ...], Nest]] = {}
        self.made: dict[tuple[str, ...], str] = {}
        self.sums: dict[str, SumOfProducts] = {}
        self.tables: dict[tuple[str, tuple[float, ...]], str] = {}

    # -- statements ----------------------------------------------------------------------------------------------

    def statements(self) -> list[Samples | Shared]:
        """The statements of all phases."""
        phases: list[Samples | Shared] = []
        for number, nests in self.plan.phases.items():
            self.phase, self.used = number, set()
            body = [statement for nest in nests for statement in self._nest_or_band(nest)]
            if number % 2 == 0:
                phases.append(Shared(body))
                continue
            used = [leaf for leaf in self.leaves if leaf in self.used & self.in_lanes]
            given = [Given(self.given[leaf], self.leaf_names[leaf]) for leaf in used]
            scalars = [item for nest in nests for item in nest.items if item.over_samples and not item.nest.axes]
            if self.team or not scalars:
                sums = self.layout.sums.get(number, (0, 0)) if self.team else (0, 0)
                phases.append(Samples(body, given, sums, self.layout.partial.get(number, 0)))
                continue
            start = literal(0.0, self.dtype)[0]
            phases.append(Shared([Let(self.local[item.instruction], start) for item in scalars]))
            phases.append(Samples(body, given))
            kept = [item.instruction for item in scalars if item.instruction in self.kept]
            phases.append(Shared([Store(self.array_names[one], (), self.local[one]) for one in kept]))
        return phases

    def returned(self) -> str | None:
        """What the step returns, after all phases."""
        self.here, self.phase = None, AFTERWARDS
        return None if self.returns is None else self._value(self.returns, ())[0]

    def _nest_or_band(self, nest: Nest) -> list[Statement]:
        """The loops of a nest; with the first one of a band, those of all of it, which run for every few rows."""
        band = self.plan.bands.get(nest)
        if band is None:
            return self._nest(nest)
        first, *others = band.rows
        if nest is not first:
            return []
        (sum_of_products,) = first.items
        lines = self._tiles(sum_of_products)
        copied = [line for line in lines if isinstance(line, Loop)]
        inner = [line for line in lines if line not in copied]
        inner += [statement for other in others for statement in self._nest(other)]
        return [*copied, Loop(ROW, band.times, inner)]

    def _nest(self, nest: Nest) -> list[Statement]:
        if nest.items[0].instruction in self.plan.products:
            return self._product(nest.items[0])
        if nest.items[0].instruction in self.plan.tiled:
            return self._tiles(nest.items[0])
        self.here, self.done = nest, set()
        inner: list[Statement] = []
        for item in nest.items:
            inner.extend(self._item(item, nest))
            self.done.add(item.instruction)
        self.here = None
        return _nested([Loop(axis.name, axis.extent) for axis in self._axes(nest) if axis.extent != 1], inner)

    def _axes(self, nest: Nest) -> tuple[Axis, ...]:
        """The axes of a nest by the names of their loops; in a band, one of them has its rows only."""
        axes = [Axis(LOOP_NAMES[k], axis.extent) for k, axis in enumerate(nest.axes)]
        if (band := self.plan.bands.get(nest)) is not None:
            rows = band.rows[nest]
            axes[rows.position] = Axis(axes[rows.position].name, rows.count)
        return tuple(axes)

    def _own_place(self, nest: Nest) -> Where:
        """The running indices of a nest, as they are in the whole of its arrays."""
        where = list(_at(self._axes(nest)))
        if (band := self.plan.bands.get(nest)) is not None:
            rows = band.rows[nest]
            inside = where[rows.position]
            where[rows.position] = Index(((Axis(ROW, band.times), rows.count), *inside.terms))
        return tuple(where)

    def _stored(self, instruction: Instruction, where: Where) -> Where:
        """Where an element lies in memory; of what only passes there are no rows but those of the band."""
        if not self._passes(instruction):
            return where
        return tuple(
            replace(index, terms=tuple(term for term in index.terms if term[0].name not in (ROW, FIRST)))
            for index in where
        )

    def _passes(self, instruction: Instruction) -> bool:
        item = self.plan.items.get(instruction)
        band = self.plan.bands.get(item.nest) if item is not None else None
        return band is not None and instruction in band.passing

    def _shape(self, instruction: Instruction) -> tuple[int, ...]:
        """The shape that is kept of a value."""
        shape = list(instruction.type.shape)
        if self._passes(instruction):
            nest = self.plan.items[instruction].nest
            rows = self.plan.bands[nest].rows[nest]
            shape[rows.position] = rows.count
        return tuple(shape)

    def _item(self, item: Item, nest: Nest) -> list[Statement]:
        instruction, name = item.instruction, self.local[item.instruction]
        axes = self._axes(nest)
        over = tuple(Axis(LOOP_NAMES[len(axes) + k], axis.extent) for k, axis in enumerate(_own(item)))
        own = self._own_place(nest)
        where = (*own, *_at(over))
        loops = self._loops(item.formula, axes, over, where)
        self.innermost = (*axes, *over)[-1].extent or 1 if (*axes, *over) else 1
        value = self._body(instruction, item.formula, where, (*item.formula.axes, *_own(item)))
        comment = self._comment(instruction)
        lines: list[Statement] = [Comment(comment)]
        if item.over_samples and over:
            inner = self._own_name(name, "n")
            lines += [Let(inner, literal(0.0, self.dtype)[0]), *_nested(loops, [Combine(inner, "sum", value[0])])]
            value = inner, ATOM
        if item.over_samples:
            text = f"choose(alive, {value[0]}, {literal(0.0, self.dtype)[0]})" if self.lanes else value[0]
            if nest.axes or self.team:
                self.needed.add(instruction)
                lines.append(Store(self.own_sum(instruction), _names(axes), text, add=True))
            else:
                lines.append(Combine(name, "sum", text))
            return lines
        if instruction in self.updated:
            target = self.updated[instruction]
            return [Comment(f"{self.symbols[target]} := {comment}"), Store(target, _names(axes), value[0])]
        if item.formula.reduction is None:
            lines.append(Let(name, value[0]))
        elif self._is_long(item, over, loops):
            lines += self._in_stretches(loops, name, value[0])
        else:
            start = literal(_START[item.formula.reduction], self.dtype)[0]
            lines.append(Let(name, start))
            self.functions.update({"inf"} if "inf" in start else ())
            if item.formula.reduction == "argmax":
                lines.append(Let(f"{name}_best", literal(float("-inf"), self.dtype)[0]))
                self.functions.add("inf")
            body: list[Statement] = [Combine(name, item.formula.reduction, value[0], _in_order(over))]
            picked = next(
                (axis for axis, own in zip(over, _own(item), strict=True) if own == item.formula.picked), None
            )
            if self._lanes_here or (picked is not None and picked.extent == 1):
                picked = None  # each lane would have another place
            if picked is not None:
                body = [Let(picked.name, self._place(item, where, picked)), *body]
            lines.extend(_nested([loop for loop in loops if picked is None or loop.axis != picked.name], body))
        if instruction in self.kept or (instruction in self.needed and not self._is_local(instruction)):
            place = tuple(map(_index, self._stored(instruction, own)))
            lines.append(Store(self.array_names[instruction], (*self._sample(instruction), *place), name))
        return lines

    def _loops(self, formula: Formula, axes: tuple[Axis, ...], over: tuple[Axis, ...], where: Where) -> list[Loop]:
        """The loops over what is summed up: in steps where an index is whole at every so many of an axis only."""
        own = (*formula.axes, *(axis for axis in formula.over if axis is not SAMPLES))
        found = {axis: Loop(axis.name, axis.extent) for axis in over if axis.extent != 1}
        self.whole = set()
        for read in (*formula.reads, tuple(index for index, _ in formula.within)):
            for index in substitute(read, own, where):
                if index.divisor == 1 or index.table:
                    continue
                ends = [(axis, factor) for axis, factor in index.terms if axis in found]
                if len(ends) != 1 or abs(ends[0][1]) != 1:
                    continue
                (axis, factor), rest = ends[0], tuple(term for term in index.terms if term[0] not in found)
                start = Index(tuple((one, -factor * times) for one, times in rest), -factor * index.offset)
                loop = replace(found[axis], start=f"{_apart(_index(start))} % {index.divisor}", step=index.divisor)
                if found[axis].step == 1 or found[axis] == loop:
                    found[axis] = loop
                    self.whole.add(index)
        return list(found.values())

    def _is_long(self, item: Item, over: tuple[Axis, ...], loops: list[Loop]) -> bool:
        """Whether a sum has so many terms that it is made in stretches."""
        plain = item.formula.reduction == "sum" and item.formula.picked is None
        return plain and math.prod(a.extent or 1 for a in over) > STRETCH and all(loop.step == 1 for loop in loops)

    def _in_stretches(self, loops: list[Loop], name: str, value: str) -> list[Statement]:
        """A very long sum as one of sums: no number takes more than some thousand terms, so that few digits are lost."""
        part, zero = self._own_name(name, "part"), literal(0.0, self.dtype)[0]
        *outer, last = loops
        extent = last.extent or 0
        inner = Loop(last.axis, extent, [Combine(part, "sum", value)])
        if extent > STRETCH:
            count = Loop("chunk", -(-extent // STRETCH))
            stop = f"min({STRETCH} * chunk + {STRETCH}, {extent})"
            outer, inner = [*outer, count], replace(inner, start=f"{STRETCH} * chunk", stop=stop)
        return [Let(name, zero), *_nested(outer, [Let(part, zero), inner, Combine(name, "sum", part)])]

    # -- tiles ---------------------------------------------------------------------------------------------------

    def _tiles(self, item: Item) -> list[Statement]:
        """A sum of products on lanes, computed in register tiles by a function that is stated at the head."""
        instruction, formula = item.instruction, item.formula
        self.here, self.done = item.nest, set()
        band = self.plan.bands.get(item.nest)
        axes = self._axes(item.nest)
        over = tuple(Axis(LOOP_NAMES[len(axes) + k], axis.extent) for k, axis in enumerate(_own(item)))
        own = (*formula.axes, *_own(item))
        places = {axis: Index(((loop, 1),)) for axis, loop in zip(own, (*axes, *over), strict=True)}
        first = ""
        if band is not None:
            rows = band.rows[item.nest]
            cut, whole = formula.axes[rows.position], formula.axes[rows.position].extent or 1
            start = Axis(FIRST, whole - rows.count + 1)
            places[cut] = Index(((start, 1), *_at((axes[rows.position],))[0].terms))
            first = _index(Index(((Axis(ROW, band.times), rows.count),)))
        row = None if self.lanes else row_in(instruction, formula)
        tile = tile_of(formula if band is None else rows_of(formula, rows), row)
        by_name = {axis.name: axis for axis in formula.axes}
        sides = [axis and by_name[axis.name] for axis in (tile.left, tile.right)]
        loops = dict(zip(formula.axes, axes, strict=True))
        along = {loops[axis].name: size for axis, size in zip(sides, tile.sizes, strict=True) if axis}
        within = self._within(item, over, places, (*sides, row))
        copied: list[Statement] = []
        operands = []
        for side in range(len(instruction.inputs)):
            array, where, copying = self._operand(item, side, places)
            copied += copying
            operands.append((array, _element(array.partition("[")[0], tuple(map(_index, where)))))
        out = self.own_sum(instruction) if item.over_samples else self.array_names[instruction]
        self.needed.add(instruction)
        sign = "+=" if item.over_samples else "="
        function = self._own_name("sum", self.array_names[instruction])
        target = self._stored(instruction, tuple(places[axis] for axis in formula.axes))
        (_, left), (_, right), *begins = operands
        begin = "".join(f"{element} + " for _, element in begins)
        text = f"{out}[{', '.join(map(_index, target))}] {sign} {begin}{left} * {right}"
        extents = {axis.name: axis.extent or 1 for axis in (*axes, *over)}
        at_once = places[row].terms[0][0].name if row is not None else ""
        self.sums[function] = SumOfProducts(function, text, extents, along, within, at_once)
        sample = () if item.over_samples else self._sample(instruction)
        target_array = "".join([out, *(f"[{one}]" for one in sample)])
        self.whole, self.here = set(), None
        arrays = [array for array, _ in operands]
        lines = [Comment(line) for line in (*self._summed(instruction), self._comment(instruction))]
        return [*copied, *lines, Tiled(function, target_array, arrays, item.over_samples and self.lanes, first)]

    def _summed(self, instruction: Instruction) -> list[str]:
        """The line of a sum of products, apart from that of what it begins with, where it has a name."""
        node = self.program.names.get(instruction)
        if node is None or not isinstance(instruction.op, Started):
            return []
        return [written(one) for one in node.inputs if one.op == instruction.op.each and one.name is not None]

    def _operand(self, item: Item, side: int, places: dict[Axis, Index]) -> tuple[str, Where, list[Statement]]:
        """An operand as an array with its indices; as a copy with zeros around it where it is read beyond its ends."""
        operand, where = item.instruction.inputs[side], tuple(i.placed(places) for i in item.formula.reads[side])
        while operand in self.plan.inline:  # a transpose, whose indices change places
            inner = operand.op.formula(*(o.type for o in operand.inputs))
            where, operand = substitute(inner.reads[0], inner.axes, where), operand.inputs[0]
        name, shift, copied = self._widened(item, side, operand, where)
        if name:
            return name, tuple(replace(i, offset=i.offset + by) for i, by in zip(where, shift, strict=True)), copied
        if operand.leaf is not None:
            self.used.add(operand.leaf)
            array = self.leaf_names[operand.leaf]
        else:
            self.needed.add(operand)
            array = self.array_names[operand]
        return "".join([array, *(f"[{sample}]" for sample in self._sample(operand))]), where, []

    def _own_name(self, *parts: str) -> str:
        """A name of its own for these parts, the same one when asked again."""
        if parts not in self.made:
            self.made[parts] = self.locals_taken.unique("_".join(parts))
        return self.made[parts]

    def _widened(
        self, item: Item, side: int, operand: Instruction, where: Where
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
        name = self._own_name(self.local[item.instruction], "ab"[side], "wide")
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
        self, item: Item, over: tuple[Axis, ...], places: dict[Axis, Index], along: Sequence[Axis | None]
    ) -> dict[str, tuple[str, str]]:
        """From where to where what is summed over runs, so that an operand is read inside of itself."""
        limits: dict[str, tuple[str, str]] = {}
        self.whole = set()
        for read, operand in zip(item.formula.reads, item.instruction.inputs, strict=True):
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
                    (_minus(0, rest), _minus(extent, rest)) if factor > 0 else (_plus(rest, 1 - extent), _plus(rest, 1))
                )
                limits[axis.name] = _index(low), _index(high)
                self.whole.add(placed)
        return limits

    def own_sum(self, instruction: Instruction) -> str:
        """The array in which a thread adds up a sum over its samples."""
        return self.own_sums.get(instruction, self.array_names[instruction])

    @property
    def _lanes_here(self) -> bool:
        return self.lanes and self.phase % 2 == 1

    def _sample(self, instruction: Instruction) -> tuple[str, ...]:
        """The first index of an array that has a place for each sample."""
        if instruction.leaf is not None:
            whole = instruction.type.per_sample and not self.lanes
        else:
            whole = instruction.type.per_sample and instruction in self.full
        return ("block" if self.lanes else "n",) if whole else ()

    def _place(self, item: Item, where: Where, axis: Axis) -> str:
        """Instead of a loop, the one value of an axis at which a term counts; 0 where there is none."""
        read = substitute(item.formula.reads[-1], (*item.formula.axes, *_own(item)), where)
        position = grouped(self._read(item.instruction.inputs[-1], read, 0.0), SUM)
        return f"int({position}) if 0 <= {position} < {axis.extent} else 0"

    def _product(self, item: Item) -> list[Statement]:
        """A product of matrices over all samples."""
        factors, instruction = self.plan.products[item.instruction], item.instruction
        left, right = self._array(factors.left), self._array(factors.right)
        left, right = left + ".T" * factors.left_transposed, right + ".T" * factors.right_transposed
        comment = self._comment(instruction)
        if factors.scale is None or factors.keep is None:
            self.needed.add(instruction)
            return [Comment(comment), Product(self.array_names[instruction], left, right)]
        target = self.updated[instruction]
        numbers = (self._value(number, ())[0] for number in (factors.scale, factors.keep))
        return [Comment(f"{self.symbols[target]} := {comment}"), Product(target, left, right, *numbers)]

    def _array(self, instruction: Instruction) -> str:
        if instruction.leaf is not None:
            return self.leaf_names[instruction.leaf]
        self.needed.add(instruction)
        return self.array_names[instruction]

    def _comment(self, instruction: Instruction) -> str:
        node = self.program.names.get(instruction)
        line = _ROLES.get(self.roles.get(instruction, ""), instruction.op.name)
        line = (written(node) if node is not None else "") or line
        rule = self.program.notes.get(instruction)
        return f"{line}   [{rule}]" if rule else line

    # -- values --------------------------------------------------------------------------------------------------

    def _body(self, instruction: Instruction, formula: Formula, where: Where, axes: tuple[Axis, ...]) -> Text:
        """The scalar body of an instruction where its axes take the values `where`."""
        operands = [
            self._read(operand, substitute(read, axes, where), formula.outside)
            for operand, read in zip(instruction.inputs, formula.reads, strict=True)
        ]
        running = dict(zip(axes, where, strict=True))
        operands += [self._running(axis, running) for axis in formula.values]
        if formula.body is None:
            return self._terms(operands, formula, axes, where)
        text = text_of(formula.body, operands, self.dtype, self._lanes_here)
        called = set(re.findall(r"[a-z][a-z0-9]*", text[0])) & IMPORTED
        self.functions.update(called)
        self.wide.update(called & VECTORISED if self.innermost >= WIDE or self.lanes else ())
        return text

    def _running(self, axis: Axis, running: Mapping[Axis, Index]) -> Text:
        """The value of a running index, as a number that is computed with."""
        if axis is not SAMPLES:
            return f"real({_index(running[axis])})", ATOM
        first = f"{LANES[self.dtype]} * block"
        return (f"numbered(memory, {first})", ATOM) if self.lanes else ("real(n)", ATOM)

    def _terms(self, operands: list[Text], formula: Formula, axes: tuple[Axis, ...], where: Where) -> Text:
        """A product with its weights, where its conditions hold."""
        limits = [limit for _, limit in formula.within]
        indices = substitute(tuple(index for index, _ in formula.within), axes, where)
        tests = [test for index, limit in zip(indices, limits, strict=True) for test in self._tests(index, limit)]
        chosen = None
        if formula.chosen is not None:
            *operands, position = operands
            (place,) = substitute((formula.chosen,), axes, where)
            chosen = f"{grouped(position, SUM)} == {_index(place)}"
            if not self._lanes_here:
                tests.append(chosen)
        for index, numbers in formula.weights:
            (place,) = substitute((index,), axes, where)
            operands = [*operands, (f"{self._table('weights', numbers)}[{_index(place)}]", ATOM)]
        first, *others = operands or [literal(1.0, self.dtype)]
        text = first
        if others:
            text = " * ".join([grouped(first, PRODUCT), *(grouped(other, UNARY) for other in others)]), PRODUCT
        if chosen is not None and self._lanes_here:
            text = f"choose({chosen}, {text[0]}, {literal(0.0, self.dtype)[0]})", ATOM
        if not tests:
            return text
        return f"{grouped(text, SUM)} if {' and '.join(tests)} else {literal(0.0, self.dtype)[0]}", CHOICE

    def _table(self, stem: str, numbers: tuple[float, ...]) -> str:
        """The name of an array of constants."""
        if (stem, numbers) not in self.tables:
            self.tables[stem, numbers] = self.locals_taken.unique(stem)
        return self.tables[stem, numbers]

    def _index(self, index: Index) -> str:
        """An index as source, through its table where it has one."""
        return f"{self._table('places', index.table)}[{_index(index)}]" if index.table else _index(index)

    def _tests(self, index: Index, extent: int) -> list[str]:
        """What must hold for an index to be whole and within its axis."""
        if index.stays_inside(extent) or (index in self.whole and index.divisor == 1):
            return []
        low, high = index.range()
        shown = self._index(replace(index, divisor=1))
        tests = [f"{_apart(shown)} % {index.divisor} == 0"] if index.divisor > 1 and index not in self.whole else []
        below, above = low < 0, high >= extent * index.divisor
        if below or above:
            tests.append(f"{'0 <= ' * below}{shown}{f' < {extent * index.divisor}' * above}")
        return tests

    def _read(self, instruction: Instruction, where: Where, outside: float) -> Text:
        """One element of an operand, or the value that stands for what lies outside of it."""
        shape = instruction.type.shape
        if len(where) != len(shape):
            return self._value(instruction, where)
        tests = [test for index, extent in zip(where, shape, strict=True) for test in self._tests(index, extent)]
        value = self._value(instruction, where)
        if not tests:
            return value
        self.functions.update({"inf"} if outside in (float("inf"), float("-inf")) else ())
        return f"{grouped(value, SUM)} if {' and '.join(tests)} else {literal(outside, self.dtype)[0]}", CHOICE

    def _value(self, instruction: Instruction, where: Where) -> Text:
        """One element of an instruction's value."""
        if (number := instruction.constant) is not None:
            return literal(number, self.dtype)
        if isinstance(instruction.op, BatchSize):
            return "real(N)", ATOM
        if instruction.leaf is not None:
            self.used.add(instruction.leaf)
            return self._element_of(self.leaf_names[instruction.leaf], instruction, where), ATOM
        if instruction in self.plan.inline:
            formula = instruction.op.formula(*(operand.type for operand in instruction.inputs))
            return self._body(instruction, formula, where, formula.axes)
        item = self.plan.items[instruction]
        if item.nest is self.here and instruction in self.done and where == self._own_place(item.nest):
            return self.local[instruction], ATOM
        if not instruction.type.shape and (item.nest is not self.here) and self._in_scope(item):
            return self.local[instruction], ATOM
        self.needed.add(instruction)
        return self._element_of(self.array_names[instruction], instruction, where), ATOM

    def _element_of(self, name: str, instruction: Instruction, where: Where) -> str:
        """An element of an array; by its number, through a view of the array that has one axis, if `where` is one."""
        sample = self._sample(instruction)
        if len(where) == len(instruction.type.shape):
            return _element(name, (*sample, *map(self._index, self._stored(instruction, where))))
        if name not in self.flats:
            self.flats[name] = Flat(self.locals_taken.unique(f"{name}_flat"), name)
        (index,) = where
        before = f"{instruction.type.size} * {sample[0]} + " if sample else ""
        return f"{self.flats[name].name}[{before}{self._index(index)}]"

    def _in_scope(self, item: Item) -> bool:
        """A scalar is a local of the function, or of the loop over the samples that its reader is in as well.

        With a team, what is not per sample is known to the first thread, until it is read from the memory."""
        if item.instruction.type.per_sample:
            return self.here is not None and self.here in self.plan.phases[item.phase]
        return not self.team or (item.phase == self.phase and not item.over_samples)

    @property
    def full(self) -> set[Instruction]:
        """What needs an element for every sample: what is asked for, and what a later phase reads."""
        if not hasattr(self, "_full"):
            self._full = {
                i
                for i in self.plan.items
                if i.type.per_sample and (i in self.kept or i in self.plan.products or self._crosses(i))
            }
        return self._full

    def _crosses(self, instruction: Instruction) -> bool:
        mine = self.plan.items[instruction].phase
        stack = list(self._users(instruction))
        while stack:
            user = stack.pop()
            if user in self.plan.inline:
                stack.extend(self._users(user))
            elif self.plan.items[user].phase != mine:
                return True
        return False

    def _span(self, instruction: Instruction) -> tuple[int, int]:
        """The number of the nest that makes a value, and of the last one that reads it."""
        first = last = self.nests[self.plan.items[instruction].nest]
        stack = list(self._users(instruction))
        while stack:
            user = stack.pop()
            if user in self.plan.inline:
                stack.extend(self._users(user))
            else:
                last = max(last, self.nests[self.plan.items[user].nest])
        return first, last

    @cached_property
    def nests(self) -> dict[Nest, int]:
        """The nests of all phases, numbered in their order; those of a band have one number."""
        number: dict[Nest, int] = {}
        for k, nest in enumerate(nest for nests in self.plan.phases.values() for nest in nests):
            band = self.plan.bands.get(nest)
            number.setdefault(nest, k)
            number.update(dict.fromkeys(band.rows, number[nest]) if band is not None else ())
        return number

    def _users(self, instruction: Instruction) -> Iterable[Instruction]:
        if not hasattr(self, "_used_by"):
            self._used_by: dict[Instruction, list[Instruction]] = {}
            for user in self.program.order:
                for operand in user.inputs:
                    self._used_by.setdefault(operand, []).append(user)
        return self._used_by.get(instruction, [])

    # -- layout --------------------------------------------------------------------------------------------------

    def finish(self, results: tuple[Instruction, ...], number: Mapping[Instruction, int], first: bool) -> Step:
        """Lay out the memory and write the statements with what is known now."""
        ahead = {instruction: k for k, instruction in enumerate(results)} if first else {}
        items = sorted(self.plan.items.items(), key=lambda pair: ahead.get(pair[0], len(ahead)))
        self.layout = layout = lay_out(
            [
                Value(
                    instruction,
                    number[instruction],
                    self.array_names[instruction],
                    self._shape(instruction),
                    instruction in self.full,
                    item.phase if item.over_samples else None,
                    self.own_sums.get(instruction, ""),
                    self._span(instruction),
                )
                for instruction, item in items
                if instruction in self.kept or (instruction in self.needed and not self._is_local(instruction))
            ],
            [(self.leaf_names[leaf], leaf) for leaf in self.leaves if leaf in self.resident | self.in_lanes],
            [(name, shape, self.nests[nest]) for name, (shape, nest) in self.scratch.items()],
            LANES[self.dtype] if self.lanes else 1,
            self.team,
        )
        arguments = tuple(
            Argument(self.given.get(leaf, self.leaf_names[leaf]), leaf.shape, leaf.per_sample)
            for leaf in self.leaves
            if leaf not in self.resident
        )
        phases, returned = self.statements(), self.returned()
        sections = {s.instruction: s for s in layout.sections if s.instruction is not None}
        return Step(
            self.title,
            arguments,
            layout.sections,
            tuple(self.flats.values()),
            layout.memory,
            phases,
            [sections[number[i]] if number.get(i) in sections else self._value(i, _zeros(i))[0] for i in results],
            returned,
            bool(self.program.updates),
            self.dtype,
            LANES[self.dtype] if self.lanes else 1,
            self.team,
            frozenset(self.functions),
            frozenset(self.wide),
            {name: numbers for (_, numbers), name in self.tables.items()},
            list(self.sums.values()),
            bool(self.plan.products),
            self._work(),
        )

    def _work(self) -> int:
        """About how many numbers are computed for each sample."""
        return sum(
            math.prod(axis.extent or 1 for axis in (*item.formula.axes, *item.formula.over))
            for item in self.plan.items.values()
            if item.phase % 2 or item.instruction in self.plan.products
        )

    def _is_local(self, instruction: Instruction) -> bool:
        return not instruction.type.shape and not instruction.type.per_sample and not self.team


def _zeros(instruction: Instruction) -> Where:
    return tuple(Index() for _ in instruction.type.shape)


def _own(item: Item) -> tuple[Axis, ...]:
    """What an item sums up inside of one sample."""
    return tuple(axis for axis in item.formula.over if axis is not SAMPLES) if item.over_samples else item.formula.over


def _nested(loops: Sequence[Loop], body: list[Statement]) -> list[Statement]:
    """Loops inside each other, the first one outermost."""
    for loop in reversed(loops):
        body = [replace(loop, body=body)]
    return body


def _minus(number: int, index: Index) -> Index:
    return Index(tuple((axis, -factor) for axis, factor in index.terms), number - index.offset)


def _plus(index: Index, number: int) -> Index:
    return replace(index, offset=index.offset + number)


def _at(axes: Iterable[Axis]) -> Where:
    """The running indices; along an axis of one element there is no loop, and the index is 0."""
    return tuple(Index() if axis.extent == 1 else Index(((axis, 1),)) for axis in axes)


def _names(axes: tuple[Axis, ...]) -> tuple[str, ...]:
    return tuple(map(_index, _at(axes)))


def _in_order(axes: tuple[Axis, ...]) -> str:
    """The position among the axes, counted in order."""
    terms, count = [], 1
    for axis in reversed(axes):
        terms += [(axis, count)] * (axis.extent != 1)
        count *= axis.extent or 1
    return _index(Index(tuple(reversed(terms))))


def _apart(text: str) -> str:
    """Text in parentheses, unless it is one name or one number."""
    return text if text.isidentifier() or text.isdigit() else f"({text})"


def _index(index: Index) -> str:
    """An affine index as source, whatever table it goes through."""
    if index.divisor > 1:
        return f"{_apart(_index(replace(index, divisor=1)))} // {index.divisor}"
    shown = ""
    for axis, factor in index.terms:
        part = axis.name if abs(factor) == 1 else f"{abs(factor)} * {axis.name}"
        shown = f"{shown} {'-' if factor < 0 else '+'} {part}" if shown else f"{'-' * (factor < 0)}{part}"
    if index.offset or not shown:
        sign = "-" if index.offset < 0 else "+"
        shown = f"{shown} {sign} {abs(index.offset)}" if shown else str(index.offset)
    return shown


def _element(array: str, index: tuple[str, ...]) -> str:
    return f"{array}[{', '.join(index) or '()'}]"
