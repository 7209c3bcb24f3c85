"""The numeric gradient check: it catches what is wrong by a ten-thousandth, and says what it cannot judge."""

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.graph import FUNCTIONS
from graphgrad.ops import linear
from graphgrad.ops.elementwise import Elementwise


@pytest.fixture
def arrays(lecture):
    return lecture.arrays


def test_every_node_before_the_objective_is_checked(lecture, arrays):
    check = lecture.g.check_gradients(**arrays)
    assert check.ok
    assert bool(check)
    assert [row.name for row in check.rows] == "x t W0 W1 w A B C D E y l F G H".split()
    assert check["W0"].checked == 6
    assert check["W^{[0]}"] is check["W0"]
    assert check["W0"].verdict == "agrees"
    assert check["W0"].error < 1e-9
    assert check["W0"].analytic == pytest.approx(check["W0"].numeric, rel=1e-9)


def test_a_gradient_that_is_wrong_by_a_ten_thousandth_is_caught(lecture, arrays, monkeypatch):
    right = Elementwise.vjp

    def vjp(op, *nodes):
        return tuple(1.0001 * part for part in right(op, *nodes)) if op.name == "sigmoid" else right(op, *nodes)

    monkeypatch.setattr(Elementwise, "vjp", vjp)
    check = lecture.g.check_gradients(**arrays, of="l")
    assert not check
    assert {row.name for row in check.rows if row.verdict == "wrong"} == {"x", "W0", "W1", "w", "A", "B", "C", "D", "E"}
    assert check["y"].verdict == "agrees"
    assert check["E"].error == pytest.approx(1e-4, rel=1e-2)
    assert "wrong" in str(check.worst)


def test_a_weight_that_is_not_transposed_is_caught_at_the_first_node_behind_it(lecture, arrays, monkeypatch):
    right = linear.MatMul.vjp

    def vjp(op, gradient, output, a, b):
        if a.shape == (3, 3):
            return gg.outer(gradient, b), FUNCTIONS["matmul"](a, gradient)
        return right(op, gradient, output, a, b)

    monkeypatch.setattr(linear.MatMul, "vjp", vjp)
    check = lecture.g.check_gradients(**arrays)
    wrong = [row.name for row in check.rows if row.verdict == "wrong"]
    assert wrong == ["x", "W0", "A", "B"]


def test_one_wrong_element_of_a_large_node_is_caught_by_the_direction():
    with gg.Graph() as g:
        W, mask = gg.param("W", 40, 50), gg.param("mask", 40, 50)
        g.l = gg.sum(gg.square(W) * mask)
    random = np.random.default_rng(0)
    arrays = {"W": random.normal(size=(40, 50)), "mask": random.random((40, 50)) + 0.5}
    check = g.check_gradients(arrays, seed=3)
    row = check["W"]
    assert (row.checked, row.size) == (24, 2000)
    assert "24 of 2,000, a direction" in str(check)
    assert check.ok
    assert [e.position for e in row.elements] == [e.position for e in g.check_gradients(arrays, seed=3)["W"].elements]
    assert [e.position for e in row.elements] != [e.position for e in g.check_gradients(arrays, seed=4)["W"].elements]


def test_the_objective_is_the_only_scalar_output_or_is_asked_for(lecture, arrays):
    g = lecture.g
    assert g.check_gradients(arrays).of is g.J
    assert g.check_gradients(arrays, of="l").of is g.l
    assert g.check_gradients(arrays, of=g.E).of is g.E
    with g:
        g.accuracy = gg.step(g.y)
    with pytest.raises(gg.GradientError) as caught:
        g.check_gradients(arrays)
    assert str(caught.value) == (
        "two hidden layers has 2 scalar outputs, J, accuracy: say whose gradients are to be checked, "
        "as in check_gradients(of='J', ...)"
    )
    with gg.Graph("only vectors") as h:
        h.A = 2 * gg.input("x", 3)
    with pytest.raises(gg.GradientError, match="only vectors has no scalar output: say whose gradients"):
        h.check_gradients(x=[1, 2, 3])
    with pytest.raises(gg.GradientError, match="the gradient of A does not exist: it has the shape 3"):
        h.check_gradients(x=[1, 2, 3], of="A")


def test_of_a_scalar_per_sample_the_sum_is_checked_and_that_is_said(lecture, arrays):
    check = lecture.g.check_gradients(arrays, of="l")
    assert check.title == "Gradients of Σₙ l over 7 samples against central differences (rtol 1e-06, atol 1e-08)"
    assert check.ok
    one = {name: array[0] if name in "xt" else array for name, array in arrays.items()}
    assert "over 1 sample against" in lecture.g.check_gradients(one, of="l").title


def test_what_is_shared_but_not_differentiated_per_sample():
    with gg.Graph() as g:
        x, w, b = gg.input("x", 2), gg.param("w", 2), gg.param("b")
        g.y = w @ x + b
    check = g.check_gradients(x=np.ones((5, 2)), w=[1, 2], b=0.5)
    assert check.ok
    assert check["b"].analytic == 5.0
    assert check["x"].checked == 10


def kinked():
    with gg.Graph() as g:
        x = gg.input("x", 4)
        g.A = gg.relu(x)
        g.l = gg.sum(gg.abs(g.A - 1))
    return g


