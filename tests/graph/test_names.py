"""Names in their three forms, the names that are refused, and the letters of what has no name."""

import keyword
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphgrad as gg
from graphgrad.graph import name
from graphgrad.graph.names import GREEK, LONGEST


@pytest.mark.parametrize(
    ("written", "tex", "text", "ident"),
    [
        ("A", "A", "A", "A"),
        ("loss", r"\mathrm{loss}", "loss", "loss"),
        ("x1", "x_{1}", "x₁", "x1"),
        ("x_1", "x_{1}", "x₁", "x_1"),
        ("x1_2", "x_{1,2}", "x₁,₂", "x1_2"),
        ("y_hat", r"y_{\mathrm{hat}}", "yₕₐₜ", "y_hat"),
        ("x_batch", r"x_{\mathrm{batch}}", "x_batch", "x_batch"),
        ("loss_a_b", r"\mathrm{loss}_{\mathrm{a b}}", "loss_a b", "loss_a_b"),
        ("alpha", r"\alpha", "α", "alpha"),
        ("α", r"\alpha", "α", "alpha"),
        ("ℓ", r"\ell", "ℓ", "ell"),
        ("lambda", r"\lambda", "λ", "lambda_"),
        ("lambda_", r"\lambda", "λ", "lambda_"),
        ("theta2", r"\theta_{2}", "θ₂", "theta2"),
        ("None", r"\mathrm{None}", "None", "None_"),
        ("print", r"\mathrm{print}", "print", "print"),
        ("W^{[0]}", "W^{[0]}", "W⁽⁰⁾", "W0"),
        ("W^{(1)}", "W^{(1)}", "W⁽¹⁾", "W1"),
        ("W_{0}", "W_{0}", "W₀", "W_0"),
        ("W^2_1", "W^2_1", "W²₁", "W2_1"),
        ("W_{i,j}^{[0]}", "W_{i,j}^{[0]}", "W_i,j⁽⁰⁾", "W_i_j0"),
        (r"\hat{y}", r"\hat{y}", "ŷ", "y_hat"),
        (r"\vec{x}", r"\vec{x}", "x⃗", "x"),
        (r"\mathbf{w}", r"\mathbf{w}", "w", "w"),
        (r"\bar{\alpha}_{2}", r"\bar{\alpha}_{2}", "ᾱ₂", "alpha_bar_2"),
        (r"x_{\mathrm{max}}", r"x_{\mathrm{max}}", "xₘₐₓ", "x_max"),
    ],
)
def test_a_name_has_three_forms(written, tex, text, ident):
    label = name(written)
    assert (label.tex, label.text.replace("y\u0302", "ŷ").replace("α\u0304", "ᾱ"), label.ident) == (tex, text, ident)


def test_a_parameter_counts_its_layer_above():
    assert name("W0", parameter=True).tex == "W^{[0]}"
    assert name("W0", parameter=True).text == "W⁽⁰⁾"
    assert name("W1_2", parameter=True).tex == "W^{[1]}_{2}"
    assert name("theta0", parameter=True).tex == r"\theta_{0}"


@pytest.mark.parametrize("word", sorted(GREEK))
def test_a_greek_letter_is_one_name_however_it_is_written(word):
    assert name(word) == name(GREEK[word])
    assert name(f"\\{word}").text == GREEK[word]


HOSTILE = [
    "",
    " ",
    "a b",
    "a\n",
    "W^{[0]}\n",
    "a'",
    'a"',
    "a;b",
    "a.b",
    "a()",
    "a[0]",
    "1a",
    "_a",
    "__import__",
    "a__b",
    "__class__",
    "é",
    "Ａ",
    "x²",
    "名",
    "a\0",
    "a\u202eb",
    "<b>",
    "{0}",
    "a:b",
    "a-->b",
    r"\input{/etc/passwd}",
    r"\write18{ls}",
    r"\href{x}{y}",
    r"x_{\input{a}}",
    r"x_{\mathrm{\alpha}}",
    "x_{1}_{2}",
    "x^1^2",
    "x^{}",
    "x_{a_b}",
    "$x$",
    "W^{[0]",
    "a" * (LONGEST + 1),
    "x" * 1_000_000,
]


