"""The vector functions against mpmath: errors in units in the last place, special values, and that loops use them."""

import platform
import re

import mpmath as mp
import numpy as np
import pytest
from numba import config, njit
from scipy import special

from graphgrad.runtime import vectorised
from graphgrad.runtime.lanes import lanes_at

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="NumPy's functions stand in where Numba is switched off")

BOUND = {"exp": 1.1, "expm1": 2.0, "log": 1.0, "log1p": 1.5, "tanh": 2.6, "sin": 1.5, "cos": 1.5, "erf": 2.0}
"""The largest error, in units in the last place, that each function may have."""


def loop(name, dtype):
    function = getattr(vectorised, name)

    @njit(f"void({dtype}[::1], {dtype}[::1])", error_model="numpy", fastmath={"contract"})
    def run(x, y):
        for i in range(x.size):
            y[i] = function(x[i])

    return run


LOOPS = {}


def applied(name, x):
    key = name, x.dtype.name
    if key not in LOOPS:
        LOOPS[key] = loop(*key)
    y = np.empty_like(x)
    LOOPS[key](x, y)
    return y


def points(name, dtype):
    random = np.random.default_rng(11)
    high = 709.0 if dtype == "float64" else 88.0
    least = 300 if dtype == "float64" else 36
    small = random.choice([-1, 1], 400) * 10.0 ** -random.uniform(0, least, 400)
    turns = np.arange(-700, 700) * np.pi / 2  # where hardly a digit is left
    return {
        "exp": np.r_[random.uniform(-high, high, 800), random.normal(size=400), small],
        "expm1": np.r_[random.uniform(-50, high, 800), random.normal(size=400), small],
        "log": np.r_[random.uniform(0, 3, 800), 10.0 ** random.uniform(-least, least, 400), 1 + 1e-3 * small],
        "log1p": np.r_[random.uniform(-0.999, 3, 800), 10.0 ** random.uniform(0, least, 400), 0.9 * small],
        "tanh": np.r_[random.uniform(-30, 30, 400), random.normal(size=800), small],
        "sin": np.r_[random.uniform(-9, 9, 800), random.uniform(-2e5, 2e5, 400), turns, small],
        "cos": np.r_[random.uniform(-9, 9, 800), random.uniform(-2e5, 2e5, 400), turns, small],
        "erf": np.r_[random.uniform(-7, 7, 800), random.normal(size=800), small],
    }[name].astype(dtype)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", BOUND)
def test_the_error_is_within_its_bound(name, dtype):
    x = points(name, dtype)
    with mp.workprec(160):
        exact = [getattr(mp, name)(mp.mpf(float(value))) for value in x]
        unit = np.spacing(np.abs(np.array([float(value) for value in exact]).astype(dtype))).astype(float)
        errors = [abs(float((mp.mpf(float(y)) - e) / u)) for y, e, u in zip(applied(name, x), exact, unit, strict=True)]
    assert max(errors) <= BOUND[name], f"at {x[int(np.argmax(errors))]!r}"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", BOUND)
def test_on_lanes_the_bits_are_the_same(name, dtype):
    function = getattr(vectorised, name)

    @njit(error_model="numpy", fastmath={"contract"})
    def on_lanes(x, y, blocks):
        given, found = lanes_at(x, 0, (blocks,)), lanes_at(y, 0, (blocks,))
        for block in range(blocks):
            found[block] = function(given[block])

    most, least = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
    special = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, most, -most, least, -least], dtype)
    gradual = np.log(float(np.finfo(dtype).tiny)) - np.linspace(-2, 40, 300)  # whose exponentials have few digits
    x = np.r_[special, gradual, points(name, dtype)].astype(dtype)
    x = x[: x.size // 16 * 16]
    y = np.empty_like(x)
    on_lanes(x, y, x.size * x.itemsize // 64)
    np.testing.assert_array_equal(y, applied(name, x))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", BOUND)
def test_special_values_are_those_of_numpy(name, dtype):
    most, least = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, most, -most, least, -least], dtype)
    with np.errstate(all="ignore"):
        expected = getattr(special if name == "erf" else np, name)(x)
    np.testing.assert_allclose(applied(name, x), expected, rtol=3e-7 if dtype == "float32" else 1e-15)
    assert (np.signbit(applied(name, x)) == np.signbit(expected))[3:5].all()


def test_results_below_the_normal_numbers_are_gradual():
    x = np.linspace(-745, -708, 50)
    np.testing.assert_allclose(applied("exp", x), np.exp(x), rtol=0, atol=5e-324)


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64") or config.CPU_NAME == "generic", reason="read off the code of AVX"
)
def test_a_loop_is_turned_into_vector_instructions():
    for name in BOUND.keys() - {"sin", "cos"}:  # which may call the library
        (assembly,) = loop(name, "float32").inspect_asm().values()
        assert re.search(r"mulps|fmadd\d+ps", assembly), name  # of packed numbers, whatever the registers' width
