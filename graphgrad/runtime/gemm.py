"""A product of matrices in blocks: panels that are copied together, and tiles whose sums stay in registers.

C = keep · C + scale · A B, of matrices in row order or transposed. A panel holds a few rows of A, or columns of B, number
beside number as a tile reads them. Of A so many rows are copied at once as stay in the second cache, of B one panel, which
stays in the first. At the edges of C are tiles of a third of the rows, or of half the columns. The sums over a block of the
inner axis are added to C; those of each number of C are added in the same order whatever share of C is asked for.
Source: Goto and van de Geijn, Anatomy of high-performance matrix multiplication, 2008; Van Zee and van de Geijn, BLIS: A
framework for rapidly instantiating BLAS functionality, 2015.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from graphgrad.compiler.panels import DEEP, HIGH, panels_of
from graphgrad.runtime.lanes import spread
from graphgrad.runtime.transposition import PART, columns_of
from graphgrad.runtime.vectors import WHOLE, fma, rolled, rounds

TRUTH = ir.IntType(1)


def _whole(value: int) -> Any:
    return ir.Constant(WHOLE, value)


class Gemm:
    """Writes the functions of a product into a module, once for each kind of number."""

    def __init__(self, module: Any, real: Any, bits: int) -> None:
        self.module, self.real, self.bits, self.tile = module, real, bits, panels_of(512 // bits)
        self.pointer, self.vector = real.as_pointer(), ir.VectorType(real, self.tile.width)
        self.align = bits // 8

    def function(self) -> Any:
        """The function of C, how far its rows lie apart, how many rows and columns to make, the inner extent; of A and of B
        where it begins, how far its rows or columns lie apart, and whether it is rows that do; scale, keep, and room."""
        given = [self.pointer, WHOLE, WHOLE, WHOLE, WHOLE, self.pointer, WHOLE, TRUTH, self.pointer, WHOLE, TRUTH]
        return self._function("gemm", [*given, self.real, self.real, self.pointer], self._blocks)

    def _function(self, name: str, kinds: list[Any], write: Callable[..., None]) -> Any:
        name = f"{name}.{self.bits}"
        known = self.module.globals.get(name)
        if known is not None:
            return known
        function = ir.Function(self.module, ir.FunctionType(ir.VoidType(), kinds), name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        write(builder, *function.args)
        builder.ret_void()
        return function

    def _blocks(self, b: Any, *given: Any) -> None:
        """For each block of the inner axis and of the rows, the panels of A; for each panel of B, the tiles."""
        c, wide, rows, columns, inner, left, left_step, left_by_rows, right, right_step, right_by_rows, *rest = given
        scale, keep, room = rest
        tile, zero = self.tile, _whole(0)
        panel_of_right, panels_of_left = room, b.gep(room, [_whole(tile.columns * DEEP)])
        high, deep = self._even(b, rows, HIGH, tile.rows), self._even(b, inner, DEEP, tile.width)
        pack = self._function("panel", self._panel_kinds, self._panel)

        def panel_of_left(row: Any) -> Any:
            return b.gep(panels_of_left, [b.mul(b.sdiv(row, _whole(tile.rows)), _whole(tile.high * DEEP))])

        with rounds(b, zero, inner, deep) as k:
            depth = self._least(b, deep, b.sub(inner, k))
            kept = b.select(b.icmp_signed("==", k, zero), keep, ir.Constant(self.real, 1.0))
            with rounds(b, zero, rows, high) as m:
                height = self._least(b, high, b.sub(rows, m))
                with rounds(b, zero, height, _whole(tile.rows)) as i:
                    first = b.add(m, i)
                    at = self._at(b, left, left_step, left_by_rows, first, k)
                    count = b.sub(rows, first)
                    b.call(pack, [panel_of_left(i), _whole(tile.high), at, left_step, left_by_rows, count, depth])
                with rounds(b, zero, columns, _whole(tile.columns)) as j:
                    at = self._at(b, right, right_step, right_by_rows, k, j)
                    count = b.sub(columns, j)
                    b.call(
                        pack,
                        [panel_of_right, _whole(tile.columns), at, right_step, b.not_(right_by_rows), count, depth],
                    )
                    width = self._least(b, _whole(tile.columns), count)
                    with rounds(b, zero, height, _whole(tile.rows)) as i:
                        target = b.gep(c, [b.add(b.mul(b.add(m, i), wide), j)])
                        used = self._least(b, _whole(tile.rows), b.sub(height, i))
                        self._multiply(
                            b, [depth, panel_of_left(i), panel_of_right, target, wide, used, width, scale, kept]
                        )

    @staticmethod
    def _at(b: Any, data: Any, step: Any, by_rows: Any, row: Any, column: Any) -> Any:
        far, near = b.select(by_rows, row, column), b.select(by_rows, column, row)
        return b.gep(data, [b.add(b.mul(far, step), near)])

    @staticmethod
    def _least(b: Any, x: Any, y: Any) -> Any:
        return b.select(b.icmp_signed("<", x, y), x, y)

    @staticmethod
    def _even(b: Any, extent: Any, most: int, unit: int) -> Any:
        """The extent in equal parts of at most `most`, each a multiple of `unit`."""
        parts = b.sdiv(b.add(extent, _whole(most - 1)), _whole(most))
        parts = b.select(b.icmp_signed("<", parts, _whole(1)), _whole(1), parts)
        each = b.sdiv(b.add(extent, b.sub(parts, _whole(1))), parts)
        return b.mul(b.sdiv(b.add(each, _whole(unit - 1)), _whole(unit)), _whole(unit))

    # -- panels ------------------------------------------------------------------------------------------------------

    @property
    def _panel_kinds(self) -> list[Any]:
        return [self.pointer, WHOLE, self.pointer, WHOLE, TRUTH, WHOLE, WHOLE]

    def _panel(self, b: Any, to: Any, high: Any, source: Any, step: Any, across: Any, count: Any, depth: Any) -> None:
        """Copy `depth` lines of `high` numbers each. Number i of line k lies i steps and k numbers from the first, if `across`,
        or i numbers and k steps; from `count` on it is the last one again."""
        width, last = _whole(self.tile.width), b.sub(count, _whole(1))
        with b.if_else(across) as (then, otherwise):
            with then, rounds(b, _whole(0), high, width) as first:
                self._across(b, b.gep(to, [first]), high, source, step, first, last, depth)
            with (
                otherwise,
                rounds(b, _whole(0), depth, _whole(1)) as k,
                rounds(b, _whole(0), high, width) as first,
            ):
                target = b.gep(to, [b.add(b.mul(k, high), first)])
                self._along(b, target, b.gep(source, [b.mul(k, step)]), first, last)

    def _along(self, b: Any, target: Any, line: Any, first: Any, last: Any) -> None:
        """The numbers of a line lie beside each other: a register of them."""
        width, vector = self.tile.width, self.vector.as_pointer()
        whole = b.icmp_signed("<=", b.add(first, _whole(width - 1)), last)
        with b.if_else(whole) as (then, otherwise):
            with then:
                numbers = b.load(b.bitcast(b.gep(line, [first]), vector), align=self.align)
                b.store(numbers, b.bitcast(target, vector), align=self.align)
            with otherwise, rounds(b, _whole(0), _whole(width), _whole(1)) as i:
                number = b.load(b.gep(line, [self._least(b, b.add(first, i), last)]))
                b.store(number, b.gep(target, [i]))

    def _across(self, b: Any, to: Any, high: Any, source: Any, step: Any, first: Any, last: Any, depth: Any) -> None:
        """The lines lie beside each other: of as many of them as a register has numbers, a few numbers each are transposed
        at once."""
        width, few = self.tile.width, PART // self.bits
        part, vector = ir.VectorType(self.real, few).as_pointer(), self.vector.as_pointer()

        def number(i: Any, k: Any) -> Any:
            return b.gep(source, [b.add(b.mul(self._least(b, b.add(first, i), last), step), k)])

        whole = b.mul(b.sdiv(depth, _whole(few)), _whole(few))
        with rounds(b, _whole(0), whole, _whole(few)) as k:
            parts = [b.load(b.bitcast(number(_whole(i), k), part), align=self.align) for i in range(width)]
            for i, column in enumerate(columns_of(b, parts)):
                place = b.gep(to, [b.mul(b.add(k, _whole(i)), high)])
                b.store(column, b.bitcast(place, vector), align=self.align)
        with rounds(b, whole, depth, _whole(1)) as k, rounds(b, _whole(0), _whole(width), _whole(1)) as i:
            b.store(b.load(number(i, k)), b.gep(to, [b.add(b.mul(k, high), i)]))

    # -- tiles -------------------------------------------------------------------------------------------------------

    def _multiply(self, b: Any, given: list[Any]) -> None:
        """A tile that is a register wide where that is enough, or a third as high, or whole."""
        kinds = [WHOLE, *[self.pointer] * 3, WHOLE, WHOLE, WHOLE, self.real, self.real]
        _, _, _, _, _, rows, columns, _, _ = given

        def tile(high: int, registers: int) -> None:
            write = partial(self._tile, high, registers)
            b.call(self._function(f"tile.{high}.{registers}", kinds, write), given)

        all_, few = self.tile.rows, self.tile.rows // 3
        with b.if_else(b.icmp_signed("<=", columns, _whole(self.tile.width))) as (narrow, wide):
            with narrow:
                tile(all_, 1)
            with wide, b.if_else(b.icmp_signed("<=", rows, _whole(few))) as (low, high):
                with low:
                    tile(few, 2)
                with high:
                    tile(all_, 2)

    def _tile(
        self,
        high: int,
        registers: int,
        b: Any,
        depth: Any,
        left: Any,
        right: Any,
        to: Any,
        wide: Any,
        rows: Any,
        columns: Any,
        scale: Any,
        keep: Any,
    ) -> None:
        """The sums of a tile, which is so many rows high and registers wide; only so many of its rows and columns are stored."""
        width, broad, vector = self.tile.width, registers * self.tile.width, self.vector.as_pointer()
        cells = list(itertools.product(range(high), range(registers)))
        anew = b.fcmp_ordered("==", keep, ir.Constant(self.real, 0.0))
        part = b.not_(b.and_(b.icmp_signed("==", rows, _whole(high)), b.icmp_signed("==", columns, _whole(broad))))
        own = b.bitcast(cgutils.alloca_once(b, ir.ArrayType(self.real, high * broad)), self.pointer)
        own_wide = _whole(broad)
        with b.if_then(b.and_(part, b.not_(anew))):
            self._copy(b, own, own_wide, to, wide, rows, columns)
        self._fetch(b, [b.gep(to, [b.mul(self._least(b, _whole(i), rows), wide)]) for i in range(high)])
        sums = self._sums(b, depth, left, right, cells, registers)
        target, step = b.select(part, own, to), b.select(part, own_wide, wide)
        scales, keeps = spread(b, scale, self.vector), spread(b, keep, self.vector)
        zeros = ir.Constant(self.vector, [0.0] * width)
        for (i, h), total in zip(cells, sums, strict=True):
            place = b.bitcast(b.gep(target, [b.add(b.mul(_whole(i), step), _whole(h * width))]), vector)
            kept = b.select(anew, zeros, b.fmul(keeps, b.load(place, align=self.align)))
            b.store(fma(b, scales, total, kept), place, align=self.align)
        with b.if_then(part):
            self._copy(b, to, wide, own, own_wide, rows, columns)

    @staticmethod
    def _copy(b: Any, to: Any, to_wide: Any, source: Any, source_wide: Any, rows: Any, columns: Any) -> None:
        """Rows and columns from one place to another, number by number."""
        with rounds(b, _whole(0), rows, _whole(1)) as i, rounds(b, _whole(0), columns, _whole(1)) as j:
            number = b.load(b.gep(source, [b.add(b.mul(i, source_wide), j)]))
            b.store(number, b.gep(to, [b.add(b.mul(i, to_wide), j)]))

    def _sums(
        self, b: Any, depth: Any, left: Any, right: Any, cells: list[tuple[int, int]], registers: int
    ) -> list[Any]:
        """A loop along two panels, through which the sums are carried in registers."""
        tile, width, vector = self.tile, self.tile.width, self.vector.as_pointer()
        zero = ir.Constant(self.vector, [0.0] * width)
        before = b.block
        head, inside, after = (b.append_basic_block(f"sums.{part}") for part in ("head", "body", "end"))
        b.branch(head)
        b.position_at_end(head)
        k, of_left, of_right = b.phi(WHOLE), b.phi(self.pointer), b.phi(self.pointer)
        sums = [b.phi(self.vector) for _ in cells]
        b.cbranch(b.icmp_signed("<", k, depth), inside, after)
        b.position_at_end(inside)
        columns = [
            b.load(b.bitcast(b.gep(of_right, [_whole(h * width)]), vector), align=self.align) for h in range(registers)
        ]
        found, number = [], None
        for (i, h), total in zip(cells, sums, strict=True):
            if h == 0:  # just before it is used, so that it needs no register for long
                number = spread(b, b.load(b.gep(of_left, [_whole(i)])), self.vector)
            found.append(fma(b, number, columns[h], total))
        moved = (
            b.add(k, _whole(1)),
            b.gep(of_left, [_whole(tile.high)]),
            b.gep(of_right, [_whole(tile.columns)]),
        )
        rolled(b.module, b.branch(head))
        starts = [_whole(0), left, right, *[zero] * len(cells)]
        for phi, first, then in zip([k, of_left, of_right, *sums], starts, [*moved, *found], strict=True):
            phi.add_incoming(first, before)
            phi.add_incoming(then, inside)
        b.position_at_end(after)
        return sums

    def _fetch(self, b: Any, places: list[Any]) -> None:
        """Have what will be written brought into the cache meanwhile."""
        byte, whole = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, whole, whole, whole])
        fetch = cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0i8")
        for place in places:
            b.call(fetch, [b.bitcast(place, byte), *(ir.Constant(whole, how) for how in (1, 3, 1))])
