"""Generated code: the reference's numbers, readable lines, and no text of the user's in it."""

import ast
import re
import subprocess
import sys

import numpy as np
import pytest

import graphgrad as gg

random = np.random.default_rng(3)


def lecture():
    with gg.Graph("two hidden layers") as g:
        x, t = gg.input("x", 2), gg.input("t")
        W0, W1, w = gg.param("W^{[0]}", 3, 2), gg.param("W^{[1]}", 3, 3), gg.param("w", 3)
        g.A = W0 @ x
        g.B = gg.sigmoid(g.A)
        g.C = W1 @ g.B
        g.D = gg.sigmoid(g.C)
        g.E = w @ g.D
        g.y = gg.sigmoid(g.E)
        g.l = gg.binary_cross_entropy(g.y, t)
        g.J = gg.batch_sum(g.l) + 0.01 * gg.l2(W0, W1, w)
    return g


def arrays(samples):
    return {
        "x": random.normal(size=(samples, 2)),
        "t": random.integers(0, 2, samples).astype(float),
        "W0": random.normal(size=(3, 2)),
        "W1": random.normal(size=(3, 3)),
        "w": random.normal(size=3),
    }


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-13), ("float32", 2e-5)])
@pytest.mark.parametrize("of", ["J", "l"])
def test_it_computes_what_the_reference_does(of, dtype, tolerance):
    g = lecture()
    wrt = ["W0", "W1", "w", "A", "x"]
    f, reference = gg.compile(g, of, wrt=wrt, dtype=dtype), gg.compile(g, of, wrt=wrt, target="numpy")
    for samples in (1, 2, 7, 300):
        given = arrays(samples)
        ours, theirs = f(**given), reference(**given)
        for node, value in theirs.values.items():
            np.testing.assert_allclose(ours[node], value, rtol=tolerance, atol=tolerance)
        for name, value in theirs.grad.items():
            assert ours.grad[name].dtype == dtype
            np.testing.assert_allclose(ours.grad[name], value, rtol=tolerance, atol=tolerance)


def test_large_layers_run_as_matrix_products_with_the_same_numbers():
    with gg.Graph() as g:
        x, W, V = gg.input("x", 70), gg.param("W", 60, 70), gg.param("V", 80, 60)
        g.A = gg.relu(W @ x)
        g.B = V @ g.A
        g.J = gg.batch_sum(gg.sum(gg.square(g.B)))
    given = {"x": random.normal(size=(9, 70)), "W": random.normal(size=(60, 70)), "V": random.normal(size=(80, 60))}
    f, reference = gg.compile(g, "J", wrt=["W", "V", "x"]), gg.compile(g, "J", wrt=["W", "V", "x"], target="numpy")
    assert f.source.count("product(") == 6
    ours, theirs = f(**given), reference(**given)
    for name in ("W", "V", "x"):
        np.testing.assert_allclose(ours.grad[name], theirs.grad[name], rtol=1e-11, atol=1e-10)


def test_what_crosses_the_batch_takes_its_own_pass_over_the_samples():
    with gg.Graph() as g:
        x = gg.input("x", 2)
        g.m = gg.batch_mean(x)
        g.v = gg.batch_mean(gg.square(x - g.m))
        g.y = (x - g.m) / gg.sqrt(g.v + 1e-5)
        g.J = gg.batch_sum(gg.sum(gg.square(g.y) * gg.tanh(x)))
    f, reference = gg.compile(g, "J", wrt=["x"]), gg.compile(g, "J", wrt=["x"], target="numpy")
    given = random.normal(size=(6, 2))
    assert f.source.count("for n in range(N):") >= 3
    np.testing.assert_allclose(f(x=given)["y"].std(axis=0), 1, rtol=1e-4)
    np.testing.assert_allclose(f(x=given).grad["x"], reference(x=given).grad["x"], rtol=1e-10, atol=1e-12)


