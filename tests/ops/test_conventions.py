"""Conventions: values and slopes as PyTorch 2.13 has them, at kinks, at ties and far out; its numbers are noted here."""

from __future__ import annotations

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.graph import FUNCTIONS

POINTS = [-800, -3, -0.5, 0, 0.5, 3, 800]

# Operation, options, values and slopes at the points. PyTorch's slope of the hard sigmoid has float32's 1/6.
PYTORCH = [
    ("relu", {}, [0, 0, 0, 0, 0.5, 3, 800], [0, 0, 0, 0, 1, 1, 1]),
    ("leaky_relu", {}, [-8, -0.03, -0.005, 0, 0.5, 3, 800], [0.01, 0.01, 0.01, 0.01, 1, 1, 1]),
    ("elu", {}, [-1, -0.9502129316, -0.3934693403, 0, 0.5, 3, 800], [0, 0.04978706837, 0.6065306597, 1, 1, 1, 1]),
    (
        "elu",
        {"alpha": 0.5},
        [-0.5, -0.4751064658, -0.1967346701, 0, 0.5, 3, 800],
        [0, 0.02489353418, 0.3032653299, 0.5, 1, 1, 1],
    ),
    (
        "selu",
        {},
        [-1.758099341, -1.670568729, -0.6917581878, 0, 0.5253504937, 3.152102962, 840.5607899],
        [0, 0.08753061208, 1.066341153, 1.758099341, 1.050700987, 1.050700987, 1.050700987],
    ),
    ("celu", {}, [-1, -0.9502129316, -0.3934693403, 0, 0.5, 3, 800], [0, 0.04978706837, 0.6065306597, 1, 1, 1, 1]),
    (
        "celu",
        {"alpha": 0.5},
        [-0.5, -0.4987606239, -0.3160602794, 0, 0.5, 3, 800],
        [0, 0.002478752177, 0.3678794412, 1, 1, 1, 1],
    ),
    (
        "gelu",
        {},
        [0, -0.004049694095, -0.1542687694, 0, 0.3457312306, 2.995950306, 800],
        [0, -0.0119456472, 0.1325048753, 0.5, 0.8674951247, 1.011945647, 1],
    ),
    (
        "gelu",
        {"approximate": "tanh"},
        [0, -0.003637392082, -0.1542859902, 0, 0.3457140098, 2.996362608, 800],
        [0, -0.01158416663, 0.1326300965, 0.5, 0.8673699035, 1.011584167, 1],
    ),
    (
        "silu",
        {},
        [0, -0.1422776195, -0.1887703344, 0, 0.3112296656, 2.85772238, 800],
        [0, -0.08810410602, 0.2600388127, 0.5, 0.7399611873, 1.088104106, 1],
    ),
    (
        "mish",
        {},
        [0, -0.1456474613, -0.2207437747, 0, 0.3752452113, 2.986535005, 800],
        [0, -0.09339311453, 0.2895106779, 0.6, 0.8864243754, 1.021106911, 1],
    ),
    (
        "softplus",
        {},
        [0, 0.04858735157, 0.4740769842, 0.6931471806, 0.9740769842, 3.048587352, 800],
        [0, 0.04742587318, 0.3775406688, 0.5, 0.6224593312, 0.9525741268, 1],
    ),
    (
        "softplus",
        {"beta": 2},
        [0, 0.001237842569, 0.1566308438, 0.3465735903, 0.6566308438, 3.001237843, 800],
        [0, 0.002472623157, 0.2689414214, 0.5, 0.7310585786, 0.9975273768, 1],
    ),
    (
        "softsign",
        {},
        [-0.9987515605, -0.75, -0.3333333333, 0, 0.3333333333, 0.75, 0.9987515605],
        [1.558601062e-06, 0.0625, 0.4444444444, 1, 0.4444444444, 0.0625, 1.558601062e-06],
    ),
    (
        "hard_sigmoid",
        {},
        [0, 0, 0.4166666667, 0.5, 0.5833333333, 1, 1],
        [0, 0, 0.1666666667, 0.1666666667, 0.1666666667, 0, 0],
    ),
    ("hard_tanh", {}, [-1, -1, -0.5, 0, 0.5, 1, 1], [0, 0, 1, 1, 1, 0, 0]),
    ("hard_tanh", {"low": -3, "high": 0.5}, [-3, -3, -0.5, 0, 0.5, 0.5, 0.5], [0, 0, 1, 1, 0, 0, 0]),
    (
        "log_sigmoid",
        {},
        [-800, -3.048587352, -0.9740769842, -0.6931471806, -0.4740769842, -0.04858735157, 0],
        [1, 0.9525741268, 0.6224593312, 0.5, 0.3775406688, 0.04742587318, 0],
    ),
    (
        "sigmoid",
        {},
        [0, 0.04742587318, 0.3775406688, 0.5, 0.6224593312, 0.9525741268, 1],
        [0, 0.04517665973, 0.2350037122, 0.25, 0.2350037122, 0.04517665973, 0],
    ),
    (
        "tanh",
        {},
        [-1, -0.9950547537, -0.4621171573, 0, 0.4621171573, 0.9950547537, 1],
        [0, 0.009866037165, 0.786447733, 1, 0.786447733, 0.009866037165, 0],
    ),
    ("abs", {}, [800, 3, 0.5, 0, 0.5, 3, 800], [-1, -1, -1, 0, 1, 1, 1]),
    ("sign", {}, [-1, -1, -1, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0]),
    ("floor", {}, [-800, -3, -1, 0, 0, 3, 800], [0, 0, 0, 0, 0, 0, 0]),
    ("ceil", {}, [-800, -3, 0, 0, 1, 3, 800], [0, 0, 0, 0, 0, 0, 0]),
    ("round", {}, [-800, -3, 0, 0, 0, 3, 800], [0, 0, 0, 0, 0, 0, 0]),
    ("clip", {"low": -3, "high": 0.5}, [-3, -3, -0.5, 0, 0.5, 0.5, 0.5], [0, 1, 1, 1, 1, 0, 0]),
]

