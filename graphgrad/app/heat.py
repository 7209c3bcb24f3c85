"""An array as a table of numbers on a diverging scale centred at 0; a large one as colours alone."""

from __future__ import annotations

from html import escape

import numpy as np
import streamlit as st

from graphgrad.drawing.numbers import Array, elements, finite, norm, number, numbers, precision
from graphgrad.drawing.style import mixed_in_css

LARGEST_NUMBERED = 12
LARGEST = 64
MOST_MAPS = 16


def heat(array: Array, said: str) -> None:
    """Show an array, and below it what it amounts to. `said` names it for who cannot see it."""
    slices = array.reshape(-1, *array.shape[-2:]) if array.ndim > 2 else array[None]
    if max(slices.shape[1:], default=1) <= LARGEST:
        scale = elements(slices)
        tables = [_table(part, scale[k], said) for k, part in enumerate(slices[:MOST_MAPS])]
        st.html(f"<div class='gg-maps'>{''.join(tables)}</div>")
        if len(slices) > MOST_MAPS:
            st.caption(f"The first {MOST_MAPS} of {len(slices)} maps.")
    st.caption(amount(array))


def amount(array: Array) -> str:
    """Extent, range and norm of an array in words."""
    if array.ndim == 0:
        return "A scalar." if finite(array) else "A scalar that is not finite."
    exact = precision(array)
    shape = "×".join(map(str, array.shape))
    known = array[np.isfinite(array)]
    lost = array.size - known.size
    counted = f"{array.size:,} number{'s' * (array.size != 1)}"
    parts = [counted if array.ndim == 1 else f"{shape}, {counted}"]
    if known.size:
        parts.append(f"from {number(float(known.min()), exact)} to {number(float(known.max()), exact)}")
        parts.append(f"mean {number(float(known.mean()), exact)}, norm {number(norm(known), exact)}")
    if lost:
        parts.append(f"{lost:,} not finite")
    return ", ".join(parts) + "."


def _table(array: Array, scale: Array, said: str) -> str:
    rows = np.atleast_2d(array) if array.ndim != 1 else array[:, None]
    numbered = max(rows.shape) <= LARGEST_NUMBERED
    texts = np.array(numbers(rows), dtype=object).reshape(rows.shape)
    heats = scale.reshape(rows.shape)
    body = "".join(
        f"<tr>{''.join(_cell(texts[i, j], float(heats[i, j]), rows[i, j], numbered) for j in range(rows.shape[1]))}</tr>"
        for i in range(rows.shape[0])
    )
    kind = "gg-heat" if numbered else "gg-heat gg-small"
    return f"<table class='{kind}' aria-label='{escape(said, quote=True)}'><tbody>{body}</tbody></table>"


def _cell(text: str, heat: float, value: float, numbered: bool) -> str:
    ground = mixed_in_css(heat) if np.isfinite(value) else "var(--gg-alarm)"
    ink = "" if np.isfinite(value) else ";color:var(--gg-alarm-ink);font-weight:700"
    shown = escape(text) if numbered else ""
    title = "" if numbered else f" title='{escape(text, quote=True)}'"
    return f"<td style='background:{ground}{ink}'{title}>{shown}</td>"
