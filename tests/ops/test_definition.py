"""Elementwise operations that a user defines from a formula: what they do, and the sentence for each that is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
import sympy as sp

import graphgrad as gg
from graphgrad.compiler import scalar
from graphgrad.graph import FUNCTIONS
from graphgrad.ops import symbolic
from graphgrad.ops.elementwise import Elementwise
from graphgrad.ops.reference import evaluate
from graphgrad.runtime import elementary


@pytest.fixture(autouse=True)
def registry():
    """What a test registers is gone after it."""
    before = dict(FUNCTIONS)
    yield
    FUNCTIONS.clear()
    FUNCTIONS.update(before)


def computed(op, *arrays, order=1, **options):
    """The value and the derivatives by the first operand up to an order, by the reference and by compiled code."""
    found = []
    for target in ("numpy", "cpu"):
        with gg.Graph() as g:
            operands = [gg.input(f"a{k}") for k in range(len(arrays))]
            g.y = op(*operands, **options)
        wanted = [g.y]
        for _ in range(order):
            wanted.append(gg.grad(wanted[-1], operands[0]))
        f = gg.compile(g, wanted, target=target)
        result = f(**{leaf.name.ident: arrays[operands.index(leaf)] for leaf in f.inputs})
        found.append([np.broadcast_to(result[node], np.shape(arrays[0])) for node in wanted])
    for by_reference, by_code in zip(*found, strict=True):
        np.testing.assert_allclose(by_code, by_reference, rtol=1e-12, atol=1e-15)
    return found[0]


Z = np.array([-2.0, -0.5, 0.0, 0.3, 1.7])


def test_one_variable_to_the_third_derivative():
    swish = gg.elementwise("swish", lambda z: z / (1 + sp.exp(-z)))
    z = sp.Symbol("z")
    formula = z / (1 + sp.exp(-z))
    for order, got in enumerate(computed(swish, Z, order=3)):
        expected = [float(sp.diff(formula, z, order).subs(z, value)) for value in Z]
        np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-14)


def test_two_variables_and_broadcasting():
    bump = gg.elementwise("bump", lambda u, v: u * sp.exp(-(v**2)))
    with gg.Graph() as g:
        u, v = gg.input("u", 2, 1), gg.param("v", 3)
        g.A = bump(u, v)
        g.l = gg.sum(g.A)
    assert g.A.shape == (2, 3)
    r = gg.compile(g, "l", wrt=["u", "v"], target="cpu")(u=[[1.0], [2.0]], v=[0.0, 1.0, 2.0])
    e = np.exp(-np.square([0.0, 1.0, 2.0]))
    np.testing.assert_allclose(r.grad["u"], np.full((2, 1), e.sum()), rtol=1e-14)
    np.testing.assert_allclose(r.grad["v"], 3 * e * np.array([0.0, -2.0, -4.0]), rtol=1e-14)


def test_options_have_their_own_derivatives():
    op = gg.elementwise("swish", lambda z, *, beta=1.0: z / (1 + sp.exp(-beta * z)))
    for beta in (1.0, 2.0, 0.5):
        y, slope = computed(op, Z, beta=beta)
        s = 1 / (1 + np.exp(-beta * Z))
        np.testing.assert_allclose(y, Z * s, rtol=1e-14)
        np.testing.assert_allclose(slope, s + Z * beta * s * (1 - s), rtol=1e-13)


def test_cases():
    op = gg.elementwise(
        "shrink", lambda z, *, width=0.5: sp.Piecewise((z - width, z > width), (z + width, z < -width), (0, True))
    )
    y, slope = computed(op, Z, width=0.4)
    np.testing.assert_allclose(y, [-1.6, -0.1, 0, 0, 1.3], atol=1e-15)
    assert slope.tolist() == [1, 1, 0, 0, 1]


def test_without_a_last_case_there_is_nan():
    op = gg.elementwise("upper", lambda z: sp.Piecewise((z, z > 0)))
    (y,) = computed(op, Z, order=0)
    np.testing.assert_array_equal(y, np.where(Z > 0, Z, np.nan))


@pytest.mark.parametrize(
    ("formula", "value", "slope"),
    [
        (lambda z: sp.Max(0, z), np.maximum(Z, 0), Z > 0),
        (lambda z: sp.Min(z, 0), np.minimum(Z, 0), Z < 0),
        (lambda z: sp.Abs(z), np.abs(Z), np.sign(Z)),
        (lambda z: sp.Abs(z - 1) ** 3, np.abs(Z - 1) ** 3, 3 * np.abs(Z - 1) * (Z - 1)),
        (lambda z: sp.sign(z), np.sign(Z), 0 * Z),
        (lambda z: sp.Heaviside(z, 0) * z**2, np.where(Z > 0, Z**2, 0), np.where(Z > 0, 2 * Z, 0)),
        (lambda z: sp.floor(z) + z, np.floor(Z) + Z, np.ones(5)),
        (lambda z: z * sp.ceiling(z), Z * np.ceil(Z), np.ceil(Z)),
        (lambda z: sp.sqrt(z**2), np.abs(Z), np.sign(Z)),
        (lambda z: sp.erf(z) + sp.atan2(z, 2), [math.erf(z) + math.atan2(z, 2) for z in Z], 2 / np.sqrt(np.pi) * np.exp(-(Z**2)) + 2 / (4 + Z**2)),
    ],
    ids=["Max", "Min", "Abs", "Abs cubed", "sign", "Heaviside", "floor", "ceiling", "root of a square", "erf, atan2"],
)  # fmt: skip
def test_functions_with_kinks_and_jumps(formula, value, slope):
    y, found = computed(gg.elementwise("f", formula), Z)
    np.testing.assert_allclose(y, value, rtol=1e-15, atol=1e-16)
    np.testing.assert_allclose(found, slope, rtol=1e-14, atol=1e-16)


@pytest.mark.filterwarnings("ignore::graphgrad.NotFiniteWarning")
@pytest.mark.parametrize("formula", [lambda z: sp.Max(0, z), lambda z: sp.Min(1, z), lambda z: sp.sign(z), sp.Abs])
def test_nan_goes_through(formula):
    (y,) = computed(gg.elementwise("f", formula if formula is not sp.Abs else lambda z: sp.Abs(z)), [np.nan], order=0)
    assert np.isnan(y).all()


def test_a_formula_or_a_lambda_defines_as_well():
    x, y = sp.symbols("x y")
    np.testing.assert_allclose(computed(gg.elementwise("f", x**2 + 1), Z)[1], 2 * Z, atol=1e-16)
    np.testing.assert_allclose(computed(gg.elementwise("g", sp.Lambda((y, x), y - x)), Z, Z + 1)[0], -1)


def test_a_stated_derivative_is_the_one_that_is_taken():
    cube = gg.elementwise("cube", lambda z: z**3, derivative=lambda y, z: 3 * z**2)
    with gg.Graph() as g:
        g.A = cube(gg.input("z"))
    assert gg.grad(g.A, g.z).text() == "∂A/∂z = 3 · z²"


def test_names_options_and_docstrings_are_shown():
    op = gg.elementwise(r"\phi_{1}", lambda z, *, alpha=0.5: alpha * z, doc="A line.")
    with gg.Graph() as g:
        z = gg.input("z")
        g.A, g.B = op(z), op(z, alpha=2)
    assert (g.A.text(), g.B.latex()) == ("A = φ₁(z)", r"B = \phi_{1}\left(z;\, \alpha=2\right)")
    assert g.B.text() == "B = φ₁(z; α=2)"
    assert op.__doc__ == op(z, alpha=2).op.__doc__ == "A line."
    again = gg.parse("z = input()\nA = phi_1(z, alpha=2)")
    assert again.A.op is g.B.op


def test_an_operation_can_be_defined_anew():
    gg.elementwise("f", lambda z: z)
    np.testing.assert_array_equal(computed(gg.elementwise("f", lambda z: 2 * z), Z)[0], 2 * Z)


def test_built_in_operations_are_formulas_too():
    op = gg.elementwise("f", lambda z: gg.relu(z) + gg.gelu(z) + gg.power(z, 2) + gg.leaky_relu(z, alpha=0.1))
    relu = np.maximum(Z, 0)
    gelu = [z / 2 * math.erfc(-z / math.sqrt(2)) for z in Z]
    np.testing.assert_allclose(computed(op, Z)[0], relu + gelu + Z**2 + np.where(Z > 0, Z, 0.1 * Z), rtol=1e-14)


HOW = "write it with SymPy's own functions, as in lambda z: z / (1 + sp.exp(-z)), and cases with sp.Piecewise"
OPTION = "an option stands behind a * with a number as its default, as in lambda z, *, alpha=0.1"
MAY = f"a formula may use {', '.join(symbolic.FUNCTIONS)}"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (lambda z: math.exp(z), f"f: the body cannot be read as a formula (Cannot convert expression to float); {HOW}"),
        (lambda z: max(0, z), f"f: the body cannot be read as a formula (cannot determine truth value of Relational: z > 0); {HOW}"),
        (lambda z: 1 / 0, f"f: the body cannot be read as a formula (division by zero); {HOW}"),
        (lambda z: None, f"f: the body returns None, which is no formula; {HOW}"),
        (lambda z: "z + 1", f"f: the body returns 'z + 1', which is no formula; {HOW}"),
        (lambda z: [z], f"f: the body returns [z], which is no formula; {HOW}"),
        (lambda z: z > 0, "f: z > 0 is a condition; 0 or 1 is sp.Piecewise((1, condition), (0, True))"),
        (lambda z: True, "f: True is a condition; 0 or 1 is sp.Piecewise((1, condition), (0, True))"),
        (lambda z: z + sp.Symbol("b") * sp.Symbol("a"), "f: the formula a*b + z holds a, b, no operand of it"),
        (lambda z: sp.gamma(z) + sp.besselj(0, z), f"f: besselj, gamma has no numerical value here; {MAY}"),
        (lambda z: sp.Function("h")(z), f"f: h has no numerical value here; {MAY}"),
        (lambda z: z + sp.I, "f: the formula z + I is no real number"),
        (lambda z: z / sp.Integer(0), "f: the formula zoo*z is no real number"),
        (lambda: 1, f"f: the body takes no operand; {HOW}"),
        (lambda *z: 1, "f: the body takes *z; name its operands one by one"),
        (lambda z, **o: 1, "f: the body takes **o; name its operands one by one"),
        (lambda z, a=0.1: a * z, f"f: the operand a has a default; {OPTION}"),
        (lambda z, *, a: a * z, f"f: the option a has no number as its default; {OPTION}"),
        (lambda z, *, a="1": z, f"f: the option a has no number as its default; {OPTION}"),
        ("z + 1", f"f: the body is 'z + 1', no function of symbols; {HOW}"),
        (sp.Symbol("x") + sp.Symbol("y"), "f: x + y has the symbols x, y; say which operand comes first with sp.Lambda((x, y), formula) or a function"),
    ],
)  # fmt: skip
def test_what_is_no_formula_is_said(body, sentence):
    with pytest.raises(gg.GraphError) as error:
        gg.elementwise("f", body)
    assert str(error.value) == sentence
    assert "f" not in FUNCTIONS


@pytest.mark.parametrize("name", ["relu", "sum", "matmul", "input", "param", "group", "grad"])
def test_names_that_are_taken(name):
    with pytest.raises(
        gg.GraphError, match=f"^{name} is an operation of graphgrad already; give yours a name of its own$"
    ):
        gg.elementwise(name, lambda z: z)


@pytest.mark.parametrize("name", ["a b", "f'", "__f__", "", "f\n", "f" * 80])
def test_names_that_are_none(name):
    with pytest.raises(gg.NamingError, match="cannot name a node"):
        gg.elementwise(name, lambda z: z)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda z: gg.sigmoid(z, z), "sigmoid takes 1 operand, not 2"),
        (lambda z: gg.leaky_relu(z, 0.2), "leaky_relu takes 1 operand, not 2; an option is given by its name, as in alpha=0.5"),
        (lambda z: gg.prelu(z), "prelu takes 2 operands, not 1"),
        (lambda z: gg.elu(z, beta=1), "elu has no option 'beta'; it has alpha"),
        (lambda z: gg.relu(z, alpha=1), "relu has no option 'alpha'; it has none"),
        (lambda z: gg.elu(z, alpha="1"), "elu: alpha is a finite number, not '1'"),
        (lambda z: gg.elu(z, alpha=math.inf), "elu: alpha is a finite number, not inf"),
        (lambda z: gg.celu(z, alpha=0), "celu: alpha lies above 0; it is 0"),
        (lambda z: gg.softplus(z, beta=-1), "softplus: beta lies above 0; it is -1"),
        (lambda z: gg.hard_tanh(z, low=2), "hard_tanh: high lies above low, which is 2; it is 1"),
        (lambda z: gg.gelu(z, approximate="erf"), "gelu: approximate is 'none' or 'tanh', not 'erf'"),
        (lambda z: gg.clip(z, 2, 1), "clip: no number is at least 2 and at most 1"),
        (lambda z: gg.clip(z), "clip: there is no bound, neither low nor high"),
        (lambda z: gg.norm(z, ord=0.5), 'norm: ord is 0.5; a norm has a number no less than 1, or "inf"'),
        (lambda z: gg.norm(z, ord="fro"), "norm: ord is 'fro'; a norm has a number no less than 1, or \"inf\""),
        (lambda z: gg.variance(z, correction="n"), "variance: correction is a number, not 'n'"),
        (lambda z: gg.std(z, correction=3), "std(z, correction=3): all axes of z: 3 elements less a correction of 3 leaves no divisor (z is an input of shape 3, {place})"),
        (lambda z: gg.softmax(z, axis=1), "softmax(z, axis=1): axis 1 is out of range: z has 1 axis (z is an input of shape 3, {place})"),
        (lambda z: gg.max(z, axis=(0, 0)), "max(z, axis=(0, 0)): an axis is named twice in (0, 0) (z is an input of shape 3, {place})"),
        (lambda z: 0 < z < 1, "A is a node and has no truth value while the graph is built"),
    ],
)  # fmt: skip
def test_wrong_calls_are_said(call, sentence):
    with gg.Graph() as g:
        z = gg.input("z", 3)
        with pytest.raises(gg.GraphError) as error:
            call(z)
    said = str(error.value).partition(", at test_definition.py")[0]
    assert said == sentence.format(place=g.z.place)


def test_what_jumps_has_no_gradient_and_says_why():
    for call, sentence in (
        (lambda x: gg.sum(x > 0), "∂l/∂x does not exist: 1[x > 0]: greater is 0 or 1 and jumps from one to the other"),
        (gg.argmax, "∂l/∂x does not exist: argmax is a position, which jumps from one whole number to another"),
        (lambda x: gg.sum(gg.where(x, 1, 2)), "a condition decides which operand is taken, and is not moved a little"),
    ):
        with gg.Graph() as g:
            x = gg.input("x", 3)
            g.l = call(x)
        with pytest.raises(gg.GradientError) as error:
            gg.grad(g.l, x)
        assert sentence.rpartition(": ")[2] in str(error.value)


def test_rounding_has_the_gradient_0():
    with gg.Graph() as g:
        x = gg.input("x")
        g.l = gg.round(x) + gg.floor(x) + gg.ceil(x) + gg.sign(x) + gg.step(x)
    assert float(gg.compile(g, "l", wrt="x", target="numpy")(x=[0.3]).grad["x"][0]) == 0


def test_reference_and_code_know_the_same_functions():
    assert set(scalar.FUNCTIONS) == {*symbolic.FUNCTIONS, "hashed"}  # which only the formula of dropout holds
    x, y = sp.symbols("x y", real=True)
    two = {"atan2": (x, y)}
    for name in symbolic.FUNCTIONS:
        function = getattr(symbolic, name, None) or getattr(sp, name)
        formula = function(*two.get(name, (x,)))
        text, _ = scalar.source(formula, {x: ("x", scalar.ATOM), y: ("y", scalar.ATOM)}, "float64")
        assert text.startswith(scalar.FUNCTIONS[name]), name
        assert callable(getattr(elementary, scalar.FUNCTIONS[name])), name
        assert not np.isnan(symbolic.numeric((x, y), formula)(np.array(1.0), np.array(1.0))), name
    for name in symbolic.PLAIN:
        formula = getattr(sp, name)(*((x, y) if name in ("Max", "Min") else (x,)))
        assert scalar.source(formula, {x: ("x", scalar.ATOM), y: ("y", scalar.ATOM)}, "float64")
        assert np.isfinite(symbolic.numeric((x, y), formula)(np.array(2.0), np.array(1.0)))


@pytest.mark.parametrize(
    "name", sorted(name for name, op in FUNCTIONS.items() if isinstance(op, Elementwise) and op.built_in)
)
def test_every_operation_of_the_package_is_described(name):
    doc = FUNCTIONS[name].__doc__
    assert ">>> import graphgrad as gg" in doc
    assert f"gg.{name}(" in doc
    assert "..." not in doc.partition(">>>")[0]


def test_an_activation_is_differentiated_without_sympy():
    import subprocess
    import sys

    program = (
        "import sys, graphgrad as gg\n"
        "with gg.Graph() as g:\n"
        "    z, a = gg.input('z', 3), gg.param('a')\n"
        "    y = z\n"
        "    for op in (gg.elu, gg.selu, gg.celu, gg.gelu, gg.silu, gg.mish, gg.softplus, gg.softsign, gg.hard_sigmoid,\n"
        "               gg.hard_tanh, gg.log_sigmoid, gg.leaky_relu, gg.softmax, gg.log_softmax, gg.erf, gg.atan):\n"
        "        y = op(y)\n"
        "    g.l = gg.norm(gg.prelu(gg.clip(y, 0, 1), a)) + gg.prod(y**a) + gg.std(y) + gg.logsumexp(gg.maximum(y, z))\n"
        "gg.grad(gg.sum(gg.grad(g.l, z)), a)\n"
        "assert 'sympy' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_float32_stays_float32():
    swish = gg.elementwise("swish", lambda z, *, beta=0.3: z / (1 + sp.exp(-beta * z)))
    with gg.Graph() as g:
        z = gg.input("z")
        g.A = swish(z)
    array = np.array([1.5], np.float32)
    values = evaluate([g.A], {z: array}, 1, np.float32)
    exact = np.float32(1.5) / (1 + np.exp(np.float32(-0.3) * np.float32(1.5)))
    assert values[g.A].dtype == exact.dtype == np.float32
    assert abs(values[g.A][0] - exact) <= np.spacing(exact)
