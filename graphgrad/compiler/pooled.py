"""A sum over the winners of windows as it is stated, and how the copies that it works on lie in memory.

The image of a sample is copied with its channels side by side, row after row, with zeros where a kernel reads beyond the
image. Along a row, the channels of neighbouring places in a kernel then follow each other: they are one *run*, and the
kernel's sums are as many runs as it has other places. For each window there is a number, and the place in the copy at
which the kernel lies when it lies on the window's winner.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from graphgrad.compiler.stated import Access, Affine, Sum, read, read_test

SLACK = 16
"""Numbers behind a copy: the last vector may reach beyond its end."""


@dataclass(frozen=True)
class Winners:
    """`out += image * numbers`, where a window's winner is the place that is looked at."""

    sum: Sum
    winner: Access
    position: Affine

    @property
    def maps(self) -> list[str]:
        """The axes of the result that the windows have too."""
        return [axis for axis in self.sum.axes if axis in self.sum.right.axes]

    @property
    def own(self) -> list[str]:
        """The axes of the result that only the image has: channels, and places in the kernel."""
        return [axis for axis in self.sum.axes if axis not in self.sum.right.axes]

    @property
    def windows(self) -> list[str]:
        return [axis for axis in self.sum.over if axis in self.sum.right.axes]

    @property
    def inside(self) -> list[str]:
        """The axes inside of a window, the last one the fastest in the count of places."""
        return [axis for axis in self.sum.over if axis not in self.sum.right.axes]

    @property
    def fits(self) -> bool:
        """Whether it is a sum of the one kind that there is a function for."""
        stated, inside = self.sum, self.inside
        position = {axis: factor for axis, factor in self.position.terms.items() if self.extent(axis) > 1}
        in_order = {axis: self.extent(*inside[k + 1 :]) for k, axis in enumerate(inside) if self.extent(axis) > 1}
        return (
            stated.adds
            and stated.start is None
            and stated.right.indices == self.winner.indices
            and stated.right.indices == tuple(Affine({axis: 1}, 0) for axis in (*self.maps, *self.windows))
            and not self.position.constant
            and position == in_order
            and set(self.maps).isdisjoint(stated.left.axes)
            and bool(self.spatial)
            and set(self.own) <= set(stated.left.axes)
        )

    def extent(self, *axes: str) -> int:
        return math.prod(self.sum.extents[axis] for axis in axes)

    # -- the copy of the image -----------------------------------------------------------------------------------

    @cached_property
    def channels(self) -> list[int]:
        """The indices of the image that are an axis of the result, and nothing else has to do with that axis."""
        indices = self.sum.left.indices
        return [
            k
            for k, index in enumerate(indices)
            if not index.constant
            and list(index.terms.values()) == [1]
            and set(index.terms) <= set(self.own)
            and sum(not index.terms.keys().isdisjoint(other.terms) for other in indices) == 1
        ]

    @cached_property
    def spatial(self) -> list[int]:
        """The indices of the image along which windows lie."""
        return [k for k in range(len(self.sum.left.indices)) if k not in self.channels]

    def first(self, k: int) -> int:
        """Where the copy begins along an index: before the image, where the kernel reaches out of it."""
        index = self.sum.left.indices[k]
        return index.constant + sum(min(0, f * (self.extent(axis) - 1)) for axis, f in index.terms.items())

    def reach(self, k: int) -> int:
        """How many places the copy has along an index."""
        index = self.sum.left.indices[k]
        return 1 + sum(abs(factor) * (self.extent(axis) - 1) for axis, factor in index.terms.items())

    @cached_property
    def step(self) -> Mapping[int, int]:
        """How far apart in the copy neighbours along an index lie; channels are next to each other."""
        steps, count = {}, 1
        for k in reversed([*self.spatial, *self.channels]):
            steps[k] = count
            count *= self.reach(k)
        return steps

    def moves(self, axis: str) -> int:
        """How far an axis moves in the copy."""
        indices = self.sum.left.indices
        return sum(index.terms.get(axis, 0) * self.step[k] for k, index in enumerate(indices))

    @property
    def start(self) -> int:
        """The place in the copy where all axes are 0."""
        return sum((self.sum.left.indices[k].constant - self.first(k)) * self.step[k] for k in self.spatial)

    # -- the kernel's sums ---------------------------------------------------------------------------------------

    @cached_property
    def along(self) -> str | None:
        """The axis of the kernel that goes along a row, one place after the other."""
        last = self.sum.left.indices[self.spatial[-1]]
        found = [axis for axis in self.own if last.terms.get(axis) == 1 and self.moves(axis) == self.width]
        return found[0] if len(found) == 1 else None

    @property
    def width(self) -> int:
        """How many channels there are."""
        return math.prod(self.reach(k) for k in self.channels)

    @property
    def run(self) -> int:
        """How many of the kernel's sums lie beside each other as their places in the copy do."""
        return self.width * (self.extent(self.along) if self.along else 1)

    @cached_property
    def others(self) -> list[str]:
        """The axes of the kernel along which one run follows another."""
        inside = {axis for k in self.channels for axis in self.sum.left.indices[k].terms}
        return [axis for axis in self.own if axis not in inside and axis != self.along]

    @property
    def runs(self) -> list[int]:
        """Where in the copy each run begins, seen from the kernel's own place."""
        every = itertools.product(*(range(self.extent(axis)) for axis in self.others))
        return [sum(at * self.moves(axis) for axis, at in zip(self.others, places, strict=True)) for places in every]

    @property
    def padded(self) -> int:
        """The room of a run of sums: vectors may reach beyond its end."""
        return -(-self.run // SLACK) * SLACK

    @property
    def products(self) -> int:
        """How many products there are for one sample."""
        return self.extent(*self.maps, *self.windows) * len(self.runs) * self.run

    # -- all of it -----------------------------------------------------------------------------------------------

    @property
    def image(self) -> int:
        """The numbers of a sample's image."""
        return -(-math.prod(map(self.reach, self.spatial)) * self.width // SLACK) * SLACK + SLACK

    @property
    def count(self) -> int:
        """The numbers of a sample's windows."""
        return -(-self.extent(*self.maps, *self.windows) // SLACK) * SLACK + SLACK

    @property
    def sums(self) -> int:
        """The numbers of all sums."""
        return self.extent(*self.maps) * len(self.runs) * self.padded

    def room(self, lanes: int) -> int:
        """The numbers that one sample of a block of so many takes: image, windows' numbers and places, a share of sums."""
        return self.image + 2 * self.count + -(-self.sums // lanes)


def read_winners(text: str, extents: Mapping[str, int], where: str) -> Winners:
    """The sum that a text states. Raises ValueError where it is none that is computed so."""
    found = Winners(read(text, extents, {}, {}, None), *read_test(where))
    if not found.fits:
        raise ValueError(f"{text} where {where}: no sum over the winners of windows")
    return found
