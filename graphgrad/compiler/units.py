"""Cache lines: how many numbers lie in one, and so how many samples are computed at once."""

from __future__ import annotations

LANES = {"float32": 16, "float64": 8}
"""How many samples are computed at once: the numbers of one cache line."""

LINE = 16
"""Where threads meet, and arrays that are computed with on lanes begin, are multiples of so many numbers."""
