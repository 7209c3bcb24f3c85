"""The body of one operation as Python source: a SymPy expression printed over the texts of its operands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphgrad.ops.symbolic import plain, sp

CHOICE, SUM, PRODUCT, UNARY, ATOM = range(5)
"""How tightly a text binds, from loosest to tightest."""

Text = tuple[str, int]
"""A piece of source and how tightly it binds."""

PLACE = -1
"""How tightly `{0}` binds, a place in a template: as tightly as asked, which is noted as in `{0:3}`."""

FUNCTIONS = {
    "exp": "exp",
    "log": "log",
    "log1p": "log1p",
    "log2": "log2",
    "log10": "log10",
    "expm1": "expm1",
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "asin": "asin",
    "acos": "acos",
    "atan": "atan",
    "atan2": "atan2",
    "sinh": "sinh",
    "cosh": "cosh",
    "tanh": "tanh",
    "asinh": "asinh",
    "acosh": "acosh",
    "atanh": "atanh",
    "erf": "erf",
    "erfc": "erfc",
    "floor": "floor",
    "ceiling": "ceil",
    "rint": "rint",
    "Abs": "fabs",
    "hashed": "hashed",
}
"""SymPy's functions by the name of the runtime's function that computes them."""

_RELATIONS = {
    "StrictGreaterThan": ">",
    "GreaterThan": ">=",
    "StrictLessThan": "<",
    "LessThan": "<=",
    "Equality": "==",
    "Unequality": "!=",
}


def literal(value: float, dtype: str) -> Text:
    """A number of the program's own precision, so that nothing is computed in another one."""
    if value != value or value in (float("inf"), float("-inf")):
        shown = {float("inf"): "inf", float("-inf"): "-inf"}.get(value, "nan")
        return f"real({shown.lstrip('-')})" if shown[0] != "-" else f"-real({shown[1:]})", UNARY
    shown = repr(float(value))
    if dtype == "float64":
        return shown, UNARY if shown.startswith("-") else ATOM
    return f"real({shown})", ATOM


def grouped(text: Text, least: int) -> str:
    """The text, in parentheses where it binds more loosely than asked."""
    if text[1] == PLACE:
        return f"{text[0][:-1]}:{least}}}"
    return text[0] if text[1] >= least else f"({text[0]})"


def source(expression: Any, operands: Mapping[Any, Text], dtype: str, lanes: bool = False) -> Text:
    """The expression as source, with a text for each of its symbols; of `lanes`, where a test has many answers."""
    return (_LanesPrinter if lanes else _Printer)(operands, dtype).text(plain(expression))


