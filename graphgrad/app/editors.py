"""Tables in which the samples and the parameters of a network are edited in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from graphgrad.drawing.numbers import Array
from graphgrad.graph import DataError, Graph, Node, written

_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

WIDEST = 24
"""With more columns than these an array is not edited by hand."""


def samples(graph: Graph, arrays: Mapping[str, Any], key: str) -> dict[str, Array]:
    """The inputs and targets, one row for each sample; rows can be added. A cell that is empty is NaN."""
    given = {node: np.asarray(arrays[node.op.name], float) for node in graph.inputs}
    columns = {node: names for node in graph.inputs if len(names := _columns(node)) <= WIDEST}
    table = pd.DataFrame(
        {
            name: given[node].reshape(len(given[node]), -1)[:, position]
            for node, names in columns.items()
            for position, name in enumerate(names)
        }
    )
    edited = st.data_editor(
        table,
        key=f"{key}-samples",
        num_rows="dynamic" if len(columns) == len(given) else "fixed",
        hide_index=True,
        width="content",
        column_config={name: st.column_config.NumberColumn(width=76, format="%.6g", default=0.0) for name in table},
    )
    for node, names in columns.items():
        given[node] = edited[names].to_numpy(float).reshape(-1, *node.shape)
    return {node.op.name: array for node, array in given.items()}


def parameter(node: Node, arrays: Mapping[str, Any], key: str) -> Array:
    """One parameter as a table; a vector is a column, as on the slides. A cell that is empty is NaN."""
    given = np.asarray(arrays[node.op.name], float)
    rows = given.reshape(len(given), -1) if given.ndim else given.reshape(1, 1)
    if given.ndim > 2 or rows.shape[1] > WIDEST:
        st.caption(f"{written(node, 'unicode')}: {node.type}, too wide to be edited here")
        return given
    names = [str(column + 1) for column in range(rows.shape[1])] if given.ndim > 1 else [written(node, "unicode")]
    edited = st.data_editor(
        pd.DataFrame(rows, columns=names),
        key=f"{key}-{node.op.name}",
        hide_index=True,
        width="content",
        column_config={name: st.column_config.NumberColumn(width=76, format="%.6g", required=True) for name in names},
    )
    return np.asarray(edited.to_numpy(float)).reshape(given.shape)


def checked(graph: Graph, arrays: Mapping[str, Array]) -> None:
    """Raises DataError for the first cell that is empty, by its name."""
    for node in (*graph.inputs, *graph.parameters):
        for place in np.argwhere(~np.isfinite(arrays[node.op.name]))[:1]:
            sample, inside = (place[0], place[1:]) if node.per_sample else (None, place)
            where = f" of sample {sample + 1}" if sample is not None else ""
            raise DataError(f"{_element(node, tuple(inside))}{where} is empty: give it a number")


def _columns(node: Node) -> list[str]:
    """x₁, x₂ for a vector, t for a scalar, X₁,₂ for a matrix."""
    return [_element(node, place) for place in np.ndindex(node.shape)]


def _element(node: Node, place: tuple[int, ...]) -> str:
    return written(node, "unicode") + ",".join(str(k + 1) for k in place).translate(_SUBSCRIPT)
