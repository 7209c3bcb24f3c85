"""Gradients as a list of named lines, in the order of the backward sweep: ∂l/∂B = W^{[1]ᵀ} ∂l/∂C."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from graphgrad.calculus.gradient import grad, sweep
from graphgrad.calculus.indices import in_elements
from graphgrad.calculus.local import Written, on_paper
from graphgrad.calculus.sketch import Sketch, Step
from graphgrad.graph import Formulated, GradientError, Graph, Leaf, Name, Node, Style, Type, ancestors
from graphgrad.ops.contraction import Contraction
from graphgrad.ops.elementwise import Elementwise
from graphgrad.ops.symbolic import sp

STYLES: tuple[Style, Style] = ("latex", "unicode")

SHARED = 2
"""From how many uses on an unnamed part of a formula has a line of its own, if it is more than one operation."""


@dataclass(frozen=True)
class Equation(Formulated):
    """One line: a gradient by its name, what the sweep computes, and the simpler form where there is one.

    `node` is the gradient and `wrt` what it is with respect to; both are None in a line that only says what a part of
    another line stands for. `elements` are both sides in index notation too, for a convolution and its like; where only
    index notation says it, as for a pool, the line itself is in it. An element that is not there, outside of its array
    or at an index that is not whole, counts as 0.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, K = gg.input("x", 1, 4, 4), gg.param("K", 1, 1, 2, 2)
    ...     g.F = gg.conv(x, K)
    ...     g.l = gg.sum(gg.square(g.F))
    >>> line = gg.equations(g.l, K)[-1]
    >>> print(line, line.shape)
    ∂l/∂K = x ⋆ ∂l/∂F (1, 1, 2, 2)
    """

    left: Written
    right: Written
    simplified: Written | None = None
    steps: tuple[Step, ...] = ()
    node: Node | None = None
    wrt: Node | None = None
    elements: tuple[Written, Written] | None = None

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The shape of the gradient."""
        return None if self.node is None else self.node.shape

    def latex(self) -> str:
        return self._line("latex")

    def text(self) -> str:
        return self._line("unicode")

    def _line(self, style: Style) -> str:
        sides = [self.left, self.right, *([] if self.simplified is None else [self.simplified])]
        return " = ".join(side.in_style(style) for side in sides)

    def __str__(self) -> str:
        return self.text()


def equations(of: Node, wrt: Node | Iterable[Node] | None = None) -> list[Equation]:
    """The lines of the backward sweep from `of` to `wrt` (one node, several, or all parameters), each by its names.

    A part that several places of a line need, and the derivative of the user's own formula, have a line of their own,
    before the one that uses it.

    Raises GradientError where `of` is no scalar or does not depend on `wrt`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     x, t, W, w = gg.input("x", 2), gg.input("t"), gg.param("W", 3, 2), gg.param("w", 3)
    ...     g.A = W @ x
    ...     g.E = w @ gg.sigmoid(g.A)
    ...     g.y = gg.sigmoid(g.E)
    ...     g.l = gg.binary_cross_entropy(g.y, t)
    >>> for line in gg.equations(g.l, W):
    ...     print(line)
    ∂l/∂y = (y − t) / (y (1 − y))
    ∂l/∂E = ∂l/∂y · y(1 − y) = y − t
    ∂l/∂B = ∂l/∂E · w
    ∂l/∂A = ∂l/∂B ⊙ B(1 − B)
    ∂l/∂W = ∂l/∂A xᵀ
    """
    if not isinstance(of, Node):
        raise GradientError(f"equations takes nodes of a graph, not {of!r}")
    chosen = of.graph.parameters if wrt is None else (wrt,) if isinstance(wrt, Node) else tuple(wrt)
    found = sweep(of)
    wanted = [grad(of, node) for node in chosen if wrt is not None or node in found]
    if not wanted:
        raise GradientError(f"{of.text()} depends on no parameter, so there is no gradient to be written")
    needed = set(ancestors(*wanted))
    lines = _Lines(of)
    for node, gradient in found.items():
        if gradient in needed and node is not of and of.graph.gradient_of(gradient) == (of, node):
            lines.add(node, gradient)
    return lines.written


class _Lines:
    """The lines so far, with the two copies they are written from: as computed, and simplified."""

    def __init__(self, of: Node) -> None:
        self.of = of
        self.written: list[Equation] = []
        self.computed, self.simpler = Sketch(("simplify",)), Sketch()
        self.parts = 0
        self.defined: set[str] = set()

    def add(self, wrt: Node, gradient: Node) -> None:
        plain = self.computed.copy(gradient)
        before = len(self.simpler.steps)
        simple = self.simpler.copy(gradient)
        steps = tuple(step for step in self.simpler.steps[before:] if step.phase == "stabilise")
        self.written += self._definitions(plain)
        left, right = on_paper(plain), on_paper(plain, {plain})
        shorter = on_paper(simple, {simple}) if steps else None
        elements = self._elements(plain)
        if elements is not None and plain.op.written is None:
            (left, right), elements = elements, None
        self.written.append(Equation(left, right, shorter, steps, gradient, wrt, elements))

    def _definitions(self, root: Node) -> Iterator[Equation]:
        """Lines for what the formula of a gradient needs: parts that are used again, derivatives of the user's own."""
        order = ancestors(root, operands=lambda node: node.inputs if node is root or node.name is None else ())
        uses: dict[Node, int] = {}
        for node in order:
            for operand in node.inputs if node is root or node.name is None else ():
                uses[operand] = uses.get(operand, 0) + 1
        for node in order:
            if isinstance(node.op, Elementwise) and node.op.name.endswith("'") and node.op.name not in self.defined:
                self.defined.add(node.op.name)
                if not node.op.built_in:
                    yield _derivative(node.op)
            own_line = node is not root and node.name is None and uses.get(node, 0) >= SHARED
            if own_line and any(operand.inputs and operand.name is None for operand in node.inputs):
                self.computed.graph.name_derived(node, self._next())
                yield Equation(on_paper(node), on_paper(node, {node}))

    def _next(self) -> Name:
        """A name for a part, which no node of the user has."""
        while True:
            self.parts += 1
            ident = f"u{self.parts}"
            if ident not in self.of.graph:
                subscript = "".join(chr(0x2080 + int(digit)) for digit in str(self.parts))
                return Name(f"u_{{{self.parts}}}", f"u{subscript}", ident)

    def _elements(self, root: Node) -> tuple[Written, Written] | None:
        """The line by its elements, where its outermost operation is a contraction that is no matrix product."""
        if not isinstance(root.op, Contraction):
            return None
        latex, unicode = (in_elements(root, style, self.computed.originals) for style in STYLES)
        if latex is None or unicode is None:
            return None
        return Written(latex[0], unicode[0]), Written(latex[1], unicode[1])


def _derivative(op: Elementwise) -> Equation:
    """What the derivative of the user's own formula is."""
    sketch = Graph()
    with sketch.derivation():
        operands = []
        for symbol in op.symbols:
            leaf = sketch.add(Leaf(str(symbol), "input", Type()), (), Type(), None)
            sketch.name_derived(leaf, Name(sp.latex(symbol), str(symbol), str(symbol)))
            operands.append(leaf)
        node = sketch.add(op, tuple(operands), Type(), None)
    return Equation(on_paper(node), Written(sp.latex(op.expression), str(op.expression).replace("**", "^")))


__all__ = ["Equation", "equations"]
