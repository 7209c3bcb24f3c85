"""Normalisation and dropout: PyTorch's numbers, running statistics in a training step, masks that can be made again."""

from __future__ import annotations

import numpy as np
import pytest

import graphgrad as gg

# By PyTorch 2.13.0, torch.nn.functional, float64; the gradients are those of Σ u ⊙ y with u = 0.0, 0.1, ..., 1.1.
X = np.array([[[1.0, 2.0], [0.0, -1.0]], [[3.0, 5.0], [2.0, 2.0]], [[-1.0, 0.5], [1.0, 4.0]]])
U = np.arange(12.0).reshape(3, 2, 2) / 10
SCALE, SHIFT = [2.0, 0.5], [0.1, -0.1]
MEAN, VARIANCE = [0.1, 0.2], [1.5, 0.5]
IN_TRAINING = [
    [[-0.685583327479, 0.36186110916], [-0.517028012191, -0.829799021334]],
    [[1.409305545798, 3.504194419075], [0.108514006095, 0.108514006095]],
    [[-2.780472200756, -1.209305545798], [-0.204257003048, 0.734056024381]],
]
SLOPES_IN_TRAINING = [
    [[-0.513546928052, -0.352539908969], [-0.072753522536, 0.009518652062]],
    [[0.017955997442, 0.235225591944], [-0.049635266246, -0.018358165332]],
    [[0.211883470421, 0.401021777213], [0.126468211095, 0.004760090957]],
]
IN_USE = [
    [[1.569688946715, 3.202676665287], [-0.241419942045, -0.94851965227]],
    [[4.835664383859, 8.101639821003], [1.172779478405, 1.172779478405]],
    [[-1.696286490429, 0.753195087429], [0.46567976818, 2.586978898854]],
]
STATISTICS_AFTER_A_STEP = [0.265, 0.313333333333], [1.7875, 0.756666666667]
LAYER = [
    [[-1.8999600012, 0.3999900003], [2.0999600012, -0.5999900003]],
    [[-1.899990000075, 0.399997500019], [0.1, -0.1]],
    [[-1.899982222459, 0.399995555615], [-1.89999555557, 0.399998888893]],
]
INSTANCE = [
    [[-1.8999600012, 2.0999600012], [0.3999900003, -0.5999900003]],
    [[-1.899990000075, 2.099990000075], [-0.1, -0.1]],
    [[-1.899982222459, 2.099982222459], [-0.599998888893, 0.399998888893]],
]
GROUP = [
    [
        [0.447211806656, 1.341635419969],
        [-0.794423613313, -2.583270839938],
        [0.033333703702, 1.033331481488],
        [-0.699997777785, -0.033332592595],
    ],
    [
        [0.0, 1.632987718572],
        [-1.532987718572, -1.532987718572],
        [0.112961177883, 1.041375280461],
        [-0.454336458344, -0.454336458344],
    ],
    [
        [-1.170326489495, -0.344213673381],
        [-0.037685469352, 3.266765795105],
        [-0.069456082373, -0.126183678662],
        [-0.238912164746, 2.030191686816],
    ],
]


def batch_normalised():
    with gg.Graph() as g:
        x, u = gg.input("x", 2, 2), gg.input("u", 2, 2)
        leaves = [gg.param(name, 2) for name in ("m", "v", "gamma", "beta")]
        g.A = gg.batch_norm(x, *leaves)
        g.l = gg.sum(u * g.A)
        g.J = gg.batch_sum(g.l)
    return g, {"x": X, "u": U, "m": MEAN, "v": VARIANCE, "gamma": SCALE, "beta": SHIFT}


def test_batch_norm_is_that_of_pytorch():
    g, arrays = batch_normalised()
    result = gg.compile(g, "J", wrt="x")(**arrays)
    np.testing.assert_allclose(result["A"], IN_TRAINING, rtol=1e-10)
    np.testing.assert_allclose(result.grad["x"], SLOPES_IN_TRAINING, rtol=1e-8)
    np.testing.assert_allclose(gg.compile(g.evaluation(), "A")(**arrays)["A"], IN_USE, rtol=1e-10)


