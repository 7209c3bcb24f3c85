"""Sums over the winners of windows: against the products of all, with zeros in place of what does not win."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from graphgrad.compiler.pooled import read_winners
from graphgrad.compiler.units import LANES
from graphgrad.runtime.lanes import below, lanes_at
from graphgrad.runtime.winners import of_winners

KERNEL = "K[i, j, k, m] += x[j, {w} * p + r + k - {pad}, {w} * q + u + m - {pad}] * d[i, p, q]"
IMAGE = "x[j, {w} * p + r + k - {pad}, {w} * q + u + m - {pad}] = K[i, j, k, m] * d[i, p, q]"


class Case:
    """A convolution of a few maps, its pooling, and random numbers, side by side as samples on lanes are."""

    def __init__(self, maps, channels, windows, size, pad, pool, dtype, more=0, seed=0):
        self.extents = dict(i=maps, j=channels, k=size, m=size, p=windows, q=windows, r=pool, u=pool)  # noqa: C408
        self.where = f"w[i, p, q] == {pool} * r + u"
        self.pad, self.pool, self.dtype, self.lanes = pad, pool, dtype, LANES[dtype]
        self.side = side_of({"pool": pool, "windows": windows, "size": size, "pad": pad, "more": more})
        numbers = np.random.default_rng(seed)
        self.x = numbers.normal(size=(channels, self.side, self.side, self.lanes)).astype(dtype)
        self.K = numbers.normal(size=(maps, channels, size, size)).astype(dtype)
        self.d = numbers.normal(size=(maps, windows, windows, self.lanes)).astype(dtype)
        self.w = numbers.integers(0, pool**2, self.d.shape).astype(dtype)

    def function(self, form):
        text = form.format(w=self.pool, pad=self.pad).replace(" - 0", "")
        self.room = read_winners(text, self.extents, self.where).room(self.lanes)
        return of_winners(text, self.extents, where=self.where, registers=24, room=self.room, lanes=self.lanes)

    def memory(self):
        parts = [self.x.ravel(), self.d.ravel(), self.w.ravel(), np.full(self.room * self.lanes, np.nan, self.dtype)]
        ends = np.cumsum([part.size for part in parts])
        return np.concatenate(parts), [0, *map(int, ends[:-1])]

    def to_kernel(self, alive):
        sum_ = self.function(KERNEL)
        memory, at = self.memory()
        at, shapes, room = tuple(at), (self.x.shape[:-1], self.d.shape[:-1]), self.room

        @njit
        def run(out, memory):
            test = below(memory, alive)
            x, d = lanes_at(memory, at[0], shapes[0]), lanes_at(memory, at[1], shapes[1])
            w, copies = lanes_at(memory, at[2], shapes[1]), lanes_at(memory, at[3], (room,))
            sum_(out, x, d, w, copies, test)

        out = np.ones_like(self.K)
        run(out, memory)
        return out

    def to_image(self):
        sum_ = self.function(IMAGE)
        memory, at = self.memory()
        at, shapes, room = tuple(at), (self.x.shape[:-1], self.d.shape[:-1]), self.room

        @njit
        def run(K, memory):
            x, d = lanes_at(memory, at[0], shapes[0]), lanes_at(memory, at[1], shapes[1])
            w, copies = lanes_at(memory, at[2], shapes[1]), lanes_at(memory, at[3], (room,))
            sum_(x, K, d, w, copies)

        memory[: self.x.size] = np.nan
        run(self.K, memory)
        return memory[: self.x.size].reshape(self.x.shape)

    def map(self):
        """What comes back to the whole map: 0 but at the winners."""
        count = self.pool * self.d.shape[1]
        found = np.zeros((self.d.shape[0], count, count, self.lanes))
        for place in range(self.pool**2):
            r, u = divmod(place, self.pool)
            found[:, r :: self.pool, u :: self.pool] = np.where(self.w == place, self.d, 0)
        return found

    def close(self, got, expected):
        bound = (1e-13 if self.dtype == "float64" else 1e-5) * np.abs(expected).max()
        np.testing.assert_allclose(got, expected, rtol=0, atol=bound)


def side_of(given):
    """How many places an image has along each side."""
    return given["pool"] * given["windows"] + given["size"] - 1 - 2 * given["pad"] + given["more"]


cases = (
    st.fixed_dictionaries(
        {
            "maps": st.integers(1, 35),
            "channels": st.sampled_from([1, 2, 3, 8, 16, 19]),
            "windows": st.integers(1, 5),
            "size": st.integers(1, 5),
            "pad": st.integers(0, 1),
            "pool": st.sampled_from([1, 2, 3]),
            "dtype": st.sampled_from(["float32", "float64"]),
            "more": st.integers(0, 2),
        }
    )
    .filter(lambda given: side_of(given) >= 1)
    .map(lambda given: Case(**given))
)


@settings(max_examples=12, deadline=None)
@given(case=cases, alive=st.integers(1, 16))
def test_the_kernels_gradient_is_that_of_the_map_with_its_zeros(case, alive):
    got, back, size = case.to_kernel(alive), case.map()[..., :alive], case.extents["k"]
    wide = np.pad(case.x[..., :alive].astype(float), [(0, 0), (case.pad,) * 2, (case.pad,) * 2, (0, 0)])
    count, expected = back.shape[1], np.ones(case.K.shape)
    for k in range(size):
        for m in range(size):
            seen = wide[:, k : k + count, m : m + count]
            expected[:, :, k, m] += np.einsum("iyxn,cyxn->ic", back, seen)
    case.close(got, expected)


@settings(max_examples=12, deadline=None)
@given(case=cases)
def test_the_images_gradient_is_that_of_the_map_with_its_zeros(case):
    got, back, size = case.to_image(), case.map(), case.extents["k"]
    count = back.shape[1]
    wide = np.zeros((case.x.shape[0], case.side + 2 * case.pad, case.side + 2 * case.pad, case.lanes))
    for k in range(size):
        for m in range(size):
            wide[:, k : k + count, m : m + count] += np.einsum("iyxn,ic->cyxn", back, case.K[:, :, k, m].astype(float))
    inner = slice(case.pad, case.pad + case.side)
    case.close(got, wide[:, inner, inner])


def test_an_infinite_weight_reaches_only_where_it_is_read():
    case = Case(20, 3, 3, 3, 0, 2, "float32")
    case.K[...] = 1
    case.K[4, 1, 2, 2] = np.inf
    case.d[...] = 1
    case.w[...] = 0
    got = case.to_image()
    reached = np.zeros(got.shape, bool)
    reached[1, 2::2, 2::2] = True  # the kernel's last place, under the first of each window
    np.testing.assert_array_equal(np.isinf(got), reached[:, : got.shape[1], : got.shape[2]])
    assert not np.isnan(got).any()


def test_windows_beside_the_image_write_nowhere_else():
    text, where = "K[i, j, k] += x[j, p - 40 + k] * d[i, m]", "w[i, m] == p"
    extents = dict(i=8, j=64, k=1, m=1, p=2)  # noqa: C408
    room = read_winners(text, extents, where).room(16)
    sum_ = of_winners(text, extents, where=where, registers=24, room=room, lanes=16)
    ends = [0, 64 * 16, 64 * 16 + 128, 64 * 16 + 256, 64 * 16 + 256 + 16 * room]

    @njit
    def run(out, memory):
        x, d = lanes_at(memory, ends[0], (64, 1)), lanes_at(memory, ends[1], (8, 1))
        w, copies = lanes_at(memory, ends[2], (8, 1)), lanes_at(memory, ends[3], (room,))
        sum_(out, x, d, w, copies, below(memory, 16))

    ends = tuple(ends)
    memory, out = np.ones(ends[-1] + 4096, np.float32), np.zeros((8, 64, 1), np.float32)
    run(out, memory)
    assert not out.any(), "all that is read is 0"
    assert (memory[ends[-1] :] == 1).all()


def test_a_sum_has_the_same_bits_again():
    case = Case(20, 8, 4, 3, 1, 2, "float32")
    np.testing.assert_array_equal(case.to_kernel(16), case.to_kernel(16))
    np.testing.assert_array_equal(case.to_image(), case.to_image())


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("K[i, j, k] = x[j, 2 * p + r + k] * d[i, p]", "w[i, p] == r"),
        ("K[i, j, k] += x[j, 2 * p + r + k] * d[i, p]", "w[p, i] == r"),
        ("K[i, j, k] += x[j, 2 * p + r + k] * d[i, p]", "w[i, p] == r + 1"),
        ("K[i, j, k] += x[i, 2 * p + r + k] * d[i, p]", "w[i, p] == r"),
        ("K[i, j, k] += b[i] + x[j, 2 * p + r + k] * d[i, p]", "w[i, p] == r"),
        ("x[j + k, 2 * p + r] = K[i, j, k] * d[i, p]", "w[i, p] == r"),
    ],
)
def test_what_is_no_such_sum_is_refused(text, where):
    with pytest.raises(ValueError, match="no sum over the winners of windows"):
        of_winners(text, dict(i=4, j=3, k=3, p=5, r=2), where=where, registers=24, room=10**6)  # noqa: C408


def test_too_little_room_is_refused():
    text, where = "K[i, j, k] += x[j, 2 * p + r + k] * d[i, p]", "w[i, p] == r"
    extents = dict(i=4, j=3, k=3, p=5, r=2)  # noqa: C408
    least = read_winners(text, extents, where).room(1)
    of_winners(text, extents, where=where, registers=24, room=least)
    with pytest.raises(ValueError, match=f"takes {least} numbers, and there is room for {least - 1}"):
        of_winners(text, extents, where=where, registers=24, room=least - 1)
