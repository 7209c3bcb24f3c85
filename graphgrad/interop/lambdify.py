"""A SymPy expression as a compiled function, with its gradient and its product of the second derivatives with a vector."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from graphgrad.calculus.gradient import sweep
from graphgrad.compiler import cache
from graphgrad.compiler.cpu import print_step
from graphgrad.compiler.lower import lower
from graphgrad.compiler.program import program
from graphgrad.compiler.rewrites import rewrite
from graphgrad.compiler.summed import with_sums
from graphgrad.graph import DataError, Graph, GraphError, Leaf, Name, Node, Type
from graphgrad.graph.errors import shown
from graphgrad.interop.expressions import Translation
from graphgrad.ops import add, multiply, sum_
from graphgrad.ops.symbolic import is_expression, sp

Array = np.ndarray[Any, np.dtype[Any]]
Shape = tuple[int, ...]


class Compiled:
    """One step of a function: arrays in the order of its leaves, results one after the other in a memory of its own.

    With `value`, the step returns that too.
    """

    def __init__(
        self, graph: Graph, leaves: tuple[Node, ...], results: Sequence[Node], dtype: str, value: Node | None = None
    ) -> None:
        compiled = with_sums(rewrite(program([*results, *([value] if value is not None else ())])))
        wanted = tuple(compiled.values[node] for node in results)
        returned = None if value is None else compiled.values[value]

        def generate() -> str:
            return print_step(lower(compiled, leaves, graph.title, dtype, wanted, returned, first=True))

        given = wanted if returned is None else (*wanted, returned)
        key = f"{dtype} lambdify {value is None} {graph.title}\n{compiled.key(leaves, given)}"
        self.module, self.source = cache.load(key, generate)
        number = {instruction: k for k, instruction in enumerate(compiled.order)}
        self.places: list[tuple[int, int, Shape] | None] = []
        for instruction in wanted:
            section = self.module.SECTIONS.get(number[instruction])
            size = instruction.type.size
            self.places.append(None if section is None else (section[0], section[0] + size, section[2]))
        self.constant = [instruction.constant for instruction in wanted]
        self.leaf = [None if i.leaf is None else leaves.index(i.leaf) for i in wanted]
        self.memory = np.zeros(self.module.MEMORY[0], dtype)


class Lambda:
    """A compiled function of a SymPy expression; `gg.lambdify` makes it.

    `f(x)` and `f.value(x)` give the value, `f.value_and_grad(x)` the value and the gradient, `f.grad(x)` the gradient
    and `f.hvp(x, v)` the Hessian times a vector. A function of one vector, or of a tuple of scalars, takes and gives one
    array; a function of several variables takes an array for each, and gives a tuple.

    >>> import sympy as sp, graphgrad as gg
    >>> a, b = sp.symbols("a b")
    >>> f = gg.lambdify(a * b**2, [a, b])
    >>> f(3.0, 2.0), [float(slope) for slope in f.grad(3.0, 2.0)]
    (12.0, [4.0, 12.0])
    """

    def __init__(
        self, expression: Any, variables: tuple[Any, ...], packed: bool, lengths: Mapping[Any, int], dtype: str
    ) -> None:
        self.expression, self.variables, self.packed, self.dtype = expression, variables, packed, np.dtype(dtype)
        self._lengths = dict(lengths)
        self._built: dict[tuple[Shape, ...], _Built] = {}
        self._last: _Built | None = None

    def __call__(self, *arrays: Any) -> Any:
        """The value at a point; at many points, for a function of scalars that is given a row for each."""
        points = self._points(arrays)
        if points is not None:
            return np.array([self.value(*point) for point in points])
        return self.value(*arrays)

    def value(self, *arrays: Any) -> float:
        """The value at a point."""
        built, given = self._prepare(arrays)
        value, _ = built.run(built.value, given)
        return float(value)

    def value_and_grad(self, *arrays: Any) -> tuple[float, Any]:
        """The value and the gradient at a point."""
        built, given = self._prepare(arrays)
        value, gradients = built.run(built.gradient, given)
        if built.door is not None:
            vars(self)["value_and_grad"] = built.door  # from now on calls go straight to the step
        return value, self._as_given(gradients)

    def grad(self, *arrays: Any) -> Any:
        """The gradient at a point."""
        return self.value_and_grad(*arrays)[1]

    def hvp(self, *arrays: Any) -> Any:
        """The Hessian at a point times a vector: the arrays of the point, then those of the vector."""
        count = len(arrays) // 2
        if len(arrays) % 2 or not count:
            raise DataError("hvp takes the arrays of a point, and as many of the vector")
        built, given = self._prepare(arrays[:count])
        _, vector = self._prepare(arrays[count:])
        return self._as_given(built.run(built.second, [*given, *vector])[1])

    @property
    def source(self) -> str:
        """The generated source of value and gradient; a vector of open length has one after its first call."""
        return self._current().gradient.source

    @property
    def njit(self) -> Any:
        """The function for the caller's own `@njit` code: the arrays of the variables, to (value, gradients...)."""
        return self._current().gradient.module.call

    def _current(self) -> _Built:
        if self._last is None:
            shapes = [self._shape(variable) for variable in self.variables]
            self._last = self._build(((len(shapes),),) if self.packed else tuple(shapes))
        return self._last

    def _shape(self, variable: Any) -> Shape:
        if not isinstance(variable, sp.IndexedBase):
            return ()
        if variable.shape is None:
            raise GraphError(f"the length of {variable} is known at its first call: call the function before")
        known = [sp.sympify(extent, strict=True).subs(self._lengths) for extent in variable.shape]
        if not all(extent.is_Integer for extent in known):
            raise GraphError(f"the length of {variable} is known at its first call: call the function before")
        return tuple(int(extent) for extent in known)

    def _points(self, arrays: tuple[Any, ...]) -> list[Any] | None:
        """The points, where several are given to a function of scalars."""
        if any(isinstance(variable, sp.IndexedBase) for variable in self.variables):
            return None
        if self.packed:
            rows = self._array(arrays[0], "the array") if len(arrays) == 1 else None
            return None if rows is None or rows.ndim != 2 else [(row,) for row in rows]
        columns = [self._array(array, f"argument {k + 1}") for k, array in enumerate(arrays)]
        if not any(column.ndim for column in columns):
            return None
        try:
            return list(zip(*(column.ravel() for column in np.broadcast_arrays(*columns)), strict=True))
        except ValueError:
            raise DataError(
                f"arrays of the shapes {[column.shape for column in columns]} are no points together"
            ) from None

    def _prepare(self, arrays: tuple[Any, ...]) -> tuple[_Built, list[Array]]:
        """The compiled function for arrays of these shapes, and the arrays as it takes them."""
        if self.packed:
            if len(arrays) != 1:
                raise DataError(
                    f"the function takes one array of {len(self.variables)} numbers, not {len(arrays)} arrays"
                )
            flat = self._array(arrays[0], "the array")
            if flat.shape != (len(self.variables),):
                raise DataError(
                    f"the function takes {len(self.variables)} numbers, and is given an array of shape {flat.shape}"
                )
            given = [flat]
        else:
            if len(arrays) != len(self.variables):
                names = ", ".join(map(str, self.variables))
                raise DataError(f"f({names}) takes {len(self.variables)} arrays, not {len(arrays)}")
            given = [self._array(array, str(name)) for array, name in zip(arrays, self.variables, strict=True)]
        shapes = tuple(array.shape for array in given)
        built = self._built.get(shapes)
        if built is None:
            built = self._build(shapes)
        self._last = built
        return built, given

    def _array(self, array: Any, name: str) -> Array:
        try:
            found = np.ascontiguousarray(array, self.dtype) if np.ndim(array) else np.array(array, self.dtype)
        except (TypeError, ValueError):
            raise DataError(f"{name} is {shown(array)}, which is no array of numbers") from None
        return found

    def _build(self, shapes: tuple[Shape, ...]) -> _Built:
        lengths = dict(self._lengths)
        for variable, shape in zip(self.variables, shapes, strict=True) if not self.packed else ():
            if not isinstance(variable, sp.IndexedBase):
                if shape:
                    raise DataError(f"{variable} is a number, and is given an array of shape {shape}")
                continue
            declared = variable.shape
            if declared is not None:
                if len(declared) != len(shape):
                    raise DataError(f"{variable} has {len(declared)} axes, and is given an array of shape {shape}")
                for extent, length in zip(declared, shape, strict=True):
                    if extent.is_Symbol and lengths.setdefault(extent, length) != length:
                        raise DataError(f"{extent} is {lengths[extent]} and {length} at once")
                    if extent.is_Integer and int(extent) != length:
                        raise DataError(f"{variable} has {extent} elements, and is given {length}")
        built = self._built[shapes] = _Built(self, shapes, lengths)
        return built

    def _as_given(self, gradients: Sequence[Array]) -> Any:
        if self.packed:
            return np.array([float(gradient) for gradient in gradients], self.dtype)
        copies = tuple(np.array(gradient) for gradient in gradients)
        return copies[0] if len(copies) == 1 else copies

    def __repr__(self) -> str:
        return f"<compiled function of {', '.join(map(str, self.variables))}>"


