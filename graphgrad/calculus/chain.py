r"""The chain rule as the lecture writes it: ∂l/∂W as the product of the factors along the path from l to W.

Where several paths lead there, the products are summed. A factor ∂a/∂b means all that a owes to b; where it is only
the part that does not go through other operands of a, these are written as held: \left.\frac{\partial a}{\partial b}\right|_{c}.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from graphgrad.calculus.gradient import grad, no_path
from graphgrad.calculus.jacobian import (
    LocalJacobian,
    Values,
    accumulated,
    bound,
    pulled,
    shaped,
    start,
)
from graphgrad.calculus.local import Written, continued, local, on_paper, transposed
from graphgrad.calculus.sketch import Sketch, Step, juxtaposed
from graphgrad.graph import (
    SUM,
    Formulated,
    GradientError,
    Graph,
    Leaf,
    Name,
    Node,
    NoGradient,
    Operation,
    Style,
    Type,
    ancestors,
    written,
)
from graphgrad.graph.data import Array
from graphgrad.ops.batch import BatchReduce
from graphgrad.ops.reference import evaluate

Row = Literal["names", "local", "simplified", "sweep"]

MOST_TERMS = 6
"""More paths than these are not written out one by one."""

MOST_OPENED = 12
"""How many gradients stand by their formulas in one row; those further on stand by their names."""


@dataclass(frozen=True)
class Factor(Formulated):
    """One factor ∂of/∂wrt; `held` are the operands of `of` through which the rest of its dependence goes.

    A factor with more than one path stands for a sum of its own: `gg.chain(factor.of, factor.wrt)` shows it.
    """

    of: Node
    wrt: Node
    held: tuple[Node, ...] = ()
    paths: int = 1

    @property
    def shape(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes of `of` and of `wrt`."""
        return self.of.shape, self.wrt.shape

    @property
    def edge(self) -> tuple[Node, Node] | None:
        """The edge of the graph that the factor belongs to, from operand to node; None where it stands for several."""
        return (self.wrt, self.of) if self.paths == 1 and self.wrt in self.of.inputs else None

    @cached_property
    def jacobian(self) -> LocalJacobian | None:
        """The local Jacobian of its edge."""
        return LocalJacobian(self.of, self.wrt) if self.edge else None

    @property
    def structure(self) -> str:
        """What kind of matrix it is."""
        return self.jacobian.structure if self.jacobian else "dense"

    @cached_property
    def _local(self) -> Written | None:
        return local(self.jacobian) if self.jacobian else None

    def local(self, style: Style = "latex") -> str:
        """The local derivative as a formula, such as `W^{[1]}`; by its name where it has none of this length."""
        if self._local is None:
            return self.latex() if style == "latex" else self.text()
        return self._local.in_style(style)

    def _in_row(self, row: Row, style: Style) -> str:
        if row == "names" or self._local is None:
            return self.latex() if style == "latex" else self.text()
        return self._local.enclosed(SUM + 1).in_style(style)

    @property
    def over_samples(self) -> bool:
        """Whether `of` gathers what every sample has for itself in `wrt`."""
        return self.wrt.per_sample and not self.of.per_sample

    def latex(self) -> str:
        fraction = rf"\frac{{\partial {_sign(self.of, 'latex')}}}{{\partial {_sign(self.wrt, 'latex')}}}"
        if not self.held:
            return fraction
        return rf"\left.{fraction}\right|_{{{', '.join(_sign(node, 'latex') for node in self.held)}}}"

    def text(self) -> str:
        fraction = f"∂{_sign(self.of, 'unicode')}/∂{_sign(self.wrt, 'unicode')}"
        return f"({fraction})|{','.join(_sign(node, 'unicode') for node in self.held)}" if self.held else fraction

    def __str__(self) -> str:
        return self.text()


