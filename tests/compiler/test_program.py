"""Programs: equal instructions are made once, and the graph stays as the user wrote it."""

import graphgrad as gg
from graphgrad.compiler.program import program


def twice():
    with gg.Graph("twice") as g:
        x = gg.input("x", 3)
        g.A = gg.exp(x)
        g.B = gg.exp(x)
        g.C = g.A + g.B
    return g


def test_equal_instructions_are_made_once_while_the_nodes_stay_apart():
    g = twice()
    compiled = program([g.C, g.A, g.B])
    assert compiled.values[g.A] is compiled.values[g.B]
    assert g.A is not g.B
    assert [i.op.name for i in compiled.order] == ["x", "exp", "add"]


def test_what_nothing_asks_for_is_not_computed():
    g = twice()
    assert [i.op.name for i in program([g.A]).order] == ["x", "exp"]


def key(g):
    compiled = program([g.C])
    return compiled.key(g.inputs, [compiled.values[g.C]])


def test_the_key_is_that_of_the_formulas_not_of_the_objects():
    assert key(twice()) == key(twice())
    other = gg.Graph("other")
    with other:
        x = gg.input("x", 4)
        other.C = gg.exp(x) + gg.exp(x)
    assert key(other) != key(twice())


def test_composite_operations_are_written_out():
    with gg.Graph() as g:
        w = gg.param("w", 3)
        g.R = gg.l2(w)
    assert [i.op.name for i in program([g.R]).order] == ["w", "square", "sum"]
