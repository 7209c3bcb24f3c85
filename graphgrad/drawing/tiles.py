"""Arrays as images beside each other: weights, filters, feature maps, samples.

Numbers of both signs stand on a scale that is centred at 0; numbers of one sign, as those of a photograph, are grey.
Every element is one pixel of an image inside the SVG, so that a matrix of 150 by 150 is drawn as quickly as one of 3 by 3.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as xml

import numpy as np

from graphgrad.drawing.numbers import Array, number
from graphgrad.drawing.style import FONT, THEMES, channels
from graphgrad.graph import GraphError

SCALE = ("input-line", "middle", "parameter-line", "alarm")
"""The colours of the smallest number, of 0, of the largest, and of what is none: without numbers on it, a scale is strong."""

LONGEST = 24
"""How many characters of a title are shown."""

SIDE, GAP, LINE = 144, 14, 17
"""Of a tile, between tiles, and of a line of text, in pixels."""

MOST = 256
"""How many tiles one picture has at most."""


@dataclass(frozen=True, eq=False)
class Tile:
    """One matrix, what is written above it, and the number at the end of its scale."""

    title: str
    matrix: Array
    end: float
    signed: bool


class Tiles:
    """Matrices drawn as images, in rows; shows itself in Jupyter.

    >>> import graphgrad as gg
    >>> gg.tiles({"edge": [[1.0, -1.0], [1.0, -1.0]]}).svg()[:4]
    '<svg'
    """

    def __init__(self, rows: list[list[Tile]], theme: str) -> None:
        self.rows, self.theme = rows, THEMES[theme]

    def svg(self) -> str:
        """The picture as one self-contained SVG element."""
        size = (SIDE + GAP) * max(map(len, self.rows)) + GAP, (SIDE + 2 * LINE + GAP) * len(self.rows) + GAP
        root = xml.Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "viewBox": f"0 0 {size[0]} {size[1]}",
                "width": str(size[0]),
                "height": str(size[1]),
                "font-family": FONT,
                "font-size": "12",
            },
        )
        xml.SubElement(root, "rect", {"width": "100%", "height": "100%", "fill": self.theme["paper"]})
        for line, row in enumerate(self.rows):
            for column, tile in enumerate(row):
                self._tile(root, tile, GAP + (SIDE + GAP) * column, GAP + (SIDE + 2 * LINE + GAP) * line)
        return xml.tostring(root, encoding="unicode")

    def _tile(self, root: xml.Element, tile: Tile, x: int, y: int) -> None:
        height, width = tile.matrix.shape
        longest = max(height, width)
        box = {"width": f"{SIDE * width / longest:g}", "height": f"{SIDE * height / longest:g}"}
        at = {"x": str(x), "y": str(y + LINE)}
        title = xml.SubElement(root, "text", {"x": str(x), "y": str(y + LINE - 5), "fill": self.theme["ink"]})
        title.text = tile.title if len(tile.title) <= LONGEST else f"{tile.title[: LONGEST - 1]}…"
        image = xml.SubElement(root, "image", {**at, **box, "href": _png(self._colours(tile))})
        image.set("style", "image-rendering: pixelated; image-rendering: crisp-edges")
        image.set("preserveAspectRatio", "none")
        xml.SubElement(image, "title").text = f"{tile.title}: {height} by {width}"
        xml.SubElement(
            root, "rect", {**at, **box, "fill": "none", "stroke": self.theme["edge"], "stroke-width": "0.75"}
        )
        low = number(-tile.end if tile.signed else 0.0, 1e-3)
        scale = xml.SubElement(root, "text", {"x": str(x), "y": str(y + SIDE + 2 * LINE - 4), "font-size": "10"})
        scale.set("fill", self.theme["muted"])
        scale.text = f"{height}×{width}, {low} to {number(tile.end, 1e-3)}"

    def _colours(self, tile: Tile) -> Array:
        """Red, green and blue of every element; what is no finite number is red."""
        share = tile.matrix / (tile.end or 1.0)
        low, middle, high, alarm = (np.array(channels(self.theme[role])) for role in SCALE)
        if tile.signed:
            part = np.clip(np.nan_to_num(np.abs(share)), 0, 1)[..., None]
            colours = middle + part * (np.where((share > 0)[..., None], high, low) - middle)
        else:
            colours = np.clip(np.nan_to_num(share), 0, 1)[..., None] * np.full(3, 255.0)
        return np.where(np.isfinite(tile.matrix)[..., None], colours, alarm).round().astype(np.uint8)

    def _repr_mimebundle_(self, **options: object) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<Tiles: {', '.join(tile.title for row in self.rows for tile in row)}>"


def tiles(arrays: Mapping[str, Any], columns: int = 8, theme: str = "light") -> Tiles:
    """Arrays as images in rows of `columns`: a matrix is one image, an array (K, H, W) is K of them on one scale.

    Of an array with more axes the last two are those of the images, and all before them are counted through. Several
    images of one array begin a row of their own. Raises GraphError for an array that is none or has less than two axes,
    and for more than 256 images.

    >>> import graphgrad as gg
    >>> gg.tiles({"one filter": [[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]]})
    <Tiles: one filter>
    """
    if theme not in THEMES:
        raise GraphError(f"{theme!r} is not a theme: there are {', '.join(THEMES)}")
    if not isinstance(columns, int) or columns < 1:
        raise GraphError(f"tiles: columns is {columns!r}, and is a whole number of at least 1")
    stacks = [_images(str(title), array) for title, array in arrays.items()]
    if not stacks or sum(map(len, stacks)) > MOST:
        raise GraphError(f"tiles: there are {sum(map(len, stacks))} images to draw, and can be from 1 to {MOST}")
    rows: list[list[Tile]] = [[]]
    for stack, before in zip(stacks, [[], *stacks], strict=False):
        if len(stack) > 1 or len(before) > 1:
            rows.append([])
        for tile in stack:
            if len(rows[-1]) == columns:
                rows.append([])
            rows[-1].append(tile)
    return Tiles([row for row in rows if row], theme)


def _images(title: str, given: Any) -> list[Tile]:
    try:
        array = np.asarray(given, float)
    except (TypeError, ValueError):
        raise GraphError(f"tiles: {title} is no array of numbers") from None
    if array.ndim < 2 or not array.size:
        raise GraphError(f"tiles: {title} is of shape {array.shape}; an image has two axes")
    images = array.reshape(-1, *array.shape[-2:])
    finite = array[np.isfinite(array)]
    signed, end = bool((finite < 0).any()), float(np.abs(finite).max(initial=0.0))
    shown = "".join(letter if letter.isprintable() else "\ufffd" for letter in title)
    numbered = len(images) > 1
    return [Tile(f"{shown} {k + 1}" if numbered else shown, image, end, signed) for k, image in enumerate(images)]


def _png(pixels: Array) -> str:
    """An image of 8-bit channels as a PNG inside a link."""
    height, width, _ = pixels.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    file = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + chunk(b"IEND", b"")
    )
    return "data:image/png;base64," + base64.b64encode(file).decode()