@dataclass(frozen=True)
class Chain(Formulated):
    """∂of/∂wrt as a sum of products of factors; shows itself as a formula.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x = gg.input("x")
    ...     g.v = 1 / x
    ...     g.u = 2 * g.v
    ...     g.f = g.u ** 2
    >>> chain = gg.chain(g.f, x)
    >>> print(chain.text("local"), [float(number) for number in chain.values({"x": 2.0}).values()])
    ∂f/∂x = 2 · u · 2 · (−1 / x²) [2.0, 2.0, -0.25]
    """

    of: Node
    wrt: Node
    terms: tuple[tuple[Factor, ...], ...]
    paths: int

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """All factors, each once, from `of` to `wrt`; along a single path they are the chain itself."""
        return tuple(dict.fromkeys(factor for term in self.terms for factor in term))

    def latex(self, row: Row | Literal["all"] = "names") -> str:
        """The chain in TeX: by names, by local derivatives, simplified, as the reverse sweep computes it, or all of them.

        names       the factors ∂a/∂b, in the order of the lecture;
        local       the local derivatives in their place, in numerator layout: neighbouring shapes agree;
        simplified  the same, where neighbours are one formula: (y-t)/(y(1-y)) · y(1-y) is y - t;
        sweep       what the reverse sweep computes: transposes, element-wise and outer products.

        Raises GradientError for the sweep of what is no scalar, and for a row that there is not.
        """
        if row != "all":
            return f"{Factor(self.of, self.wrt).latex()} = {self._right(row, 'latex')}"
        rows = [r"\\ ".join(f"&= {self._right(each, 'latex')} " for each in self.rows)]
        return rf"\begin{{aligned}} {Factor(self.of, self.wrt).latex()} {''.join(rows)}\end{{aligned}}"

    def text(self, row: Row | Literal["all"] = "names") -> str:
        """The chain in Unicode; the rows are those of `latex`."""
        left = Factor(self.of, self.wrt).text()
        if row != "all":
            return f"{left} = {self._right(row, 'unicode')}"
        first, *others = (self._right(each, "unicode") for each in self.rows)
        return "\n".join([f"{left} = {first}", *(f"{' ' * len(left)} = {other}" for other in others)])

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        """The rows that there are: the simplified one where something is simpler, the sweep where it begins at a scalar."""
        rows: tuple[Row, ...] = ("names", "local")
        if any(self._merged):
            rows += ("simplified",)
        return rows if self.of.shape or self._sweep is None else (*rows, "sweep")

    def _right(self, row: Row, style: Style) -> str:
        if row == "sweep":
            if self._sweep is None:
                raise GradientError(
                    f"{Factor(self.of, self.wrt).text()} has no row for the sweep, which begins at a scalar that every "
                    f"sample has for itself, or all share: {written(self.of)} has the shape {self.of.type}"
                )
            return self._sweep.in_style(style)
        if row not in ("names", "local", "simplified"):
            raise GradientError(f"{row!r} is no row of a chain: there are names, local, simplified, sweep and all")
        sign = " " if (style, row) == ("latex", "names") else r" \cdot " if style == "latex" else " · "
        sigma = r"\sum_{n}" if style == "latex" else "Σₙ"
        products = [
            sign.join(self._signs(k, sigma, row, style)).replace(f"{sigma}{sign}", f"{sigma} ")
            for k in range(len(self.terms))
        ]
        return " + ".join(products)

    def _signs(self, number: int, sigma: str, row: Row, style: Style) -> list[str]:
        """The factors as they are written, with a sum over the samples before a factor that gathers them."""
        term = self.terms[number]
        merged = self._merged[number] if row == "simplified" else {}
        last_shared = max((k for k, factor in enumerate(term) if not factor.wrt.per_sample), default=-1)
        signs = []
        for k, factor in enumerate(term):
            gathers = factor.over_samples and k < last_shared
            plain = row != "names" and isinstance(factor.of.op, BatchReduce) and factor.edge
            if gathers and plain:
                signs += [sigma] if factor.local() == "1" else [factor._in_row(row, style), sigma]
                continue
            if gathers:
                signs.append(sigma)
            if k - 1 in merged:
                continue
            signs.append(merged[k][0].enclosed(SUM + 1).in_style(style) if k in merged else factor._in_row(row, style))
        return signs or ["1"]

    # -- how the rows differ --------------------------------------------------------------------------------------

    @cached_property
    def _merged(self) -> tuple[dict[int, tuple[Written, tuple[Step, ...]]], ...]:
        """For each term the factors that are one formula with the factor after them."""
        return tuple(
            {k: found for k, (a, b) in enumerate(pairwise(term)) if (found := _merged(a, b)) is not None}
            for term in self.terms
        )

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """What is simpler than the product of the local derivatives, step by step, each with its reason."""
        found = [step for merged in self._merged for _, steps in merged.values() for step in steps]
        for term in self.terms:
            found += [step for factor in term if (step := _turned(factor)) is not None]
        return tuple(dict.fromkeys(found))

    @property
    def remark(self) -> str:
        """How the rows differ, in one sentence; empty where they do not."""
        if "sweep" not in self.rows:
            return ""
        kinds = {factor.structure for term in self.terms for factor in term}
        parts = [sentence for kind, sentence in _TURNS.items() if kind in kinds]
        if not parts:
            return ""
        return f"The sweep keeps each gradient in the shape of its node, a column where the rows above have a row: {', '.join(parts)}."

    @cached_property
    def _sweep(self) -> Written | None:
        """The gradient as the sweep computes it, with the gradients on the way opened where they are used once."""
        if self.of.shape:
            return None
        try:
            gradient = grad(self.of, self.wrt)
        except GradientError:
            return None
        sketch = Sketch(("simplify",))
        copy = sketch.copy(gradient)
        return on_paper(copy, _opened(sketch, copy, self.of))

    # -- numbers -------------------------------------------------------------------------------------------------

    def values(self, given: Any) -> dict[Factor, Array]:
        """The number of each factor, for the result of a compiled function or for arrays by name.

        An array has the shape of the factor's `of` followed by that of its `wrt`, with an axis for the samples before
        them where either has a value for each and more than one sample was given.
        """
        values, samples, single = self._at(given)
        found: dict[Factor, Array] = {}
        for factor in self.factors:
            if factor.jacobian is not None:
                entries = factor.jacobian.numbers(values, samples)
                found[factor] = (
                    shaped(entries, factor.of, factor.wrt, single)
                    if not factor.jacobian.crosses
                    else entries.reshape(*entries.shape[:2], *factor.of.shape, *factor.wrt.shape)
                )
            else:
                found[factor] = shaped(
                    accumulated(factor.of, factor.wrt, values, samples), factor.of, factor.wrt, single
                )
        return found

    def total(self, given: Any) -> Array:
        """The factors multiplied out from left to right and the products added up: the gradient, from the display."""
        values, samples, single = self._at(given)
        total: Array | None = None
        for term in self.terms:
            rows = start(self.of, samples)
            for factor in term:
                rows = (
                    pulled(rows, factor.jacobian, self.of, values, samples)
                    if factor.jacobian is not None
                    else accumulated(self.of, factor.wrt, values, samples, begin=(factor.of, rows))
                )
            total = rows if total is None else total + rows
        assert total is not None
        return shaped(total, self.of, self.wrt, single)

    def _at(self, given: Any) -> tuple[Values, int | None, bool]:
        order = ancestors(self.of)
        if not isinstance(given, Mapping):
            leaves = {node for node in order if node.kind in ("input", "parameter")}
            given = {node: np.asarray(array) for node, array in given.values.items() if node in leaves}
        arrays, samples, single = bound(order, given)
        return evaluate(order, arrays, samples), samples, single

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<{self.text()}>"


