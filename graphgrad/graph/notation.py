r"""Formulas of nodes in three styles: `latex`, `unicode` for pictures, and `text`, which can be parsed again.

Each operation says once how it is written (a `Notation`); this module puts in the operands, with parentheses only
where the operation binds tighter than its operand.
"""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from graphgrad.graph.node import Node

Style = Literal["latex", "unicode", "text"]

_SIGN = re.compile(r"\w[⁰¹²³⁴-⁾₀-₎ᵀ\u20d7\u0300-\u036f]*")  # one letter with its scripts

_SLOT = re.compile(r"\{([0-9]+)\}(\^\{\\top\}|\^)?")

_SUPERSCRIPTED = re.compile(r"([^\^{}]*)\^\{([^{}]*)\}")

SUM, PRODUCT, POWER, ATOM = range(4)
"""How tightly a formula binds, from loosest to tightest."""


@dataclass(frozen=True, slots=True)
class Notation:
    """How an operation is written: a template for each style, how tightly it binds, and what it asks of its operands.

    `{0}` stands for the first operand, `{*}` for all of them separated by commas; `~` sets two operands side by side.
    A fraction asks nothing of its operands in TeX, where a line separates them: `latex_operands`.
    """

    latex: str
    unicode: str
    text: str
    binds: int = ATOM
    operands: tuple[int, ...] = ()
    latex_operands: tuple[int, ...] = ()


def function(name: str, latex: str = "", unicode: str = "", options: str = "") -> Notation:
    """The notation `f(a, b)`; `options` are the keyword arguments of the text form."""
    tail = f", {options}" if options else ""
    called = latex or r"\operatorname{%s}" % name.replace("_", r"\_")
    return Notation(
        called + r"\left({*}\right)",
        f"{unicode or name}({{*}})",
        f"{name}({{*}}{tail})",
    )


def number(value: float, style: Style = "text") -> str:
    """A constant as it is read: `2`, `0.01`, `1e-12`."""
    if math.isinf(value) or math.isnan(value):
        word = {"latex": r"\infty", "unicode": "∞", "text": "inf"}[style] if math.isinf(value) else "nan"
        return f"-{word}" if value < 0 else word
    if value == 0:
        return "-0.0" if style == "text" and math.copysign(1, value) < 0 else "0"
    shown = str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
    if "e" in shown and style != "text":
        mantissa, _, exponent = shown.partition("e")
        if style == "latex":
            return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"
        return f"{mantissa}e{int(exponent)}"
    return shown.replace("-", "−") if style == "unicode" else shown


def symbol(node: Node, style: Style) -> str | None:
    """The node's own sign in a formula: its name, or its value for an unnamed constant; None for an unnamed step."""
    if (named := node.graph.name_of(node)) is not None:
        return {"latex": named.tex, "unicode": named.text, "text": named.ident}[style]
    if node.kind == "constant":
        return str(node.op.shown(style))
    return None


def written(node: Node, style: Style = "text") -> str:
    """The node as it stands in other formulas: by its name, else by its formula."""
    return symbol(node, style) or formula(node, style)


def formula(node: Node, style: Style = "text") -> str:
    """The right side of the node's line: `W^{[0]} x`, `sigmoid(A)`."""
    return _formula(node, style)[0]


def equation(node: Node, style: Style = "text") -> str:
    """The node's whole line: `A = W⁽⁰⁾x`; an input or a parameter is only its name."""
    sign = symbol(node, style)
    if not node.inputs:
        value = node.op.shown(style) if node.kind == "constant" else sign
        return f"{sign} = {value}" if sign and sign != value else sign or formula(node, style)
    return f"{sign} = {formula(node, style)}" if sign else formula(node, style)