def test_a_training_step_moves_the_running_statistics_and_no_gradient_reaches_them():
    g, arrays = batch_normalised()
    step = gg.compile(g, "J", wrt=["gamma", "beta"]).bind(
        optimizer=gg.SGD(0.0), **{name: arrays[name] for name in ("m", "v", "gamma", "beta")}
    )
    step(X, U)
    np.testing.assert_allclose([step.params["m"], step.params["v"]], STATISTICS_AFTER_A_STEP, rtol=1e-10)
    np.testing.assert_array_equal(step.params["gamma"], SCALE)
    with pytest.raises(gg.GradientError, match="∂J/∂m does not exist"):
        gg.grad(g.J, g.m)


def test_the_statistics_of_one_sample_do_not_poison_the_running_ones():
    with gg.Graph() as g:
        x, m, v, w = gg.input("x", 2), gg.param("m", 2), gg.param("v", 2), gg.param("w", 2)
        g.J = gg.batch_sum(w @ gg.batch_norm(x, m, v))
    step = gg.compile(g, "J", wrt="w").bind(optimizer=gg.SGD(0.1), m=[0, 0], v=[1, 1], w=[1, 1])
    step([[3.0, 4.0]])
    np.testing.assert_allclose(step.params["m"], [0.3, 0.4])
    np.testing.assert_allclose(step.params["v"], [0.9, 0.9])


def test_a_state_is_not_trained_and_not_shared():
    g, _ = batch_normalised()
    with pytest.raises(gg.GradientError, match="∂J/∂v does not exist"):
        gg.compile(g, "J", wrt=["v"])
    with gg.Graph() as h:
        x, y, m, v = gg.input("x"), gg.input("y"), gg.param("m"), gg.param("v")
        w = gg.param("w")
        h.J = gg.batch_sum(w * gg.batch_norm(x, m, v) + gg.batch_norm(y, m, v))
    with pytest.raises(gg.GraphError, match=r"m is a state of .* and of .*: give each its own"):
        gg.compile(h, "J", wrt="w").bind(optimizer=gg.SGD(0.1), m=0.0, v=1.0, w=1.0)


def test_other_normalisations_are_those_of_pytorch():
    wide = np.concatenate([X, X * X + 1], axis=1)
    with gg.Graph() as g:
        x, y = gg.input("x", 2, 2), gg.input("y", 4, 2)
        gamma, beta, g4, b4 = gg.param("gamma", 2), gg.param("beta", 2), gg.param("g", 4), gg.param("b", 4)
        g.A = gg.layer_norm(x, gamma, beta)
        g.B = gg.instance_norm(x, gamma, beta)
        g.C = gg.group_norm(y, 2, g4, b4)
    arrays = {"x": X, "y": wide, "gamma": SCALE, "beta": SHIFT, "g": [1.0, 2.0, 0.5, 1.0], "b": [0.0, 0.1, 0.2, 0.3]}
    result = gg.compile(g, ["A", "B", "C"], target="numpy")(**arrays)
    for name, expected in (("A", LAYER), ("B", INSTANCE), ("C", GROUP)):
        np.testing.assert_allclose(result[name], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda x, p: gg.batch_norm(p), "p is the same for every sample: there is no batch"),
        (lambda x, p: gg.batch_norm(x, p), "one of them is missing"),
        (lambda x, p: gg.batch_norm(x, p, p), "p is 3, and the mean of x is a number for each channel, (4,)"),
        (lambda x, p: gg.batch_norm(x, momentum=2), "momentum is 2; it is a number at least 0 and at most 1"),
        (lambda x, p: gg.batch_norm(x, eps=0), "eps is 0; it is a number above 0"),
        (lambda x, p: gg.batch_norm(x, x[:, 0], x[:, 0]), "a running mean is a parameter that all share"),
        (lambda x, p: gg.layer_norm(x, axis=2), "axis 2 is out of range: x has 2 axes"),
        (lambda x, p: gg.layer_norm(x, x), "the scale of x is a number for each place that is normalised, (6,)"),
        (lambda x, p: gg.instance_norm(p), "p is 3; it takes channels along the first axis and places along others"),
        (lambda x, p: gg.group_norm(x, 3), "x has 4 channels, which 3 groups do not share out evenly"),
        (lambda x, p: gg.group_norm(x, 2.0), "groups is 2.0; it is a whole number"),
        (lambda x, p: gg.dropout(x, p), "p is 3; the number of the step is a scalar"),
        (lambda x, p: gg.dropout(x, 0, rate=1.0), "rate is 1.0; it is a number at least 0 and below 1"),
        (lambda x, p: gg.dropout(x, 0, seed=-1), "seed is -1; it is a whole number from 0 on"),
    ],
)
def test_what_does_not_fit_is_said(make, sentence):
    with gg.Graph():
        x, p = gg.input("x", 4, 6), gg.param("p", 3)
        with pytest.raises(gg.GraphError) as caught:
            make(x, p)
    assert sentence in str(caught.value)


