"""Weights' gradients behind a max-pooling: of each window only its winner counts, so only winners are multiplied.

A generated step states such a sum at its head, as it is read on paper, and calls it on its arrays:

    sum_dK = of_winners("dK[i, j, k, m] += x[j, 2 * p + r + k, 2 * q + u + m] * dA[i, p, q]",
                        {"i": 8, "j": 3, "k": 5, "m": 5, "p": 12, "q": 12, "r": 2, "u": 2},
                        where="winner[i, p, q] == 2 * r + u", registers=24, lanes=16, room=...)

The image is copied so that what a row of the kernel reads lies side by side (see `pooled`). The kernel's sums of one map
then stay in registers, so many at once, while window after window adds its number times rows of the image: a quarter of
the products where windows are 2 by 2. The copies and the sums lie in an array of `room` lanes, or numbers.

Source: row by row, as Gustavson, Two fast algorithms for sparse matrices, 1978, multiplies them.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from graphgrad.compiler.pooled import Winners, read_winners
from graphgrad.runtime.contraction import sums_of_products
from graphgrad.runtime.lanes import spread
from graphgrad.runtime.vectors import AT_ONCE, WHOLE, Pointer, fma, rolled

STRETCH = 1008
"""How many windows are summed up one after the other; a sum of more numbers would lose digits."""

BUSY = 8
"""How many sums keep the processor busy: with fewer, each waits for its last addition."""


def of_winners(
    text: str, extents: Mapping[str, int], *, where: str, registers: int, room: int, lanes: int = 1
) -> Callable[..., Any]:
    """The compiled function (out, image, numbers, winners, room) of a sum over the winners of windows.

    On lanes there comes after these which of them are alive. Raises ValueError where the text is no such sum, or takes
    more room than there is.
    """
    found = read_winners(text, extents, where)
    if room < found.room(lanes):
        raise ValueError(f"{text} takes {found.room(lanes)} numbers, and there is room for {room}")
    if config.DISABLE_JIT:
        return lambda out, image, numbers, winners, room, *alive: _evaluate(
            found, out, image, numbers, winners, alive[0] if alive else None
        )
    count = itertools.count()
    nameless = re.sub(r"\w+(?=\[)", lambda name: f"array{next(count)}", text)
    key = nameless, where.partition("[")[2], repr(extents), registers, lanes
    if key not in _known:
        _known[key] = _compiled(found, registers, lanes)
        sums_of_products.add(_known[key])
    return _known[key]


_known: dict[tuple[Any, ...], Callable[..., Any]] = {}


# -- as LLVM instructions --------------------------------------------------------------------------------------------


def _compiled(found: Winners, registers: int, lanes: int) -> Callable[..., Any]:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _Writer(found, registers, lanes, context, builder, signature, arguments).write()
        return context.get_dummy_value()

    if lanes > 1:

        def sum_of_winners(
            typing_context: Any, out: Any, image: Any, numbers: Any, winners: Any, room: Any, alive: Any
        ) -> Any:
            return types.none(out, image, numbers, winners, room, alive), generate

    else:

        def sum_of_winners(typing_context: Any, out: Any, image: Any, numbers: Any, winners: Any, room: Any) -> Any:  # type: ignore[misc]
            return types.none(out, image, numbers, winners, room), generate

    result: Callable[..., Any] = intrinsic(sum_of_winners)
    return result


class _Writer:
    """Writes the loops of one sum: copies, products, and where they go in the end."""

    def __init__(
        self, found: Winners, registers: int, lanes: int, context: Any, builder: Any, signature: Any, arguments: Any
    ) -> None:
        self.of, self.registers, self.lanes, self.b = found, registers, lanes, builder
        real = signature.args[0].dtype
        self.real, self.number = context.get_value_type(real), ir.IntType(real.bitwidth)
        self.align, self.at_once = real.bitwidth // 8, 8 * AT_ONCE // real.bitwidth
        self.vector = ir.VectorType(self.real, lanes)
        self.out, self.image, self.numbers, self.winners = (
            Pointer(context, builder, type, array)
            for type, array in zip(signature.args[:4], arguments[:4], strict=True)
        )
        made = context.make_array(signature.args[1])(context, builder, arguments[1])
        self.extents = cgutils.unpack_tuple(builder, made.shape)
        room = context.make_array(signature.args[4])(context, builder, arguments[4])
        self.rows = builder.bitcast(room.data, self.real.as_pointer())
        self.slopes = self.beyond(self.rows, lanes * found.image)
        self.places = builder.bitcast(self.beyond(self.slopes, lanes * found.count), self.number.as_pointer())
        sums = self.beyond(self.slopes, 2 * lanes * found.count)
        self.sums = sums
        self.alive = arguments[5] if lanes > 1 else None
        # 0, which LLVM does not know: loops whose ends it knows are unrolled, which takes long and gains nothing
        self.nothing = builder.lshr(builder.ptrtoint(self.out.data, WHOLE), self.whole(63))

    def whole(self, value: int) -> Any:
        return ir.Constant(WHOLE, value)

    def beyond(self, place: Any, count: Any) -> Any:
        return self.b.gep(place, [self.whole(count) if isinstance(count, int) else count])

    @contextmanager
    def each(self, count: Any, step: int = 1) -> Iterator[Any]:
        """A loop over 0, step, 2 step, ... below a count."""
        b = self.b
        stop = b.add(self.whole(count) if isinstance(count, int) else count, self.nothing)
        with cgutils.for_range_slice(b, self.whole(0), stop, self.whole(step), WHOLE) as (index, _):
            yield index

    def plus(self, *terms: Any) -> Any:
        """The sum of products (place, factor)."""
        total: Any = self.whole(0)
        for place, factor in terms:
            total = self.b.add(total, self.b.mul(place, self.whole(factor)))
        return total

    def digits(self, place: Any, extents: Sequence[int]) -> list[Any]:
        """The places along axes of these extents, the last one the fastest, of a number in their order."""
        found, b = [], self.b
        for k, extent in enumerate(reversed(extents)):
            divisor = ir.Constant(
                place.type, extent if not isinstance(place.type, ir.VectorType) else [extent] * place.type.count
            )
            first = k == len(extents) - 1
            found.append(place if first else b.urem(place, divisor))
            place = place if first else b.udiv(place, divisor)
        return found[::-1]

    def write(self) -> None:
        zero = ir.Constant(self.real, 0.0)
        with self.each(self.of.sums) as k:
            self.b.store(zero, self.beyond(self.sums, k))
        self.copy_image(self.of.spatial[:-1], self.whole(0), ir.Constant(ir.IntType(1), 1), {})
        self.copy_windows()
        with self.each(self.lanes) as sample, self.if_alive(sample):
            self.multiply(sample)
        self.add(list(self.of.sum.axes), {})

    @contextmanager
    def if_alive(self, sample: Any) -> Iterator[None]:
        if self.alive is None:
            yield
            return
        bits = self.b.bitcast(self.alive, ir.IntType(self.lanes))
        bit = self.b.lshr(bits, self.b.trunc(sample, bits.type))
        with self.b.if_then(self.b.trunc(bit, ir.IntType(1))):
            yield

    # -- copies --------------------------------------------------------------------------------------------------

    def copy_image(self, outer: Sequence[int], at: Any, inside: Any, places: Mapping[int, Any]) -> None:
        """Row by row, from the first place on: what is written beyond a row's end is written over by the next one."""
        b, of = self.b, self.of
        if outer:
            k, *others = outer
            with self.each(of.reach(k)) as along:
                place = b.add(along, self.whole(of.first(k)))
                there = b.and_(inside, b.icmp_unsigned("<", place, self.extents[k]))
                self.copy_image(others, b.add(at, self.plus((along, of.step[k]))), there, {**places, k: place})
            return
        k = of.spatial[-1]
        with b.if_else(inside) as (in_image, outside):
            with in_image:
                before, first = max(0, -of.first(k)), max(0, of.first(k))
                end = self.least(self.extents[k], self.whole(of.first(k) + of.reach(k)))
                count = b.mul(b.sub(end, self.whole(first)), self.whole(of.width))
                begin, rest = self.whole(before * of.width), self.whole((of.reach(k) - before) * of.width)
                self.clear(at, begin)
                self.copy_row(b.add(at, begin), first, count, places)
                self.clear(b.add(b.add(at, begin), count), b.sub(rest, count))
            with outside:
                self.clear(at, self.whole(of.reach(k) * of.width))

    def least(self, x: Any, y: Any) -> Any:
        return self.b.select(self.b.icmp_signed("<", x, y), x, y)

    def clear(self, at: Any, count: Any) -> None:
        zero = ir.Constant(self.real, 0.0)
        with self.each(self.lanes) as sample:
            row = self.beyond(self.rows, self.b.add(at, self.plus((sample, self.of.image))))
            with self.each(count) as k:
                self.b.store(zero, self.beyond(row, k))

    def copy_row(self, at: Any, first: int, count: Any, places: Mapping[int, Any]) -> None:
        b, of = self.b, self.of
        last, extents = of.spatial[-1], [of.reach(k) for k in of.channels]

        def element(number: Any) -> Any:
            x, *channels = self.digits(number, [of.reach(last), *extents])
            found = {**places, last: b.add(x, self.whole(first)), **dict(zip(of.channels, channels, strict=True))}
            offset: Any = self.whole(0)
            for k, stride in enumerate(self.image.strides):
                offset = b.add(offset, b.mul(stride, found[k]))
            return self.load(self.image.data, offset)

        self.turned(count, element, self.rows, at, of.image)

    def copy_windows(self) -> None:
        b, of = self.b, self.of
        places = ir.VectorType(self.number, self.lanes)
        extents = [of.extent(axis) for axis in of.windows]

        def number(k: Any) -> Any:
            return self.load(self.numbers.data, k)

        def place(k: Any) -> Any:
            _, *window = self.digits(k, [of.extent(*of.maps), *extents])
            terms = [(digit, of.moves(axis)) for digit, axis in zip(window, of.windows, strict=True)]
            start = (
                b.trunc(b.add(self.whole(of.start), self.plus(*terms)), self.number)
                if self.number != WHOLE
                else (b.add(self.whole(of.start), self.plus(*terms)))
            )
            total = spread(b, start, places)
            winner = b.fptoui(self.load(self.winners.data, k), places)
            for digit, axis in zip(self.digits(winner, [of.extent(a) for a in of.inside]), of.inside, strict=True):
                step = ir.Constant(places, [of.moves(axis)] * self.lanes)
                total = b.add(total, b.mul(digit, step))
            return total

        total = self.whole(of.extent(*of.maps, *of.windows))
        self.turned(total, number, self.slopes, self.whole(0), of.count)
        self.turned(total, place, self.places, self.whole(0), of.count)

    def load(self, data: Any, offset: Any) -> Any:
        place = self.b.bitcast(self.b.gep(data, [offset]), self.vector.as_pointer())
        return self.b.load(place, align=self.align)

    def turned(self, count: Any, element: Callable[[Any], Any], target: Any, at: Any, apart: int) -> None:
        """So many elements, each for all samples, as so many numbers beside each other for each of the samples."""
        b = self.b
        last = b.sub(count, self.whole(1))
        with self.each(count, self.lanes) as first:
            rows = [element(self.least(b.add(first, self.whole(k)), last)) for k in range(self.lanes)]
            for sample, row in enumerate(self.transposed(rows)):
                place = b.add(b.add(at, first), self.whole(sample * apart))
                b.store(row, b.bitcast(self.beyond(target, place), row.type.as_pointer()), align=self.align)

    def transposed(self, rows: list[Any]) -> list[Any]:
        """The columns, by perfect shuffles: each takes the first bit of a row's number to the end of a column's."""
        count = len(rows)
        kind = ir.VectorType(ir.IntType(32), count)
        low, high = (
            ir.Constant(kind, [first + k // 2 + count * (k % 2) for k in range(count)]) for first in (0, count // 2)
        )
        for _ in range(count.bit_length() - 1):
            pairs = list(zip(rows[: count // 2], rows[count // 2 :], strict=True))
            rows = [self.b.shuffle_vector(x, y, half) for x, y in pairs for half in (low, high)]
        return rows

    # -- products ------------------------------------------------------------------------------------------------

    def vectors(self) -> list[tuple[int, int, Any]]:
        """The kernel's sums as vectors: where each begins in the copy, where among the sums, and its type."""
        found = []
        for number, begin in enumerate(self.of.runs):
            for k in range(0, self.of.run, self.at_once):
                left = self.of.run - k
                size = self.at_once if left >= self.at_once else 2 ** (left - 1).bit_length()
                found.append((begin + k, number * self.of.padded + k, ir.VectorType(self.real, size)))
        return found

    def multiply(self, sample: Any) -> None:
        """The products of a sample."""
        b, of = self.b, self.of
        rows = self.beyond(self.rows, self.plus((sample, of.image)))
        vectors, windows = self.vectors(), of.extent(*of.windows)
        for first in range(0, len(vectors), self.registers):
            group = vectors[first : first + self.registers]
            with self.each(of.extent(*of.maps)) as map_, self.each(windows, STRETCH) as start:
                begin = b.add(self.plus((sample, of.count), (map_, windows)), start)
                stop = self.least(b.sub(self.whole(windows), start), self.whole(STRETCH))
                totals = self.sum_up(
                    rows, self.beyond(self.slopes, begin), self.beyond(self.places, begin), stop, group
                )
                sums = self.beyond(self.sums, self.plus((map_, len(of.runs) * of.padded)))
                for (_, at, kind), total in zip(group, totals, strict=True):
                    target = b.bitcast(self.beyond(sums, at), kind.as_pointer())
                    b.store(b.fadd(b.load(target, align=self.align), total), target, align=self.align)

    def sum_up(self, rows: Any, slopes: Any, places: Any, stop: Any, group: list[tuple[int, int, Any]]) -> list[Any]:
        """Σ number · row over some windows, for a group of vectors that stay in registers."""
        b, windows = self.b, self.of.extent(*self.of.windows)
        wanted = -(-BUSY // len(group))
        turns = next(n for n in range(min(wanted, 4), 0, -1) if windows % n == 0)  # windows of sums of their own
        before = b.block
        head, body, after = (b.append_basic_block(f"winners.{part}") for part in ("head", "body", "end"))
        b.branch(head)
        b.position_at_end(head)
        k = b.phi(WHOLE)
        totals = [b.phi(kind) for _, _, kind in group * turns]
        b.cbranch(b.icmp_signed("<", k, stop), body, after)
        b.position_at_end(body)
        found: list[Any] = []
        for turn in range(turns):
            window = b.add(k, self.whole(turn))
            place = b.load(self.beyond(places, window), align=self.align)
            row = self.beyond(rows, place if self.number == WHOLE else b.zext(place, WHOLE))
            number = b.load(self.beyond(slopes, window), align=self.align)
            for at, _, kind in group:
                pixels = b.load(b.bitcast(self.beyond(row, at), kind.as_pointer()), align=self.align)
                found.append(fma(b, spread(b, number, kind), pixels, totals[len(found)]))
        following = b.add(k, self.whole(turns))
        rolled(b.module, b.branch(head))
        zeros = [ir.Constant(kind, [0.0] * kind.count) for _, _, kind in group] * turns
        for phi, first, next_ in zip([k, *totals], [self.whole(0), *zeros], [following, *found], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(next_, body)
        b.position_at_end(after)
        own = [totals[k :: len(group)] for k in range(len(group))]
        return [functools.reduce(b.fadd, parts) for parts in own]

    def add(self, axes: list[str], places: dict[str, Any]) -> None:
        """What was summed up, to the result."""
        b, of = self.b, self.of
        if axes:
            axis, *others = axes
            with self.each(of.extent(axis)) as place:
                self.add(others, {**places, axis: place})
            return
        steps: dict[str, int] = {}
        count = of.padded
        for axis in reversed([*of.maps, *of.others]):
            steps[axis] = count
            count *= of.extent(axis)
        inside = [axis for axis in of.own if axis not in of.others]
        steps |= {axis: of.moves(axis) for axis in inside}
        value = b.load(self.beyond(self.sums, self.plus(*((places[axis], step) for axis, step in steps.items()))))
        target = self.out.element(of.sum.out, places)
        b.store(b.fadd(b.load(target), value), target)


# -- in Python -------------------------------------------------------------------------------------------------------


def _evaluate(found: Winners, out: Any, image: Any, numbers: Any, winners: Any, alive: Any) -> None:
    """The same sum of NumPy arrays whose last axis is that of the lanes, if there are any."""
    if alive is None:
        image, numbers, winners = image[..., None], numbers[..., None], winners[..., None]
    stated = found.sum
    windows = [stated.extents[axis] for axis in found.windows]
    channels = [stated.extents[axis] for k in found.channels for axis in stated.left.indices[k].terms]
    inside = [axis for axis in found.own if not any(axis in stated.left.indices[k].terms for k in found.channels)]
    maps = [stated.extents[axis] for axis in found.maps]
    grid = dict(zip(found.windows, np.indices(windows, sparse=True), strict=True))
    for taps in np.ndindex(*(stated.extents[axis] for axis in inside)):
        for offsets in np.ndindex(*(stated.extents[axis] for axis in found.inside)):
            places = {**grid, **dict(zip(inside, taps, strict=True)), **dict(zip(found.inside, offsets, strict=True))}
            at = [np.broadcast_to(stated.left.indices[k].at(places), windows) for k in found.spatial]
            there = np.logical_and.reduce(
                [(index >= 0) & (index < image.shape[k]) for k, index in zip(found.spatial, at, strict=True)]
            )
            where: list[Any] = [slice(None)] * (image.ndim - 1)
            for k, index in zip(found.spatial, at, strict=True):
                where[k] = np.where(there, index, 0)
            pixels = np.moveaxis(image, found.channels, range(len(channels)))[
                (*[slice(None)] * len(channels), *(where[k] for k in found.spatial))
            ]
            chosen = there[..., None] & (winners == found.position.at(places)) & (True if alive is None else alive)
            for own in np.ndindex(*maps):
                products = np.where(chosen[own], pixels * numbers[own], 0)
                total = products.reshape(*channels, -1).sum(-1)
                for channel in np.ndindex(*channels):
                    of_channel = dict(
                        zip((a for k in found.channels for a in stated.left.indices[k].terms), channel, strict=True)
                    )
                    whole = {**places, **dict(zip(found.maps, own, strict=True)), **of_channel}
                    out[tuple(int(index.at(whole)) for index in stated.out.indices)] += total[channel]


__all__ = ["of_winners"]
