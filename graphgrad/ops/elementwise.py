"""Elementwise operations: one SymPy expression is the whole definition.

From it follow the shape, the LaTeX, the derivative, the NumPy reference, and the compiled code. The derivative may be
written down where the textbook has a shorter form in the output (`σ' = y(1 - y)`); tests hold it against SymPy's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from graphgrad.graph import (
    FUNCTIONS,
    Formula,
    GraphError,
    Misfit,
    Node,
    NoGradient,
    Notation,
    Operand,
    Operation,
    Type,
    axes_of,
    function,
    name,
    number,
    public,
    stretched,
)
from graphgrad.ops.definition import as_body, changed, exactly, options_of, traced
from graphgrad.ops.symbolic import derived, is_expression, sp

Derivative = Callable[..., Any]
Written = Notation | Callable[..., Notation] | None
Example = tuple[Sequence[float], ...]

RESERVED = frozenset({"input", "param", "group", "grad"})
"""What the text form has words for, so that no operation can have these names."""


BUILT_IN: dict[str, Elementwise] = {}
"""The operations of graphgrad itself by name, those that only gradients and composites use as well."""


@dataclass(frozen=True, eq=False)
class Elementwise(Operation):
    """An operation on each element: `name`, its body over SymPy symbols, its options with their values.

    `derivative(y, *inputs)`, if given, returns the partial derivatives (one, or a tuple) in plain arithmetic of the
    output and the inputs, so that it can be read with nodes and with SymPy symbols alike; otherwise SymPy derives them.
    `above` says of which options the values lie above a number, or above another option.
    """

    name: str
    body: Callable[..., Any]
    derivative: Derivative | None = None
    written: Written = None
    settings: tuple[tuple[str, float], ...] = ()
    built_in: bool = False
    above: Mapping[str, float | str] = field(default_factory=dict)
    doc: str = field(default="", repr=False)
    _family: dict[Any, Elementwise] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.built_in:
            BUILT_IN.setdefault(self.name, self)
        self.__dict__.update(__name__=self.name, __signature__=inspect.signature(self.body))
        if self.doc:
            self.__dict__["__doc__"] = self.doc

    # -- the definition ------------------------------------------------------------------------------------------

    @cached_property
    def arity(self) -> int:
        """How many operands the operation takes."""
        parameters = inspect.signature(self.body).parameters.values()
        return sum(parameter.kind is not parameter.KEYWORD_ONLY for parameter in parameters)

    @cached_property
    def symbols(self) -> tuple[Any, ...]:
        """The SymPy symbols that stand for the operands, named as in the definition."""
        parameters = list(inspect.signature(self.body).parameters)[: self.arity]
        return tuple(sp.Symbol(parameter, real=True) for parameter in parameters)

    @cached_property
    def expression(self) -> Any:
        """The body as a SymPy expression of `symbols`."""
        return traced(self.name, self.body, self.symbols, dict(self.settings))

    @cached_property
    def partials(self) -> tuple[Any, ...]:
        """The partial derivatives by SymPy, one for each operand."""
        return tuple(derived(self.expression, symbol) for symbol in self.symbols)

    @property
    def key(self) -> str:
        shown = ", ".join(f"{option}={value!r}" for option, value in self.settings)
        return f"{self.name}({shown})" + ("" if self.built_in else sp.srepr(self.expression))

    @cached_property
    def chosen(self) -> tuple[tuple[str, float], ...]:
        """The options that differ from their defaults."""
        defaults = inspect.signature(self.body).parameters
        return tuple((option, value) for option, value in self.settings if value != defaults[option].default)

    def options(self) -> str:
        return ", ".join(f"{option}={number(value)}" for option, value in self.chosen)

    # -- what follows from it ------------------------------------------------------------------------------------

    def infer(self, *types: Type) -> Type:
        if len(types) != self.arity:
            named = f"; an option is given by its name, as in {self.settings[0][0]}=0.5" if self.settings else ""
            raise GraphError(
                f"{self.name} takes {self.arity} operand{'s' * (self.arity != 1)}, not {len(types)}{named}"
            )
        return broadcast(types)

    def notation(self, *types: Type) -> Notation:
        if callable(self.written):
            return self.written(*types, **dict(self.settings))
        plain = self.written or function(self.name)
        if not self.chosen:
            return plain
        latex = ", ".join(f"{name(option).tex}={number(value, 'latex')}" for option, value in self.chosen)
        unicode = ", ".join(f"{name(option).text}={number(value, 'unicode')}" for option, value in self.chosen)
        return replace(
            plain,
            latex=plain.latex.replace("{*}", rf"{{*}};\, {latex}"),
            unicode=plain.unicode.replace("{*}", f"{{*}}; {unicode}"),
            text=plain.text.replace("{*}", f"{{*}}, {self.options()}"),
        )

    def formula(self, *types: Type) -> Formula:
        axes = axes_of(broadcast(types).shape)
        return Formula(axes, tuple(stretched(axes, type.shape) for type in types), body=At(self))

    def body_of_symbols(self, *symbols: Any) -> Any:
        """The body over other symbols than its own."""
        return self.expression.xreplace(dict(zip(self.symbols, symbols, strict=True)))

    def vjp(self, gradient: Node, output: Node, *inputs: Node) -> tuple[Node | NoGradient, ...]:
        if self.derivative is None:
            partials: Any = tuple(self._derived(position, inputs) for position in range(self.arity))
        else:
            partials = self.derivative(output, *inputs, **dict(self.settings))
        if not isinstance(partials, tuple):
            partials = (partials,)
        return tuple(times(gradient, partial) for partial in partials)

    def _derived(self, position: int, inputs: tuple[Node, ...]) -> Node | float | NoGradient:
        """∂/∂operand as one operation of its own, whose body is SymPy's derivative."""
        partial = self.partials[position]
        if partial.is_number:
            absent = self.symbols[position] not in self.expression.free_symbols
            return NoGradient(f"{self.name} does not vary with it") if absent else float(partial)
        used = [k for k, symbol in enumerate(self.symbols) if symbol in partial.free_symbols]
        if (self.settings, position) not in self._family:
            symbols = [self.symbols[k] for k in used]
            prime = f"{self.name}'" if self.arity == 1 else f"{self.name}_{self.symbols[position]}'"
            self._family[self.settings, position] = Elementwise(
                prime, as_body(prime, sp.Lambda(tuple(symbols), partial)), written=_prime(prime)
            )
        slope: Node = self._family[self.settings, position](*(inputs[k] for k in used))
        return slope

    def __call__(self, *operands: Operand, **options: float) -> Any:
        if options:
            return self.with_options(**options)(*operands)
        if operands and any(is_expression(operand) for operand in operands):
            return self.expression.xreplace(
                dict(zip(self.symbols, (sp.sympify(one, strict=True) for one in operands), strict=True))
            )
        return super().__call__(*operands)

    def with_options(self, **options: float) -> Elementwise:
        """The same operation with other option values, such as `leaky_relu` with `alpha=0.2`."""
        settings = changed(self.name, self.settings, options, self.above)
        if settings == self.settings:
            return self
        if settings not in self._family:
            self._family[settings] = replace(self, settings=settings)
        return self._family[settings]