# -- dropout ---------------------------------------------------------------------------------------------------------


def dropped(title="drops", rate=0.25, seed=0, name="B"):
    with gg.Graph(title) as g:
        x, step = gg.input("x", 20, 10), gg.param("step")
        g[name] = gg.dropout(x, step, rate=rate, seed=seed)
        g.s = gg.sum(g[name] * g[name])
    return g


ONES = np.ones((100, 20, 10))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("target", ["numpy", "cpu"])
def test_a_mask_is_the_same_everywhere_and_in_the_gradient(target, dtype):
    g = dropped()
    kept = np.asarray(gg.compile(g, "B", target="numpy")(x=ONES, step=3)["B"]) != 0
    result = gg.compile(g, "s", wrt="x", target=target, dtype=dtype)(x=ONES, step=3)
    np.testing.assert_array_equal(result["B"] != 0, kept)
    np.testing.assert_array_equal(result.grad["x"] != 0, kept)
    np.testing.assert_allclose(result["B"][kept], 4 / 3, rtol=1e-6)
    assert abs(kept.mean() - 0.75) < 4 * np.sqrt(0.75 * 0.25 / kept.size)


def test_masks_differ_by_seed_name_step_sample_and_place():
    def mask(step=0, **options):
        g = dropped(**options)
        name = options.get("name", "B")
        return np.asarray(gg.compile(g, name, target="numpy")(x=ONES, step=step)[name]) != 0

    base = mask()
    np.testing.assert_array_equal(mask(title="another title"), base)
    for other in (mask(seed=1), mask(name="C"), mask(step=1), np.roll(base, 1, 0), np.roll(base, 1, 1)):
        together = np.mean(base & other)
        assert abs(together - 0.75**2) < 0.01
    np.testing.assert_array_equal(mask()[:7], gg.compile(dropped(), "B", target="numpy")(x=ONES[:7], step=0)["B"] != 0)


def test_steps_are_counted_in_training_and_nothing_is_dropped_in_use():
    with gg.Graph() as g:
        x, t, step, w = gg.input("x", 8), gg.input("t"), gg.param("step"), gg.param("w", 8)
        g.A = gg.dropout(x, step)
        g.B = gg.dropout(2 * g.A, step, rate=0.1)
        g.l = gg.squared_error(w @ g.B, t)
    data = {"x": np.ones((10, 8)), "t": np.ones(10)}
    history = gg.fit(g, "l", data, optimizer=gg.SGD(1e-3), epochs=3, batch_size=5, progress=False)
    assert history.params["step"] == 6
    again = gg.fit(g, "l", data, optimizer=gg.SGD(1e-3), epochs=3, batch_size=5, progress=False)
    assert history.steps == again.steps
    used = g.evaluation()
    assert [line for line in str(used).splitlines() if line[0] in "AB"] == ["A = x", "B = 2 · A"]
    result = gg.compile(used, "B", target="numpy")(x=data["x"])
    np.testing.assert_array_equal(result["B"], 2 * data["x"])


def test_a_graph_in_use_keeps_names_groups_and_gradients():
    with gg.Graph("net") as g:
        x, m, v, W0 = gg.input("x", 2), gg.param("m", 3), gg.param("v", 3), gg.param("W^{[0]}", 3, 2)
        with gg.group("Layer 1"):
            g.A = gg.batch_norm(W0 @ x, m, v)
        g.J = gg.batch_mean(gg.sum(gg.square(g.A)))
        g.G = gg.grad(g.J, W0)
    used = g.evaluation()
    assert used.title == "net"
    assert [node.name for node in used.nodes] == [node.name for node in g.nodes]
    assert used.A.group == ("Layer 1",)
    assert used.A.place == g.A.place
    assert used.A.op.options() == "training=False"
    arrays = {"x": np.ones((4, 2)), "m": [0, 0, 0], "v": [1, 1, 1], "W0": np.arange(6.0).reshape(3, 2)}
    assert used.check_gradients(arrays, of="J").ok
    result = gg.compile(used, ["J", "G"], wrt="W0", target="numpy")(**arrays)
    np.testing.assert_allclose(result["G"], result.grad["W0"])
    assert not used.evaluation().A.op.training
    assert gg.parse(g.text()).text() == g.text()
