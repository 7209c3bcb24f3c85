"""Comparisons and choices: nodes that are 0 or 1, the choice between two by a third, the smaller, the larger.

`a > b` is a node; `==` stays Python's own, since nodes are told apart by it, and has `equal` in its place. A comparison
with NaN is 0, of which `not_equal` alone makes 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphgrad.graph import SUM, GraphError, Node, NoGradient, Notation, Operand, Type, function, number, public
from graphgrad.graph.node import real_number
from graphgrad.ops.elementwise import Derivative, Elementwise, built_in, documented, internal
from graphgrad.ops.symbolic import larger, smaller, sp
from graphgrad.ops.symbolic import where as _where


def _truth(latex: str, unicode: str, name: str) -> Notation:
    return Notation(
        rf"\mathbf 1\left[{{0}} {latex} {{1}}\right]",
        f"1[{{0}} {unicode} {{1}}]",
        f"{name}({{*}})",
        operands=(SUM, SUM),
    )


def _jumps(name: str, operands: int) -> Derivative:
    return lambda y, *inputs: (NoGradient(f"{name} is 0 or 1 and jumps from one to the other"),) * operands


def _comparison(
    name: str, condition: Callable[[Any, Any], Any], latex: str, unicode: str, told: str, result: list[float]
) -> Elementwise:
    return built_in(
        name,
        lambda a, b: _where(condition(a, b), 1, 0),
        _jumps(name, 2),
        _truth(latex, unicode, name),
        doc=f"""{told}

        Shapes broadcast. A comparison with NaN is {1 if name == "not_equal" else 0}. It has no gradient.
        Source: Knuth, Two notes on notation, 1992 (Iverson's bracket).""",
        example=([1.0, 2.0, 3.0], [2.0, 2.0, 2.0], result),
    )


greater = _comparison("greater", lambda a, b: a > b, ">", ">", "`a > b`: 1 where a > b, else 0.", [0.0, 0.0, 1.0])
greater_equal = _comparison(
    "greater_equal", lambda a, b: a >= b, r"\geq", "≥", "`a >= b`: 1 where a ≥ b, else 0.", [0.0, 1.0, 1.0]
)
less = _comparison("less", lambda a, b: a < b, "<", "<", "`a < b`: 1 where a < b, else 0.", [1.0, 0.0, 0.0])
less_equal = _comparison(
    "less_equal", lambda a, b: a <= b, r"\leq", "≤", "`a <= b`: 1 where a ≤ b, else 0.", [1.0, 1.0, 0.0]
)
equal = _comparison("equal", lambda a, b: sp.Eq(a, b), "=", "=", "1 where a = b, else 0.", [0.0, 1.0, 0.0])
not_equal = _comparison(
    "not_equal", lambda a, b: sp.Ne(a, b), r"\neq", "≠", "1 where a and b differ, else 0.", [1.0, 0.0, 1.0]
)

