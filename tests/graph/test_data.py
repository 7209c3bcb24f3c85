"""Arrays for a graph: found by any of their names, converted, and refused in a sentence where they do not fit."""

import warnings

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.graph.data import bind


@pytest.fixture
def leaves():
    with gg.Graph("two layers") as g:
        x, t = gg.input("x", 2), gg.input("t")
        W0, w = gg.param("W^{[0]}", 3, 2), gg.param("w", 3)
        g.A = W0 @ x
    return [x, t, W0, w]


@pytest.fixture
def arrays():
    return {"x": np.ones((5, 2)), "t": np.zeros(5), "W0": np.arange(6.0).reshape(3, 2), "w": np.ones(3)}


def sentence(leaves, arrays):
    with pytest.raises(gg.DataError) as caught:
        bind(leaves, arrays, "float64")
    return str(caught.value).replace(f" ({leaves[0].place})", "").replace(f" ({leaves[2].place})", "")


def test_samples_are_counted(leaves, arrays):
    values, samples, single = bind(leaves, arrays, "float64")
    assert (samples, single) == (5, False)
    assert list(values) == leaves
    assert [a.shape for a in values.values()] == [(5, 2), (5,), (3, 2), (3,)]


def test_one_sample_gets_the_axis_of_the_samples(leaves, arrays):
    values, samples, single = bind(leaves, arrays | {"x": [1, 2], "t": 1}, "float32")
    assert (samples, single) == (1, True)
    assert [a.shape for a in values.values()] == [(1, 2), (1,), (3, 2), (3,)]
    assert {a.dtype for a in values.values()} == {np.dtype("float32")}


def test_without_samples_there_is_no_number_of_them(leaves, arrays):
    assert bind(leaves[2:], arrays, "float64")[1:] == (None, False)
    assert bind([], {}, "float64") == ({}, None, False)


@pytest.mark.parametrize("key", ["W0", "W^{[0]}", "W⁽⁰⁾"])
def test_a_leaf_goes_by_any_of_its_names(leaves, arrays, key):
    given = {name: array for name, array in arrays.items() if name != "W0"}
    assert bind(leaves, given | {key: arrays["W0"]}, "float64")[0][leaves[2]].shape == (3, 2)
    assert bind(leaves, given | {leaves[2]: arrays["W0"]}, "float64")[0][leaves[2]].shape == (3, 2)


def test_arrays_of_other_leaves_are_left_aside(leaves, arrays):
    assert list(bind(leaves[:1], arrays, "float64")[0]) == leaves[:1]


def test_an_array_that_fits_is_not_copied(leaves, arrays):
    values = bind(leaves, arrays, "float64")[0]
    assert values[leaves[0]] is arrays["x"]


@pytest.mark.parametrize(
    "make",
    [
        lambda a: np.asfortranarray(a),
        lambda a: np.repeat(a, 2, axis=0)[::2],
        lambda a: a.astype(">f8"),
        lambda a: np.frombuffer(b"\0" + a.tobytes(), np.float64, offset=1).reshape(a.shape),
        lambda a: a.astype(int),
        lambda a: a.astype(bool),
        lambda a: a.tolist(),
        lambda a: np.broadcast_to(a[:1], a.shape),
        lambda a: np.ma.array(a),
        lambda a: np.asmatrix(a),
    ],
)
@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
def test_arrays_of_any_layout_and_kind_become_plain_ones(leaves, arrays, make):
    value = bind(leaves, arrays | {"x": make(arrays["x"])}, "float64")[0][leaves[0]]
    np.testing.assert_array_equal(value, arrays["x"])
    assert type(value) is np.ndarray
    assert value.flags.c_contiguous
    assert value.flags.aligned
    assert value.dtype == np.float64
    assert value.dtype.isnative


def test_what_is_missing_is_named_with_its_shape(leaves, arrays):
    del arrays["W0"]
    assert sentence(leaves, arrays) == "no array is given for W^{[0]}, a parameter of shape 3x2"
    del arrays["t"]
    assert sentence(leaves, arrays) == (
        "no array is given for t, a scalar input; and for W^{[0]}, a parameter of shape 3x2"
    )
    assert sentence(leaves, {}).endswith("for W^{[0]}, a parameter of shape 3x2; and for 1 more")


def test_the_line_is_named(leaves):
    with pytest.raises(gg.DataError, match=rf"a parameter of shape 3x2 \(test_data.py:{leaves[2].place.line}\)"):
        bind(leaves[2:3], {}, "float64")


