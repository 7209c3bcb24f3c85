"""A compiled function as one Python file that needs NumPy and Numba only, with its weights beside it.

The file has the generated step as `f.source` shows it, the kernels that the step calls, verbatim, and a function that
takes arrays by name. It may be copied anywhere: nothing of this package is imported.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphgrad.graph import GraphError, Node
from graphgrad.graph.data import bind

if TYPE_CHECKING:
    from graphgrad.runtime.function import Function

OURS = "graphgrad."
ROOT = Path(__file__).parents[2]
PARAMETER = "parameter "
"""What the names in the archive begin with, so that none is a word of NumPy's own, such as `file`."""


def export(function: Function, path: str | os.PathLike[str], parameters: Mapping[str, object]) -> None:
    """Write the file, and the parameters, if they are given, into an `.npz` of the same name."""
    target = Path(path)
    if target.suffix != ".py" or not target.stem.isidentifier():
        raise GraphError(f"export writes a Python module: {target.name!r} should be a name like net.py")
    own = tuple(leaf for leaf in function.leaves if leaf.kind == "parameter")
    values, _, _ = bind(own, parameters, function.dtype) if parameters else ({}, None, False)
    text = _text(function, target.stem, bool(parameters))
    try:
        target.write_text(text, "utf-8")
        if parameters:
            arrays = {f"{PARAMETER}{leaf.op.name}": array for leaf, array in values.items()}
            np.savez(target.with_suffix(".npz"), **arrays)  # type: ignore[arg-type]
    except OSError as error:
        raise GraphError(f"{target} cannot be written: {error.strerror}") from None


def _text(function: Function, stem: str, weights: bool) -> str:
    on_lanes = function._on_lanes
    _, source = function._lanes_module if on_lanes else function._module
    carried = _carried(source)
    package = f"{stem}_kernels"
    parts = [
        _HEAD.format(
            title=function.graph.title.replace("\\", "/").replace('"', "'") or "a graph",
            stem=stem,
            given=", ".join(
                f"{leaf.op.name}=..." for leaf in function.leaves if not (weights and leaf in _own(function))
            ),
            weights=f" Its weights are in {stem}.npz." if weights else "",
        ),
        "CARRIED = {",
        *(f"    {name!r}: r'''{_renamed(text, package)}''',\n" for name, text in carried.items()),
        "}\n",
        _LOADER.format(package=package),
        _renamed(_without_call(source), package),
        _tables(function, on_lanes),
        _ON_LANES if on_lanes else _ALONE,
        _WEIGHTS.format(archive=f"{stem}.npz", skipped=len(PARAMETER)) if weights else "\nWEIGHTS = {}",
        _CALL,
    ]
    return "\n".join(parts)


def _own(function: Function) -> set[Node]:
    return {leaf for leaf in function.leaves if leaf.kind == "parameter"}


def _carried(source: str) -> dict[str, str]:
    """The modules of this package that a source imports, and those that they import, each after what it needs."""
    found: dict[str, str] = {}

    def visit(text: str) -> None:
        for line in ast.walk(ast.parse(text)):
            if not isinstance(line, ast.ImportFrom) or not (line.module or "").startswith(OURS):
                continue
            for name in [line.module or "", *(f"{line.module}.{alias.name}" for alias in line.names)]:
                file, short = ROOT.joinpath(*name.split(".")).with_suffix(".py"), name.rpartition(".")[2]
                if file.is_file() and short not in found:
                    inner = file.read_text("utf-8")
                    visit(inner)
                    found[short] = inner

    visit(source)
    return found


def _renamed(text: str, package: str) -> str:
    """The text with imports from the carried package instead of this one."""
    assert "'''" not in text
    for stage in ("runtime", "ops", "compiler"):
        text = text.replace(f"from graphgrad.{stage} import", f"from {package} import")
        text = text.replace(f"from graphgrad.{stage}.", f"from {package}.")
    return text


def _without_call(source: str) -> str:
    """The source of the step, without its docstring and without the function for other compiled code."""
    tree = ast.parse(source)
    lines = source.splitlines()
    first = tree.body[0].end_lineno or 0
    calls = [line for line in tree.body if isinstance(line, ast.FunctionDef) and line.name == "call"]
    last = calls[0].decorator_list[0].lineno - 1 if calls else len(lines)
    return "\n".join(lines[first:last]).strip() + "\n"


