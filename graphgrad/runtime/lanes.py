"""Lanes: the same value of as many samples as one cache line holds, computed at once as one vector.

A step that runs on lanes reads like one that runs sample by sample: `A[i] = W0[i, 0] * x[0]` where `x[0]` is that
element of 16 samples in float32, of 8 in float64. What is not per sample stays a number and meets lanes in all of them.
Numba's loops would have to be vectorised by LLVM, which gives up where arrays may overlap; a type of its own does not
leave it to chance, and sums along an axis stay in registers. Without a compiler, lanes are NumPy arrays.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.imputils import lower_builtin, lower_cast
from numba.core.typeconv import Conversion
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, register_model

from graphgrad.compiler.units import LANES
from graphgrad.runtime.transposition import PART, columns_of
from graphgrad.runtime.views import view_at


class Lanes(types.Type):  # type: ignore[misc]
    """The type of lanes of one precision."""

    def __init__(self, real: Any) -> None:
        self.real, self.count = real, LANES[str(real)]
        super().__init__(name=f"Lanes({real})")

    def can_convert_from(self, typing_context: Any, other: Any) -> Any:
        """A number becomes lanes that are all that number."""
        return Conversion.promote if isinstance(other, types.Number) else None

    def unify(self, typing_context: Any, other: Any) -> Any:
        return self if isinstance(other, types.Number) else None


class Mask(types.Type):  # type: ignore[misc]
    """The type of a test of lanes: a truth value in each."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"Mask({count})")

    def can_convert_from(self, typing_context: Any, other: Any) -> Any:
        return Conversion.promote if isinstance(other, types.Boolean) else None


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, type: Lanes) -> None:
        number = ir.FloatType() if type.real.bitwidth == 32 else ir.DoubleType()
        super().__init__(manager, type, ir.VectorType(number, type.count))


@register_model(Mask)
class _MaskModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, type: Mask) -> None:
        super().__init__(manager, type, ir.VectorType(ir.IntType(1), type.count))


def spread(builder: Any, value: Any, vector: Any) -> Any:
    """A number in all lanes."""
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), zeros)


@lower_cast(types.Number, Lanes)
def _number_to_lanes(context: Any, builder: Any, number: Any, lanes: Any, value: Any) -> Any:
    return spread(builder, context.cast(builder, value, number, lanes.real), context.get_value_type(lanes))


@lower_cast(types.Boolean, Mask)
def _truth_to_mask(context: Any, builder: Any, truth: Any, mask: Any, value: Any) -> Any:
    return spread(builder, context.cast(builder, value, truth, types.boolean), context.get_value_type(mask))


# -- arithmetic ------------------------------------------------------------------------------------------------------

_ARITHMETIC = {
    operator.add: "fadd",
    operator.iadd: "fadd",
    operator.sub: "fsub",
    operator.isub: "fsub",
    operator.mul: "fmul",
    operator.imul: "fmul",
    operator.truediv: "fdiv",
}
_COMPARISONS = {
    operator.gt: ">",
    operator.ge: ">=",
    operator.lt: "<",
    operator.le: "<=",
    operator.eq: "==",
    operator.ne: "!=",
}
_LOGIC = {operator.and_: "and_", operator.or_: "or_"}


def _lanes_among(operands: Any) -> Any:
    return next((one for one in operands if isinstance(one, Lanes)), None)


def _infers(operation: Any, result: Any) -> None:
    """Lanes with lanes or numbers give what `result` says of them."""

    class Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, operands: Any, keywords: Any) -> Any:
            lanes = _lanes_among(operands)
            if lanes is None or not all(isinstance(one, Lanes | types.Number) for one in operands):
                return None
            return signature(result(lanes), *([lanes] * len(operands)))

    infer_global(operation)(Template)


def _infers_logic(operation: Any) -> None:
    class Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, operands: Any, keywords: Any) -> Any:
            mask = next((one for one in operands if isinstance(one, Mask)), None)
            if mask is None or not all(isinstance(one, Mask | types.Boolean) for one in operands):
                return None
            return signature(mask, *([mask] * len(operands)))

    infer_global(operation)(Template)


def _defines(operation: Any, kinds: tuple[Any, ...], generate: Any) -> None:
    lower_builtin(operation, *kinds)(generate)