logical_and = built_in(
    "logical_and",
    lambda a, b: _where(sp.And(sp.Ne(a, 0), sp.Ne(b, 0)), 1, 0),
    _jumps("logical_and", 2),
    _truth(r"\land", "∧", "logical_and"),
    doc="""1 where both a and b are other than 0, else 0. Shapes broadcast; NaN is other than 0. It has no gradient.
    Source: NumPy's `logical_and`.""",
    example=([0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [0.0, 0.0, 1.0]),
)
logical_or = built_in(
    "logical_or",
    lambda a, b: _where(sp.Or(sp.Ne(a, 0), sp.Ne(b, 0)), 1, 0),
    _jumps("logical_or", 2),
    _truth(r"\lor", "∨", "logical_or"),
    doc="""1 where a or b or both are other than 0, else 0. Shapes broadcast; NaN is other than 0. It has no gradient.
    Source: NumPy's `logical_or`.""",
    example=([0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0]),
)
logical_not = built_in(
    "logical_not",
    lambda a: _where(sp.Eq(a, 0), 1, 0),
    _jumps("logical_not", 1),
    Notation(r"\mathbf 1\left[\lnot {0}\right]", "1[¬{0}]", "logical_not({0})"),
    doc="""1 where a is 0, else 0; NaN is other than 0. It has no gradient. Source: NumPy's `logical_not`.""",
    example=([0.0, 1.0, 2.0], [1.0, 0.0, 0.0]),
)


class Choice(Elementwise):
    """One operand or another by a condition; of an infinite gradient nothing reaches the one that was not chosen."""

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        condition, _, _ = inputs
        decided = NoGradient("a condition decides which operand is taken, and is not moved a little")
        return decided, where(condition, gradient, 0), where(condition, 0, gradient)


where = built_in(
    "where",
    lambda condition, a, b: _where(sp.Ne(condition, 0), a, b),
    None,
    Notation(r"\begin{cases} {1} & \text{where } {0} \\ {2} & \text{else} \end{cases}", "where({*})", "where({*})"),
    kind=Choice,
    doc="""a where the condition is other than 0, b elsewhere, as in where(x > 0, x, 0); NaN is other than 0.

    Shapes broadcast. The gradient goes to the operand that was taken; the condition has none. What was not taken is
    computed too: where(x > 0, log(x), 0) has the gradient 0 · 1/x, which is NaN at x = 0; where(x > 0, x, 1) inside of
    the logarithm keeps it a number. Source: NumPy's `where`.""",
    example=([1.0, 0.0, 1.0], [1.0, 2.0, 3.0], [-1.0, -2.0, -3.0], [1.0, -2.0, 3.0]),
)
maximum = built_in(
    "maximum",
    lambda a, b: larger(a, b),
    lambda y, a, b: (greater_equal(a, b), less(a, b)),
    function("maximum", r"\max", "max"),
    doc="""The larger of a and b, elementwise; NaN where one of them is.

    Shapes broadcast. Where they are equal, the first takes the whole gradient (PyTorch gives each a half).
    Source: NumPy's `maximum`.""",
    example=([1.0, 2.0], [3.0, -1.0], [3.0, 2.0]),
)
minimum = built_in(
    "minimum",
    lambda a, b: smaller(a, b),
    lambda y, a, b: (less_equal(a, b), greater(a, b)),
    function("minimum", r"\min", "min"),
    doc="""The smaller of a and b, elementwise; NaN where one of them is.

    Shapes broadcast. Where they are equal, the first takes the whole gradient (PyTorch gives each a half).
    Source: NumPy's `minimum`.""",
    example=([1.0, 2.0], [3.0, -1.0], [1.0, -1.0]),
)


def _between(*types: Type, low: float, high: float) -> Notation:
    latex, unicode, text = (f"{number(low, style)}, {number(high, style)}" for style in ("latex", "unicode", "text"))
    return Notation(
        rf"\operatorname{{clip}}\left({{0}}, {latex}\right)", f"clip({{0}}, {unicode})", f"clip({{0}}, {text})"
    )


def _clipped(a: Any, *, low: float = 0.0, high: float = 1.0) -> Any:
    return _where(a < low, low, _where(a > high, high, a))


_clip = internal("clip", _clipped, lambda y, a, low, high: greater_equal(a, low) * less_equal(a, high), _between)


@public
def clip(a: Node, low: Operand | None = None, high: Operand | None = None) -> Node:
    """a kept between two bounds, y = min(max(a, low), high), elementwise; NaN goes through.

    The bounds are numbers, or nodes that broadcast; None leaves one out. The derivative is 1 between the bounds and on
    them, 0 outside, as PyTorch's `clamp` has it. Raises GraphError for bounds that leave nothing between them.
    Source: ONNX, `Clip`.

    >>> import graphgrad as gg
    >>> with gg.Graph() as g:
    ...     a = gg.input("a", 3)
    ...     g.A = gg.clip(a, -1, 1)
    >>> gg.compile(g, "A", target="numpy")(a=[-3.0, 0.5, 3.0])["A"].tolist()
    [-1.0, 0.5, 1.0]
    """
    bounds = real_number(low), real_number(high)
    if bounds[0] is not None and bounds[1] is not None:
        if bounds[0] > bounds[1]:
            raise GraphError(f"clip: no number is at least {number(bounds[0])} and at most {number(bounds[1])}")
        return _clip(a, low=bounds[0], high=bounds[1])  # type: ignore[no-any-return]
    if low is None and high is None:
        raise GraphError("clip: there is no bound, neither low nor high")
    above = a if low is None else maximum(a, low)
    return above if high is None else minimum(above, high)


__all__ = [
    "Choice",
    "clip",
    "equal",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "maximum",
    "minimum",
    "not_equal",
    "where",
]
__test__ = documented(vars(), __all__)
