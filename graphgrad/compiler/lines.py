"""Lines of source: none is longer than 100 columns, and none breaks inside of an index."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

from graphgrad.compiler.loops import SumOfProducts, SumOfWinners

WIDTH = 100

GLUE = "\0"
"""Stands for a space where no line is broken: inside of an index."""


def wrapped(line: str, depth: int = 0) -> list[str]:
    """A line at a depth of blocks, on several lines where it is too long."""
    indent = "    " * depth
    if len(indent + line) <= WIDTH or line.startswith(("#", "if ", "for ")):
        return [indent + line]
    opening, closing = line.find("("), line.rfind(")")
    if line.startswith("def ") or line[:opening].isidentifier():
        parts = textwrap.wrap(line[opening + 1 : closing], WIDTH - 4 * depth - 4)
        return [
            f"{indent}{line[: opening + 1]}",
            *(f"{indent}    {part}" for part in parts),
            f"{indent}{line[closing:]}",
        ]
    sign = next(sign for sign in (" = ", " += ", " *= ", "return ") if sign in line)
    head, sign, tail = line.partition(sign)
    tail = re.sub(r"\[[^\[\]]*\]", lambda index: index[0].replace(" ", GLUE), tail)
    parts = textwrap.wrap(tail, WIDTH - 4 * depth - 8, break_long_words=False, break_on_hyphens=False)
    lines = [f"{indent}{head}{sign}(", *(f"{indent}    {part}" for part in parts), f"{indent})"]
    return [line.replace(GLUE, " ") for line in lines]


def stated(one: SumOfProducts | SumOfWinners) -> list[str]:
    """A sum of products as it is stated at the head of the file."""
    lines = [f'    "{one.text}",', f"    {dict(one.extents)},"]
    if isinstance(one, SumOfWinners):
        lines.append(f'    where="{one.where}",')
        lines += [f"    {word}={number}," for word, number in (("registers", one.registers), ("room", one.room))]
        lines += [f"    lanes={one.lanes},"] * (one.lanes > 1)
        function = "of_winners"
    else:
        lines.append(f"    tile={dict(one.tile)},")
        lines += [f"    within={dict(one.within)},"] * bool(one.within)
        lines += [f"    at_once='{one.at_once}',"] * bool(one.at_once)
        function = "contraction"
    return [f"{one.function} = {function}(", *(line.replace("'", '"') for line in lines), ")"]


def constants(name: str, numbers: Sequence[float]) -> list[str]:
    """An array of constants: of whole numbers where it says places."""
    kind = "np.int64" if all(isinstance(number, int) for number in numbers) else "real"
    parts = textwrap.wrap(", ".join(map(repr, numbers)), WIDTH - 4)
    return [f"{name} = np.array([", *(f"    {part}" for part in parts), f"], {kind})"]


def plain(text: str) -> str:
    """Text for a comment or a docstring: one printable line without quotes or backslashes."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown.replace("\\", "/").replace('"', "'")