INF = float("inf")


def computed(call, *arrays):
    """The value, and the gradient of its sum for each operand."""
    with gg.Graph() as g:
        operands = [gg.param(f"a{k}", *np.shape(array)) for k, array in enumerate(arrays)]
        g.y = call(*operands)
        g.s = gg.sum(g.y)
    wanted = [g.y, *(gg.grad(g.s, operand) for operand in operands)]
    function = gg.compile(g, wanted, target="numpy")
    result = function(**{f"a{k}": np.asarray(array, float) for k, array in enumerate(arrays)})
    y, *gradients = (np.asarray(result[node]) for node in wanted)
    return y, *(np.broadcast_to(g, np.shape(array)) for g, array in zip(gradients, arrays, strict=True))


@pytest.mark.parametrize(
    ("name", "options", "values", "slopes"), PYTORCH, ids=[f"{n} {o or ''}" for n, o, _, _ in PYTORCH]
)
def test_elementwise(name, options, values, slopes):
    y, slope = computed(lambda z: FUNCTIONS[name](z, **options), POINTS)
    np.testing.assert_allclose(y, values, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(slope, slopes, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "arrays", "value", "gradients"),
    [
        (lambda a, b: a**b, ([0, 0, 0, 2], [0, 2, 1, 0]), [1, 0, 0, 1], ([0, 0, 1, 0], [0, 0, 0, 0.69314718056])),
        (gg.prelu, ([-2, 0, 3], 2), [-4, 0, 3], ([2, 2, 1], -2)),
        (gg.sqrt, ([0, 4],), [0, 2], ([INF, 0.25],)),
        (gg.norm, ([0, 0],), 0, ([0, 0],)),
        (lambda a: gg.norm(a, ord=3), ([0, 0],), 0, ([0, 0],)),
        (lambda a: gg.norm(a, ord=3), ([1, -2],), 2.08008382305, ([0.231120424784, -0.924481699134],)),
        (lambda a: gg.norm(a, ord=1), ([1, -2, 0],), 3, ([1, -1, 0],)),
        (gg.std, ([2, 2],), 0, ([0, 0],)),
        (gg.variance, ([1, 2, 6],), 7, ([-2, -1, 3],)),
        (gg.prod, ([2, 0, 5],), 0, ([0, 10, 0],)),
        (gg.prod, ([0, 0, 5],), 0, ([0, 0, 0],)),
        (gg.logsumexp, ([-INF, 1],), 1, ([0, 1],)),
        (lambda a: gg.softmax(a)[1], ([-INF, 1, 2],), 0.26894142137, ([0, 0.196611933241, -0.196611933241],)),
        (lambda a: gg.sum(gg.clip(a, -1, 1)), ([-1, 1, 1.5],), 1, ([1, 1, 0],)),
    ],
    ids=[
        "power",
        "prelu",
        "sqrt",
        "norm of 0",
        "3-norm of 0",
        "3-norm",
        "1-norm",
        "std of equals",
        "variance",
        "prod with a zero",
        "prod with two",
        "logsumexp",
        "softmax",
        "clip on its bounds",
    ],
)
def test_pytorch(call, arrays, value, gradients):
    y, *found = computed(call, *arrays)
    np.testing.assert_allclose(y, value, rtol=1e-11)
    for got, expected in zip(found, gradients, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize(
    ("call", "array", "expected"),
    [
        (gg.round, [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.49999999999999994, 4503599627370497.5], [-2, -2, 0, 0, 2, 2, 0, 4503599627370498]),
        (gg.argmax, [1, 3, 3], 1),
        (gg.argmax, [1, np.nan, 3], 1),
        (gg.argmin, [1, np.nan, 3], 1),
        (gg.argmax, [-INF, -INF], 0),
        (gg.max, [1, np.nan, 3], np.nan),
        (gg.min, [1, np.nan, 3], np.nan),
        (gg.logsumexp, [-INF, -INF], -INF),
        (gg.logsumexp, [INF, 1], INF),
        (gg.logsumexp, [np.nan, 1], np.nan),
        (lambda a: gg.norm(a), [INF, 1], INF),
        (lambda a: a > 1, [0, 1, 2, np.nan], [0, 0, 1, 0]),
        (lambda a: 1 > a, [0, 1, 2, np.nan], [1, 0, 0, 0]),  # noqa: SIM300 - the number comes first on purpose
        (lambda a: a >= 1, [0, 1, 2, np.nan], [0, 1, 1, 0]),
        (lambda a: a < 1, [0, 1, 2, np.nan], [1, 0, 0, 0]),
        (lambda a: a <= 1, [0, 1, 2, np.nan], [1, 1, 0, 0]),
        (lambda a: gg.equal(a, 1), [0, 1, 2, np.nan], [0, 1, 0, 0]),
        (lambda a: gg.not_equal(a, 1), [0, 1, 2, np.nan], [1, 0, 1, 1]),
        (lambda a: gg.logical_and(a, 1), [0, 1, 2, np.nan], [0, 1, 1, 1]),
        (lambda a: gg.where(a, 1, -1), [0, 1, 2, np.nan], [-1, 1, 1, 1]),
        (lambda a: gg.maximum(a, 1), [0, 1, 2, np.nan], [1, 1, 2, np.nan]),
        (lambda a: gg.minimum(1, a), [0, 1, 2, np.nan], [0, 1, 1, np.nan]),
        (lambda a: gg.clip(a, 0.5, 1.5), [0, 1, 2, np.nan], [0.5, 1, 1.5, np.nan]),
        (lambda a: gg.relu(a), [-INF, INF, np.nan], [0, INF, np.nan]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("target", ["numpy", "cpu"])
@pytest.mark.filterwarnings("ignore::graphgrad.NotFiniteWarning")
def test_odd_values(target, call, array, expected):
    with gg.Graph() as g:
        a = gg.input("a", len(array))
        g.y = call(a)
    result = gg.compile(g, "y", target=target)(a=np.array([array], float))
    np.testing.assert_array_equal(result["y"][0], expected)


def test_the_first_of_equals_takes_the_gradient():
    ties = [3, 1, 3, 1]
    for call, gradient in (
        (gg.max, [1, 0, 0, 0]),
        (gg.min, [0, 1, 0, 0]),
        (lambda a: gg.norm(a, ord="inf"), [1, 0, 0, 0]),
        (lambda a: gg.maximum(a, gg.identity(a) * 1), [1, 1, 1, 1]),
    ):
        np.testing.assert_array_equal(computed(call, ties)[1], gradient)
    for call in (gg.maximum, gg.minimum):
        _, first, second = computed(call, [2, 2], [2, 2])
        assert (first.tolist(), second.tolist()) == ([1, 1], [0, 0])


def test_where_keeps_an_infinite_gradient_from_what_was_not_taken():
    _, gradient = computed(lambda a: gg.sqrt(gg.where(a > 0, a, 4)), [0, 1])
    assert gradient.tolist() == [0, 0.5]
    _, left, right = computed(lambda a, b: gg.sqrt(gg.where(a > 1, a, b)), [0, 4], [0, 0])
    assert (left.tolist(), right.tolist()) == ([0, 0.25], [INF, 0])
