"""Data files for a graph: the arrays of its inputs from a table (CSV) or from NumPy's archive (NPZ)."""

from __future__ import annotations

import csv
import itertools
import math
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from graphgrad.graph import DataError, Graph, Node, extent

Array = np.ndarray[Any, np.dtype[Any]]

MOST_BYTES = 2**32
MOST_NUMBERS = 2**28


def read(path: str | Path, graph: Graph) -> dict[str, Array]:
    """The arrays of a file by identifier of the graph's inputs, and in an archive of its parameters too.

    In a table (`.csv`) the first row names the columns and every other row is a sample. A scalar input `t` is the
    column `t`; a vector `x` of two elements is the columns `x1, x2` or `x_1, x_2`; a matrix `X` is `X_1_1, X_1_2, ...`,
    row by row. Other columns are left aside.

    In an archive (`.npz`) each array has the identifier of its input or parameter, the samples as its leading axis.

    Raises DataError where the file is neither, has no column or array for an input, or holds something that is no number.
    """
    path = Path(path)
    if path.suffix == ".csv":
        return _table(path, graph)
    if path.suffix == ".npz":
        return _archive(path, graph)
    raise DataError(f"{path.name} is not a data file: tables end in .csv, archives of arrays in .npz")


def _archive(path: Path, graph: Graph) -> dict[str, Array]:
    leaves = [node.op.name for node in (*graph.inputs, *graph.parameters)]
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MOST_BYTES:
            raise DataError(f"{path.name} unpacks to {size:,} bytes, at most {MOST_BYTES:,} are read")
        with np.load(path, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in leaves if name in arrays.files}
    except (zipfile.BadZipFile, ValueError, EOFError, MemoryError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path.name} cannot be read as an archive of arrays (.npz): {error}") from None
    for node in graph.inputs:
        if node.op.name not in found:
            raise DataError(f"{path.name} has no array {node.op.name!r} (it has {', '.join(arrays.files) or 'none'})")
    return found


def _table(path: Path, graph: Graph) -> dict[str, Array]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            rows = csv.reader(file, strict=True)
            header = [column.strip() for column in next(rows, [])]
            places = {node: _columns(node, header, path) for node in graph.inputs}
            wanted = sorted(set(itertools.chain.from_iterable(places.values())))
            numbers = list(_numbers(rows, header, wanted, path))
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{path.name} cannot be read as a table (.csv): {error}") from None
    if not numbers:
        raise DataError(f"{path.name} has no row below its header: there is no sample")
    table = np.array(numbers)
    where = {column: k for k, column in enumerate(wanted)}
    return {
        node.op.name: table[:, [where[column] for column in columns]].reshape(len(table), *node.shape)
        for node, columns in places.items()
    }


def _columns(node: Node, header: list[str], path: Path) -> list[int]:
    """Where the elements of an input stand in the table, row by row."""
    name = node.op.name
    if node.type.size > len(header):
        raise DataError(
            f"{path.name}: the input {name} of shape {extent(node.shape)} needs {node.type.size:,} columns, "
            f"the header has {len(header)}"
        )
    elements = list(itertools.product(*(range(1, n + 1) for n in node.shape)))
    joints = ("_", "") if len(node.shape) == 1 else ("_",)
    for joint in joints:
        columns = ["_".join([name, *map(str, at)]) if joint else name + str(*at) for at in elements]
        missing = [column for column in columns if column not in header]
        if not missing:
            for column in columns:
                if header.count(column) > 1:
                    raise DataError(f"{path.name} has the column {column} {header.count(column)} times")
            return [header.index(column) for column in columns]
    raise DataError(
        f"{path.name} has no column {missing[0]} for the input {name} of shape {extent(node.shape)} "
        f"(it has {', '.join(header[:12]) or 'none'}{', ...' if len(header) > 12 else ''})"
    )


def _numbers(rows: Any, header: list[str], wanted: list[int], path: Path) -> Iterator[list[float]]:
    read = 0
    for row in rows:
        if not row:
            continue
        if len(row) != len(header):
            raise DataError(f"{path.name}, line {rows.line_num}: {len(row)} fields, the header has {len(header)}")
        numbers = []
        for column in wanted:
            try:
                number = float(row[column])
            except ValueError:
                number = math.nan
            if not math.isfinite(number):
                raise DataError(
                    f"{path.name}, line {rows.line_num}: {row[column][:40]!r} in the column {header[column]} is no number"
                )
            numbers.append(number)
        read += len(numbers)
        if read > MOST_NUMBERS:
            raise DataError(f"{path.name} holds more than {MOST_NUMBERS:,} numbers")
        yield numbers
