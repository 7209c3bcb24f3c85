"""Statements that come over and over become one loop: a hundred equal layers are written, read and compiled once.

Statements are alike where they differ only in the names of their arrays and of their own numbers, and the arrays are of
one kind. A run of such becomes a loop in which every array that is another one each time has a role; what is computed, in
which order and on which numbers, stays the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from graphgrad.compiler.loops import (
    Argument,
    Combine,
    Comment,
    Divided,
    Let,
    Loop,
    Product,
    Repeat,
    Role,
    Section,
    Statement,
    Step,
    SumOfProducts,
    SumOfWinners,
    Tiled,
)
from graphgrad.compiler.names import Names
from graphgrad.compiler.stated import nameless

OFTEN = 4
"""How often statements have to come, at least: fewer layers are easier to read one after the other."""
LONGEST = 64
"""How many statements come over and over together, at most."""

_WORD = re.compile(r"[^\W\d]\w*")
_OWN = "a number of its own"
_OUTSIDE = -1


@dataclass(frozen=True, slots=True)
class _Line:
    """A statement after its comments: what it looks like without names, and its names in the order of first places."""

    statements: Sequence[Statement]
    shape: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """Lines that come so many times, and what each name of the first of them is called in all."""

    lines: int
    times: int
    names: dict[str, list[str]]


class Repeats:
    """Finds what comes over and over in the statements of a step; `names` knows those that are taken."""

    def __init__(self, step: Step) -> None:
        bodies = [phase.body for phase in step.phases]
        self._arrays: dict[str, Section | Argument] = {argument.name: argument for argument in step.arguments}
        self._arrays |= {section.name: section for section in step.sections}
        self._flats = {flat.name: flat.of for flat in step.flats}
        self._kinds = self._kinds_of_names(step, bodies)
        self._lines: dict[int, tuple[str, tuple[str, ...]]] = {}
        self._users: dict[str, set[int]] = {}
        self._roles: dict[str, Hashable] = {}
        self.names = Names()
        if any(len(body) >= OFTEN for body in bodies):
            self._read(step, bodies)

    def rolled(self, statements: Sequence[Statement]) -> Sequence[Statement]:
        """The same statements, with a loop for those that come over and over."""
        if len(statements) < OFTEN:
            return statements
        lines = self._with_comments(statements)
        alike = _alike([line.shape for line in lines])
        found: list[Statement] = []
        at = 0
        while at < len(lines):
            run = self._run(lines, alike, at)
            if run is None:
                found += lines[at].statements
                at += 1
            else:
                found.append(self._repeat(lines[at : at + run.lines], run))
                at += run.lines * run.times
        return found

    def _kinds_of_names(self, step: Step, bodies: Iterable[Sequence[Statement]]) -> dict[str, Hashable]:
        """The names that may be others in statements that are alike, and of what kind these have to be."""
        kinds: dict[str, Hashable] = {
            statement.name: _OWN
            for body in bodies
            for statement in _within(body)
            if isinstance(statement, Let | Combine)
        }
        kinds |= {one.function: _sum_without_names(one) for one in step.sums}
        for name, array in self._arrays.items():
            kinds[name] = (
                (array.zone, array.shape, array.lanes)
                if isinstance(array, Section)
                else (array.shape, array.per_sample)
            )
            if isinstance(array, Section) and not array.shape and not step.team:
                kinds[name] = name  # a number that is no array in the source
        kinds |= {
            name: ("flat", kinds[of]) if isinstance(self._arrays[of], Section) else name
            for name, of in self._flats.items()
        }
        return kinds

    def _read(self, step: Step, bodies: Iterable[Sequence[Statement]]) -> None:
        """Read all statements once: what they look like, and in which of them each name is."""
        numbers = {kind: k for k, kind in enumerate(dict.fromkeys(self._kinds.values()))}
        for statement in (one for body in bodies for one in body if not isinstance(one, Comment)):
            places: dict[str, int] = {}

            def place(word: re.Match[str], places: dict[str, int] = places) -> str:
                kind = self._kinds.get(word[0])
                return word[0] if kind is None else f"\0{numbers[kind]} {places.setdefault(word[0], len(places))}\0"

            shape = _WORD.sub(place, repr(statement))
            self._lines[id(statement)] = shape, tuple(places)
            for name in places:
                self._users.setdefault(name, set()).add(id(statement))
        for text in (step.returns or "", *(result for result in step.results if isinstance(result, str))):
            for name in _WORD.findall(text):
                self._users.setdefault(name, set()).add(_OUTSIDE)
        self.names.taken |= self._kinds.keys() | step.tables.keys()

    def _with_comments(self, statements: Sequence[Statement]) -> list[_Line]:
        lines: list[_Line] = []
        first = 0
        for k, statement in enumerate(statements):
            if not isinstance(statement, Comment):
                lines.append(_Line(statements[first : k + 1], *self._lines[id(statement)]))
                first = k + 1
        return lines + [_Line(statements[first:], "", ())] * (first < len(statements))

    def _run(self, lines: Sequence[_Line], alike: Sequence[Sequence[int]], at: int) -> _Run | None:
        """The longest run that begins with a line, of as few lines as it can be told with."""
        candidates = [
            (count, times)
            for count, length in enumerate((lengths[at] for lengths in alike), 1)
            if (times := length // count + 1) >= OFTEN
            and any(_is_nest(line.statements[-1]) for line in lines[at : at + count])
        ]
        for count, times in sorted(candidates, key=lambda one: (-one[0] * one[1], one[0])):
            run = self._named(lines, at, count, times)
            if run.times >= OFTEN:
                return run
        return None

    def _named(self, lines: Sequence[_Line], at: int, count: int, times: int) -> _Run:
        """As much of a run as has one name each time for each name of the first, and keeps its own numbers to itself."""
        names: dict[str, list[str]] = {}
        first = lines[at : at + count]
        for k in range(times):
            here = lines[at + k * count : at + (k + 1) * count]
            new = self._names_in(first, here)
            if new is None:
                return _Run(count, k, names)
            for a, b in new.items():
                names.setdefault(a, []).append(b)
        return _Run(count, times, names)

    def _names_in(self, first: Sequence[_Line], here: Sequence[_Line]) -> dict[str, str] | None:
        """What the names of the first lines are called in these; None where that cannot be said of each."""
        new: dict[str, str] = {}
        for one, other in zip(first, here, strict=True):
            if any(new.setdefault(a, b) != b for a, b in zip(one.names, other.names, strict=True)):
                return None
        own = [(a, b) for a, b in new.items() if self._kinds[a] == _OWN and a != b]
        apart = all(self._is_only_in(first, a) and self._is_only_in(here, b) for a, b in own)
        return new if apart and len(set(new.values())) == len(new) else None

    def _is_only_in(self, lines: Sequence[_Line], name: str) -> bool:
        return self._users[name] <= {id(line.statements[-1]) for line in lines}

    def _repeat(self, lines: Sequence[_Line], run: _Run) -> Repeat:
        arrays = {
            name: [self._arrays[self._flats.get(one, one)] for one in names]
            for name, names in run.names.items()
            if self._flats.get(name, name) in self._arrays
        }
        moved = {name for name, found in arrays.items() if len({_place(array) for array in found}) > 1}
        called = self._role_names({name: run.names[name] for name in moved})
        body = [_renamed(statement, called) for line in lines for statement in line.statements]
        roles = [Role(called[name], arrays[name], name in self._flats) for name in arrays if name in moved]
        return Repeat(run.times, roles, body)

    def _role_names(self, names: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """W_here for W1, W2, ...; the same again in another loop, for arrays of the same kind."""
        stems = {first: {re.sub(r"\d+", "", name).strip("_") for name in all_} for first, all_ in names.items()}
        alone = Counter(stem for found in stems.values() if len(found) == 1 for stem in found if stem)
        called: dict[str, str] = {}
        for first, found in stems.items():
            stem = next((stem for stem in found if len(found) == 1 and alone[stem] == 1), first)
            wanted, kind = f"{stem}_here", self._kinds[first]
            if self._roles.get(wanted) != kind or wanted in called.values():
                wanted = self.names.unique(wanted)
                self._roles[wanted] = kind
            called[first] = wanted
        return called


def _alike(shapes: Sequence[str]) -> list[list[int]]:
    """For 1, 2, ... lines on: how many lines from each on are alike with those so many lines further on."""
    found = []
    for apart in range(1, min(LONGEST, len(shapes) // OFTEN) + 1):
        lengths = [0] * len(shapes)
        for k in reversed(range(len(shapes) - apart)):
            lengths[k] = lengths[k + 1] + 1 if shapes[k] == shapes[k + apart] else 0
        found.append(lengths)
    return found


def _is_nest(statement: Statement) -> bool:
    return isinstance(statement, Loop | Divided | Tiled | Product)


def _within(statements: Iterable[Statement]) -> Iterator[Statement]:
    """Statements and those inside of them."""
    for statement in statements:
        yield statement
        match statement:
            case Loop(body=body):
                yield from _within(body)
            case Divided(scalars, loop):
                yield from _within([*scalars, loop])


def _sum_without_names(one: SumOfProducts | SumOfWinners) -> Hashable:
    """What is the same of sums of products that differ in the names of their arrays only."""
    if isinstance(one, SumOfWinners):
        one = replace(one, where=nameless(one.where))
    return repr(replace(one, function="", text=nameless(one.text)))


def _place(array: Section | Argument | None) -> Hashable:
    return array.offset if isinstance(array, Section) else array


def _renamed(part: Any, names: Mapping[str, str]) -> Any:
    """A statement, or a part of it, with other names for arrays."""
    if isinstance(part, str):
        return _WORD.sub(lambda word: names.get(word[0], word[0]), part)
    if isinstance(part, list | tuple):
        return type(part)(_renamed(one, names) for one in part)
    if isinstance(part, Comment) or not is_dataclass(part):
        return part
    parts = {field.name: getattr(part, field.name) for field in fields(part) if field.name != "reduction"}
    return replace(part, **{name: _renamed(value, names) for name, value in parts.items()})  # type: ignore[type-var]
