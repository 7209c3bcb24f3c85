"""Advice: each loss with each output layer, the ones that fit in silence, the others with the right one named."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import graphgrad as gg

LAYERS = {
    "input": lambda E: gg.input("y", *E.shape),
    "score": lambda E: E,
    "relu": gg.relu,
    "tanh": gg.tanh,
    "sigmoid": gg.sigmoid,
    "softmax": gg.softmax,
    "log_softmax": gg.log_softmax,
    "its own": gg.elementwise("own_layer", lambda z: z / 2),
}
FITS = {
    "binary_cross_entropy": {"sigmoid"},
    "focal": {"sigmoid"},
    "cross_entropy": {"softmax"},
    "kl_divergence": {"softmax"},
    "dice": {"sigmoid", "softmax"},
    "binary_cross_entropy_with_logits": {"score", "relu", "tanh"},
    "focal_with_logits": {"score", "relu", "tanh"},
    "cross_entropy_with_logits": {"score", "relu", "tanh"},
    "hinge": {"score", "relu", "tanh"},
    "multi_class_hinge": {"score", "relu", "tanh"},
    "squared_error": {"score", "relu", "tanh", "sigmoid", "softmax", "log_softmax"},
}


def fed(loss, layer):
    with gg.Graph() as g:
        x, t, M = gg.input("x", 2), gg.input("t", 3), gg.param("M", 3, 2)
        g.E = M @ x
        g.a = layer(g.E)
        g.l = getattr(gg, loss)(g.a, t)
    return g


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("loss", FITS)
def test_a_pair_that_does_not_fit_is_pointed_out(loss, layer):
    advice = fed(loss, LAYERS[layer]).advice()
    if layer in (*FITS[loss], "input", "its own"):
        assert advice == []
    else:
        (sentence,) = advice
        assert sentence.startswith(f"l = {loss}(a, t) (test_advice.py:")
        right = {"_logits": f"{loss}(E, t)", "hinge": f"{loss}(E, t)", "entropy": "softmax", "gence": "softmax"}
        named = next((layer for end, layer in right.items() if loss.endswith(end)), "sigmoid")
        assert ("sigmoid" if loss == "binary_cross_entropy" else named) in sentence


def test_the_lecture_s_rule():
    """Cross entropy => softmax."""
    (sentence,) = fed("cross_entropy", gg.sigmoid).advice()
    assert "the output layer of cross_entropy is softmax, cross_entropy(softmax(E), t)" in sentence
    (sentence,) = fed("cross_entropy", lambda E: E).advice()
    assert "put a softmax before it" in sentence
    assert "cross_entropy_with_logits(a, t)" in sentence
    (sentence,) = fed("binary_cross_entropy", gg.softmax).advice()
    assert "the loss of a softmax is cross_entropy(a, t)" in sentence
    (sentence,) = fed("cross_entropy_with_logits", gg.softmax).advice()
    assert "write cross_entropy_with_logits(E, t), or cross_entropy(a, t) on what is there" in sentence


def test_what_stands_between_the_layer_and_the_loss():
    with gg.Graph() as g:
        x, t, M, b = gg.input("x", 4), gg.input("t", 4), gg.param("M", 4, 4), gg.param("bias", 4)
        g.E = M @ x + b
        g.y = gg.sigmoid(g.E)
        g.a = gg.binary_cross_entropy(1 - g.y, t)
        g.b = gg.binary_cross_entropy(gg.reshape(g.y, (2, 2))[0], t[:2])
        g.c = gg.binary_cross_entropy(gg.softmax(g.E)[1], t[0])
        g.d = gg.binary_cross_entropy(gg.flatten(gg.reshape(g.E, (2, 2))), t)
    (sentence,) = g.advice()
    assert sentence.startswith("d = ")


def test_a_softmax_over_another_axis_than_the_classes():
    with gg.Graph() as g:
        z, t = gg.input("z", 3, 4, 5), gg.input("t", 4, 5)
        g.a = gg.cross_entropy(gg.softmax(z), t)
        g.b = gg.cross_entropy(gg.softmax(z, axis=0), t)
        g.c = gg.cross_entropy(gg.softmax(z, axis=-3), t)
    (sentence,) = g.advice()
    assert "the classes lie along the first axis" in sentence
    assert "write softmax(z, axis=0)" in sentence


def test_a_long_sum_is_not_searched_to_its_end():
    with gg.Graph() as g:
        a, t = gg.input("a"), gg.input("t")
        for _ in range(2000):
            a = a + a
        g.l = gg.binary_cross_entropy(a, t)
    assert g.advice() == []


def test_training_warns_once_and_the_rest_is_silent():
    data = {"x": np.ones((4, 2)), "t": np.eye(3)[[0, 1, 2, 0]]}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        g = fed("cross_entropy", gg.sigmoid)
        gg.compile(g, "l", target="numpy")(**data, M=np.ones((3, 2)))
        assert caught == []
        gg.fit(g, "l", data, epochs=2, progress=False)
    (warning,) = caught
    assert warning.category is gg.AdviceWarning
    assert warning.filename == __file__
    assert str(warning.message) == g.advice()[0]
