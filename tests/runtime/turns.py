"""A kernel by threads that take turns: each runs from one meeting to the next, in an order that a test chooses.

Whatever the order, the results are the same bits, or a thread reads what another one writes without waiting for it.
"""

import threading
from types import SimpleNamespace

from numba.cuda.simulator import kernel as simulated

from graphgrad.runtime.device import THREADS


class Thread(threading.Thread):
    """One of a grid's threads; it goes on when it has the turn."""

    def __init__(self, grid, block, number, work):
        super().__init__(daemon=True)
        self.grid, self.block, self.number, self.work = grid, block, number, work
        self.turn, self.waits_for, self.error = threading.Semaphore(0), None, None

    def run(self):
        self.turn.acquire()
        try:
            self.work()
        except Exception as error:  # noqa: BLE001 - it is raised by the test
            self.error = error
        self.waits_for = "nothing"
        self.grid.back.release()

    def wait(self, for_whom):
        self.waits_for = for_whom
        self.grid.back.release()
        self.turn.acquire()


class Grid:
    """So many blocks; `order` puts those of its threads that can go on in a row."""

    def __init__(self, blocks, order):
        self.blocks, self.order, self.back, self.meetings = blocks, order, threading.Semaphore(0), 0

    def run(self, module, *arguments):
        kernel = module.run.fn
        threads = [Thread(self, b, t, lambda: kernel(*arguments)) for b in range(self.blocks) for t in range(THREADS)]
        known, vars(module)["cuda"], simulated._kernel_context = module.cuda, self, self
        try:
            for thread in threads:
                thread.start()
            self._take_turns(threads)
        finally:
            vars(module)["cuda"], simulated._kernel_context = known, None

    def _take_turns(self, threads):
        while alive := [thread for thread in threads if thread.waits_for != "nothing"]:
            ready = [thread for thread in alive if thread.waits_for is None]
            for thread in self.order(ready):
                thread.turn.release()
                self.back.acquire()
                if thread.error is not None:
                    raise thread.error
            alive = [thread for thread in threads if thread.waits_for != "nothing"]
            if any(thread.waits_for is None for thread in alive):
                continue
            blocks = {thread.block for thread in alive}
            together = [
                b for b in blocks if all(t.waits_for == "block" for t in threads if t.block == b)
            ]  # a block meets when all of its threads are there
            for thread in alive:
                if thread.block in together:
                    thread.waits_for = None
            if alive and not together:
                assert all(thread.waits_for == "grid" for thread in threads), "some threads wait for others in vain"
                self.meetings += 1
                for thread in threads:
                    thread.waits_for = None

    # -- what a kernel knows as `cuda` -----------------------------------------------------------------------------

    @property
    def threadIdx(self):
        return SimpleNamespace(x=threading.current_thread().number)

    @property
    def blockIdx(self):
        return SimpleNamespace(x=threading.current_thread().block)

    @property
    def gridDim(self):
        return SimpleNamespace(x=self.blocks)

    def grid(self, axes):
        thread = threading.current_thread()
        return THREADS * thread.block + thread.number

    def gridsize(self, axes):
        return THREADS * self.blocks

    def syncthreads(self):
        threading.current_thread().wait("block")

    @property
    def cg(self):
        return SimpleNamespace(this_grid=lambda: SimpleNamespace(sync=lambda: threading.current_thread().wait("grid")))