class _Printer:
    def __init__(self, operands: Mapping[Any, Text], dtype: str) -> None:
        self.operands = operands
        self.dtype = dtype

    def text(self, e: Any) -> Text:
        if e in self.operands:
            return self.operands[e]
        if e in (sp.true, sp.false):
            return str(bool(e)), ATOM
        if e.is_number:
            return literal(float(e), self.dtype)
        if e.is_Add:
            return self._sum(e)
        if e.is_Mul:
            return self._product(e)
        if e.is_Pow:
            return self._power(e)
        if e.is_Piecewise:
            return self._choice(e)
        kind = e.func.__name__
        if kind in _RELATIONS:
            left, right = (grouped(self.text(part), SUM) for part in e.args)
            return f"{left} {_RELATIONS[kind]} {right}", CHOICE
        if kind in ("And", "Or"):
            joined = f" {kind.lower()} ".join(
                grouped(self.text(part), SUM) if part.is_Relational is not True else self.text(part)[0]
                for part in sorted(e.args, key=sp.default_sort_key)
            )
            return joined, CHOICE
        if kind == "Not":
            return f"not ({self.text(e.args[0])[0]})", CHOICE
        if kind == "ITE":
            condition, then, otherwise = (self.text(part)[0] for part in e.args)
            return f"(({then}) if ({condition}) else ({otherwise}))", ATOM
        if kind not in FUNCTIONS:
            raise ValueError(f"{kind} has no code: a formula may use {', '.join(FUNCTIONS)}")
        return f"{FUNCTIONS[kind]}({', '.join(self.text(part)[0] for part in e.args)})", ATOM

    def _sum(self, e: Any) -> Text:
        shown = ""
        for term in sorted(e.as_ordered_terms(), key=lambda term: term.could_extract_minus_sign()):
            if term.could_extract_minus_sign():
                part = grouped(self.text(-term), PRODUCT)
                shown = f"{shown} - {part}" if shown else f"-{grouped(self.text(-term), UNARY)}"
            else:
                part = grouped(self.text(term), PRODUCT if shown else SUM)
                shown = f"{shown} + {part}" if shown else part
        return shown, SUM

    def _product(self, e: Any) -> Text:
        """Factors over divisors, each as it stands: z / (1 + exp(-z)) must not become z exp(z) / (1 + exp(z))."""
        if e.as_coeff_Mul()[0].is_negative:
            return f"-{grouped(self.text(-e), UNARY)}", UNARY
        factors, divisors = [], []
        for factor in e.as_ordered_factors():
            if factor.is_Pow and factor.exp.is_number and factor.exp.is_negative:
                divisors.append(factor.base**-factor.exp)
            elif factor.is_Rational and factor.p == 1 and factor.q & (factor.q - 1):  # of a power of 2 no digit is lost
                divisors.append(sp.Integer(factor.q))
            else:
                factors.append(factor)
        shown = self._times(factors or [sp.S.One])
        if not divisors:
            return shown
        below = self.text(divisors[0]) if len(divisors) == 1 else self._times(divisors)
        return f"{shown[0]} / {grouped(below, UNARY)}", PRODUCT

    def _times(self, factors: list[Any]) -> Text:
        first, *others = map(self.text, factors)
        if not others:
            return grouped(first, PRODUCT), PRODUCT
        return " * ".join([grouped(first, PRODUCT), *(grouped(other, UNARY) for other in others)]), PRODUCT

    def _power(self, e: Any) -> Text:
        base, exponent = e.base, e.exp
        if exponent == -1:
            return f"{literal(1.0, self.dtype)[0]} / {grouped(self.text(base), UNARY)}", PRODUCT
        if exponent == sp.Rational(1, 2):
            return f"sqrt({self.text(base)[0]})", ATOM
        if exponent.is_Integer and 2 <= exponent <= 4:
            return " * ".join([grouped(self.text(base), UNARY)] * int(exponent)), PRODUCT
        if exponent.is_negative:
            return f"{literal(1.0, self.dtype)[0]} / {grouped(self.text(base**-exponent), UNARY)}", PRODUCT
        return f"{grouped(self.text(base), ATOM)} ** {grouped(self.text(exponent), ATOM)}", PRODUCT

    def _choice(self, e: Any) -> Text:
        *pieces, (last, condition) = e.args
        if condition != sp.true:
            pieces, last = [*pieces, (last, condition)], sp.nan
        shown = grouped(self.text(last), SUM)
        for value, condition in reversed(pieces):
            shown = f"{grouped(self.text(value), SUM)} if {self.text(condition)[0]} else {shown}"
        return shown, CHOICE


class _LanesPrinter(_Printer):
    """The same for lanes: both sides of a choice are computed, and each lane takes its own."""

    def text(self, e: Any) -> Text:
        kind = e.func.__name__
        if kind in ("And", "Or"):
            parts = (f"({self.text(part)[0]})" for part in sorted(e.args, key=sp.default_sort_key))
            return {"And": " & ", "Or": " | "}[kind].join(parts), CHOICE
        if kind == "Not":
            return f"~({self.text(e.args[0])[0]})", UNARY
        if kind == "ITE":
            condition, then, otherwise = (f"({self.text(part)[0]})" for part in e.args)
            return f"(({condition} & {then}) | (~{condition} & {otherwise}))", ATOM
        return super().text(e)

    def _choice(self, e: Any) -> Text:
        *pieces, (last, condition) = e.args
        if condition != sp.true:
            pieces, last = [*pieces, (last, condition)], sp.nan
        shown = self.text(last)[0]
        for value, condition in reversed(pieces):
            shown = f"choose({self.text(condition)[0]}, {self.text(value)[0]}, {shown})"
        return shown, ATOM
