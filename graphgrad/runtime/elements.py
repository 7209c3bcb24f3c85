"""Arrays of a step as it is translated, and where their elements lie: constants stay constants as far as they go."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba.core import cgutils
from numba.np.arrayobj import populate_array

from graphgrad.runtime.lanes import Lanes

WHOLE = ir.IntType(64)


@dataclass(eq=False)
class View:
    """An array: where it begins, and its extents and strides in elements, as constants where they are known."""

    context: Any
    builder: Any
    kind: Any
    data: Any
    extents: list[Any]
    strides: list[Any]
    given: Any = None

    @classmethod
    def of(cls, context: Any, builder: Any, kind: Any, value: Any) -> View:
        """The view that an array of Numba's is."""
        array = context.make_array(kind)(context, builder, value)
        extents = cgutils.unpack_tuple(builder, array.shape, kind.ndim)
        if kind.layout == "C":
            return cls(context, builder, kind, array.data, extents, in_order(builder, extents), value)
        size = ir.Constant(WHOLE, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
        strides = [builder.sdiv(stride, size) for stride in cgutils.unpack_tuple(builder, array.strides, kind.ndim)]
        return cls(context, builder, kind, array.data, extents, strides, value)

    @property
    def value(self) -> Any:
        """The same as an array of Numba's."""
        if self.given is not None:
            return self.given
        b, size = self.builder, self.context.get_abi_sizeof(self.context.get_data_type(self.kind.dtype))
        array = self.context.make_array(self.kind)(self.context, b)
        populate_array(
            array,
            data=self.data,
            shape=self.extents,
            strides=[times(b, stride, ir.Constant(WHOLE, size)) for stride in self.strides],
            itemsize=ir.Constant(WHOLE, size),
            meminfo=None,
            parent=None,
        )
        return array._getvalue()

    def element(self, index: Sequence[Any]) -> Any:
        """Where an element lies."""
        b = self.builder
        at: Any = ir.Constant(WHOLE, 0)
        for place, stride in zip(index, self.strides, strict=True):
            at = plus(b, at, times(b, place, stride))
        return b.gep(self.data, [at])

    @property
    def align(self) -> int | None:
        """Lanes begin wherever a number does."""
        return self.kind.dtype.real.bitwidth // 8 if isinstance(self.kind.dtype, Lanes) else None


def times(builder: Any, x: Any, y: Any) -> Any:
    if isinstance(x, ir.Constant) and isinstance(y, ir.Constant):
        return ir.Constant(WHOLE, x.constant * y.constant)
    if 1 in (getattr(x, "constant", None), getattr(y, "constant", None)):
        return y if getattr(x, "constant", None) == 1 else x
    return builder.mul(x, y, flags=("nsw",))


def plus(builder: Any, x: Any, y: Any) -> Any:
    if isinstance(x, ir.Constant) and isinstance(y, ir.Constant):
        return ir.Constant(WHOLE, x.constant + y.constant)
    if 0 in (getattr(x, "constant", None), getattr(y, "constant", None)):
        return y if getattr(x, "constant", None) == 0 else x
    return builder.add(x, y, flags=("nsw",))


def minus(builder: Any, x: Any, y: Any) -> Any:
    if isinstance(x, ir.Constant) and isinstance(y, ir.Constant):
        return ir.Constant(WHOLE, x.constant - y.constant)
    return builder.sub(x, y, flags=("nsw",))


ON_WHOLE = {operator.add: plus, operator.sub: minus, operator.mul: times}


def in_order(builder: Any, extents: Sequence[Any]) -> list[Any]:
    strides: list[Any] = []
    each: Any = ir.Constant(WHOLE, 1)
    for extent in reversed(extents):
        strides.insert(0, each)
        each = times(builder, each, extent)
    return strides
