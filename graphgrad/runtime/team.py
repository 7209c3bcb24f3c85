"""Threads that run one step together: each calls the same compiled function with its own number, and they meet in it.

The threads of a team are started once and sleep between steps. Within a step they meet at barriers that spin for a
moment and then give way, since all of them are in compiled code and hold no lock.
"""

from __future__ import annotations

import os
import platform
import queue
import threading
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

from graphgrad.graph import GraphError

PATIENCE = 4000
"""How often a thread looks whether the others have come before it gives way to other work."""

ENOUGH = 3_000_000
"""How many numbers a thread must have to compute before another one is asked to help: waking it takes some 30 µs."""


def _meet(typing_context: Any, memory: Any, threads: Any) -> Any:
    """Wait until all threads are here. The beginning of the memory counts them: who has come, and how often all did."""
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
                    builder.store_atomic(ir.Constant(whole, 0), come, "release", 8)
                    builder.store_atomic(builder.add(now, one), round_, "release", 8)
                with others:
                    entry = builder.block
                    wait = builder.append_basic_block("wait")
                    patient, tired = builder.append_basic_block("patient"), builder.append_basic_block("tired")
                    again, done = builder.append_basic_block("again"), builder.append_basic_block("together")
                    builder.branch(wait)
                    builder.position_at_end(wait)
                    looked = builder.phi(whole)
                    looked.add_incoming(ir.Constant(whole, 0), entry)
                    builder.cbranch(
                        builder.icmp_signed("==", builder.load_atomic(round_, "acquire", 8), now), patient, done
                    )
                    builder.position_at_end(patient)
                    _pause(builder)
                    builder.cbranch(builder.icmp_signed("<", looked, ir.Constant(whole, PATIENCE)), again, tired)
                    builder.position_at_end(tired)
                    _give_way(builder)
                    builder.branch(again)
                    builder.position_at_end(again)
                    looked.add_incoming(builder.add(looked, one), again)
                    builder.branch(wait)
                    builder.position_at_end(done)
        return context.get_dummy_value()

    return types.none(memory, threads), generate


def _pause(builder: Any) -> None:
    """Tell the processor that this is a loop that waits."""
    if platform.machine() in ("x86_64", "AMD64"):
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


class Team:
    """The threads beside the caller's own; one step at a time has them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tasks: list[queue.SimpleQueue[Callable[[], None]]] = []
        self._done: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def run(self, function: Callable[..., Any], arguments: tuple[Any, ...], threads: int) -> Any:
        """`function(*arguments, thread, threads)` in each of the threads at once; what it gives in the first."""
        if threads == 1:
            return function(*arguments, 0, 1)
        with self._lock:
            while len(self._tasks) < threads - 1:
                self._start()
            for k in range(1, threads):
                self._tasks[k - 1].put(lambda k=k: function(*arguments, k, threads))  # type: ignore[misc]
            try:
                return function(*arguments, 0, threads)
            finally:
                failed = [error for _ in range(threads - 1) if (error := self._done.get()) is not None]
                if failed:
                    raise failed[0]

    def _start(self) -> None:
        tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

        def work() -> None:
            while True:
                task = tasks.get()
                try:
                    task()
                    error = None
                except BaseException as raised:  # noqa: BLE001 - it is raised again where the step was called
                    error = raised
                del task
                self._done.put(error)

        threading.Thread(target=work, name="graphgrad", daemon=True).start()
        self._tasks.append(tasks)

    def forget(self) -> None:
        """Begin anew: after a fork the threads are not there."""
        vars(self).update(vars(Team()))


team = Team()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=team.forget)

_threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_num_threads(count: int) -> None:
    """Set how many threads share a step that is large enough; at the start, as many as there are processors.

    Products of large matrices are made by SciPy's library, which gets as many.

    For a fixed number of threads, the same step on the same data gives the same bits. Each thread adds up what is summed
    over its samples, and these sums are added in the order of the threads, so that another number of threads rounds
    differently: in sums of S terms by at most S units in the last place of the sum of their absolute values.

    Raises GraphError where `count` is not a whole number from 1 on.

    >>> import graphgrad as gg
    >>> gg.set_num_threads(1)
    """
    global _threads  # noqa: PLW0603 - one number for the process, as in every tool of the field
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise GraphError(f"set_num_threads takes a whole number from 1 on, not {count!r}")
    _threads = count


def threads_for(work: int) -> int:
    """How many threads share a step that computes about so many numbers: meeting costs more than a small one takes."""
    if config.DISABLE_JIT or config.BOUNDSCHECK:  # an error in one thread would leave the others waiting
        return 1
    return max(1, min(_threads, work // ENOUGH))


def num_threads() -> int:
    """How many threads share a step that is large enough.

    >>> import graphgrad as gg
    >>> gg.set_num_threads(1)
    >>> gg.num_threads()
    1
    """
    return _threads
