"""The rule of a node as LaTeX, and the lines of the source that compute it."""

import numpy as np
import pytest

pytest.importorskip("streamlit")

import graphgrad as gg
from graphgrad.app import rules, source
from graphgrad.app.lesson import Lesson
from graphgrad.calculus.gradient import sweep
from graphgrad.drawing.view import drawn
from tests.ops.bench import PARTS, cases

TEXT = """\
"an objective"
x = input(2)
t = input()
W = param(3, 2)
v = param(3)
A = W @ x
B = tanh(A)
y = sigmoid(v @ (B + B * B))
l = binary_cross_entropy(y, t)
J = batch_sum(l) + 0.1 * l2(W, v)
"""


@pytest.fixture(scope="module")
def lesson():
    g = gg.parse(TEXT)
    seen = set(drawn(g))
    return Lesson(g, g.J, gg.compile(g, ["J"], wrt=[node for node in sweep(g.J) if node in seen]))


def passed(lesson, name):
    return {part.operand.name.ident: part for part in rules.passed_back(lesson, lesson.graph[name])}


def test_an_elementwise_operation(lesson):
    part = passed(lesson, "B")["A"]
    assert part.local == r"\frac{\partial B}{\partial A} = 1 - B^2"
    assert part.product == r"\frac{\partial J}{\partial A} = \frac{\partial J}{\partial B} \odot \left(1 - B^2\right)"
    assert part.whole


def test_a_product_by_its_indices(lesson):
    parts = passed(lesson, "A")
    assert parts["x"].local == r"\frac{\partial A_{i}}{\partial x_{k}} = W_{i k}"
    assert parts["W"].local == r"\frac{\partial A_{i}}{\partial W_{i k}} = x_{k}"


def test_one_of_several_contributions_is_added(lesson):
    parts = passed(lesson, "A")
    assert not parts["W"].whole, "W is in the penalty too"
    assert r"\mathrel{+}=" in parts["W"].product
    assert parts["x"].whole


def test_the_sum_over_the_samples(lesson):
    (total,) = (node for node in lesson.graph.steps if node.op.name == "batch_sum")
    (part,) = rules.passed_back(lesson, total)
    assert part.local == rf"\frac{{\partial {total.name.tex}}}{{\partial l_{{n}}}} = 1"


def test_a_penalty(lesson):
    (penalty,) = (node for node in lesson.graph.steps if node.op.name == "l2")
    local = {part.operand.name.ident: part.local for part in rules.passed_back(lesson, penalty)}
    assert local["W"].endswith("= 2 \\cdot W")


def test_every_rule_has_balanced_braces(lesson):
    for node in lesson.graph.nodes:
        for part in rules.passed_back(lesson, node):
            for line in (part.local, part.product):
                assert line.count("{") == line.count("}")
                assert line.count(r"\left") == line.count(r"\right")


@pytest.mark.parametrize("part", PARTS)
def test_every_operation_has_a_rule(part):
    for one in cases(part):
        found = Lesson(one.graph, one.s, None)
        for each in rules.passed_back(found, one.y):
            assert each.product.startswith(rules.derivative(one.s, each.operand))
            for line in (each.local, each.product):
                assert line.count("{") == line.count("}")
                assert line.count(r"\left") == line.count(r"\right")


def test_a_convolution_by_its_indices():
    with gg.Graph() as g:
        x, F = gg.input("x", 1, 8), gg.param("F", 1, 1, 3)
        g.y = gg.conv(x, F)
        g.s = gg.sum(g.y)
    local = {part.operand.name.ident: part.local for part in rules.passed_back(Lesson(g, g.s, None), g.y)}
    assert local["x"] == r"\frac{\partial y_{k i}}{\partial x_{c, i+p}} = F_{k c p}"


def test_a_chain_of_several_paths_is_a_sum(lesson):
    line, edges = rules.chain(lesson, lesson.graph.A)
    assert " + " in line
    assert line.startswith(r"\begin{aligned}")
    assert line.endswith(r"\end{aligned}")
    assert (lesson.graph.B, lesson.graph.A) in edges


def test_the_chain_of_the_end_is_one(lesson):
    assert rules.chain(lesson, lesson.of) == (r"\frac{\partial J}{\partial J} = 1", [])


def test_values_follow_their_line():
    assert rules.with_value("y = x", np.array(2.0)) == "y = x = 2"
    assert rules.with_value("x", np.array(2.0)) == "x = 2"
    assert rules.with_value(r"\frac{a}{b} = 1", np.array(1.0)) == r"\frac{a}{b} = 1"
    assert rules.with_value("y = x", None) == "y = x"
    assert rules.with_value("y = x", np.array([1.0, 2.0])) == (
        r"\begin{aligned} y &= x \\ &= \begin{pmatrix} 1 \\ 2 \end{pmatrix} \end{aligned}"
    )


def test_the_source_of_every_step_is_found_or_is_a_part_of_others(lesson):
    found = {node.name.ident: source.lines_of(lesson.function, node)[0] for node in lesson.graph.steps}
    assert {name for name, lines in found.items() if not lines} <= {
        node.name.ident for node in lesson.graph.steps if lesson.graph.expansion(node) is not None
    }
    for name in ("A", "B", "y", "l", "J"):
        lines = found[name]
        assert lines.count(f"# {lesson.graph[name].text()}") == 1
        compile(lines, name, "exec")


def test_the_source_for_a_gpu_is_found_with_the_element_that_a_thread_computes(lesson):
    lines, _ = source.lines_of(lesson.on_gpu, lesson.graph.A)
    head, element, comment, *_ = lines.splitlines()
    assert head == "for element in range(thread, 3 * N, threads):"
    assert element.strip() == "n, i = element // 3, element % 3"
    assert comment.strip() == f"# {lesson.graph.A.text()}"


def test_the_source_of_a_gradient_is_found(lesson):
    lines, named = source.lines_of(lesson.function, lesson.gradients[lesson.graph.A])
    assert "# ∂J/∂A =" in lines
    assert named is lesson.gradients[lesson.graph.A]
