"""The page Explore: a network with its values and gradients, step by step, and everything about each node."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import streamlit as st

import graphgrad as gg
from graphgrad.app import canvas, editors, rules
from graphgrad.app.inspector import Numbers, inspector, open_tab
from graphgrad.app.lesson import Lesson, lesson, scalars
from graphgrad.app.presets import PRESETS, Preset
from graphgrad.drawing.numbers import Array
from graphgrad.graph import GraphError, Node, written

MOST_BUTTONS = 8
"""More choices than these are a list that opens."""


def page() -> None:
    """Choose a network and what its gradients are of; look at it and change its numbers."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="choices"):
        title = st.segmented_control(
            "Network", list(PRESETS), default=next(iter(PRESETS)), required=True, key="network", bind="query-params"
        )
        preset = PRESETS.get(title or "", next(iter(PRESETS.values())))
        of = _of(scalars(preset.text), preset)
    st.caption(preset.story)
    explore(preset, of)


def _of(choices: list[str], preset: Preset) -> str:
    """Which scalar the gradients are of."""
    default, key = choices.index(preset.of), f"{preset.title}-of"
    if len(choices) <= MOST_BUTTONS:
        return st.segmented_control("Gradients of", choices, default=preset.of, required=True, key=key) or preset.of
    return str(st.selectbox("Gradients of", choices, index=default, key=key, width=150))


@st.fragment
def explore(preset: Preset, of: str) -> None:
    """The graph, the inspector beside it, the numbers below: one run for each choice and each edit."""
    key = preset.title
    found = lesson(preset.text, of)
    with st.container(key="explore"):  # style.css sets the inspector beside the graph, or below it where it is narrow
        graph, beside, numbers = (st.container(key=part) for part in ("graph", "beside", "numbers"))
    try:
        with numbers:
            at = _computed(found, preset)
        default = next(id for id, node in found.ids.items() if node is found.graph[preset.chosen])
        node = found.ids[canvas.chosen(key, found, default)]
        with graph:
            canvas.canvas(key, found, at.values, at.gradients, default, _lit(found, node, key))
        with beside:
            inspector(found, node, at, key)
    except GraphError as error:
        graph.error(f"{error}.")


def _computed(found: Lesson, preset: Preset) -> Numbers:
    """The numbers as they are edited, and all that follows from them, for the sample that is chosen."""
    with st.container(horizontal=True, gap="medium", key="tables"):
        with st.container(width="content"):
            head = st.container(horizontal=True, vertical_alignment="center", key="samples-head")
            arrays = editors.samples(found.graph, preset.arrays, preset.title)
            samples = max((len(array) for array in arrays.values()), default=1)
        with head:
            st.markdown("**Samples**", width="content")
            sample = _sample(samples, preset.title)
        for node in found.graph.parameters:
            with st.container(width="content"):
                st.markdown(f"**{written(node, 'unicode')}**")
                arrays[node.op.name] = editors.parameter(node, preset.arrays, preset.title)
    editors.checked(found.graph, arrays)
    result = found.run(arrays)
    return Numbers(_one(result.values, sample), _one_gradient(result, sample), sample, samples)


def _sample(samples: int, key: str) -> int:
    """Which sample is looked at, from 0."""
    if samples < 2:
        return 0
    choices = range(1, samples + 1)
    key = f"{key}-sample-of-{samples}"
    if samples <= MOST_BUTTONS:
        chosen = st.segmented_control(
            "Sample shown", choices, default=1, required=True, key=key, label_visibility="collapsed"
        )
    else:
        chosen = st.number_input("Sample shown", 1, samples, key=key, width=120, label_visibility="collapsed")
    return int(chosen or 1) - 1


def _one(values: Mapping[Node, Any], sample: int) -> dict[Node, Array]:
    return {node: np.asarray(value[sample] if node.per_sample else value) for node, value in values.items()}


def _one_gradient(result: gg.Result, sample: int) -> dict[Node, Array]:
    return {
        node: np.asarray(value[sample] if np.ndim(value) > len(node.shape) else value)
        for node, value in result.gradients.items()
    }


def _lit(found: Lesson, node: Node, key: str) -> list[tuple[Node, Node]]:
    """The edges of the chain of factors, while it is looked at."""
    if open_tab(key) != "Chain":
        return []
    try:
        return rules.chain(found, node)[1]
    except GraphError:
        return []
