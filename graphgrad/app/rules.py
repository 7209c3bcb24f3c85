r"""The rule of a node in LaTeX: its formula, its local derivatives, the incoming gradient, and what it passes back."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import graphgrad as gg
from graphgrad.app.lesson import Lesson
from graphgrad.drawing.numbers import Array, array_in_tex
from graphgrad.graph import Formula, GradientError, Index, Leaf, Node, NoGradient, Type, formula, written
from graphgrad.ops.batch import SAMPLES
from graphgrad.ops.elementwise import Elementwise

LARGEST = 4
"""Arrays of more rows or columns are not written out in a formula."""

FACTORS_A_LINE = 7

END = r" \end{aligned}"


@dataclass(frozen=True)
class Passed:
    """What a node does for one operand: ∂node/∂operand (empty if it has no short form), and the product.

    `whole` tells whether the product is all of the operand's gradient, or one of several parts.
    """

    operand: Node
    local: str
    product: str
    whole: bool


def derivative(of: Node, wrt: Node) -> str:
    return rf"\frac{{\partial {written(of, 'latex')}}}{{\partial {written(wrt, 'latex')}}}"


_deriving = threading.Lock()  # sessions share the graph, and its rules write nodes into it


@lru_cache(maxsize=512)
def passed_back(lesson: Lesson, node: Node) -> tuple[Passed, ...]:
    """The local derivative and the product for each operand that has a gradient."""
    gradient = lesson.gradients.get(node)
    if gradient is None or node.kind != "operation":
        return ()
    with _deriving:
        return tuple(_passed(lesson, node, gradient))


def _passed(lesson: Lesson, node: Node, gradient: Node) -> Iterator[Passed]:
    with lesson.graph.derivation():
        products = None if node.op.unfolds else node.op.vjp(gradient, node, *node.inputs)
    local = _local(node)
    for position, operand in enumerate(node.inputs):
        if operand not in lesson.gradients:
            continue
        product = lesson.gradients[operand] if products is None else products[position]
        if isinstance(product, NoGradient):
            continue
        shown = formula(product, "latex") if products is None else written(product, "latex")
        whole = len(lesson.used[operand]) == 1 and node.inputs.count(operand) == 1
        sign = "=" if whole else r"\mathrel{+}="
        yield Passed(operand, local[position], f"{derivative(lesson.of, operand)} {sign} {shown}", whole)


def _local(node: Node) -> list[str]:
    """∂node/∂operand for each operand: elementwise and for scalars as a formula, for products by their indices."""
    op, types = node.op, [operand.type for operand in node.inputs]
    if isinstance(op, Elementwise) or (not node.shape and not op.unfolds and node.graph.expansion(node) is not None):
        with node.graph.derivation():
            one = node.graph.add(Leaf("1", "constant", Type(), 1.0), (), Type(), None)
            parts = op.vjp(one, node, *node.inputs)
        return [
            "" if isinstance(part, NoGradient) else f"{derivative(node, operand)} = {written(part, 'latex')}"
            for part, operand in zip(parts, node.inputs, strict=True)
        ]
    if node.graph.expansion(node) is None:
        found: Formula = op.formula(*types)
        if _of_affine_indices(found):
            return [_by_index(node, position, found) for position in range(len(types))]
    return [""] * len(types)


def _of_affine_indices(found: Formula) -> bool:
    """Whether every term is a product of elements at affine indices, and all of them count."""
    product = found.body is None and found.reduction in (None, "sum") and not found.weights
    indices = (index for read in found.reads for index in read)
    every = found.chosen is None and not found.within
    return product and every and all(index.divisor == 1 and not index.table for index in indices)


def _by_index(node: Node, position: int, found: Formula) -> str:
    """∂A_i/∂x_j = W_ij, out of the index formula of a sum of products."""
    operand = node.inputs[position]
    across = SAMPLES in found.over
    above = _indexed(node, [_letter(axis.name) for axis in found.axes])
    below = _indexed(operand, [*(["n"] if across else []), *map(_affine, found.reads[position])])
    others = [
        _indexed(other, [*(["n"] if across and other.per_sample else []), *map(_affine, read)])
        for k, (other, read) in enumerate(zip(node.inputs, found.reads, strict=True))
        if k != position
    ]
    factors = r" \, ".join(others) or "1"
    return rf"\frac{{\partial {above}}}{{\partial {below}}} = {factors}"


def _indexed(node: Node, indices: Iterable[str]) -> str:
    each = list(indices)
    shown = (" " if all(len(index) == 1 for index in each) else ", ").join(each)
    name = written(node, "latex")
    if not shown:
        return name
    return f"{name}_{{{shown}}}" if "_" not in name and "'" not in name else rf"\left({name}\right)_{{{shown}}}"


_FACTOR = {1: "", -1: "-"}


def _affine(index: Index) -> str:
    terms = [f"{_FACTOR.get(factor, factor)}{_letter(axis.name)}" for axis, factor in index.terms]
    if index.offset or not terms:
        terms.append(str(index.offset))
    return "+".join(terms).replace("+-", "-")


def _letter(axis: str) -> str:
    return axis if len(axis) == 1 else rf"\mathrm{{{axis}}}"


def with_value(line: str, array: Array | None) -> str:
    """A line with its value after it; that of a vector or a matrix goes below."""
    if array is None or not (shown := array_in_tex(array, LARGEST)):
        return line
    if line.endswith(END):
        return rf"{line.removesuffix(END)} \\[0.7em] &= {shown}{END}"
    left, _, right = (part.strip() for part in line.partition("="))
    if right == shown:
        return line
    if not right or array.ndim == 0:
        return f"{line} = {shown}"
    return rf"\begin{{aligned}} {left} &= {right} \\ &= {shown}{END}"


def chain(lesson: Lesson, node: Node) -> tuple[str, list[tuple[Node, Node]]]:
    """The chain of factors from `of` to a node, broken into lines, and the edges that it goes along.

    Raises GradientError where there is no such chain.
    """
    if node is lesson.of:
        return rf"{derivative(node, node)} = 1", []
    if node not in lesson.gradients:
        raise GradientError(f"{written(lesson.of, 'unicode')} does not depend on {written(node, 'unicode')}")
    found = gg.chain(lesson.of, node)
    left, _, right = (part.strip() for part in found.latex().partition("="))
    lines = r" \\[0.7em] &\qquad ".join(_lines(right))
    return rf"\begin{{aligned}} {left} &= {lines}{END}", [(factor.of, factor.wrt) for factor in found.factors]


def _lines(product: str) -> list[str]:
    r"""A sum of products of fractions, with a new line after every few of them and a thin space between them."""
    lines, depth, start, count = [], 0, 0, 0
    for position, letter in enumerate(product):
        depth += (letter == "{") - (letter == "}")
        if letter == " " and depth == 0 and product[position - 1] == "}":
            count += 1
            if count % FACTORS_A_LINE == 0:
                lines.append(product[start:position])
                start = position
    lines.append(product[start:])
    return [line.strip().replace(r"} \frac", r"} \, \frac") for line in lines if line.strip()]