def _power(context: Any, builder: Any, sig: Any, args: Any) -> Any:
    kind = args[0].type
    name = f"llvm.pow.v{kind.count}f{sig.return_type.real.bitwidth}"
    return builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind, kind]), name), args)


def _define_operators() -> None:
    for operation, instruction in _ARITHMETIC.items():
        _infers(operation, lambda lanes: lanes)

        def arithmetic(context: Any, builder: Any, sig: Any, args: Any, instruction: str = instruction) -> Any:
            return getattr(builder, instruction)(*args, flags=("contract",))

        _defines(operation, (Lanes, Lanes), arithmetic)
    for operation, sign in _COMPARISONS.items():
        _infers(operation, lambda lanes: Mask(lanes.count))

        def compare(context: Any, builder: Any, sig: Any, args: Any, sign: str = sign) -> Any:
            test = builder.fcmp_unordered if sign == "!=" else builder.fcmp_ordered
            return test(sign, *args)

        _defines(operation, (Lanes, Lanes), compare)
    for operation, instruction in _LOGIC.items():
        _infers_logic(operation)

        def logic(context: Any, builder: Any, sig: Any, args: Any, instruction: str = instruction) -> Any:
            return getattr(builder, instruction)(*args)

        _defines(operation, (Mask, Mask), logic)
    _infers(operator.pow, lambda lanes: lanes)
    _defines(operator.pow, (Lanes, Lanes), _power)
    _infers_logic(operator.invert)
    _defines(operator.invert, (Mask,), lambda context, builder, sig, args: builder.not_(args[0]))
    _infers(operator.neg, lambda lanes: lanes)
    _defines(operator.neg, (Lanes,), lambda context, builder, sig, args: builder.fneg(args[0]))


# -- functions -------------------------------------------------------------------------------------------------------


def _lanes_at(typing_context: Any, memory: Any, start: Any, shape: Any) -> Any:
    """A view of the memory whose elements are lanes: as many of them as the shape says, from a number on."""
    if not isinstance(memory, types.Array) or memory.ndim != 1:
        return None
    lanes = Lanes(memory.dtype)
    view = types.Array(lanes, len(shape), "C", aligned=False)
    return view(memory, start, shape), view_at(view)


def _lanes_at_in_python(memory: Any, start: int, shape: tuple[int, ...]) -> Any:
    count = LANES[memory.dtype.name]
    return memory[start : start + math.prod(shape) * count].reshape(*shape, count)


def _choose(typing_context: Any, test: Any, then: Any, otherwise: Any) -> Any:
    """In each lane, or of two numbers: the one where the test holds, the other elsewhere."""
    lanes = _lanes_among((then, otherwise))
    if isinstance(test, Mask):
        result = lanes or Lanes(then)
        return result(test, result, result), lambda context, builder, sig, args: builder.select(*args)
    if not isinstance(test, types.Boolean):
        return None
    result = lanes or then

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(context.cast(builder, args[0], sig.args[0], types.boolean), *args[1:])

    return result(test, result, result), generate


def _choose_in_python(test: Any, then: Any, otherwise: Any) -> Any:
    if np.ndim(test):
        return np.where(test, then, otherwise)
    return then if test else otherwise


def _numbered(typing_context: Any, like: Any, first: Any) -> Any:
    """The numbers of the samples, as lanes: first, first + 1, ..."""
    if not isinstance(like, types.Array):
        return None
    lanes = Lanes(like.dtype)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        vector = context.get_value_type(lanes)
        steps = ir.Constant(vector, [float(k) for k in range(lanes.count)])
        start = context.cast(builder, args[1], sig.args[1], lanes.real)
        return builder.fadd(spread(builder, start, vector), steps)

    return lanes(like, first), generate


def _numbered_in_python(like: Any, first: int) -> Any:
    return np.arange(first, first + LANES[like.dtype.name]).astype(like.dtype)


def _below(typing_context: Any, like: Any, count: Any) -> Any:
    """The test that holds in the first `count` lanes."""
    if not isinstance(like, types.Array):
        return None
    lanes = LANES[str(like.dtype)]

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        count = context.cast(builder, args[1], sig.args[1], types.int64)
        return _first_lanes(builder, count, lanes)

    return Mask(lanes)(like, count), generate


