"""How large a share of a product each thread of a team makes: the larger, the faster it is.

A processor may have cores of several speeds, and other programs slow some of them down for a while. The elements of a product
are the same whoever makes them. So each thread measures how long its shares of products take, and at the end of a step, where
all meet, the last one to come corrects the shares: they are divided by the square roots of their times, by which they come
to take equally long in a few steps without following every disturbance.

In the memory, behind the two lines by which threads meet, are the ends of the shares, as parts of a whole, and the times.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import config
from numba.core import cgutils
from numba.extending import intrinsic

from graphgrad.runtime.meeting import IS_X86, meet, meeting
from graphgrad.runtime.vectors import WHOLE, rounds

TOGETHER = 32
"""Rows and columns are shared so many at a time, where there are as many for each thread: about a tile's."""
MOST = 31
"""How many threads have shares of their own size, at most; more have equal ones."""
ENDS, TIMES = 16, 48
"""Where these begin in the memory, in words of 64 bits."""
ONE = 1 << 16
"""What the shares add up to."""


def _whole(value: int) -> Any:
    return ir.Constant(WHOLE, value)


def share_of(b: Any, memory: Any, extent: Any, thread: Any, threads: Any) -> tuple[Any, Any]:
    """Where the share of a thread begins, and how large it is."""
    few = b.icmp_signed("<=", threads, _whole(MOST))
    ends = [b.select(few, one, _whole(0)) for one in (thread, b.add(thread, _whole(1)), threads)]
    first, last, all_ = (b.load(b.gep(memory, [b.add(_whole(ENDS), one)])) for one in ends)
    known = b.icmp_signed("==", all_, _whole(ONE))
    each = b.sdiv(extent, threads)
    together = b.select(b.icmp_signed("<", each, _whole(TOGETHER)), each, _whole(TOGETHER))
    together = b.select(b.icmp_signed("<", together, _whole(1)), _whole(1), together)
    count = b.sdiv(b.sub(b.add(extent, together), _whole(1)), together)

    def beginning(number: Any, end: Any) -> Any:
        by_speed = b.ashr(b.add(b.mul(count, end), _whole(ONE // 2)), _whole(ONE.bit_length() - 1))
        position = b.mul(b.select(known, by_speed, b.sdiv(b.mul(count, number), threads)), together)
        return b.select(b.icmp_signed("<", position, extent), position, extent)

    start = beginning(thread, first)
    return start, b.sub(beginning(b.add(thread, _whole(1)), last), start)


@contextmanager
def timed(b: Any, memory: Any, thread: Any, threads: Any) -> Iterator[None]:
    """Measure how long a thread takes for its share, by the processor's own clock where that can be read."""
    if not IS_X86:
        yield
        return
    clock = cgutils.get_or_insert_function(b.module, ir.FunctionType(WHOLE, []), "llvm.readcyclecounter")
    before = b.call(clock, [])
    yield
    spent = b.sub(b.call(clock, []), before)
    with b.if_then(b.and_(b.icmp_signed(">", threads, _whole(1)), b.icmp_signed("<=", threads, _whole(MOST)))):
        place = b.gep(memory, [b.add(_whole(TIMES), thread)])
        b.store(b.add(b.load(place), spent), place)


def _share_anew(b: Any, memory: Any, threads: Any) -> None:
    """Correct the shares by the times that they took, and measure anew."""
    with b.if_then(b.icmp_signed("<=", threads, _whole(MOST))):
        _corrected(b, b.gep(memory, [_whole(ENDS)]), b.gep(memory, [_whole(TIMES)]), threads)


def _corrected(b: Any, ends: Any, times: Any, threads: Any) -> None:
    real, zero, one = ir.DoubleType(), _whole(0), _whole(1)
    root = cgutils.get_or_insert_function(b.module, ir.FunctionType(real, [real]), "llvm.sqrt.f64")
    known = b.icmp_signed("==", b.load(b.gep(ends, [threads])), _whole(ONE))
    equal = b.sdiv(_whole(ONE), threads)
    new = b.bitcast(times, real.as_pointer())
    sum_ = cgutils.alloca_once(b, real)

    def most(x: Any, y: Any) -> Any:
        return b.select(b.icmp_signed(">", x, y), x, y)

    b.store(ir.Constant(real, 0.0), sum_)
    with rounds(b, zero, threads, one) as k:
        share = b.select(known, b.sub(b.load(b.gep(ends, [b.add(k, one)])), b.load(b.gep(ends, [k]))), equal)
        share = b.sitofp(most(share, b.sdiv(equal, _whole(16))), real)
        time = b.sitofp(most(b.load(b.gep(times, [k])), one), real)
        weight = b.fdiv(share, b.call(root, [time]))
        b.store(weight, b.gep(new, [k]))
        b.store(b.fadd(b.load(sum_), weight), sum_)
    scale = b.fdiv(ir.Constant(real, ONE), b.load(sum_))
    b.store(ir.Constant(real, 0.0), sum_)
    with rounds(b, zero, threads, one) as k:
        b.store(b.fadd(b.load(sum_), b.load(b.gep(new, [k]))), sum_)
        b.store(b.fptosi(b.fmul(b.load(sum_), scale), WHOLE), b.gep(ends, [b.add(k, one)]))
        b.store(zero, b.gep(times, [k]))
    b.store(_whole(ONE), b.gep(ends, [threads]))


def _meet_and_share(typing_context: Any, memory: Any, threads: Any) -> Any:
    """Wait until all threads are here, and correct their shares of products."""
    return meeting(memory, threads, _share_anew)


meet_and_share = meet if config.DISABLE_JIT else intrinsic(_meet_and_share)
