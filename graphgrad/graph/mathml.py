"""Formulas in MathML, which browsers show by themselves: made from their TeX by latex2mathml."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

_NAMED = re.compile(r"\\operatorname\{((?:[^{}]|\\_)*)\}")
_ROWS = re.compile(r"\\begin\{aligned\}(.*)\\end\{aligned\}", re.DOTALL)
_FUNCTIONS = r"(\\(?:ln|exp|sin|cos|tan|tanh|max|min))(?![a-zA-Z])"
_AFTER = re.compile(rf"{_FUNCTIONS}(?!\s*(?:\\left|\(|\^|_))")
_BEFORE = re.compile(rf"(?<=[\w}})])\s*{_FUNCTIONS}")


@lru_cache(maxsize=4096)
def mathml(latex: str, *, block: bool = False) -> str:
    r"""A formula in TeX as a MathML element; `block` sets it on a line of its own.

    >>> mathml(r"A = W^{[0]} x")[:53]
    '<math xmlns="http://www.w3.org/1998/Math/MathML" disp'
    """
    from latex2mathml.converter import convert

    spaced = _BEFORE.sub(r"\\,\1", _AFTER.sub(r"\1\\,", latex))
    upright = _NAMED.sub(lambda name: r"\text{%s}" % name[1].replace(r"\_", "_"), spaced)
    rows = _ROWS.sub(r"\\begin{align*}\1\\end{align*}", upright)
    bars = re.sub(r"(?<!left)\\lVert", r"\\left\\Vert", re.sub(r"(?<!right)\\rVert", r"\\right\\Vert", rows))
    shown: str = convert(bars, display="block" if block else "inline")
    return shown


class Formulated:
    """What has a `latex()` has it in MathML too, and shows it in Jupyter."""

    __slots__ = ()

    def latex(self, *options: Any) -> str:
        raise TypeError(f"{type(self).__name__} has no formula")

    def mathml(self, *options: Any) -> str:
        """The formula of `latex()` as a MathML element, which browsers show; it takes what `latex` takes."""
        return mathml(self.latex(*options), block=True)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"
