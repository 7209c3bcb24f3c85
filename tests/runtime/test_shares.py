"""Shares of products by speed: threads of any speeds come to take equally long."""

import numpy as np
import pytest
from numba import config, njit

from graphgrad.compiler.units import MEETING, SHARING
from graphgrad.runtime.shares import ENDS, ONE, TIMES, meet_and_share
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
    memory, now = np.zeros(MEETING + SHARING, np.int64), np.full(count, 1 / count)
    for _ in range(25):
        team.run(a_step, (memory, (1e6 * now / speeds).astype(np.int64)), count)
        now = shares(memory, count)
        assert (memory[TIMES : TIMES + count] == 0).all()  # they are measured anew
    np.testing.assert_allclose(now, speeds / speeds.sum(), atol=1e-3)


def test_one_step_goes_half_the_way_by_the_square_root():
    memory = np.zeros(MEETING + SHARING, np.int64)
    team.run(a_step, (memory, np.array([1000, 4000])), 2)
    np.testing.assert_allclose(shares(memory, 2), [2 / 3, 1 / 3], atol=1e-4)


def test_a_thread_without_a_time_and_one_that_hardly_works_keep_something_to_measure():
    memory = np.zeros(MEETING + SHARING, np.int64)
    for times in ([0, 0], [1, 10**12], [1, 10**12], [1, 10**12]):
        team.run(a_step, (memory, np.array(times)), 2)
        first, second = shares(memory, 2)
        assert 0 <= second <= first
    for _ in range(40):  # now both are as fast as each other
        team.run(a_step, (memory, (1e6 * np.maximum(shares(memory, 2), 1e-3)).astype(np.int64)), 2)
    np.testing.assert_allclose(shares(memory, 2), 0.5, atol=0.01)
