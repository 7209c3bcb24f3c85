"""Graphs in files: the structure as text or JSON, the weights beside it as safetensors; nothing in a file is ever run."""

from __future__ import annotations

import json
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import numpy as np

from graphgrad.graph.data import Array, bind
from graphgrad.graph.errors import DataError, GraphError, NamingError, TextError, clipped, shown
from graphgrad.graph.graph import Graph
from graphgrad.graph.names import name
from graphgrad.graph.text import LONGEST_TEXT, MOST_LINES, read
from graphgrad.graph.types import extent
from graphgrad.graph.writing import laid_out, quoted, statements, write

VERSION = 1

_HEADER = f"# graphgrad text form, version {VERSION}\n"
_VERSION = re.compile(r"# graphgrad text form, version ([0-9]{1,9})\b")
_WEIGHTS = ".safetensors"

LONGEST_FILE = 4 * LONGEST_TEXT  # bytes of a structure
LONGEST_HEADER = 4 * LONGEST_TEXT  # bytes of names and shapes before the weights

Path = str | os.PathLike[str]
G = TypeVar("G", bound=Graph)


def save(graph: Graph, path: Path, params: Mapping[str, object] | None = None) -> None:
    """Write the graph to a file, in JSON where the path ends in `.json`, and its weights beside it if they are given.

    The weights of `net.gg` are in `net.safetensors`: one array for each parameter by its identifier, in float32 where
    all are given so, else in float64. Both files are complete or not written at all. Weights that lie there already
    stay as they are if none are given.

    Raises GraphError where the file cannot be written or the graph has no text form, DataError for weights that are
    missing, unknown, of another shape or not finite.
    """
    if weights_path(path) == os.fspath(path):
        raise GraphError(f"{_shown(path)} is the name of a file of weights: save the graph as net.gg or net.json")
    structure = _json(graph) if _is_json(path) else _HEADER + write(graph)
    weights = None if params is None else _checked(graph, params)
    with _replacing(path) as temporary:
        with open(temporary, "x", encoding="utf-8", newline="\n") as file:
            file.write(structure)
        if weights is not None:
            from safetensors.numpy import save_file

            with _replacing(weights_path(path)) as beside:
                save_file(weights, beside, {"format": "graphgrad", "version": str(VERSION)})


def load(path: Path, graph: G) -> G:
    """Write the graph of a file into an empty graph, and return it; a file in JSON ends in `.json`.

    Raises TextError, with file, line and column, for a text that cannot be read, GraphError for any other file.
    """
    text = _content(path)
    if _is_json(path):
        return _from_json(text, graph, _shown(path))
    if (version := _VERSION.match(text)) and int(version[1]) != VERSION:
        raise GraphError(
            f"{_shown(path)} is of version {version[1]} of the text form, and version {VERSION} is read here"
        )
    return read(text, graph, _shown(path))


def load_params(path: Path, graph: Graph) -> dict[str, Array]:
    """The weights that were saved beside the graph of this path: an array for each parameter, by its identifier.

    Raises GraphError where there are none, DataError where they are not those of the graph: names, shapes, numbers that
    are not finite, anything but float32 and float64.
    """
    from safetensors import SafetensorError, safe_open

    path = weights_path(path)
    who = _shown(path)
    shapes = {node.name.ident: node.shape for node in graph.parameters if node.name}
    most = LONGEST_HEADER + 8 * graph.count_params()
    if (size := _size(path)) > most:
        raise DataError(
            f"{who} has {size:,} bytes, the weights of {graph.title or 'the graph'!r} have {most:,} at most"
        )
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            for ident in sorted({*names} ^ {*shapes}):
                lacks = "lacks the parameter" if ident in shapes else "holds what is no parameter"
                raise DataError(
                    f"{who} {lacks} {clipped(ident)}: {graph.title or 'the graph'!r} has {', '.join(shapes)}"
                )
            for ident, shape in shapes.items():
                part = file.get_slice(ident)
                found, dtype = tuple(part.get_shape()), part.get_dtype()
                if found != shape:
                    raise DataError(f"{who}: {ident} is {extent(found)}, the parameter is {extent(shape)}")
                if dtype not in ("F32", "F64"):
                    raise DataError(f"{who}: {ident} is of type {dtype}, weights are F32 or F64")
            params = {ident: np.array(file.get_tensor(ident)) for ident in shapes}
    except (SafetensorError, OSError) as error:
        raise DataError(f"{who} holds no weights that can be read: {error}") from None
    for ident, array in params.items():
        _check_finite(f"{who}: {ident}", array)
    return params


def weights_path(path: Path) -> str:
    """Where the weights of a saved graph lie: `net.safetensors` for `net.gg`."""
    return os.path.splitext(os.fspath(path))[0] + _WEIGHTS


# -- weights -----------------------------------------------------------------------------------------------------


def _checked(graph: Graph, params: Mapping[str, object]) -> dict[str, Array]:
    """The weights as arrays that safetensors takes: contiguous, of one type, by identifier."""
    for key, value in params.items():
        try:
            array = np.asarray(value)
        except Exception:  # noqa: BLE001, S112 - `bind` says what is wrong with it
            continue
        if array.dtype.kind == "f":
            _check_finite(str(key), array)
    single = all(getattr(value, "dtype", None) == np.float32 for value in params.values())
    values, _, _ = bind(graph.parameters, params, np.float32 if single else np.float64)
    return {node.name.ident: array for node, array in values.items() if node.name}


