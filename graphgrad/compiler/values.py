"""Values as text: where each element lies, and the expression that computes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property

from graphgrad.compiler.bodies import text_of
from graphgrad.compiler.indices import Terms, Where, apart, element, running, shown
from graphgrad.compiler.lifetimes import Lifetimes
from graphgrad.compiler.loops import Comment, Flat, Store, SumOfProducts, SumOfWinners
from graphgrad.compiler.names import FIRST, LOOP_NAMES, ROW, Names
from graphgrad.compiler.program import Instruction, Program, described, formula_of, written
from graphgrad.compiler.rectified import BEHIND
from graphgrad.compiler.scalar import ATOM, CHOICE, FUNCTIONS, PRODUCT, SUM, UNARY, Text, grouped, literal
from graphgrad.compiler.schedule import Item, Nest, Schedule, substitute
from graphgrad.compiler.units import LANES
from graphgrad.graph import Axis, Formula, Index, Node
from graphgrad.ops.batch import SAMPLES, BatchSize

IMPORTED = frozenset({*FUNCTIONS.values(), "sqrt", "copysign", "inf", "nan"})
VECTORISED = frozenset({"exp", "expm1", "log", "log1p", "tanh", "sin", "cos", "erf"})
"""The functions that have a vector form, for long loops and for lanes."""
WIDE = 8
"""From how many elements in the innermost loop on a function is built of vector instructions, which compile slower."""
_ROLES = {"scale": "what the gradient is multiplied by", "keep": "what is kept of the weights"}


class Values:
    """The names and places of all values of a program, as one nest of loops after the other is written."""

    grid = False
    """Whether each element is computed by a thread of a grid of them."""

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
        names = Names()
        self.leaf_names = {leaf: names.unique(leaf.op.name) for leaf in leaves}
        self.given = {leaf: names.unique(f"{leaf.op.name}_data") for leaf in self.in_lanes}
        self.array_names: dict[Instruction, str] = {}
        descents = [factors for factors in plan.products.values() if factors.scale is not None]
        roles: dict[Instruction | None, str] = {factors.keep: "keep" for factors in descents}
        roles |= {factors.scale: "scale" for factors in descents}
        self.roles = roles
        self.updated = {update.value: self.leaf_names[update.target] for update in program.updates}
        for instruction in plan.items:
            if instruction in self.updated:
                self.array_names[instruction] = self.updated[instruction]
                continue
            node = program.names.get(instruction)
            label = node.name if node is not None else None
            stem = label.ident if label else roles.get(instruction, instruction.op.name)
            self.array_names[instruction] = names.unique(stem)
        self.locals_taken = names
        self.symbols = {self.leaf_names[leaf]: leaf.name.text for leaf in leaves if leaf.name is not None}
        self.local: dict[Instruction, str] = {}
        for instruction, item in plan.items.items():
            axes = "".join(LOOP_NAMES[k] for k in range(len(item.nest.axes)))
            scope = axes or ("n" if instruction.type.per_sample else "value" * team)
            stem = self.array_names[instruction]
            self.local[instruction] = names.unique(f"{stem}_{scope}") if scope else stem
        self.own_sums = {
            instruction: names.unique(
                f"{self.array_names[instruction]}_{'lanes' if lanes and instruction not in plan.winners else 'own'}"
            )
            for instruction, item in plan.items.items()
            if team and not self.grid and item.over_samples
        }
        self.phase = 0
        self.used: set[Node] = set()
        self.needed: set[Instruction] = set()
        self.here: Nest | None = None
        self.done: set[Instruction] = set()
        self.looping = False  # whether what is written is in loops
        self.by_all = False  # whether all threads of a team run it, and not the first one alone
        self.scalars: dict[str, str] = {}
        self.known: set[str] = set()
        self.functions: set[str] = set()
        self.wide: set[str] = set()
        self.innermost = 1
        self.flats: dict[str, Flat] = {}
        self.whole: set[Index] = set()
        self.guards: dict[Terms, tuple[int, int]] = {}
        self.scratch: dict[str, tuple[tuple[int, ...], Nest | None]] = {}
        self.parts: dict[str, tuple[int, ...]] = {}
        self.stores: dict[int, tuple[Store, Instruction]] = {}
        self.made: dict[tuple[str, ...], str] = {}
        self.sums: dict[str, SumOfProducts | SumOfWinners] = {}
        self.tables: dict[tuple[str, tuple[float, ...]], str] = {}

    def _axes(self, nest: Nest) -> tuple[Axis, ...]:
        """The axes of a nest by the names of their loops; in a band, one of them has its rows only."""
        axes = [Axis(LOOP_NAMES[k], axis.extent) for k, axis in enumerate(nest.axes)]
        if (band := self.plan.bands.get(nest)) is not None:
            rows = band.rows[nest]
            axes[rows.position] = Axis(axes[rows.position].name, rows.count)
        return tuple(axes)

    def _own_place(self, nest: Nest) -> Where:
        """The running indices of a nest, as they are in the whole of its arrays."""
        where = list(running(self._axes(nest)))
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

    def _own_name(self, *parts: str) -> str:
        """A name of its own for these parts, the same one when asked again."""
        if parts not in self.made:
            self.made[parts] = self.locals_taken.unique("_".join(parts))
        return self.made[parts]

    def own_sum(self, instruction: Instruction) -> str:
        """The array in which a thread adds up a sum over its samples."""
        return self.own_sums.get(instruction, self.array_names[instruction])

    def _comment(self, instruction: Instruction, target: str = "") -> Comment:
        """The formula of an instruction, which may be the new value of a parameter."""
        new = f"{self.symbols[target]} := " if target else ""
        return Comment(lambda: new + self._line(instruction))

    def _line(self, instruction: Instruction) -> str:
        node = self.program.names.get(instruction)
        rule = self.program.notes.get(instruction)
        line = _ROLES.get(self.roles.get(instruction, ""), "") or (written(node) if node is not None else "")
        if not line or rule == BEHIND:
            line = described(instruction, self.program.names)
            line = f"{node.name.text} = {line}" if node is not None and node.name is not None else line
        return f"{line}   [{rule}]" if rule else line

    def _array(self, instruction: Instruction) -> str:
        if instruction.leaf is not None:
            return self.leaf_names[instruction.leaf]
        self.needed.add(instruction)
        return self.array_names[instruction]

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
            return f"real({shown(running[axis])})", ATOM
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
            chosen = f"{grouped(position, SUM)} == {shown(place)}"
            if not self._lanes_here:
                tests.append(chosen)
        for index, numbers in formula.weights:
            (place,) = substitute((index,), axes, where)
            operands = [*operands, (f"{self._table('weights', numbers)}[{shown(place)}]", ATOM)]
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
        return f"{self._table('places', index.table)}[{shown(index)}]" if index.table else shown(index)

    def _tests(self, index: Index, extent: int) -> list[str]:
        """What must hold for an index to be whole and within its axis."""
        if index.stays_inside(extent) or (index in self.whole and index.divisor == 1):
            return []
        low, high = self._range(index)
        shown = self._index(replace(index, divisor=1))
        tests = [f"{apart(shown)} % {index.divisor} == 0"] if index.divisor > 1 and index not in self.whole else []
        below, above = low < 0, high >= extent * index.divisor
        if below or above:
            tests.append(f"{'0 <= ' * below}{shown}{f' < {extent * index.divisor}' * above}")
        return tests

    def _range(self, index: Index) -> tuple[int, int]:
        """The smallest and the largest value of an index before it is divided, where the tests around it hold."""
        low, high = index.range()
        if index in self.whole:  # a multiple of its divisor
            low, high = -(-low // index.divisor) * index.divisor, high // index.divisor * index.divisor
        if index.table or index.terms not in self.guards:
            return low, high
        least, most = self.guards[index.terms]
        return max(low, least + index.offset), min(high, most + index.offset)

    def _guarded(self, where: Where, shape: tuple[int, ...]) -> dict[Terms, tuple[int, int]]:
        """Between which numbers the moving parts of indices lie where an element is inside of its array."""
        found = dict(self.guards)
        for index, extent in zip(where, shape, strict=True):
            if not index.table and all(axis.extent is not None for axis, _ in index.terms):
                low, high = self._range(index)
                high = min(high, extent * index.divisor - 1)
                found[index.terms] = max(low, 0) - index.offset, high - index.offset
        return found

    def _read(self, instruction: Instruction, where: Where, outside: float) -> Text:
        """One element of an operand, or the value that stands for what lies outside of it."""
        shape = instruction.type.shape
        if len(where) != len(shape):
            return self._value(instruction, where)
        tests = [test for index, extent in zip(where, shape, strict=True) for test in self._tests(index, extent)]
        if not tests:
            return self._value(instruction, where)
        outer, self.guards = self.guards, self._guarded(where, shape)
        value = self._value(instruction, where)
        self.guards = outer
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
            name = self.leaf_names[instruction.leaf]
            return self._number(name, instruction) or (self._element_of(name, instruction, where), ATOM)
        if instruction in self.plan.inline:
            formula = formula_of(instruction)
            return self._body(instruction, formula, where, formula.axes)
        item = self.plan.items[instruction]
        here = item.nest is self.here and instruction in self.done and where == self._own_place(item.nest)
        if here and not self._is_from_first(item):
            return self.local[instruction], ATOM
        if not instruction.type.shape and (item.nest is not self.here) and self._in_scope(item):
            return self.local[instruction], ATOM
        self.needed.add(instruction)
        name = self.array_names[instruction]
        return self._number(name, instruction) or (self._element_of(name, instruction, where), ATOM)

    def _number(self, name: str, instruction: Instruction) -> Text | None:
        """A number for all samples, read once before the loops that need it: a compiler cannot tell that they leave it
        as it is. None for anything else."""
        if instruction.type.shape or instruction.type.per_sample or not self.looping:
            return None
        local = self.local.get(instruction) or self._own_name(name, "value")
        self.scalars[local] = f"{name}[()]"
        return local, ATOM

    def _element_of(self, name: str, instruction: Instruction, where: Where) -> str:
        """An element of an array; by its number, through a view of the array that has one axis, if `where` is one."""
        sample = self._sample(instruction)
        if len(where) == len(instruction.type.shape):
            return element(name, (*sample, *map(self._index, self._stored(instruction, where))))
        (index,) = where
        before = f"{instruction.type.size} * {sample[0]} + " if sample else ""
        return f"{self._flat(name)}[{before}{self._index(index)}]"

    def _flat(self, name: str) -> str:
        """The view of an array by its elements in order."""
        if name not in self.flats:
            self.flats[name] = Flat(self.locals_taken.unique(f"{name}_flat"), name)
        return self.flats[name].name

    def _in_scope(self, item: Item) -> bool:
        """A scalar is a local of the function, or of the loop over the samples that its reader is in as well.

        With a team, what is not per sample is known to the first thread, until it is read from the memory."""
        if item.instruction.type.per_sample:
            return self.here is not None and self.here.items[0].phase == item.phase
        return not self.team or (item.phase == self.phase and not item.over_samples and not self.by_all)

    def _is_from_first(self, item: Item) -> bool:
        """Whether a number of the same nest is made by the first thread, and read by all."""
        return self.by_all and not item.nest.axes

    def _is_local(self, instruction: Instruction) -> bool:
        return not instruction.type.shape and not instruction.type.per_sample and not self.team

    @property
    def full(self) -> set[Instruction]:
        """What needs an element for every sample: what is asked for, and what a later phase reads."""
        if not hasattr(self, "_full"):
            self._full = {
                i
                for i in self.plan.items
                if i.type.per_sample and (i in self.kept or i in self.plan.products or self.lifetimes.crosses(i))
            }
        return self._full

    @cached_property
    def lifetimes(self) -> Lifetimes:
        return Lifetimes(self.plan)
