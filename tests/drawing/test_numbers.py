"""How numbers are read, and what stands in the cells of a card."""

import numpy as np
import pytest

from graphgrad.drawing.cells import Cell, Grid, cells, grid
from graphgrad.drawing.numbers import array_in_tex, norm, number, written_out


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.0, "1"),
        (-1.0, "−1"),
        (0.06000000000000005, "0.06"),
        (0.514995501619, "0.5150"),
        (0.515, "0.515"),
        (0.663597, "0.6636"),
        (0.999984, "1.000"),
        (11.06, "11.06"),
        (22500, "2.25e4"),
        (9999, "9999"),
        (9999.4, "9999"),
        (9999.6, "1.000e4"),
        (10000, "1e4"),
        (167772170, "1.678e8"),
        (1e-3, "0.001"),
        (9.9996e-4, "0.001000"),
        (9.99e-4, "9.99e−4"),
        (-1.23456e-5, "−1.235e−5"),
        (5e-324, "4.941e−324"),
        (1.7976931348623157e308, "1.798e308"),
        (1e100, "1e100"),
        (2 / 3, "0.6667"),
        (-123.456, "−123.5"),
        (float("nan"), "NaN"),
        (float("inf"), "∞"),
        (float("-inf"), "−∞"),
    ],
)
def test_four_significant_digits(value, shown):
    assert number(value) == shown


def test_no_hyphen_stands_for_a_minus():
    draw = np.random.default_rng(0)
    for value in draw.normal(size=300) * 10.0 ** draw.integers(-30, 30, 300):
        shown = number(value)
        assert "-" not in shown
        assert abs(float(shown.replace("−", "-")) - value) <= 5.0001e-4 * abs(value)


def test_what_was_stored_in_float32_is_read_as_it_was_written():
    assert written_out(np.array([0.06, 0.1, 1 / 3], np.float32)) == "[0.06, 0.1, 0.3333]"
    assert written_out(np.array([0.06, 0.0600001])) == "[0.06, 0.06000]"


def test_arrays_are_written_out_while_they_are_short():
    assert written_out(np.array([[1.0, 0.5], [-2.0, 0.0]])) == "[[1, 0.5], [−2, 0]]"
    assert written_out(np.ones(100)) == "100 numbers of norm 10"
    assert written_out(np.ones((1, 28, 28))) == "1×28×28 numbers of norm 28"


def test_a_norm_does_not_overflow():
    assert norm(np.array([3e200, 4e200])) == pytest.approx(5e200)


@pytest.mark.parametrize(
    ("shape", "form"),
    [
        ((), Grid()),
        ((1,), Grid(1)),
        ((3,), Grid(3)),
        ((4,), Grid()),
        ((3, 3), Grid(3, 3, coloured=True)),
        ((4, 3), Grid(4, 3, coloured=True)),
        ((3, 4), Grid(3, 4, numbered=False, coloured=True)),
        ((12, 12), Grid(12, 12, numbered=False, coloured=True)),
        ((13, 2), Grid()),
        ((2, 3, 3), Grid()),
    ],
)
def test_the_cells_follow_from_the_shape(shape, form):
    assert grid(shape) == form
    assert len(cells(np.zeros(shape), form)) == len(cells(None, form)) == form.size


def test_not_computed_and_zero_are_never_alike():
    for shape in ((), (3,), (2, 2), (5, 5), (7,)):
        form = grid(shape)
        for nothing, zero in zip(cells(None, form), cells(np.zeros(shape), form), strict=True):
            assert nothing.text == "·"
            assert zero.text in ("0", "norm 0", "")
            assert zero.text or zero.heat == 0.0


def test_nan_and_infinity_alarm():
    shown = cells(np.array([1.0, np.nan, np.inf]), grid((3,)))
    assert [cell.text for cell in shown] == ["1", "NaN", "∞"]
    assert [cell.alarm for cell in shown] == [False, True, True]
    assert cells(np.array([1.0] * 9 + [np.nan]), grid((10,))) == (Cell("norm NaN", alarm=True),)


def test_a_matrix_is_coloured_on_a_scale_centred_at_zero():
    heats = [cell.heat for cell in cells(np.array([[2.0, -1.0], [0.0, np.inf]]), grid((2, 2)))]
    assert heats == [1.0, -0.5, 0.0, 0.0]


def test_many_samples_are_counted():
    assert cells(1234, grid((3,), together=True)) == (Cell("1,234 samples"),)


@pytest.mark.parametrize(
    ("array", "shown"),
    [
        (np.array(0.5), "0.5"),
        (np.array(-1.5e-7), r"-1.5 \cdot 10^{-7}"),
        (np.array(np.inf), r"\infty"),
        (np.array([1.0, -2.0]), r"\begin{pmatrix} 1 \\ -2 \end{pmatrix}"),
        (np.array([[1.0, 2.0], [3.0, 4.0]]), r"\begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix}"),
        (np.arange(6.0), r"\begin{pmatrix} 0 & 1 & 2 & 3 & 4 & 5 \end{pmatrix}^{\top}"),
        (np.zeros(13), None),
        (np.zeros((2, 2, 2)), None),
    ],
)
def test_numbers_in_a_formula(array, shown):
    assert array_in_tex(array) == shown
