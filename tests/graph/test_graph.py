"""The graph itself: the lecture's lines, what it says of itself, and that it stays as it was written."""

import dataclasses
import time

import networkx
import pytest

import graphgrad as gg
from graphgrad.graph import FUNCTIONS, Place, written
from tests.graph.networks import by_attributes


def test_the_lecture_is_read_back_line_by_line():
    g = by_attributes()
    assert str(g) == (
        "two hidden layers\n"
        "A = W⁽⁰⁾x\n"
        "B = σ(A)\n"
        "C = W⁽¹⁾B\n"
        "D = σ(C)\n"
        "E = wᵀD\n"
        "y = σ(E)\n"
        "l = −t ln y − (1 − t) ln(1 − y)\n"
        "F = Σₙ l\n"
        "G = ‖W⁽⁰⁾‖₂² + ‖W⁽¹⁾‖₂² + ‖w‖₂²\n"
        "H = 0.01 · G\n"
        "J = F + H"
    )
    assert g.A.latex() == "A = W^{[0]} x"
    assert g.E.latex() == r"E = w^{\top} D"
    assert [node.shape for node in (g.A, g.B, g.C, g.D, g.E, g.y, g.l, g.J)] == [(3,)] * 4 + [()] * 4
    assert [node.per_sample for node in (g.x, g.W0, g.A, g.l, g.J)] == [True, False, True, True, False]


def test_the_summary_is_a_table():
    assert by_attributes().summary() == (
        "two hidden layers\n"
        "node  formula                      shape   per     parameters\n"
        "-------------------------------------------------------------\n"
        "x     input                        2       sample\n"
        "t     input                        scalar  sample\n"
        "W⁽⁰⁾  parameter                    3x2                      6\n"
        "W⁽¹⁾  parameter                    3x3                      9\n"
        "w     parameter                    3                        3\n"
        "A     W⁽⁰⁾x                        3       sample\n"
        "B     σ(A)                         3       sample\n"
        "C     W⁽¹⁾B                        3       sample\n"
        "D     σ(C)                         3       sample\n"
        "E     wᵀD                          scalar  sample\n"
        "y     σ(E)                         scalar  sample\n"
        "l     −t ln y − (1 − t) ln(1 − y)  scalar  sample\n"
        "F     Σₙ l                         scalar\n"
        "G     ‖W⁽⁰⁾‖₂² + ‖W⁽¹⁾‖₂² + ‖w‖₂²  scalar\n"
        "H     0.01 · G                     scalar\n"
        "J     F + H                        scalar\n"
        "-------------------------------------------------------------\n"
        "18 parameters in 3 arrays, 11 steps"
    )


@pytest.mark.parametrize(
    ("pixels", "parameters"), [(28 * 28, 7_850), (256 * 256, 655_370), (256 * 256 * 256, 167_772_170)]
)
def test_parameters_of_a_full_connection_are_counted_and_not_allocated(pixels, parameters):
    with gg.Graph("ten units") as g:
        x = gg.input("x", pixels)
        W, b = gg.param("W", 10, pixels), gg.param("b", 10)
        g.A = W @ x + b
    assert g.count_params() == parameters
    assert f"{parameters:,} parameters in 2 arrays" in g.summary()


def test_groups_are_kept_by_their_nodes():
    with gg.Graph() as g:
        x = gg.input("x", 2)
        with g.group("Encoder"):
            with gg.group("Layer 1"):
                g.A = gg.tanh(x)
            g.B = gg.tanh(g.A)
        g.C = gg.tanh(g.B)
    assert [node.group for node in g.steps] == [("Encoder", "Layer 1"), ("Encoder",), ()]


def test_a_group_is_closed_when_its_lines_fail():
    with gg.Graph() as g:
        x = gg.input("x", 2)
        with pytest.raises(gg.ShapeError), g.group("Layer 1"):
            g.A = gg.param("W", 3, 3) @ x
        g.B = gg.tanh(x)
    assert g.B.group == ()


def test_gradients_stand_in_no_group():
    with gg.Graph() as g, g.group("all"):
        x = gg.input("x")
        g.y = gg.tanh(x)
        assert gg.grad(g.y, x).group == ()


def test_networkx_has_every_node_and_operand():
    g = by_attributes()
    net = g.to_networkx()
    assert net.graph["title"] == "two hidden layers"
    assert net.nodes["A"] == {
        "op": "matmul",
        "formula": "A = W⁽⁰⁾x",
        "shape": (3,),
        "per_sample": True,
        "group": ("Layer 1",),
    }
    assert net.nodes["W0"]["op"] == "parameter"
    assert {(source, target, data["operand"]) for source, target, data in net.in_edges("E", data=True)} == {
        ("w", "E", 0),
        ("D", "E", 1),
    }
    assert networkx.is_directed_acyclic_graph(net)
    assert len(net) == len(g.nodes)


def test_networkx_tells_constants_from_nodes_of_such_a_name():
    with gg.Graph() as g:
        gg.input("constant_1")
        g.y = 2 * gg.square(g.constant_1) + g.constant_1 * g.constant_1
    net = g.to_networkx()
    assert len(net) == len(g.nodes)
    assert net.number_of_edges("constant_1", "C") == 2


