"""Identifiers of the generated source: those of the nodes, made unique and kept off all words that it uses itself."""

from __future__ import annotations

import builtins
import keyword
import re

from graphgrad.compiler.scalar import FUNCTIONS

LOOP_NAMES = "ijkmpqruvcd"
WORD = re.compile(r"(?<![\w.])[^\W\d]\w*\b(?!=)")
"""A name in source text, or in a statement as it shows itself; no attribute of one, and no field."""
ROW, FIRST = "row", "first"
"""The loop over the bands of a map, and the first of the rows that a sum of products is to compute."""
LAYER = "layer"
"""The loop over what comes over and over."""

RESERVED = frozenset(
    {*keyword.kwlist, *dir(builtins), *LOOP_NAMES, *FUNCTIONS.values()}
    | {
        "N",
        "n",
        "memory",
        "real",
        "step",
        "call",
        "array_at",
        "njit",
        "np",
        "nan",
        "inf",
        "sqrt",
        "copysign",
        "results",
        "parameters",
        "areas",
        "mine",
        "block",
        "blocks",
        "chunk",
        "alive",
        "thread",
        "threads",
        "candidate",
        "best",
        "better",
        "partial",
        "meet",
        "meet_and_share",
        "lanes_at",
        "load_lanes",
        "choose",
        "numbered",
        "below",
        "add_sums_of_lanes",
        "function",
        "kernel",
        "loop",
        "of_winners",
        "contraction",
        "product",
        "add_product",
        "add_up",
        "cuda",
        "on_grid",
        "element",
        "grid",
        "share",
        "shares",
        "share_of_product",
        "add_share_of_product",
        "row",
        "first",
        "last",
        "layer",
        "loss",
        "losses",
        "batch",
        "start",
        "stop",
        "run",
        "value",
    }
)


class Names:
    """Identifiers of the generated source: those of the nodes, made unique and kept off reserved words."""

    def __init__(self) -> None:
        self.taken: set[str] = set(RESERVED)
        self._count: dict[str, int] = {}

    def unique(self, wanted: str) -> str:
        safe = re.sub(r"\W+", "_", wanted, flags=re.ASCII).strip("_") or "step"
        name, count = safe, self._count.get(safe, 1)
        while name in self.taken:
            name, count = f"{safe}_" if count == 1 else f"{safe}_{count}", count + 1
        self._count[safe] = count
        self.taken.add(name)
        return name
