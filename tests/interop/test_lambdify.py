"""SymPy expressions as compiled functions: against SymPy's own derivatives, SciPy's Rosenbrock, and what they refuse."""

import numba
import numpy as np
import pytest
import scipy.optimize
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import graphgrad as gg

a, b, c = sp.symbols("a b c", real=True)
x, y, A = sp.IndexedBase("x"), sp.IndexedBase("y"), sp.IndexedBase("A")
i, j, n = sp.symbols("i j n", integer=True)


def exactly(expression, variables, point):
    """The gradient by SymPy, at thirty digits."""
    places = dict(zip(variables, map(sp.Float, point, [30] * len(point)), strict=True))
    return [float(sp.N(sp.diff(expression, one).subs(places), 30)) for one in variables]


EXPRESSIONS = [
    a**2 * sp.sin(b) + c,
    sp.exp(-a * b) / (1 + c**2),
    sp.log(1 + a**2) * sp.atan2(b, c + 3) - sp.tanh(a * b * c),
    sp.Piecewise((a * b, a > 0), (c**3, True)) + sp.Abs(b),
    sp.sqrt(a**2 + b**2 + c**2) ** sp.Rational(3, 2),
    sp.Max(a, b) * sp.Min(b, c) + sp.erf(a),
    (a**2 + 1) ** b,
    sp.pi * a + sp.E**b - sp.Rational(1, 3) * c,
]


@pytest.mark.parametrize("expression", EXPRESSIONS, ids=str)
def test_value_and_gradient_are_those_of_sympy(expression):
    f = gg.lambdify(expression, [(a, b, c)])
    for point in ([0.7, -0.4, 1.3], [-1.1, 0.6, 0.2]):
        value, gradient = f.value_and_grad(np.array(point))
        assert value == pytest.approx(float(expression.subs(dict(zip((a, b, c), point, strict=True)))), rel=1e-13)
        np.testing.assert_allclose(gradient, exactly(expression, (a, b, c), point), rtol=1e-11, atol=1e-13)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 7), min_size=3, max_size=6), st.integers(0, 1000))
def test_random_expressions(choices, seed):
    made = [a, b, c]
    for choice in choices:
        first, second = made[-1], made[choice % len(made)]
        made.append(
            [first + second, first * second, sp.sin(first), sp.cos(second), sp.exp(-(first**2)), first - 2 * second][
                choice % 6
            ]
        )
    expression = made[-1] + a * b
    point = np.random.default_rng(seed).normal(size=3)
    value, gradient = gg.lambdify(expression, [(a, b, c)]).value_and_grad(point)
    assert value == pytest.approx(
        float(expression.subs(dict(zip((a, b, c), point, strict=True)))), rel=1e-11, abs=1e-12
    )
    np.testing.assert_allclose(gradient, exactly(expression, (a, b, c), point), rtol=1e-9, atol=1e-11)


def test_the_hessian_times_a_vector():
    expression = sp.exp(a * b) * sp.sin(c) + a**2 * c
    f, point, along = gg.lambdify(expression, [(a, b, c)]), np.array([0.3, -0.7, 1.1]), np.array([1.0, 2.0, -1.0])
    hessian = np.array(sp.hessian(expression, (a, b, c)).subs(dict(zip((a, b, c), point, strict=True))), float)
    np.testing.assert_allclose(f.hvp(point, along), hessian @ along, rtol=1e-12)