_TURNS = {
    "matrix": "a matrix stands transposed before the gradient",
    "diagonal": "diag(·) is an element-wise product",
    "Kronecker": "I ⊗ xᵀ is an outer product",
    "banded": "a banded matrix is a convolution",
    "samples": "the sum over the samples comes last",
}
"""What becomes of a local Jacobian in the sweep."""


def _turned(factor: Factor) -> Step | None:
    """What the sweep makes of one factor, as a step."""
    if factor._local is None or factor.structure not in ("matrix", "diagonal", "Kronecker"):
        return None
    sketch = Sketch()
    g = sketch.leaf(Name("g", "g", "g"), factor.of.type)
    turned = continued(sketch, factor.of, factor.jacobian.positions[0], g) if factor.jacobian else None
    if turned is None:
        return None
    matrix = factor._local.enclosed(SUM + 1).latex
    return Step(
        f"{factor.structure} in the sweep",
        rf"\left({transposed(on_paper(g)).latex} {matrix}\right)^{{\top}}",
        juxtaposed(turned, "latex"),
        _REASONS[factor.structure],
    )


_REASONS = {
    "matrix": "a row times a matrix, set upright, is the transposed matrix times the column",
    "diagonal": "a row times a diagonal matrix is the product element by element",
    "Kronecker": "each row of the matrix meets one element of the gradient and the whole operand: an outer product",
}