def test_unknown_names(leaves, arrays):
    assert sentence(leaves, arrays | {"W_0": 1}) == (
        "'W_0' is no input or parameter of 'two layers'; did you mean W0? (it takes x, t, W0, w)"
    )
    assert sentence(leaves, arrays | {"zebra": 1}) == (
        "'zebra' is no input or parameter of 'two layers' (it takes x, t, W0, w)"
    )
    assert sentence(leaves, arrays | {"A": 1}) == "A takes no array: it is computed, A = W⁽⁰⁾x (test_data.py:17)"
    assert sentence(leaves, arrays | {"W^{[0]}": 1}) == (
        "W^{[0]} is given two arrays: 'W^{[0]}' is another name of 'W0'"
    )


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("x", np.ones((5, 3)), "x takes (N, 2) for N samples or (2,) for one, and is given an array of shape (5, 3): x is an input of shape 2"),
        ("x", np.ones((2, 5)), "x takes (N, 2) for N samples or (2,) for one, and is given an array of shape (2, 5): x is an input of shape 2; x=array.T fits"),
        ("x", np.ones((5, 1, 2)), "x takes (N, 2) for N samples or (2,) for one, and is given an array of shape (5, 1, 2): x is an input of shape 2; x=array.reshape(-1, 2) fits"),
        ("x", 3, "x takes (N, 2) for N samples or (2,) for one, and is given a number: x is an input of shape 2"),
        ("t", np.ones((5, 1)), "t takes (N,) for N samples or a number for one, and is given an array of shape (5, 1): t is a scalar input; t=array.reshape(-1) fits"),
        ("W0", np.ones((2, 3)), "W^{[0]} takes (3, 2), and is given an array of shape (2, 3): W^{[0]} is a parameter of shape 3x2; W0=array.T fits"),
        ("w", np.ones(4), "w takes (3,), and is given an array of shape (4,): w is a parameter of shape 3"),
    ],
)  # fmt: skip
def test_wrong_shapes(leaves, arrays, name, value, said):
    assert sentence(leaves, arrays | {name: value}) == said


class Odd:
    def __array__(self, *_, **__):
        raise RuntimeError("not now\nand not later")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.ones((5, 2)) * 1j, "x takes real numbers and is given complex numbers (complex128): x is an input of shape 2"),
        (np.ones((5, 2), "U3"), "x takes real numbers and is given text (<U3): x is an input of shape 2"),
        ("abc", "x takes real numbers and is given text (<U3): x is an input of shape 2"),
        (b"abc", "x takes real numbers and is given text (|S3): x is an input of shape 2"),
        (np.ones((5, 2), "M8[D]"), "x takes real numbers and is given dates or times (datetime64[D]): x is an input of shape 2"),
        (None, "x takes real numbers and is given None: x is an input of shape 2"),
        (Odd, "x takes real numbers and is given a type: x is an input of shape 2"),
        ([1, None], "x takes real numbers and is given elements of type object: x is an input of shape 2"),
        ([2**200, 1], "x takes real numbers and is given elements of type object: x is an input of shape 2"),
        (Odd(), "x is given a Odd that is no array: not now"),
        (np.ma.masked_equal([[1.0, 2.0]], 2.0), "x is given a masked array: fill what is masked, a graph knows no missing values"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_wrong_kinds(leaves, arrays, value, said):
    assert sentence(leaves, arrays | {"x": value}) == said


def test_a_ragged_list(leaves, arrays):
    assert sentence(leaves, arrays | {"x": [[1, 2], [3]]}).startswith("x is given a list that is no array: ")


def test_a_node_is_no_array(leaves, arrays):
    assert sentence(leaves, arrays | {"x": leaves[0]}).startswith("x takes real numbers and is given a Node: ")


def test_samples_must_agree(leaves, arrays):
    assert sentence(leaves, arrays | {"t": np.ones(4)}) == (
        "x is given 5 samples and t 4 samples "
        "(x is an input of shape 2, given an array of shape (5, 2); t is a scalar input, given an array of shape (4,))"
    )
    assert sentence(leaves, arrays | {"t": 1.0}) == (
        "x is given 5 samples and t one sample without a batch axis; give every input one sample, or every input N of "
        "them (x is an input of shape 2, given an array of shape (5, 2); t is a scalar input, given a number)"
    )
    assert sentence(leaves, arrays | {"x": [1.0, 2.0]}).startswith(
        "x is given one sample without a batch axis and t 5 samples; give every input one sample"
    )


def test_an_empty_batch(leaves, arrays):
    assert sentence(leaves, arrays | {"x": np.ones((0, 2)), "t": np.ones(0)}) == (
        "the batch is empty: x is given an array of shape (0, 2), x is an input of shape 2"
    )


def warned(leaves, arrays, dtype="float64"):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        values = bind(leaves, arrays, dtype)[0]
    assert all(w.category is gg.NotFiniteWarning for w in caught)
    return values, [str(w.message).partition(": ")[0] for w in caught], caught


def test_nan_is_said_and_goes_through(leaves, arrays):
    arrays["x"][3, 1] = np.nan
    values, said, caught = warned(leaves, arrays)
    assert said == ["x holds NaN at sample 3, position 1"]
    assert np.isnan(values[leaves[0]][3, 1])
    assert caught[0].filename == __file__
    arrays["x"][2] = np.nan
    arrays["W0"][2, 0] = np.nan
    assert warned(leaves, arrays)[1] == [
        "x holds NaN at sample 2, position 0 and 2 more",
        "W^{[0]} holds NaN at position (2, 0)",
    ]
    assert warned(leaves, arrays | {"x": [np.nan, 0], "t": np.nan})[1][:2] == [
        "x holds NaN at position 0",
        "t holds NaN",
    ]


def test_infinity_goes_through_unsaid(leaves, arrays):
    arrays["x"][0] = np.inf, -np.inf
    values, said, _ = warned(leaves, arrays, "float32")
    assert not said
    assert values[leaves[0]][0].tolist() == [np.inf, -np.inf]


def test_a_number_too_large_for_the_precision_is_said(leaves, arrays):
    arrays["x"][4, 0] = -1e300
    values, said, _ = warned(leaves, arrays, "float32")
    assert said == ["x holds a number too large for float32 at sample 4, position 0"]
    assert values[leaves[0]][4, 0] == -np.inf
