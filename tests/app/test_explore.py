"""The page Explore as Streamlit runs it, without a browser."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("streamlit")

from streamlit.testing.v1 import AppTest

import graphgrad as gg
from graphgrad.app import explore
from graphgrad.app.presets import CHAIN, LECTURE, NEURON, PRESETS
from graphgrad.drawing.numbers import number
from graphgrad.graph import DataError

APP = Path(__file__).parents[2] / "app.py"


@pytest.fixture
def page():
    at = AppTest.from_file(str(APP), default_timeout=120)
    return at.run()


def shown(at):
    """What the browser is sent for the graph."""
    (component,) = at.get("bidi_component")
    return json.loads(component.proto.json)


def numbers(at, name, side="f"):
    """The numbers on the card of a node."""
    data = shown(at)
    (id,) = (id for id, words in data["words"].items() if words.splitlines()[0].split(" = ")[0] == name)
    return [text for cell, (text, *_) in data["cells"].items() if cell.startswith(f"{id}-{side}")]


def choose(at, network, node=None):
    at.segmented_control(key="network").set_value(network).run()
    if node is not None:
        at.session_state[network] = {"selected": node}
        at.run()
    return at


def formulas(at):
    return [line.value.strip("$\n") for line in at.latex]


def test_it_opens_on_the_lectures_network_already_computed(page):
    assert not page.exception
    data = shown(page)
    assert [data["words"][id].partition(" ")[0] for id in data["forward"]] == ["A", "B", "C", "D", "E", "y", "l"]
    assert len(data["backward"]) == 12
    assert all(text not in ("", "·") for text, *_ in data["cells"].values())
    assert numbers(page, "A") == ["0.4", "−0.92", "0.26"]
    assert numbers(page, "l", "b") == ["1"]


def test_the_neuron_shows_the_numbers_of_the_lecture(page):
    choose(page, NEURON.title)
    assert not page.exception
    assert numbers(page, "z") == ["0.06"]
    assert numbers(page, "y") == ["0.5150"]
    assert numbers(page, "l") == ["0.6636"]
    assert numbers(page, "w", "b") == ["−0.4850", "−0.1940", "0.4850"]
    page.segmented_control(key=f"{NEURON.title}-sample-of-2").set_value(2).run()
    assert numbers(page, "z") == ["11.06"]
    assert numbers(page, "y") == ["1.000"]
    slope = 1 / (1 + np.exp(-11.06)) - 1
    assert numbers(page, "w", "b") == [number(slope * x) for x in (1, -2.1, 3)]


def test_the_chain_is_minus_one_at_two(page):
    choose(page, CHAIN.title)
    assert numbers(page, "f") == ["1"]
    assert numbers(page, "x", "b") == ["−1"]


def test_a_choice_opens_the_rule_of_the_node(page):
    choose(page, LECTURE.title, "n6")  # B = σ(A)
    lines = formulas(page)
    assert lines[0].startswith(r"\begin{aligned} B &= \sigma\left(A\right) \\ &= \begin{pmatrix} 0.5987 \\")
    assert lines[1] == r"\frac{\partial B}{\partial A} = B \odot \left(1 - B\right)"
    assert any(r"W^{[1] \top}" in line for line in lines), "the incoming gradient"
    assert any(r"\frac{\partial l}{\partial A}" in line and r"\odot" in line for line in lines), "the product"


def test_a_product_has_its_local_derivative_by_indices(page):
    choose(page, LECTURE.title, "n5")  # A = W0 x
    lines = formulas(page)
    assert r"\frac{\partial A_{i}}{\partial W^{[0]}_{i k}} = x_{k}" in lines
    assert r"\frac{\partial A_{i}}{\partial x_{k}} = W^{[0]}_{i k}" in lines


@pytest.mark.parametrize("tab", ["Rule", "Values", "Gradient", "Chain", "Code"])
@pytest.mark.parametrize("network", list(PRESETS))
def test_every_tab_of_every_node_is_shown_without_an_error(page, network, tab):
    choose(page, network)
    for id in shown(page)["words"]:
        page.session_state[network] = {"selected": id}
        page.session_state[f"{network}-tab"] = tab
        page.run()
        assert not page.exception, f"{tab} of {id}"
        assert not page.error, f"{tab} of {id}"


def test_the_chain_of_the_lecture_by_its_names(page):
    page.session_state[f"{LECTURE.title}-tab"] = "Chain"
    choose(page, LECTURE.title, "n2")
    (line,) = formulas(page)
    for of, wrt in ("ly", "yE", "ED", "DC", "CB", "BA"):
        assert rf"\frac{{\partial {of}}}{{\partial {wrt}}}" in line
    assert r"\frac{\partial A}{\partial W^{[0]}}" in line
    assert len(shown(page)["lit"]) == 7


def test_the_code_of_a_node_is_the_lines_that_compute_it(page):
    page.session_state[f"{LECTURE.title}-tab"] = "Code"
    choose(page, LECTURE.title, "n7")  # C = W1 B
    forward, backward = (block.value for block in page.code)
    assert "# C = W⁽¹⁾B" in forward
    assert "C[n, i] = C_i" in forward
    assert "# D" not in forward
    assert "# ∂l/∂C" in backward


def test_gradients_of_another_output(page):
    page.segmented_control(key=f"{LECTURE.title}-of").set_value("E").run()
    assert numbers(page, "E", "b") == ["1"]
    assert numbers(page, "l", "b") == ["·"]
    assert numbers(page, "D", "b") == numbers(page, "w"), "∂E/∂D = w"


def edited(monkeypatch, change):
    """Let the reader change the arrays of the tables."""
    given = explore.editors.samples

    def samples(graph, arrays, key):
        return change(given(graph, arrays, key))

    monkeypatch.setattr(explore.editors, "samples", samples)


def test_an_edit_is_followed_at_once(page, monkeypatch):
    before = numbers(page, "y")
    edited(monkeypatch, lambda arrays: arrays | {"x": arrays["x"] * 2})
    page.run()
    assert numbers(page, "x") == ["0.8", "−2"]
    assert numbers(page, "y") != before


def test_an_empty_cell_is_a_sentence_and_the_tables_stay(page, monkeypatch):
    edited(monkeypatch, lambda arrays: arrays | {"x": arrays["x"] * float("nan")})
    page.run()
    assert not page.exception
    assert [error.value for error in page.error] == ["x₁ of sample 1 is empty: give it a number."]
    assert len(page.dataframe) == 4


def test_no_sample_is_a_sentence(page, monkeypatch):
    edited(monkeypatch, lambda arrays: {name: array[:0] for name, array in arrays.items()})
    page.run()
    assert not page.exception
    assert len(page.error) == 1


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_numbers_that_overflow_are_shown_as_what_they_are(page, monkeypatch):
    edited(monkeypatch, lambda arrays: arrays | {"x": np.array([[1.7e308, -1.7e308]])})
    page.run()
    assert not page.exception
    assert not page.error
    assert numbers(page, "A")[1] == "−∞"
    assert [alarm for id, (text, alarm, *_) in shown(page)["cells"].items() if text == "−∞"] == [True]


@pytest.mark.parametrize("network", ["<script>alert(1)</script>", "../../etc/passwd", "x" * 10_000, ""])
def test_a_hostile_link_opens_the_first_network(network):
    at = AppTest.from_file(str(APP), default_timeout=120)
    at.query_params["network"] = network
    at.run()
    assert not at.exception
    assert numbers(at, "A") == ["0.4", "−0.92", "0.26"]


def test_an_id_that_is_no_card_is_ignored(page):
    page.session_state[LECTURE.title] = {"selected": "n99"}
    page.run()
    assert not page.exception
    assert shown(page)["selected"] == "n6"


def test_a_cell_is_named_in_the_sentence():
    g = gg.parse(LECTURE.text)
    arrays = {name: np.asarray(array, float) for name, array in LECTURE.arrays.items()}
    arrays["W1"][2, 0] = np.nan
    with pytest.raises(DataError, match=r"^W⁽¹⁾₃,₁ is empty: give it a number$"):
        explore.editors.checked(g, arrays)