@pytest.mark.parametrize("written", HOSTILE, ids=lambda written: repr(written[:20]))
@pytest.mark.parametrize("begin", [gg.input, gg.param])
def test_a_hostile_name_is_refused(begin, written):
    with gg.Graph() as g:
        with pytest.raises(
            gg.NamingError, match="cannot name a node: a name is a letter or word such as A, W0 or loss"
        ):
            begin(written)
        with pytest.raises(gg.NamingError):
            g[written] = 2.0
    assert g.nodes == ()


@pytest.mark.parametrize("written", [3, None, ["x"], b"x", 2.5, gg.Graph])
def test_a_name_is_a_string(written):
    with gg.Graph(), pytest.raises(gg.NamingError, match="cannot name a node"):
        gg.input(written)


def test_the_sentence_of_a_hostile_name():
    with gg.Graph(), pytest.raises(gg.NamingError) as refused:
        gg.input("x\n__import__('os')")
    assert str(refused.value) == (
        "\"x\\n__import__('os')\" cannot name a node: a name is a letter or word such as A, W0 or loss, a Greek letter, "
        "or TeX with one subscript and superscript such as W^{[0]}, of at most 64 characters"
    )


@given(st.text(alphabet=string.ascii_letters + string.digits + r"_^{}[]()\ ',.=+-*αλℓ²é" + "\n\0", max_size=24))
def test_whatever_is_accepted_is_safe_in_all_its_forms(written):
    try:
        label = name(written)
    except gg.NamingError:
        return
    assert label.ident.isidentifier()
    assert label.ident.isascii()
    assert not keyword.iskeyword(label.ident)
    assert "__" not in label.ident
    assert name(label.ident).ident == label.ident, "an identifier is its own identifier"
    assert label.text.isprintable()
    assert not set(label.text) & set('<>&"$;#%`{}|')
    assert label.tex.isascii()
    assert label.tex.isprintable()
    assert label.tex.count("{") == label.tex.count("}")


@pytest.mark.parametrize(
    ("first", "second"),
    [("W0", "W^{[0]}"), ("W^{[0]}", "W0"), ("x1", "x_1"), (r"\hat{y}", "y_hat"), ("α", "alpha"), (r"\vec{x}", "x")],
)
def test_two_ways_to_write_a_name_are_one_name(first, second):
    with gg.Graph():
        declare = gg.param if "W0" in (first, second) else gg.input
        declare(first)
        with pytest.raises(
            gg.NamingError, match=r"is used twice: .* \(test_names.py:\d+\) has it, it is given again at"
        ):
            declare(second)


def test_a_letter_is_the_next_free_one_in_the_order_of_the_steps():
    with gg.Graph() as g:
        x, B = gg.input("x", 3), gg.param("B", 3)
        g.l = gg.sum(gg.sigmoid(x * B) + 1)
        assert [node.name.ident for node in g.steps] == ["A", "C", "D", "l"]
        assert g["C"] is g.steps[1]
        g.C = g.steps[0]
        assert [node.name.ident for node in g.steps] == ["C", "A", "D", "l"]


def test_letters_go_on_after_z_and_avoid_what_is_given():
    with gg.Graph() as g:
        x = gg.input("x")
        gg.param("A_1")
        A2 = gg.input("A2")
        for _ in range(26):
            x = gg.tanh(x)
        y = gg.tanh(x) * A2
    assert [node.name.ident for node in g.steps] == [*string.ascii_uppercase, "A_3", "A_4"]
    assert y.name.tex == "A_{4}"


def test_letters_follow_the_graph_while_it_is_written():
    with gg.Graph() as g:
        x = gg.input("x")
        first, second = gg.tanh(x), gg.exp(x)
        assert (first.name.ident, second.name.ident) == ("A", "B")
        gg.param("A")
        assert (first.name.ident, second.name.ident) == ("B", "C")
        g.u = first
        third = gg.log(x)
        assert (first.name.ident, second.name.ident, third.name.ident) == ("u", "B", "C")
        assert g.find("A").kind == "parameter"
        assert g.find("D") is None


def test_a_constant_and_a_step_of_a_gradient_have_no_name():
    with gg.Graph() as g:
        x = gg.input("x")
        g.y = gg.sigmoid(2 * x)
    assert g.steps[0].inputs[0].name is None
    slope = gg.grad(g.y, x)
    assert slope.name.text == "∂y/∂x"
    assert slope.name.tex == r"\frac{\partial y}{\partial x}"
    assert any(operand.name is None for operand in slope.inputs)
    assert gg.grad(gg.grad(g.y, x), x).name.text == "∂(∂y/∂x)/∂x"