def _check_finite(who: str, array: Array) -> None:
    if not np.isfinite(array).all():
        first = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
        raise DataError(f"{who} is {array[first]} at {first}: weights are finite numbers")


# -- JSON --------------------------------------------------------------------------------------------------------


def _json(graph: Graph) -> str:
    nodes = [
        {
            "name": line.ident,
            "tex": line.tex,
            "expression": line.expression,
            "group": line.node.group,
            "shape": line.node.shape,
            "per_sample": line.node.per_sample,
        }
        for line in statements(graph)
    ]
    head = json.dumps({"format": "graphgrad", "version": VERSION, "title": graph.title}, ensure_ascii=False)
    body = ",\n".join(f"  {json.dumps(node, ensure_ascii=False)}" for node in nodes)
    return f'{head[:-1]}, "nodes": [\n{body}\n]}}\n'


def _is_line(value: object) -> bool:
    return isinstance(value, str) and value.isprintable()


_FIELDS: dict[str, Callable[[Any], bool]] = {
    "name": _is_line,
    "expression": _is_line,
    "tex": lambda value: value is None or _is_line(value),
    "group": lambda value: isinstance(value, list) and all(map(_is_line, value)),
    "shape": lambda value: isinstance(value, list) and all(isinstance(extent, int) for extent in value),
    "per_sample": lambda value: isinstance(value, bool),
}
"""The fields of a node in a JSON document, and what is one."""


def _from_json(text: str, graph: G, who: str) -> G:
    """The graph of a JSON document, by way of the text that its nodes make."""
    title, nodes = _document(text, who)
    lines = laid_out(title, [(tuple(node["group"]), _line(node, who)) for node in nodes])
    try:
        read("\n".join(line for line, _ in lines), graph, who)
    except TextError as error:
        position = lines[error.line - 1][1]
        of = "the title" if position is None else f"the node {nodes[position]['name']}"
        raise GraphError(f"{who}, {of}: {error.reason}") from None
    for node in nodes:
        made = graph[node["name"]]
        for field, found in (("shape", list(made.shape)), ("per_sample", made.per_sample)):
            if node.get(field, found) != found:
                raise GraphError(
                    f"{who}, the node {node['name']}: its {field} is {node[field]}, of its expression {found}"
                )
    return graph


def _document(text: str, who: str) -> tuple[str, list[dict[str, Any]]]:
    """Title and nodes of a JSON document, each field of its type."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GraphError(f"{who} is no JSON: {error}") from None
    if not isinstance(document, dict) or document.get("format") != "graphgrad":
        raise GraphError(f'{who} is no graph: a graph in JSON has "format": "graphgrad"')
    if document.get("version") != VERSION:
        raise GraphError(f"{who} is of version {shown(document.get('version'))}, and version {VERSION} is read here")
    title, nodes = document.get("title", ""), document.get("nodes")
    if not _is_line(title) or not isinstance(nodes, list) or len(nodes) > MOST_LINES:
        raise GraphError(f'{who} has no "title" of one line with a list of at most {MOST_LINES:,} "nodes"')
    for position, node in enumerate(nodes):
        if not isinstance(node, dict) or not {"name", "expression"} <= node.keys() <= _FIELDS.keys():
            raise GraphError(
                f"{who}, node {position}: a node has name and expression, and may have {', '.join(_FIELDS)}"
            )
        for field, value in node.items():
            if not _FIELDS[field](value):
                raise GraphError(f"{who}, node {position}: its {field} is {shown(value)}")
        node.setdefault("group", [])
    return title, nodes


def _line(node: dict[str, Any], who: str) -> str:
    """The line of the text form that a node of a JSON document stands for."""
    ident, tex, expression = node["name"], node.get("tex"), node["expression"]
    try:
        known = name(ident).ident == ident
    except NamingError:
        known = False
    if not known:
        raise GraphError(f"{who}: {shown(ident)} is no name of a node")
    return f"{ident}: {quoted(tex)} = {expression}" if tex else f"{ident} = {expression}"


# -- files -------------------------------------------------------------------------------------------------------


def _is_json(path: Path) -> bool:
    return os.fspath(path).endswith(".json")


def _shown(path: Path) -> str:
    """A path in a sentence: the name of the file."""
    return clipped(os.path.basename(os.fspath(path)))


def _size(path: Path) -> int:
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise GraphError(f"{_shown(path)}: {reason}") from None
    if not stat.S_ISREG(found.st_mode):
        raise GraphError(f"{_shown(path)}: it is no file")
    return found.st_size


def _content(path: Path) -> str:
    if (size := _size(path)) > LONGEST_FILE:
        raise GraphError(f"{_shown(path)} has {size:,} bytes, a graph has {LONGEST_FILE:,} at most")
    try:
        with open(path, "rb") as file:
            return file.read(LONGEST_FILE).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise GraphError(f"{_shown(path)} is no text: a graph is text or JSON in UTF-8") from None
    except OSError as error:
        raise GraphError(f"{_shown(path)}: {error.strerror}") from None


@contextmanager
def _replacing(path: Path) -> Iterator[str]:
    """A file beside `path` that takes its place once it is complete."""
    temporary = f"{os.fspath(path)}.{secrets.token_hex(8)}.tmp"
    try:
        yield temporary
        with open(temporary, "r+b") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, ValueError) as error:
        if isinstance(error, GraphError):
            raise
        raise GraphError(f"{_shown(path)} cannot be written: {getattr(error, 'strerror', None) or error}") from None
    finally:
        with suppress(OSError, ValueError):
            os.unlink(temporary)
