r"""The chain rule as the lecture writes it: ∂l/∂W as the product of the factors along the path from l to W.

Where several paths lead there, the products are summed. A factor ∂a/∂b means all that a owes to b; where it is only
the part that does not go through other operands of a, these are written as held: \left.\frac{\partial a}{\partial b}\right|_{c}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

from graphgrad.calculus.gradient import no_path
from graphgrad.graph import GradientError, Graph, Leaf, Node, NoGradient, Operation, Style, Type, ancestors, written

MOST_TERMS = 6
"""More paths than these are not written out one by one."""


@dataclass(frozen=True, slots=True)
class Factor:
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
class Chain:
    """∂of/∂wrt as a sum of products of factors; shows itself as a formula."""

    of: Node
    wrt: Node
    terms: tuple[tuple[Factor, ...], ...]
    paths: int

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """All factors, each once, from `of` to `wrt`; along a single path they are the chain itself."""
        return tuple(dict.fromkeys(factor for term in self.terms for factor in term))

    def latex(self) -> str:
        products = [" ".join(self._signs(term, r"\sum_{n}", Factor.latex)) for term in self.terms]
        return f"{Factor(self.of, self.wrt).latex()} = {' + '.join(products)}"

    def text(self) -> str:
        products = [" · ".join(self._signs(term, "Σₙ", Factor.text)).replace("Σₙ · ", "Σₙ ") for term in self.terms]
        return f"{Factor(self.of, self.wrt).text()} = {' + '.join(products)}"

    def _signs(self, term: tuple[Factor, ...], sigma: str, shown: Callable[[Factor], str]) -> list[str]:
        """The factors as they are written, with a sum over the samples before a factor that gathers them."""
        last_shared = max((k for k, factor in enumerate(term) if not factor.wrt.per_sample), default=-1)
        signs = []
        for k, factor in enumerate(term):
            if factor.over_samples and k < last_shared:
                signs.append(sigma)
            signs.append(shown(factor))
        return signs or ["1"]

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<{self.text()}>"


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
