"""Losses: PyTorch's values where the conventions are shared, exact at extreme scores, sentences for what does not fit."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest

import graphgrad as gg

Z = np.array([[0.5, 2.0, -1.0], [1.0, 0.0, 3.0]])
T = np.array([1, 0])
P = np.array([[0.2, 0.5, 0.3], [0.1, 0.1, 0.8]])
W = (0.5, 2.0, 1.0)

# Values and gradients by PyTorch 2.13.0, torch.nn.functional, float64, reduction="none".
PYTORCH = {
    "labels": (
        {},
        T,
        [0.241311296657, 2.169846019556],
        [[0.17529039214, -0.214402965411, 0.039112573271], [-0.885804800615, 0.042010066134, 0.843794734481]],
    ),
    "weight": (
        {"weight": W},
        T,
        [0.482622593314, 1.084923009778],
        [[0.35058078428, -0.428805930821, 0.078225146541], [-0.442902400308, 0.021005033067, 0.421897367241]],
    ),
    "smoothing": (
        {"label_smoothing": 0.1},
        T,
        [0.391311296657, 2.136512686223],
        [[0.141957058807, -0.147736298744, 0.005779239937], [-0.819138133949, 0.008676732801, 0.810461401148]],
    ),
    "weight and smoothing": (
        {"weight": W, "label_smoothing": 0.2},
        T,
        [0.692404043871, 1.374235812386],
        [[0.28803238559, -0.293072103253, 0.005039717663], [-0.361009707056, -0.106726958115, 0.467736665172]],
    ),
    "ignored": (
        {"ignore_index": 0},
        T,
        [0.241311296657, 0.0],
        [[0.17529039214, -0.214402965411, 0.039112573271], [0.0, 0.0, 0.0]],
    ),
    "probabilities": (
        {},
        P,
        [1.441311296657, 0.669846019556],
        [[-0.02470960786, 0.285597034589, -0.260887426729], [0.014195199385, -0.057989933866, 0.043794734481]],
    ),
    "weighted probabilities": (
        {"weight": W, "label_smoothing": 0.2},
        P,
        [1.416574621476, 1.20896806099],
        [[0.123892997363, 0.129841320144, -0.253734317507], [0.049236180673, -0.248242529016, 0.199006348343]],
    ),
}


def entropy(t, of_scores=True, **options):
    """A graph of the cross entropy of three scores, by way of the scores or of their softmax."""
    with gg.Graph() as g:
        z, target = gg.input("z", 3), gg.input("t", *np.shape(t)[1:])
        if of_scores:
            g.l = gg.cross_entropy_with_logits(z, target, **options)
        else:
            g.y = gg.softmax(z)
            g.l = gg.cross_entropy(g.y, target, **options)
    return g


@pytest.mark.parametrize("of_scores", [True, False], ids=["scores", "softmax"])
@pytest.mark.parametrize("case", PYTORCH)
def test_cross_entropy_is_that_of_pytorch(case, of_scores):
    options, t, loss, slopes = PYTORCH[case]
    result = gg.compile(entropy(t, of_scores, **options), "l", wrt="z", target="numpy")(z=Z, t=t)
    np.testing.assert_allclose(result["l"], loss, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(result.grad["z"], slopes, rtol=1e-10, atol=1e-15)


def test_other_losses_are_those_of_pytorch():
    with gg.Graph() as g:
        z, t, p, y = gg.input("z", 3), gg.input("t"), gg.input("p", 3), gg.input("y")
        g.margin = gg.multi_class_hinge(z, t)
        g.divergence = gg.kl_divergence(gg.softmax(z), p)
        g.near, g.far = gg.huber(y, 0.0), gg.huber(y, 0.0, delta=0.7)
        g.entropy = gg.binary_cross_entropy(t, p[0])
    arrays = {"z": Z, "t": T, "p": P, "y": np.array([2.0, -3.0])}
    result = gg.compile(g, ["margin", "divergence", "near", "far", "entropy"], wrt="z", target="numpy")(**arrays)
    np.testing.assert_allclose(result["margin"], [0.0, 1.0])
    np.testing.assert_allclose(result.grad["z"], [[0, 0, 0], [-1 / 3, 0, 1 / 3]])
    np.testing.assert_allclose(result["divergence"], [0.411658282593, 0.030814159906], rtol=1e-11)
    np.testing.assert_allclose(result["near"], [1.5, 2.5])
    np.testing.assert_allclose(result["far"], [1.155, 1.855])
    np.testing.assert_allclose(result["entropy"], [80.0, 10.0])  # -100 is the least logarithm


def test_labels_and_one_hot_targets_are_the_same_loss():
    scores = np.random.default_rng(0).normal(size=(2, 3, 2, 2))
    labels = np.random.default_rng(1).integers(0, 3, (2, 2, 2))
    with gg.Graph() as g:
        z, t, q = gg.input("z", 3, 2, 2), gg.input("t", 2, 2), gg.input("q", 3, 2, 2)
        g.a = gg.cross_entropy_with_logits(z, t, weight=W)
        g.b = gg.cross_entropy_with_logits(z, q, weight=W)
        g.c = gg.dice(gg.softmax(z, axis=0), t, per_class=True)
        g.d = gg.dice(gg.softmax(z, axis=0), q, per_class=True)
    one_hot = np.moveaxis(np.eye(3)[labels], -1, 1)
    result = gg.compile(g, list("abcd"), target="numpy")(z=scores, t=labels, q=one_hot)
    assert result["a"].shape == (2, 2, 2)
    np.testing.assert_array_equal(result["a"], result["b"])
    np.testing.assert_array_equal(result["c"], result["d"])


# -- extremes --------------------------------------------------------------------------------------------------------

EXTREMES = [0.0, 1e-300, 1.0, 40.0, 800.0, 1e4, 1e30, 8e307]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("target", ["numpy", "cpu"])
@pytest.mark.parametrize("of_scores", [True, False], ids=["scores", "softmax"])
def test_cross_entropy_is_exact_at_extreme_scores(of_scores, target, dtype):
    """Against mpmath, in value and in gradient, for a label that is right and for one that is hopeless."""
    most = float(np.finfo(dtype).max) / 4
    sizes = [size for size in EXTREMES if size < most]
    z = np.array([[size, 0.0, -size] for size in sizes for _ in range(3)], dtype)
    t = np.array([label for _ in sizes for label in range(3)], dtype)
    result = gg.compile(entropy(t, of_scores), "l", wrt="z", target=target, dtype=dtype)(z=z, t=t)
    few = 4 * float(np.finfo(dtype).eps)
    tiny = float(np.finfo(dtype).tiny)
    with mp.workdps(60):
        for row, label, loss, slopes in zip(z, t, result["l"], result.grad["z"], strict=True):
            below = [mp.mpf(float(score)) - float(max(row)) for score in row]
            total = mp.fsum(mp.exp(b) for b in below)
            exact = mp.log(total) - below[int(label)]
            assert abs(loss - float(exact)) <= few * abs(float(exact)) + tiny
            for k, slope in enumerate(slopes):
                expected = float(mp.exp(below[k]) / total - (k == label))
                assert abs(slope - expected) <= few * max(abs(expected), abs(slope)) + few * (k == label) + tiny


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "focal"])
def test_losses_on_probabilities_are_finite_also_beside_the_ends(loss):
    y = np.array([0.0, 1.0, -1e-16, 1 + 1e-15, 1e-320, -3.0, 1e300])
    with gg.Graph() as g:
        p, t = gg.input("y"), gg.input("t")
        g.l = getattr(gg, loss)(p, t)
    for label in (0.0, 0.5, 1.0):
        result = gg.compile(g, "l", wrt=["y"])(
            y=y[:6] if loss == "focal" else y, t=np.full(6 + (loss != "focal"), label)
        )
        assert np.isfinite(result["l"]).all()
        assert np.isfinite(result.grad["y"]).all()


def test_losses_on_scores_are_finite():
    z = np.array([0.0, -1e308, 1e308, -745.0, 745.0, 5e-324])
    with gg.Graph() as g:
        score, t, s = gg.input("z"), gg.input("t"), gg.input("s")
        g.a, g.b = gg.binary_cross_entropy_with_logits(score, t), gg.focal_with_logits(score, t)
        g.c = gg.hinge(score, s)
    for label in (0.0, 1.0):
        for loss in "abc":
            sent = {"z": z, "t": np.full(6, label), "s": np.full(6, 2 * label - 1)}
            result = gg.compile(g, loss, wrt=["z"])(
                **{k: v for k, v in sent.items() if (k == "s") == (loss == "c") or k == "z"}
            )
            assert np.isfinite(result[loss]).all()
            assert np.isfinite(result.grad["z"]).all()


def test_a_softmax_that_is_rounded_to_zero_has_its_gradient():
    """∂l/∂z = softmax - one-hot, where l = -ln y by hand, by cross entropy, and by cross entropy over the batch."""
    z = np.array([[900.0, 0.0, -900.0]])
    with gg.Graph() as g:
        score = gg.input("z", 3)
        g.y = gg.softmax(score)
        g.a = -gg.log(g.y[2])
        g.b = gg.cross_entropy(g.y, 2)
        g.J = gg.batch_mean(g.b)
        g.H = gg.batch_sum(gg.kl_divergence(g.y, 2))
        g.c = -gg.sum(gg.log(g.y)) / 3
    for loss, slopes in (("b", [1, 0, -1]), ("J", [1, 0, -1]), ("H", [1, 0, -1]), ("c", [2 / 3, -1 / 3, -1 / 3])):
        result = gg.compile(g, loss, wrt="z")(z=z)
        np.testing.assert_allclose(result.grad["z"], [slopes], rtol=1e-15)
        assert float(np.squeeze(result[loss])) == pytest.approx(900.0 if loss == "c" else 1800.0)


# -- sentences -------------------------------------------------------------------------------------------------------


def test_targets_out_of_range_are_found_where_they_come_in():
    with gg.Graph() as g:
        z, t, s, p = gg.input("z", 3), gg.input("t"), gg.input("s"), gg.input("p")
        g.l = gg.cross_entropy_with_logits(z, t)
        g.ignoring = gg.cross_entropy_with_logits(z, t, ignore_index=-100)
        g.h = gg.hinge(z[0], s)
        g.b = gg.binary_cross_entropy(gg.sigmoid(z[0]), p)
    scores = np.zeros((3, 3))

    def told(loss, **arrays):
        with pytest.raises(gg.DataError) as caught:
            gg.compile(g, loss, target="numpy")(z=scores, **arrays)
        return str(caught.value)

    assert "t is given 3 at sample 2" in told("l", t=[0, 1, 3])
    assert "labels of 3 classes, 0 to 2; labels that count from 1 are t - 1" in told("l", t=[0, 1, 3])
    assert "t is given 0.5 at sample 1" in told("l", t=[0, 0.5, 1])
    assert "t is given -1 at sample 0" in told("l", t=[-1, 0, 1])
    assert "or -100 to be left out" in told("ignoring", t=[-1, 0, 1])
    assert "takes targets of -1 and 1; targets of 0 and 1 are 2 * s - 1" in told("h", s=[0, 1, 1])
    assert "takes targets from 0 to 1; targets of -1 and 1 are (p + 1) / 2" in told("b", p=[0, 1, -1])
    assert np.isfinite(gg.compile(g, "ignoring", target="numpy")(z=scores, t=[-100, 0, 2])["ignoring"]).all()


def test_a_label_out_of_range_changes_no_parameter():
    with gg.Graph() as g:
        x, t, M = gg.input("x", 2), gg.input("t"), gg.param("M", 3, 2)
        g.l = gg.cross_entropy_with_logits(M @ x, t)
    step = gg.compile(g, "l", wrt="M").bind(M=np.zeros((3, 2)), optimizer=gg.SGD(0.1))
    step(np.ones((2, 2)), np.array([0.0, 2.0]))
    before = step.params["M"].copy()
    with pytest.raises(gg.DataError, match="t is given 3 at sample 1"):
        step(np.ones((2, 2)), np.array([0.0, 3.0]))
    np.testing.assert_array_equal(step.params["M"], before)
    with pytest.raises(gg.DataError, match="t is given 7 at sample 4"):
        gg.fit(g, "l", {"x": np.ones((5, 2)), "t": [0, 1, 2, 0, 7]}, epochs=1, progress=False)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda z, t: gg.cross_entropy(z, t, label_smoothing=1.0), "label_smoothing is 1.0; it is a number at least 0"),
        (lambda z, t: gg.cross_entropy(z, t, label_smoothing=-0.1), "label_smoothing is -0.1"),
        (lambda z, t: gg.cross_entropy(z, t, label_smoothing="much"), "label_smoothing is 'much'"),
        (lambda z, t: gg.cross_entropy(z, t, ignore_index=0.5), "ignore_index is 0.5; a label is a whole number"),
        (lambda z, t: gg.cross_entropy(z, z, ignore_index=0), "ignore_index=0 is a label"),
        (lambda z, t: gg.cross_entropy(z, t, weight=(1.0, 2.0)), "z has 3 classes and there are 2 weights"),
        (lambda z, t: gg.cross_entropy(z, t, weight=(1.0, -2.0, 1.0)), "a weight is -2.0"),
        (lambda z, t: gg.cross_entropy(z, t, weight=2.0), "weight is 2.0; it is a number for each class"),
        (lambda z, t: gg.cross_entropy(z, t, weight=t), "each class has one"),
        (lambda z, t: gg.cross_entropy(t, t), "t is a scalar, and K classes have K numbers"),
        (lambda z, t: gg.cross_entropy(z[:1], t), "has one class"),
        (lambda z, t: gg.cross_entropy_with_logits(z, z[:2]), "z is 3, which is 3 classes"),
        (lambda z, t: gg.multi_class_hinge(z, z[:2]), "targets are labels of shape"),
        (lambda z, t: gg.focal(t, t, gamma=0.5), "gamma is 0.5; it is a number at least 1"),
        (lambda z, t: gg.focal(t, t, alpha=1.5), "alpha is 1.5"),
        (lambda z, t: gg.huber(z, z, delta=0), "delta is 0; it is a number above 0"),
        (lambda z, t: gg.dice(z, z, smooth=0), "smooth is 0"),
        (lambda z, t: gg.dice(t, t, per_class=True), "t is a scalar; class by class"),
        (lambda z, t: gg.elastic_net(), "elastic_net() has nothing to penalise"),
        (lambda z, t: gg.elastic_net(z, ratio=2), "ratio is 2; it is a number at least 0 and at most 1"),
    ],
)
def test_what_does_not_fit_is_said(make, sentence):
    with gg.Graph():
        z, t = gg.input("z", 3), gg.input("t")
        with pytest.raises(gg.GraphError) as caught:
            make(z, t)
    assert sentence in str(caught.value)