def test_networkx_has_the_gradients_that_nodes_are_computed_from():
    with gg.Graph() as g:
        x, w = gg.input("x", 2), gg.param("w", 2)
        g.l = gg.sigmoid(w @ x)
        g.G = gg.grad(g.l, w)
        g.dl_dA = x
    net = g.to_networkx()
    assert list(net.predecessors("G")) == ["dl_dw"]
    assert net.nodes["dl_dw"]["formula"] == "∂l/∂w = ∂l/∂A · x"
    assert net.nodes["dl_dA"]["formula"] == "dl_dA = x", "a name that the user gave is the user's"
    assert networkx.is_directed_acyclic_graph(net)
    assert {"x", "w"} <= networkx.ancestors(net, "G")


def test_a_node_never_changes():
    g = by_attributes()
    for attribute, value in (("op", None), ("inputs", ()), ("type", None), ("graph", None), ("group", ("x",))):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(g.A, attribute, value)
    with pytest.raises((AttributeError, TypeError)):
        g.A.anything = 1
    assert isinstance(g.nodes, tuple)
    gradients = g.gradients
    gradients.clear()
    gg.grad(g.l, g.W0)
    assert g.gradients
    assert len(g.nodes) == len(by_attributes().nodes), "gradients are kept apart from what the user wrote"


def test_a_node_is_found_by_any_form_of_its_name():
    g = by_attributes()
    assert g["W0"] is g["W^{[0]}"] is g["W⁽⁰⁾"] is g.W0 is g[g.W0]
    assert "W^{[0]}" in g
    assert g.A in g
    assert "Z" not in g
    assert 3 not in g
    assert by_attributes().A not in g
    assert not hasattr(g, "nothing")


def test_a_node_under_a_second_name_is_copied():
    with gg.Graph() as g:
        x = gg.input("x", 2)
        g.A = gg.tanh(x)
        g.B = g.A
        g.C = x
    assert [node.text() for node in g.steps] == ["A = tanh(x)", "B = A", "C = x"]
    assert g.B is not g.A


def test_a_number_is_a_line_too():
    with gg.Graph() as g:
        g.c = -0.5
        x = gg.input("x")
        g.y = g.c * x
    assert g.c.text() == "c = −0.5"
    assert g.y.text() == "y = c · x"


def test_the_title_can_be_changed_and_is_one_line():
    g = gg.Graph("before")
    g.title = "after"
    assert g.title == "after"
    with pytest.raises(gg.NamingError, match="cannot title a graph: one line of 0 to 80 printable characters can"):
        g.title = "a\nb"
    with pytest.raises(gg.NamingError, match="cannot title a graph"):
        gg.Graph("x" * 81)


def test_a_place_points_at_the_users_line():
    with gg.Graph() as g:
        x = gg.input("x")
        g.y = gg.tanh(x)
    assert x.place.line == test_a_place_points_at_the_users_line.__code__.co_firstlineno + 2
    assert str(x.place) == f"test_graph.py:{x.place.line}"
    assert str(g.y.place) == f"test_graph.py:{x.place.line + 1}"
    assert gg.grad(g.y, x).place is None
    assert str(Place("text", 3, 5)) == "line 3"
    assert str(Place("/home/user/net.gg", 3, 5)) == "net.gg:3"


# -- large graphs ------------------------------------------------------------------------------------------------

NODES = 10_000


def chain(names=False):
    with gg.Graph("deep") as g:
        h, W = gg.input("x", 3), gg.param("W", 3, 3)
        for k in range(NODES // 2):
            z = W @ h
            h = gg.sigmoid(z)
            if names:
                g[f"z{k}"], g[f"h{k}"] = z, h
    return g


def seconds(action):
    begun = time.process_time()
    action()
    return time.process_time() - begun


@pytest.mark.parametrize("names", [False, True])
def test_a_deep_graph_is_written_named_and_printed_without_recursion(names):
    g = chain(names)
    last = g.steps[-1]
    assert len(g.nodes) == NODES + 2
    assert written(last) == last.name.ident == ("h4999" if names else "A_9975")
    assert last.text().startswith("h₄₉₉₉ = σ(" if names else "A₉₉₇₅ = σ(")
    assert g.summary().count("\n") == NODES + 6
    assert len(str(g).splitlines()) == NODES + 1
    assert len(g.to_networkx()) == NODES + 2


def test_a_graph_whose_nodes_are_looked_at_while_it_is_written_takes_linear_time():
    def build():
        with gg.Graph() as g:
            h, W = gg.input("x", 3), gg.param("W", 3, 3)
            for k in range(NODES // 2):
                z = W @ h
                assert z.name.ident == "A"
                g[f"z{k}"] = z
                g[f"h{k}"] = h = gg.sigmoid(z)
                assert g[f"h{k}"] is h
                assert f"q{k}" not in g

    assert seconds(build) < 5, "half a second is usual; a quadratic way takes minutes"


def test_ten_thousand_nodes_are_built_in_a_fraction_of_a_second():
    assert min(seconds(chain) for _ in range(3)) < 1, "0.1 s is usual"


def test_there_is_a_most_to_the_nodes_of_a_graph():
    g = gg.Graph("small")
    with g, g.written_by(lambda: None, most_nodes=3):
        x = gg.input("x")
        y = gg.tanh(gg.tanh(x))
        with pytest.raises(gg.GraphError, match="small has 3 nodes, which is the most there can be"):
            gg.tanh(y)


def test_every_operation_of_the_register_is_a_function():
    assert all(callable(function) and name.isidentifier() for name, function in FUNCTIONS.items())