@dataclass(frozen=True)
class At:
    """The body of an elementwise operation whose last operands are these numbers."""

    op: Elementwise
    numbers: tuple[float, ...] = ()

    def __call__(self, *symbols: Any) -> Any:
        return self.op.body_of_symbols(*symbols, *(exactly(value) for value in self.numbers))


def _prime(prime: str) -> Notation:
    stem = prime.rstrip("'").replace("_", r"\_")
    primes = "'" * (len(prime) - len(prime.rstrip("'")))
    return Notation(rf"\operatorname{{{stem}}}{primes}\left({{*}}\right)", f"{prime}({{*}})", f"{prime}({{*}})")


def elementwise(
    name_: str,
    body: Callable[..., Any],
    *,
    derivative: Derivative | None = None,
    notation: Written = None,
    above: Mapping[str, float | str] | None = None,
    doc: str = "",
) -> Elementwise:
    """A new elementwise operation from its SymPy expression; about the whole cost of an activation.

    `body` is a function of SymPy symbols, one for each operand, or a formula of one symbol, or a SymPy Lambda. Its
    keyword-only arguments, with numbers as defaults, are options; `above` says of which the values must lie above a
    number, as in {"beta": 0}. Cases are written with sp.Piecewise. `derivative(y, *operands)` may give the partial
    derivatives in terms of the output y; SymPy derives them otherwise, to any order. What rounds (floor, ceiling) has
    the slope 0, |x| and sign x have it at 0, and of two equal operands of sp.Max SymPy's own order takes the first.

    The operation is then known by its name to the text form as well. Raises GraphError for a name that is taken, a body
    that is no formula, and a formula that holds unknown symbols or functions.

    >>> import sympy as sp, graphgrad as gg
    >>> swish = gg.elementwise("swish", lambda z, *, beta=1.0: z / (1 + sp.exp(-beta * z)))
    >>> with gg.Graph() as g:
    ...     z = gg.input("z", 3)
    ...     g.A = swish(z)
    ...     g.B = swish(z, beta=2)
    >>> print(g.A.text(), g.B.text(), sep=", ")
    A = swish(z), B = swish(z; β=2)
    """
    label = name(name_)
    if label.ident in RESERVED or getattr(FUNCTIONS.get(label.ident), "built_in", label.ident in FUNCTIONS):
        raise GraphError(f"{name_} is an operation of graphgrad already; give yours a name of its own")
    if notation is None and name_ != label.ident:
        notation = function(label.ident, label.tex, label.text)
    formula = as_body(label.ident, body)
    options = options_of(label.ident, formula)
    op = Elementwise(label.ident, formula, derivative, notation, options, False, above or {}, doc)
    op.expression  # noqa: B018 - a body that is no formula is said where it is defined
    return public(op, label.ident)


