"""Training: it learns, the same seed gives the same bits, and it ends well when it diverges."""

import numpy as np
import pytest

import graphgrad as gg

random = np.random.default_rng(7)
X = random.normal(size=(60, 2))
T = (X @ [1.0, -2.0] + 0.5 > 0).astype(float)


@pytest.fixture(scope="module")
def neuron():
    with gg.Graph() as g:
        x, t, w, b = gg.input("x", 2), gg.input("t"), gg.param("w", 2), gg.param("b")
        g.y = gg.sigmoid(w @ x + b)
        g.l = gg.binary_cross_entropy(g.y, t)
        g.J = gg.batch_mean(g.l)
    return g


def train(neuron, **options):
    options = {"optimizer": gg.SGD(0.5), "epochs": 30, "batch_size": 16, **options}
    return gg.fit(neuron, "J", {"x": X, "t": T}, **options)


def test_it_separates_what_a_line_separates(neuron):
    history = train(neuron, epochs=200)
    y = gg.compile(neuron, "y")(x=X, **history.params)["y"]
    assert ((y > 0.5) == T).mean() >= 0.98
    assert history.loss[-1] < history.loss[0] / 3
    assert len(history.loss) == 200
    assert len(history.steps) == 200 * 4


def test_the_same_seed_gives_the_same_bits(neuron):
    one, two, other = train(neuron, seed=1), train(neuron, seed=1), train(neuron, seed=2)
    np.testing.assert_array_equal(one.params["w"], two.params["w"])
    assert (one.params["w"] != other.params["w"]).any()


def test_all_samples_at_once_is_plain_gradient_descent(neuron):
    history = train(neuron, epochs=1, batch_size=None, params={"w": [0.0, 0.0], "b": 0.0})
    np.testing.assert_allclose(history.params["w"], 0.5 * X.T @ (T - 0.5) / 60, rtol=1e-12)
    np.testing.assert_allclose(history.params["b"], 0.5 * (T - 0.5).mean(), rtol=1e-12)


def test_it_stops_when_it_gets_no_better(neuron):
    history = train(neuron, epochs=500, batch_size=None, patience=3, min_delta=1e-3)
    assert len(history.loss) < 500
    assert history.stopped == "no better for 3 epochs"


def test_the_callback_sees_each_epoch_and_can_stop(neuron):
    seen = []
    history = train(neuron, callback=lambda epoch, loss, params: seen.append((epoch, loss)) or epoch == 4)
    assert [epoch for epoch, _ in seen] == [0, 1, 2, 3, 4]
    assert [loss for _, loss in seen] == history.loss
    assert history.stopped == "stopped by the callback"


def test_a_loss_that_is_no_number_ends_the_training_with_the_last_good_parameters():
    with gg.Graph() as g:
        x, w = gg.input("x"), gg.param("w")
        g.J = gg.batch_sum(gg.square(w * x) - gg.exp(w * x) + gg.exp(w * x))
    with pytest.warns(gg.NotFiniteWarning, match="J became NaN in epoch"):
        history = gg.fit(g, "J", {"x": [1.0]}, optimizer=gg.SGD(1000.0), params={"w": 1.0}, epochs=50)
    assert history.stopped == "the loss became NaN"
    assert np.isfinite(history.params["w"])


def test_biases_begin_at_zero_and_weights_do_not(neuron):
    history = train(neuron, epochs=0)
    assert history.params["b"] == 0
    assert (history.params["w"] != 0).all()
    assert (abs(history.params["w"]) <= np.sqrt(6 / 3)).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"epochs": -1}, "epochs is -1 and batch_size 16"),
        ({"batch_size": 0}, "batch_size 0: there are at least 0 epochs, of at least 1 sample"),
        ({"wrt": ["x"]}, "bind needs a parameter to train"),
        ({"wrt": ["q"]}, "'q' is not a node"),
    ],
)
def test_what_cannot_be_trained_is_said(neuron, options, sentence):
    with pytest.raises(gg.GraphError, match=sentence):
        train(neuron, **options)
