"""The lecture's lines in the lecture's symbols and order, held by golden files; sentences; a large network; Jacobians."""

from pathlib import Path

import numpy as np
import pytest
import sympy as sp

import graphgrad as gg
from graphgrad.calculus.local import local
from graphgrad.ops.reference import evaluate
from tests.ops.bench import N, case
from tests.ops.samples import SAMPLES

GOLDEN = Path(__file__).parent / "golden"


def toy():
    with gg.Graph("toy") as g:
        x = gg.input("x")
        g.v = 1 / x
        g.u = 2 * g.v
        g.f = g.u**2
    return g


def classifier():
    """A convolution, an activation of the user's own, a pool, K classes: each line of its gradient in its notation."""
    swish = gg.elementwise("swish", lambda z: z / (1 + sp.exp(-z)))
    with gg.Graph("classifier") as g:
        x, t = gg.input("x", 1, 8, 8), gg.input("t")
        K, W, b = gg.param("K", 2, 1, 3, 3), gg.param("W", 3, 18), gg.param("b", 3)
        g.F = gg.conv(x, K)
        g.A = swish(g.F)
        g.P = gg.max_pool(g.A, 2)
        g.v = gg.flatten(g.P)
        g.z = W @ g.v + b
        g.y = gg.softmax(g.z)
        g.l = gg.cross_entropy(g.y, t)
    return g


def lecture_lines(lecture):
    g, (_, _, W0, *_) = lecture.g, lecture.leaves
    chain = gg.chain(g.l, W0)
    forward = [node.latex() for node in (g.A, g.B, g.C, g.D, g.E, g.y, g.l)]
    lines = [line.latex() for line in gg.equations(g.l, W0)]
    rows = [chain.latex(row) for row in chain.rows]
    weight = [gg.one_weight(g.l, W0).latex(), gg.one_weight(g.J, W0).latex()]
    return [*forward, "", *rows, chain.remark, "", *lines, "", *weight]


def recap_lines():
    g = toy()
    chain = gg.chain(g.f, g.x)
    return [*(node.latex() for node in (g.f, g.u, g.v)), *(chain.latex(row) for row in chain.rows)]


def objective_lines(lecture):
    chain = gg.chain(lecture.g.J, lecture.leaves[2])
    return [*(chain.latex(row) for row in chain.rows), "", *(line.latex() for line in gg.equations(lecture.g.J))]


def classifier_lines():
    g = classifier()
    lines = gg.equations(g.l)
    elements = [" = ".join(side.latex for side in line.elements) for line in lines if line.elements]
    chain = gg.chain(g.l, g.K)
    return [*(line.latex() for line in lines), "", *elements, "", *(chain.latex(row) for row in chain.rows)]


@pytest.mark.parametrize("name", ["lecture", "recap", "objective", "classifier"])
def test_lines_are_those_of_the_golden_file(name, lecture):
    made = {"lecture": lambda: lecture_lines(lecture), "objective": lambda: objective_lines(lecture)}
    made |= {"recap": recap_lines, "classifier": classifier_lines}
    assert made[name]() == (GOLDEN / f"{name}.tex").read_text(encoding="utf-8").splitlines()


def test_the_slips_of_the_slides_come_out_right(lecture):
    last = gg.chain(lecture.g.l, lecture.leaves[2]).factors[-1]
    assert last.text() == "∂A/∂W⁽⁰⁾"
    g = classifier()
    assert "softmax" in g.y.text()
    assert [line.text() for line in gg.equations(g.l, g.b)][1].endswith("= y − 𝟏[t]")


def test_the_numbers_of_the_toy_chain():
    g = toy()
    chain = gg.chain(g.f, g.x)
    assert chain.text("local") == "∂f/∂x = 2 · u · 2 · (−1 / x²)"
    assert [float(value) for value in chain.values({"x": 2.0}).values()] == [2.0, 2.0, -0.25]
    assert float(chain.total({"x": 2.0})) == -1.0


def test_each_step_has_its_reason(lecture):
    steps = gg.chain(lecture.g.l, lecture.leaves[2]).steps
    first = steps[0]
    assert first.after == "y - t"
    assert "cancels to y - t" in first.reason
    assert {step.rule for step in steps[1:]} == {
        "diagonal in the sweep",
        "matrix in the sweep",
        "Kronecker in the sweep",
    }
    assert r"W^{[1] \top} g" in {step.after for step in steps}


