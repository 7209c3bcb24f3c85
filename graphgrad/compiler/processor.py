"""The processor that code is written for."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1)
def features() -> frozenset[str]:
    """Its features, by LLVM's names: those of the one at hand, changed by what Numba is told of it (`-avx512f`); where
    Numba is told of another processor, those that are told with its name."""
    import llvmlite.binding
    from numba import config

    host = config.CPU_NAME in {None, "host", llvmlite.binding.get_host_cpu_name()}
    found = set[str]()
    if host or config.CPU_FEATURES is None:
        found.update(name for name, there in llvmlite.binding.get_host_cpu_features().items() if there)
    for one in (config.CPU_FEATURES or "").split(","):
        (found.add if one.startswith("+") else found.discard)(one[1:])
    return frozenset(found)


@lru_cache(maxsize=1)
def registers_for_lanes() -> tuple[int, int]:
    """How many registers for vectors it has, and how many of them the lanes of a block fill: a cache line of 64 bytes."""
    import llvmlite.binding

    if llvmlite.binding.get_process_triple().startswith(("aarch64", "arm64")):
        return 32, 4
    if "avx512f" in features():
        return 32, 1
    return (16, 2) if "avx" in features() else (16, 4)