def test_the_source_has_a_line_for_each_node_and_fits_100_columns():
    g = lecture()
    source = gg.compile(g, "J", wrt=["W0", "W1", "w"]).source
    assert max(map(len, source.splitlines())) <= 100
    for node in g.steps:
        assert f"# {node.text()}" in source
    assert "# ∂J/∂W⁽⁰⁾ = " in source


def test_the_source_runs_on_its_own(tmp_path):
    g = lecture()
    f = gg.compile(g, "l", wrt="w")
    (tmp_path / "alone.py").write_text(f.source, encoding="utf-8")
    given = arrays(1)
    call = ", ".join(f"np.array({given[leaf.op.name].tolist()})" for leaf in f.inputs)
    program = f"import numpy as np, alone; print(repr(alone.call({call})[0][0].item()))"
    printed = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert float(printed.stdout) == pytest.approx(float(f(**given)["l"][0]), rel=1e-15)


def test_names_that_mean_something_in_python_are_kept_off():
    with gg.Graph('"""; __import__("os") #') as g:
        for name in ("lambda", "N", "n", "memory", "real", "step", "exp", "i", "print", "np"):
            gg.input(name)
        g["import"] = sum((node for node in g.inputs), start=g.inputs[0] * 0)
    f = gg.compile(g, "import")
    tree = ast.parse(f.source)
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert "__import__" not in called
    values = {node.op.name: np.array([float(k)]) for k, node in enumerate(g.inputs)}
    assert f(**values)["import"] == sum(range(10))


def test_nothing_is_read_between_strides_or_outside():
    from graphgrad.graph import Axis, Index
    from graphgrad.ops.contraction import Contraction

    i, q = Axis("i", 4), Axis("q", 3)
    strided = Contraction("strided", (i,), (q,), ((Index(((i, 2), (q, 1)), -1),), (Index(((q, 1),)),)))
    with gg.Graph() as g:
        x, w = gg.input("x", 8), gg.param("w", 3)
        g.y = strided(x, w)
        g.J = gg.batch_sum(gg.sum(gg.square(g.y)))
    f = gg.compile(g, "J", wrt=["x", "w"])
    given, weights = random.normal(size=8), random.normal(size=3)
    padded = np.pad(given, 1)
    expected = np.array([padded[2 * k : 2 * k + 3] @ weights for k in range(4)])
    r = f(x=given, w=weights)
    np.testing.assert_allclose(r["y"], expected, rtol=1e-13)
    back = np.zeros(10)
    for k in range(4):
        back[2 * k : 2 * k + 3] += 2 * expected[k] * weights
    np.testing.assert_allclose(r.grad["x"], back[1:9], rtol=1e-12)
    slopes = [sum(2 * expected[k] * padded[2 * k + q] for k in range(4)) for q in range(3)]
    np.testing.assert_allclose(r.grad["w"], slopes, rtol=1e-12)


@pytest.mark.parametrize("samples", [1, 40])
def test_a_slope_is_gathered_from_neighbours_inside_of_their_bounds(samples):
    """Σ sin(x₁) x₀ + x₁² over neighbours x₀, x₁: the slope is sin(right) + cos(x) left + 2 x where these are there."""
    with gg.Graph() as g:
        x = gg.input("x", 6)
        g.J = gg.sum(gg.sin(x[1:]) * x[:-1] + gg.square(x[1:]))
    f = gg.compile(g, "J", wrt="x", keep=False)
    given = np.random.default_rng(8).normal(size=(samples, 6))
    given[-1, 5] = np.inf
    with np.errstate(invalid="ignore"):
        right = np.c_[np.sin(given[:, 1:]), np.zeros(samples)]
        left = np.c_[np.zeros(samples), np.cos(given[:, 1:]) * given[:, :-1] + 2 * given[:, 1:]]
    np.testing.assert_allclose(f(x=given).grad["x"], right + left, rtol=1e-13)


def test_every_identifier_in_the_source_is_ascii():
    with gg.Graph() as g:
        theta = gg.param("θ")
        g.y = gg.exp(theta)
    source = gg.compile(g, "y").source
    code = re.sub(r"#.*|\"\"\".*?\"\"\"", "", source, flags=re.DOTALL)
    assert code.isascii()
