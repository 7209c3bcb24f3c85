"""How a product of matrices is cut up: the tile whose sums stay in registers, and the panels it reads.

So much is copied at once as stays in the caches: of the left matrix a block in the second one, of the right matrix a panel
in the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from graphgrad.compiler.processor import registers_for_lanes

DEEP = 256
"""Over how much of the inner axis a tile sums at once, at most."""
HIGH = 264
"""How many rows of the left matrix are copied at once, at most."""


@dataclass(frozen=True, slots=True)
class Panels:
    """The rows and columns of a tile, and how many numbers a register holds."""

    rows: int
    columns: int
    width: int

    @property
    def high(self) -> int:
        """How far the lines of a panel of the left matrix lie apart: whole registers."""
        return -(-self.rows // self.width) * self.width

    @property
    def room(self) -> int:
        """How many numbers are copied at once."""
        return (-(-HIGH // self.rows) * self.high + self.columns) * DEEP


@lru_cache(maxsize=2)
def panels_of(lanes: int) -> Panels:
    """Those for numbers of which a line of the cache holds so many: a tile whose sums fill three quarters of the registers,
    two of them wide."""
    registers, in_line = registers_for_lanes()
    width = lanes // in_line
    return Panels(3 * registers // 8, 2 * width, width)
