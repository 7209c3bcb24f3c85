"""The library of matrix products that compiled code calls: SciPy's OpenBLAS, told which processor it runs on.

OpenBLAS takes some processors of AMD for older ones and computes with half their registers. Where they have those of
AVX-512, it is told so, before SciPy loads it and never over the user's own setting.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from typing import Any

VARIABLE = "OPENBLAS_CORETYPE"
NEEDED = ("avx512f", "avx512bw", "avx512dq", "avx512vl")


def prepare() -> None:
    """Name the processor to OpenBLAS where it would not know it."""
    if VARIABLE in os.environ or "scipy.linalg" in sys.modules:
        return
    import llvmlite.binding

    features = llvmlite.binding.get_host_cpu_features()
    if llvmlite.binding.get_host_cpu_name().startswith("znver") and all(features.get(one) for one in NEEDED):
        os.environ[VARIABLE] = "SkylakeX"


def limit(threads: int) -> None:
    """Have SciPy's products made by so many threads."""
    for library in _libraries():
        if library.num_threads != threads:
            library.set_num_threads(threads)


@lru_cache(maxsize=1)
def _libraries() -> tuple[Any, ...]:
    import scipy.linalg.cython_blas  # noqa: F401 - loads the library
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas").lib_controllers
    return tuple(library for library in found if "scipy" in os.path.basename(os.path.dirname(library.filepath)))
