"""What is shown is proved by numbers: of 200 random graphs, chains and formulas give the compiled gradient."""

import numpy as np
import pytest

import graphgrad as gg
from graphgrad import networks
from graphgrad.calculus.gradient import sweep
from tests.calculus.random_graphs import draw

REASONS = (
    "operations, and at most",
    "are added up one by one",
    "picks an element",
    "depends on the numbers",
    "paths, which are not written out",
)
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


def exactly(formula, arrays, names):
    """The number of a formula to thirty digits; None where it is too large, or picks elements by their values."""
    try:
        return formula.exact(arrays, names=names)
    except gg.GradientError as error:
        if any(reason in str(error) for reason in REASONS):
            return None
        raise


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
            number = exactly(formula, one, names)
            if number is None:
                continue
            close(float(number), expected, f"graph {seed}, names={names}: {formula.text()}")


def normalised():
    with gg.Graph("normalised") as g:
        x, t = gg.input("x", 3), gg.input("t")
        W, w, gamma = gg.param("W", 2, 3), gg.param("w", 2), gg.param("gamma", 2)
        g.A = W @ x
        g.m = gg.batch_mean(g.A)
        g.v = gg.batch_mean(gg.square(g.A - g.m))
        g.N = gamma * (g.A - g.m) / gg.sqrt(g.v + 0.01)
        g.y = gg.sigmoid(w @ gg.relu(g.N))
        g.J = gg.batch_mean(gg.binary_cross_entropy(g.y, t))
    return g


def convolutional():
    with gg.Graph("convolutional") as g:
        x, t = gg.input("x", 1, 8, 8), gg.input("t")
        K, L, W = gg.param("K", 2, 1, 3, 3), gg.param("L", 3, 2, 2, 2), gg.param("W", 3, 12)
        g.F = gg.relu(gg.conv(x, K, padding=1))
        g.P = gg.max_pool(g.F, 2)
        g.G = gg.tanh(gg.conv(g.P, L, stride=1, padding=1))
        g.Q = gg.avg_pool(g.G, 2)
        g.y = gg.softmax(W @ gg.flatten(g.Q))
        g.l = gg.cross_entropy(g.y, t)
        g.J = gg.batch_sum(g.l) + 0.01 * gg.l2(K, L, W)
    return g


@pytest.mark.parametrize("network", [normalised, convolutional])
def test_factors_multiplied_out_are_the_gradient_of_the_compiled_code(network):
    g = network()
    random = np.random.default_rng(2)
    arrays = {leaf.name.ident: random.normal(size=leaf.shape) for leaf in g.parameters}
    arrays |= {leaf.name.ident: random.normal(size=(5, *leaf.shape)) for leaf in g.inputs}
    arrays["t"] = random.integers(0, 2, 5).astype(float)
    wrt = [*g.parameters, g.x]
    result = gg.compile(g, "J", wrt=wrt)(**arrays)
    for leaf in wrt:
        close(gg.chain(g.J, leaf).total(arrays), result.grad[leaf], leaf.name.tex)
        close(gg.jacobian(g.J, leaf, arrays), result.grad[leaf], leaf.name.tex)


def noisy():
    with gg.Graph("noisy") as g:
        x, w, step = gg.input("x", 3), gg.param("w", 3), gg.param("step")
        mean, variance = gg.param("mean", 3), gg.param("variance", 3)
        gamma, beta = gg.param("gamma", 3), gg.param("beta", 3)
        g.B = gg.batch_norm(w * x, mean, variance, gamma, beta)
        g.D = gg.dropout(g.B, step)
        g.J = gg.batch_mean(gg.sum(gg.exp(g.D)))
    return g


def test_batch_normalisation_and_dropout_are_one_edge_each():
    g = noisy()
    random = np.random.default_rng(3)
    arrays = {leaf.name.ident: random.normal(size=leaf.shape) for leaf in g.parameters}
    arrays |= {"step": 4.0, "variance": np.ones(3), "x": random.normal(size=(5, 3))}
    wrt = [g.w, g.gamma, g.beta, g.x]
    result = gg.compile(g, ["J", "D"], wrt=wrt)(**arrays)
    for leaf in wrt:
        chain = gg.chain(g.J, leaf)
        close(chain.total(arrays), result.grad[leaf], chain.text("all"))
    edges = {factor.edge[1]: factor for factor in gg.chain(g.J, g.w).factors}
    numbers = gg.chain(g.J, g.w).values(arrays)
    assert edges[g.B].jacobian.crosses
    assert numbers[edges[g.B]].shape == (5, 5, 3, 3)
    assert edges[g.D].structure == "diagonal"
    assert edges[g.D].local("unicode") == "diag(M)"
    kept = 2.0 * (result["D"] != 0)
    np.testing.assert_array_equal(numbers[edges[g.D]], kept[:, :, None] * np.eye(3))


NETWORKS = {
    "two_hidden_layers": {},
    "logistic_neuron": {},
    "chain_toy": {},
    "two_class_cnn": {"filters": 2},
    "k_class_cnn": {},
    "fcn": {"size": 8, "filters": (2, 3)},
    "u_net": {"size": 8, "filters": 2, "depth": 1},
    "localisation": {"size": 8, "filters": (2, 3), "hidden": 4},
    "full_connection": {"inputs": 6, "units": 4},
    "local_connection": {"inputs": 6},
    "shared_connection": {"inputs": 6},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_by_name_multiplies_out_to_its_gradient(name):
    g = getattr(networks, name)(**NETWORKS[name])
    of = next((node for node in g.outputs if not node.shape), None)
    if of is None:
        (last,) = g.outputs
        of = g["s"] = gg.sum(gg.square(last))
    random = np.random.default_rng(5)
    arrays = {leaf.name.ident: random.normal(0.1, 0.4, leaf.shape) for leaf in (*g.inputs, *g.parameters)}
    for target in ("t", "T"):
        if target in arrays:
            arrays[target] = np.ones_like(arrays[target])
    wrt = [leaf for leaf in (*g.parameters, *g.inputs) if leaf in sweep(of) and leaf.name.ident != "t"]
    result = gg.compile(g, of, wrt=wrt)(**arrays)
    for leaf in wrt:
        chain = gg.chain(of, leaf)
        close(chain.total(arrays), result.grad[leaf], f"{name}: {chain.text()}")
    for leaf in [leaf for leaf in wrt if leaf.kind == "parameter"][-2:]:
        position = tuple(extent // 2 for extent in leaf.shape)
        formula = gg.one_weight(of, leaf, *position)
        number = exactly(formula, arrays, True)
        if number is not None:
            close(float(number), np.asarray(result.grad[leaf])[position], f"{name}: {formula.text()}")
