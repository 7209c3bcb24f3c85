"""From the text of a generated step to LLVM instructions, in two walks: one for the types, one for the code.

The text is of the few kinds of statement that the CPU printer writes. What each operation means, for numbers as for lanes,
is Numba's own definition of it; what is done here is only to walk the lines. Indices of a step are never negative and
shapes of its views are mostly known, so that elements are addressed without tests and with constant strides. In a step
of many lines each nest of loops is a function apart, and equal ones are one: layers that are alike are compiled once. Of a
very long one, what calls them is not optimised: that would take longer than all of them, and gain next to nothing.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.callconv import excinfo_ptr_t

from graphgrad.runtime.contraction import sums_of_products
from graphgrad.runtime.elements import ON_WHOLE, WHOLE, View, in_order, times
from graphgrad.runtime.lanes import add_sums_of_lanes, lanes_at, load_lanes
from graphgrad.runtime.typed import BINARY, COMPARISONS, IN_PLACE, UNARY, Types, names_in
from graphgrad.runtime.vectors import rolled
from graphgrad.runtime.views import array_at

LONG = 64
"""From how many terms on the terms of a sum are added up in an order of the processor's."""
FEW = 8
"""Up to how many rounds of a loop are written out one after the other, where LLVM finds that worth it."""
MANY = 24
"""From how many nests of loops on, one after the other, they are functions apart."""
VERY_MANY = 100
"""From how many such nests on what calls them is not optimised."""


def translate(
    function: ast.FunctionDef,
    names: Mapping[str, Any],
    context: Any,
    builder: Any,
    signature: Any,
    arguments: Any,
    code: type[Code] | None = None,
) -> Any:
    """The instructions of a function for arguments of these types; the value that it returns."""
    given = [argument.arg for argument in function.args.args]
    kinds = Types(names, dict(zip(given, signature.args, strict=True)), context)
    kinds.settle(function.body)
    kinds.uses = names_in(ast.Module(function.body, []))
    kinds.moving = _moving(function.body, kinds)
    count, lines = _spine(function.body, kinds)
    spine = lines if count >= VERY_MANY else None
    for attribute in ("optnone", "noinline") if spine is not None else ():
        builder.function.attributes.add(attribute)
    walk = (code or Code)(kinds, context, builder, signature.return_type, spine)
    return walk.function(given, arguments, function.body)


def _spine(body: Sequence[ast.stmt], kinds: Types) -> tuple[int, set[ast.stmt]]:
    """How many nests of loops follow each other where they are many, and the loops and branches around these."""
    count, found = 0, set[ast.stmt]()
    for line in body:
        inside, lines = _spine(line.body, kinds) if isinstance(line, ast.For | ast.If) else (0, set())
        found |= {line, *lines} if inside or line in kinds.moving else set()
        count += inside
    nests = sum(_is_nest(line, kinds) for line in body)
    return (count + nests if nests >= MANY else count), found


def _is_nest(line: ast.stmt, kinds: Types) -> bool:
    """Whether a line is a nest of loops, written out or by the name of a sum of products."""
    if isinstance(line, ast.Expr) and isinstance(line.value, ast.Call):
        return kinds.value_of(line.value.func) in sums_of_products
    return isinstance(line, ast.For) and line not in kinds.moving


def _moving(body: Sequence[ast.stmt], kinds: Types) -> set[ast.stmt]:
    """The loops around nests that have other arrays each time, and what is around these."""
    found: set[ast.stmt] = set()
    for line in body:
        if isinstance(line, ast.For | ast.If):
            inside = _moving(line.body, kinds)
            moves = any(
                isinstance(one, ast.Assign)
                and isinstance(one.targets[0], ast.Name)
                and isinstance(kinds.local[one.targets[0].id], types.Array)
                for one in line.body
            )
            found |= {line, *inside} if inside or moves else set()
    return found


