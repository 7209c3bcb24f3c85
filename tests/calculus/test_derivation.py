"""What is shown is proved by numbers: of 200 random graphs, chains and formulas give the compiled gradient."""

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.calculus.gradient import sweep
from tests.calculus.random_graphs import draw

REASONS = ("operations, and at most", "picks an element", "depends on the numbers", "paths, which are not written out")
BATCHES = 20
EACH = 10


def close(got, expected, what):
    got, expected = np.asarray(got, float), np.asarray(expected, float)
    assert got.shape == expected.shape, what
    assert np.abs(got - expected).max(initial=0) <= 1e-10 * max(1.0, np.abs(expected).max(initial=0)), what


def gradients(drawn):
    """The leaves that the scalar depends on, with the compiled gradient of each."""
    leaves = [leaf for leaf in (*drawn.graph.parameters, *drawn.graph.inputs) if leaf.name.ident != "t"]
    wrt = [leaf for leaf in leaves if leaf in sweep(drawn.of)]
    result = gg.compile(drawn.graph, drawn.of, wrt=wrt, target="numpy")(**drawn.arrays)
    return {leaf: result.grad[leaf] for leaf in wrt}


@pytest.mark.parametrize("batch", range(BATCHES))
def test_factors_multiplied_out_are_the_gradient(batch):
    for seed in range(EACH * batch, EACH * (batch + 1)):
        drawn = draw(seed)
        for leaf, expected in gradients(drawn).items():
            chain = gg.chain(drawn.of, leaf)
            close(chain.total(drawn.arrays), expected, f"graph {seed}, {chain.text()}")
            for row in chain.rows:
                assert chain.latex(row).count("{") == chain.latex(row).count("}")


@pytest.mark.parametrize("batch", range(BATCHES))
def test_the_formula_of_one_weight_is_its_gradient_to_thirty_digits(batch):
    for seed in range(EACH * batch, EACH * (batch + 1)):
        drawn = draw(seed)
        random = np.random.default_rng(seed)
        found = gradients(drawn)
        weights = [leaf for leaf in found if leaf.kind == "parameter"]
        if not weights:
            continue
        weight = weights[random.integers(len(weights))]
        position = tuple(int(random.integers(extent)) for extent in weight.shape)
        formula = gg.one_weight(drawn.of, weight, *position)
        expected = found[weight][(..., *position)]
        close(formula.value(drawn.arrays), expected, f"graph {seed}, {formula.text()}")
        one = {name: array[:1] if drawn.graph[name].per_sample else array for name, array in drawn.arrays.items()}
        if drawn.of.per_sample:
            expected = expected[0]
        else:
            expected = gg.compile(drawn.graph, drawn.of, wrt=weight, target="numpy")(**one).grad[weight][position]
        for names in (True, False):
            try:
                number = formula.exact(one, names=names)
            except gg.GradientError as error:
                assert any(reason in str(error) for reason in REASONS), error
                continue
            close(float(number), expected, f"graph {seed}, names={names}: {formula.text()}")
