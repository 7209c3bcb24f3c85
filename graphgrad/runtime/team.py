"""Threads that run one step together: each calls the same compiled function with its own number, and they meet in it.

The threads of a team are started once and sleep between steps. Within a step they meet at barriers that spin for a
moment and then give way, since all of them are in compiled code and hold no lock.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import Any

from numba import config

from graphgrad.graph import GraphError

ENOUGH = 3_000_000
"""How many numbers a thread must have to compute before another one is asked to help: waking it takes some 30 µs."""


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
