"""When and where each instruction runs: phases around the batch, and loop nests within a phase.

A phase is either shared (once per step) or a loop over the samples, in which everything that belongs to one sample is
computed while it is in the cache; a sum over the samples ends a phase for what depends on it. Within a phase,
instructions over the same indices share one nest of loops where they share arrays, as long as each reads its nest-mates at
its own index: what has nothing in common is in loops of its own, so that layers that are alike look alike.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphgrad.compiler.bands import Band, bands_of
from graphgrad.compiler.indices import Where
from graphgrad.compiler.products import Factors, as_product
from graphgrad.compiler.program import Instruction, Program, formula_of
from graphgrad.compiler.tiling import is_tiled, row_of
from graphgrad.compiler.winners import Stated, stated
from graphgrad.graph import Axis, Formula, Index
from graphgrad.ops.batch import SAMPLES
from graphgrad.ops.linear import Transpose

LONGEST_TEXT = 6
"""How many unnamed operations one line of source may hold."""

MOST = 48
"""How many instructions share one nest of loops; longer ones take the compiler long and are not faster."""


@dataclass(eq=False, slots=True)
class Item:
    """An instruction that has statements of its own, in the nest where it was placed."""

    instruction: Instruction
    formula: Formula
    phase: int
    nest: Nest

    @property
    def over_samples(self) -> bool:
        """Whether it sums over the samples, inside of the loop over them."""
        return SAMPLES in self.formula.over and self.phase % 2 == 1

    @property
    def own(self) -> tuple[Axis, ...]:
        """What it sums up inside of one sample."""
        over = self.formula.over
        return tuple(axis for axis in over if axis is not SAMPLES) if self.over_samples else over


@dataclass(eq=False, slots=True)
class Nest:
    """Loops over one index space, and the items computed in them, in order."""

    axes: tuple[Axis, ...]
    place: int  # in its phase
    items: list[Item] = field(default_factory=list)


@dataclass(slots=True)
class Schedule:
    """The phases (even ones shared, odd ones over the samples), their nests, and what is written inline."""

    phases: dict[int, list[Nest]]
    items: Mapping[Instruction, Item]
    inline: frozenset[Instruction]
    products: Mapping[Instruction, Factors]
    tiled: frozenset[Instruction] = frozenset()
    winners: Mapping[Instruction, Stated] = field(default_factory=dict)
    bands: Mapping[Nest, Band] = field(default_factory=dict)


def in_tiles(instruction: Instruction, lanes: bool, formula: Formula | None = None) -> bool:
    """Whether an instruction is a sum of products that is computed in register tiles."""
    if not instruction.inputs:
        return False
    formula = formula or formula_of(instruction)
    tiled = is_tiled(formula, [operand.type.per_sample for operand in instruction.inputs])
    return tiled and (lanes or row_in(instruction, formula) is not None)


def row_in(instruction: Instruction, formula: Formula) -> Axis | None:
    """The axis along which a sum of products of one sample is computed a few elements at once."""
    return row_of(formula, [operand.type.size for operand in (instruction, *instruction.inputs)])


def substitute(read: Where, axes: tuple[Axis, ...], where: Where) -> Where:
    """The indices of a read when its axes take the values `where`."""
    places = dict(zip(axes, where, strict=True))
    return tuple(index.placed(places) for index in read)


def resolved(
    instruction: Instruction, formula: Formula, inline: Container[Instruction]
) -> list[tuple[Instruction, Where]]:
    """What an instruction reads and where, in its own axes, looking through what is written inline."""
    found: list[tuple[Instruction, Where]] = []
    stack = list(zip(instruction.inputs, formula.reads, strict=True))
    while stack:
        operand, where = stack.pop()
        if operand in inline:
            inner = formula_of(operand)
            for deeper, read in zip(operand.inputs, inner.reads, strict=True):
                stack.append((deeper, substitute(read, inner.axes, where)))
        else:
            found.append((operand, where))
    return found


def schedule(
    program: Program,
    kept: frozenset[Instruction],
    late: frozenset[Instruction] = frozenset(),
    lanes: bool = False,
    grid: bool = False,
) -> Schedule:
    """Place the instructions of a program; `kept` ones must have statements of their own, `late` ones come last.

    On lanes, large products are made block by block of the samples like everything else. On a grid, each element is
    computed by a thread of its own: a sum over the samples is in loops apart from what is summed up, and there are no tiles.
    """
    return _Scheduler(program, kept, late, lanes, grid).run()


def _walks(read: Where, operand: Instruction) -> bool:
    """Whether a read stays inside its operand, so that what it reads may be written in its place."""
    shape = operand.type.shape
    return len(read) == len(shape) and all(
        index.stays_inside(extent) and not index.table for index, extent in zip(read, shape, strict=True)
    )


class _Scheduler:
    def __init__(
        self, program: Program, kept: frozenset[Instruction], late: frozenset[Instruction], lanes: bool, grid: bool
    ) -> None:
        self.late, self.lanes, self.grid = late, lanes, grid
        self.order = [instruction for instruction in program.order if instruction.inputs]
        self.kept = kept | {update.value for update in program.updates}
        self.names = program.names
        self.formulas = {instruction: formula_of(instruction) for instruction in self.order}
        self.users: dict[Instruction, list[Instruction]] = {}
        for instruction in self.order:
            for operand in instruction.inputs:
                self.users.setdefault(operand, []).append(instruction)
        in_registers = {} if grid else self.formulas
        self.tiled = {
            instruction for instruction, formula in in_registers.items() if in_tiles(instruction, lanes, formula)
        }
        self.winners = {
            instruction: found
            for instruction, formula in in_registers.items()
            if len(formula.reads) == 3 and (found := stated(formula, instruction.inputs[1].type.shape)) is not None
        }
        self.alone = self.tiled | self.winners.keys()
        self.jumped = {
            operand
            for user in self.order
            for operand, read in zip(user.inputs, self.formulas[user].reads, strict=True)
            if not _walks(read, operand)
        }
        factored = ((instruction, as_product(instruction)) for instruction in self.order if not lanes)
        self.products = {instruction: factors for instruction, factors in factored if factors is not None}
        self.factors = {one for factors in self.products.values() for one in (factors.left, factors.right)}
        self.jumped |= self.factors
        self.apart = self.alone | self.products.keys()
        if grid:
            self.apart |= {instruction for instruction in self.order if self._is_over_samples(instruction)}
        self.inline: set[Instruction] = set()
        self.weight: dict[Instruction, int] = {}
        self.available: dict[Instruction, int] = {}
        self.items: dict[Instruction, Item] = {}
        self.phases: dict[int, list[Nest]] = {}
        self.related: dict[tuple[Any, ...], tuple[Any, ...]] = {}  # by phase, indices and instruction
        self.using: dict[Any, list[int]] = {}  # the places in a phase of nests that have arrays in common

    def run(self) -> Schedule:
        for instruction in self.order:
            if self._is_inline(instruction):
                self.inline.add(instruction)
        after = self._phases()
        placed = [instruction for instruction in self.order if instruction not in self.inline]
        self.phase.update(dict.fromkeys(self.late.intersection(placed), after))
        self._relate(placed)
        for late in (False, True):
            for instruction in placed:
                if (instruction in self.late) is late:
                    self._place(instruction)
        phases, tiled = dict(sorted(self.phases.items())), frozenset(self.tiled)
        if self.grid:  # sums over the samples come last, where threads need not wait between them
            for nests in phases.values():
                nests.sort(key=lambda nest: self._is_over_samples(nest.items[0].instruction))
        bands = {
            nest: band
            for number, nests in phases.items()
            if number % 2 and self.lanes
            for band in bands_of(nests, tiled, self.kept, self.resolved, self._readers)
            for nest in band.rows
        }
        return Schedule(phases, self.items, frozenset(self.inline), self.products, tiled, self.winners, bands)

    def _is_over_samples(self, instruction: Instruction) -> bool:
        return SAMPLES in self.formulas[instruction].over and instruction not in self.products

    def _readers(self, instruction: Instruction) -> list[Instruction]:
        """What has statements of its own and reads an instruction, directly or inside of a line."""
        stack, found = list(self.users.get(instruction, ())), []
        while stack:
            user = stack.pop()
            if user in self.inline:
                stack.extend(self.users.get(user, ()))
            else:
                found.append(user)
        return found

    def _is_inline(self, instruction: Instruction) -> bool:
        """Whether the value is written inside the lines that use it: moves of an index, and short unnamed steps."""
        formula = self.formulas[instruction]
        weight = 1 + sum(self.weight.get(operand, 0) for operand in instruction.inputs if operand in self.inline)
        self.weight[instruction] = weight
        moved = self._moved_once(instruction)
        if instruction in self.kept or not formula.pointwise or (instruction in self.jumped and not moved):
            return False
        users = self.users.get(instruction, [])
        if any(user in self.alone for user in users):  # on lanes, a transposed operand is read by other indices
            turned = self.lanes and isinstance(instruction.op, Transpose)
            return turned and not any(user in self.winners for user in users)
        if self.lanes and self._is_read_turned(instruction):
            return isinstance(instruction.op, Transpose)
        if formula.body is None:
            return weight <= LONGEST_TEXT
        if len(users) != 1 or weight > LONGEST_TEXT:
            return False
        (user,) = users
        if self.formulas[user].pointwise:
            node = self.names.get(instruction)
            unnamed = node is None or node.name is None
            return unnamed and (moved or self._together(instruction, user))
        return self._read_once(instruction, user)

    def _is_read_turned(self, instruction: Instruction) -> bool:
        """Whether a sum of products reads the transpose of it, as an array by other indices."""
        turned = [user for user in self.users.get(instruction, ()) if isinstance(user.op, Transpose)]
        return any(
            user in self.alone or self._is_read_turned(one) for one in turned for user in self.users.get(one, ())
        )

    def _moved_once(self, instruction: Instruction) -> bool:
        """Whether all that reads it is a shift of indices, which puts each element in one place at most."""
        users = self.users.get(instruction, [])
        if len(users) != 1 or instruction in self.factors:
            return False
        (shift,) = users
        formula, further = self.formulas[shift], self.users.get(shift, [])
        if not formula.pointwise or formula.body is not None or len(formula.reads) != 1 or len(further) > 1:
            return False
        if any(not self._together(shift, user) and not self._read_once(shift, user) for user in further):
            return False
        (read,) = formula.reads
        axes = [axis for index in read for axis, _ in index.terms]
        return len(read) == len(instruction.type.shape) == len(axes) == len(set(axes)) and all(
            index.divisor == 1 and not index.table and all(abs(factor) == 1 for _, factor in index.terms)
            for index in read
        )

    def _together(self, instruction: Instruction, user: Instruction) -> bool:
        """Whether a user computes on each element, of a result of the same shape."""
        formula = self.formulas[user]
        return formula.pointwise and formula.body is not None and user.type == instruction.type

    def _read_once(self, instruction: Instruction, user: Instruction) -> bool:
        """Whether a reduction reads every element exactly once."""
        formula = self.formulas[user]
        reads = [r for o, r in zip(user.inputs, formula.reads, strict=True) if o is instruction]
        loops = {axis for axis in (*formula.axes, *formula.over) if axis is not SAMPLES}
        return len(reads) == 1 and {index.axis for index in reads[0]} == loops

    def _phases(self) -> int:
        """Find the phase of every instruction; returns a shared phase after all of them, for the updates."""
        self.phase: dict[Instruction, int] = {}
        for instruction in self.order:
            ready = max((self.available.get(operand, 0) for operand in self._awaited(instruction)), default=0)
            if instruction in self.inline:
                self.available[instruction] = ready
                continue
            whole = instruction in self.products
            sums = SAMPLES in self.formulas[instruction].over and not whole
            odd = sums or (instruction.type.per_sample and not whole)
            phase = ready if ready % 2 == odd else ready + 1
            self.phase[instruction] = phase
            self.available[instruction] = phase + sums
        last = max([*self.phase.values(), *self.available.values()], default=0)
        return last + 2 - last % 2

    def _awaited(self, instruction: Instruction) -> tuple[Instruction, ...]:
        factors = self.products.get(instruction)
        return (factors.left, factors.right) if factors else instruction.inputs

    def _relate(self, placed: Sequence[Instruction]) -> None:
        """Find what has arrays in common with what, among all that is computed in a phase over the same indices."""
        for instruction in placed:
            if instruction not in self.apart:
                read = [operand for operand, _ in self.resolved(instruction) if self._is_array(operand)]
                where = self._where(instruction)
                root = self._root((*where, instruction))
                self.related.update({self._root((*where, operand)): root for operand in read})

    def _is_array(self, operand: Instruction) -> bool:
        """Whether loops have an operand in common; on a grid, those over the samples are of their own."""
        return bool(operand.type.shape) or (self.grid and operand.type.per_sample)

    def _root(self, one: tuple[Any, ...]) -> tuple[Any, ...]:
        """What stands for all that has arrays in common with one."""
        while (further := self.related.get(one, one)) != one:
            self.related[one] = self.related.get(further, further)
            one = further
        return one

    def _where(self, instruction: Instruction) -> tuple[int, tuple[int | None, ...]]:
        return self.phase[instruction], tuple(axis.extent for axis in self.formulas[instruction].axes)

    def _place(self, instruction: Instruction) -> None:
        formula, phase = self.formulas[instruction], self.phase[instruction]
        nests = self.phases.setdefault(phase, [])
        factors = self.products.get(instruction)
        read = [(factors.left, ()), (factors.right, ())] if factors else self.resolved(instruction)
        reads: list[tuple[Item, Where]] = [
            (self.items[operand], where)
            for operand, where in read
            if operand in self.items and self.items[operand].phase == phase
        ]
        first = max((item.nest.place for item, _ in reads), default=0)
        related = (
            []
            if instruction in self.apart
            else self.using.setdefault(self._root((*self._where(instruction), instruction)), [])
        )
        near = related[bisect_left(related, first) :]
        nest = next((nests[place] for place in near if self._fits(nests[place], formula, reads)), None)
        if nest is None:
            nests.append(nest := Nest(formula.axes, len(nests)))
            related.append(nest.place)
        item = Item(instruction, formula, phase, nest)
        nest.items.append(item)
        self.items[instruction] = item

    def _fits(self, nest: Nest, formula: Formula, reads: Sequence[tuple[Item, Where]]) -> bool:
        """Whether a formula may be computed in a nest: what it reads of it is at its own index."""
        own = tuple(Index(((axis, 1),)) for axis in formula.axes)
        return len(nest.items) < MOST and all(where == own for item, where in reads if item.nest is nest)

    def resolved(self, instruction: Instruction) -> list[tuple[Instruction, Where]]:
        return resolved(instruction, self.formulas[instruction], self.inline)
