"""Gradients behind a max-pooling: of each window only its winner counts, so only winners are multiplied.

A generated step states such a sum at its head, as it is read on paper, and calls it on its arrays:

    sum_dK = of_winners("dK[i, j, k, m] += x[j, 2 * p + r + k, 2 * q + u + m] * dA[i, p, q]",
                        {"i": 8, "j": 3, "k": 5, "m": 5, "p": 12, "q": 12, "r": 2, "u": 2},
                        where="winner[i, p, q] == 2 * r + u", registers=24, lanes=16, room=...)

for a kernel, or `"dx[j, 2 * p + r + k, 2 * q + u + m] = K[i, j, k, m] * dA[i, p, q]"` for an image, each of whose elements
is the sum of all products that go there. The image is copied, or made, so that what a row of the kernel touches lies side
by side (see `pooled`), and is then a few vectors:

* The kernel's sums of one map stay in registers, so many at once, while window after window adds its number times them.
* The image's numbers under a place in a window stay in registers, while the kernels of all maps that have their winner
  there are added. Which ones these are is read off the bits of one comparison of 16 maps.

The copies lie in an array of `room` lanes, or numbers. Source: row by row, as Gustavson, Two fast algorithms for sparse
matrices, 1978, multiplies them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from graphgrad.compiler.pooled import WIDE, Winners, read_winners
from graphgrad.compiler.stated import nameless
from graphgrad.runtime.contraction import sums_of_products
from graphgrad.runtime.copies import Writer
from graphgrad.runtime.lanes import spread
from graphgrad.runtime.vectors import fma

STRETCH = 1008
"""How many windows are summed up one after the other; a sum of more numbers would lose digits."""

BUSY = 8
"""How many sums keep the processor busy: with fewer, each waits for its last addition."""


def of_winners(
    text: str, extents: Mapping[str, int], *, where: str, registers: int, room: int, lanes: int = 1
) -> Callable[..., Any]:
    """The compiled function (out, other, numbers, winners, room) of a sum over the winners of windows.

    On lanes there comes after these which of them are alive, where a kernel's sum goes over the samples. Raises
    ValueError where the text is no such sum, or takes more room than there is.
    """
    found = read_winners(text, extents, where)
    if room < found.room(lanes):
        raise ValueError(f"{text} takes {found.room(lanes)} numbers, and there is room for {room}")
    if config.DISABLE_JIT:
        return _in_python(found, lanes)
    key = nameless(text), nameless(where), repr(extents), registers, lanes
    if key not in _known:
        _known[key] = _compiled(found, registers, lanes)
        sums_of_products.add(_known[key])
    return _known[key]


_known: dict[tuple[Any, ...], Callable[..., Any]] = {}


# -- as LLVM instructions --------------------------------------------------------------------------------------------


def _compiled(found: Winners, registers: int, lanes: int) -> Callable[..., Any]:
    writer = _ToImage if found.to_image else _ToKernel

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        writer(found, registers, lanes, context, builder, signature, arguments).write()
        return context.get_dummy_value()

    if lanes > 1 and not found.to_image:

        def sum_of_winners(
            typing_context: Any, out: Any, other: Any, numbers: Any, winners: Any, room: Any, alive: Any
        ) -> Any:
            return types.none(out, other, numbers, winners, room, alive), generate

    else:

        def sum_of_winners(typing_context: Any, out: Any, other: Any, numbers: Any, winners: Any, room: Any) -> Any:  # type: ignore[misc]
            return types.none(out, other, numbers, winners, room), generate

    result: Callable[..., Any] = intrinsic(sum_of_winners)
    return result


class _ToKernel(Writer):
    """kernel += image · numbers."""

    def write(self) -> None:
        zero = ir.Constant(self.real, 0.0)
        with self.each(self.of.weights) as k:
            self.b.store(zero, self.beyond(self.weights, k))
        self.each_row(
            self.copy_row, lambda at: self.clear(at, self.whole(self.of.reach(self.of.spatial[-1]) * self.of.width))
        )
        self.copy_windows()
        with self.each(self.lanes) as sample, self.if_alive(sample):
            self.multiply(sample)
        self.each_weight(self.of.kernel.axes, {}, self.add)

    def copy_row(self, at: Any, places: Mapping[int, Any]) -> None:
        """A row of the copy; what is written beyond its end is written over by the next one."""
        b, of = self.b, self.of
        before, first, count = self.in_row()
        begin, whole = self.whole(before * of.width), self.whole(of.reach(of.spatial[-1]) * of.width)
        self.clear(at, begin)
        self.turned(
            count,
            lambda k: self.load(self.image.data, self.element(k, first, places)),
            self.rows,
            b.add(at, begin),
            of.copy,
        )
        self.clear(b.add(b.add(at, begin), count), b.sub(whole, b.add(begin, count)))

    def copy_windows(self) -> None:
        b, of = self.b, self.of
        kind = ir.VectorType(self.number, self.lanes)
        extents = [of.extent(axis) for axis in of.windows]

        def place(k: Any) -> Any:
            _, *window = self.digits(k, [of.extent(*of.maps), *extents])
            start = self.plus(*((digit, of.moves(axis)) for digit, axis in zip(window, of.windows, strict=True)))
            total = spread(b, self.narrowed(b.add(start, self.whole(of.start))), kind)
            winner = b.fptoui(self.load(self.winners.data, k), kind)
            for digit, axis in zip(self.digits(winner, [of.extent(a) for a in of.inside]), of.inside, strict=True):
                total = b.add(total, b.mul(digit, ir.Constant(kind, [of.moves(axis)] * self.lanes)))
            return total

        count, start = self.whole(of.extent(*of.maps, *of.windows)), self.whole(0)
        self.turned(count, lambda k: self.load(self.numbers.data, k), self.slopes, start, of.count)
        self.turned(count, place, self.places, start, of.count)

    @contextmanager
    def if_alive(self, sample: Any) -> Iterator[None]:
        if self.alive is None:
            yield
            return
        bits = self.b.bitcast(self.alive, ir.IntType(self.lanes))
        bit = self.b.lshr(bits, self.b.trunc(sample, bits.type))
        with self.b.if_then(self.b.trunc(bit, ir.IntType(1))):
            yield

    def multiply(self, sample: Any) -> None:
        """The products of a sample."""
        b, of = self.b, self.of
        rows = self.beyond(self.rows, self.plus((sample, of.copy)))
        vectors, windows = self.vectors(), of.extent(*of.windows)
        for first in range(0, len(vectors), self.registers):
            group = vectors[first : first + self.registers]
            with self.each(of.extent(*of.maps)) as map_, self.each(windows, STRETCH) as start:
                begin = b.add(self.plus((sample, of.count), (map_, windows)), start)
                count = self.least(b.sub(self.whole(windows), start), self.whole(STRETCH))
                totals = self.sum_up(
                    rows, self.beyond(self.slopes, begin), self.beyond(self.places, begin), count, group
                )
                sums = self.beyond(self.weights, self.plus((map_, len(of.runs) * of.padded)))
                for (_, at, kind), total in zip(group, totals, strict=True):
                    self.store(b.fadd(self.read(sums, at, kind), total), sums, at)

    def sum_up(self, rows: Any, slopes: Any, places: Any, count: Any, group: list[tuple[int, int, Any]]) -> list[Any]:
        """Σ number · row over some windows, for a group of vectors that stay in registers."""
        b, windows = self.b, self.of.extent(*self.of.windows)
        wanted = min(-(-BUSY // len(group)), self.registers // len(group), 4)
        turns = next(n for n in range(wanted, 0, -1) if windows % n == 0)  # windows that have sums of their own

        def step(carried: list[Any]) -> list[Any]:
            k, *totals = carried
            found: list[Any] = []
            for turn in range(turns):
                window = b.add(k, self.whole(turn))
                place = b.load(self.beyond(places, window), align=self.align)
                row = self.beyond(rows, self.widened(place))
                number = b.load(self.beyond(slopes, window), align=self.align)
                for at, _, kind in group:
                    found.append(fma(b, spread(b, number, kind), self.read(row, at, kind), totals[len(found)]))
            return [b.add(k, self.whole(turns)), *found]

        zeros = [ir.Constant(kind, [0.0] * kind.count) for _, _, kind in group]
        _, *totals = self.repeated(
            [self.whole(0), *zeros * turns], lambda carried: b.icmp_signed("<", carried[0], count), step
        )
        return [functools.reduce(b.fadd, totals[k :: len(group)]) for k in range(len(group))]

    def add(self, weight: Any, total: Any) -> None:
        self.b.store(self.b.fadd(self.b.load(weight), self.b.load(total)), weight)


class _ToImage(Writer):
    """image = kernel · numbers."""

    def write(self) -> None:
        b, of = self.b, self.of
        with self.each(self.lanes * of.copy) as k:
            b.store(ir.Constant(self.real, 0.0), self.beyond(self.rows, k))
        self.each_weight(of.kernel.axes, {}, lambda weight, copied: b.store(b.load(weight), copied))
        self.copy_windows()
        with self.each(self.lanes) as sample, self.each(of.maps_padded, WIDE) as map_:
            self.multiply(sample, map_, list(of.windows), self.whole(0), self.whole(of.start))
        self.clear_image()
        self.each_row(self.write_row, lambda at: None)

    def copy_windows(self) -> None:
        """What came to each window, and its winner as a whole number, all maps of a window side by side."""
        b, of = self.b, self.of
        kind = ir.VectorType(self.number, self.lanes)
        maps, windows = of.extent(*of.maps), of.extent(*of.windows)

        def place(k: Any) -> Any:
            window, map_ = self.digits(k, [windows, of.maps_padded])
            return b.add(b.mul(self.least(map_, self.whole(maps - 1)), self.whole(windows)), window)

        count, start = self.whole(of.maps_padded * windows), self.whole(0)
        self.turned(count, lambda k: self.load(self.numbers.data, place(k)), self.slopes, start, of.count)
        self.turned(
            count, lambda k: b.fptoui(self.load(self.winners.data, place(k)), kind), self.places, start, of.count
        )

    def multiply(self, sample: Any, map_: Any, axes: list[str], window: Any, at: Any) -> None:
        """The products of some maps of a sample, over the windows along these axes."""
        b, of = self.b, self.of
        if axes:
            axis, *others = axes
            with self.each(of.extent(axis)) as k:
                further = b.add(at, self.plus((k, of.moves(axis))))
                self.multiply(sample, map_, others, b.add(self.plus((window, of.extent(axis))), k), further)
            return
        kind = ir.VectorType(self.number, WIDE)
        begin = b.add(self.plus((sample, of.count), (window, of.maps_padded)), map_)
        winners = self.read(self.beyond(self.places, begin), 0, kind)
        left = b.sub(self.whole(of.extent(*of.maps)), map_)
        numbers = ir.Constant(kind, list(range(WIDE)))
        there = b.icmp_signed("<", numbers, spread(b, self.narrowed(left), kind))
        slopes = self.beyond(self.slopes, begin)
        kernels = self.beyond(self.weights, self.plus((map_, len(of.runs) * of.padded)))
        rows = self.beyond(self.rows, b.add(at, self.plus((sample, of.copy))))
        with self.each(of.extent(*of.inside)) as place:
            own = spread(b, self.narrowed(place), kind)
            bits = b.bitcast(b.and_(b.icmp_signed("==", winners, own), there), ir.IntType(WIDE))
            with b.if_then(b.icmp_signed("!=", bits, ir.Constant(bits.type, 0))):
                digits = self.digits(place, [of.extent(axis) for axis in of.inside])
                moved = self.plus(*((digit, of.moves(axis)) for digit, axis in zip(digits, of.inside, strict=True)))
                self.add_kernels(self.beyond(rows, moved), kernels, slopes, bits)

    def add_kernels(self, row: Any, kernels: Any, slopes: Any, bits: Any) -> None:
        """To the numbers at a place, those of the kernels of the maps whose bits are set."""
        b, of, vectors = self.b, self.of, self.vectors()
        none = ir.Constant(bits.type, 0)
        name = f"llvm.cttz.i{WIDE}"
        kind = ir.FunctionType(bits.type, [bits.type, ir.IntType(1)])
        zeros_before = cgutils.get_or_insert_function(b.module, kind, name)
        for first in range(0, len(vectors), self.registers):
            group = vectors[first : first + self.registers]

            def step(carried: list[Any], group: list[tuple[int, int, Any]] = group) -> list[Any]:
                left, *totals = carried
                map_ = self.widened(b.call(zeros_before, (left, ir.Constant(ir.IntType(1), 1))))
                number = b.load(self.beyond(slopes, map_), align=self.align)
                weights = self.beyond(kernels, self.plus((map_, len(of.runs) * of.padded)))
                found = [
                    fma(b, spread(b, number, kind), self.read(weights, at, kind), total)
                    for (_, at, kind), total in zip(group, totals, strict=True)
                ]
                return [b.and_(left, b.sub(left, ir.Constant(left.type, 1))), *found]

            _, *totals = self.repeated(
                [bits, *(self.read(row, at, kind) for at, _, kind in group)],
                lambda carried: b.icmp_signed("!=", carried[0], none),
                step,
            )
            for (at, _, _), total in zip(group, totals, strict=True):
                self.store(total, row, at)

    def clear_image(self) -> None:
        """0 where nothing goes, if the image is larger than what windows and kernel reach."""
        b, of = self.b, self.of
        count: Any = self.whole(1)
        beyond: Any = ir.Constant(ir.IntType(1), any(of.first(k) > 0 for k in of.spatial))
        for k, extent in enumerate(self.extents):
            count = b.mul(count, extent)
            if k in of.spatial:
                beyond = b.or_(beyond, b.icmp_signed(">", extent, self.whole(of.first(k) + of.reach(k))))
        with b.if_then(beyond), self.each(count) as k:
            self.store_element(ir.Constant(self.vector, [0.0] * self.lanes), k)

    def store_element(self, value: Any, offset: Any) -> None:
        """An element of the image, of all samples."""
        place = self.b.gep(self.image.data, [offset])
        self.b.store(value, self.b.bitcast(place, self.vector.as_pointer()), align=self.align)

    def write_row(self, at: Any, places: Mapping[int, Any]) -> None:
        """A row of the image, of the samples' copies."""
        b, of = self.b, self.of
        before, first, count = self.in_row()
        row = self.beyond(self.rows, b.add(at, self.whole(before * of.width)))
        with self.each(count, self.lanes) as start:
            values = self.beyond(row, start)
            if self.lanes > 1:
                b.call(self.turn, [values, self.whole(of.copy), self.block, self.whole(self.lanes)])
                values = self.block
            with self.each(self.least(b.sub(count, start), self.whole(self.lanes))) as k:
                value = self.read(values, b.mul(k, self.whole(self.lanes)), self.vector)
                self.store_element(value, self.element(b.add(start, k), first, places))