def _formula(node: Node, style: Style) -> tuple[str, int]:
    if not node.inputs:
        sign = symbol(node, style) or f"{node.op.name}()"
        return sign, SUM if sign.startswith(("-", "−")) else ATOM
    notation = node.op.notation(*(operand.type for operand in node.inputs))
    binds, asked = binding(notation, style, len(node.inputs))
    parts = [_operand(operand, least, style) for operand, least in zip(node.inputs, asked, strict=True)]
    return fill(getattr(notation, style), parts), binds


def binding(notation: Notation, style: Style, count: int) -> tuple[int, tuple[int, ...]]:
    """How tightly the formula of an operation with `count` operands binds, and how tightly each operand has to."""
    if style == "text" and (read := in_python(notation.text, count)) is not None:
        return read
    asked = (style == "latex" and notation.latex_operands) or notation.operands or (SUM,) * count
    return notation.binds, asked


_PYTHON: dict[type[ast.operator], tuple[int, int, int]] = {
    ast.Add: (SUM, SUM, PRODUCT),
    ast.Sub: (SUM, SUM, PRODUCT),
    ast.Mult: (PRODUCT, PRODUCT, POWER),
    ast.Div: (PRODUCT, PRODUCT, POWER),
    ast.MatMult: (PRODUCT, PRODUCT, POWER),
    ast.Pow: (POWER, ATOM, ATOM),
}
"""How tightly Python's operators bind, and what they ask of their left and their right side."""


@lru_cache(maxsize=1024)
def in_python(template: str, count: int) -> tuple[int, tuple[int, ...]] | None:
    """How a template of the text form binds by Python's grammar; None for one that is for reading only."""
    slots = [f"operand{position}" for position in range(count)]
    asked = dict.fromkeys(slots, SUM)

    def visit(part: ast.expr, least: int) -> int:
        match part:
            case ast.Name(id=slot):
                asked[slot] = max(asked.get(slot, SUM), least)
            case ast.BinOp(left=left, op=op, right=right):
                binds, *sides = _PYTHON[type(op)]
                for side, asks in zip((left, right), sides, strict=True):
                    visit(side, asks)
                return binds
            case ast.UnaryOp(operand=operand):
                visit(operand, POWER)
                return PRODUCT
            case ast.Attribute(value=value) | ast.Subscript(value=value):
                visit(value, ATOM)
            case ast.Call(args=arguments):
                for argument in arguments:
                    visit(argument, SUM)
        return ATOM

    try:
        binds = visit(ast.parse(fill(template, slots), mode="eval").body, SUM)
    except (SyntaxError, KeyError):
        return None
    return binds, tuple(asked[slot] for slot in slots)


def _operand(node: Node, least: int, style: Style) -> str:
    sign = symbol(node, style)
    shown, binds = (sign, ATOM) if sign is not None and node.kind != "constant" else _formula(node, style)
    if sign is not None and sign.startswith("∂") and least == ATOM:
        binds = PRODUCT
    if binds >= least:
        return shown
    return rf"\left({shown}\right)" if style == "latex" else f"({shown})"


def fill(template: str, parts: list[str]) -> str:
    """Put the operands into a template; TeX braces around them stay."""
    shown = template.replace("{*}", ", ".join(f"{{{position}}}" for position in range(len(parts))))
    if "~" in template:
        shown = shown.replace("~", "" if all(_SIGN.fullmatch(part) for part in parts) else " ")

    def put(slot: re.Match[str]) -> str:
        position = int(slot[1])
        return _raised(parts[position], slot[2] or "") if position < len(parts) else slot[0]

    return _SLOT.sub(put, shown)


def _raised(part: str, power: str) -> str:
    """TeX takes one superscript only: `W^{[1]}` transposed is `W^{[1] \\top}`, other powers get braces."""
    if not power or "^" not in part:
        return part + power
    if power == r"^{\top}" and part.endswith("}") and (scripted := _SUPERSCRIPTED.fullmatch(part)):
        return f"{scripted[1]}^{{{scripted[2]} \\top}}"
    return f"{{{part}}}{power}"
