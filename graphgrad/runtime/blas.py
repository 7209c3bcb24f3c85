"""The library of matrix products that compiled code calls: SciPy's OpenBLAS, told which processor it runs on.

OpenBLAS takes some processors of AMD for older ones and computes with half their registers. Where they have those of
AVX-512, it is told so, before SciPy loads it and never over the user's own setting.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from functools import lru_cache
from importlib.machinery import ModuleSpec, PathFinder
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


def put_off() -> None:
    """Have Numba load its definitions without SciPy's products.

    It finds out whether SciPy has them by loading all of `scipy.linalg`, a third of a short program's start. SciPy is
    there, as a dependency of this package; Numba looks again where it compiles a product.
    """
    if "scipy.linalg" in sys.modules or "numba.np.arraymath" in sys.modules:
        return
    from numba.np import linalg

    look, linalg.ensure_blas = linalg.ensure_blas, lambda: None
    try:
        import numba.np.arraymath  # noqa: F401 - the one that looks
    finally:
        linalg.ensure_blas = look


def limit(threads: int) -> None:
    """Have SciPy's products made by so many threads."""
    for library in _libraries():
        if library.num_threads != threads:
            library.set_num_threads(threads)


@lru_cache(maxsize=1)
def _libraries() -> tuple[Any, ...]:
    _load()
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas").lib_controllers
    return tuple(library for library in found if "scipy" in os.path.basename(os.path.dirname(library.filepath)))


def _load() -> None:
    """Load SciPy's compiled products alone: all of `scipy.linalg` takes eight times as long."""
    name = "scipy.linalg.cython_blas"
    if name in sys.modules or (spec := _found(name)) is None or spec.loader is None:
        importlib.import_module(name)
        return
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _found(name: str) -> ModuleSpec | None:
    import scipy

    folder = os.path.join(os.path.dirname(scipy.__file__), "linalg")
    return PathFinder.find_spec(name, [folder])
