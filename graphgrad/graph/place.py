"""Where in the user's own code a node was written, so that an error can point there."""

from __future__ import annotations

import ast
import linecache
import sys
from dataclasses import dataclass
from pathlib import PurePath
from types import FrameType

TEXT = "text"
"""The `file` of a place in a text that was parsed and came from no file."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of the user's file; of a text that was parsed also the column (from 1) and the name that it defines."""

    file: str
    line: int
    column: int = 0
    defines: str | None = None

    def __str__(self) -> str:
        return f"line {self.line}" if self.file == TEXT else f"{PurePath(self.file).name}:{self.line}"

    @property
    def target(self) -> str | None:
        """The name that the line assigns to: `C` in `g.C = W1 @ g.B`, for an error raised before the name is known."""
        return self.defines or _target(linecache.getline(self.file, self.line))


def _target(text: str) -> str | None:
    try:
        statement = ast.parse(text.strip()).body[0]
    except (SyntaxError, IndexError, ValueError, RecursionError, MemoryError):
        return None
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return None
    match statement.targets[0]:
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return name
        case ast.Subscript(slice=ast.Constant(value=str(name))):
            return name
    return None


def here() -> Place | None:
    """The nearest line outside the package: the one that the user wrote."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and str(frame.f_globals.get("__name__")).partition(".")[0] == "graphgrad":
        frame = frame.f_back
    return Place(frame.f_code.co_filename, frame.f_lineno) if frame is not None else None