class _Built:
    """The graph of an expression for variables of known shapes, and what is compiled of it.

    `leaves` are the arrays that the function takes, `parts` the variables: the leaves, or the elements of one array.
    """

    def __init__(self, function: Lambda, shapes: tuple[Shape, ...], lengths: Mapping[Any, int]) -> None:
        self.function, self.shapes = function, shapes
        self.graph = Graph("function")
        names = ["v"] if function.packed else _names(function.variables)
        self.leaves = tuple(self._leaf(name, shape) for name, shape in zip(names, shapes, strict=True))
        with self.graph.derivation():
            self.parts = self._parts(self.leaves)
            translation = Translation(self.graph, dict(zip(function.variables, self.parts, strict=True)), lengths)
            found = translation.node(function.expression)
        if isinstance(found, float) or found.shape:
            raise GraphError(f"{function.expression} is no scalar that depends on the variables")
        self.of = found
        self.running = tuple(translation.running.values())
        self.fixed = [np.arange(low, high + 1, dtype=function.dtype) for low, high in translation.running]

    def _leaf(self, name: str, shape: Shape) -> Node:
        leaf = self.graph.add(Leaf(name, "parameter", Type(shape)), (), Type(shape), None)
        self.graph.name_derived(leaf, Name(name, name, name))
        return leaf

    def _parts(self, leaves: tuple[Node, ...]) -> tuple[Node, ...]:
        if not self.function.packed:
            return leaves
        return tuple(leaves[0][k] for k in range(len(self.function.variables)))

    @cached_property
    def gradients(self) -> tuple[Node, ...]:
        return self._slopes(self.of)

    def _slopes(self, of: Node) -> tuple[Node, ...]:
        found = sweep(of)
        with self.graph.derivation():
            return tuple(found[part] if part in found else multiply(0.0, part) for part in self.parts)

    def _compiled(self, leaves: tuple[Node, ...], results: Sequence[Node], value: Node | None = None) -> Compiled:
        return Compiled(self.graph, (*leaves, *self.running), results, self.function.dtype.name, value)

    @cached_property
    def value(self) -> Compiled:
        return self._compiled(self.leaves, [], self.of)

    @cached_property
    def gradient(self) -> Compiled:
        return self._compiled(self.leaves, self.gradients, self.of)

    @cached_property
    def second(self) -> Compiled:
        """The gradient of <gradient, v>, which is the Hessian times v."""
        vector = tuple(self._leaf(f"along{k}", leaf.shape) for k, leaf in enumerate(self.leaves))
        with self.graph.derivation():
            total: Node | None = None
            for gradient, v in zip(self.gradients, self._parts(vector), strict=True):
                part = multiply(gradient, v)
                part = sum_(part) if part.shape else part
                total = part if total is None else add(total, part)
        assert total is not None
        return self._compiled((*self.leaves, *vector), self._slopes(total))

    def run(self, compiled: Compiled, given: Sequence[Array]) -> tuple[Any, list[Array]]:
        """What the step returns, and its results."""
        memory = compiled.memory.copy()
        arrays = (*given, *self.fixed)
        returned = compiled.module.step(*arrays, memory)
        found: list[Array] = []
        for place, constant, leaf in zip(compiled.places, compiled.constant, compiled.leaf, strict=True):
            if place is not None:
                start, stop, shape = place
                found.append(memory[start:stop].reshape(shape))
            elif leaf is not None:
                found.append(arrays[leaf])
            else:
                found.append(np.asarray(constant, self.function.dtype))
        return returned, found

    @cached_property
    def door(self) -> Any:
        """A short way for a function of one array: its gradient lies in one piece at the beginning of the memory."""
        compiled, function = self.gradient, self.function
        places = compiled.places
        if len(self.leaves) != 1 or self.running or any(place is None for place in places):
            return None
        ends = [(place[0], place[1]) for place in places if place is not None]
        if any(stop != start for (_, stop), (start, _) in itertools.pairwise(ends)) or ends[0][0] != 0:
            return None
        step, dtype, (wanted,) = compiled.module.step, function.dtype, self.shapes
        empty, size, stop = np.empty, compiled.module.MEMORY[0], ends[-1][1]

        def value_and_grad(*arrays: Any) -> tuple[float, Any]:
            try:
                (array,) = arrays
                if array.shape == wanted:
                    memory = empty(size, dtype)
                    return step(array, memory), memory if size == stop else memory[:stop]
            except (TypeError, ValueError, AttributeError):
                pass  # not one array that the step takes as it is
            return Lambda.value_and_grad(function, *arrays)

        return value_and_grad


