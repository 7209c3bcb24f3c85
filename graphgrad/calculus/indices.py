"""Index notation: formulas by their elements, for what matrices do not reach.

An element of an array is written with the array's name, `W_{k,i}`; an element of a gradient as ∂l/∂W_{k,i}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from graphgrad.calculus.sketch import juxtaposed
from graphgrad.graph import Axis, Formula, Index, Leaf, Name, Node, Style, number
from graphgrad.graph.names import script

RESULT = {1: "i", 2: "ij", 3: "cij", 4: "kcij", 5: "kchij"}
"""The letters for the axes of a result, by how many there are."""

OVER = "pqrsuvabde"

Letters = Mapping[Axis, str]


def position(index: Index, letters: Letters) -> str:
    """An index as it is written: `2i+p-1`."""
    shown = ""
    for axis, factor in index.terms:
        sign = "-" if factor < 0 else "+" if shown else ""
        shown += f"{sign}{'' if abs(factor) == 1 else abs(factor)}{letters[axis]}"
    if index.offset or not shown:
        shown += f"{index.offset:+d}" if shown else str(index.offset)
    if index.divisor != 1:
        shown = f"({shown})/{index.divisor}"
    return rf"\tau({shown})" if index.table else shown


def element(label: Name, places: Sequence[str], style: Style, gradient: tuple[Name, Name] | None = None) -> str:
    """An element of an array, by the array's name; of a gradient, by what it is the gradient of."""
    if not places:
        return label.tex if style == "latex" else label.text
    if gradient is not None:
        of, wrt = gradient
        inner = element(wrt, places, style)
        return rf"\frac{{\partial {of.tex}}}{{\partial {inner}}}" if style == "latex" else f"∂{of.text}/∂{inner}"
    joined = ",".join(places)
    if style == "latex":
        return (
            rf"{label.tex}_{{{joined}}}"
            if "_" not in label.tex or label.tex.startswith(r"\left(")
            else rf"\left({label.tex}\right)_{{{joined}}}"
        )
    low = script("_", joined.replace(",", "") if all(len(place) == 1 for place in places) else joined)
    if low.startswith("_"):
        low = f"[{joined}]"
    return f"{label.text}{low}"


def element_of(node: Node, places: Sequence[str], style: Style, original: Node | None = None) -> str:
    """An element of a node, by its name where it has one; `original` is what a node of a sketch stands for."""
    if node.kind == "constant" and type(node.op) is Leaf and not node.shape:
        return number(node.op.value, style)
    label = node.name
    if label is None:
        inner = juxtaposed(node, style)
        label = Name(rf"\left({inner}\right)", f"({inner})", "step") if places else Name(inner, inner, "step")
    source = node if original is None else original
    pair = source.graph.gradient_of(source)
    if pair is not None and (of := pair[0].name) is not None and (wrt := pair[1].name) is not None:
        return element(label, places, style, (of, wrt))
    return element(label, places, style)


def in_elements(node: Node, style: Style, originals: Mapping[Node, Node]) -> tuple[str, str] | None:
    """Both sides of a sum of products by its elements, ∂l/∂x_{c,i,j} = Σ W_{k,c,p,q} ...; None for any other operation.

    An element that is not there, outside of its array or at an index that is not whole, counts as 0.
    """
    formula = _product(node)
    if formula is None or node.type.rank not in RESULT:
        return None
    letters = dict(zip(formula.axes, RESULT[node.type.rank], strict=True))
    free = [letter for letter in OVER if letter not in letters.values()]
    if len(formula.over) > len(free):
        return None
    letters |= dict(zip(formula.over, free, strict=False))
    operands, reads = list(node.inputs), list(formula.reads)
    conditions = [_within(index, extent, letters, style) for index, extent in formula.within]
    if formula.chosen is not None:
        chosen = element_of(operands[-1], _places(reads[-1], letters), style, originals.get(operands[-1]))
        conditions.append(_bracket(f"{chosen} = {position(formula.chosen, letters)}", style))
        operands, reads = operands[:-1], reads[:-1]
    factors = [
        element_of(operand, _places(read, letters), style, originals.get(operand))
        for operand, read in zip(operands, reads, strict=True)
    ]
    space = r" \, " if style == "latex" else " "
    over = "".join(letters[axis] for axis in formula.over)
    sigma = "" if not over else rf"\sum_{{{','.join(over)}}} " if style == "latex" else f"Σ{script('_', over)} "
    own = element_of(node, [letters[axis] for axis in formula.axes], style, originals.get(node))
    return own, f"{sigma}{space.join([*factors, *conditions])}"


def _product(node: Node) -> Formula | None:
    try:
        formula: Formula = node.op.formula(*(operand.type for operand in node.inputs))
    except TypeError:
        return None
    if formula.body is not None or formula.reduction not in (None, "sum") or formula.weights:
        return None
    return formula


def _places(read: Sequence[Index], letters: Letters) -> list[str]:
    return [position(index, letters) for index in read]


def _within(index: Index, extent: int, letters: Letters, style: Style) -> str:
    shown = position(replace(index, table=()), letters)
    if extent == 1:
        return _bracket(f"{shown} = 0", style)
    return _bracket(rf"0 \le {shown} < {extent}" if style == "latex" else f"0 ≤ {shown} < {extent}", style)


def _bracket(condition: str, style: Style) -> str:
    return rf"\left[{condition}\right]" if style == "latex" else f"[{condition}]"
