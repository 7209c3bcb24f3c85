"""Sums of products on lanes: every convolution, product and their gradients, as loops over register tiles.

A generated step states such a sum at its head, as it is read on paper, and calls it on its arrays:

    sum_A = contraction("A[i, j, k] = x[m, j + p, k + q] * K[i, m, p, q]",
                        {"i": 8, "j": 24, "k": 24, "m": 1, "p": 5, "q": 5}, tile={"i": 4, "k": 6})

It may begin with an element of a third array, as in `b[i] + x[...] * K[...]`, which comes after the two. A name without
an extent, as in `x[m, first + j + p, k]`, is a place that is given with the arrays.

Where there are no lanes of samples, `at_once="k"` says along which axis a few elements are computed at once, those of a
row of an image: they are the lanes then. Where that axis is summed over, their sums are added up in the end.

The code is built as LLVM instructions in one piece, so that Numba neither has to type nor to rewrite its many lines. A
tile's sums stay in registers; each number loaded is used for a whole row or column of it.
Source: Goto and van de Geijn, Anatomy of high-performance matrix multiplication, 2008.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from graphgrad.compiler.stated import Access, Sum, nameless, read
from graphgrad.runtime.lanes import Lanes
from graphgrad.runtime.vectors import AT_ONCE, WHOLE, Pointer, affine, fma, rolled, rounds


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of an axis that is walked in steps: `count` tiles of `size` elements from `first` on."""

    first: int
    size: int
    count: int


def parts_of(extent: int, size: int) -> tuple[Part, ...]:
    """An axis in tiles of this size, and what is left over as one of its own."""
    whole, rest = divmod(extent, size)
    parts = [Part(0, size, whole)] if whole else []
    return tuple([*parts, Part(whole * size, rest, 1)] if rest else parts)


def pieces_of(extent: int, most: int, again: bool) -> tuple[Part, ...]:
    """An axis in vectors of a power of two, `most` numbers at most; the last of them may compute some numbers `again`."""
    size = min(most, 2 ** (extent.bit_length() - 1))
    count, rest = divmod(extent, size)
    parts = [Part(0, size, count)]
    if rest and again:
        return *parts, Part(extent - size, size, 1)
    while rest:
        size = 2 ** (rest.bit_length() - 1)
        parts.append(Part(extent - rest, size, 1))
        rest -= size
    return tuple(parts)


def contraction(
    text: str,
    extents: Mapping[str, int],
    *,
    tile: Mapping[str, int],
    within: Mapping[str, tuple[str, str]] | None = None,
    at_once: str | None = None,
) -> Callable[..., Any]:
    """The compiled function (out, left, right, ...) of a sum of products.

    After the factors comes what it begins with, if that is an array; where it adds up (`+=`), which of the lanes are
    alive, if these are samples; and the places that are given.

    `extents` gives every axis its extent, `tile` says along which and how far a tile goes, and `within` from where to
    where an axis runs that is summed over, where that depends on the others; `at_once` names the axis of the lanes where
    these are no samples.
    """
    if config.DISABLE_JIT:
        return in_python(text, extents, tile=tile, within=within, at_once=at_once)
    key = nameless(text), repr(extents), repr(tile), repr(within), repr(at_once)
    if key not in _known:
        _known[key] = _compiled(read(text, extents, tile, within or {}, at_once))
        sums_of_products.add(_known[key])
    return _known[key]


_known: dict[tuple[str, ...], Callable[..., Any]] = {}
sums_of_products: set[Any] = set()
"""All that were stated; those that differ in the names of their arrays only are one."""


# -- as LLVM instructions --------------------------------------------------------------------------------------------


