"""One contender in a process of its own: says its losses and what it took to begin, then is timed slice by slice.

python worker.py CONTENDER WORKLOAD THREADS
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import statistics
import sys
import time

STEPS_COMPARED = 4


def main() -> None:
    contender, workload, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if threads == 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    from workloads import made

    load = made(workload)
    module = importlib.import_module("contenders" if load.trains else "functions")
    importlib.import_module({"inductor": "torch"}.get(contender, contender))  # its import is not its first step
    begin = time.perf_counter()
    step = getattr(module, contender)(workload, load, threads)
    losses = [step()]
    first = time.perf_counter() - begin
    losses += [step() for _ in range(STEPS_COMPARED - 1)]
    print(json.dumps({"losses": losses, "first": first}), flush=True)
    for line in sys.stdin:
        seconds, times = float(line), []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or not times:
            count = max(1, int(2e-3 / times[-1])) if times else 1
            start = time.perf_counter()
            for _ in range(count):
                step()
            times.append((time.perf_counter() - start) / count)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"median": statistics.median(times) / (load.loop or 1), "memory": memory}), flush=True)


if __name__ == "__main__":
    main()
