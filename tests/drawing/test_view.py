"""What a picture shows of a graph."""

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.drawing.view import collapsed, picked, view, wrapped
from tests.drawing.nets import computed, deep, lecture, random_arrays, with_objective


def kinds(g):
    return {card.title[0].partition(" ")[0]: card.kind for card in view(g).cards}


def test_the_lecture_is_seven_lines_and_their_leaves():
    seen = view(lecture())
    assert [card.title for card in seen.cards] == [
        ("x",),
        ("t",),
        ("W⁽⁰⁾",),
        ("W⁽¹⁾",),
        ("w",),
        ("A = W⁽⁰⁾x",),
        ("B = σ(A)",),
        ("C = W⁽¹⁾B",),
        ("D = σ(C)",),
        ("E = wᵀD",),
        ("y = σ(E)",),
        ("l = −t ln y −", "(1 − t) ln(1 − y)"),
    ]
    assert len(seen.edges) == 11
    assert [card.tag for card in seen.cards][:6] == ["in", "in", "param · 6", "param · 9", "param · 3", "op"]


def test_kinds():
    assert kinds(with_objective()) == {
        **dict.fromkeys(["x", "t"], "input"),
        **dict.fromkeys(["W⁽⁰⁾", "W⁽¹⁾", "w"], "parameter"),
        **dict.fromkeys(["A", "C", "E", "F", "G", "H"], "linear"),
        **dict.fromkeys(["B", "D", "y"], "activation"),
        **dict.fromkeys(["l", "J"], "loss"),
    }


def test_an_activation_of_the_users_own_is_one():
    swish = gg.elementwise("drawn_swish", lambda z: z / 2)
    with gg.Graph() as g:
        g.A = swish(gg.input("x"))
    assert kinds(g)["A"] == "activation"


def test_activations_and_losses_of_several_operands():
    with gg.Graph() as g:
        x, t, a = gg.input("x", 3), gg.input("t", 3), gg.param("alpha")
        g.p = gg.prelu(x, a)
        g.s = gg.softmax(g.p)
        g.l = gg.cross_entropy(g.s, t)
    assert kinds(g) == {"x": "input", "t": "input", "α": "parameter", "p": "activation", "s": "activation", "l": "loss"}


def test_parameters_stand_above_their_operation_and_a_target_above_the_loss():
    g = lecture()
    seen = view(g)
    name = {card.id: card.title[0].partition(" ")[0] for card in seen.cards}
    assert {(name[pair.source], name[pair.target]) for pair in seen.above} == {
        ("W⁽⁰⁾", "A"),
        ("W⁽¹⁾", "C"),
        ("w", "E"),
        ("t", "l"),
    }


def test_an_unnamed_number_stands_in_the_formula_and_a_named_one_on_a_card():
    with gg.Graph() as g:
        x = gg.input("x")
        g.c = 3.0
        g.u = 2 * x + g.c
    assert [card.title[0] for card in view(g).cards] == ["x", "c = 3", "A = 2 · x", "u = A + c"]


def test_a_graph_without_nodes_is_empty():
    assert view(gg.Graph("nothing")).cards == ()


def test_a_batch_is_counted_or_one_sample_is_picked():
    g = lecture()
    values, gradients = computed(g, "l", random_arrays(g, 5), 5)
    together = view(g, values, gradients, g.l)
    card = next(card for card in together.cards if card.title[0].startswith("A ="))
    assert [cell.text for cell in together.shown(card, "forward")] == ["5 samples"]
    one = view(g, values, gradients, g.l, sample=3)
    card = next(card for card in one.cards if card.title[0].startswith("A ="))
    assert len(one.shown(card, "forward")) == 3
    np.testing.assert_array_equal(one.values[card.id], values[g.A][3])
    np.testing.assert_array_equal(one.gradients[card.id], gradients[g.A][3])


def test_an_array_that_does_not_fit_is_a_sentence():
    g = lecture()
    with pytest.raises(gg.DataError, match=r"^A has the shape 3, the value given for it has \(2, 2\)$"):
        view(g, {g.A: np.zeros((2, 2))})
    with pytest.raises(gg.DataError, match=r"^sample 4 does not exist: the value of A holds 4 samples$"):
        view(g, {g.A: np.zeros((4, 3))}, sample=4)
    with pytest.raises(gg.DataError, match=r"^A: its value is not made of real numbers but of <U1$"):
        picked(g.A, ["a", "b", "c"], None, "value")


def test_groups_fold_into_one_card():
    g = deep(3)
    seen = view(g, collapse=["Layer 2"])
    folded = [card for card in seen.cards if card.kind == "group"]
    assert [(card.title, card.extent) for card in folded] == [(("Layer 2",), "3 nodes · 12 params")]
    assert [group.title for group in seen.groups] == ["Layer 1", "Layer 3"]
    name = {card.id: card.title[0].partition(" ")[0] for card in seen.cards}
    around = {(name[e.source], name[e.target]) for e in seen.edges if "Layer" in (name[e.source], name[e.target])}
    assert around == {("h₀", "Layer"), ("Layer", "C")}


def test_ids_of_cards_do_not_depend_on_what_is_folded():
    g = deep(3)
    names = [{card.title: card.id for card in view(g, collapse=fold).cards} for fold in (False, ["Layer 1"], True)]
    for one in names[1:]:
        assert all(names[0].get(title, id) == id for title, id in one.items())


def test_a_large_graph_starts_folded_and_only_as_far_as_it_must():
    assert collapsed(deep(3), None) == frozenset()
    assert len(collapsed(deep(20), None)) == 20
    with gg.Graph("blocks") as g:
        h = gg.input("x", 2)
        for block in range(3):
            with g.group(f"Block {block}"):
                for layer in range(25):
                    with g.group(f"Layer {layer}"):
                        h = gg.tanh(h)
    assert {len(path) for path in collapsed(g, None)} == {1, 2}
    assert len(view(g).cards) == 4
    assert len(view(g, collapse=False).cards) == 76


def test_an_unknown_group_is_a_sentence():
    with pytest.raises(
        gg.GraphError, match=r"^'Layer 9' is not a group of 'deep' \(it has Layer 1, Layer 2, Layer 3\)$"
    ):
        view(deep(3), collapse=["Layer 9"])


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        ("A = W⁽⁰⁾x", ("A = W⁽⁰⁾x",)),
        ("l = −t ln y − (1 − t) ln(1 − y)", ("l = −t ln y −", "(1 − t) ln(1 − y)")),
        ("x" * 60, ("x" * 20, "x" * 19 + "…")),
    ],
)
def test_long_lines_break_outside_of_parentheses_or_are_shortened(line, lines):
    assert wrapped(line) == lines


def test_what_is_shortened_is_there_in_full():
    with gg.Graph() as g:
        x = gg.input("a_name_that_takes_up_a_good_deal_of_room_on_a_card")
        g.another_one_that_is_as_long_as_the_first_of_the_two = gg.exp(x)
    for card in view(g).cards:
        assert all(len(line) <= 20 for line in card.title)
    assert view(g).cards[1].full.startswith(g.steps[0].text())
