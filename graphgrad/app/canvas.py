"""The graph in the browser: drawn once for each structure, filled with values, stepped through without the server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import streamlit as st

from graphgrad.app.lesson import Lesson
from graphgrad.drawing import Picture, picture
from graphgrad.drawing.numbers import Array
from graphgrad.drawing.style import STRONGEST, variables
from graphgrad.graph import Node, written


@cache
def _component() -> Any:
    """The component, from the files beside this module; all of it is sent inline, so the page needs no other host."""
    parts = {end: files("graphgrad.app").joinpath(f"canvas.{end}").read_text("utf-8") for end in ("html", "css", "js")}
    style = f":host {{ {variables()} --gg-strongest: {STRONGEST}; }}\n{parts['css']}"
    return st.components.v2.component("graphgrad_canvas", html=parts["html"], css=style, js=parts["js"])


def canvas(
    key: str,
    lesson: Lesson,
    values: Mapping[Node, Array],
    gradients: Mapping[Node, Array],
    default: str,
    lit: Sequence[tuple[Node, Node]] = (),
) -> None:
    """Show the graph; `chosen` tells which card the reader is at."""
    drawn = picture(lesson.graph, values, gradients, lesson.of, theme="auto")
    _component()(
        key=key,
        data=data(lesson, drawn, chosen(key, lesson, default), lit),
        default={"selected": default},
        on_selected_change=_nothing,
    )


def chosen(key: str, lesson: Lesson, default: str) -> str:
    """The id of the card that the reader has chosen, `default` until then."""
    state = st.session_state.get(key) or {}
    id = state.get("selected")
    return id if id in lesson.ids else default


def _nothing() -> None:
    """A choice needs no more than the run that follows it."""


def data(lesson: Lesson, drawn: Picture, selected: str, lit: Sequence[tuple[Node, Node]]) -> dict[str, Any]:
    """All that the browser needs to draw, to fill and to step through the graph."""
    cards = {card.id: card for card in drawn.view.cards}
    ids = {node: id for id, node in lesson.ids.items()}
    forward = [id for id in cards if id in lesson.ids and lesson.ids[id].kind == "operation"]
    backward = [ids[node] for node in lesson.gradients if ids[node] in cards]
    said = {f"f{id}": lesson.ids[id].text() for id in forward}
    said |= {f"b{ids[node]}": gradient.text() for node, gradient in lesson.gradients.items()}
    return {
        "svg": lesson.svg,
        "cells": {id: [cell.text, cell.alarm, cell.heat, cell.scale] for id, cell in drawn.cells.items()},
        "given": [id for id in cards if id in lesson.ids and lesson.ids[id].kind != "operation"],
        "forward": forward,
        "backward": backward,
        "said": said,
        "of": written(lesson.of, "unicode"),
        "words": {card.id: drawn.view.described(card) for card in cards.values()},
        "selected": selected,
        "lit": [[ids[below], ids[above]] for above, below in lit if above in ids and below in ids],
    }
