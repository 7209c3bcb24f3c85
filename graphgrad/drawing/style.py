"""The colours and signs of the picture, light and dark, each under the name of its part.

Colour never stands alone: every kind of node has a shape and a tag of its own, forward and backward have their place
on the card, their glyph and their slant.
"""

from __future__ import annotations

from collections.abc import Mapping

Theme = Mapping[str, str]
"""A colour for each role of the picture."""

LIGHT: Theme = {
    "paper": "#FFFFFF",
    "ink": "#1B2631",
    "muted": "#4D5B68",
    "edge": "#7F8C8D",
    "panel": "#FFFFFF",
    "forward": "#00695C",
    "backward": "#B8410B",
    "alarm": "#C0392B",
    "alarm-ink": "#FFFFFF",
    "low": "#7FB3D8",
    "middle": "#FFFFFF",
    "high": "#F0B27A",
    "input": "#D6EAF8",
    "input-line": "#0072B2",
    "parameter": "#FDEBD0",
    "parameter-line": "#E69F00",
    "linear": "#F2F3F4",
    "linear-line": "#566573",
    "activation": "#E8DAEF",
    "activation-line": "#8E44AD",
    "loss": "#FADBD8",
    "loss-line": "#B03A2E",
    "group": "#FBFCFC",
    "group-line": "#85929E",
    "cluster": "#F8F9F9",
    "cluster-line": "#BDC3C7",
    "bar-ink": "#FFFFFF",
}

DARK: Theme = {
    "paper": "#11161C",
    "ink": "#E8ECEF",
    "muted": "#AAB4BC",
    "edge": "#8795A1",
    "panel": "#171D24",
    "forward": "#4DB6AC",
    "backward": "#FF8A50",
    "alarm": "#E74C3C",
    "alarm-ink": "#11161C",
    "low": "#2F6690",
    "middle": "#171D24",
    "high": "#9A5B1E",
    "input": "#12344A",
    "input-line": "#56B4E9",
    "parameter": "#44310F",
    "parameter-line": "#E6A118",
    "linear": "#2A3138",
    "linear-line": "#9AA5AF",
    "activation": "#3A2747",
    "activation-line": "#AF7AC5",
    "loss": "#4A211E",
    "loss-line": "#EC7063",
    "group": "#1A2028",
    "group-line": "#8D99A5",
    "cluster": "#151B21",
    "cluster-line": "#3D4852",
    "bar-ink": "#11161C",
}

TOKENS: Theme = {role: f"#fe{position:04x}" for position, role in enumerate(LIGHT)}
"""One colour for each role that no other role has: a layout is made once in these, and painted afterwards."""

ROLES = {colour: role for role, colour in TOKENS.items()}

THEMES: Mapping[str, Theme] = {"light": LIGHT, "dark": DARK}

TAGS = {
    "input": "in",
    "parameter": "param",
    "constant": "const",
    "linear": "op",
    "activation": "act",
    "loss": "loss",
    "group": "+",
}

COLOURS = {"constant": "linear"}
"""Kinds that wear the colours of another; their tag tells them apart."""

GLYPHS = {"forward": "▸", "backward": "◂"}

NOT_COMPUTED = "·"

FONT = "Helvetica,Arial,sans-serif"

STRONGEST = 0.85
"""How much of the scale's end colour the largest element of a matrix takes, so that its number stays legible."""


def mixed(theme: Theme, heat: float) -> str:
    """The colour of an element on the diverging scale centred at 0; `heat` runs from -1 to 1."""
    end = theme["high"] if heat > 0 else theme["low"]
    share = STRONGEST * min(abs(heat), 1.0)
    pairs = zip(channels(theme["middle"]), channels(end), strict=True)
    return "#" + "".join(f"{round(start + share * (stop - start)):02X}" for start, stop in pairs)


def mixed_in_css(heat: float) -> str:
    """The same colour as a rule of the style sheet, which follows the reader's theme."""
    end = "high" if heat > 0 else "low"
    return f"color-mix(in srgb, var(--gg-{end}) {100 * STRONGEST * min(abs(heat), 1.0):.0f}%, var(--gg-middle))"


def variables(theme: Theme | None = None) -> str:
    """Every role as a variable of CSS; without a theme, light or dark as the page's colour scheme is."""
    colours = theme or {role: f"light-dark({LIGHT[role]}, {DARK[role]})" for role in LIGHT}
    return " ".join(f"--gg-{role}: {colour};" for role, colour in colours.items())


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, from 1 to 21, by the rule of WCAG 2."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (k / 255 for k in channels(colour))]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def channels(colour: str) -> tuple[int, ...]:
    """Red, green and blue of a colour, from 0 to 255."""
    return tuple(int(colour[k : k + 2], 16) for k in (1, 3, 5))
