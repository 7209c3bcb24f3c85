"""From a schedule to loops: names for everything, the layout of the memory, the statements of each nest."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from graphgrad.compiler.indices import Where, apart, in_order, names_of, running, shown, zeros
from graphgrad.compiler.layout import Layout, Value, lay_out
from graphgrad.compiler.loops import (
    Argument,
    Combine,
    Divided,
    Given,
    Let,
    Loop,
    Product,
    Samples,
    Shared,
    Statement,
    Step,
    Store,
)
from graphgrad.compiler.names import LOOP_NAMES, ROW
from graphgrad.compiler.panels import panels_of
from graphgrad.compiler.program import Instruction, Program
from graphgrad.compiler.scalar import ATOM, SUM, grouped, literal
from graphgrad.compiler.schedule import Item, Nest, schedule, substitute
from graphgrad.compiler.starts import with_starts
from graphgrad.compiler.sums import Sums
from graphgrad.compiler.units import LANES, MANY
from graphgrad.compiler.updates import detached
from graphgrad.graph import Axis, Formula, Index, Node
from graphgrad.ops.batch import SAMPLES

STRETCH = 4096
"""How many terms of a very long sum are added up before their sum is added to the whole."""

AFTERWARDS = -2
"""A phase after all others, shared by all samples."""
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
    on: type[Lowering] | None = None,
) -> Step:
    """The loops of a program; `leaves` are its arguments in order, `returns` is the scalar that the step returns.

    On `lanes`, samples are computed a block at a time; a `team` of threads shares them; `resident` parameters are in
    one array, from step to step, and no arguments. The results may come `first` in the memory, in their order. The loops
    may be made `on` other threads than those of a processor.
    """
    lowering = on or Lowering
    apart = detached(program)
    number = {instruction: k for k, instruction in enumerate(apart.program.order)}
    program, new = with_starts(apart.program, lanes, lowering.grid)
    number = {new[instruction]: k for instruction, k in number.items()}
    results, returns = tuple(new[one] for one in results), new[returns] if returns is not None else None
    pinned, late = (frozenset(new[one] for one in some) for some in (apart.pinned, apart.late))
    kept = frozenset(value for value in program.values.values() if value.inputs and value is not returns)
    plan = schedule(program, kept | pinned, late, lanes, lowering.grid)
    found = lowering(program, plan, kept, leaves, title, dtype, returns, lanes, team, resident)
    return found.step(results, number, first)


def _winner(item: Item, nest: Nest) -> Item | None:
    """What finds in the same nest which of the numbers an item takes the largest of is that one."""
    formula, inputs = item.formula, item.instruction.inputs
    if formula.reduction != "max" or formula.body is not None:
        return None
    alike = replace(formula, reduction="argmax")
    found = (one for one in nest.items if one.formula == alike and one.instruction.inputs == inputs)
    return next((one for one in found if one.formula.body is None), None)


class Lowering(Sums):
    """Writes the statements of all phases."""

    stretch = STRETCH
    """From how many terms on a sum is a long one."""

    def step(self, results: tuple[Instruction, ...], number: Mapping[Instruction, int], first: bool) -> Step:
        """Write the statements, by which it is known what is read from the memory; lay that out."""
        bodies = {phase: self._body_of(phase, nests) for phase, nests in self.plan.phases.items()}
        self.here, self.phase = None, AFTERWARDS
        returned = None if self.returns is None else self._value(self.returns, ())[0]
        self._leave_out_idle_stores([body for body, _ in bodies.values()])
        layout = self._layout(results, number, first)
        sections = {s.instruction: s for s in layout.sections if s.instruction is not None}
        return Step(
            self.title,
            tuple(
                Argument(self.given.get(leaf, self.leaf_names[leaf]), leaf.shape, leaf.per_sample)
                for leaf in self.leaves
                if leaf not in self.resident
            ),
            layout.sections,
            tuple(self.flats.values()),
            layout.memory,
            [one for phase, body in bodies.items() for one in self._phase(phase, *body, layout)],
            [sections[number[i]] if number.get(i) in sections else self._value(i, zeros(i))[0] for i in results],
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
            *self._work(),
        )

    def _body_of(self, phase: int, nests: list[Nest]) -> tuple[list[Statement], list[Given]]:
        """The statements of a phase, and the inputs that it brings into lanes."""
        self.phase, self.used, self.known = phase, set(), set()
        body = [statement for nest in nests for statement in self._nest_or_band(nest)]
        used = [leaf for leaf in self.leaves if leaf in self.used & self.in_lanes]
        return body, [Given(self.given[leaf], self.leaf_names[leaf]) for leaf in used]

    def _phase(self, phase: int, body: list[Statement], given: list[Given], layout: Layout) -> list[Samples | Shared]:
        """A phase with its place in the memory; one thread alone has sums over the samples in locals."""
        if phase % 2 == 0:
            return [Shared(body)]
        items = (item for nest in self.plan.phases[phase] for item in nest.items)
        scalars = [item.instruction for item in items if item.over_samples and not item.nest.axes]
        if self.team or not scalars:
            sums = layout.sums.get(phase, (0, 0)) if self.team else (0, 0)
            return [Samples(body, given, sums, layout.partial.get(phase, 0), layout.plain.get(phase, 0))]
        start = literal(0.0, self.dtype)[0]
        return [
            Shared([Let(self.local[one], start) for one in scalars]),
            Samples(body, given),
            Shared([Store(self.array_names[one], (), self.local[one]) for one in scalars if one in self.kept]),
        ]

    def _leave_out_idle_stores(self, stack: list[list[Statement]]) -> None:
        """Leave out of these bodies what is stored and never read, now that all is written."""
        idle = {id(store) for store, instruction in self.stores.values() if instruction not in self.needed}
        while stack:
            lines = stack.pop()
            lines[:] = [line for line in lines if id(line) not in idle]
            inner = (line.loop if isinstance(line, Divided) else line for line in lines)
            stack.extend(loop.body for loop in inner if isinstance(loop, Loop))

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
        if nest.items[0].instruction in self.plan.winners:
            return self._winners(nest.items[0])
        if nest.items[0].instruction in self.plan.tiled:
            return self._tiles(nest.items[0])
        self.here, self.done = nest, set()
        axes = [axis for axis in self._axes(nest) if axis.extent != 1]
        loops = self._around(nest, axes)
        self.by_all, self.scalars = self._is_divided(axes, nest), {}
        inner: list[Statement] = []
        winners = {item: winner for item in nest.items if (winner := _winner(item, nest)) is not None}
        ordered = [one for item in nest.items for one in (winners.get(item, item), item)]
        for item in dict.fromkeys(ordered):
            self.looping = bool(loops or item.own)
            lines = self._item(item, nest, winners.get(item))
            inner += lines if loops else [*self._numbers(), *lines]
            self.done.add(item.instruction)
        divided, scalars = self.by_all, self._numbers()
        self.here, self.looping, self.by_all = None, False, False
        if divided:
            return [Divided(scalars, replace(loops[0], body=nested(loops[1:], inner)), len(loops) if self.grid else 1)]
        return [*scalars, *nested(loops, inner)]

    def _around(self, nest: Nest, axes: Sequence[Axis]) -> list[Loop]:
        """The loops in which the statements of a nest are written."""
        return [Loop(axis.name, axis.extent) for axis in axes]

    def _is_divided(self, axes: Sequence[Axis], nest: Nest) -> bool:
        """Whether the threads of a team share the loops of a nest, which is done once for the step."""
        over = max(math.prod(axis.extent or 1 for axis in item.own) for item in nest.items)
        return self._once and bool(axes) and over * math.prod(axis.extent or 1 for axis in axes) >= MANY

    @property
    def _once(self) -> bool:
        """Whether what is written is done once for the step, by a team of threads."""
        return self.team and self.phase % 2 == 0

    def _numbers(self) -> list[Let]:
        """The numbers that are read before the loops: once for a phase, but by each thread where all run them."""
        new = {name: text for name, text in self.scalars.items() if self.by_all or name not in self.known}
        self.known |= new.keys() if not self.by_all else set()
        self.scalars = {}
        return [Let(name, text) for name, text in new.items()]

    def _item(self, item: Item, nest: Nest, winner: Item | None) -> list[Statement]:
        """The statements of an item; the largest of some numbers is known where it has been found which one it is."""
        instruction, name = item.instruction, self.local[item.instruction]
        axes = self._axes(nest)
        over = tuple(Axis(LOOP_NAMES[len(axes) + k], axis.extent) for k, axis in enumerate(item.own))
        own = self._own_place(nest)
        where = (*own, *running(over))
        loops = self._loops(item.formula, axes, over, where)
        self.innermost = (*axes, *over)[-1].extent or 1 if (*axes, *over) else 1
        comment, long = self._comment(instruction), self._is_long(item, over, loops)
        if long and self._once and not nest.axes:
            return [comment, *self._summed_by_all(item, own, where, loops)]
        value = self._body(instruction, item.formula, where, (*item.formula.axes, *item.own))
        lines: list[Statement] = [comment]
        if item.over_samples and over:
            inner = self._own_name(name, "n")
            lines += [Let(inner, literal(0.0, self.dtype)[0]), *nested(loops, [Combine(inner, "sum", value[0])])]
            value = inner, ATOM
        if item.over_samples:
            text = f"choose(alive, {value[0]}, {literal(0.0, self.dtype)[0]})" if self.lanes else value[0]
            if nest.axes or self.team:
                self.needed.add(instruction)
                lines.append(Store(self.own_sum(instruction), names_of(axes), text, add=True))
            else:
                lines.append(Combine(name, "sum", text))
            return lines
        if instruction in self.updated:
            target, lines = self.updated[instruction], []
            if self.lifetimes.is_read(instruction):
                lines, value = [Let(name, value[0])], (name, ATOM)
            return [self._comment(instruction, target), *lines, Store(target, names_of(axes), value[0])]
        if item.formula.reduction is None:
            lines.append(Let(name, value[0]))
        elif winner is not None:
            lines.append(Let(name, f"{self.local[winner.instruction]}_best"))
        elif long:
            lines += self._in_stretches(loops, name, value[0])
        else:
            start = literal(_START[item.formula.reduction], self.dtype)[0]
            lines.append(Let(name, start))
            self.functions.update({"inf"} if "inf" in start else ())
            if item.formula.reduction == "argmax":
                lines.append(Let(f"{name}_best", literal(float("-inf"), self.dtype)[0]))
                self.functions.add("inf")
            body: list[Statement] = [Combine(name, item.formula.reduction, value[0], in_order(over))]
            picked = next((axis for axis, own in zip(over, item.own, strict=True) if own == item.formula.picked), None)
            if self._lanes_here or (picked is not None and picked.extent == 1):
                picked = None  # each lane would have another place
            if picked is not None:
                body = [Let(picked.name, self._place(item, where, picked)), *body]
            lines.extend(nested([loop for loop in loops if picked is None or loop.axis != picked.name], body))
        return [*lines, *self._in_memory(item, own)]

    def _in_memory(self, item: Item, own: Where) -> list[Statement]:
        """An element goes into the memory; if it is not kept, the store is left out in the end where nothing reads it."""
        instruction = item.instruction
        if instruction not in self.kept and self._is_local(instruction):
            return []
        place = tuple(map(shown, self._stored(instruction, own)))
        store = Store(self.array_names[instruction], (*self._sample(instruction), *place), self.local[instruction])
        if instruction not in self.kept:
            self.stores[id(store)] = store, instruction
        return [store]

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
                loop = replace(found[axis], start=f"{apart(shown(start))} % {index.divisor}", step=index.divisor)
                if found[axis].step == 1 or found[axis] == loop:
                    found[axis] = loop
                    self.whole.add(index)
        return list(found.values())

    def _is_long(self, item: Item, over: tuple[Axis, ...], loops: list[Loop]) -> bool:
        """Whether a sum has so many terms that it is made in stretches."""
        plain = item.formula.reduction == "sum" and item.formula.picked is None
        return plain and math.prod(a.extent or 1 for a in over) > self.stretch and all(loop.step == 1 for loop in loops)

    def _in_stretches(self, loops: list[Loop], name: str, value: str) -> list[Statement]:
        """A very long sum as one of sums: no number takes more than some thousand terms, so that few digits are lost."""
        part, zero = self._own_name(name, "part"), literal(0.0, self.dtype)[0]
        outer, inner = stretched(loops, Combine(part, "sum", value), self.stretch)
        return [Let(name, zero), *nested(outer, [Let(part, zero), inner, Combine(name, "sum", part)])]

    def _summed_by_all(self, item: Item, own: Where, where: Where, loops: list[Loop]) -> list[Statement]:
        """The same by a team of threads: each adds up some of the parts, and the first one brings them together."""
        name, zero = self.local[item.instruction], literal(0.0, self.dtype)[0]
        part, parts = self._own_name(name, "part"), self._own_name(name, "parts")
        self.by_all = True
        value = self._body(item.instruction, item.formula, where, item.own)[0]
        numbers, self.by_all = self._numbers(), False
        (first, *outer), inner = stretched(loops, Combine(part, "sum", value), STRETCH)
        self.parts[parts] = (first.extent or 1,)
        store = Store(parts, (first.axis,), part)
        body: list[Statement] = [Let(part, zero), inner, store]
        if outer:
            row = self._own_name(name, "row")
            within = nested(outer, [Let(part, zero), inner, Combine(row, "sum", part)])
            body = [Let(row, zero), *within, replace(store, text=row)]
        together = Loop(first.axis, first.extent, [Combine(name, "sum", f"{parts}[{first.axis}]")])
        return [Divided(numbers, replace(first, body=body)), Let(name, zero), together, *self._in_memory(item, own)]

    def _place(self, item: Item, where: Where, axis: Axis) -> str:
        """Instead of a loop, the one value of an axis at which a term counts; 0 where there is none."""
        read = substitute(item.formula.reads[-1], (*item.formula.axes, *item.own), where)
        position = grouped(self._read(item.instruction.inputs[-1], read, 0.0), SUM)
        return f"int({position}) if 0 <= {position} < {axis.extent} else 0"

    def _product(self, item: Item) -> list[Statement]:
        """A product of matrices over all samples."""
        factors, instruction = self.plan.products[item.instruction], item.instruction
        left, right = self._array(factors.left), self._array(factors.right)
        left, right = left + ".T" * factors.left_transposed, right + ".T" * factors.right_transposed
        if factors.scale is None or factors.keep is None:
            self.needed.add(instruction)
            return [self._comment(instruction), Product(self.array_names[instruction], left, right, room=self._room())]
        target, self.by_all = self.updated[instruction], True
        scale, keep = (self._value(number, ())[0] for number in (factors.scale, factors.keep))
        self.by_all = False
        return [self._comment(instruction, target), Product(target, left, right, scale, keep, self._room())]

    def _room(self) -> str:
        """Where products copy their matrices to, piece by piece; one after the other has it."""
        if self.grid:
            return ""
        name = self._own_name("product", "room")
        self.scratch[name] = (panels_of(LANES[self.dtype]).room,), None
        return name

    def _layout(self, results: tuple[Instruction, ...], number: Mapping[Instruction, int], first: bool) -> Layout:
        """The memory of all that is kept or read; results may come first in it."""
        ahead = {instruction: k for k, instruction in enumerate(results)} if first else {}
        items = sorted(self.plan.items.items(), key=lambda pair: ahead.get(pair[0], len(ahead)))
        return lay_out(
            [
                Value(
                    instruction,
                    number[instruction],
                    self.array_names[instruction],
                    self._shape(instruction),
                    instruction in self.full,
                    item.phase if item.over_samples and not self.grid else None,
                    self.own_sums.get(instruction, ""),
                    item.over_samples and instruction in self.plan.winners,
                    self.lifetimes.span(instruction),
                    instruction not in self.kept,
                    tuple(self.array_names[one] for one in self.lifetimes.over(instruction)),
                )
                for instruction, item in items
                if instruction in self.kept or (instruction in self.needed and not self._is_local(instruction))
                if instruction not in self.updated
            ],
            [(self.leaf_names[leaf], leaf) for leaf in self.leaves if leaf in self.resident | self.in_lanes],
            [(name, shape, self._nests_with(nest)) for name, (shape, nest) in self.scratch.items()],
            self.parts,
            LANES[self.dtype] if self.lanes else 1,
            self.team and not self.grid,
            self.grid,
            bool(self.plan.products),
        )

    def _nests_with(self, nest: Nest | None) -> tuple[int, int]:
        """The numbers of the nests that have a piece of working memory: one, or all of them."""
        number = self.lifetimes.number
        return (0, len(number)) if nest is None else (number[nest], number[nest])

    def _work(self) -> tuple[int, int]:
        """About how many numbers are computed for each sample, and once for the step."""
        each = once = 0
        for item in self.plan.items.values():
            count = math.prod(axis.extent or 1 for axis in (*item.formula.axes, *item.formula.over))
            if item.phase % 2 or item.instruction in self.plan.products:
                each += count
            else:
                once += count
        return each, once


def stretched(loops: list[Loop], term: Combine, most: int) -> tuple[list[Loop], Loop]:
    """Loops around a sum of at most so many terms, and the loop of that one."""
    *outer, last = loops
    extent = last.extent or 0
    inner = Loop(last.axis, extent, [term])
    if extent > most:
        outer.append(Loop("chunk", -(-extent // most)))
        inner = replace(inner, start=f"{most} * chunk", stop=f"min({most} * chunk + {most}, {extent})")
    return outer, inner


def nested(loops: Sequence[Loop], body: list[Statement]) -> list[Statement]:
    """Loops inside each other, the first one outermost; one that in its steps has a single turn is the index it has."""
    for loop in reversed(loops):
        single = loop.step == loop.extent and loop.step > 1
        body = [Let(loop.axis, loop.start), *body] if single else [replace(loop, body=body)]
    return body
