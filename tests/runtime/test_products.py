"""Products of matrices: NumPy's product, in one piece or in the shares of threads, whatever the shapes and the order."""

import re

import numpy as np
import pytest
from numba import config, float32, float64, njit

from graphgrad.compiler.panels import DEEP, HIGH, Panels, panels_of
from graphgrad.compiler.units import MEETING, SHARING
from graphgrad.runtime import gemm
from graphgrad.runtime.products import add_product, add_share_of_product, product, share_of_product
from graphgrad.runtime.shares import ENDS, MOST, ONE

random = np.random.default_rng(8)


@njit
def whole(out, left, right, room):
    product(out, left, right, room)


@njit
def share(out, left, right, room, memory, thread, threads):
    share_of_product(out, left, right, room, memory, thread, threads)


@njit
def added(out, left, right, scale, keep, room):
    add_product(out, left, right, scale, keep, room)


@njit
def added_share(out, left, right, scale, keep, room, memory, thread, threads):
    add_share_of_product(out, left, right, scale, keep, room, memory, thread, threads)


def room_for(dtype):
    """As much as a product asks for, and numbers behind it that it leaves alone."""
    count = panels_of(64 // np.dtype(dtype).itemsize).room
    return np.full(count + 64, 7, dtype), count


def matrices(rows, inner, columns, dtype, left_turned, right_turned):
    left, right = random.normal(size=(rows, inner)).astype(dtype), random.normal(size=(inner, columns)).astype(dtype)
    a = np.ascontiguousarray(left.T).T if left_turned else left
    b = np.ascontiguousarray(right.T).T if right_turned else right
    return a, b, left.astype(float) @ right


TURNED = pytest.mark.parametrize(
    ("left_turned", "right_turned"), [(a, b) for a in (False, True) for b in (False, True)]
)
COMPILED = pytest.mark.skipif(config.DISABLE_JIT, reason="NumPy's products are shared equally")
PRECISIONS = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.mark.parametrize(("rows", "columns"), [(1, 5), (2, 5), (7, 5), (40, 5), (7, 40), (33, 70), (1, 100), (48, 48)])
@TURNED
@PRECISIONS
def test_shares_make_up_the_product(rows, columns, left_turned, right_turned, dtype):
    a, b, expected = matrices(rows, 11, columns, dtype, left_turned, right_turned)
    close = {"rtol": 1e-4 if dtype is np.float32 else 1e-12, "atol": 1e-5}
    room, _ = room_for(dtype)
    out = np.full((rows, columns), np.nan, dtype)
    whole(out, a, b, room)
    np.testing.assert_allclose(out, expected, **close)
    before = random.normal(size=out.shape).astype(dtype)
    summed = before.copy()
    added(summed, a, b, dtype(0.5), dtype(-2.0), room)
    np.testing.assert_allclose(summed, -2 * before + 0.5 * expected, **close)
    memory = np.zeros(MEETING + SHARING, dtype)
    for threads in (1, 2, 3):
        parts, sums = np.full((threads, rows, columns), np.nan, dtype), before.copy()
        for thread in range(threads):
            share(parts[thread], a, b, room, memory, thread, threads)
            added_share(sums, a, b, dtype(0.5), dtype(-2.0), room, memory, thread, threads)
        made = np.isfinite(parts)
        assert (made.sum(0) == 1).all()  # each number by one thread
        assert made.sum((1, 2)).max() <= (
            max(rows, columns) / threads + min(32, max(rows, columns) / threads + 1)
        ) * min(rows, columns)
        tolerance = close if config.DISABLE_JIT else {"rtol": 0, "atol": 0}  # NumPy's product rounds by the shape
        np.testing.assert_allclose(np.nansum(parts, 0), out, **tolerance)  # the same bits, whoever makes a number
        np.testing.assert_allclose(sums, summed, **tolerance)


@COMPILED
@pytest.mark.parametrize(("rows", "columns"), [(300, 70), (70, 300), (3, 5)])
@pytest.mark.parametrize("ends", [[0, 0, 1], [0, 0.1, 0.9, 1], [0, 0.72, 1], [0, 1, 1, 1]])
def test_whatever_the_shares_the_product_has_the_same_bits(rows, columns, ends):
    random = np.random.default_rng(4)
    left, right = random.normal(size=(rows, 30)), random.normal(size=(30, columns))
    room, memory = np.zeros(panels_of(8).room), np.zeros(MEETING + SHARING)
    expected, out = np.empty((rows, columns)), np.full((rows, columns), np.nan)
    whole(expected, left, right, room)
    memory[ENDS : ENDS + len(ends)] = (np.array(ends) * ONE).astype(np.int64).view(float)
    for thread in range(len(ends) - 1):
        share(out, left, right, room, memory, thread, len(ends) - 1)
    np.testing.assert_array_equal(out, expected)


@COMPILED
def test_more_threads_than_have_shares_of_their_own_size_make_the_product():
    random = np.random.default_rng(4)
    left, right = random.normal(size=(5, 30)), random.normal(size=(30, 1100))
    room, memory, threads = np.zeros(panels_of(8).room), np.zeros(MEETING + SHARING), MOST + 2
    out = np.full((5, 1100), np.nan)
    for thread in range(threads):
        share(out, left, right, room, memory, thread, threads)
    np.testing.assert_allclose(out, left @ right, rtol=1e-12, atol=1e-13)
    assert not memory.any()


@pytest.mark.parametrize(
    ("rows", "inner", "columns"),
    [(2 * HIGH + 1, 5, 20), (3, 2 * DEEP + 1, 35), (HIGH + 3, DEEP + 3, 17), (HIGH, DEEP, 64), (1, 4 * DEEP - 1, 1)],
)
@TURNED
@PRECISIONS
def test_large_matrices_are_multiplied_block_by_block(rows, inner, columns, left_turned, right_turned, dtype):
    a, b, expected = matrices(rows, inner, columns, dtype, left_turned, right_turned)
    bound = 2 * inner * np.finfo(dtype).eps * (abs(a.astype(float)) @ abs(b.astype(float)))  # Higham, chapter 3
    room, count = room_for(dtype)
    out = np.full((rows, columns), np.nan, dtype)
    whole(out, a, b, room)
    assert (abs(out - expected) <= bound).all()
    before = random.normal(size=out.shape).astype(dtype)
    summed = before.copy()
    added(summed, a, b, dtype(0.5), dtype(-2.0), room)
    assert (abs(summed - (0.5 * expected - 2 * before)) <= bound + 4 * np.finfo(dtype).eps * abs(before)).all()
    assert (room[count:] == 7).all()


@pytest.mark.skipif(config.DISABLE_JIT, reason="NumPy has tiles of its own")
@pytest.mark.parametrize("tile", [Panels(12, 32, 16), Panels(6, 16, 8), Panels(6, 8, 4), Panels(12, 8, 4)])
@TURNED
def test_the_tiles_of_other_processors_give_the_same_product(monkeypatch, tile, left_turned, right_turned):
    """AVX-512, AVX2, SSE, ARM: LLVM writes registers that are not there as several."""
    monkeypatch.setattr(gemm, "panels_of", lambda lanes: tile)
    a, b, expected = matrices(tile.rows + HIGH + 1, DEEP + 19, 75, np.float32, left_turned, right_turned)
    room = np.full(tile.room + 64, 7, np.float32)
    out = np.full(expected.shape, np.nan, np.float32)
    njit(whole.py_func)(out, a, b, room)
    np.testing.assert_allclose(out, expected, atol=1e-3)
    assert (room[tile.room :] == 7).all()


@pytest.mark.parametrize("inner", [3, DEEP + 9])
@TURNED
def test_what_is_no_number_stays_in_its_row_and_its_column(inner, left_turned, right_turned):
    a, b, _ = matrices(9, inner, 21, np.float32, left_turned, right_turned)
    a[4, 1], b[2, 17] = np.nan, np.inf
    room, _ = room_for(np.float32)
    room[:] = np.nan
    out = np.empty((9, 21), np.float32)
    whole(out, a, b, room)
    there = np.zeros(out.shape, bool)
    there[4], there[:, 17] = True, True
    np.testing.assert_array_equal(np.isfinite(out), ~there)


@pytest.mark.skipif(config.DISABLE_JIT or config.BOUNDSCHECK, reason="reads the machine code of a tile")
@pytest.mark.parametrize("real", [float32, float64])
def test_the_sums_of_a_tile_stay_in_registers(real):
    one = njit((real[:, ::1], real[:, ::1], real[:, ::1], real[::1]))(whole.py_func)
    (machine_code,) = one.inspect_asm().values()
    straight = re.split(r"^\S*BB\d+_\d+:|^\s+j\w+\s", machine_code, flags=re.MULTILINE)
    tile = panels_of(512 // real.bitwidth)
    rounds = [part for part in straight if part.count("vfmadd231") == 2 * tile.rows]
    if not rounds:
        pytest.skip("a processor without vfmadd")
    assert all("rsp" not in part for part in rounds)
