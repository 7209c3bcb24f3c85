"""The arrays that a graph is run on: found by name, checked against the leaves, converted; every misfit is a sentence."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from graphgrad.graph.errors import DataError, NotFiniteWarning
from graphgrad.graph.names import Name
from graphgrad.graph.node import Node

Array = np.ndarray[Any, np.dtype[Any]]

_MOST_LISTED = 3


def bind(
    leaves: Sequence[Node], arrays: Mapping[str, object], dtype: Any
) -> tuple[dict[Node, Array], int | None, bool]:
    """The array of each leaf, the number of samples (None where no leaf has samples), and whether one sample was given.

    `arrays` goes by identifier (`W0`), TeX or Unicode name, or by the leaf itself; arrays for other leaves of the graph
    are left aside. A leaf per sample of shape S takes an array (N, *S), or S for one sample, to which the axis of the
    samples is added; a shared leaf takes S. The arrays come back contiguous and of `dtype`, not copied where they are
    so already.

    Raises DataError for what is missing, unknown, of the wrong shape or kind, empty, or of another number of samples;
    warns with NotFiniteWarning of a NaN, and of a number too large for `dtype`.
    """
    dtype = np.dtype(dtype)
    given = _by_leaf(leaves, arrays)
    values = {leaf: _converted(leaf, value, dtype) for leaf, value in given.items()}
    single, samples = _batch(values)
    for leaf, array in values.items():
        if leaf.per_sample and single:
            values[leaf] = array[np.newaxis]
    return values, samples, single


def _by_leaf(leaves: Sequence[Node], arrays: Mapping[str, object]) -> dict[Node, object]:
    """What was given for each leaf, in the order of the leaves."""
    idents: dict[object, Node] = {_label(leaf).ident: leaf for leaf in leaves} | {leaf: leaf for leaf in leaves}
    found: dict[Node, object] = {}
    for key, value in arrays.items():
        leaf = idents[key] if key in idents else _other_form(leaves, key)
        if leaf is None:
            continue
        if leaf in found:
            raise DataError(f"{_tex(leaf)} is given two arrays: {key!r} is another name of {_label(leaf).ident!r}")
        found[leaf] = value
    if missing := [leaf for leaf in leaves if leaf not in found]:
        raise DataError(_missing(missing))
    return {leaf: found[leaf] for leaf in leaves}


def _other_form(leaves: Sequence[Node], key: str) -> Node | None:
    """The leaf of this TeX or Unicode name; None for a leaf that is not needed. Raises DataError for any other key."""
    for leaf in leaves:
        if key in (_label(leaf).tex, _label(leaf).text):
            return leaf
    graph = leaves[0].graph if leaves else None
    if graph is not None and key in graph:
        node = graph[key]
        if node.kind in ("input", "parameter"):
            return None
        raise DataError(f"{_tex(node)} takes no array: it is computed, {node.text()}{_line(node)}")
    raise DataError(_unknown(leaves, key))


def _unknown(leaves: Sequence[Node], key: object) -> str:
    import difflib

    known = [_label(leaf).ident for leaf in leaves]
    near = difflib.get_close_matches(str(key), known, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    shown = ", ".join(known[:12]) + (", ..." if len(known) > 12 else "")
    graph = repr(leaves[0].graph.title or "this graph") if leaves else "this graph"
    return f"{str(key)[:60]!r} is no input or parameter of {graph}{hint} (it takes {shown or 'no array'})"


def _missing(missing: Sequence[Node]) -> str:
    listed = [f"{_tex(leaf)}, {_what(leaf)}" for leaf in missing[:_MOST_LISTED]]
    if len(missing) > _MOST_LISTED:
        listed.append(f"{len(missing) - _MOST_LISTED} more")
    *most, last = listed
    return f"no array is given for {'; for '.join(most)}{'; and for ' if most else ''}{last}"


def _converted(leaf: Node, value: object, dtype: np.dtype[Any]) -> Array:
    """The value as a contiguous array of `dtype`, of a shape that the leaf takes."""
    if type(value) is not np.ndarray and isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise DataError(f"{_tex(leaf)} is given a masked array: fill what is masked, a graph knows no missing values")
    try:
        array = np.asarray(value)
    except Exception as error:  # noqa: BLE001 - a value's own conversion may raise anything
        reason = str(error).partition("\n")[0]
        raise DataError(f"{_tex(leaf)} is given a {type(value).__name__} that is no array: {reason}") from None
    if array.dtype.kind not in "fiub":
        raise DataError(f"{_tex(leaf)} takes real numbers and is given {_kind(value, array)}: {_introduced(leaf)}")
    if array.shape != leaf.shape and not (leaf.per_sample and array.ndim and array.shape[1:] == leaf.shape):
        raise DataError(_misshapen(leaf, array))
    with np.errstate(over="ignore"):
        converted = np.asarray(array, dtype, order="C")
    if not converted.flags.aligned:
        converted = converted.copy()
    if converted.size and array.dtype.kind == "f":
        _say_what_is_not_finite(leaf, array, converted)
    return converted


def _kind(value: object, array: Array) -> str:
    match array.dtype.kind:
        case "c":
            return f"complex numbers ({array.dtype})"
        case "U" | "S":
            return f"text ({array.dtype})"
        case "m" | "M":
            return f"dates or times ({array.dtype})"
        case "O" if array.ndim == 0:
            return "None" if value is None else f"a {type(value).__name__}"
    return f"elements of type {array.dtype}"


def _misshapen(leaf: Node, array: Array) -> str:
    """The sentence for a wrong shape: what fits, what was given, and how to get there."""
    ident = _label(leaf).ident
    sentence = f"{_tex(leaf)} takes {_takes(leaf)}, and is given {_shape(array)}: {_introduced(leaf)}"
    if array.ndim == 2 and array.T.shape[leaf.per_sample :] == leaf.shape:
        return f"{sentence}; {ident}=array.T fits"
    if leaf.per_sample and array.ndim and 0 < array.size == array.shape[0] * leaf.type.size:
        return f"{sentence}; {ident}=array.reshape({', '.join(map(str, (-1, *leaf.shape)))}) fits"
    return sentence


def _takes(leaf: Node) -> str:
    one = str(leaf.shape) if leaf.shape else "a number"
    if not leaf.per_sample:
        return one
    batch = f"({', '.join(('N', *map(str, leaf.shape)))})" if leaf.shape else "(N,)"
    return f"{batch} for N samples or {one} for one"


def _shape(array: Array) -> str:
    return f"an array of shape {array.shape}" if array.ndim else "a number"


def _batch(values: Mapping[Node, Array]) -> tuple[bool, int | None]:
    """Whether one sample was given, and the number of samples; every leaf per sample must say the same."""
    lengths = {
        leaf: None if array.shape == leaf.shape else len(array) for leaf, array in values.items() if leaf.per_sample
    }
    if not lengths:
        return False, None
    first, samples = next(iter(lengths.items()))
    for leaf, length in lengths.items():
        if length == 0:
            raise DataError(f"the batch is empty: {_tex(leaf)} is given {_shape(values[leaf])}, {_introduced(leaf)}")
        if length != samples:
            hint = "" if None not in (length, samples) else "; give every input one sample, or every input N of them"
            raise DataError(
                f"{_tex(first)} is given {_count(samples)} and {_tex(leaf)} {_count(length)}{hint} "
                f"({_introduced(first)}, given {_shape(values[first])}; {_introduced(leaf)}, given {_shape(values[leaf])})"
            )
    return samples is None, 1 if samples is None else samples


def _count(samples: int | None) -> str:
    if samples is None:
        return "one sample without a batch axis"
    return "1 sample" if samples == 1 else f"{samples:,} samples"


def _say_what_is_not_finite(leaf: Node, array: Array, converted: Array) -> None:
    """Warn of a NaN, and of a number that `converted` cannot hold; both go through, and so does infinity."""
    with np.errstate(all="ignore"):
        least = np.min(converted)  # one pass without a copy: NaN if there is any
        if np.isnan(least):
            _warn(leaf, np.isnan(converted), "holds NaN")
        if array.dtype.itemsize > converted.dtype.itemsize and (np.isinf(least) or np.isinf(np.max(converted))):
            beyond = np.isinf(converted) & np.isfinite(array)
            if beyond.any():
                _warn(leaf, beyond, f"holds a number too large for {converted.dtype.name}")


def _warn(leaf: Node, where: Array, what: str) -> None:
    position = tuple(map(int, np.argwhere(where)[0]))
    parts = []
    if where.ndim > len(leaf.shape):
        parts.append(f"sample {position[0]}")
        position = position[1:]
    if position:
        parts.append(f"position {position[0] if len(position) == 1 else position}")
    place = f" at {', '.join(parts)}" if parts else ""
    more = f" and {count - 1:,} more" if (count := int(np.count_nonzero(where))) > 1 else ""
    message = f"{_tex(leaf)} {what}{place}{more}: {_introduced(leaf)}"
    warnings.warn(NotFiniteWarning(message), stacklevel=depth_of_user())


def depth_of_user() -> int:
    """How many frames up the user's own line is, for the place of a warning raised by the caller."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "graphgrad":
        depth, frame = depth + 1, frame.f_back
    return depth


def _introduced(leaf: Node) -> str:
    return f"{_tex(leaf)} is {_what(leaf)}"


def _what(leaf: Node) -> str:
    article = "an" if leaf.kind == "input" else "a"
    kind = f"{article} {leaf.kind} of shape {leaf.type}" if leaf.shape else f"a scalar {leaf.kind}"
    return f"{kind}{_line(leaf)}"


def _line(node: Node) -> str:
    return f" ({node.place})" if node.place else ""


def _label(leaf: Node) -> Name:
    assert leaf.name is not None
    return leaf.name


def _tex(node: Node) -> str:
    return node.name.tex if node.name else node.text()
