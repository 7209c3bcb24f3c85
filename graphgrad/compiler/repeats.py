"""Statements that come over and over become one loop: a hundred equal layers are written, read and compiled once.

Statements are alike where they differ only in the names of their arrays and of their own numbers, and the arrays are of
one kind. A run of such becomes a loop in which every array that is another one each time has a role; what is computed, in
which order and on which numbers, stays the same.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from graphgrad.compiler.loops import (
    AddUp,
    Alone,
    Argument,
    Combine,
    Comment,
    Divided,
    EachSample,
    Let,
    Loop,
    Product,
    Repeat,
    Role,
    Samples,
    Section,
    Statement,
    Step,
    SumOfProducts,
    SumOfWinners,
    Tiled,
)
from graphgrad.compiler.names import WORD, Names
from graphgrad.compiler.stated import nameless

OFTEN = 4
"""How often statements have to come, at least: fewer layers are easier to read one after the other."""
TOGETHER = 64
"""How many statements come over and over together, at most."""

_OWN = "a number of its own"
_OUTSIDE = -1
_Users = dict[str, set[int]]


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

    def __init__(self, step: Step, statements: Sequence[Statement]) -> None:
        self._arrays: dict[str, Section | Argument] = {argument.name: argument for argument in step.arguments}
        self._arrays |= {section.name: section for section in step.sections}
        self._flats = {flat.name: flat.of for flat in step.flats}
        self._kinds = self._kinds_of_names(step, statements)
        self._numbers = {kind: k for k, kind in enumerate(dict.fromkeys(self._kinds.values()))}
        self._returned = {name for text in (step.returns, step.loss, *step.results) for name in WORD.findall(str(text))}
        self._roles: dict[tuple[str, Hashable], list[str]] = {}
        self.names = Names()
        self.names.taken |= self._kinds.keys() | step.tables.keys()
        self._inner: dict[int, list[_Line]] = {}
        self._lines = self._read(statements)

    def rolled(self) -> list[Statement]:
        """The statements, with a loop for those that come over and over: of the step, or inside of others that come once."""
        found = self._with_loops(self._lines, self._users(self._lines))
        plain = [line for line in self._lines if id(line.statements[-1]) not in self._inner]
        users = self._users([*plain, *(line for lines in self._inner.values() for line in lines)])
        return [
            replace(one, body=self._with_loops(self._inner[id(one)], users))
            if isinstance(one, Alone | EachSample | Samples) and id(one) in self._inner
            else one
            for one in found
        ]

    def _with_loops(self, lines: Sequence[_Line], users: _Users) -> list[Statement]:
        alike = _alike([line.shape for line in lines])
        nests = [0, *itertools.accumulate(_is_nest(line.statements[-1]) for line in lines)]
        found: list[Statement] = []
        at = 0
        while at < len(lines):
            run = self._run(lines, alike, nests, users, at)
            if run is None:
                found += lines[at].statements
                at += 1
            else:
                found.append(self._repeat(lines[at : at + run.lines], run))
                at += run.lines * run.times
        return found

    def _kinds_of_names(self, step: Step, statements: Sequence[Statement]) -> dict[str, Hashable]:
        """The names that may be others in statements that are alike, and of what kind these have to be."""
        kinds: dict[str, Hashable] = {one.name: _OWN for one in _within(statements) if isinstance(one, Let | Combine)}
        kinds |= {one.function: _sum_without_names(one) for one in step.sums}
        for name, array in self._arrays.items():
            if isinstance(array, Argument):
                kinds[name] = array.shape, array.per_sample
            elif array.shape or step.team:
                kinds[name] = array.zone, array.shape, array.lanes
            else:
                kinds[name] = name  # a number, which is no array in the source
        for name, of in self._flats.items():
            kinds[name] = ("flat", kinds[of]) if isinstance(self._arrays[of], Section) else name
        return kinds

    def _read(self, statements: Sequence[Statement]) -> list[_Line]:
        """What the statements look like, each with the comments before it."""
        lines: list[_Line] = []
        first = 0
        for k, statement in enumerate(statements):
            if not isinstance(statement, Comment):
                lines.append(_Line(statements[first : k + 1], *self._look(statement)))
                first = k + 1
        return lines + [_Line(statements[first:], "", ())] * (first < len(statements))

    def _look(self, statement: Statement) -> tuple[str, tuple[str, ...]]:
        """A statement without the names that may be others, and these in their order.

        A word of the statement itself, such as `Loop`, is one of them where an array is called so: it is then the same in all
        that is alike.
        """
        places: dict[str, int] = {}
        if isinstance(statement, Alone | EachSample | Samples):
            inner = self._inner[id(statement)] = self._read(statement.body)
            order = [places.setdefault(name, len(places)) for line in inner for name in line.names]
            shapes = "\n".join(line.shape for line in inner)
            return f"{type(statement)} {replace(statement, body=[])} {order}\n{shapes}", tuple(places)

        def place(word: re.Match[str]) -> str:
            kind = self._kinds.get(word[0])
            return word[0] if kind is None else f"\0{self._numbers[kind]} {places.setdefault(word[0], len(places))}\0"

        return WORD.sub(place, repr(statement)), tuple(places)

    def _users(self, lines: Iterable[_Line]) -> _Users:
        """The lines that each name is in."""
        users: _Users = {name: {_OUTSIDE} for name in self._returned}
        for line in lines:
            for name in line.names:
                users.setdefault(name, set()).add(id(line.statements[-1]))
        return users

    def _run(
        self, lines: Sequence[_Line], alike: Sequence[Sequence[int]], nests: Sequence[int], users: _Users, at: int
    ) -> _Run | None:
        """The longest run that begins with a line, of as few lines as it can be told with."""
        candidates = [
            (count, times)
            for count, length in enumerate((lengths[at] for lengths in alike), 1)
            if (times := length // count + 1) >= OFTEN and nests[at + count] > nests[at]
        ]
        for count, times in sorted(candidates, key=lambda one: (-one[0] * one[1], one[0])):
            run = self._named(lines, users, at, count, times)
            if run.times >= OFTEN:
                return run
        return None

    def _named(self, lines: Sequence[_Line], users: _Users, at: int, count: int, times: int) -> _Run:
        """As much of a run as has one name each time for each name of the first, and keeps its own numbers to itself."""
        names: dict[str, list[str]] = {}
        first = lines[at : at + count]
        for k in range(times):
            here = lines[at + k * count : at + (k + 1) * count]
            new = self._names_in(first, here, users)
            if new is None:
                return _Run(count, k, names)
            for a, b in new.items():
                names.setdefault(a, []).append(b)
        return _Run(count, times, names)

    def _names_in(self, first: Sequence[_Line], here: Sequence[_Line], users: _Users) -> dict[str, str] | None:
        """What the names of the first lines are called in these; None where that cannot be said of each."""
        new: dict[str, str] = {}
        for one, other in zip(first, here, strict=True):
            if any(new.setdefault(a, b) != b for a, b in zip(one.names, other.names, strict=True)):
                return None
        own = [(a, b) for a, b in new.items() if self._kinds[a] == _OWN and a != b]
        apart = all(_is_only_in(users[a], first) and _is_only_in(users[b], here) for a, b in own)
        return new if apart and len(set(new.values())) == len(new) else None

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
            known = self._roles.setdefault((stem, self._kinds[first]), [])
            free = next((name for name in known if name not in called.values()), "")
            called[first] = free or self.names.unique(f"{stem}_here")
            known += [] if free else [called[first]]
        return called


def _alike(shapes: Sequence[str]) -> list[list[int]]:
    """For 1, 2, ... lines on: how many lines from each on are alike with those so many lines further on."""
    found = []
    for apart in range(1, min(TOGETHER, len(shapes) // OFTEN) + 1):
        lengths = [0] * len(shapes)
        for k in reversed(range(len(shapes) - apart)):
            lengths[k] = lengths[k + 1] + 1 if shapes[k] == shapes[k + apart] else 0
        found.append(lengths)
    return found


def _is_only_in(users: set[int], lines: Sequence[_Line]) -> bool:
    return users <= {id(line.statements[-1]) for line in lines}


def _is_nest(statement: Statement) -> bool:
    """Whether there are loops in a statement."""
    if isinstance(statement, Alone):
        return any(map(_is_nest, statement.body))
    return isinstance(statement, Loop | Divided | AddUp | Tiled | Product | EachSample | Samples)


def _within(statements: Iterable[Statement]) -> Iterator[Statement]:
    """Statements and those inside of them."""
    for statement in statements:
        yield statement
        match statement:
            case Loop(body=body) | Alone(body) | EachSample(body) | Samples(body):
                yield from _within(body)
            case Divided(scalars, loop):
                yield from _within([*scalars, loop])


def _sum_without_names(one: SumOfProducts | SumOfWinners) -> Hashable:
    """What is the same of sums of products that differ in the names of their arrays only."""
    if isinstance(one, SumOfWinners):
        one = replace(one, where=nameless(one.where))
    return repr(replace(one, function="", text=nameless(one.text)))


def _place(array: Section | Argument) -> Hashable:
    return array.offset if isinstance(array, Section) else array


def _renamed(part: Any, names: Mapping[str, str]) -> Any:
    """A statement, or a part of it, with other names for arrays; the kind of a reduction is no name, whatever it is."""
    if isinstance(part, str):
        return WORD.sub(lambda word: names.get(word[0], word[0]), part)
    if isinstance(part, list | tuple):
        return type(part)(_renamed(one, names) for one in part)
    if isinstance(part, Comment) or not is_dataclass(part):
        return part
    parts = {field.name: getattr(part, field.name) for field in fields(part) if field.name != "reduction"}
    return replace(part, **{name: _renamed(value, names) for name, value in parts.items()})  # type: ignore[type-var]
