"""The chain of factors, in the lecture's symbols and order."""

import time

import pytest

import graphgrad as gg


def test_the_chain_of_the_lecture(lecture):
    g, (_, _, W0, *_) = lecture.g, lecture.leaves
    c = gg.chain(g.l, W0)
    assert c.text() == "∂l/∂W⁽⁰⁾ = ∂l/∂y · ∂y/∂E · ∂E/∂D · ∂D/∂C · ∂C/∂B · ∂B/∂A · ∂A/∂W⁽⁰⁾"
    assert c.latex() == (
        r"\frac{\partial l}{\partial W^{[0]}} = \frac{\partial l}{\partial y} \frac{\partial y}{\partial E} "
        r"\frac{\partial E}{\partial D} \frac{\partial D}{\partial C} \frac{\partial C}{\partial B} "
        r"\frac{\partial B}{\partial A} \frac{\partial A}{\partial W^{[0]}}"
    )
    assert c._repr_latex_() == f"$\\displaystyle {c.latex()}$"
    assert (str(c), repr(c)) == (c.text(), f"<{c.text()}>")
    assert c.terms == (c.factors,)
    assert c.paths == 1


def test_a_factor_knows_its_nodes_and_shapes(lecture):
    g, (_, _, W0, *_) = lecture.g, lecture.leaves
    factors = gg.chain(g.l, W0).factors
    assert [(f.of, f.wrt) for f in factors[:2]] == [(g.l, g.y), (g.y, g.E)]
    assert [f.shape for f in factors] == [
        ((), ()),
        ((), ()),
        ((), (3,)),
        ((3,), (3,)),
        ((3,), (3,)),
        ((3,), (3,)),
        ((3,), (3, 2)),
    ]
    assert (factors[-1].text(), factors[-1].latex()) == ("∂A/∂W⁽⁰⁾", r"\frac{\partial A}{\partial W^{[0]}}")
    assert str(factors[0]) == "∂l/∂y"


def test_any_node_has_a_chain_back_to_any_other(lecture):
    g, (x, t, _, W1, w) = lecture.g, lecture.leaves
    assert gg.chain(g.D, W1).text() == "∂D/∂W⁽¹⁾ = ∂D/∂C · ∂C/∂W⁽¹⁾"
    assert gg.chain(g.y, w).text() == "∂y/∂w = ∂y/∂E · ∂E/∂w"
    assert gg.chain(g.B, x).text() == "∂B/∂x = ∂B/∂A · ∂A/∂x"
    assert gg.chain(g.l, t).text() == "∂l/∂t = ∂l/∂t"
    assert gg.chain(g.l, g.l).text() == "∂l/∂l = 1"


def test_the_toy_chain_of_the_slides():
    with gg.Graph("toy") as g:
        x = gg.input("x")
        g.v = 1 / x
        g.u = 2 * g.v
        g.f = g.u**2
    assert gg.chain(g.f, x).text() == "∂f/∂x = ∂f/∂u · ∂u/∂v · ∂v/∂x"


def test_an_objective_is_summed_over_the_samples_that_it_gathers(lecture):
    g, (x, _, W0, *_) = lecture.g, lecture.leaves
    with g:
        g.S = gg.batch_sum(g.l)
    assert gg.chain(g.S, W0).text() == (
        "∂S/∂W⁽⁰⁾ = Σₙ ∂S/∂l · ∂l/∂y · ∂y/∂E · ∂E/∂D · ∂D/∂C · ∂C/∂B · ∂B/∂A · ∂A/∂W⁽⁰⁾"
    )
    assert (
        gg.chain(g.S, W0)
        .latex()
        .startswith(
            r"\frac{\partial S}{\partial W^{[0]}} = \sum_{n} \frac{\partial S}{\partial l} \frac{\partial l}{\partial y}"
        )
    )
    assert gg.chain(g.S, g.E).text() == "∂S/∂E = ∂S/∂l · ∂l/∂y · ∂y/∂E"
    assert gg.chain(g.S, x).text().startswith("∂S/∂x = ∂S/∂l · ")


def test_several_paths_give_a_sum(lecture):
    g, (*_, w) = lecture.g, lecture.leaves
    c = gg.chain(g.J, w)
    assert c.text() == "∂J/∂w = ∂J/∂F · Σₙ ∂F/∂l · ∂l/∂y · ∂y/∂E · ∂E/∂w + ∂J/∂H · ∂H/∂G · ∂G/∂w"
    assert c.paths == len(c.terms) == 2
    assert [str(f) for f in c.factors][-3:] == ["∂J/∂H", "∂H/∂G", "∂G/∂w"]