def _names(variables: Sequence[Any]) -> list[str]:
    """Identifiers for the variables: their own where these are safe, and `v0`, `v1`, ... elsewhere."""
    found: list[str] = []
    for k, variable in enumerate(variables):
        own = str(getattr(variable, "label", variable))
        safe = own.isascii() and own.isidentifier() and not own.startswith("_") and len(own) <= 40 and own not in found
        found.append(own if safe else f"v{k}")
    return found


def lambdify(
    expression: Any, variables: Any, *, lengths: Mapping[Any, int] | None = None, dtype: str = "float64"
) -> Lambda:
    """A SymPy expression as a compiled function of its variables: value, gradient, and Hessian times a vector.

    `variables` are symbols and indexed bases, each an argument of its own; or a tuple of symbols in a list, as in
    `[(a, b, c)]`, for a function of one array of numbers. The expression may hold sums over vectors, such as
    `Sum(x[i]**2, (i, 0, n - 1))`: they stay sums, whatever their length, and are never written out. The lengths of
    vectors are those of their `shape`, of `lengths`, or of the arrays that are given.

    The gradient is that of the reverse sweep, so that it costs a few times what the value costs, however many variables
    there are; of Abs and sign it is 0 at 0, and of two equal operands of Max and Min the first has it.

    Raises GraphError for a symbol that is no variable, and for what has no code.
    Source: Griewank and Walther, Evaluating Derivatives, 2008, chapters 3 and 5.

    >>> import sympy as sp, graphgrad as gg
    >>> a, b = sp.symbols("a b")
    >>> f = gg.lambdify(a**2 * sp.sin(b), [(a, b)])
    >>> value, slope = f.value_and_grad([2.0, 0.0])
    >>> value, slope.tolist(), f.hvp([2.0, 0.0], [1.0, 0.0]).tolist()
    (0.0, [0.0, 4.0], [0.0, 4.0])
    >>> x, i, n = sp.IndexedBase("x"), sp.Idx("i"), sp.Symbol("n", integer=True)
    >>> g = gg.lambdify(sp.Sum(x[i] ** 2, (i, 0, 3)), x)
    >>> g.grad([1.0, 2.0, 3.0, 4.0]).tolist()
    [2.0, 4.0, 6.0, 8.0]
    """
    if not is_expression(expression):
        raise GraphError(f"lambdify takes a SymPy expression, not {shown(expression)}")
    if np.dtype(dtype).name not in ("float32", "float64"):
        raise GraphError(f"{dtype!r} is no dtype to compile for: there are float32, float64")
    given = list(variables) if isinstance(variables, list | tuple) else [variables]
    packed = len(given) == 1 and isinstance(given[0], list | tuple)
    chosen = tuple(given[0]) if packed else tuple(given)
    for variable in chosen:
        if not (is_expression(variable) and (variable.is_Symbol or isinstance(variable, sp.IndexedBase))):
            raise GraphError(f"{shown(variable)} is no variable: variables are symbols and indexed bases")
        if packed and isinstance(variable, sp.IndexedBase):
            raise GraphError(f"{variable} is a vector, and is an argument of its own")
    if len(set(chosen)) != len(chosen) or not chosen:
        raise GraphError("the variables are at least one, and all different")
    return Lambda(expression, chosen, packed, lengths or {}, dtype)


__all__ = ["Lambda", "lambdify"]
