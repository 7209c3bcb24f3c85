"""The body of an elementwise operation as its author writes it: looked over, traced, and refused in a sentence."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from graphgrad.graph import GraphError, number
from graphgrad.graph.node import clipped, real_number
from graphgrad.ops.symbolic import FUNCTIONS, is_expression, sp, unknown

HOW = "write it with SymPy's own functions, as in lambda z: z / (1 + sp.exp(-z)), and cases with sp.Piecewise"

_OPTIONS = "an option stands behind a * with a number as its default, as in lambda z, *, alpha=0.1"


def as_body(name: str, given: object) -> Callable[..., Any]:
    """A function of symbols for whatever defines an operation: the function itself, a Lambda, a formula of one symbol."""
    if is_expression(given):
        formula: Any = given
        if isinstance(formula, sp.Lambda):
            return _of_symbols(formula.variables, formula.expr)
        symbols = sorted(formula.free_symbols, key=str)
        if len(symbols) != 1:
            told = f"{clipped(str(formula))} has the symbols {', '.join(map(str, symbols)) or 'none'}"
            raise GraphError(
                f"{name}: {told}; say which operand comes first with sp.Lambda((x, y), formula) or a function"
            )
        return _of_symbols(symbols, formula)
    if not callable(given):
        raise GraphError(f"{name}: the body is {clipped(repr(given))}, no function of symbols; {HOW}")
    return given


def _of_symbols(symbols: Any, formula: Any) -> Callable[..., Any]:
    def body(*operands: Any) -> Any:
        return formula.xreplace(dict(zip(symbols, operands, strict=True)))

    body.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(str(symbol), inspect.Parameter.POSITIONAL_ONLY) for symbol in symbols]
    )
    return body


def options_of(name: str, body: Callable[..., Any]) -> tuple[tuple[str, float], ...]:
    """The options of a body with their defaults; raises GraphError for a parameter that is neither operand nor option."""
    options: list[tuple[str, float]] = []
    parameters = inspect.signature(body).parameters.values()
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise GraphError(f"{name}: the body takes {parameter}; name its operands one by one")
        if parameter.kind is parameter.KEYWORD_ONLY:
            default = real_number(parameter.default)
            if default is None:
                raise GraphError(f"{name}: the option {parameter.name} has no number as its default; {_OPTIONS}")
            options.append((parameter.name, default))
        elif parameter.default is not parameter.empty:
            raise GraphError(f"{name}: the operand {parameter.name} has a default; {_OPTIONS}")
    if len(options) == len(parameters):
        raise GraphError(f"{name}: the body takes no operand; {HOW}")
    return tuple(options)


def changed(
    name: str, settings: tuple[tuple[str, float], ...], options: Mapping[str, Any], above: Mapping[str, float | str]
) -> tuple[tuple[str, float], ...]:
    """The settings with other values for some options; `above` says which lie above a number, or another option."""
    known = dict(settings)
    for option, value in options.items():
        if option not in known:
            raise GraphError(f"{name} has no option {option!r}; it has {', '.join(known) or 'none'}")
        real = real_number(value)
        if real is None:
            raise GraphError(f"{name}: {option} is a finite number, not {clipped(repr(value))}")
        known[option] = real
    for option, bound in above.items():
        least = known[bound] if isinstance(bound, str) else bound
        if known[option] <= least:
            told = f"{bound}, which is " if isinstance(bound, str) else ""
            raise GraphError(f"{name}: {option} lies above {told}{number(least)}; it is {number(known[option])}")
    return tuple(known.items())


def exactly(value: float) -> float:
    """A whole number as one, so that SymPy computes with it exactly."""
    return int(value) if value == int(value) else value


def traced(name: str, body: Callable[..., Any], symbols: tuple[Any, ...], options: Mapping[str, float]) -> Any:
    """The body as a SymPy expression of `symbols`.

    Raises GraphError for a body that cannot be called with symbols, that returns no formula, and for a formula that
    holds other symbols, functions without a numerical value, or no real number.
    """
    try:
        found = body(*symbols, **{option: exactly(value) for option, value in options.items()})
    except GraphError:
        raise
    except Exception as error:  # noqa: BLE001 - a user's function may raise anything
        reason = clipped(str(error).partition("\n")[0])
        raise GraphError(f"{name}: the body cannot be read as a formula ({reason}); {HOW}") from None
    if isinstance(found, bool | sp.logic.boolalg.Boolean) and not isinstance(found, sp.Expr):
        raise GraphError(
            f"{name}: {clipped(str(found))} is a condition; 0 or 1 is sp.Piecewise((1, condition), (0, True))"
        )
    try:
        formula = sp.sympify(found, strict=True)
    except sp.SympifyError:
        formula = None
    if not isinstance(formula, sp.Expr):
        raise GraphError(f"{name}: the body returns {clipped(repr(found))}, which is no formula; {HOW}")
    if strange := formula.free_symbols - set(symbols):
        told = ", ".join(sorted(map(str, strange)))
        raise GraphError(f"{name}: the formula {clipped(str(formula))} holds {told}, no operand of it")
    if missing := unknown(formula):
        told = ", ".join(sorted(missing))
        raise GraphError(f"{name}: {told} has no numerical value here; a formula may use {', '.join(FUNCTIONS)}")
    if formula.has(sp.I, sp.zoo):
        raise GraphError(f"{name}: the formula {clipped(str(formula))} is no real number")
    return formula