def _compiled(found: Sum) -> Callable[..., Any]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _Writer(found, context, builder, signature, arguments).write()
        return context.get_dummy_value()

    count = (found.start is not None) + (found.adds and found.at_once is None) + len(found.given)
    if count == 0:

        def sum_of_products(typing_context: Any, out: Any, left: Any, right: Any) -> Any:
            return types.none(out, left, right), generate

    elif count == 1:

        def sum_of_products(typing_context: Any, out: Any, left: Any, right: Any, a: Any) -> Any:  # type: ignore[misc]
            return types.none(out, left, right, a), generate

    else:

        def sum_of_products(typing_context: Any, out: Any, left: Any, right: Any, a: Any, b: Any) -> Any:  # type: ignore[misc]
            return types.none(out, left, right, a, b), generate

    result: Callable[..., Any] = intrinsic(sum_of_products)
    return result


class _Writer:
    """Writes the loops of one sum."""

    def __init__(self, found: Sum, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self.sum, self.b = found, builder
        kinds = [type.dtype for type in signature.args[:3]]
        lanes = next((kind for kind in kinds if isinstance(kind, Lanes)), None)
        real = kinds[0] if lanes is None else lanes.real
        self.real = context.get_value_type(real)
        if lanes is not None:
            self.vector = context.get_value_type(lanes)
        self.align = real.bitwidth // 8
        self.part: Part | None = None
        self.out, self.left, self.right = (
            Pointer(context, builder, type, array)
            for type, array in zip(signature.args[:3], arguments[:3], strict=True)
        )
        last = list(arguments[3:])
        self.start = None if found.start is None else Pointer(context, builder, signature.args[3], last.pop(0))
        self.alive = last.pop(0) if found.adds and found.at_once is None else None
        self.given = dict(zip(found.given, last, strict=True))
        self.width = real.bitwidth

    def write(self) -> None:
        found = self.sum
        if found.at_once is None:
            self._loops(found.adds)
            return
        again = found.at_once not in found.over and not found.adds
        parts = pieces_of(found.extents[found.at_once], 8 * AT_ONCE // self.width, again)
        for position, self.part in enumerate(parts):
            self.vector = ir.VectorType(self.real, self.part.size)
            # of a sum over the axis itself, the parts are added up
            self._loops(found.adds or (position > 0 and found.at_once in found.over))

    def _loops(self, adds: bool) -> None:
        found, self.adds = self.sum, adds
        along = found.along(found.left), found.along(found.right)
        stretches = [
            parts_of(1 if axis is None else found.extents[axis], found.tile.get(axis or "", 1)) for axis in along
        ]
        for left, right in itertools.product(*stretches):
            self._outer(
                list(found.axes), dict(self.given), dict(zip(along, (left, right), strict=True)), along, (left, right)
            )

    def _outer(
        self,
        axes: list[str],
        places: dict[str, Any],
        parts: Mapping[str | None, Part],
        along: tuple[str | None, str | None],
        tile: tuple[Part, Part],
    ) -> None:
        """Loops over the axes of the result, in which an axis of the tile counts tiles."""
        if not axes:
            self._tile(places, along, tile)
            return
        axis, *others = axes
        part = (self.part if axis == self.sum.at_once else parts.get(axis)) or Part(0, 1, self.sum.extents[axis])
        start, stop, step = (
            ir.Constant(WHOLE, limit) for limit in (part.first, part.first + part.size * part.count, part.size)
        )
        if part.count == 1:
            self._outer(others, {**places, axis: start}, parts, along, tile)
            return
        with rounds(self.b, start, stop, step) as place:
            self._outer(others, {**places, axis: place}, parts, along, tile)

    def _tile(self, places: dict[str, Any], along: tuple[str | None, str | None], tile: tuple[Part, Part]) -> None:
        """The sums of one tile: 0 at first, added up, stored."""
        b, rows, columns = self.b, range(tile[0].size), range(tile[1].size)
        zero = ir.Constant(self.vector, [0.0] * self.vector.count)
        cells = list(itertools.product(rows, columns))

        def moved(k: int, m: int) -> dict[str, Any]:
            steps = {axis: step for axis, step in zip(along, (k, m), strict=True) if axis is not None}
            return {
                axis: b.add(place, ir.Constant(WHOLE, steps[axis])) if steps.get(axis) else place
                for axis, place in places.items()
            }

        def product(inner: dict[str, Any], sums: list[Any]) -> list[Any]:
            """The numbers of the shorter side stay in registers while those of the longer one come and go."""
            flip = len(rows) > len(columns)
            short, long = (columns, rows) if flip else (rows, columns)

            def load(side: bool, step: int) -> Any:
                if side:
                    return self._load(self.right, self.sum.right, {**inner, **moved(0, step)})
                return self._load(self.left, self.sum.left, {**inner, **moved(step, 0)})

            before = dict(zip(cells, sums, strict=True))
            held = [load(flip, step) for step in short]
            found: dict[tuple[int, int], Any] = {}
            for step in long:
                passing = load(not flip, step)
                for other, value in zip(short, held, strict=True):
                    cell = (step, other) if flip else (other, step)
                    left, right = (passing, value) if flip else (value, passing)
                    found[cell] = fma(self.b, left, right, before[cell])
            return [found[cell] for cell in cells]

        begin = [zero] * len(cells)
        summed = self.sum.at_once in self.sum.over
        if self.start is not None and self.sum.start is not None and not summed:
            begin = [self._load(self.start, self.sum.start, moved(k, m)) for k, m in cells]
        sums = self._inner(list(self.sum.over), places, begin, product)
        for (k, m), total in zip(cells, sums, strict=True):
            target = self.out.element(self.sum.out, moved(k, m))
            value = self._together(total) if summed else total
            if self.sum.at_once is not None and not summed:
                target = b.bitcast(target, self.vector.as_pointer())
            if self.alive is not None:
                value = b.select(self.alive, value, zero)
            if self.adds:
                value = b.fadd(b.load(target, align=self.align), value)
            elif summed and self.start is not None and self.sum.start is not None:
                value = b.fadd(b.load(self.start.element(self.sum.start, moved(k, m)), align=self.align), value)
            b.store(value, target, align=self.align)

    def _load(self, pointer: Pointer, access: Access, places: Mapping[str, Any]) -> Any:
        return pointer.load(access, places, self.vector, self.align, self.sum.at_once)

    def _together(self, total: Any) -> Any:
        """The sum of what was summed up at once."""
        kind = ir.FunctionType(self.real, [self.real, self.vector])
        name = f"llvm.vector.reduce.fadd.v{self.vector.count}f{self.width}"
        function = cgutils.get_or_insert_function(self.b.module, kind, name)
        return self.b.call(function, (ir.Constant(self.real, 0.0), total), fastmath=("reassoc",))

    def _inner(
        self,
        axes: list[str],
        places: dict[str, Any],
        sums: list[Any],
        body: Callable[[dict[str, Any], list[Any]], list[Any]],
    ) -> list[Any]:
        """Loops over the axes that are summed over, through which the sums are carried; the sums after them."""
        if not axes:
            return body(places, sums)
        axis, *others = axes
        b = self.b
        start, stop = ir.Constant(WHOLE, 0), ir.Constant(WHOLE, self.sum.extents[axis])
        step = 1
        if axis == self.sum.at_once and self.part is not None:
            first, step, count = self.part.first, self.part.size, self.part.count
            start, stop = ir.Constant(WHOLE, first), ir.Constant(WHOLE, first + step * count)
            if count == 1:
                return self._inner(others, {**places, axis: start}, sums, body)
        elif axis in self.sum.within:
            low, high = (affine(b, limit, places) for limit in self.sum.within[axis])
            start = b.select(b.icmp_signed(">", low, start), low, start)
            stop = b.select(b.icmp_signed("<", high, stop), high, stop)
        elif self.sum.extents[axis] == 1:
            return self._inner(others, {**places, axis: start}, sums, body)
        before = b.block
        head, inside, after = (b.append_basic_block(f"{axis}.{part}") for part in ("head", "body", "end"))
        b.branch(head)
        b.position_at_end(head)
        place = b.phi(WHOLE)
        carried = [b.phi(self.vector) for _ in sums]
        b.cbranch(b.icmp_signed("<", place, stop), inside, after)
        b.position_at_end(inside)
        found = self._inner(others, {**places, axis: place}, carried, body)
        following = b.add(place, ir.Constant(WHOLE, step))
        last = b.block
        rolled(b.module, b.branch(head))
        for phi, first, next_ in zip([place, *carried], [start, *sums], [following, *found], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(next_, last)
        b.position_at_end(after)
        return carried


# -- in Python -------------------------------------------------------------------------------------------------------

MOST = 2**18
"""How many products are made at once."""


def in_python(
    text: str,
    extents: Mapping[str, int],
    *,
    tile: Mapping[str, int],
    within: Mapping[str, tuple[str, str]] | None = None,
    at_once: str | None = None,
) -> Callable[..., Any]:
    """The same function, of NumPy arrays whose last axis is that of the lanes, if these are samples."""
    found = read(text, extents, tile, within or {}, at_once)
    if at_once is not None:
        return lambda out, left, right, *last: _evaluate(found, out[..., None], left, right, *last)
    return lambda out, left, right, *last: _evaluate(found, out, left, right, *last)


def _evaluate(found: Sum, out: Any, left: Any, right: Any, *last: Any) -> None:
    """The elements of the result at once, with as much of what is summed over as memory is worth."""
    more = list(last)
    start = more.pop(0) if found.start else None
    alive = more.pop(0) if found.adds and found.at_once is None else True
    given = dict(zip(found.given, more, strict=True))
    shape = tuple(found.extents[axis] for axis in found.axes)
    total = np.zeros((*shape, max(out.shape[-1], 1)), out.dtype)
    outer, inner = list(found.over), list[str]()
    size = total.size
    while outer and size * found.extents[outer[-1]] <= MOST:
        size *= found.extents[outer[-1]]
        inner.insert(0, outer.pop())
    every = [*found.axes, *inner]
    whole = tuple(found.extents[axis] for axis in every)
    grid = np.meshgrid(*(np.arange(found.extents[axis]) for axis in every), indexing="ij", sparse=True)
    summed = tuple(range(len(shape), len(whole)))
    for place in itertools.product(*(range(found.extents[axis]) for axis in outer)):
        at = {**given, **dict(zip(every, grid, strict=True)), **dict(zip(outer, place, strict=True))}
        inside = np.ones(whole, bool)
        for axis, (low, high) in found.within.items():
            inside = inside & (low.at(at) <= at[axis]) & (at[axis] < high.at(at))
        a, b = (
            _taken(array, access, at, inside, len(whole))
            for array, access in ((left, found.left), (right, found.right))
        )
        total += np.where(inside[..., None], a * b, 0).sum(summed)
    own = np.meshgrid(*(np.arange(extent) for extent in shape), indexing="ij", sparse=True)
    places = {**given, **dict(zip(found.axes, own, strict=True))}
    if found.start is not None:
        total = total + _taken(start, found.start, places, np.ones(shape, bool), len(shape))
    where = tuple(np.broadcast_to(index.at(places), shape) for index in found.out.indices)
    if found.adds:
        out[where] += np.where(alive, total, 0)
    else:
        out[where] = total


def _taken(array: Any, access: Access, at: Mapping[str, Any], inside: Any, rank: int) -> Any:
    """The elements of an operand over the grid of the result, with an axis for the lanes."""
    where = tuple(np.where(inside, index.at(at), 0) for index in access.indices)
    found = array[where]
    return found if found.ndim > rank else found[..., None]


__all__ = ["contraction"]