def _first_lanes(builder: Any, count: Any, lanes: int) -> Any:
    """The mask of the first `count` lanes."""
    most = ir.Constant(count.type, lanes)
    few = builder.select(builder.icmp_signed("<", count, most), count, most)
    numbers = ir.VectorType(ir.IntType(32), lanes)
    limit = spread(builder, builder.trunc(few, numbers.element), numbers)
    return builder.icmp_signed("<", ir.Constant(numbers, list(range(lanes))), limit)


def _below_in_python(like: Any, count: int) -> Any:
    return np.arange(LANES[like.dtype.name]) < count


def _add_sums_of_lanes(typing_context: Any, memory: Any, first: Any, rows: Any) -> Any:
    """Add the sum of the lanes of each row to the numbers from `first` on: by halves, which gives the same bits on every
    processor."""
    if not isinstance(memory, types.Array) or not isinstance(rows, types.Array) or not isinstance(rows.dtype, Lanes):
        return None
    lanes = rows.dtype

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        whole, align = ir.IntType(64), lanes.real.bitwidth // 8
        given = context.make_array(rows)(context, builder, args[2])
        (count,) = cgutils.unpack_tuple(builder, given.shape, 1)
        vector, number = context.get_value_type(lanes), context.get_value_type(lanes.real)
        source = builder.bitcast(given.data, vector.as_pointer())
        start = context.cast(builder, args[1], sig.args[1], types.intp)
        target = builder.gep(context.make_array(memory)(context, builder, args[0]).data, [start])

        def add(at: Any, together: int) -> None:
            """The sums of so many rows, which are a power of two."""
            some = [
                builder.load(builder.gep(source, [builder.add(at, ir.Constant(whole, k))]), align=align)
                for k in range(together)
            ]
            kind = ir.VectorType(number, together) if together > 1 else number
            place = builder.bitcast(builder.gep(target, [at]), kind.as_pointer())
            builder.store(builder.fadd(builder.load(place, align=align), _halved(builder, some)), place, align=align)

        zero, size = ir.Constant(whole, 0), ir.Constant(whole, lanes.count)
        most = builder.mul(builder.sdiv(count, size), size)
        with cgutils.for_range_slice(builder, zero, most, size, whole) as (at, _):
            add(at, lanes.count)
        with cgutils.for_range_slice(builder, most, count, ir.Constant(whole, 1), whole) as (at, _):
            add(at, 1)
        return context.get_dummy_value()

    return types.none(memory, first, rows), generate


def _halved(builder: Any, rows: list[Any]) -> Any:
    """The sums of vectors, as one of them or as a number: the first half of each is added to the second one, again and again,
    those of two vectors in one."""
    width = length = rows[0].type.count
    while length > 1:
        length //= 2
        several = len(rows) > 1
        pairs = list(zip(rows[::2], rows[1::2], strict=True)) if several else [(rows[0], rows[0])]
        starts = range(0, (2 if several else 1) * width, 2 * length)
        low = [start + k for start in starts for k in range(length)]
        rows = []
        for pair in pairs:
            first, second = (
                builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(ir.IntType(32), len(some)), some))
                for some in (low, [place + length for place in low])
            )
            rows.append(builder.fadd(first, second))
        width = len(low)
    (total,) = rows
    return builder.extract_element(total, ir.Constant(ir.IntType(32), 0)) if width == 1 else total


def _add_sums_of_lanes_in_python(memory: Any, first: int, rows: Any) -> None:
    for k, row in enumerate(rows):
        value = row
        while value.size > 1:
            value = value[: value.size // 2] + value[value.size // 2 :]
        memory[first + k] += value[0]


def _masked_load(builder: Any, row: Any, alive: Any, others: Any, align: int) -> Any:
    """The numbers at `row` in the lanes that are alive; the memory of the others is not touched."""
    vector = others.type
    name = f"llvm.masked.load.v{vector.count}f{8 * align}.p0"
    kinds = [row.type, ir.IntType(32), alive.type, vector]
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(vector, kinds), name)
    return builder.call(function, [row, ir.Constant(ir.IntType(32), align), alive, others])


