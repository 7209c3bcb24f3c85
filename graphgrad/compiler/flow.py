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
        self.totals = [(one.offset, one.name) for one in step.sections if one.zone == "total"]
        self.summed: dict[tuple[int, int], frozenset[str]] = {}  # parts of the totals, and the sums that lie there
        self.found: list[Statement] = []

    def statements(self) -> list[Statement]:
        step = self.step
        for position, phase in enumerate(step.phases):
            if step.updates and step.returns is not None and position == len(step.phases) - 1:
                self._check(step.returns)
            self._phase(phase)
        if step.team:
            self._together()
            self.found.append(Meet(step.products))
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
            names = frozenset(name for offset, name in self.totals if phase.sums[0] <= offset < phase.sums[1])
            self._ready(self.meetings.piece(By.SAMPLES, phase.body, writes=names))
            self._sum(*phase.sums, names)
        self.found.append(phase if self.step.lanes > 1 else EachSample(phase.body))

    def _sum(self, start: int, stop: int, names: frozenset[str]) -> None:
        """Each thread has sums of its own in a part of the totals, which may go on from the one before."""
        last = next(reversed(self.summed), None)
        if last is not None and last[1] == start:
            start, names = last[0], names | self.summed.pop(last)
        if start != stop:
            self.summed[start, stop] = names

    def _check(self, returns: str) -> None:
        """Read the loss while it is there, and end where it is no number."""
        read: list[Statement] = [Let(self.step.loss, returns)] if self.step.loss != returns else []
        if self.step.team:
            self._ready(self.meetings.piece(By.ALL, read))
        self.found += [*read, Unless(self.step.loss)]

    def _ready(self, piece: Piece) -> None:
        """Bring sums of threads together that a piece reads, and wait for what it needs."""
        if any(piece.reads & names for names in self.summed.values()):
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

    def _together(self) -> None:
        """What is summed up by all threads goes to the first one: each brings its share of it, if it is much."""
        if not self.summed:
            return
        many = sum(stop - start for start, stop in self.summed) >= MANY
        names = frozenset().union(*self.summed.values())
        by, together = By.SHARES if many else By.FIRST, Together(list(self.summed), many)
        piece = self.meetings.piece(by, [together], names, names)
        self.summed = {}
        self._ready(piece)
        self._put(piece)