def _is_loop(line: ast.stmt, kinds: Types) -> bool:
    """Whether a line is a loop in the end, if not in the text."""
    match line:
        case ast.Assign(targets=[ast.Subscript(slice=ast.Slice())]):
            return True
        case ast.Expr(value=ast.Call(func=function)):
            return kinds.value_of(function) in (load_lanes, add_sums_of_lanes)
    return False


class Code:
    """The second walk: the instructions of every line. On the spine of a very long step, all loops are functions apart."""

    def __init__(
        self, kinds: Types, context: Any, builder: Any, result: Any, spine: AbstractSet[ast.stmt] | None = None
    ) -> None:
        self.types, self.context, self.b, self.result, self.spine = kinds, context, builder, result, spine
        self.views: dict[str, View] = {}
        self.choices: dict[str, tuple[View, Any]] = {}
        self.places: dict[str, Any] = {}
        self.running: dict[str, Any] = {}
        self.long = False
        self.report: Any = None

    def function(self, names: Sequence[str], arguments: Sequence[Any], body: Sequence[ast.stmt]) -> Any:
        b = self.b
        for name, value in zip(names, arguments, strict=True):
            kind = self.types.local[name]
            if isinstance(kind, types.Array):
                self.views[name] = View.of(self.context, b, kind, value)
            else:
                self.running[name] = value
        for name, kind in self.types.local.items():
            if name in self.types.stored and not isinstance(kind, types.Array | types.BaseTuple):
                self.places[name] = cgutils.alloca_once(b, self.context.get_value_type(kind))
        returned = None
        if self.result != types.none:
            returned = cgutils.alloca_once(b, self.context.get_value_type(self.result))
        self.returned, self.end = returned, b.append_basic_block("end")
        self.tables(self.types.uses)
        self.block(body)
        if not b.block.is_terminated:
            b.branch(self.end)
        b.position_at_end(self.end)
        return self.context.get_dummy_value() if returned is None else b.load(returned)

    def tables(self, names: Iterable[str]) -> None:
        """Views of the constant arrays among these; made before anything else, where all of it sees them."""
        for name in names:
            if name not in self.types.local and isinstance(self.types.value_of(ast.Name(name)), np.ndarray):
                array = self.types.value_of(ast.Name(name))
                kind = self.types.typing.resolve_value_type(array)
                value = self.context.get_constant_generic(self.b, kind, array)
                self.views[name] = View.of(self.context, self.b, kind, value)

    # -- statements ----------------------------------------------------------------------------------------------

    def block(self, body: Sequence[ast.stmt]) -> None:
        nests = {line for line in body if _is_nest(line, self.types)}
        if self.spine is not None:
            nests = (nests - self.spine) | {line for line in body if _is_loop(line, self.types)}
        for line in body:
            if line in nests and (self.spine is not None or len(nests) >= MANY):
                self.apart(line)
            else:
                self.line(line)

    def apart(self, line: ast.stmt) -> None:
        """A nest of loops as a function, one for all that differ in their arrays only; its scalars go in and out."""
        kinds, b = self.types, self.b
        parts = list(ast.walk(line))
        used = Counter(n.id for n in parts if isinstance(n, ast.Name))
        inside = [name for name in used if name in kinds.local]
        set_ = {n.id for n in parts if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        indices = {n.target.id for n in parts if isinstance(n, ast.For) and isinstance(n.target, ast.Name)}
        own = {name for name in set_ if used[name] == kinds.uses[name]} | indices
        given = [name for name in inside if name not in own]
        passed: list[Any] = []
        shapes: list[Any] = []
        alike: dict[View, str] = {}  # one array may have several names
        for name in given:
            if name in self.views:
                view = self.views[name]
                if (known := alike.setdefault(view, name)) != name:
                    shapes.append(inside.index(known))
                    continue
                of_view = [view.data, *view.extents, *view.strides]
                shapes.append((view.kind, *(getattr(part, "constant", None) for part in of_view[1:])))
                passed += [part for part in of_view if not isinstance(part, ir.Constant)]
            else:
                shapes.append((kinds.local[name], name in set_))
                passed.append(self.places[name] if name in set_ else self.value(ast.Name(name, ast.Load())))
        number = {name: f"id='{k}'" for k, name in enumerate(inside)}
        number |= {name: f"id='{id(kinds.value_of(ast.Name(name)))}'" for name in used if name not in kinds.local}
        text = re.sub(r"id='(\w+)'", lambda found: number.get(found[1], found[0]), ast.dump(line))
        locals_ = tuple((kinds.local[name], name in own) for name in inside)
        key = text, tuple(shapes), locals_, self.long
        if key not in kinds.apart:
            kinds.apart[key] = self.written_apart(line, given, own, set_, [part.type for part in passed])
        nothing = cgutils.get_null_value(ir.IntType(8).as_pointer())
        if self.report is None:
            self.report = cgutils.alloca_once(b, excinfo_ptr_t)
        b.call(kinds.apart[key], [nothing, self.report, *passed])

    def written_apart(
        self, line: ast.stmt, given: Sequence[str], own: set[str], set_: set[str], passed: Sequence[Any]
    ) -> Any:
        """The function of a nest. It has the place of an error's report, where Numba's own functions look for it."""
        kinds = self.types
        reported = [ir.IntType(8).as_pointer(), excinfo_ptr_t.as_pointer()]
        signature = ir.FunctionType(ir.IntType(32), [*reported, *passed])
        name = self.b.module.get_unique_name("nest")
        function = ir.Function(self.b.module, signature, name)
        function.linkage = "internal"
        function.attributes.add("noinline")
        inner = type(self)(kinds, self.context, ir.IRBuilder(function.append_basic_block("entry")), types.none)
        inner.long = self.long
        values, back = iter(function.args[2:]), []
        alike: dict[View, View] = {}
        for name in given:
            if name in self.views:
                view = self.views[name]
                if view in alike:
                    inner.views[name] = alike[view]
                    continue
                parts = [
                    part if isinstance(part, ir.Constant) else next(values)
                    for part in (view.data, *view.extents, *view.strides)
                ]
                count = len(view.extents)
                alike[view] = inner.views[name] = View(
                    self.context, inner.b, view.kind, parts[0], parts[1 : 1 + count], parts[1 + count :]
                )
                continue
            value, place = next(values), cgutils.alloca_once(inner.b, self.context.get_value_type(kinds.local[name]))
            if name in set_:
                back.append((place, value))
                value = inner.b.load(value)
            inner.b.store(value, place)
            inner.places[name] = place
        for name in sorted(own & kinds.stored):
            inner.places[name] = cgutils.alloca_once(inner.b, self.context.get_value_type(kinds.local[name]))
        inner.tables(names_in(line))
        inner.line(line)
        for place, target in back:
            inner.b.store(inner.b.load(place), target)
        inner.b.ret(ir.Constant(ir.IntType(32), 0))
        return function

    def line(self, line: ast.stmt) -> None:
        match line:
            case ast.Expr(value=ast.Constant()) | ast.Pass():
                pass
            case ast.Expr(value=call):
                self.value(call)
            case ast.Assign(targets=[target], value=value):
                self.assign(target, value)
            case ast.AugAssign(target=ast.Name(id=name), op=ast.Add(), value=value) if self.adds_in_any_order(name):
                kind = self.types.local[name]
                term = self.cast(self.value(value), self.types.of(value), kind)
                total = self.b.fadd(self.b.load(self.places[name]), term, flags=("reassoc", "contract"))
                self.b.store(total, self.places[name])
            case ast.AugAssign(target=ast.Name(id=name) as target, op=sign, value=value):
                self.store(name, *self.apply(IN_PLACE[type(sign)], self.typed(target), self.typed(value)))
            case ast.AugAssign(target=ast.Subscript(value=ast.Name(id=array), slice=index), op=sign, value=value):
                view = self.views[array]
                at = view.element(self.index(index))
                before = view.kind.dtype, self.b.load(at, align=view.align)
                kind, after = self.apply(IN_PLACE[type(sign)], before, self.typed(value))
                self.b.store(self.cast(after, kind, view.kind.dtype), at, align=view.align)
            case ast.For(target=ast.Name(id=name), iter=ast.Call(args=limits), body=body):
                self.loop(name, limits, body)
            case ast.If(test=test, body=body, orelse=[]):
                self.when(test, body)
            case ast.Return(value=value):
                assert value is not None
                self.b.store(self.cast(self.value(value), self.types.of(value), self.result), self.returned)
                self.b.branch(self.end)
            case _:
                raise SyntaxError(f"a step has no line like {ast.unparse(line)}")

    def assign(self, target: ast.expr, value: ast.expr) -> None:
        match target:
            case ast.Name(id=name):
                kind = self.types.of(value)
                if isinstance(kind, types.Array):
                    self.views[name] = self.view(value)
                elif isinstance(value, ast.Tuple):
                    self.choices[name] = self.choice([self.view(one) for one in value.elts])
                else:
                    self.store(name, kind, self.value(value))
            case ast.Tuple(elts=targets):
                assert isinstance(value, ast.Tuple)
                found = [self.typed(one) for one in value.elts]
                for one, (kind, number) in zip(targets, found, strict=True):
                    assert isinstance(one, ast.Name)
                    self.store(one.id, kind, number)
            case ast.Subscript(value=ast.Name(id=array), slice=ast.Slice(lower=lower, upper=upper)):
                assert lower is not None and upper is not None
                view, start, number = self.views[array], self.value(lower), self.value(value)
                with cgutils.for_range(self.b, self.b.sub(self.value(upper), start), intp=WHOLE) as loop:
                    self.b.store(number, self.b.gep(view.data, [self.b.add(start, loop.index)]))
            case ast.Subscript(value=ast.Name(id=array), slice=index):
                view, kind = self.views[array], self.types.of(value)
                number = self.cast(self.value(value), kind, view.kind.dtype)
                self.b.store(number, view.element(self.index(index)), align=view.align)
            case _:
                raise SyntaxError(f"a step does not assign to {ast.unparse(target)}")

    def choice(self, views: Sequence[View]) -> tuple[View, Any]:
        """Arrays of one shape, of which one is taken by its number: the first of them, and where all begin."""
        data = [view.data for view in views]
        place = cgutils.alloca_once(self.b, ir.ArrayType(data[0].type, len(data)))
        for k, one in enumerate(data):
            self.b.store(one, cgutils.gep_inbounds(self.b, place, 0, k))
        return views[0], place

    def store(self, name: str, kind: Any, value: Any) -> None:
        self.b.store(self.cast(value, kind, self.types.local[name]), self.places[name])

    def adds_in_any_order(self, name: str) -> bool:
        """Whether a sum of numbers is so long that its terms are added up side by side, as many as the processor can."""
        return self.long and isinstance(self.types.local[name], types.Float)

    def loop(self, name: str, limits: Sequence[ast.expr], body: Sequence[ast.stmt]) -> None:
        b, zero, one = self.b, ir.Constant(WHOLE, 0), ir.Constant(WHOLE, 1)
        values = [self.value(limit) for limit in limits]
        start, stop, step = values if len(values) == 3 else (*([zero] if len(values) == 1 else []), *values, one)
        before = b.block
        head, inside, after = (b.append_basic_block(f"{name}.{part}") for part in ("head", "body", "end"))
        b.branch(head)
        b.position_at_end(head)
        place = b.phi(WHOLE)
        place.add_incoming(start, before)
        b.cbranch(b.icmp_signed("<", place, stop), inside, after)
        b.position_at_end(inside)
        if name in self.places:
            b.store(place, self.places[name])
        else:
            self.running[name] = place
        outside, count = self.long, getattr(stop, "constant", LONG)
        self.long = count >= LONG
        self.block(body)
        place.add_incoming(b.add(place, step, flags=("nsw",)), b.block)
        back = b.branch(head)
        if self.stays_rolled(name, count, body):
            rolled(b.module, back)
        self.long = outside
        b.position_at_end(after)

    def stays_rolled(self, name: str, count: int, body: Sequence[ast.stmt]) -> bool:
        """Whether more rounds at a time would take longer to compile and gain next to nothing: where they are many, and all
        alike. A loop with tests of its index has its first and last rounds apart; a sum adds up more terms side by side."""
        if count <= FEW:
            return False
        added = [one.target for one in body if isinstance(one, ast.AugAssign)]
        sums = (self.adds_in_any_order(one.id) for one in added if isinstance(one, ast.Name))
        tests = (part for line in body for part in ast.walk(line) if isinstance(part, ast.Compare))
        return not any(sums) and not any(name in names_in(test) for test in tests)

    def when(self, test: ast.expr, body: Sequence[ast.stmt]) -> None:
        b = self.b
        then, after = b.append_basic_block("then"), b.append_basic_block("after")
        b.cbranch(self.truth(test), then, after)
        b.position_at_end(then)
        self.block(body)
        if not b.block.is_terminated:
            b.branch(after)
        b.position_at_end(after)

    # -- values --------------------------------------------------------------------------------------------------

    def typed(self, expression: ast.expr) -> tuple[Any, Any]:
        return self.types.of(expression), self.value(expression)

    def cast(self, value: Any, kind: Any, to: Any) -> Any:
        return value if kind == to else self.context.cast(self.b, value, kind, to)

    def truth(self, test: ast.expr) -> Any:
        return self.cast(self.value(test), self.types.of(test), types.boolean)

    def index(self, index: ast.expr) -> list[Any]:
        return [self.value(part) for part in (index.elts if isinstance(index, ast.Tuple) else [index])]

    def apply(self, called: Any, *operands: tuple[Any, Any]) -> tuple[Any, Any]:
        """A function of operands, each of which is its type and its value; the type and the value that it gives."""
        kinds = [kind for kind, _ in operands]
        if called in ON_WHOLE and all(kind == types.int64 for kind in kinds):
            return types.int64, ON_WHOLE[called](self.b, *(value for _, value in operands))
        signature, generate = self.types.signature(called, *kinds)
        self.called(generate)
        values = [self.cast(value, kind, to) for (kind, value), to in zip(operands, signature.args, strict=True)]
        return signature.return_type, generate(self.b, values)

    def called(self, generate: Any) -> None:
        """What the code of a function that is called needs: here nothing, since it is written where it is called."""

    def value(self, expression: ast.expr) -> Any:
        match expression:
            case ast.Constant(value=value):
                return ir.Constant(self.context.get_value_type(self.types.of(expression)), value)
            case ast.Name(id=name) if name in self.running:
                return self.running[name]
            case ast.Name(id=name) if name in self.places:
                return self.b.load(self.places[name])
            case ast.Name(id=name) if name in self.views:
                return self.views[name].value
            case ast.Name():
                kind = self.types.of(expression)
                return self.context.get_constant_generic(self.b, kind, self.types.value_of(expression))
            case ast.Attribute(value=ast.Name(id=name), attr="T"):
                kind = self.types.local[name]
                return self.context.get_getattr(kind, "T")(self.context, self.b, kind, self.views[name].value, "T")
            case ast.BinOp(left=left, op=sign, right=right):
                return self.apply(BINARY[type(sign)], self.typed(left), self.typed(right))[1]
            case ast.UnaryOp(op=sign, operand=operand):
                return self.apply(UNARY[type(sign)], self.typed(operand))[1]
            case ast.Compare(left=left, ops=[sign], comparators=[right]):
                return self.apply(COMPARISONS[type(sign)], self.typed(left), self.typed(right))[1]
            case ast.Compare(left=left, ops=signs, comparators=others):
                return self.chain(left, signs, others)
            case ast.BoolOp(op=sign, values=[first, *others]):
                rest = ast.BoolOp(sign, others) if len(others) > 1 else others[0]
                known = ast.Constant(isinstance(sign, ast.Or))
                then, otherwise = (known, rest) if isinstance(sign, ast.Or) else (rest, known)
                return self.either(first, then, otherwise, types.boolean)
            case ast.IfExp(test=test, body=then, orelse=otherwise):
                return self.either(test, then, otherwise, self.types.of(expression))
            case ast.Subscript(value=ast.Attribute(value=ast.Name(id=array), attr="shape"), slice=axis):
                assert isinstance(axis, ast.Constant) and isinstance(axis.value, int)
                return self.views[array].extents[axis.value]
            case ast.Subscript() if isinstance(self.types.of(expression), types.Array):
                return self.view(expression).value
            case ast.Subscript(value=array, slice=index):
                view = self.view(array)
                return self.b.load(view.element(self.index(index)), align=view.align)
            case ast.Call(func=called, args=arguments):
                return self.call(self.types.value_of(called), arguments)
        raise SyntaxError(f"a step has no {ast.unparse(expression)}")

    def call(self, called: Any, arguments: Sequence[ast.expr]) -> Any:
        operands = [self.typed(argument) for argument in arguments]
        if called in (min, max) and all(kind == types.int64 for kind, _ in operands):
            (_, x), (_, y) = operands
            return self.b.select(self.b.icmp_signed("<" if called is min else ">", x, y), x, y)
        return self.apply(called, *operands)[1]

    def chain(self, left: ast.expr, signs: Sequence[ast.cmpop], others: Sequence[ast.expr]) -> Any:
        result, before = None, self.typed(left)
        for sign, other in zip(signs, others, strict=True):
            after = self.typed(other)
            _, test = self.apply(COMPARISONS[type(sign)], before, after)
            result, before = test if result is None else self.b.and_(result, test), after
        return result

    def either(self, test: ast.expr, then: ast.expr, otherwise: ast.expr, kind: Any) -> Any:
        """One of two values, of which only that one is computed."""
        b = self.b
        blocks = [b.append_basic_block(part) for part in ("then", "else", "join")]
        b.cbranch(self.truth(test), *blocks[:2])
        found = []
        for block, side in zip(blocks[:2], (then, otherwise), strict=True):
            b.position_at_end(block)
            value = self.cast(self.value(side), self.types.of(side), kind)
            found.append((value, b.block))
            b.branch(blocks[2])
        b.position_at_end(blocks[2])
        result = b.phi(self.context.get_value_type(kind))
        for value, block in found:
            result.add_incoming(value, block)
        return result

    def view(self, expression: ast.expr) -> View:
        """An array that an expression is."""
        b, context = self.b, self.context
        match expression:
            case ast.Name(id=name) if name in self.views:
                return self.views[name]
            case ast.Subscript(value=ast.Name(id=name), slice=index) if name in self.choices:
                view, place = self.choices[name]
                data = b.load(cgutils.gep_inbounds(b, place, 0, self.value(index)))
                return View(context, b, view.kind, data, view.extents, view.strides)
            case ast.Subscript(value=array, slice=index):
                whole, first = self.view(array), self.index(index)
                data = whole.element([*first, *[ir.Constant(WHOLE, 0)] * (whole.kind.ndim - len(first))])
                rest = whole.extents[len(first) :], whole.strides[len(first) :]
                return View(context, b, self.types.of(expression), data, *rest)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="reshape")):
                whole, count = self.views[name], ir.Constant(WHOLE, 1)
                for extent in whole.extents:
                    count = times(b, count, extent)
                return View(context, b, self.types.of(expression), whole.data, [count], [ir.Constant(WHOLE, 1)])
            case ast.Call(func=called, args=[memory, start, ast.Tuple(elts=shape)]) if self.types.value_of(called) in (
                array_at,
                lanes_at,
            ):
                kind = self.types.of(expression)
                first = b.gep(self.view(memory).data, [self.value(start)])
                data = b.bitcast(first, context.get_data_type(kind.dtype).as_pointer())
                extents = [self.value(extent) for extent in shape]
                return View(context, b, kind, data, extents, in_order(b, extents))
        raise SyntaxError(f"a step has no array like {ast.unparse(expression)}")
