"""The local derivative of an edge as a formula: W, I ⊗ xᵀ, diag(D(1 - D)), in numerator layout.

Where matrix notation does not reach, the entry is given in index notation, or by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from graphgrad.calculus.gradient import sweep
from graphgrad.calculus.jacobian import LocalJacobian
from graphgrad.calculus.sketch import Sketch, enclosed, is_ones, juxtaposed
from graphgrad.graph import (
    ATOM,
    PRODUCT,
    SUM,
    GradientError,
    Leaf,
    Node,
    NoGradient,
    Style,
    Type,
)
from graphgrad.graph.notation import fill
from graphgrad.ops import divide, negative, reciprocal, square
from graphgrad.ops.batch import BatchReduce, BatchSpread
from graphgrad.ops.convolution import Convolution
from graphgrad.ops.elementwise import Elementwise, is_one
from graphgrad.ops.linear import MatMul, Outer, Transpose
from graphgrad.ops.noise import Dropout
from graphgrad.ops.reductions import Broadcast, OverAxes
from graphgrad.ops.shape import Reshape
from graphgrad.ops.softmax import Softmax

LONGEST = 160
"""How many letters the formula of a local derivative may have, beyond which its name stands for it."""


@dataclass(frozen=True, slots=True)
class Written:
    """A formula in TeX and in Unicode, with how tightly it binds."""

    latex: str
    unicode: str
    binds: int = ATOM

    def in_style(self, style: Style) -> str:
        return self.latex if style == "latex" else self.unicode

    def enclosed(self, least: int) -> Written:
        return Written(
            enclosed(self.latex, self.binds, least, "latex"), enclosed(self.unicode, self.binds, least, "unicode")
        )


IDENTITY = Written("I", "I")
ONE = Written("1", "1")


def local(jacobian: LocalJacobian) -> Written | None:
    """The derivative along an edge as a formula of the nodes by their names; None where only its name will do."""
    node = jacobian.node
    parts = []
    for position in jacobian.positions:
        part = of_operand(node, position)
        if part is None or len(part.latex) > LONGEST:
            return None
        parts.append(part)
    if len(set(parts)) == 1:
        return parts[0] if len(parts) == 1 else _after(str(len(parts)), parts[0])
    return Written(" + ".join(p.latex for p in parts), " + ".join(p.unicode for p in parts), SUM)


def of_operand(node: Node, position: int) -> Written | None:
    """The derivative with respect to the operand at one position."""
    op, types = node.op, tuple(operand.type for operand in node.inputs)
    if isinstance(op, BatchReduce | BatchSpread):
        share = op.name == "batch_mean"
        one = IDENTITY if node.shape else ONE
        return Written(r"\frac{1}{N}", "1/N", PRODUCT) if share and one is ONE else _times(share, one)
    if isinstance(op, Elementwise):
        return _elementwise(node, position)
    if (rule := _RULES.get(type(op))) is not None and (found := rule(node, position)) is not None:
        return found
    if isinstance(op, OverAxes) and op.name in ("sum", "mean") and types[0].shape:
        ones = kronecker(types[0].shape, op.axes(types[0]), transposed=True)
        return ones if op.name == "sum" else _share(op.count(types[0]), ones)
    return None if node.shape else _row(node, position)


def _times(share: bool, formula: Written) -> Written:
    return Written(rf"\frac{{1}}{{N}} {formula.latex}", f"1/N {formula.unicode}", PRODUCT) if share else formula


def _after(factor: str, formula: Written) -> Written:
    inner = formula.enclosed(PRODUCT)
    return Written(rf"{factor} \, {inner.latex}", f"{factor} {inner.unicode}", PRODUCT)


def _share(count: int, formula: Written) -> Written:
    inner = formula.enclosed(PRODUCT)
    return Written(rf"\frac{{1}}{{{count}}} {inner.latex}", f"1/{count} {inner.unicode}", PRODUCT)


# -- one operand's partial derivative ------------------------------------------------------------------------------


def partial(sketch: Sketch, node: Node, position: int) -> Node | None:
    """∂node/∂operand for one operand of a scalar or elementwise operation, as a formula over names; None without."""
    inputs = _apart(sketch, node)
    if node.op is reciprocal or (node.op is divide and position == 1):
        with sketch.graph.derivation():  # -a/b², as on paper; the sweep has the quotient at hand and takes -y/b
            above = inputs[0] if node.op is divide else 1.0
            return sketch.simplified(negative(divide(above, square(inputs[-1]))))
    return _pulled(sketch, node, position, inputs, None)


def continued(sketch: Sketch, node: Node, position: int, gradient: Node | None) -> Node | None:
    """A gradient (1 if None) carried on from a node to one of its operands, as a formula whose names can be opened."""
    return _pulled(sketch, node, position, tuple(sketch.copy(operand) for operand in node.inputs), gradient)


def _pulled(sketch: Sketch, node: Node, position: int, inputs: tuple[Node, ...], gradient: Node | None) -> Node | None:
    output = sketch.output(node, inputs)
    with sketch.graph.derivation():
        if gradient is None and (node.op.unfolds or not isinstance(node.op, Elementwise)):
            try:
                found = sweep(output).get(inputs[position])
            except GradientError:  # every sample has a part in it: the edge has no formula of one sample
                return None
        elif node.op.unfolds:
            return None
        else:
            one = sketch.graph.add(Leaf("1", "constant", Type(), 1.0), (), Type(), None)
            part = node.op.vjp(one if gradient is None else gradient, output, *inputs)[position]
            found = None if isinstance(part, NoGradient) else part
    return None if found is None else sketch.simplified(found)


def _apart(sketch: Sketch, node: Node) -> tuple[Node, ...]:
    """A stand-in for each operand; an operand that is there twice has two, since each has a derivative of its own."""
    found: list[Node] = []
    for operand in node.inputs:
        stand_in = sketch.stand_in(operand)
        found.append(sketch.another(operand) if stand_in in found else stand_in)
    return tuple(found)


def _elementwise(node: Node, position: int) -> Written | None:
    sketch = Sketch()
    slope = partial(sketch, node, position)
    if slope is None:
        return None
    own, operand = node.shape, node.inputs[position].shape
    shown = on_paper(slope)
    if not own:
        return shown
    if not operand:
        return _column(slope, shown, own)
    value = value_of(slope)
    repeated = _repeated(own, operand)
    if value is not None or not slope.shape:
        if value == 1:
            return repeated
        if value == -1:
            inner = repeated.enclosed(PRODUCT)
            return Written(f"-{inner.latex}", f"−{inner.unicode}", SUM)
        factor, matrix = shown.enclosed(PRODUCT), repeated.enclosed(PRODUCT)
        return Written(rf"{factor.latex} \, {matrix.latex}", f"{factor.unicode} {matrix.unicode}", PRODUCT)
    if slope.shape != own:
        shown = Written(
            rf"\mathbf{{1}} \odot {shown.enclosed(PRODUCT).latex}", f"𝟏 ⊙ {shown.enclosed(PRODUCT).unicode}"
        )
    diagonal = Written(rf"\operatorname{{diag}}\left({shown.latex}\right)", f"diag({shown.unicode})")
    if operand == own:
        return diagonal
    inner = repeated.enclosed(PRODUCT)
    return Written(rf"{diagonal.latex} \, {inner.latex}", f"{diagonal.unicode} {inner.unicode}", PRODUCT)


def _column(slope: Node, shown: Written, own: tuple[int, ...]) -> Written:
    """The derivative by a scalar that is repeated: one column."""
    ones = Written(r"\mathbf{1}", "𝟏")
    if slope.shape != own:
        value = value_of(slope)
        if value == 1:
            return ones
        factor = shown.enclosed(PRODUCT)
        return Written(rf"{factor.latex} \, {ones.latex}", f"{factor.unicode} {ones.unicode}", PRODUCT)
    return (
        shown if len(own) == 1 else Written(rf"\operatorname{{vec}}\left({shown.latex}\right)", f"vec({shown.unicode})")
    )


def _row(node: Node, position: int) -> Written | None:
    """The derivative of a scalar by an array: the transpose of its gradient."""
    sketch = Sketch()
    gradient = partial(sketch, node, position)
    if gradient is None:
        return None
    shown, operand = on_paper(gradient), node.inputs[position]
    if is_ones(gradient):
        return Written(r"\mathbf{1}^{\top}", "𝟏ᵀ") if operand.shape else ONE
    if not operand.shape:
        return shown
    if operand.type.rank > 1:
        shown = Written(rf"\operatorname{{vec}}\left({shown.latex}\right)", f"vec({shown.unicode})")
    return transposed(shown)


def transposed(shown: Written) -> Written:
    inner = shown.enclosed(ATOM)
    return Written(fill(r"{0}^{\top}", [inner.latex]), f"{inner.unicode}ᵀ")


def on_paper(node: Node, opened: Container[Node] = ()) -> Written:
    """The formula of a node of a sketch, with products side by side; nodes that are opened stand by their formula."""
    latex, unicode = (juxtaposed(node, style, opened) for style in ("latex", "unicode"))
    if not node.inputs or (node.name is not None and node not in opened):
        return Written(latex, unicode, SUM if latex.startswith("-") else ATOM)
    binds = node.op.notation(*(operand.type for operand in node.inputs)).binds
    return Written(latex, unicode, SUM if latex.startswith("-") else binds)


def value_of(node: Node) -> float | None:
    """The number that a formula is, None for any other."""
    if node.op is negative and is_one(node.inputs[0]):
        return -1.0
    return node.op.value if node.kind == "constant" and type(node.op) is Leaf else None


# -- matrices ------------------------------------------------------------------------------------------------------


def kronecker(shape: Sequence[int], ones: Sequence[int], transposed: bool) -> Written:
    """What repeats an array of this shape along some axes, a column of ones for each; transposed, what sums over them."""
    parts: list[Written] = []
    for axis in range(len(shape)):
        part = (
            (Written(r"\mathbf{1}^{\top}", "𝟏ᵀ") if transposed else Written(r"\mathbf{1}", "𝟏"))
            if axis in ones
            else IDENTITY
        )
        if not parts or parts[-1] != part:
            parts.append(part)
    return Written(
        r" \otimes ".join(part.latex for part in parts),
        " ⊗ ".join(part.unicode for part in parts),
        ATOM if len(parts) == 1 else SUM,
    )


def _repeated(own: tuple[int, ...], operand: tuple[int, ...]) -> Written:
    """What repeats an operand to a shape by broadcasting."""
    lead = len(own) - len(operand)
    ones = [axis for axis in range(len(own)) if axis < lead or (operand[axis - lead] == 1 and own[axis] != 1)]
    return kronecker(own, ones, transposed=False) if ones else IDENTITY


def _matmul(node: Node, position: int) -> Written | None:
    a, b = (on_paper(Sketch().stand_in(operand)) for operand in node.inputs)
    match node.inputs[0].type.rank, node.inputs[1].type.rank, position:
        case 1, 1, 0:
            return transposed(b)
        case 1, 1, 1:
            return transposed(a)
        case 2, 1, 1:
            return a
        case 1, 2, 0:
            return transposed(b)
        case (2, _, 0):
            return _joined(IDENTITY, r"\otimes", "⊗", transposed(b))
        case 1, 2, 1:
            return _joined(transposed(a), r"\otimes", "⊗", IDENTITY)
        case _:
            return _joined(a, r"\otimes", "⊗", IDENTITY)


def _outer(node: Node, position: int) -> Written | None:
    a, b = (on_paper(Sketch().stand_in(operand)) for operand in node.inputs)
    return _joined(a, r"\otimes", "⊗", IDENTITY) if position else _joined(IDENTITY, r"\otimes", "⊗", b)


def _joined(a: Written, latex: str, unicode: str, b: Written) -> Written:
    a, b = a.enclosed(ATOM), b.enclosed(ATOM)
    return Written(f"{a.latex} {latex} {b.latex}", f"{a.unicode} {unicode} {b.unicode}", SUM)


def _transpose(node: Node, position: int) -> Written | None:
    rows, columns = node.shape
    return Written(rf"K_{{{rows},{columns}}}", f"K[{rows},{columns}]")


def _broadcast(node: Node, position: int) -> Written | None:
    own = [extent for axis, extent in enumerate(node.shape) if axis not in node.op.axes]
    kept = iter(node.inputs[0].shape)
    ones = list(node.op.axes)
    for axis in range(len(node.shape)):
        if axis not in node.op.axes and next(kept) != node.shape[axis]:
            ones.append(axis)
    return kronecker(node.shape, ones, transposed=False) if own or ones else IDENTITY


def _softmax(node: Node, position: int) -> Written | None:
    if node.type.rank != 1:
        return None
    y = on_paper(Sketch().stand_in(node))
    if node.op.name == "softmax":
        square = fill(r"{0} \, {0}^{\top}", [y.latex])
        return Written(
            rf"\operatorname{{diag}}\left({y.latex}\right) - {square}",
            f"diag({y.unicode}) − {y.unicode} {y.unicode}ᵀ",
            SUM,
        )
    return Written(rf"I - \mathbf{{1}} \left(e^{{{y.latex}}}\right)^{{\top}}", f"I − 𝟏 exp({y.unicode})ᵀ", SUM)


def _reshape(node: Node, position: int) -> Written | None:
    return IDENTITY


def _convolution(node: Node, position: int) -> Written | None:
    if node.op.groups > 1:
        return None
    other = on_paper(Sketch().stand_in(node.inputs[1 - position]))
    if position == 0:
        return Written(rf"\operatorname{{Toeplitz}}\left({other.latex}\right)", f"Toeplitz({other.unicode})")
    patches = Written(rf"\operatorname{{patches}}\left({other.latex}\right)", f"patches({other.unicode})")
    return _joined(IDENTITY, r"\otimes", "⊗", patches)


def _dropout(node: Node, position: int) -> Written | None:
    """The mask of the step, with 1 / (1 - rate) where an element is kept."""
    return Written(r"\operatorname{diag}\left(M\right)", "diag(M)") if position == 0 and node.shape else None


_RULES: dict[type, Callable[[Node, int], Written | None]] = {
    MatMul: _matmul,
    Outer: _outer,
    Transpose: _transpose,
    Broadcast: _broadcast,
    Softmax: _softmax,
    Reshape: _reshape,
    Convolution: _convolution,
    Dropout: _dropout,
}

__all__ = ["Written", "continued", "local", "on_paper", "partial", "transposed", "value_of"]
