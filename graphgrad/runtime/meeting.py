"""The barrier of a step's threads: each waits in compiled code until all have come."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

IS_X86 = platform.machine() in ("x86_64", "AMD64")
PATIENCE = 4000
"""How often a thread looks whether the others have come before it gives way to other work."""


def _meet(typing_context: Any, memory: Any, threads: Any) -> Any:
    """Wait until all threads are here."""
    return meeting(memory, threads)


def meeting(memory: Any, threads: Any, by_last: Callable[[Any, Any, Any], None] | None = None) -> Any:
    """The types and the code of a barrier; the last thread to come does something before any goes on.

    The beginning of the memory counts the threads: who has come, and how often all did."""
    if not isinstance(memory, types.Array):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        whole = ir.IntType(64)
        data = context.make_array(memory)(context, builder, arguments[0]).data
        come = builder.bitcast(data, whole.as_pointer())
        round_ = builder.gep(come, [ir.Constant(whole, 8)])
        all_ = context.cast(builder, arguments[1], signature.args[1], types.int64)
        one = ir.Constant(whole, 1)
        with builder.if_then(builder.icmp_signed(">", all_, one)):
            now = builder.load_atomic(round_, "acquire", 8)
            before = builder.atomic_rmw("add", come, one, "acq_rel")
            with builder.if_else(builder.icmp_signed("==", builder.add(before, one), all_)) as (last, others):
                with last:
                    if by_last is not None:
                        by_last(builder, come, all_)
                    builder.store_atomic(ir.Constant(whole, 0), come, "release", 8)
                    builder.store_atomic(builder.add(now, one), round_, "release", 8)
                with others:
                    _wait(builder, round_, now)
        return context.get_dummy_value()

    return types.none(memory, threads), generate


def _wait(builder: Any, round_: Any, now: Any) -> None:
    """Look again and again whether all have come."""
    whole = ir.IntType(64)
    entry = builder.block
    wait = builder.append_basic_block("wait")
    patient, tired = builder.append_basic_block("patient"), builder.append_basic_block("tired")
    again, done = builder.append_basic_block("again"), builder.append_basic_block("together")
    builder.branch(wait)
    builder.position_at_end(wait)
    looked = builder.phi(whole)
    looked.add_incoming(ir.Constant(whole, 0), entry)
    builder.cbranch(builder.icmp_signed("==", builder.load_atomic(round_, "acquire", 8), now), patient, done)
    builder.position_at_end(patient)
    _pause(builder)
    builder.cbranch(builder.icmp_signed("<", looked, ir.Constant(whole, PATIENCE)), again, tired)
    builder.position_at_end(tired)
    _give_way(builder)
    builder.branch(again)
    builder.position_at_end(again)
    looked.add_incoming(builder.add(looked, ir.Constant(whole, 1)), again)
    builder.branch(wait)
    builder.position_at_end(done)


def _pause(builder: Any) -> None:
    """Tell the processor that this is a loop that waits."""
    if IS_X86:
        kind = ir.FunctionType(ir.VoidType(), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse2.pause"), [])


def _give_way(builder: Any) -> None:
    """Let the system run another thread here."""
    if hasattr(os, "sched_yield"):
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])


def _meet_in_python(memory: Any, threads: int) -> None:
    assert threads == 1, "compiled code alone runs in several threads"


meet = _meet_in_python if config.DISABLE_JIT else intrinsic(_meet)