def _merged(first: Factor, second: Factor) -> tuple[Written, tuple[Step, ...]] | None:
    """Two neighbours as one formula, where an identity makes it simpler."""
    a, b = first.jacobian, second.jacobian
    if a is None or b is None or len(a.positions) > 1 or len(b.positions) > 1:
        return None
    if first.of.shape and {a.structure, b.structure} != {"diagonal"}:
        return None
    if isinstance(first.of.op, BatchReduce) or isinstance(second.of.op, BatchReduce):
        return None
    sketch = Sketch()
    gradient = continued(sketch, first.of, a.positions[0], None)
    if gradient is None:
        return None
    before = len(sketch.steps)
    product = continued(sketch, second.of, b.positions[0], gradient)
    steps = tuple(step for step in sketch.steps[before:] if step.phase == "stabilise")
    if product is None or not steps:
        return None
    formula = on_paper(product)
    if first.of.shape:
        diagonal = rf"\operatorname{{diag}}\left({formula.latex}\right)", f"diag({formula.unicode})"
        return Written(*diagonal), steps
    return transposed(formula) if second.wrt.shape else formula, steps


def _opened(sketch: Sketch, root: Node, of: Node) -> set[Node]:
    """The gradients that stand by their formulas: those that are used once on the way, the nearest ones first."""
    order = ancestors(root)
    uses: dict[Node, int] = {}
    for node in order:
        for operand in node.inputs:
            uses[operand] = uses.get(operand, 0) + 1
    opened = {root}
    for node in reversed(order):
        original = sketch.originals.get(node)
        pair = original.graph.gradient_of(original) if original is not None else None
        if pair is None or pair[0] is not of or node is root:
            continue
        if not node.inputs or (uses[node] == 1 and len(opened) <= MOST_OPENED):
            opened.add(node)
    return opened


def chain(of: Node, wrt: Node) -> Chain:
    """The chain rule for ∂of/∂wrt: its factors in the order of the lecture, from `of` back to `wrt`.

    Along a single path it is a product; several paths give a sum of products. Where there are more than six paths, all
    that lies between two nodes which every path passes is one factor, a sum of its own; if there is only one such
    stretch, it is opened at the node where it branches.

    Raises GradientError where `of` does not depend on `wrt`, or has no gradient on the way.
    Source: Griewank and Walther, Evaluating Derivatives, 2008, chapter 2.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, w = gg.input("x", 2), gg.param("w", 2)
    ...     g.E = w @ x
    ...     g.y = gg.sigmoid(g.E)
    >>> print(gg.chain(g.y, w).text())
    ∂y/∂w = ∂y/∂E · ∂E/∂w
    """
    for node in (of, wrt):
        if not isinstance(node, Node):
            raise GradientError(f"chain takes two nodes of a graph, not {node!r}")
    if of.graph is not wrt.graph:
        raise GradientError(f"{written(of)} and {written(wrt)} belong to different graphs")
    route = _Route(of, wrt)
    if not route.paths:
        raise GradientError(route.obstacle or no_path(of, wrt))
    terms = tuple(route.walks()) if route.paths <= MOST_TERMS else route.cut()
    return Chain(of, wrt, terms, route.paths)


