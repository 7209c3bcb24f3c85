"""From a SymPy expression to the nodes of a graph, so that its derivatives are those of the reverse sweep.

A scalar expression becomes a node for each operation, equal parts made once. A `Sum` over an index stays a sum: what
stands in it is one operation on slices of its vectors, and is never written out.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphgrad.graph import FUNCTIONS, Graph, GraphError, Leaf, Node, Type
from graphgrad.ops.elementwise import Elementwise
from graphgrad.ops.symbolic import sp

MOST_PARTS = 100_000
"""How many parts an expression has at most."""

_SAME = "exp log sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh erf erfc floor sign"
_UNARY = {name: name for name in _SAME.split()} | {"ceiling": "ceil", "Abs": "abs"}
"""SymPy's functions of one variable, by the name of the operation that each becomes."""
_FOLDED = {"Max": "maximum", "Min": "minimum"}
_RELATIONS = {
    "StrictGreaterThan": "greater",
    "GreaterThan": "greater_equal",
    "StrictLessThan": "less",
    "LessThan": "less_equal",
    "Equality": "equal",
    "Unequality": "not_equal",
}


@dataclass
class Translation:
    """A graph that grows by the parts of expressions; `running` are leaves for the running index of a sum."""

    graph: Graph
    leaves: Mapping[Any, Node]
    lengths: Mapping[Any, int]
    running: dict[tuple[int, int], Node] = field(default_factory=dict)
    made: dict[Any, Node | float] = field(default_factory=dict)

    def node(self, expression: Any) -> Node | float:
        """The node of an expression, or its number."""
        order = self._in_order(expression)
        for part in order:
            if part not in self.made:
                self.made[part] = self._one(part)
        return self.made[expression]

    def _in_order(self, expression: Any) -> list[Any]:
        """The parts of an expression, each after what it is made of; those of a sum stay in it."""
        order: list[Any] = []
        seen: set[Any] = set()
        stack = [(expression, False)]
        while stack:
            part, done = stack.pop()
            if done:
                order.append(part)
            elif part not in seen and part not in self.made:
                seen.add(part)
                if len(seen) > MOST_PARTS:
                    raise GraphError(f"the expression has more than {MOST_PARTS:,} parts")
                stack.append((part, True))
                if not isinstance(part, sp.Sum | sp.Indexed) and part not in self.leaves:
                    stack.extend((one, False) for one in reversed(self._operands(part)))
        return order

    @staticmethod
    def _operands(part: Any) -> list[Any]:
        if part.is_Piecewise:
            return [one for value, condition in part.args for one in (value, condition)]
        if part.is_Pow and (part.exp.is_number or part.base == sp.E):
            return [part.exp] if part.base == sp.E and not part.exp.is_number else [part.base]
        return list(part.args)

    def _one(self, part: Any) -> Node | float:
        if (leaf := self.leaves.get(part)) is not None:
            return leaf
        if part in self.lengths:
            return float(self.lengths[part])
        if part in (sp.true, sp.false):
            return float(bool(part))
        if part.is_number:
            return _real(part)
        kind = part.func.__name__
        if isinstance(part, sp.Sum):
            return self._sum(part)
        if isinstance(part, sp.Indexed):
            return self._element(part)
        if part.is_Add:
            return self._folded("add", part.args)
        if part.is_Mul:
            return self._folded("multiply", part.args)
        if part.is_Pow:
            return self._power(part)
        if part.is_Piecewise:
            return self._choice(part)
        if kind in _RELATIONS:
            left, right = (self.made[one] for one in part.args)
            return _call(_RELATIONS[kind], left, right)
        if kind in ("And", "Or"):
            return self._folded({"And": "logical_and", "Or": "logical_or"}[kind], part.args)
        if kind == "Not":
            return _call("logical_not", self.made[part.args[0]])
        if kind in _FOLDED:
            return self._folded(_FOLDED[kind], part.args)
        if kind == "atan2":
            return _call("atan2", *(self.made[one] for one in part.args))
        if kind in _UNARY:
            return _call(_UNARY[kind], self.made[part.args[0]])
        if part.is_Symbol:
            known = ", ".join(sorted(map(str, self.leaves))) or "there are none"
            raise GraphError(
                f"{part} is no variable of the function ({known}): give it as one, or put a number in its place"
            )
        can = ", ".join(sorted({*_UNARY, *_FOLDED, "Piecewise", "atan2", "Sum"}))
        raise GraphError(f"{kind} cannot be compiled: an expression may use {can}, sums, products and powers")

    def _folded(self, function: str, parts: Sequence[Any]) -> Node | float:
        numbers = [value for part in parts if isinstance(value := self.made[part], float)]
        nodes = [value for part in parts if not isinstance(value := self.made[part], float)]
        if function in ("add", "multiply") and len(numbers) > 1:
            total = sum(numbers) if function == "add" else _product(numbers)
            numbers = [total]
        operands: list[Node | float] = [*numbers, *nodes]
        result = operands[0]
        for operand in operands[1:]:
            result = _call(function, result, operand)
        return result

    def _power(self, part: Any) -> Node | float:
        if part.base == sp.E:
            return _call("exp", self.made[part.exp])
        base = self.made[part.base]
        if not part.exp.is_number:
            return _call("power", base, self.made[part.exp])
        if part.exp == sp.Rational(1, 2):
            return _call("sqrt", base)
        if part.exp == -sp.Rational(1, 2):
            return _call("rsqrt", base)
        if part.exp == -1:
            return _call("reciprocal", base)
        if part.exp == 2:
            return _call("square", base)
        return _call("power", base, _real(part.exp))

    def _choice(self, part: Any) -> Node | float:
        *pieces, (last, condition) = part.args
        if condition != sp.true:
            raise GraphError(f"{part} says nothing of where {condition} does not hold: add a piece (value, True)")
        result = self.made[last]
        for value, holds in reversed(pieces):
            result = _call("where", self.made[holds], self.made[value], result)
        return result

    # -- vectors ---------------------------------------------------------------------------------------------------

    def _element(self, part: Any) -> Node:
        """One element of a vector at a known place."""
        vector = self._vector(part)
        position = tuple(int(self._whole(index, part)) for index in part.indices)
        for index, extent in zip(position, vector.shape, strict=True):
            if not 0 <= index < extent:
                raise GraphError(f"{part} is out of range: {part.base} goes from 0 to {extent - 1}")
        node: Node = vector[position if len(position) > 1 else position[0]]
        return node

    def _vector(self, part: Any) -> Node:
        same = (leaf for base, leaf in self.leaves.items() if getattr(base, "label", None) == part.base.label)
        vector = next(same, None)  # x with a shape and x without are one vector
        if vector is None:
            raise GraphError(f"{part.base} is no variable of the function: give it as one")
        if len(part.indices) != len(vector.shape):
            raise GraphError(f"{part} has {len(part.indices)} indices, and {part.base} has {len(vector.shape)} axes")
        return vector

    def _whole(self, bound: Any, part: Any) -> Any:
        number = sp.sympify(bound, strict=True).subs(self.lengths)
        if not number.is_Integer:
            raise GraphError(f"{part}: {bound} is no whole number; lengths are given as lengths={{n: 1000}}")
        return number

    def _sum(self, part: Any) -> Node:
        """A sum over one index or several: one operation on slices, one for each place where a vector is read."""
        body, limits = part.function, part.limits
        bounds = {}
        for limit in limits:
            if len(limit) != 3:
                raise GraphError(f"{part} has no bounds for {limit[0]}: write Sum(term, ({limit[0]}, 0, n - 1))")
            index, low, high = limit
            bounds[index] = int(self._whole(low, part)), int(self._whole(high, part))
            if bounds[index][1] < bounds[index][0]:
                raise GraphError(f"{part} has no terms: {index} goes from {low} to {high}")
        order = list(reversed(bounds))
        symbols, operands = [], []
        for read in sorted(body.atoms(sp.Indexed), key=sp.default_sort_key):
            symbols.append(sp.Dummy(real=True))
            operands.append(self._slices(read, order, bounds))
            body = body.xreplace({read: symbols[-1]})
        for index in order:
            if body.has(index):
                symbols.append(sp.Dummy(real=True))
                operands.append(self._runs(index, order, bounds))
                body = body.xreplace({index: symbols[-1]})
        body = body.subs({symbol: length for symbol, length in self.lengths.items() if body.has(symbol)})
        for symbol in sorted(body.free_symbols - set(symbols), key=str):
            symbols.append(sp.Dummy(real=True))
            value = self.node(symbol)
            assert isinstance(value, Node)
            operands.append(value)
            body = body.xreplace({symbol: symbols[-1]})
        if not operands:
            raise GraphError(f"{part} has no variable in it")
        count = 1
        for low, high in bounds.values():
            count *= high - low + 1
        term = operands[0] if body == symbols[0] else _operation(body, symbols)(*operands)
        total = _call("sum", term)
        missing = count // (term.type.size or 1)
        return total if missing == 1 else _call("multiply", float(missing), total)

    def _slices(self, read: Any, order: list[Any], bounds: Mapping[Any, tuple[int, int]]) -> Node:
        """The elements of a vector that a sum reads, along the axes of the indices it runs over."""
        vector = self._vector(read)
        parts: list[Any] = []
        axes: list[Any] = []
        for position, extent in zip(read.indices, vector.shape, strict=True):
            runs = [index for index in order if position.has(index)]
            if not runs:
                parts.append(int(self._whole(position, read)))
                continue
            step = sp.diff(position, runs[0])
            if len(runs) > 1 or not step.is_Integer or step <= 0:
                raise GraphError(f"{read}: an index is i + c or k i + c for one index of the sum and whole k > 0")
            low, high = (int(self._whole(position.subs(runs[0], end), read)) for end in bounds[runs[0]])
            if low < 0 or high >= extent:
                raise GraphError(f"{read} is read from {low} to {high}, and {read.base} goes from 0 to {extent - 1}")
            parts.append(slice(low, high + 1, int(step)))
            axes.append(runs[0])
        taken = vector[tuple(parts) if len(parts) > 1 else parts[0]]
        return self._spread(taken, axes, order, read)

    def _spread(self, taken: Node, axes: list[Any], order: list[Any], what: Any) -> Node:
        """An array along some indices, with an axis of one element for each of the others."""
        if axes != [index for index in order if index in axes]:
            if sorted(map(str, axes)) != sorted({str(axis) for axis in axes}):
                raise GraphError(f"{what} runs along a diagonal, which no slice has")
            wanted = [index for index in order if index in axes]
            taken = FUNCTIONS["permute"](taken, tuple(axes.index(index) for index in wanted))
            axes = wanted
        if not axes:
            return taken
        extents = iter(taken.shape)
        shape = tuple(next(extents) if index in axes else 1 for index in order)
        return taken if shape == taken.shape else _call("reshape", taken, shape)

    def _runs(self, index: Any, order: list[Any], bounds: Mapping[Any, tuple[int, int]]) -> Node:
        """The running index itself, as numbers."""
        key = bounds[index]
        if key not in self.running:
            shape = (key[1] - key[0] + 1,)
            leaf = Leaf(f"index{len(self.running)}", "parameter", Type(shape))
            self.running[key] = self.graph.add(leaf, (), Type(shape), None)
        return self._spread(self.running[key], [index], order, index)


def _operation(body: Any, symbols: Sequence[Any]) -> Elementwise:
    """One elementwise operation out of a SymPy expression."""

    def evaluate(*operands: Any) -> Any:
        return body.xreplace(dict(zip(symbols, operands, strict=True)))

    names = [inspect.Parameter(f"a{k}", inspect.Parameter.POSITIONAL_ONLY) for k in range(len(symbols))]
    evaluate.__signature__ = inspect.Signature(names)  # type: ignore[attr-defined]
    return Elementwise("term", evaluate)


def _call(function: str, *operands: Any) -> Node:
    if all(isinstance(operand, float) for operand in operands):
        raise GraphError(f"{function} of numbers alone: the expression holds no variable there")
    made: Node = FUNCTIONS[function](*operands)
    return made


def _product(numbers: Sequence[float]) -> float:
    result = 1.0
    for number in numbers:
        result *= number
    return result


def _real(number: Any) -> float:
    value = sp.N(number)
    if not value.is_real or not value.is_finite:
        raise GraphError(f"{number} is no finite real number")
    return float(value)
