"""Windows that slide along axes: what convolution, local connection and pooling have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphgrad.graph import Axis, GraphError, Index, Misfit
from graphgrad.graph.node import clipped

Whole = int | tuple[int, ...]
Padding = int | tuple[int, ...] | str

POSITIONS, OFFSETS = "ijl", "pqr"
"""What the axes of positions and those inside of a window are called in an index formula."""


def whole(who: str, option: str, value: Any) -> int:
    """The option as a whole number; raises GraphError for anything else."""
    if not hasattr(value, "__index__") or isinstance(value, bool):
        raise GraphError(f"{who}: {option} is {clipped(repr(value))}, which is no whole number")
    return int(value.__index__())


def wholes(who: str, option: str, value: Any) -> Whole:
    """The option as a whole number or a tuple of them; raises GraphError for anything else."""
    if isinstance(value, tuple | list):
        return tuple(whole(who, option, one) for one in value)
    return whole(who, option, value)


def each(
    option: str, value: Whole, count: int, least: int, what: str = "axes along which it slides"
) -> tuple[int, ...]:
    """The option for each axis. Raises Misfit where one is too small, or where there are not as many as axes."""
    given = value if isinstance(value, tuple) else (value,) * count
    if len(given) != count:
        raise Misfit(f"{option} is {value}, and there are {count} {what}")
    for one in given:
        if one < least:
            raise Misfit(f"{option} is {value}, and cannot be below {least}")
    return given


@dataclass(frozen=True, slots=True)
class Slide:
    """Windows along one axis: `reach` elements that are `dilation` apart, every `stride`, from `-before` on.

    With `beyond`, the last may reach beyond the padding at the end, if it begins before it.
    """

    extent: int
    reach: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    after: int = 0
    beyond: bool = False

    @property
    def span(self) -> int:
        """From the first element of a window to its last, both counted."""
        return self.dilation * (self.reach - 1) + 1

    @property
    def count(self) -> int:
        """How many windows there are; below 1 where not one fits."""
        room = self.extent + self.before + self.after - self.span
        if not self.beyond:
            return room // self.stride + 1
        count = -(-room // self.stride) + 1
        return count - ((count - 1) * self.stride >= self.extent + self.before)

    def index(self, position: Axis, offset: Axis) -> Index:
        """Where a window reads."""
        terms = ((position, self.stride), (offset, self.dilation))
        return Index(tuple(term for term in terms if term[0].extent != 1), -self.before)

    def index_back(self, place: Axis, offset: Axis) -> Index:
        """The window whose element at this offset is this place."""
        return Index(((place, 1), (offset, -self.dilation)), self.before, self.stride)


def slides(
    shape: tuple[int, ...],
    reach: tuple[int, ...],
    stride: Whole,
    padding: Padding,
    dilation: Whole,
    beyond: bool = False,
) -> tuple[Slide, ...]:
    """The windows along the last axes of a shape, as many as `reach` is for.

    Raises Misfit for options that do not fit, or windows that fit nowhere.
    """
    count, first = len(reach), len(shape) - len(reach)
    strides, dilations = each("stride", stride, count, 1), each("dilation", dilation, count, 1)
    if isinstance(padding, str) and padding not in ("same", "valid"):
        raise Misfit(f'padding is "{padding}"; the words for it are "same" and "valid"')
    found = []
    pads = (0,) * count if isinstance(padding, str) else each("padding", padding, count, 0)
    for axis, extent, r, s, d, p in zip(
        range(first, len(shape)), shape[first:], reach, strides, dilations, pads, strict=True
    ):
        slide = Slide(extent, r, s, d, p, p, beyond)
        if padding == "same":
            needed = max((-(-extent // s) - 1) * s + slide.span - extent, 0)
            slide = Slide(extent, r, s, d, needed // 2, needed - needed // 2)
        if slide.count < 1:
            padded = f" and {slide.before + slide.after} of padding" if slide.before + slide.after else ""
            raise Misfit(
                f"a window over {slide.span} elements does not fit along axis {axis} of {{0}}, which has "
                f"{extent}{padded}: the output has no extent"
            )
        found.append(slide)
    return tuple(found)


def options(**given: tuple[Any, Any]) -> str:
    """The options of the text form that differ from their defaults, out of (value, default) by name."""
    return ", ".join(
        f"{name}={value!r}".replace("'", '"') for name, (value, default) in given.items() if value != default
    )
