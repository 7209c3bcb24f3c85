"""How long each value is wanted: from the nest of loops that makes it to the last one that reads it, and over which other
values it may be written, element by element, as they are read for the last time.
"""

from __future__ import annotations

from graphgrad.compiler.indices import Where
from graphgrad.compiler.program import Instruction
from graphgrad.compiler.schedule import Item, Nest, Schedule, resolved
from graphgrad.graph import Formula, Index


class Lifetimes:
    """The lifetimes of what has statements of its own; `number` is that of each nest, in the order in which they run."""

    def __init__(self, plan: Schedule) -> None:
        self._items, self._inline, self._bands = plan.items, plan.inline, plan.bands
        self.number: dict[Nest, int] = {}
        for k, nest in enumerate(nest for nests in plan.phases.values() for nest in nests):
            band = plan.bands.get(nest)  # its nests run together, and have one number
            self.number.setdefault(nest, k)
            self.number.update(dict.fromkeys(band.rows, self.number[nest]) if band is not None else ())
        self._readers: dict[Instruction, dict[Item, list[Where]]] = {}
        for item in plan.items.values():
            for operand, where in self._read_by(item):
                self._readers.setdefault(operand, {}).setdefault(item, []).append(where)

    def is_read(self, instruction: Instruction) -> bool:
        return instruction in self._readers

    def crosses(self, instruction: Instruction) -> bool:
        """Whether a value is read in another phase than the one that makes it."""
        mine = self._items[instruction].phase
        return any(reader.phase != mine for reader in self._readers.get(instruction, ()))

    def span(self, instruction: Instruction) -> tuple[int, int]:
        """The number of the nest that makes a value, and of the last one that reads it."""
        first = self.number[self._items[instruction].nest]
        return first, max([first, *(self.number[one.nest] for one in self._readers.get(instruction, ()))])

    def over(self, instruction: Instruction) -> tuple[Instruction, ...]:
        """Values of the same shape over which this one may be written: those that its loops read for the last time, before
        it or as it is made, and at no other index."""
        item = self._items[instruction]
        if not item.formula.pointwise or not instruction.type.shape or item.nest in self._bands:
            return ()
        before = item.nest.items[: item.nest.items.index(item) + 1]
        read = dict.fromkeys(operand for one in before for operand, _ in self._read_by(one))
        return tuple(one for one in read if one in self._items and self._is_last_read_by(one, item))

    def _is_last_read_by(self, instruction: Instruction, last: Item) -> bool:
        maker, order = self._items[instruction], last.nest.items
        if instruction.type != last.instruction.type or maker.nest is last.nest:
            return False
        for reader, places in self._readers[instruction].items():
            if reader.nest is not last.nest:
                if self.number[reader.nest] >= self.number[last.nest]:
                    return False
            elif order.index(reader) > order.index(last) or any(where != _own(reader.formula) for where in places):
                return False
        return True

    def _read_by(self, item: Item) -> list[tuple[Instruction, Where]]:
        return resolved(item.instruction, item.formula, self._inline)


def _own(formula: Formula) -> Where:
    """The index of the element that is computed."""
    return tuple(Index(((axis, 1),)) for axis in formula.axes)
