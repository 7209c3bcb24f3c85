"""The reverse sweep: from one scalar node back through the graph, each ∂l/∂node a node of the same graph."""

from __future__ import annotations

from graphgrad.graph import (
    FUNCTIONS,
    GradientError,
    Graph,
    Leaf,
    Node,
    NoGradient,
    Type,
    ancestors,
    equation,
    public,
    written,
)
from graphgrad.ops.batch import BatchSize, BatchSpread, batch_sum
from graphgrad.ops.elementwise import is_one
from graphgrad.ops.reductions import broadcast_to, sum_to


@public
def grad(of: Node, wrt: Node) -> Node:
    """The gradient ∂of/∂wrt as a node of the graph, of the shape of `wrt`.

    `of` is a scalar. For an objective that all samples share, the gradient of a parameter is summed over the samples;
    for a loss per sample it is one gradient per sample. Gradients can be differentiated again.

    Raises GradientError where `of` is not a scalar or does not depend on `wrt`.
    Source: Griewank and Walther, Evaluating Derivatives, 2008, chapter 3.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     w, x = gg.param("w", 2), gg.input("x", 2)
    ...     g.E = w @ x
    ...     g.y = gg.sigmoid(g.E)
    >>> print(gg.grad(g.y, g.E).text())
    ∂y/∂E = y · (1 − y)
    """
    for node in (of, wrt):
        if not isinstance(node, Node):
            raise GradientError(f"grad takes two nodes of a graph, not {node!r}")
    if of.graph is not wrt.graph:
        raise GradientError(f"{written(of)} and {written(wrt)} belong to different graphs")
    found = sweep(of)
    if wrt not in found:
        raise GradientError(no_path(of, wrt))
    return found[wrt]


def no_path(of: Node, wrt: Node) -> str:
    """Why there is no ∂of/∂wrt."""
    if wrt not in ancestors(of):
        return f"∂{written(of)}/∂{written(wrt)} does not exist: {equation(of)} does not depend on {written(wrt)}"
    reasons = of.graph.obstacles.get((of, wrt))
    return f"∂{written(of)}/∂{written(wrt)} does not exist: {reasons or 'no step on the way has a gradient'}"


def sweep(of: Node) -> dict[Node, Node]:
    """All gradients ∂of/∂node, by node; made once for each `of`."""
    graph = of.graph
    if of not in graph.sweeps:
        if of.shape:
            raise GradientError(
                f"the gradient of {written(of)} does not exist: it has the shape {of.type} and a gradient is that of a "
                f"scalar; take sum({written(of)}) or one of its elements"
            )
        with graph.derivation():
            graph.sweeps[of] = _Sweep(graph, of).run()
    return graph.sweeps[of]


class _Sweep:
    """One reverse sweep: contributions are gathered at each node, then passed on to its operands."""

    def __init__(self, graph: Graph, of: Node) -> None:
        self.graph = graph
        self.of = of
        self.contributions: dict[Node, list[Node]] = {}
        self.found: dict[Node, Node] = {}
        self.unfolded: dict[Node, Node] = {}

    def run(self) -> dict[Node, Node]:
        self.contributions[self.of] = [self._one()]
        for node in reversed(self._order()):
            if node not in self.contributions:
                continue
            gradient = self._total(node)
            self.found[node] = gradient
            if node in self.unfolded:
                self._pass(node, gradient, (self.unfolded[node],), (gradient,))
            elif node.inputs:
                self._check_batch(node)
                self._pass(node, gradient, node.inputs, node.op.vjp(gradient, node, *node.inputs))
        return self.found

    def _one(self) -> Node:
        return self.graph.add(Leaf("1", "constant", Type(), 1.0), (), Type(), None)

    def _order(self) -> list[Node]:
        """The ancestors of `of`, each after its operands, with composite operations unfolded into their parts."""

        def operands(node: Node) -> tuple[Node, ...]:
            if node.inputs and node.op.unfolds:
                expansion = self.graph.expansion(node)
                assert expansion is not None
                self.unfolded[node] = expansion
                return (expansion,)
            return node.inputs

        return ancestors(self.of, operands=operands)

    def _pass(
        self, node: Node, gradient: Node, operands: tuple[Node, ...], parts: tuple[Node | NoGradient, ...]
    ) -> None:
        for operand, part in zip(operands, parts, strict=True):
            if isinstance(part, NoGradient):
                self.graph.obstacles[self.of, operand] = f"{written(node)}: {part.reason}"
            elif operand.kind != "constant":
                self.contributions.setdefault(operand, []).append(self._fit(part, operand))

    def _fit(self, part: Node, operand: Node) -> Node:
        """The contribution in the operand's own shape: summed over what was broadcast."""
        return sum_to(part, operand.shape) if part.type.rank >= operand.type.rank else part

    def _total(self, node: Node) -> Node:
        """The sum of the contributions under the name ∂of/∂node, over the samples too where all share the node."""
        parts = self.contributions.pop(node)
        if not node.per_sample and not self.of.per_sample and (each := [part for part in parts if part.per_sample]):
            parts = [part for part in parts if not part.per_sample] + [batch_sum(_added(each))]
        gradient = _added(parts)
        if gradient.shape != node.shape:
            gradient = _filled(gradient, node)
        if not self.graph.is_derived(node) or self.graph.gradient_of(node):
            if not self.graph.is_derived(gradient) or self.graph.gradient_of(gradient):
                gradient = self._one() if is_one(gradient) else FUNCTIONS["identity"](gradient)
            self.graph.mark_gradient(gradient, self.of, node)
        return gradient

    def _check_batch(self, node: Node) -> None:
        crossing = node.inputs[0].per_sample and not node.per_sample
        if self.of.per_sample and crossing and not isinstance(node.op, BatchSize):
            raise GradientError(
                f"the gradient of {written(self.of)} for each sample does not exist: through {node.text()} every sample "
                f"has a part in it; take the gradient of batch_sum({written(self.of)})"
            )


def _added(parts: list[Node]) -> Node:
    """The sum, added pairwise, so that many parts make no deep formula."""
    while len(parts) > 1:
        parts = [parts[k] + parts[k + 1] if k + 1 < len(parts) else parts[k] for k in range(0, len(parts), 2)]
    return parts[0]


def _filled(gradient: Node, node: Node) -> Node:
    return broadcast_to(gradient, node.shape, tuple(range(node.type.rank - gradient.type.rank)))


def per_sample_gradient(of: Node, wrt: Node) -> Node:
    """∂of/∂wrt with a value for each sample where `of` has one, even if it is the same for all."""
    gradient = grad(of, wrt)
    if of.per_sample and not gradient.per_sample:
        with of.graph.derivation():
            return BatchSpread()(gradient)
    return gradient
