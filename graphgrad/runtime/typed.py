"""The types of a step's text: of every local name and of every expression, by Numba's own rules."""

from __future__ import annotations

import ast
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from numba import types

from graphgrad.runtime.views import array_at

BINARY = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
IN_PLACE = {ast.Add: operator.iadd, ast.Sub: operator.isub, ast.Mult: operator.imul}
UNARY = {ast.USub: operator.neg, ast.Not: operator.not_, ast.Invert: operator.invert}
COMPARISONS = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def names_in(part: ast.AST) -> Counter[str]:
    """How often each name is in a part of the text, in the order of their first places."""
    return Counter(node.id for node in ast.walk(part) if isinstance(node, ast.Name))


class Types:
    """The first walk: the type of every local name and of every expression."""

    def __init__(self, names: Mapping[str, Any], given: Mapping[str, Any], context: Any) -> None:
        self.names, self.context, self.typing = names, context, context.typing_context
        self.local: dict[str, Any] = dict(given)
        self.stored: set[str] = set()
        self.known: dict[ast.expr, Any] = {}
        self.called: dict[tuple[Any, ...], Any] = {}
        self.globals: dict[str, Any] = {}
        self.uses: Counter[str] = Counter()
        self.apart: dict[tuple[Any, ...], Any] = {}
        self.moving: set[ast.stmt] = set()

    def settle(self, body: Sequence[ast.stmt]) -> None:
        """Walk until no name changes its type any more: a sum that begins as a number may go on as lanes."""
        while True:
            before = dict(self.local)
            self.known.clear()
            self._block(body)
            if self.local == before:
                return

    def _block(self, body: Sequence[ast.stmt]) -> None:
        for line in body:
            match line:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    self._assigned(name, self.of(value))
                case ast.Assign(targets=[ast.Tuple(elts=targets)], value=ast.Tuple(elts=values)):
                    for target, value in zip(targets, values, strict=True):
                        self._assigned(target.id, self.of(value))  # type: ignore[attr-defined]
                case ast.AugAssign(target=ast.Name(id=name) as target, op=sign, value=value):
                    self._assigned(name, self.result(IN_PLACE[type(sign)], self.of(target), self.of(value)))
                case ast.For(target=ast.Name(id=name), body=inner):
                    self.local[name] = types.int64
                    self._block(inner)
                case ast.If(body=inner):
                    self._block(inner)

    def _assigned(self, name: str, kind: Any) -> None:
        self.stored.add(name)
        before = self.local.get(name)
        if before is not None and before != kind:
            kind = self.together(before, kind)
        self.local[name] = kind

    def together(self, *kinds: Any) -> Any:
        """The type that holds values of all these types."""
        found = self.typing.unify_types(*kinds)
        if found is None:
            raise TypeError(f"no type holds {' and '.join(map(str, kinds))}")
        return found

    def of(self, expression: ast.expr) -> Any:
        """The type of an expression."""
        if expression not in self.known:
            self.known[expression] = self._of(expression)
        return self.known[expression]

    def _of(self, expression: ast.expr) -> Any:
        match expression:
            case ast.Constant(value=bool()):
                return types.boolean
            case ast.Constant(value=int()):
                return types.int64
            case ast.Constant(value=float()):
                return types.float64
            case ast.Name(id=name) if name in self.local:
                return self.local[name]
            case ast.Name():
                return self.typing.resolve_value_type(self.value_of(expression))
            case ast.Attribute(value=ast.Name(id=name), attr="T") if name in self.local:
                return self.typing.resolve_getattr(self.local[name], "T")
            case ast.BinOp(left=left, op=sign, right=right):
                return self.result(BINARY[type(sign)], self.of(left), self.of(right))
            case ast.UnaryOp(op=sign, operand=operand):
                return self.result(UNARY[type(sign)], self.of(operand))
            case ast.Compare(left=left, ops=[sign], comparators=[right]):
                return self.result(COMPARISONS[type(sign)], self.of(left), self.of(right))
            case ast.Compare() | ast.BoolOp():
                return types.boolean
            case ast.IfExp(body=then, orelse=otherwise):
                return self.together(self.of(then), self.of(otherwise))
            case ast.Subscript(value=ast.Attribute(attr="shape")):
                return types.int64
            case ast.Subscript(value=array, slice=index):
                kind, count = self.of(array), len(index.elts) if isinstance(index, ast.Tuple) else 1
                if isinstance(kind, types.UniTuple):
                    return kind.dtype
                return kind.copy(ndim=kind.ndim - count) if count < kind.ndim and kind.ndim > 0 else kind.dtype
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="reshape")) if name in self.local:
                array = self.local[name]
                return types.Array(array.dtype, 1, "C", aligned=array.aligned)
            case ast.Call(func=called, args=[memory, _, ast.Tuple(elts=shape)]) if self.value_of(called) is array_at:
                return types.Array(self.of(memory).dtype, len(shape), "C")
            case ast.Call(func=called, args=arguments):
                return self.result(self.value_of(called), *map(self.of, arguments))
            case ast.Tuple(elts=parts):
                return types.Tuple([self.of(part) for part in parts])
        raise SyntaxError(f"a step has no {ast.unparse(expression)}")

    def value_of(self, expression: ast.expr) -> Any:
        """What a global name stands for."""
        match expression:
            case ast.Name(id=name):
                if name not in self.globals:
                    builtins = self.names["__builtins__"]
                    self.globals[name] = (
                        self.names[name] if name in self.names else dict(getattr(builtins, "__dict__", builtins))[name]
                    )
                return self.globals[name]
            case ast.Attribute(value=of, attr=name):
                return getattr(self.value_of(of), name)
        raise SyntaxError(f"a step does not call {ast.unparse(expression)}")

    def result(self, called: Any, *operands: Any) -> Any:
        """The type of what a function gives for operands of these types."""
        return self.signature(called, *operands)[0].return_type

    def signature(self, called: Any, *operands: Any) -> tuple[Any, Callable[..., Any]]:
        """Numba's signature of a function for operands of these types, and its code."""
        key = called, *operands
        if key not in self.called:
            kind = self.typing.resolve_value_type(called)
            signature = self.typing.resolve_function_type(kind, operands, {})
            if signature is None:
                raise TypeError(f"{getattr(called, '__name__', called)} takes no {', '.join(map(str, operands))}")
            self.called[key] = signature, self.context.get_function(kind, signature)
        found: tuple[Any, Callable[..., Any]] = self.called[key]
        return found