def test_a_direct_part_is_told_from_the_whole_by_what_it_holds():
    with gg.Graph() as g:
        x = gg.input("x", 3)
        g.f = gg.tanh(x)
        g.h = x + g.f
    c = gg.chain(g.h, x)
    assert c.text() == "∂h/∂x = (∂h/∂x)|f + ∂h/∂f · ∂f/∂x"
    assert c.latex() == (
        r"\frac{\partial h}{\partial x} = \left.\frac{\partial h}{\partial x}\right|_{f} + "
        r"\frac{\partial h}{\partial f} \frac{\partial f}{\partial x}"
    )
    assert c.terms[0][0].held == (g.f,)


def test_an_operand_used_twice_is_one_factor():
    with gg.Graph() as g:
        a = gg.input("a")
        g.b = gg.tanh(a)
        g.y = g.b * g.b
    assert gg.chain(g.y, a).text() == "∂y/∂a = ∂y/∂b · ∂b/∂a"


def residual(blocks):
    with gg.Graph() as g:
        x = gg.input("x", 3)
        u = x
        for k in range(blocks):
            g[f"f{k}"] = gg.tanh(u)
            g[f"h{k}"] = u + g[f"f{k}"]
            u = g[f"h{k}"]
    return g, u, x


def test_many_paths_are_one_factor_between_nodes_that_all_of_them_pass():
    _, y, x = residual(4)
    c = gg.chain(y, x)
    assert c.text() == "∂h₃/∂x = ∂h₃/∂h₂ · ∂h₂/∂h₁ · ∂h₁/∂h₀ · ∂h₀/∂x"
    assert c.paths == 16
    assert [f.paths for f in c.factors] == [2, 2, 2, 2]
    first = c.factors[0]
    assert gg.chain(first.of, first.wrt).text() == "∂h₃/∂h₂ = (∂h₃/∂h₂)|f₃ + ∂h₃/∂f₃ · ∂f₃/∂h₂"


def test_one_stretch_of_many_paths_is_opened_where_it_branches():
    with gg.Graph() as g:
        W, u = gg.param("W", 3, 3), gg.input("h", 3)
        for k in range(1, 9):
            g[f"A{k}"] = W @ u
            g[f"h{k}"] = gg.tanh(g[f"A{k}"])
            u = g[f"h{k}"]
        g.y = gg.sum(u)
    c = gg.chain(g.y, W)
    assert c.text() == "∂y/∂W = ∂y/∂h₈ · ∂h₈/∂A₈ · (∂A₈/∂W)|h₇ + ∂y/∂h₈ · ∂h₈/∂A₈ · ∂A₈/∂h₇ · ∂h₇/∂A₇ · ∂A₇/∂W"
    assert c.paths == 8
    assert [f.paths for f in c.terms[1]] == [1, 1, 1, 1, 7]


@pytest.mark.parametrize("shape", ["residual", "ladder", "plain"])
def test_large_networks_take_no_time(shape):
    if shape == "residual":
        _, y, x = residual(100)
    else:
        with gg.Graph() as g:
            x = gg.param("w")
            y = x
            for _ in range(200 if shape == "ladder" else 2_000):
                y = gg.tanh(y * y + y) if shape == "ladder" else gg.tanh(y)
            g.y = y
    start = time.process_time()
    c = gg.chain(y, x)
    assert c.latex()
    assert c.text()
    assert time.process_time() - start < 0.2
    assert len(c.factors) >= 100


def test_paths_without_a_gradient_are_no_paths():
    pick = gg.elementwise("pick", lambda a, b: a + 0 * b, notation=None)
    level = gg.elementwise("level", lambda a: a * 0 + 3)
    with gg.Graph() as g:
        x = gg.input("x")
        g.a = gg.tanh(x)
        g.b = level(x)
        g.y = g.a + g.b
        g.q = pick(g.a, x)
    assert gg.chain(g.y, x).text() == "∂y/∂x = ∂y/∂a · ∂a/∂x"
    assert gg.chain(g.q, x).text() == "∂q/∂x = ∂q/∂a · ∂a/∂x"
    with pytest.raises(gg.GradientError) as caught:
        gg.chain(g.b, x)
    assert str(caught.value) == "∂b/∂x does not exist: b: level does not vary with it"


def test_what_has_no_chain_is_said_in_a_sentence(lecture):
    g, (x, _, W0, *_) = lecture.g, lecture.leaves
    with gg.Graph("another"):
        z = gg.input("z")

    def sentence(of, wrt):
        with pytest.raises(gg.GradientError) as caught:
            gg.chain(of, wrt)
        return str(caught.value)

    assert sentence(g.A, g.B) == "∂A/∂B does not exist: A = W0 @ x does not depend on B"
    assert sentence(x, W0) == "∂x/∂W0 does not exist: x does not depend on W0"
    assert sentence(g.A, z) == "A and z belong to different graphs"
    assert sentence(g.A, "x") == "chain takes two nodes of a graph, not 'x'"