class _Route:
    """All paths from one node back to another, counted and never listed unless they are few."""

    def __init__(self, of: Node, wrt: Node) -> None:
        self.of, self.wrt = of, wrt
        self.obstacle = ""
        self.operands: dict[Node, tuple[Node, ...]] = {}
        self.order = ancestors(of)
        self.onward = self._count_onward()
        self.paths = self.onward[of]

    def _count_onward(self) -> dict[Node, int]:
        """How many paths lead from each node to `wrt`; `operands` gets the steps they may take first."""
        onward: dict[Node, int] = {}
        for node in self.order:
            if node is self.wrt:
                onward[node] = 1
                continue
            useful = [operand for operand in dict.fromkeys(node.inputs) if onward[operand]]
            self.operands[node] = tuple(operand for operand in useful if self._passes(node, operand))
            onward[node] = sum(onward[operand] for operand in self.operands[node])
        return onward

    def _passes(self, node: Node, operand: Node) -> bool:
        """Whether the node's operation has a gradient for this operand."""
        reasons = _reasons(node.op, tuple(each.type for each in node.inputs))
        why = [reason for each, reason in zip(node.inputs, reasons, strict=True) if each is operand]
        if all(why):
            self.obstacle = (
                f"∂{_sign(self.of, 'unicode')}/∂{_sign(self.wrt, 'unicode')} does not exist: {written(node)}: {why[0]}"
            )
        return not all(why)

    def walks(self) -> Iterator[tuple[Factor, ...]]:
        """Every path as its factors."""
        pending: list[tuple[Node, list[Factor]]] = [(self.of, [])]
        while pending:
            node, factors = pending.pop()
            while node is not self.wrt:
                first, *others = self._steps(node)
                pending.extend((step.wrt, [*factors, step]) for step in reversed(others))
                factors.append(first)
                node = first.wrt
            yield tuple(factors)

    def _steps(self, node: Node) -> list[Factor]:
        """The factors that the paths may take at a node, each with what it holds fixed."""
        operands = self.operands[node]
        if len(operands) == 1:
            return [Factor(node, operands[0])]
        before = {operand: set(ancestors(operand)) for operand in operands}
        return [
            Factor(
                node, operand, tuple(other for other in operands if other is not operand and operand in before[other])
            )
            for operand in operands
        ]

    def product(self) -> tuple[Factor, ...]:
        """One product, of a factor for each stretch between nodes that every path passes."""
        arrived = dict.fromkeys(self.order, 0)
        arrived[self.of] = 1
        passed = []
        for node in reversed(self.order):
            if not arrived[node] or not self.onward[node]:
                continue
            if arrived[node] * self.onward[node] == self.paths:
                passed.append(node)
            for operand in self.operands.get(node, ()):
                arrived[operand] += arrived[node]
        return tuple(Factor(a, b, paths=self.onward[a] // self.onward[b]) for a, b in pairwise(passed))

    def cut(self) -> tuple[tuple[Factor, ...], ...]:
        """The product; opened at the branching node if only one of its factors is a sum."""
        product = self.product()
        sums = [position for position, factor in enumerate(product) if factor.paths > 1]
        stretch = product[sums[0]]
        branches = self.operands[stretch.of]
        if len(sums) > 1 or (len(branches) > MOST_TERMS and len(product) > 1):
            return (product,)
        before, after = product[: sums[0]], product[sums[0] + 1 :]
        return tuple(
            (*before, step, *(() if step.wrt is stretch.wrt else _Route(step.wrt, stretch.wrt).product()), *after)
            for step in self._steps(stretch.of)
        )


@lru_cache(maxsize=4096)
def _reasons(op: Operation, types: tuple[Type, ...]) -> tuple[str, ...]:
    """Why the operation has no gradient for an operand, empty where it has one."""
    if op.unfolds:
        return ("",) * len(types)
    scratch = Graph()
    with scratch.derivation():
        operands = [scratch.add(Leaf("operand", "input", type), (), type, None) for type in types]
        output = scratch.add(op, tuple(operands), result := op.infer(*types), None)
        gradient = scratch.add(Leaf("gradient", "input", result), (), result, None)
        parts = op.vjp(gradient, output, *operands)
    return tuple(part.reason if isinstance(part, NoGradient) else "" for part in parts)


def _sign(node: Node, style: Style) -> str:
    return written(node, style) if node.name or not node.inputs else f"({written(node, style)})"