def built_in(
    name: str,
    body: Callable[..., Any],
    derivative: Derivative | None = None,
    notation: Written = None,
    *,
    above: Mapping[str, float | str] | None = None,
    doc: str,
    example: Example,
    kind: type[Elementwise] = Elementwise,
) -> Elementwise:
    """An elementwise operation of graphgrad itself, whose key for the kernel cache is its name.

    `example` holds the values of the operands and of the result, which the doctest of the operation shows.
    """
    told = f"{inspect.cleandoc(doc)}\n\n{_shown(name, tuple(inspect.signature(body).parameters), example)}"
    return public(kind(name, body, derivative, notation, options_of(name, body), True, above or {}, told), name)


def internal(
    name: str, body: Callable[..., Any], derivative: Derivative | None = None, notation: Written = None
) -> Elementwise:
    """An elementwise operation of graphgrad itself that only gradients and composites use."""
    return Elementwise(name, body, derivative, notation, options_of(name, body), True)


def _shown(name: str, parameters: tuple[str, ...], example: Example) -> str:
    """The example of a docstring: the operation on an array for each operand."""
    *arrays, result = example
    operands = ", ".join(parameters[: len(arrays)])
    declared = ", ".join(f'gg.input("{operand}", {len(arrays[0])})' for operand in operands.split(", "))
    given = ", ".join(f"{operand}={list(array)}" for operand, array in zip(operands.split(", "), arrays, strict=True))
    lines = (
        ">>> import graphgrad as gg",
        ">>> with gg.Graph() as g:",
        f"...     {operands} = {declared}",
        f"...     g.A = gg.{name}({operands})",
        f'>>> gg.compile(g, "A", target="numpy")({given})["A"].round(4).tolist()',
        f"{list(result)}",
    )
    return "\n".join(lines)


def documented(module: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """The docstrings of the operations of a module, for doctest, which looks at functions only: its `__test__`."""
    return {name: module[name].__doc__ for name in names if isinstance(module[name], Elementwise)}


def times(gradient: Node, partial: Node | float | NoGradient) -> Node | NoGradient:
    """`gradient * partial`, without the factors that are 1."""
    if isinstance(partial, NoGradient):
        return partial
    if isinstance(partial, Node):
        return partial if is_one(gradient) else FUNCTIONS["multiply"](gradient, partial)
    if partial == 1:
        return gradient
    if partial == -1:
        return FUNCTIONS["negative"](gradient)  # type: ignore[no-any-return]
    return FUNCTIONS["multiply"](partial, gradient)  # type: ignore[no-any-return]


def is_one(node: Node) -> bool:
    return node.kind == "constant" and node.op.value == 1.0 and not node.shape


def broadcast(types: tuple[Type, ...]) -> Type:
    """The common type by NumPy's rule of broadcasting, per sample if any of them is."""
    shapes = {type.shape for type in types}
    try:
        shape = np.broadcast_shapes(*shapes) if len(shapes) > 1 else shapes.pop()
    except ValueError:
        told = " and ".join(f"{{{position}}} is {type}" for position, type in enumerate(types))
        raise Misfit(f"{told}, which cannot be broadcast to one shape") from None
    return Type(tuple(shape), any(type.per_sample for type in types))


__all__ = ["At", "Elementwise", "broadcast", "built_in", "documented", "elementwise", "internal", "is_one", "times"]
