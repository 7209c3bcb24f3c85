"""A generated step as one compiled function: its text is translated in a single walk, not by Numba's own passes.

Numba reads a function of a thousand lines in seconds, most of them spent on what generated text never needs. A step is
plain: numbers, arrays, loops over ranges. So its text goes to LLVM directly (see `translation`), as the body of a small
function that Numba compiles, keeps in its cache and calls like any other. `@njit` on the same text gives the same numbers.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numpy as np
from numba import config, njit, types, version_info
from numba.core import sigutils
from numba.core.runtime import rtsys
from numba.extending import intrinsic
from numba.np import numpy_support

from graphgrad.runtime.translated import in_place_of, translated

KNOWN = {(0, 65), (0, 68)}
"""Versions of Numba whose machine code is known to need none of the functions that its runtime compiles."""

OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}


def kernel(signature: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile a step for this signature; where Numba is to check every index, or not to compile, it has the text itself."""

    def decorate(step: Callable[..., Any]) -> Any:
        if config.BOUNDSCHECK or config.DISABLE_JIT:
            return njit(signature, cache=True, **OPTIONS)(step)
        arguments, result = sigutils.normalize_signature(signature)

        def generate(context: Any, *given: Any) -> Any:
            _optimised_once(context.active_code_library)
            return translated(step)(context, *given)

        def typed(typing_context: Any, *given: Any) -> Any:
            return (result or types.none)(*arguments), generate

        small = njit(cache=True, **OPTIONS)(in_place_of(step, typed, intrinsic))
        _load_alone(small)
        _typed_alone(small)
        small.compile(signature)
        small.disable_compile()
        return small

    return decorate


def loop(run: Callable[..., Any]) -> Any:
    """Compile a loop over steps as Numba does, when it is called first."""
    looped = njit(cache=True, nogil=True, error_model="numpy")(run)
    if not config.DISABLE_JIT:
        _load_alone(looped)
        _typed_alone(looped)
    return looped


def _optimised_once(library: Any) -> None:
    """Numba has LLVM simplify each function before they are linked, and all of them together after it, which does the former
    once more: one time is enough for a step that calls hardly any."""
    if hasattr(library, "_optimize_functions"):
        laid_out = library._codegen._data_layout
        library._optimize_functions = lambda module: setattr(module, "data_layout", laid_out)


def _load_alone(dispatcher: Any) -> None:
    """Machine code that lies in the cache needs the functions of Numba's runtime. Those that it compiles for others, and the
    definitions of all functions that Numba knows, which take as long to load as all else in a short program, are left to
    the first step that is compiled."""
    cache = dispatcher._cache
    if not hasattr(cache, "_load_overload") or not hasattr(cache, "_guard_against_spurious_io_errors"):
        return

    def load_overload(signature: Any, context: Any) -> Any:
        if version_info.short in KNOWN:
            from numba.core.runtime._nrt_python import c_helpers

            for name, address in c_helpers.items():
                llvmlite.binding.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)
        else:
            rtsys.initialize(context)
        found = None
        with cache._guard_against_spurious_io_errors():
            found = cache._load_overload(signature, context)
        if found is None:
            _put_off()
        return found

    cache.load_overload = load_overload


def _put_off() -> None:
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


def _typed_alone(dispatcher: Any) -> None:
    """The types of arrays of numbers without Numba's own rule, which asks whether they are masked: for that it loads all of
    `numpy.ma`."""
    general = dispatcher.typeof_pyval

    def type_of(value: Any) -> Any:
        if type(value) is not np.ndarray or value.dtype.char not in "fd" or not value.dtype.isnative:
            return general(value)
        kind, layout = numpy_support.from_dtype(value.dtype), numpy_support.map_layout(value)
        found = types.Array(kind, value.ndim, layout, readonly=not value.flags.writeable)
        dispatcher._types_active_call.add(found)
        return found

    dispatcher.typeof_pyval = type_of
