"""The processor that code is written for."""

from __future__ import annotations

import os
from functools import lru_cache


@lru_cache(maxsize=1)
def features() -> frozenset[str]:
    """Its features, by LLVM's names: those that Numba is told in the environment, else those of the one at hand."""
    import llvmlite.binding

    told = os.environ.get("NUMBA_CPU_FEATURES")
    if told is None and os.environ.get("NUMBA_CPU_NAME", "").lower() == "generic":
        told = ""
    if told is not None:
        return frozenset(one[1:] for one in told.split(",") if one.startswith("+"))
    return frozenset(name for name, there in llvmlite.binding.get_host_cpu_features().items() if there)


@lru_cache(maxsize=1)
def registers_for_lanes() -> tuple[int, int]:
    """How many registers for vectors it has, and how many of them the lanes of a block fill: a cache line of 64 bytes."""
    has = features()
    if "avx512f" in has:
        return 32, 1
    if "avx" in has:
        return 16, 2
    return (32, 4) if "neon" in has else (16, 4)
