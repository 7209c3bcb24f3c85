"""Elementwise operations: one SymPy expression is the whole definition.

From it follow the shape, the LaTeX, the derivative, the NumPy reference, and the CPU and CUDA code. The derivative may
be written down where the textbook has a shorter form in the output (`σ' = y(1 - y)`); tests hold it against SymPy's own.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from graphgrad.graph import (
    ATOM,
    FUNCTIONS,
    Axis,
    Formula,
    GraphError,
    Index,
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
)
from graphgrad.ops.symbolic import derived, is_expression, sp

Derivative = Callable[..., Any]
Written = Notation | Callable[..., Notation] | None


@dataclass(frozen=True, eq=False)
class Elementwise(Operation):
    """An operation on each element: `name`, its body over SymPy symbols, its options with their values.

    `derivative(y, *inputs)`, if given, returns the partial derivatives (one, or a tuple) in plain arithmetic of the
    output and the inputs, so that it can be read with nodes and with SymPy symbols alike; otherwise SymPy derives them.
    """

    name: str
    body: Callable[..., Any]
    derivative: Derivative | None = None
    written: Written = None
    settings: tuple[tuple[str, float], ...] = ()
    built_in: bool = False
    _family: dict[Any, Elementwise] = field(default_factory=dict, repr=False)

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
        traced = sp.sympify(self.body(*self.symbols, **dict(self.settings)))
        if strange := traced.free_symbols - set(self.symbols):
            raise GraphError(f"{self.name}: the formula {traced} holds {', '.join(map(str, strange))}, no operand of it")
        return traced

    @cached_property
    def partials(self) -> tuple[Any, ...]:
        """The partial derivatives by SymPy, one for each operand."""
        return tuple(derived(self.expression, symbol) for symbol in self.symbols)

    @property
    def key(self) -> str:
        shown = ", ".join(f"{option}={value!r}" for option, value in self.settings)
        return f"{self.name}({shown})" + ("" if self.built_in else sp.srepr(self.expression))

    def options(self) -> str:
        defaults = inspect.signature(self.body).parameters
        return ", ".join(f"{o}={number(v)}" for o, v in self.settings if v != defaults[o].default)

    # -- what follows from it ------------------------------------------------------------------------------------

    def infer(self, *types: Type) -> Type:
        if len(types) != self.arity:
            raise GraphError(f"{self.name} takes {self.arity} operand{'s' * (self.arity != 1)}, not {len(types)}")
        return broadcast(types)

    def notation(self, *types: Type) -> Notation:
        if self.written is None:
            return function(self.name, options=self.options())
        return self.written(*types, **dict(self.settings)) if callable(self.written) else self.written

    def formula(self, *types: Type) -> Formula:
        axes = axes_of(broadcast(types).shape)
        return Formula(axes, tuple(_stretched(axes, type) for type in types), body=self.body_of_symbols)

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
            return float(partial) if partial != 0 else NoGradient(f"{self.name} does not vary with it")
        used = [k for k, symbol in enumerate(self.symbols) if symbol in partial.free_symbols]
        if position not in self._family:
            symbols = [self.symbols[k] for k in used]
            prime = f"{self.name}'" if self.arity == 1 else f"{self.name}_{self.symbols[position]}'"
            self._family[position] = Elementwise(prime, _constant_body(symbols, partial), written=_prime(prime))
        return self._family[position](*(inputs[k] for k in used))

    def __call__(self, *operands: Operand, **options: float) -> Any:
        if options:
            return self.with_options(**options)(*operands)
        if operands and any(is_expression(operand) for operand in operands):
            return self.expression.xreplace(dict(zip(self.symbols, map(sp.sympify, operands), strict=True)))
        return super().__call__(*operands)

    def with_options(self, **options: float) -> Elementwise:
        """The same operation with other option values, such as `leaky_relu` with `alpha=0.2`."""
        known = dict(self.settings)
        for option, value in options.items():
            if option not in known:
                raise GraphError(f"{self.name} has no option {option!r}; it has {', '.join(known) or 'none'}")
            try:
                known[option] = float(value)
            except (TypeError, ValueError):
                raise GraphError(f"{self.name}: {option} is a number, not {value!r}") from None
        settings = tuple(known.items())
        if settings == self.settings:
            return self
        if settings not in self._family:
            self._family[settings] = Elementwise(
                self.name, self.body, self.derivative, self.written, settings, self.built_in, self._family
            )
        return self._family[settings]


def _constant_body(symbols: list[Any], expression: Any) -> Callable[..., Any]:
    def body(*operands: Any) -> Any:
        return expression.xreplace(dict(zip(symbols, operands, strict=True)))

    body.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(str(symbol), inspect.Parameter.POSITIONAL_ONLY) for symbol in symbols]
    )
    return body


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
) -> Elementwise:
    """A new elementwise operation from its SymPy expression; about the whole cost of an activation.

    `body` is a function of SymPy symbols, one for each operand; keyword-only arguments with a number as default are
    options. `derivative(y, *operands)` may give the partial derivatives in terms of the output y; SymPy derives them
    otherwise.

    >>> import sympy as sp, graphgrad as gg
    >>> swish = gg.elementwise("swish", lambda z: z / (1 + sp.exp(-z)))
    >>> with gg.Graph() as g:
    ...     z = gg.input("z", 3)
    ...     g.A = swish(z)
    >>> print(g.A.text())
    A = swish(z)
    """
    label = name(name_)
    if label.ident in FUNCTIONS and getattr(FUNCTIONS[label.ident], "built_in", True):
        raise GraphError(f"{name_} is an operation of graphgrad already; give yours a name of its own")
    return _define(name_, body, derivative, notation, built_in=False)


def built_in(
    name: str, body: Callable[..., Any], derivative: Derivative | None = None, notation: Written = None
) -> Elementwise:
    """An elementwise operation of graphgrad itself, whose key for the kernel cache is its name."""
    return _define(name, body, derivative, notation, built_in=True)


def _define(
    name: str, body: Callable[..., Any], derivative: Derivative | None, notation: Written, *, built_in: bool
) -> Elementwise:
    options = tuple(
        (parameter.name, float(parameter.default))
        for parameter in inspect.signature(body).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY
    )
    return public(Elementwise(name, body, derivative, notation, options, built_in), name)


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
    try:
        shape = np.broadcast_shapes(*(type.shape for type in types))
    except ValueError:
        told = " and ".join(f"{{{position}}} is {type}" for position, type in enumerate(types))
        raise Misfit(f"{told}, which cannot be broadcast to one shape") from None
    return Type(tuple(shape), any(type.per_sample for type in types))


def _stretched(axes: tuple[Axis, ...], type: Type) -> tuple[Index, ...]:
    """Where an operand is read: at the trailing axes, at 0 along an axis of extent 1 that is stretched."""
    own = axes[len(axes) - type.rank :]
    return tuple(
        Index() if extent == 1 and axis.extent != 1 else Index(((axis, 1),))
        for axis, extent in zip(own, type.shape, strict=True)
    )


__all__ = ["ATOM", "Elementwise", "broadcast", "built_in", "elementwise", "is_one", "times"]
