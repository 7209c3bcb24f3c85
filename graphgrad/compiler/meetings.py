"""Where the threads of a step have to wait for each other: before they read what another has written, or write over what
another may still read.

A step is cut into pieces. Of each piece is known who does it, and which arrays it reads and writes; the threads meet
before a piece that gets in the way of one since they last met. Two pieces of the same thread do not, nor do two passes
over the samples, where each thread has its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from graphgrad.compiler.loops import (
    AddUp,
    Combine,
    Comment,
    Divided,
    Let,
    Loop,
    Product,
    Section,
    Statement,
    Store,
    Tiled,
)
from graphgrad.compiler.names import WORD


class By(Enum):
    """Who does a piece of a step."""

    FIRST = "the first thread"
    SAMPLES = "each thread, for its samples"
    SHARES = "each thread, its share of the result"
    ALL = "each thread, the whole"


@dataclass(frozen=True, slots=True)
class Piece:
    """Statements, who runs them, and the names of the arrays that they read and write."""

    by: By
    statements: Sequence[Statement]
    reads: frozenset[str]
    writes: frozenset[str]


class Meetings:
    """Cuts a step into pieces, and says before which of them the threads meet, as these come one after the other."""

    def __init__(self, sections: Sequence[Section], views: Mapping[str, str]) -> None:
        self._zones = {section.name: section.zone for section in sections}
        self._views = views
        self._together = _in_one_place([section for section in sections if section.zone == "each"])
        self._since: list[Piece] = []

    def piece(
        self, by: By, statements: Sequence[Statement] = (), reads: Iterable[str] = (), writes: Iterable[str] = ()
    ) -> Piece:
        """A piece with what its statements read and write, and what they do not say."""
        used = {False: self._arrays(reads), True: self._arrays(writes)}
        for text, written in _uses(statements):
            used[written] |= self._arrays(WORD.findall(text))
        return Piece(by, statements, used[False], used[True])

    def pieces(self, body: Sequence[Statement]) -> list[Piece]:
        """What is done once for the step: products and loops that are shared out, and anything else, by the first thread.

        They are in order, but that the first thread does what it can after what is shared out, in one go.
        """
        found: list[Piece] = []
        comments: list[Statement] = []
        for statement in body:
            if isinstance(statement, Comment):
                comments.append(statement)
                continue
            by = By.SHARES if isinstance(statement, Product | Divided | AddUp) else By.FIRST
            new, comments = self.piece(by, [*comments, statement]), []
            last = found[-1] if found else None
            if last is None or last.by is By.SHARES:
                found.append(new)
            elif by is By.FIRST:
                found[-1] = Piece(
                    by, [*last.statements, *new.statements], last.reads | new.reads, last.writes | new.writes
                )
            elif _common(last, new):
                found.append(new)
            else:
                found.insert(-1, new)
        return found

    def before(self, piece: Piece) -> bool:
        """Whether the threads have to meet before this piece; it counts as done from here on."""
        if meet := any(self._in_the_way(earlier, piece) for earlier in self._since):
            self._since = []
        self._since.append(piece)
        return meet

    def _arrays(self, names: Iterable[str]) -> frozenset[str]:
        """The arrays that several threads reach, by what they are views of, and what lies where they do."""
        viewed = {self._views.get(name, name) for name in names}
        found = {name for name in viewed if self._zones.get(name, "own") != "own"}
        return frozenset(found.union(*(self._together.get(name, ()) for name in found)))

    def _in_the_way(self, earlier: Piece, later: Piece) -> bool:
        common = _common(earlier, later)
        if earlier.by is later.by is By.SAMPLES:
            common = frozenset(name for name in common if self._zones[name] != "each")
        return bool(common) and not earlier.by is later.by is By.FIRST


def _in_one_place(sections: Sequence[Section]) -> dict[str, set[str]]:
    """Of the sections that have a place in common with others, those others."""
    found: dict[str, set[str]] = {}
    open_: list[tuple[int, str]] = []
    for section in sorted(sections, key=lambda one: one.offset):
        open_ = [(end, name) for end, name in open_ if end > section.offset]
        for _, name in open_:
            found.setdefault(name, set()).add(section.name)
            found.setdefault(section.name, set()).add(name)
        open_.append((section.offset + math.prod(section.shape), section.name))
    return found


def _common(earlier: Piece, later: Piece) -> frozenset[str]:
    """What one of two pieces writes, and the other one reads or writes."""
    return (earlier.writes & (later.reads | later.writes)) | (earlier.reads & later.writes)


def _uses(statements: Sequence[Statement]) -> Iterator[tuple[str, bool]]:
    """Text in which arrays are named, and whether they are written."""
    for statement in statements:
        match statement:
            case Let(_, text):
                yield text, False
            case Combine(_, _, text, position):
                yield from ((text, False), (position, False))
            case Store(array, index, text, add):
                yield array, True
                yield from ((one, False) for one in (*index, text, *([array] if add else [])))
            case Product(out, left, right, scale, keep):
                yield out, True
                yield from ((one, False) for one in (left, right, scale, *([keep, out] if keep else [])))
            case Tiled(_, out, operands, adds, first):
                yield out, True
                yield from ((one, False) for one in (*operands, first, *([out] if adds else [])))
            case AddUp(out, parts, count):
                yield out, True
                yield from ((parts, False), (count, False))
            case Loop(_, _, body, start, stop):
                yield from ((start, False), (stop, False))
                yield from _uses(body)
            case Divided(scalars, loop):
                yield from _uses([*scalars, loop])
