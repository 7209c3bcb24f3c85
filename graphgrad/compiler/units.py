"""How many numbers belong together: those of a cache line, those of a share of the work."""

from __future__ import annotations

LANES = {"float32": 16, "float64": 8}
"""How many samples are computed at once: the numbers of one cache line."""

LINE = 16
"""Where threads meet, and arrays that are computed with on lanes begin, are multiples of so many numbers."""

MANY = 4096
"""From how many numbers on what is done once for a step is divided among its threads."""

MEETING, SHARING = 2 * LINE, 8 * LINE
"""The numbers at the beginning of the memory of a team, by which its threads wait for each other, and those after them by
which they share products."""
