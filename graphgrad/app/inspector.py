"""Everything about the chosen node: its rule, its value, its gradient, its chain of factors, its code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

import graphgrad as gg
from graphgrad.app import rules, source
from graphgrad.app.heat import heat
from graphgrad.app.lesson import Lesson
from graphgrad.drawing.numbers import Array
from graphgrad.graph import GraphError, Node, written

TABS = ["Rule", "Values", "Gradient", "Chain", "Code"]


@dataclass(frozen=True)
class Numbers:
    """The arrays of the sample that is looked at, and how many samples there are."""

    values: Mapping[Node, Array]
    gradients: Mapping[Node, Array]
    sample: int
    samples: int


def inspector(lesson: Lesson, node: Node, at: Numbers, key: str) -> None:
    """The inspector of a node; only the tab that is open is made."""
    with st.container(key="inspector"):
        st.markdown(f"#### ${node.latex()}$")
        st.caption(_described(lesson, node, at))
        tabs = st.tabs(TABS, key=f"{key}-tab", on_change="rerun")
        for tab, show in zip(tabs, (_rule, _values, _gradient, _chain, _code), strict=True):
            if tab.open:
                with tab:
                    show(lesson, node, at)


def open_tab(key: str) -> str:
    return str(st.session_state.get(f"{key}-tab") or TABS[0])


_KIND = {"input": "An input", "parameter": "A parameter", "constant": "A constant", "operation": "Computed"}


def _described(lesson: Lesson, node: Node, at: Numbers) -> str:
    shape = f"of shape {'×'.join(map(str, node.shape))}" if node.shape else "a scalar"
    each = ", one for each sample" if node.per_sample else ", the same for all samples"
    used = ", ".join(written(user, "unicode") for user in lesson.used.get(node, ()))
    sample = f" Sample {at.sample + 1} of {at.samples}." if at.samples > 1 else ""
    return f"{_KIND[node.kind]}, {shape}{each}. {f'Used by {used}.' if used else ''}{sample}"


def _step(title: str, line: str) -> None:
    st.markdown(f"<small class='gg-step'>{title}</small>", unsafe_allow_html=True)
    st.latex(line)


def _rule(lesson: Lesson, node: Node, at: Numbers) -> None:
    """Forward, local derivative, incoming gradient, product: what this node does in each of the two sweeps."""
    _step("Forward" if node.inputs else "Value", rules.with_value(node.latex(), at.values[node]))
    gradient = lesson.gradients.get(node)
    if gradient is None:
        st.caption(
            f"{written(lesson.of, 'unicode')} does not depend on {written(node, 'unicode')}: no gradient comes here."
        )
        return
    parts = rules.passed_back(lesson, node)
    for passed in parts:
        if passed.local:
            _step("Local derivative", passed.local)
    title = "Incoming gradient" if node.kind == "operation" else "Gradient"
    _step(title, rules.with_value(gradient.latex(), at.gradients.get(node)))
    for passed in parts:
        to = written(passed.operand, "unicode")
        if passed.whole:
            _step(f"Product, passed back to {to}", rules.with_value(passed.product, at.gradients.get(passed.operand)))
        else:
            _step(f"Product, added to the gradient of {to}", passed.product)


def _values(lesson: Lesson, node: Node, at: Numbers) -> None:
    heat(at.values[node], f"value of {written(node, 'unicode')}")


def _gradient(lesson: Lesson, node: Node, at: Numbers) -> None:
    gradient = at.gradients.get(node)
    if gradient is None:
        st.caption(
            f"{written(lesson.of, 'unicode')} does not depend on {written(node, 'unicode')}: there is no gradient."
        )
        return
    st.latex(lesson.gradients[node].latex())
    heat(gradient, f"gradient of {written(lesson.of, 'unicode')} with respect to {written(node, 'unicode')}")


def _chain(lesson: Lesson, node: Node, at: Numbers) -> None:
    try:
        line, edges = rules.chain(lesson, node)
    except GraphError as error:
        st.caption(f"{error}.")
        return
    st.latex(rules.with_value(line, at.gradients.get(node)))
    if edges:
        st.caption("Each factor is an edge of the graph, and is lit there.")


_PROCESSORS = ("CPU", "GPU, by CUDA")


def _code(lesson: Lesson, node: Node, at: Numbers) -> None:
    chosen = st.segmented_control(
        "Code for", _PROCESSORS, default=_PROCESSORS[0], key="gg-processor", label_visibility="collapsed"
    )
    function = lesson.on_gpu if chosen == _PROCESSORS[1] else lesson.function
    if node.kind == "operation":
        _lines(function, node, "Forward")
    else:
        st.caption(f"{written(node, 'unicode')} is given, not computed.")
    if node in lesson.gradients:
        _lines(function, lesson.gradients[node], "Backward")
    how = "compiled by Numba." if chosen != _PROCESSORS[1] else "which all threads of a grid run."
    st.caption(f"From the generated source of {len(function.source.splitlines())} lines, {how}")


def _lines(function: gg.Function, node: Node, title: str) -> None:
    lines, named = source.lines_of(function, node)
    name = written(node, "unicode")
    if not lines:
        st.caption(
            f"{title}: {name} has no lines of its own; it is a part of the lines of others, "
            "or computed by those of another layer that is like its own."
        )
        return
    same = (
        f"; {name} has the same value as {written(named, 'unicode')}" if named is not None and named is not node else ""
    )
    st.caption(f"{title}{same}")
    st.code(lines, language="python")
