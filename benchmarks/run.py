"""Times one training step of each workload in graphgrad and its peers, interleaved, after their losses were compared.

    python run.py                 all workloads, one and two threads
    ONLY=lenet python run.py      one of them
    QUICK=1 python run.py         fewer rounds

Every contender runs in a process of its own, with its threads set before it is imported, and they take turns, in another
order each round, so that none always comes after the same one: graphgrad in the environment of its locked
dependencies, the peers in one of their newest releases, as their users have them (a peer may hold NumPy or Numba back for
all that it shares an environment with). The table shows the median of the rounds, its ratio to the best peer with the
smallest and the largest of the rounds, and what is asked of that ratio; benchmarks/results.json holds all of it. A peer
that is not installed is left out.

A first step of graphgrad and of JAX is the median of three processes with an empty cache each, or with the cache of the
one before, taken in turns; with more threads graphgrad has the same kernel, which is in the cache. What is asked of it is
so many seconds on a machine on which JAX takes so many, and so a ratio to JAX's.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from workloads import WORKLOADS, Workload, made

HERE = Path(__file__).parent
OWN = HERE.parent / ".venv" / "bin" / "python"
ROUNDS = 3 if os.environ.get("QUICK") else 9
STARTS = 1 if os.environ.get("QUICK") else 3
SECONDS = 0.3
TOLERANCE = 2e-3


class Runner:
    """A contender's process; None of it where it could not start."""

    def __init__(self, contender: str, workload: str, threads: int, cache: str | None) -> None:
        self.contender = contender
        environment = {**os.environ, **(_cached(contender, cache) if cache else {}), **_threads(threads)}
        unlike_a_user = ("OPENBLAS_", "PYTHONDONTWRITEBYTECODE")
        environment = {name: value for name, value in environment.items() if not name.startswith(unlike_a_user)}
        python = str(OWN) if contender == "graphgrad" and OWN.exists() else sys.executable
        self.process = subprocess.Popen(
            [python, "-W", "ignore", str(HERE / "worker.py"), contender, workload, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.began = self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            _, errors = self.process.communicate()
            raise ChildProcessError((errors.strip().splitlines() or ["no answer"])[-1])
        answer: dict[str, Any] = json.loads(line)
        return answer

    def slice(self) -> dict[str, Any]:
        """One turn."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{SECONDS}\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


def _cached(contender: str, cache: str) -> dict[str, str]:
    """Where a contender keeps what it compiled."""
    if contender == "graphgrad":
        return {"GRAPHGRAD_CACHE_DIR": cache}
    least = ("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES")
    return {"JAX_COMPILATION_CACHE_DIR": f"{cache}/jax", **dict.fromkeys(least, "0")} if contender == "jax" else {}


def _threads(count: int) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    single = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"} if count == 1 else {}
    return {**dict.fromkeys(names, str(count)), "JAX_PLATFORMS": "cpu", **single}


def _in_turn(runners: list[Runner], turn: int) -> list[Runner]:
    """The order of a round: over the rounds, each contender comes about as often after each other one.

    Source: Williams, Experimental designs balanced for the estimation of residual effects of treatments, 1949.
    """
    count = len(runners)
    zigzag = [(count - k // 2) % count if k % 2 == 0 else k // 2 + 1 for k in range(count)]
    order = [runners[(k + turn) % count] for k in zigzag]
    return order[::-1] if count % 2 and turn % 2 else order


def measured(name: str, load: Workload, threads: int, cache: str) -> list[dict[str, Any]]:
    """The rows of one workload at one number of threads."""
    runners, rows = [], []
    for contender in ("graphgrad", *load.peers):
        try:
            runners.append(Runner(contender, name, threads, cache if contender == "graphgrad" else None))
        except ChildProcessError as error:
            print(f"  {contender}: left out, {error}")
    ours = next(runner for runner in runners if runner.contender == "graphgrad")
    for runner in runners:
        pairs = zip(ours.began["losses"], runner.began["losses"], strict=True)
        if any(abs(a - b) > TOLERANCE * max(1.0, abs(a)) for a, b in pairs):
            raise AssertionError(f"{runner.contender}: {runner.began['losses']} for {ours.began['losses']}")
    rounds = [{runner.contender: runner.slice() for runner in _in_turn(runners, turn)} for turn in range(ROUNDS)]
    peers = [runner.contender for runner in runners if runner is not ours]
    for runner in runners:
        times = [turn[runner.contender]["median"] for turn in rounds]
        ratios = [
            turn[runner.contender]["median"] / min(turn[peer]["median"] for peer in peers) for turn in rounds if peers
        ]
        rows.append(
            {
                "workload": name,
                "title": load.name,
                "threads": threads,
                "contender": runner.contender,
                "median": statistics.median(times),
                "ratio": statistics.median(ratios) if ratios else None,
                "spread": [min(ratios), max(ratios)] if ratios else None,
                "asked": load.asked.get(threads) if runner is ours else None,
                "first": runner.began["first"],
                "memory": max(turn[runner.contender]["memory"] for turn in rounds),
                "losses": runner.began["losses"],
            }
        )
        runner.close()
    return rows


def starts(name: str, threads: int, cache: str | None, contenders: list[str]) -> dict[str, list[float]]:
    """How long each contender's first step took in some new processes, in turns: on one cache, or on an empty one each."""
    found: dict[str, list[float]] = {contender: [] for contender in contenders}
    for _ in range(STARTS):
        for contender in contenders:
            with tempfile.TemporaryDirectory() as empty:
                runner = Runner(contender, name, threads, cache or empty)
                found[contender].append(runner.began["first"])
                runner.close()
    return found


def _began(name: str, load: Workload, threads: int, cache: str, rows: list[dict[str, Any]]) -> None:
    """Adds the first steps to the rows: in seconds, and as ratios to JAX's where that is asked."""
    by_name = {row["contender"]: row for row in rows}
    contenders = [one for one in ("graphgrad", "jax") if one in by_name and (one == "graphgrad" or load.starts)]
    if load.starts and len(contenders) > 1:
        Runner("jax", name, threads, cache).close()  # fills its cache
    cached = starts(name, threads, cache, contenders)
    cold = starts(name, threads, None, contenders) if threads == min(load.asked) else {}
    for contender in contenders:
        by_name[contender]["firsts, cached"] = cached[contender]
        if cold:
            by_name[contender]["firsts"] = cold[contender]
        by_name[contender]["first"] = statistics.median((cold or cached)[contender])
    if len(contenders) > 1 and load.starts:
        for label, found, asked in (("firsts", cold, load.starts[0]), ("firsts, cached", cached, load.starts[1])):
            if found:
                ratios = [a / b for a, b in zip(found["graphgrad"], found["jax"], strict=True)]
                by_name["graphgrad"][f"{label}: to JAX's, asked"] = statistics.median(ratios), asked.asked / asked.jax


def shown(seconds: float) -> str:
    return f"{seconds * 1e6:10.3f} µs" if seconds < 1e-3 else f"{seconds * 1e3:10.3f} ms"


def _first(row: dict[str, Any]) -> str:
    """The first steps of a row, as text."""
    if "firsts, cached" not in row:
        return f"first step {row['first']:.2f} s"
    parts = []
    for label, words in (("firsts", "first step"), ("firsts, cached", "cached")):
        if label in row:
            seconds = row[label]
            text = f"{words} {statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
            if (against := row.get(f"{label}: to JAX's, asked")) is not None:
                text += f" {against[0]:.2f} times JAX's, asked {against[1]:.2f}"
            parts.append(text)
    return ", ".join(parts)


def main() -> None:
    chosen = [name for name in WORKLOADS if name in os.environ.get("ONLY", ",".join(WORKLOADS)).split(",")]
    results = []
    with tempfile.TemporaryDirectory() as cache:
        for name in chosen:
            load = made(name)
            for threads in load.asked:
                print(f"\n{load.name}, {threads} thread{'s' * (threads > 1)}, one step")
                rows = measured(name, load, threads, cache)
                _began(name, load, threads, cache, rows)
                for row in rows:
                    ratio = (
                        f"{row['ratio']:7.3f} ({row['spread'][0]:.3f} to {row['spread'][1]:.3f})"
                        if row["ratio"]
                        else ""
                    )
                    asked = f"  asked {row['asked']}" if row["asked"] else ""
                    print(
                        f"  {row['contender']:10} {shown(row['median'])} {ratio}{asked}   {_first(row)}, {row['memory']:.0f} MiB"
                    )
                results += rows
    file = HERE / "results.json"
    if len(chosen) < len(WORKLOADS) and file.exists():  # the others stay as they were
        results = [
            row for row in json.loads(file.read_text("utf-8"))["rows"] if row["workload"] not in chosen
        ] + results
    machine = {"processor": platform.processor() or platform.machine(), "python": platform.python_version()}
    file.write_text(json.dumps({"machine": machine, "rows": results}, indent=1), "utf-8")
    print(f"\nwritten: {HERE.name}/results.json")


if __name__ == "__main__":
    main()
