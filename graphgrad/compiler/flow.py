"""From phases to one sequence of statements: what the threads of a team share, what the first one does alone, and where
they meet."""

from __future__ import annotations

from graphgrad.compiler.loops import (
    Alone,
    EachSample,
    Let,
    Meet,
    Samples,
    Shared,
    Statement,
    Step,
    Together,
    Unless,
)
from graphgrad.compiler.meetings import By, Meetings, Piece
from graphgrad.compiler.units import MANY


def in_sequence(step: Step) -> list[Statement]:
    """The statements of all phases, one after the other."""
    return _Flow(step).statements()


class _Flow:
    def __init__(self, step: Step) -> None:
        self.step = step
        self.meetings = Meetings(step.sections, {flat.name: flat.of for flat in step.flats})
        self.summed: list[tuple[int, int]] = []
        self.found: list[Statement] = []

    def statements(self) -> list[Statement]:
        step = self.step
        for position, phase in enumerate(step.phases):
            if step.updates and step.returns is not None and position == len(step.phases) - 1:
                if step.team:
                    self._ready(self.meetings.piece(By.ALL, [Let("loss", step.returns)]))
                self.found.append(Unless(step.returns))
            self._phase(phase)
        if step.team:
            self._together()
            self.found.append(Meet())
        return self.found

    def _phase(self, phase: Samples | Shared) -> None:
        if isinstance(phase, Shared):
            if self.step.team:
                for piece in self.meetings.pieces(phase.body):
                    self._ready(piece)
                    self._put(piece)
            else:
                self.found += phase.body
            return
        if self.step.team:
            self._ready(self.meetings.piece(By.SAMPLES, phase.body, writes=self._totals(phase.sums)))
        self.found.append(phase if self.step.lanes > 1 else EachSample(phase.body))
        start, stop = phase.sums
        if self.summed and self.summed[-1][1] == start:
            start, _ = self.summed.pop()
        if start != stop:
            self.summed.append((start, stop))

    def _ready(self, piece: Piece) -> None:
        """Bring sums of threads together that a piece reads, and wait for what it needs."""
        if any(piece.reads & set(self._totals(sums)) for sums in self.summed):
            self._together()
        if self.meetings.before(piece):
            self.found.append(Meet())

    def _put(self, piece: Piece) -> None:
        """The first thread does what it does alone in one go."""
        if piece.by is not By.FIRST:
            self.found += piece.statements
        elif self.found and isinstance(self.found[-1], Alone):
            self.found[-1].body.extend(piece.statements)
        else:
            self.found.append(Alone(list(piece.statements)))

    def _totals(self, sums: tuple[int, int]) -> list[str]:
        """The sums that lie in a part of the totals."""
        start, stop = sums
        return [one.name for one in self.step.sections if one.zone == "total" and start <= one.offset < stop]

    def _together(self) -> None:
        """What is summed up by all threads goes to the first one: each brings its share of it, if it is much."""
        if not self.summed:
            return
        many = sum(stop - start for start, stop in self.summed) >= MANY
        names = [name for sums in self.summed for name in self._totals(sums)]
        together = self.meetings.piece(By.SHARES if many else By.FIRST, [Together(self.summed, many)], names, names)
        self.summed = []
        self._ready(together)
        self._put(together)