def _transpose(builder: Any, rows: list[Any], out: Any, count: Any, align: int) -> None:
    """So many numbers of each row into as many vectors: four at a time, then two, then one, as far as they go."""
    start: Any = ir.Constant(count.type, 0)
    few = PART // (8 * align)
    while few:
        size = ir.Constant(count.type, few)
        stop = builder.add(start, builder.mul(builder.sdiv(builder.sub(count, start), size), size))
        with cgutils.for_range_slice(builder, start, stop, size, count.type) as (at, _):
            if few > 1:
                part = ir.VectorType(rows[0].type.pointee, few).as_pointer()
                lines = [builder.load(builder.bitcast(builder.gep(row, [at]), part), align=align) for row in rows]
                columns = columns_of(builder, lines)
            else:
                numbers = [builder.load(builder.gep(row, [at])) for row in rows]
                columns = [_gathered(builder, numbers, out.type.pointee)]
            for k, column in enumerate(columns):
                place = builder.gep(out, [builder.add(at, ir.Constant(count.type, k))])
                builder.store(column, place, align=align)
        start, few = stop, few // 2


def _gathered(builder: Any, numbers: list[Any], vector: Any) -> Any:
    value = ir.Constant(vector, ir.Undefined)
    for k, number in enumerate(numbers):
        value = builder.insert_element(value, number, ir.Constant(ir.IntType(32), k))
    return value


def _load_lanes(typing_context: Any, given: Any, start: Any, into: Any) -> Any:
    """The samples of an array from number `start` on, element by element, into lanes.

    The last block may have fewer samples than lanes: its last sample then stands in the others too, so that they hold
    numbers like any other.
    """
    if not isinstance(given, types.Array) or not isinstance(into, types.Array):
        return None
    lanes = into.dtype

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        source = context.make_array(given)(context, builder, args[0])
        target = context.make_array(into)(context, builder, args[2])
        whole = ir.IntType(64)
        samples, *_ = cgutils.unpack_tuple(builder, source.shape, given.ndim)
        each: Any = ir.Constant(whole, 1)
        for extent in cgutils.unpack_tuple(builder, target.shape, into.ndim):
            each = builder.mul(each, extent)
        first = context.cast(builder, args[1], sig.args[1], types.intp)
        last = builder.sub(builder.sub(samples, first), ir.Constant(whole, 1))
        vector = context.get_value_type(lanes)
        out = builder.bitcast(target.data, vector.as_pointer())
        align = lanes.real.bitwidth // 8

        if given.ndim > 1:
            rows = []
            for k in range(lanes.count):
                number = ir.Constant(whole, k)
                within = builder.icmp_signed("<", number, last)
                row = builder.mul(builder.add(first, builder.select(within, number, last)), each)
                rows.append(builder.gep(source.data, [row]))
            _transpose(builder, rows, out, each, align)
            return context.get_dummy_value()
        # numbers of samples lie side by side
        row = builder.bitcast(builder.gep(source.data, [first]), vector.as_pointer())
        left = builder.sub(samples, first)
        full = builder.icmp_signed(">=", left, ir.Constant(whole, lanes.count))
        with builder.if_else(full) as (together, otherwise):
            with together:
                builder.store(builder.load(row, align=align), out, align=align)
            with otherwise:
                ending = builder.load(builder.gep(source.data, [last]))
                others = spread(builder, ending, vector)
                alive = _first_lanes(builder, left, lanes.count)
                builder.store(_masked_load(builder, row, alive, others, align), out, align=align)
        return context.get_dummy_value()

    return types.none(given, start, into), generate


def _load_lanes_in_python(given: Any, start: int, into: Any) -> None:
    samples = given[np.minimum(np.arange(start, start + into.shape[-1]), len(given) - 1)]
    into[...] = np.moveaxis(samples, 0, -1)


if config.DISABLE_JIT:
    lanes_at, choose, load_lanes = _lanes_at_in_python, _choose_in_python, _load_lanes_in_python
    numbered, below, add_sums_of_lanes = _numbered_in_python, _below_in_python, _add_sums_of_lanes_in_python
else:
    _define_operators()
    lanes_at, choose, load_lanes = intrinsic(_lanes_at), intrinsic(_choose), intrinsic(_load_lanes)
    numbered, below, add_sums_of_lanes = intrinsic(_numbered), intrinsic(_below), intrinsic(_add_sums_of_lanes)
