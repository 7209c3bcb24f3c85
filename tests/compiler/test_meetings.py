"""Where the threads of a step wait for each other."""

import pytest

from graphgrad.compiler.loops import Comment, Divided, Let, Loop, Product, Section, Store
from graphgrad.compiler.meetings import By, Meetings

LAYER = Product("A", "x", "W.T")
SQUARES = Divided([], Loop("i", 512, [Store("squares", ("i",), "W[i, 0] * W[i, 0]")]))
LINE, A_NUMBER = Comment(lambda: "A = Wx"), Comment(lambda: "a number")
NUMBER = Store("scale", (), "-rate[()]")
SECTIONS = [
    *(Section(name, k, "shared", 100 * k, ()) for k, name in enumerate(("scale", "rate", "squares", "B", "V"))),
    Section("W", None, "kept", 0, (512, 784)),
    *(Section(name, k, "each", 512 * k, (512,)) for k, name in enumerate(("A", "C", "y"))),
    Section("part", None, "own", 0, (10,)),
]


STEP = Meetings(SECTIONS, {"A_flat": "A", "B_flat": "B"})
piece, pieces = STEP.piece, STEP.pieces


def meetings(*pieces):
    """Before which of these pieces the threads meet."""
    found = Meetings(SECTIONS, {})
    return [found.before(one) for one in pieces]


@pytest.mark.parametrize(
    ("second", "waits"),
    [
        (Product("C", "x", "V.T"), False),
        (Product("C", "A", "V"), True),  # reads what the first makes
        (Product("C", "y", "A.T"), True),
        (Product("W", "y.T", "x", "scale[()]", "keep[()]"), True),  # changes what the first reads
        (Product("A", "y", "V"), True),
        (SQUARES, False),  # both read the weights
        (Divided([], Loop("i", 512, [Store("W", ("i", "0"), "W[i, 0] * rate_value")])), True),
        (Divided([Let("rate_value", "A_flat[0]")], Loop("i", 512, [Store("B", ("i",), "rate_value")])), True),
    ],
)
def test_what_is_shared_out_runs_side_by_side_unless_one_waits_for_the_other(second, waits):
    first, second = pieces([LAYER, second])
    assert meetings(first, second) == [False, waits]


def test_the_threads_meet_once_for_all_that_came_before():
    made, read = piece(By.SHARES, [LAYER]), piece(By.SHARES, [Product("C", "A", "V.T")])
    assert meetings(made, read, read, piece(By.SHARES, [SQUARES])) == [False, True, True, False]


def test_a_thread_does_not_wait_for_itself():
    number, read = piece(By.FIRST, [NUMBER]), piece(By.FIRST, [Let("a", "scale[()]")])
    assert meetings(number, read) == [False, False]
    assert meetings(number, piece(By.ALL, [Let("a", "scale[()]")])) == [False, True]


def test_each_thread_has_samples_of_its_own():
    made = piece(By.SAMPLES, [Store("A", ("n", "i"), "x[n, i]"), Store("part", ("i",), "A[n, i]", add=True)])
    read = piece(By.SAMPLES, [Store("C", ("n", "i"), "A_flat[512 * n + i]")])
    assert meetings(made, read) == [False, False]
    assert meetings(made, piece(By.FIRST, [Let("a", "A[0, 0]")])) == [False, True]
    summed = piece(By.SAMPLES, [], writes=["B"])
    assert meetings(summed, piece(By.SAMPLES, [Let("b", "B[()]")])) == [False, True]  # it is the sum of all threads


def test_the_first_thread_does_its_part_in_one_go():
    found = pieces([A_NUMBER, NUMBER, LINE, LAYER, NUMBER, SQUARES])
    assert [(one.by, one.statements) for one in found] == [
        (By.SHARES, [LINE, LAYER]),
        (By.SHARES, [SQUARES]),
        (By.FIRST, [A_NUMBER, NUMBER, NUMBER]),
    ]


@pytest.mark.parametrize("view", ["B", "B_flat"])
def test_an_array_is_known_by_its_views(view):
    made, read = Store("B", (), "1.0"), Divided([], Loop("i", 512, [Store("squares", ("i",), f"{view}[i]")]))
    found = pieces([made, read])
    assert [one.by for one in found] == [By.FIRST, By.SHARES]
    assert meetings(*found) == [False, True]


def test_what_needs_a_number_of_the_first_thread_comes_after_it():
    scaled = Product("W", "y.T", "x", "scale[()]", "rate[()]")
    found = pieces([NUMBER, scaled, SQUARES])
    assert [one.statements for one in found] == [[NUMBER], [scaled], [SQUARES]]
    assert meetings(*found) == [False, True, True]
