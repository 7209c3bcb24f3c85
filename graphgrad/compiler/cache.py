"""The kernel cache: a private folder for each program, with its generated source and the machine code that Numba keeps.

A folder is named by a hash of everything that shapes the code, written once and never changed. Numba's own index
there is a pickle, so the cache is used only where nobody else can write.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from graphgrad.compiler.processor import features
from graphgrad.graph import GraphError

VARIABLE = "GRAPHGRAD_CACHE_DIR"

MOST_BYTES = 512 * 2**20
"""How much the cache holds: beyond it, the programs that were not used for the longest time are removed."""

RECENT = 24 * 3600.0
"""For how many seconds after its last use a program stays, since another process may be running it."""
_loading = threading.Lock()


class CacheError(GraphError):
    """The kernel cache cannot be used safely."""


def folder() -> Path:
    """The cache's folder: $GRAPHGRAD_CACHE_DIR, else `graphgrad` in the user's cache folder. Made if missing.

    Raises CacheError where it belongs to somebody else or others can write to it.
    """
    chosen = os.environ.get(VARIABLE)
    if chosen:
        path = Path(chosen).expanduser()
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        path = Path(base) / "graphgrad"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check(path)
    except OSError:
        return _fallback()
    return path


@lru_cache(maxsize=1)
def _fallback() -> Path:
    """A folder for this process alone, where the user has no cache folder that can be written."""
    import atexit

    path = Path(tempfile.mkdtemp(prefix="graphgrad-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def _check(path: Path) -> None:
    status = path.stat()
    if not hasattr(os, "getuid"):
        return
    if status.st_uid != os.getuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CacheError(
            f"the kernel cache {path} can be written by others, and what lies there is run: "
            f"give it to yourself alone (chmod 700), or name another folder in ${VARIABLE}"
        )


@lru_cache(maxsize=1)
def fingerprint() -> str:
    """What besides the program shapes the machine code: this package, Numba, LLVM, NumPy, Python and the processor."""
    import llvmlite
    import llvmlite.binding
    import numba
    import numpy

    package = Path(__file__).parent.parent
    own = hashlib.sha256()
    for stage in ("graph", "ops", "compiler", "runtime"):
        for file in sorted((package / stage).glob("*.py")):
            own.update(file.read_bytes())
    processor = os.environ.get("NUMBA_CPU_NAME") or llvmlite.binding.get_host_cpu_name()
    switches = " ".join(f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith("NUMBA_") and k in _SWITCHES)
    parts = (own.hexdigest(), numba.__version__, llvmlite.__version__, numpy.__version__, sys.version, processor)
    return "\n".join((*parts, " ".join(sorted(features())), switches))


_SWITCHES = {"NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT", "NUMBA_OPT", "NUMBA_DEBUGINFO"}


def load(key: str, source: Callable[[], str]) -> tuple[ModuleType, str]:
    """The compiled module of a program and its source; `source` is called only where the cache has none.

    Safe when several threads and processes ask for the same program at once: one of them compiles.
    """
    digest = hashlib.sha256(f"{fingerprint()}\n{key}".encode()).hexdigest()[:40]
    module_name = f"graphgrad_kernels.{digest}"
    with _loading:
        home = folder() / digest
        file = home / "step.py"
        if (known := sys.modules.get(module_name)) is not None and known.__file__ == str(file) and file.exists():
            return known, file.read_text("utf-8")
        home.mkdir(mode=0o700, exist_ok=True)
        with _locked(home / "lock"):
            text = _read(file)
            if text is None:
                bound()
                text = source()
                text += f"# {_digest(text)}\n"
                _write(file, text)
                shutil.rmtree(home / "__pycache__", ignore_errors=True)
            try:
                module = _execute(module_name, file)
            except Exception:
                if not (home / "__pycache__").exists():
                    raise
                shutil.rmtree(home / "__pycache__", ignore_errors=True)  # damaged machine code is compiled again
                module = _execute(module_name, file)
            with contextlib.suppress(OSError):
                os.utime(home)
    return module, text


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(file: Path) -> str | None:
    """The source of an entry, or None where it is missing or damaged."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    body, _, last = text.rstrip("\n").rpartition("\n")
    return text if last == f"# {_digest(body + chr(10))}" else None


def _write(file: Path, text: str) -> None:
    temporary = file.with_suffix(f".{os.getpid()}.{threading.get_ident()}.tmp")
    temporary.write_text(text, "utf-8")
    os.replace(temporary, file)


def _execute(name: str, file: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location(name, file)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # before it runs: Numba finds the module of a cached function by its name
    try:
        specification.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    _as_compiled(module)
    return module


def _as_compiled(module: ModuleType) -> None:
    """Where Numba is switched off, NumPy computes: as silent as compiled code about what is infinite or NaN, and it
    returns a plain number too. A kernel for a GPU is as it was."""
    import numba
    import numpy

    def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            with numpy.errstate(all="ignore"):
                result = function(*arguments)
            return result.item() if isinstance(result, numpy.generic) else result

        return call

    if numba.config.DISABLE_JIT and not hasattr(module, "cuda"):
        for function in ("step", "run", "call"):
            if hasattr(module, function):
                setattr(module, function, compiled(getattr(module, function)))


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Hold a lock that other processes respect."""
    with open(file, "a+b") as handle:
        try:
            import fcntl
        except ImportError:
            yield
            return
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


def entries() -> list[Path]:
    """The folders of the cached programs, the longest unused first."""
    found = [path for path in folder().iterdir() if path.is_dir() and (path / "lock").exists()]
    return sorted(found, key=_used)


def _used(entry: Path) -> float:
    """When a program was used last; long ago where another process has removed it since."""
    with contextlib.suppress(FileNotFoundError):
        return entry.stat().st_mtime
    return 0.0


def _bytes(entry: Path) -> int:
    """The bytes that a program takes, without files that another process writes under another name or removes meanwhile."""
    total = 0
    for place, _, files in os.walk(entry):
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(os.path.join(place, file)).st_size
    return total


def size() -> int:
    """The bytes that the cache takes."""
    return sum(map(_bytes, entries()))


def bound(most: int = MOST_BYTES) -> int:
    """Remove the programs longest unused until the cache holds at most so many bytes; returns how many were removed.

    Programs that were used within the last day stay, whatever they take.
    """
    sizes = {entry: _bytes(entry) for entry in entries()}
    total, removed = sum(sizes.values()), 0
    for entry, size in sizes.items():  # the longest unused first
        if total <= most or time.time() - _used(entry) < RECENT:
            break
        shutil.rmtree(entry, ignore_errors=True)
        total, removed = total - size, removed + 1
    return removed


def clear() -> int:
    """Remove all cached programs; returns how many there were."""
    found = entries()
    for entry in found:
        shutil.rmtree(entry, ignore_errors=True)
    return len(found)
