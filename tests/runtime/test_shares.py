"""Shares of products by speed: what is made is the same, and threads of any speeds come to take equally long."""

import numpy as np
import pytest
from numba import config, njit

from graphgrad.compiler.panels import panels_of
from graphgrad.runtime.memory import MEETING
from graphgrad.runtime.products import product, share_of_product
from graphgrad.runtime.shares import ENDS, MOST, ONE, TIMES, meet_and_share
from graphgrad.runtime.team import team

pytestmark = pytest.mark.skipif(
    config.DISABLE_JIT or config.BOUNDSCHECK, reason="a step is shared in compiled code, unless its indices are checked"
)


@njit(nogil=True)
def a_step(memory, times, thread, threads):
    """What comes at the end of a step whose products took so long."""
    memory[TIMES + thread] = times[thread]
    meet_and_share(memory, threads)


def shares(memory, threads):
    ends = memory[ENDS : ENDS + threads + 1] / ONE
    assert ends[0] == 0
    assert ends[-1] == 1
    return np.diff(ends)


@pytest.mark.parametrize("speeds", [[1, 1], [1, 2], [3, 1, 1, 3], [1, 1, 1, 1, 50]])
def test_in_the_end_shares_are_as_the_speeds_are(speeds):
    speeds, count = np.array(speeds, float), len(speeds)
    memory, now = np.zeros(MEETING // 8, np.int64), np.full(count, 1 / count)
    for _ in range(25):
        team.run(a_step, (memory, (1e6 * now / speeds).astype(np.int64)), count)
        now = shares(memory, count)
        assert (memory[TIMES : TIMES + count] == 0).all()  # they are measured anew
    np.testing.assert_allclose(now, speeds / speeds.sum(), atol=1e-3)


def test_one_step_goes_half_the_way_by_the_square_root():
    memory = np.zeros(MEETING // 8, np.int64)
    team.run(a_step, (memory, np.array([1000, 4000])), 2)
    np.testing.assert_allclose(shares(memory, 2), [2 / 3, 1 / 3], atol=1e-4)


def test_a_thread_without_a_time_and_one_that_hardly_works_keep_something_to_measure():
    memory = np.zeros(MEETING // 8, np.int64)
    for times in ([0, 0], [1, 10**12], [1, 10**12], [1, 10**12]):
        team.run(a_step, (memory, np.array(times)), 2)
        first, second = shares(memory, 2)
        assert 0 <= second <= first
    for _ in range(40):  # now both are as fast as each other
        team.run(a_step, (memory, (1e6 * np.maximum(shares(memory, 2), 1e-3)).astype(np.int64)), 2)
    np.testing.assert_allclose(shares(memory, 2), 0.5, atol=0.01)


@njit
def whole(out, left, right, room):
    product(out, left, right, room)


@njit
def share(out, left, right, room, memory, thread, threads):
    share_of_product(out, left, right, room, memory, thread, threads)


@pytest.mark.parametrize(("rows", "columns"), [(300, 70), (70, 300), (3, 5)])
@pytest.mark.parametrize("ends", [[0, 0, 1], [0, 0.1, 0.9, 1], [0, 0.72, 1], [0, 1, 1, 1]])
def test_whatever_the_shares_the_product_has_the_same_bits(rows, columns, ends):
    random = np.random.default_rng(4)
    left, right = random.normal(size=(rows, 30)), random.normal(size=(30, columns))
    room, memory = np.zeros(panels_of(8).room), np.zeros(MEETING // 8)
    expected, out = np.empty((rows, columns)), np.full((rows, columns), np.nan)
    whole(expected, left, right, room)
    memory[ENDS : ENDS + len(ends)] = (np.array(ends) * ONE).astype(np.int64).view(float)
    for thread in range(len(ends) - 1):
        share(out, left, right, room, memory, thread, len(ends) - 1)
    np.testing.assert_array_equal(out, expected)


def test_more_threads_than_have_shares_of_their_own_size_make_the_product():
    random = np.random.default_rng(4)
    left, right = random.normal(size=(5, 30)), random.normal(size=(30, 1100))
    room, memory, threads = np.zeros(panels_of(8).room), np.zeros(MEETING // 8), MOST + 2
    out = np.full((5, 1100), np.nan)
    for thread in range(threads):
        share(out, left, right, room, memory, thread, threads)
    np.testing.assert_allclose(out, left @ right, rtol=1e-12, atol=1e-13)
    assert not memory.any()
