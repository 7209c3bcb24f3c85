"""The copies that a sum over the winners of windows works on: how they are laid out anew, and the loops over them.

Arrays on lanes have the samples side by side; the copies have what is next to each other in an image or in a kernel, each
sample for itself (see `pooled`). Blocks of both are turned into each other like small matrices are transposed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from graphgrad.compiler.pooled import Winners
from graphgrad.runtime.vectors import AT_ONCE, WHOLE, Pointer, rolled, rounds


class Writer:
    """What a sum over the winners of windows begins with: its arrays, and the loops over copies of them."""

    def __init__(
        self, found: Winners, registers: int, lanes: int, context: Any, builder: Any, signature: Any, arguments: Any
    ) -> None:
        self.of, self.registers, self.lanes, self.b = found, registers, lanes, builder
        real = signature.args[1 if found.to_image else 0].dtype  # that is never of lanes
        self.real, self.number = context.get_value_type(real), ir.IntType(real.bitwidth)
        self.align, self.at_once = real.bitwidth // 8, 8 * AT_ONCE // real.bitwidth
        self.vector = ir.VectorType(self.real, lanes)
        out, other, self.numbers, self.winners = (
            Pointer(context, builder, type, array)
            for type, array in zip(signature.args[:4], arguments[:4], strict=True)
        )
        self.image, self.kernel = (out, other) if found.to_image else (other, out)
        which = 0 if found.to_image else 1
        made = context.make_array(signature.args[which])(context, builder, arguments[which])
        self.extents = cgutils.unpack_tuple(builder, made.shape)
        room = context.make_array(signature.args[4])(context, builder, arguments[4])
        self.rows = builder.bitcast(room.data, self.real.as_pointer())
        self.slopes = self.beyond(self.rows, lanes * found.copy)
        self.places = builder.bitcast(self.beyond(self.slopes, lanes * found.count), self.number.as_pointer())
        self.weights = self.beyond(self.slopes, 2 * lanes * found.count)
        square = cgutils.alloca_once(builder, ir.ArrayType(self.vector, lanes))
        self.block = builder.bitcast(square, self.real.as_pointer())
        self.alive = arguments[5] if len(arguments) > 5 else None

    def whole(self, value: int) -> Any:
        return ir.Constant(WHOLE, value)

    def narrowed(self, value: Any) -> Any:
        """A whole number as wide as the numbers are."""
        return value if self.number == WHOLE else self.b.trunc(value, self.number)

    def widened(self, value: Any) -> Any:
        """A place as it is counted in memory."""
        return value if value.type == WHOLE else self.b.zext(value, WHOLE)

    def beyond(self, place: Any, count: Any) -> Any:
        return self.b.gep(place, [self.whole(count) if isinstance(count, int) else count])

    @contextmanager
    def each(self, count: Any, step: int = 1) -> Iterator[Any]:
        """A loop over 0, step, 2 step, ... below a count."""
        stop = self.whole(count) if isinstance(count, int) else count
        with rounds(self.b, self.whole(0), stop, self.whole(step)) as index:
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

    def each_row(self, inside: Callable[[Any, Mapping[int, Any]], None], outside: Callable[[Any], None]) -> None:
        """Go over the rows of the copy, from the first place on: those in the image, with where it is, and the others."""
        self._rows(self.of.spatial[:-1], self.whole(0), ir.Constant(ir.IntType(1), 1), {}, inside, outside)

    def _rows(
        self,
        outer: Sequence[int],
        at: Any,
        there: Any,
        places: Mapping[int, Any],
        inside: Callable[[Any, Mapping[int, Any]], None],
        outside: Callable[[Any], None],
    ) -> None:
        b, of = self.b, self.of
        if not outer:
            with b.if_else(there) as (then, otherwise):
                with then:
                    inside(at, places)
                with otherwise:
                    outside(at)
            return
        k, *others = outer
        with self.each(of.reach(k)) as along:
            place = b.add(along, self.whole(of.first(k)))
            also = b.and_(there, b.icmp_unsigned("<", place, self.extents[k]))
            self._rows(others, b.add(at, self.plus((along, of.step[k]))), also, {**places, k: place}, inside, outside)

    def in_row(self) -> tuple[int, int, Any]:
        """How many places of a row of the copy lie before the image, which of the image is the first, how many numbers
        follow."""
        k = self.of.spatial[-1]
        start, reach, none = self.of.first(k), self.of.reach(k), self.whole(0)
        first = max(0, start)
        count = self.b.sub(self.least(self.extents[k], self.whole(start + reach)), self.whole(first))
        count = self.b.select(self.b.icmp_signed("<", count, none), none, count)
        return min(max(0, -start), reach), first, self.b.mul(count, self.whole(self.of.width))

    def element(self, number: Any, first: int, places: Mapping[int, Any]) -> Any:
        """Where in the image a number of a row lies, that row at these places."""
        b, of = self.b, self.of
        last = of.spatial[-1]
        x, *channels = self.digits(number, [of.reach(last), *(of.reach(k) for k in of.channels)])
        found = {**places, last: b.add(x, self.whole(first)), **dict(zip(of.channels, channels, strict=True))}
        offset: Any = self.whole(0)
        for k, stride in enumerate(self.image.strides):
            offset = b.add(offset, b.mul(stride, found[k]))
        return offset

    def least(self, x: Any, y: Any) -> Any:
        return self.b.select(self.b.icmp_signed("<", x, y), x, y)

    def clear(self, at: Any, count: Any) -> None:
        zero = ir.Constant(self.real, 0.0)
        with self.each(self.lanes) as sample:
            row = self.beyond(self.rows, self.b.add(at, self.plus((sample, self.of.copy))))
            with self.each(count) as k:
                self.b.store(zero, self.beyond(row, k))

    def load(self, data: Any, offset: Any) -> Any:
        place = self.b.bitcast(self.b.gep(data, [offset]), self.vector.as_pointer())
        return self.b.load(place, align=self.align)

    def turned(self, count: Any, element: Callable[[Any], Any], target: Any, at: Any, apart: int) -> None:
        """So many elements, each for all samples, as so many numbers beside each other for each of the samples."""
        b, lanes = self.b, self.whole(self.lanes)
        with self.each(count, self.lanes) as first:
            place = self.beyond(target, b.add(at, first))
            with self.each(self.least(b.sub(count, first), lanes)) as k:
                row = b.bitcast(element(b.add(first, k)), self.vector)
                self.store(row, *((place, 0) if self.lanes == 1 else (self.block, b.mul(k, lanes))))
            if self.lanes > 1:
                b.call(self.turn, [self.block, lanes, b.bitcast(place, self.block.type), self.whole(apart)])

    @cached_property
    def turn(self) -> Any:
        """A function that transposes a square: (its rows, how far they are apart, its columns, how far they are)."""
        name, pointer = f"turned_{self.lanes}_{self.real}", self.real.as_pointer()
        module: Any = self.b.module
        if name in module.globals:
            return module.globals[name]
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer, WHOLE, pointer, WHOLE]), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        b = ir.IRBuilder(function.append_basic_block())
        source, step, target, apart = function.args

        def vector(data: Any, k: int, stride: Any) -> Any:
            return b.bitcast(b.gep(data, [b.mul(ir.Constant(WHOLE, k), stride)]), self.vector.as_pointer())

        rows = [b.load(vector(source, k, step), align=self.align) for k in range(self.lanes)]
        for k, row in enumerate(_transposed(b, rows)):
            b.store(row, vector(target, k, apart), align=self.align)
        b.ret_void()
        return function

    def each_weight(self, axes: list[str], places: dict[str, Any], use: Callable[[Any, Any], None]) -> None:
        """Go over the kernel: where each of its numbers lies in the array, and where in the copy of it."""
        of = self.of
        if axes:
            with self.each(of.extent(axes[0])) as place:
                self.each_weight(axes[1:], {**places, axes[0]: place}, use)
            return
        steps: dict[str, int] = {}
        count = of.padded
        for axis in reversed([*of.maps, *of.others]):
            steps[axis] = count
            count *= of.extent(axis)
        steps |= {axis: of.moves(axis) for axis in of.own if axis not in of.others}
        copied = self.beyond(self.weights, self.plus(*((places[axis], step) for axis, step in steps.items())))
        use(self.kernel.element(of.kernel, places), copied)

    def vectors(self) -> list[tuple[int, int, Any]]:
        """A kernel as vectors: where each begins in the copy of the image, where in that of the kernel, and its type.

        Where it is the image that is written, none reaches beyond the end of its run."""
        found = []
        for number, begin in enumerate(self.of.runs):
            k = 0
            while k < self.of.run:
                left = self.of.run - k
                bits = left.bit_length() - 1 if self.of.to_image else (left - 1).bit_length()
                size = min(self.at_once, 2**bits)
                found.append((begin + k, number * self.of.padded + k, ir.VectorType(self.real, size)))
                k += size
        return found

    def read(self, data: Any, at: Any, kind: Any) -> Any:
        """A vector that begins so many numbers further."""
        return self.b.load(self.b.bitcast(self.beyond(data, at), kind.as_pointer()), align=self.align)

    def store(self, value: Any, data: Any, at: Any) -> None:
        """A vector from a place so many numbers further on."""
        self.b.store(value, self.b.bitcast(self.beyond(data, at), value.type.as_pointer()), align=self.align)

    def repeated(
        self, first: Sequence[Any], more: Callable[[list[Any]], Any], step: Callable[[list[Any]], list[Any]]
    ) -> list[Any]:
        """A loop through which values are carried, while `more` of them holds; the values after it."""
        b, before = self.b, self.b.block
        head, body, after = (b.append_basic_block(f"winners.{part}") for part in ("head", "body", "end"))
        b.branch(head)
        b.position_at_end(head)
        carried = [b.phi(value.type) for value in first]
        b.cbranch(more(carried), body, after)
        b.position_at_end(body)
        found = step(carried)
        last = b.block
        rolled(b.module, b.branch(head))
        for phi, start, following in zip(carried, first, found, strict=True):
            phi.add_incoming(start, before)
            phi.add_incoming(following, last)
        b.position_at_end(after)
        return carried


def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
    """The columns, by perfect shuffles: each takes the first bit of a row's number to the end of a column's."""
    count = len(rows)
    kind = ir.VectorType(ir.IntType(32), count)
    low, high = (
        ir.Constant(kind, [first + k // 2 + count * (k % 2) for k in range(count)]) for first in (0, count // 2)
    )
    for _ in range(count.bit_length() - 1):
        pairs = list(zip(rows[: count // 2], rows[count // 2 :], strict=True))
        rows = [builder.shuffle_vector(x, y, half) for x, y in pairs for half in (low, high)]
    return rows
