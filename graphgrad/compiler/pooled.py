"""A sum over the winners of windows as it is stated, and how the copies that it works on lie in memory.

The image of a sample is copied with its channels side by side, row after row, with zeros where a kernel reads beyond the
image. Along a row, the channels of neighbouring places in a kernel then follow each other: they are one *run*, and a
kernel is as many runs as it has other places. For each window there is a number, and the place in the copy at which the
kernel lies when it lies on the window's winner.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from graphgrad.compiler.stated import Access, Affine, read, read_test

WIDE = 16
"""The most numbers of a vector. Copies and runs are multiples of it, and the copies have as many to spare behind them,
where the last vector may reach; and so many maps are looked at together."""

SHARE = 0.85
"""Which share of the time of all products it may take."""

WAIT = 15
"""What it costs, in products of vectors, that a processor cannot foresee which maps have their winner at a place."""

LEAST = 64
"""From how many products of vectors on a function of its own is worth while."""


@dataclass(frozen=True)
class Winners:
    """A product of a kernel with the numbers of windows, or of an image with them, where a window's winner lies.

    `to_image` says that the image is the result, and not the kernel.
    """

    image: Access
    kernel: Access
    numbers: Access
    winner: Access
    position: Affine
    extents: Mapping[str, int]
    to_image: bool

    @property
    def maps(self) -> list[str]:
        """The axes that kernel and windows have in common."""
        return [axis for axis in self.kernel.axes if axis in self.numbers.axes]

    @property
    def own(self) -> list[str]:
        """The axes that kernel and image have in common: channels, and places in the kernel."""
        return [axis for axis in self.kernel.axes if axis not in self.numbers.axes]

    @property
    def windows(self) -> list[str]:
        return [axis for axis in self.numbers.axes if axis not in self.kernel.axes]

    @property
    def inside(self) -> list[str]:
        """The axes inside of a window, the last one the fastest in the count of places."""
        return [axis for axis in self.extents if axis in self.position.terms]

    @property
    def fits(self) -> bool:
        """Whether it is a sum of the one kind that there is a function for."""
        inside = self.inside
        every = [*self.maps, *self.own, *self.windows, *inside]
        return (
            self.numbers.indices == self.winner.indices
            and self.numbers.indices == tuple(Affine({axis: 1}, 0) for axis in (*self.maps, *self.windows))
            and self.kernel.indices == tuple(Affine({axis: 1}, 0) for axis in self.kernel.axes)
            and not self.position.constant
            and all(self.position.terms[axis] == self.extent(*inside[k + 1 :]) for k, axis in enumerate(inside))
            and {axis for axis in every if self.extent(axis) > 1 and axis not in self.maps} <= set(self.image.axes)
            and set(self.image.axes) <= {*self.own, *self.windows, *inside}
            and sorted(every) == sorted(self.extents)
            and bool(self.spatial)
            and all(len({axis for axis in index.terms if axis in self.own}) <= 1 for index in self.image.indices)
        )

    def extent(self, *axes: str) -> int:
        return math.prod(self.extents[axis] for axis in axes)

    # -- the copy of the image -----------------------------------------------------------------------------------

    @cached_property
    def channels(self) -> list[int]:
        """The indices of the image that are an axis of the result, and nothing else has to do with that axis."""
        indices = self.image.indices
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
        return [k for k in range(len(self.image.indices)) if k not in self.channels]

    def first(self, k: int) -> int:
        """Where the copy begins along an index: before the image, where the kernel reaches out of it."""
        index = self.image.indices[k]
        return index.constant + sum(min(0, f * (self.extent(axis) - 1)) for axis, f in index.terms.items())

    def reach(self, k: int) -> int:
        """How many places the copy has along an index."""
        index = self.image.indices[k]
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
        indices = self.image.indices
        return sum(index.terms.get(axis, 0) * self.step[k] for k, index in enumerate(indices))

    @property
    def start(self) -> int:
        """The place in the copy where all axes are 0."""
        return sum((self.image.indices[k].constant - self.first(k)) * self.step[k] for k in self.spatial)

    # -- the kernel ----------------------------------------------------------------------------------------------

    @cached_property
    def along(self) -> str | None:
        """The axis of the kernel that goes along a row, one place after the other."""
        last = self.image.indices[self.spatial[-1]]
        found = [axis for axis in self.own if last.terms.get(axis) == 1 and self.moves(axis) == self.width]
        return found[0] if len(found) == 1 else None

    @property
    def width(self) -> int:
        """How many channels there are."""
        return math.prod(self.reach(k) for k in self.channels)

    @property
    def run(self) -> int:
        """How many numbers of the kernel lie beside each other as their places in the copy do."""
        return self.width * (self.extent(self.along) if self.along else 1)

    @cached_property
    def others(self) -> list[str]:
        """The axes of the kernel along which one run follows another."""
        inside = {axis for k in self.channels for axis in self.image.indices[k].terms}
        return [axis for axis in self.own if axis not in inside and axis != self.along]

    @property
    def runs(self) -> list[int]:
        """Where in the copy each run begins, seen from the kernel's own place."""
        every = itertools.product(*(range(self.extent(axis)) for axis in self.others))
        return [sum(at * self.moves(axis) for axis, at in zip(self.others, places, strict=True)) for places in every]

    @property
    def padded(self) -> int:
        """The room of a run: vectors may reach beyond its end."""
        return -(-self.run // WIDE) * WIDE

    @property
    def pays(self) -> bool:
        """Whether it is worth a function of its own: where it takes less time than all products do.

        Counted in vectors of float32: all products fill them with samples, these with a run, as far as it goes. Where the image is
        the result, each place in a window takes the image's numbers out and puts them back for each block of maps.
        """
        maps, places, lanes = self.extent(*self.maps), self.extent(*self.inside), WIDE
        vectors = len(self.runs) * -(-self.run // lanes)
        every = places * maps * len(self.runs) * self.run / lanes
        moved = places * -(-maps // lanes) * (2 * vectors + WAIT) if self.to_image else 0
        return maps * vectors + moved <= SHARE * every and every * self.extent(*self.windows) >= LEAST

    # -- all of it -----------------------------------------------------------------------------------------------

    @property
    def copy(self) -> int:
        """The numbers of the copy of a sample's image."""
        return -(-math.prod(map(self.reach, self.spatial)) * self.width // WIDE) * WIDE + WIDE

    @property
    def maps_padded(self) -> int:
        """The numbers of a window, which lie beside each other where the image is the result."""
        return -(-self.extent(*self.maps) // WIDE) * WIDE

    @property
    def count(self) -> int:
        """The numbers of a sample's windows."""
        maps = self.maps_padded if self.to_image else self.extent(*self.maps)
        return -(-maps * self.extent(*self.windows) // WIDE) * WIDE + WIDE

    @property
    def weights(self) -> int:
        """The numbers of the kernel, its runs each with room to spare."""
        return self.extent(*self.maps) * len(self.runs) * self.padded

    def room(self, lanes: int) -> int:
        """The numbers that each sample of so many takes: the copy, windows' numbers and places, a share of the kernel."""
        return self.copy + 2 * self.count + -(-self.weights // lanes)


def read_winners(text: str, extents: Mapping[str, int], where: str) -> Winners:
    """The sum that a text states: `kernel += image * numbers` or `image = kernel * numbers`.

    Raises ValueError where it is none that is computed so.
    """
    stated = read(text, extents, {}, {}, None)
    image, kernel = (stated.left, stated.out) if stated.adds else (stated.out, stated.left)
    found = Winners(image, kernel, stated.right, *read_test(where), extents, not stated.adds)
    if stated.start is not None or not found.fits:
        raise ValueError(f"{text} where {where}: no sum over the winners of windows")
    return found