# -- in Python -------------------------------------------------------------------------------------------------------


TO_KERNEL, TO_IMAGE = "iwl,cwl->ic", "iwl,ic->cwl"
"""Sums over maps, windows, lanes and channels."""


def _in_python(found: Winners, lanes: int) -> Callable[..., Any]:
    """The same function of NumPy arrays, whose last axis is that of the lanes, if there are any."""
    channels = [axis for k in found.channels for axis in found.image.indices[k].terms]
    taps = [axis for axis in found.own if axis not in channels]
    order = [found.kernel.axes.index(axis) for axis in (*found.maps, *channels, *taps)]
    shape = [found.extent(axis) for axis in (*found.maps, *channels)]
    maps = found.extent(*found.maps)

    def channels_first(image: Any) -> Any:
        whole = image[..., None] if lanes == 1 else image
        return np.moveaxis(whole, found.channels, range(len(channels)))

    def to_kernel(out: Any, image: Any, numbers: Any, winners: Any, room: Any, alive: Any = True) -> None:
        seen, kernel = channels_first(image), out.transpose(order)
        numbers = numbers.reshape(maps, -1, lanes)
        for tap, position, where, there in _places(found, taps, seen.shape[len(channels) :]):
            pixels = seen[(*[slice(None)] * len(channels), *where)].reshape(-1, there.size, lanes)
            pixels = np.where(there[:, None], pixels, 0)
            chosen = (winners.reshape(numbers.shape) == position) & alive
            total = _product(chosen, numbers, pixels, TO_KERNEL)
            kernel[(..., *tap)] += total.reshape(shape)

    def to_image(out: Any, kernel: Any, numbers: Any, winners: Any, room: Any) -> None:
        out[...] = 0
        made, kernel = channels_first(out), kernel.transpose(order)
        numbers = numbers.reshape(maps, -1, lanes)
        for tap, position, where, there in _places(found, taps, made.shape[len(channels) :]):
            weights = kernel[(..., *tap)].reshape(maps, -1)
            chosen = winners.reshape(numbers.shape) == position
            total = _product(chosen, numbers, weights, TO_IMAGE)[:, there]
            at = (*[slice(None)] * len(channels), *(index[there] for index in where))
            made[at] += total.reshape(*shape[len(found.maps) :], *total.shape[1:])

    return to_image if found.to_image else to_kernel