def test_values_come_from_a_result_as_from_arrays(lecture):
    g, W0 = lecture.g, lecture.leaves[2]
    chain = gg.chain(g.J, W0)
    result = gg.compile(g, "J", wrt="W0", target="numpy")(**lecture.arrays)
    for a, b in zip(chain.values(result).values(), chain.values(lecture.arrays).values(), strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(chain.total(result), result.grad["W0"], rtol=1e-12)


def test_every_factor_has_its_edge_its_structure_and_its_formula(lecture):
    g, (_, _, W0, W1, _) = lecture.g, lecture.leaves
    factors = gg.chain(g.l, W0).factors
    assert [factor.edge for factor in factors[-2:]] == [(g.A, g.B), (W0, g.A)]
    kinds = "scalar scalar row diagonal matrix diagonal Kronecker".split()
    assert [factor.structure for factor in factors] == kinds
    assert factors[4].local() == W1.name.tex
    assert factors[-1].local("unicode") == "I ⊗ xᵀ"


OF_THE_BATCH = {"batch_norm", "drop"}  # differences are taken sample by sample; see the test of dropout below


@pytest.mark.parametrize("sample", [s for s in SAMPLES if s.name not in OF_THE_BATCH], ids=str)
def test_local_jacobians_against_central_differences(sample):
    tried = case(sample)
    arrays = tried.draw()
    values = evaluate([tried.y], arrays, N)
    for operand, gradient in zip(tried.operands, tried.gradients, strict=True):
        edge = gg.local_jacobian(tried.y, operand) if operand in tried.y.inputs else None
        if edge is None or gradient is None or edge.crosses or edge.structure == "samples":
            continue
        local(edge)
        numbers, differences = edge.numbers(values, N), edge.differences(values, N)
        size = max(1.0, float(np.abs(numbers).max(initial=0)))
        assert np.abs(numbers - differences).max(initial=0) <= 1e-5 * size, edge.structure


def test_the_whole_jacobian_and_its_differences(lecture):
    g, W0 = lecture.g, lecture.leaves[2]
    assert gg.jacobian(g.C, W0, lecture.arrays).error < 1e-8
    assert gg.jacobian(g.A, W0, lecture.arrays).structure == "Kronecker"
    assert np.asarray(gg.jacobian(g.J, g.B, lecture.arrays)).shape == (7, 3)


def deep(count):
    with gg.Graph() as g:
        node = gg.input("x", 4)
        for k in range(count // 2):
            node = gg.tanh(gg.param(f"W{k}", 4, 4) @ node)
        g.l = gg.sum(node)
    return g


def test_a_chain_through_two_hundred_nodes_stays_short():
    g = deep(200)
    chain = gg.chain(g.l, g.x)
    assert len(chain.text().split(" · ")) == 201
    assert len(chain.latex("local")) < 60 * 201
    assert len(chain.latex("sweep")) < 2_000


def test_where_paths_double_at_each_step_no_row_does():
    with gg.Graph() as g:
        node = gg.input("x", 2)
        for k in range(60):
            node = gg.sin(node) * gg.cos(node)
            g[f"h{k}"] = node
        g.l = gg.sum(node)
    chain = gg.chain(g.l, g.x)
    assert chain.paths == 2**60
    assert len(chain.latex("all")) < 20_000
    assert sum(len(line.latex()) for line in gg.equations(g.l, g.x)) < 40_000
    assert gg.jacobian(g.l, g.x, x=[0.3, 0.4]).error < 1e-6
    np.testing.assert_allclose(chain.total({"x": [0.3, 0.4]}), gg.jacobian(g.l, g.x, x=[0.3, 0.4]), rtol=1e-12)


def test_sentences(lecture):
    g, (x, _, W0, _, w) = lecture.g, lecture.leaves
    with pytest.raises(gg.GradientError, match=r"∂C/∂w does not exist: C = .* does not depend on w"):
        gg.chain(g.C, w)
    with pytest.raises(
        gg.GradientError, match=r"the position 3 is out of range: .* is 3x2, so along axis 0 it goes from 0 to 2"
    ):
        gg.one_weight(g.l, W0, 3, 0)
    with pytest.raises(gg.GradientError, match=r"has 2 axes, and the position .* has 1"):
        gg.one_weight(g.l, W0, 1)
    with pytest.raises(gg.GradientError, match="has the shape 3: the gradient of one weight is that of a scalar"):
        gg.one_weight(g.C, W0, 1, 0)
    with pytest.raises(gg.GradientError, match="is that of any element: a formula of one is asked for by its numbers"):
        gg.one_weight(g.l, W0).sympy()
    with pytest.raises(gg.GradientError, match="has no row for the sweep, which begins at a scalar"):
        gg.chain(g.C, W0).latex("sweep")
    with pytest.raises(gg.GradientError, match="is no row of a chain"):
        gg.chain(g.C, W0).latex("rows")
    with pytest.raises(gg.GradientError, match="is no operand of"):
        gg.local_jacobian(g.C, x)
    with gg.Graph() as large:
        a, W = gg.input("a", 3000), gg.param("W", 3000, 3000)
        large.A = W @ a
    with pytest.raises(gg.GradientError, match=r"3,000 rows and 9,000,000 columns are 27,000,000,000 numbers over all"):
        gg.jacobian(large.A, W, a=np.zeros(3000), W=np.zeros((3000, 3000)))
    with gg.Graph() as positions:
        b = gg.param("b", 3)
        positions.l = 1.0 * gg.argmax(b)
    with pytest.raises(gg.GradientError, match="argmax is a position, which jumps"):
        gg.chain(positions.l, b)
    h = classifier()
    with pytest.raises(
        gg.GradientError, match=r"written out in inputs and weights has about .* operations, and at most 10,000"
    ):
        gg.one_weight(h.l, h.K, 0, 0, 0, 0).sympy()