@pytest.mark.parametrize("count", [2, 7, 100])
def test_a_sum_stays_a_sum_and_is_rosenbrocks(count):
    term = 100 * (x[i + 1] - x[i] ** 2) ** 2 + (1 - x[i]) ** 2
    f = gg.lambdify(sp.Sum(term, (i, 0, n - 2)), sp.IndexedBase("x", shape=(n,)))
    point, along = np.random.default_rng(count).normal(size=(2, count))
    value, gradient = f.value_and_grad(point)
    assert value == pytest.approx(scipy.optimize.rosen(point), rel=1e-12)
    np.testing.assert_allclose(gradient, scipy.optimize.rosen_der(point), rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(f.hvp(point, along), scipy.optimize.rosen_hess_prod(point, along), rtol=1e-11, atol=1e-9)
    assert len(f.source.splitlines()) < 120  # however many variables there are
    assert f.source.count(" if i < ") == 1  # a slope is gathered from both terms, without memory for either
    assert "MEMORY = (%d, 0, 0)" % count in f.source


def test_sums_over_two_indices_and_the_index_itself():
    m = sp.Symbol("m", integer=True)
    matrix, vector = sp.IndexedBase("A", shape=(n, m)), sp.IndexedBase("x", shape=(m,))
    f = gg.lambdify(sp.Sum((i + 1) * matrix[i, j] * vector[j] ** 2, (j, 0, m - 1), (i, 0, n - 1)), [matrix, vector])
    M, v = np.random.default_rng(4).normal(size=(3, 4)), np.random.default_rng(5).normal(size=4)
    value, (by_matrix, by_vector) = f.value_and_grad(M, v)
    weights = np.arange(1, 4)[:, None]
    assert value == pytest.approx((weights * M * v**2).sum(), rel=1e-13)
    np.testing.assert_allclose(by_matrix, weights * np.ones((3, 1)) * v**2, rtol=1e-13)
    np.testing.assert_allclose(by_vector, (weights * M).sum(axis=0) * 2 * v, rtol=1e-12)


def test_variables_of_their_own_and_a_scalar_in_a_sum():
    f = gg.lambdify(b * sp.Sum(sp.exp(a * x[i]), (i, 0, 4)) + x[2], [a, b, x])
    v = np.linspace(-1, 1, 5)
    value, (by_a, by_b, by_x) = f.value_and_grad(0.5, 2.0, v)
    grown = np.exp(0.5 * v)
    assert value == pytest.approx(2 * grown.sum() + v[2])
    assert float(by_a) == pytest.approx(2 * (v * grown).sum())
    assert float(by_b) == pytest.approx(grown.sum())
    np.testing.assert_allclose(by_x, grown + (np.arange(5) == 2), rtol=1e-14)


def test_many_points_at_once():
    f = gg.lambdify(a * sp.sin(b), [a, b])
    grid = np.linspace(0, 1, 5)
    np.testing.assert_allclose(f(2.0, grid), 2 * np.sin(grid), rtol=1e-15)
    rows = np.random.default_rng(6).normal(size=(4, 3))
    packed = gg.lambdify(a + b * c, [(a, b, c)])
    np.testing.assert_allclose(packed(rows), rows[:, 0] + rows[:, 1] * rows[:, 2], rtol=1e-15)


def test_it_minimises_and_runs_in_the_callers_own_code():
    f = gg.lambdify((a - 1) ** 2 + (b - a**2) ** 2, [(a, b)])
    found = scipy.optimize.minimize(f.value_and_grad, np.zeros(2), jac=True, hessp=f.hvp, method="Newton-CG")
    np.testing.assert_allclose(found.x, [1, 1], atol=1e-5)
    inner = f.njit

    @numba.njit
    def descend(point, steps):
        for _ in range(steps):
            _, by_a, by_b = inner(point)
            point = point - 0.1 * np.array([by_a, by_b])
        return point

    assert f(descend(np.zeros(2), 200)) < 1e-3


def test_variables_go_by_position_in_the_order_in_which_they_are_given():
    x, y = sp.symbols("x y")
    expression = x - y**2 + sp.sin(x * y)
    for variables in ((x, y), (y, x)):
        f = gg.lambdify(expression, variables)
        assert f(*({x: 2.0, y: 3.0}[one] for one in variables)) == pytest.approx(2 - 9 + np.sin(6))


def test_names_that_are_code_are_names():
    hostile = sp.Symbol('__import__("os").system("true")')
    f = gg.lambdify(hostile**2 + sp.Symbol("lambda"), [hostile, sp.Symbol("lambda")])
    assert f(3.0, 1.0) == 10.0
    assert "__import__" not in f.source.replace("#", "").split("def step")[1].split('"""')[0]


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda: gg.lambdify(a + b, [a])(1.0), "b is no variable of the function"),
        (lambda: gg.lambdify("a + b", [a]), "lambdify takes a SymPy expression"),
        (lambda: gg.lambdify(sp.gamma(a), [a])(1.0), "gamma cannot be compiled"),
        (lambda: gg.lambdify(a, [2]), "is no variable: variables are symbols"),
        (lambda: gg.lambdify(a, [a, a]), "all different"),
        (lambda: gg.lambdify(a * b, [(a, b)]).value([1.0]), "takes 2 numbers, and is given an array of shape"),
        (lambda: gg.lambdify(sp.Sum(x[i], (i, 0, n)), x)([1.0]), "n is no whole number; lengths are given as"),
        (
            lambda: gg.lambdify(sp.Sum(x[i + 1], (i, 0, 4)), x)(np.ones(5)),
            "is read from 1 to 5, and x goes from 0 to 4",
        ),
        (lambda: gg.lambdify(sp.Sum(x[i**2], (i, 0, 2)), x)(np.ones(9)), "an index is i \\+ c or k i \\+ c"),
        (lambda: gg.lambdify(a * sp.I, [a])(1.0), "is no finite real number"),
        (lambda: gg.lambdify(sp.Piecewise((a, a > 0)), [a])(1.0), "says nothing of where"),
        (lambda: gg.lambdify(a, [a], dtype="int8"), "is no dtype to compile for"),
        (lambda: gg.lambdify(a, [a])("one"), "is no array of numbers"),
    ],
)
def test_what_cannot_be_compiled_is_said(act, sentence):
    with pytest.raises(gg.GraphError, match=sentence):
        act()
