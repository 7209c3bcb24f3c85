"""The lines of the generated source that compute one node."""

from __future__ import annotations

import textwrap

import graphgrad as gg
from graphgrad.graph import Node


def lines_of(function: gg.Function, node: Node) -> tuple[str, Node | None]:
    """The lines under the node's comment, inside the loops that they run in, and the node that the comment names.

    That is another node where both have the same value. The lines are empty where the value is part of other lines, and
    where layers that are alike are one loop, whose comments name the nodes of the first.
    """
    program = function.program
    named = program.names.get(program.values[node]) if node in program.values else None
    heading = node if named is None else named
    return _block(function.source, heading.text()), named


def _block(source: str, heading: str) -> str:
    lines = source.splitlines()
    start = next((k for k, line in enumerate(lines) if _names(line, heading)), None)
    if start is None:
        return ""
    depth = _depth(lines[start])
    end = start + 1
    while end < len(lines) and _names(lines[end], heading):
        end += 1
    while end < len(lines) and lines[end].strip() and _depth(lines[end]) >= depth:
        if lines[end].lstrip().startswith("#") and not _continues(lines[end - 1]):
            break
        end += 1
    block = lines[start:end]
    while len(block) > 1 and block[-1].rstrip().endswith(":"):  # the head of the next loop
        block.pop()
    return textwrap.dedent("\n".join([*_loops(lines, start, depth), *block]))


def _names(line: str, heading: str) -> bool:
    text = line.strip()
    if not text.startswith("# "):
        return False
    said = text.removeprefix("# ")
    return said == heading or said.startswith(f"{heading}   [") or (len(said) > 40 and heading.startswith(said))


def _continues(line: str) -> bool:
    return line.lstrip().startswith("#")


def _loops(lines: list[str], start: int, depth: int) -> list[str]:
    """The heads of the loops around a line, from the outermost, and which element a turn of them computes."""
    heads: list[str] = []
    for k in reversed(range(start)):
        line = lines[k]
        if line.strip() and _depth(line) < depth:
            if line.startswith("def "):
                break
            depth = _depth(line)
            heads[:0] = [line, lines[k + 1]] if line.lstrip().startswith("for element ") else [line]
    return heads


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())