def test_kinks_are_said_and_not_called_wrong():
    check = kinked().check_gradients(x=[0.0, -1.0, 1.0, 3.0])
    assert check.ok
    assert [e.verdict for e in check["x"].elements] == ["kink", "agrees", "kink", "agrees"]
    assert check["x"].verdict == "agrees"
    assert "agrees, 2 at a kink" in str(check)
    assert str(check).endswith("All 4 gradients agree; 4 elements at a kink, where there is no derivative.")


@pytest.mark.parametrize("distance", [1e-3, 1e-5, 1e-6])
def test_beside_a_kink_the_gradient_is_judged(distance):
    check = kinked().check_gradients(x=[distance, -distance, 1 + distance, 1 - distance])
    assert [e.verdict for e in check["x"].elements] == ["agrees"] * 4


def test_a_jump_and_the_edge_of_a_domain_have_no_derivative():
    with gg.Graph() as g:
        x = gg.input("x", 2)
        g.l = gg.sum(gg.step(x) + gg.square(x))
    check = g.check_gradients(x=[0.0, 1.0])
    assert [e.verdict for e in check["x"].elements] == ["kink", "agrees"]
    with gg.Graph() as g:
        x = gg.input("x")
        g.l = x**1.5
    assert g.check_gradients(x=0.0)["x"].verdict == "kink"


def test_a_wrong_gradient_at_a_smooth_point_is_no_kink(monkeypatch):
    monkeypatch.setattr(Elementwise, "vjp", lambda op, gradient, *_: (2 * gradient,))
    with gg.Graph() as g:
        x = gg.input("x", 3)
        g.l = gg.sum(gg.tanh(x))
    assert g.check_gradients(x=[0.1, -1.0, 2.0])["x"].verdict == "wrong"


def test_steps_fit_the_size_of_the_value():
    with gg.Graph() as g:
        x = gg.input("x", 3)
        g.l = gg.sum(gg.log(x))
    assert g.check_gradients(x=[1e-9, 1.0, 1e9]).ok
    assert g.check_gradients(x=[1e-200, 1e-199, 1e-201]).ok


def test_saturated_units_agree_though_their_gradients_are_tiny():
    with gg.Graph() as g:
        z = gg.input("z", 4)
        g.l = gg.sum(gg.tanh(gg.sigmoid(z)))
    assert g.check_gradients(z=[-20.0, 25.0, -30.0, 0.5]).ok


def test_what_the_values_are_too_rough_for_is_undecided():
    with gg.Graph() as g:
        x = gg.input("x")
        g.l = (1e12 + gg.tanh(x)) - 1e12
    check = g.check_gradients(x=0.5)
    assert check["x"].verdict == "undecided"
    assert not check.ok
    assert "undecided, for the values are too rough for differences" in check.conclusion


def test_a_gradient_that_is_not_finite_is_said():
    with gg.Graph() as g:
        x, y = gg.input("x"), gg.input("y")
        g.l = gg.sqrt(gg.square(x)) + y
    check = g.check_gradients(x=0.0, y=1.0)
    assert check["x"].verdict in ("kink", "not finite")
    assert check["y"].verdict == "agrees"


def test_an_objective_that_is_not_finite_cannot_be_checked():
    with gg.Graph() as g:
        x = gg.input("x")
        g.l = gg.log(x)
    with pytest.raises(gg.DataError) as caught:
        g.check_gradients(x=[1.0, -1.0])
    assert str(caught.value) == ("l is not finite with these arrays, so its gradients cannot be checked by differences")


def test_an_operand_without_a_gradient_is_said():
    level = gg.elementwise("level", lambda a, b: a + 0 * b)
    with gg.Graph() as g:
        a, b = gg.input("a"), gg.input("b")
        g.y = level(a, b)
    check = g.check_gradients(a=1.0, b=2.0)
    assert check.ok
    assert check["b"].verdict == "no gradient"
    assert str(check["b"]) == "∂y/∂b does not exist: y: level does not vary with it"


def test_arrays_that_do_not_fit_are_said_in_a_sentence(lecture, arrays):
    with pytest.raises(gg.DataError, match=r"no array is given for W\^\{\[0\]\}, a parameter of shape 3x2"):
        lecture.g.check_gradients({name: array for name, array in arrays.items() if name != "W0"})
    with pytest.raises(gg.DataError, match=r"x takes \(N, 2\) for N samples or \(2,\) for one"):
        lecture.g.check_gradients(arrays | {"x": np.ones((7, 3))})


def test_the_table(lecture, arrays):
    lines = str(lecture.g.check_gradients(arrays, of="y")).splitlines()
    assert lines[1].split("  ")[0] == "node"
    assert lines[3].startswith("x     2 per sample       14 ")
    assert lines[-1] == "All 9 gradients agree."
    assert len({line.rstrip().endswith("agrees") for line in lines[3:-1]}) == 1


def test_the_table_as_html_is_escaped(lecture, arrays):
    with gg.Graph("<b>") as g:
        x = gg.input(r"x_{1}")
        g.l = gg.square(x) * 1
    shown = g.check_gradients(x_1=[0.5])._repr_html_()
    assert "<td>x_1</td><td>scalar per sample</td>" in shown
    assert shown.count("<tr>") == 1 + len(g.check_gradients(x_1=[0.5]).rows)
