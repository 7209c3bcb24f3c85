"""A layout made into a picture: painted in a theme, its values filled in, its parts named for whoever cannot see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from xml.etree import ElementTree as xml

from graphgrad.drawing.cells import Cell
from graphgrad.drawing.dot import BLANK
from graphgrad.drawing.style import DARK, LIGHT, ROLES, Theme, mixed, mixed_in_css, variables

Element = xml.Element
SVG = "http://www.w3.org/2000/svg"
_XLINK_TITLE = "{http://www.w3.org/1999/xlink}title"
_SPACE = "{http://www.w3.org/XML/1998/namespace}space"

xml.register_namespace("", SVG)


def tag(name: str) -> str:
    return f"{{{SVG}}}{name}"


def painted(
    layout: str,
    theme: Theme | None,
    cells: Mapping[str, Cell],
    described: Mapping[str, str],
    title: str,
) -> str:
    """The SVG of a layout that was made in tokens. A theme of None takes its colours from CSS variables `--gg-*`.

    `cells` by their ids fill the values, `described` gives each card its words.
    """
    root = _parsed(_cleaned(layout))
    _paint(root, theme)
    for part in root.iter(tag("g")):
        id = part.get("id", "")
        if (cell := cells.get(id)) is not None:
            _fill(part, cell, theme)
        if id in described:
            _describe(part, described[id])
    root.set("role", "img")
    root.set("aria-label", _printable(title))
    first = xml.Element(tag("title"))
    first.text = _printable(title)
    root.insert(0, first)
    return xml.tostring(root, encoding="unicode")


def with_style(svg: str) -> str:
    """The SVG with its colours inside, light or dark as the reader's screen is."""
    root = _parsed(svg)
    style = xml.Element(tag("style"))
    style.text = f"svg {{ {variables(LIGHT)} }}\n@media (prefers-color-scheme: dark) {{ svg {{ {variables(DARK)} }} }}"
    root.insert(1, style)
    return xml.tostring(root, encoding="unicode")


def _parsed(svg: str) -> Element:
    return xml.fromstring(svg)  # noqa: S314 - written by Graphviz from a label tree of ours, without its DOCTYPE


def _describe(part: Element, words: str) -> None:
    title = part.find(tag("title"))
    if title is not None:
        title.text = _printable(words)


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in text)


def _paint(root: Element, theme: Theme | None) -> None:
    for part in root.iter():
        style = []
        for attribute in ("fill", "stroke"):
            role = ROLES.get(part.get(attribute, ""))
            if role is None:
                continue
            part.set(attribute, (theme or LIGHT)[role])  # without CSS, "auto" is light
            if theme is None:
                style.append(f"{attribute}:var(--gg-{role})")
        if style:
            part.set("style", ";".join(style))


def _fill(part: Element, cell: Cell, theme: Theme | None) -> None:
    """Write a cell's text, and its ground where it has one."""
    text, ground = part.find(tag("text")), part.find(tag("polygon"))
    if text is not None:
        text.text = cell.text or BLANK
        if cell.scale < 1:
            text.set("font-size", f"{cell.scale * float(text.get('font-size', '12')):.2f}")
    if cell.alarm and text is not None and ground is not None:
        _coloured(ground, theme, lambda t: t["alarm"], "var(--gg-alarm)")
        _coloured(text, theme, lambda t: t["alarm-ink"], "var(--gg-alarm-ink)")
        text.set("font-weight", "bold")
    elif (heat := cell.heat) is not None and ground is not None:
        _coloured(ground, theme, lambda t: mixed(t, heat), mixed_in_css(heat))


def _coloured(part: Element, theme: Theme | None, colour: Callable[[Theme], str], css: str) -> None:
    part.set("fill", colour(theme or LIGHT))
    if theme is None:
        part.set("style", f"fill:{css}")


# -- what Graphviz writes, made plain ----------------------------------------------------------------------------


@lru_cache(maxsize=128)
def _cleaned(layout: str) -> str:
    """The layout without links, comments and names of its own, its texts anchored where they belong in their cells."""
    root = _parsed(layout[layout.index("<svg") :])
    for length in ("width", "height"):
        root.set(length, root.get(length, "").replace("pt", ""))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag == tag("g") and child.get("id", "").startswith("a_"):
                _unlinked(child)
    for part in root.iter(tag("g")):
        if part.get("class") == "graph":
            part.attrib.pop("id", None)
            part.attrib.pop("class", None)
        if part.get("class") in ("graph", "edge", None):
            for title in part.findall(tag("title")):
                part.remove(title)
        if part.get("class") == "edge":
            way, source, target = part.get("id", "").split("-")
            part.set("class", "edge forward" if way == "f" else "edge backward")
            part.set("data-source", source)
            part.set("data-target", target)
    for text in root.iter(tag("text")):
        text.attrib.pop(_SPACE, None)
    for part in root.iter():
        if part.text and not part.text.strip(" \n"):
            part.text = None
        part.tail = "\n" if part.tag == tag("g") and part.get("class") else None
    return xml.tostring(root, encoding="unicode")


def _unlinked(part: Element) -> None:
    """A cell `<g id="a_n3-f0"><a ...>` as `<g id="n3-f0">`, its text anchored by the box of the cell."""
    link = part.find(tag("a"))
    if link is None:
        return
    part.remove(link)
    part.extend(list(link))
    id = part.attrib.pop("id").removeprefix("a_")
    box, text = part.find(tag("polygon")), part.find(tag("text"))
    if "-" not in id or box is None or text is None:  # the link around a whole card or edge, made by its tooltip
        return
    part.set("id", id)
    part.set("class", "cell")
    across = [float(point.partition(",")[0]) for point in box.get("points", "").split()]
    left, right = min(across), max(across)
    last = id.rpartition("-")[2]
    anchor, x = {"k": ("start", left + 2), "s": ("end", right - 2)}.get(last, ("middle", (left + right) / 2))
    text.set("text-anchor", anchor)
    text.set("x", f"{x:g}")
    if box.get("fill") in ("none", "transparent"):
        part.remove(box)