def _product(chosen: Any, numbers: Any, others: Any, line: str) -> Any:
    """Sums of products with the numbers that are chosen; what is not has no part in them, whatever it would meet."""
    if np.isfinite(others).all():
        return np.einsum(line, np.where(chosen, numbers, 0), others, optimize=True)
    if line == TO_KERNEL:
        return np.stack([np.where(own, one * others, 0).sum((1, 2)) for own, one in zip(chosen, numbers, strict=True)])
    weights = others[:, :, None, None]
    return sum(np.where(own, one * w, 0) for own, one, w in zip(chosen, numbers, weights, strict=True))


def _places(found: Winners, taps: list[str], shape: tuple[int, ...]) -> Iterator[tuple[Any, ...]]:
    """For each place in the kernel and in a window: which these are, and where in the image that is for all windows, and
    whether there."""
    windows = np.indices([found.extents[axis] for axis in found.windows]).reshape(len(found.windows), -1)
    moving = [*taps, *found.inside]
    for numbers in np.ndindex(*(found.extents[axis] for axis in moving)):
        at = dict(zip(moving, numbers, strict=True))
        everywhere = {**at, **dict(zip(found.windows, windows, strict=True))}
        where = [np.broadcast_to(found.image.indices[k].at(everywhere), windows.shape[1:]) for k in found.spatial]
        inside = [(index >= 0) & (index < extent) for index, extent in zip(where, shape, strict=False)]
        there = np.logical_and.reduce(inside)
        yield numbers[: len(taps)], found.position.at(at), [np.where(there, index, 0) for index in where], there


__all__ = ["of_winners"]