def _tables(function: Function, on_lanes: bool) -> str:
    """What the call needs to know: the arrays in order, and where each result is."""
    leaves = {leaf.op.name: (leaf.shape, leaf.per_sample) for leaf in function.leaves}
    results: dict[str, object] = {}
    named = [(str(node.op.name if node.name is None else node.name.ident), node) for node in function.outputs]
    named += [
        (f"grad_{wrt.op.name if wrt.name is None else wrt.name.ident}", g) for wrt, g in function.gradients.items()
    ]
    for name, node in named:
        instruction = function.program.values[node]
        if instruction.constant is not None:
            results[name] = (float(instruction.constant), node.shape, node.per_sample)
        elif instruction.leaf is not None:
            results[name] = (instruction.op.name, node.shape, node.per_sample)
        else:
            results[name] = (function._numbers[instruction], node.shape, node.per_sample)
    return "\n".join(
        [
            "ARRAYS = {  # shape, and whether each sample has its own",
            *(f"    {name!r}: {what!r}," for name, what in leaves.items()),
            "}",
            "RESULTS = {  # the number of its section, or a constant, or an argument; its shape; per sample",
            *(f"    {name!r}: {what!r}," for name, what in results.items()),
            "}",
            "",
        ]
    )


_HEAD = '''"""{title}: a compiled function, exported by graphgrad. It needs NumPy and Numba.{weights}

    from {stem} import evaluate
    results = evaluate({given})    # arrays (samples, *shape), or (*shape) for one; a dictionary by name

The step is below as it was generated; before it are the kernels that it calls.
"""

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
'''

_LOADER = '''
def _load(package):
    """Make the carried kernels importable."""
    sys.modules[package] = whole = ModuleType(package)
    whole.__path__ = []
    for name, text in CARRIED.items():
        module = ModuleType(f"{{package}}.{{name}}")
        sys.modules[module.__name__] = module
        setattr(whole, name, module)
        exec(compile(text, f"<{{module.__name__}}>", "exec"), vars(module))


_load({package!r})
'''

_ALONE = """
def _run(arrays, samples):
    memory = np.empty(MEMORY[0] + MEMORY[1] * samples, real)
    step(*arrays.values(), memory)
    return memory, samples
"""

_ON_LANES = """
def _run(arrays, samples):
    data = [array for name, array in arrays.items() if ARRAYS[name][1]]
    parameters = np.zeros(globals().get("KEPT", 0), real)
    for name, (start, shape) in globals().get("PARAMETERS", {}).items():
        parameters[start : start + arrays[name].size] = arrays[name].ravel()
    padded = -(-samples // LANES) * LANES
    raw = np.zeros(MEMORY[0] + MEMORY[1] * padded + MEMORY[2] + 64, real)
    start = -raw.ctypes.data % 64 // raw.itemsize
    memory = raw[start : raw.size - 64 + start]
    step(*data, *([parameters] if parameters.size else []), memory, 0, 1)
    return memory, padded
"""

_WEIGHTS = """
with np.load(Path(__file__).with_name({archive!r})) as _archive:
    WEIGHTS = {{name[{skipped}:]: _archive[name] for name in _archive.files}}
"""

_CALL = '''
def evaluate(**given):
    """The results by name; arrays that are not given are those of the weights."""
    given = {**WEIGHTS, **given}
    unknown, missing = given.keys() - ARRAYS.keys(), ARRAYS.keys() - given.keys()
    if unknown or missing:
        raise TypeError(f"evaluate takes {', '.join(ARRAYS)}: unknown {sorted(unknown)}, missing {sorted(missing)}")
    arrays, samples, single = {}, None, False
    for name, (shape, per_sample) in ARRAYS.items():
        array = np.ascontiguousarray(given[name], real).reshape(np.shape(given[name]))
        if per_sample:
            single = array.ndim == len(shape)
            array = array[None] if single else array
            samples = len(array) if samples is None else samples
        if array.shape != ((samples,) * per_sample + shape):
            raise ValueError(f"{name} has shape {array.shape}; it takes {'(samples, ...) of ' * per_sample}{shape}")
        arrays[name] = array
    if samples == 0:
        raise ValueError("the batch is empty: give at least one sample")
    samples = samples or 1
    memory, padded = _run(arrays, samples)
    results = {}
    for name, (where, shape, per_sample) in RESULTS.items():
        if isinstance(where, str):
            found = arrays[where] if where in arrays else real(samples)  # an argument, or how many samples there are
        elif isinstance(where, float):
            found = np.full((samples,) * per_sample + shape, where, real)
        else:
            start, each, own, own_per_sample = SECTIONS[where]
            size = int(np.prod(own, dtype=int))
            start += each * padded
            if own_per_sample:
                found = memory[start : start + size * padded]
                if LANES > 1:
                    found = found.reshape(-1, size, LANES).swapaxes(1, 2)
                found = found.reshape(padded, *own)[:samples]
            else:
                found = np.broadcast_to(memory[start : start + size].reshape(own), (samples,) * per_sample + shape)
        results[name] = found[0] if single and per_sample else np.array(found)
    return results
'''
