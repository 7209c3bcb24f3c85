"""What reads its operands at other places: PyTorch's conventions, ties, positions out of range, sentences, room."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.graph.text import read
from graphgrad.graph.writing import write
from graphgrad.ops.pooling import MaxPool
from graphgrad.ops.reference import evaluate
from tests.ops.bench import INTERPRETED, ON_LANES, run

X = (np.arange(10.0) - 4).reshape(2, 5)
W = np.array([[[1.0, -2.0, 3.0], [0.0, 1.0, 1.0]], [[2.0, 0.0, -1.0], [1.0, 1.0, -3.0]]])
Y = np.array([[3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0]])
Z = np.array([[[0.0, 4.0], [8.0, 20.0]]])

PYTORCH = [
    (lambda x, w: gg.conv(x, w, stride=2, padding=1), (X, W), [[2, 5, 4], [-2, -12, 7]]),
    (lambda x, w: gg.conv(x, w, padding="same", dilation=2), (X, W), [[6, 9, 8, 3, 3], [-6, -9, -19, 0, 4]]),
    (lambda x, w: gg.conv(x, w, padding="same"), (X, W[:, :, :2]), [[4, 4, 4, 4, 0], [-5, -1, 3, 7, 5]]),
    (lambda x, w: gg.conv(x, w, groups=2), (X, W[:, :1]), [[-4, -2, 0], [-1, 0, 1]]),
    (
        lambda x, w: gg.conv_transpose(x, w, stride=2, padding=1, output_padding=1),
        (X, W),
        [[8, -12, 6, -7, 4, -2, 2, 3, 0, -5], [-3, -5, -1, -6, 1, -7, 3, -8, 5, -15]],
    ),
    (
        lambda x, w: gg.conv_transpose(x, w, stride=3, dilation=2, output_padding=2),
        (X[:, :2], W),
        [[-2, 0, 8, 1, -13, 6, 0, -11, 0, 0], [1, 0, -3, 2, -7, -1, 0, -9, 0, 0]],
    ),
    (lambda x, w: gg.conv_transpose(x, w, groups=2), (X[:, :2], W[:, :1]), [[-4, 5, -6, -9], [2, 4, -1, -2]]),
    (lambda y: gg.max_pool(y, 3, 2, ceil_mode=True), (Y,), [[4, 5, 9]]),
    (lambda y: gg.max_pool(y, 2, 2, 1, ceil_mode=True), (Y,), [[3, 4, 5, 9]]),
    (lambda y: gg.max_pool(y, 3, 2, 1, 2), (Y,), [[1, 9, 9]]),
    (lambda y: gg.avg_pool(y, 3, 2, 1, ceil_mode=True), (Y,), [[4 / 3, 2, 5, 11 / 3]]),
    (lambda y: gg.avg_pool(y, 4, 3, 1, ceil_mode=True), (Y,), [[2, 4.75, 11 / 3]]),
    (lambda y: gg.avg_pool(y, 3, 2, 1, ceil_mode=True, count_include_pad=False), (Y,), [[2, 2, 5, 5.5]]),
    (lambda y: gg.adaptive_avg_pool(y, 3), (Y,), [[8 / 3, 10 / 3, 16 / 3]]),
    (lambda y: gg.adaptive_avg_pool(y, 3), (Y[:, :2],), [[3, 2, 1]]),
    (lambda y: gg.adaptive_max_pool(y, 3), (Y,), [[4, 5, 9]]),
    (
        lambda z: gg.upsample(z, 2, mode="bilinear"),
        (Z,),
        [[[0, 1, 3, 4], [2, 3.5, 6.5, 8], [6, 8.5, 13.5, 16], [8, 11, 17, 20]]],
    ),
    (
        lambda z: gg.upsample(z, size=(3, 4), mode="bilinear", align_corners=True),
        (Z,),
        [[[0, 4 / 3, 8 / 3, 4], [4, 20 / 3, 28 / 3, 12], [8, 12, 16, 20]]],
    ),
    (lambda y: gg.upsample(y, size=3, mode="linear"), (Y,), [[5 / 3, 1, 20 / 3]]),
    (lambda y: gg.upsample(y, size=4), (Y,), [[3, 1, 1, 9]]),
    (lambda y: gg.upsample(y, size=5), (Y[:, :3],), [[3, 3, 1, 1, 4]]),
]
"""Operations, their operands, and what PyTorch 2.13 gives."""


def value(call, *arrays, wrt=(), target="numpy"):
    """The result of an operation on arrays for one sample, and the gradients of the sum of its elements."""
    with gg.Graph() as g:
        operands = [gg.input(f"a{k}", *np.shape(array)) for k, array in enumerate(arrays)]
        g.y = call(*operands)
        g.s = gg.sum(g.y)
    wanted = [g.y, *(gg.grad(g.s, operands[k]) for k in wrt)]
    found = run(g, wanted, dict(zip(operands, arrays, strict=True)), target, "float64")
    return [found[node] for node in wanted] if wrt else found[g.y]


@pytest.mark.parametrize(("call", "arrays", "expected"), PYTORCH)
def test_pytorch_gives_the_same(call, arrays, expected):
    np.testing.assert_allclose(value(call, *arrays), np.array(expected, float), rtol=1e-14)


TIES = np.array([[2.0, 7.0, 7.0, 1.0, 7.0, 7.0]])


def test_of_equal_elements_the_first_takes_the_gradient():
    for target in ("numpy", INTERPRETED, ON_LANES, "cuda"):
        _, gradient = value(lambda x: gg.max_pool(x, 3, 1), TIES, wrt=[0], target=target)
        assert gradient.tolist() == [[0, 2, 1, 0, 1, 0]]
        _, gradient = value(lambda x: gg.max_pool(x, 3), TIES, wrt=[0], target=target)
        assert gradient.tolist() == [[0, 1, 0, 0, 1, 0]]


def test_a_tie_that_is_split_would_be_seen(monkeypatch):
    def split(op, gradient, output, x):
        won = gg.equal(x, gg.upsample(output, op.kernel))
        return (gg.upsample(gradient / (gg.avg_pool(won, op.kernel) * op.kernel), op.kernel) * won,)

    monkeypatch.setattr(MaxPool, "vjp", split)
    _, gradient = value(lambda x: gg.max_pool(x, 3), TIES, wrt=[0])
    np.testing.assert_allclose(gradient, [[0, 0.5, 0.5, 0, 0.5, 0.5]])


def test_the_winner_is_a_node():
    with gg.Graph() as g:
        x = gg.input("x", 1, 4)
        g.y = gg.max_pool(x, 2)
        g.s = gg.sum(g.y)
    winner = gg.grad(g.s, x).inputs[-1]
    assert winner.op.name == "max_pool_winner"
    assert evaluate([winner], {x: np.array([[[1.0, 2.0, 4.0, 3.0]]])}, 1)[winner].tolist() == [[[1, 0]]]


@pytest.mark.filterwarnings("ignore::graphgrad.NotFiniteWarning")
def test_nan_wins_and_infinity_stays():
    strange = np.array([[1.0, np.nan, 2.0, -np.inf, np.inf, 3.0]])
    for target in ("numpy", INTERPRETED, ON_LANES, "cuda"):
        y, gradient = value(lambda x: gg.max_pool(x, 2), strange, wrt=[0], target=target)
        np.testing.assert_array_equal(y, [[np.nan, 2, np.inf]])
        assert gradient.tolist() == [[0, 1, 1, 0, 1, 0]]


def test_nothing_but_the_elements_goes_into_slices_and_joins():
    signed = np.array([-0.0, 0.0, np.inf, -1.0])
    for target in ("numpy", INTERPRETED, ON_LANES, "cuda"):
        joined = value(lambda a: gg.concatenate(a[2:], a[::-1], a[0:1]), signed, target=target)
        np.testing.assert_array_equal(joined, [np.inf, -1, -1, np.inf, 0, 0, 0])
        assert np.signbit(joined).tolist() == [False, True, True, False, False, True, True]


# -- rows by number ------------------------------------------------------------------------------------------------


def test_a_row_that_an_array_names_must_be_one():
    with gg.Graph("words") as g:
        t, E = gg.input("t", 3), gg.param("E", 5, 2)
        g.A = gg.embedding(E, t)
    f = gg.compile(g, "A", target="numpy")
    with pytest.raises(
        gg.DataError, match=r"t is given 5 at sample 1, position 2: A = E\[t\] .* takes whole numbers from 0 to 4"
    ):
        f(t=[[0, 1, 2], [3, 4, 5]], E=np.ones((5, 2)))
    with pytest.raises(gg.DataError, match=r"t is given 1\.5 at sample 0, position 1"):
        f(t=[0, 1.5, 2], E=np.ones((5, 2)))


def test_a_computed_row_that_is_none_gives_zeros():
    for target in ("numpy", INTERPRETED, ON_LANES, "cuda"):
        rows, gradient = value(
            lambda w, t: gg.embedding(w, t * 1.0),
            np.array([[1.0, 2.0], [3.0, 4.0]]),
            np.array([1.0, 2.0, -1.0, 0.5, 1.0]),
            wrt=[0],
            target=target,
        )
        assert rows.tolist() == [[3, 4], [0, 0], [0, 0], [0, 0], [3, 4]]
        assert gradient.tolist() == [[0, 0], [2, 2]]
        assert value(lambda t: gg.one_hot(t * 1.0, 2), np.array([1.0, 2.0]), target=target).tolist() == [[0, 1], [0, 0]]


def test_a_position_has_no_gradient():
    with gg.Graph() as g:
        t, E = gg.param("t", 2), gg.param("E", 3)
        g.s = gg.sum(gg.embedding(E, t))
    with pytest.raises(gg.GradientError, match=r"∂s/∂t does not exist: .* a position is a whole number"):
        gg.grad(g.s, t)


# -- how it is written ---------------------------------------------------------------------------------------------


def test_the_gradients_of_a_convolution_are_written_with_its_star():
    with gg.Graph() as g:
        x, w = gg.input("x", 1, 8, 8), gg.param("w", 4, 1, 3, 3)
        g.F = gg.conv(x, w)
        g.G = gg.conv(x, w, stride=2, padding="same")
        g.s = gg.sum(g.F)
    assert g.F.text() == "F = x ⋆ w"
    assert g.F.latex() == r"F = x \star w"
    assert g.G.text() == "G = x ⋆[stride 2, padding same] w"
    assert gg.grad(g.s, x).text() == "∂s/∂x = ∂s/∂F ⋆ᵀ w"
    assert gg.grad(g.s, w).text() == "∂s/∂w = x ⋆ ∂s/∂F"


TEXT = """\
x = input(4, 6, 3)
w = param(2, 4, 3, 3)
v = param(2, 4, 6, 4, 3)
E = param(5, 2)
t = input(3)
A = x[1:3, ::-2, 0]
B = reshape(A, shape=(3, -1))
C = pad(B, widths=((1, 2), (0, 1)), mode="reflect")
D = pad(B, widths=1, value=-0.5)
F = conv(x, w, stride=(1, 2), padding="same", dilation=1)
G = conv_transpose(F, w, stride=2, output_padding=1)
H = locally_connected(x[:, :, 0], v[:, 0], padding=(1,))
I = embedding(E, t)
J = concatenate(A, B.T, axis=1)
K = (A + A)[..., -1] * 2
L = einsum("ij,jk->ik", A, B)
M = permute(x, axes=(0, 2, 1))
N = max_pool(x, kernel=2, stride=(1, 2), ceil_mode=True)
O = avg_pool(x, kernel=(2,), padding=1, count_include_pad=False)
P = upsample(x, size=(7, 5), mode="bilinear", align_corners=True)
Q = one_hot(t, count=7)
R = broadcast_to(t, shape=(2, 3))
S = adaptive_avg_pool(x, size=(4, None))
T = stack(t, t, axis=-1)
U = flip(x, axis=(0, 2))
V = expand_dims(squeeze(x[0:1, :, 0:1], axis=2), axis=(0, 3))
"""


def test_every_option_is_read_and_written():
    text = TEXT.replace("H = locally_connected(x[:, :, 0], v[:, 0], padding=(1,))\n", "")
    graph = read(text, gg.Graph())
    again = write(graph)
    for line in (
        "A = x[1:3, ::-2, 0]",
        'C = pad(B, widths=((1, 2), (0, 1)), mode="reflect")',
        "D = pad(B, widths=1, value=-0.5)",
        'F = conv(x, w, stride=(1, 2), padding="same")',
        "K = (A + A)[:, -1] * 2",
        "U = x[::-1, :, ::-1]",
    ):
        assert line in again.splitlines()
    back = read(again, gg.Graph())
    assert write(back) == again
    assert [node.op for node in back.steps] == [node.op for node in graph.steps]
    assert [node.shape for node in back.steps] == [node.shape for node in graph.steps]


# -- bad input -----------------------------------------------------------------------------------------------------

SENTENCES = [
    (lambda x, w, A: gg.conv(x, w, stride=-1), "conv(x, w, stride=-1): stride is -1, and cannot be below 1"),
    (lambda x, w, A: gg.conv(x, w, stride=1.5), "conv: stride is 1.5, which is no whole number"),
    (
        lambda x, w, A: gg.conv(x, w, stride=(1, 2, 3)),
        "stride is (1, 2, 3), and there are 2 axes along which it slides",
    ),
    (lambda x, w, A: gg.conv(x, w, padding="half"), 'padding is "half"; the words for it are "same" and "valid"'),
    (
        lambda x, w, A: gg.conv(x, w, dilation=4),
        "a window over 9 elements does not fit along axis 1 of x, which has 8: the output has no extent",
    ),
    (
        lambda x, w, A: gg.conv(x, w, dilation=6, padding=2),
        "a window over 13 elements does not fit along axis 1 of x, which has 8 and 4 of padding",
    ),
    (lambda x, w, A: gg.conv(x, w, groups=2), "2 groups do not divide the 3 channels of x"),
    (lambda x, w, A: gg.conv(x, w, groups=3), "3 groups do not divide the 4 filters of w"),
    (lambda x, w, A: gg.conv(x[:2], w), "B has 2 channels and the filters of w take 3 (B = x[:2]"),
    (lambda x, w, A: gg.conv(A, w), "expand_dims(A, 0) gives it one channel"),
    (lambda x, w, A: gg.conv_transpose(x, w), "x has 3 channels and w has filters for 4"),
    (
        lambda x, w, A: gg.conv_transpose(x, w[:3], output_padding=1),
        "output_padding is 1, and must be below stride 1 or dilation 1",
    ),
    (
        lambda x, w, A: gg.conv_transpose(x[:, :1, :1], w[:3], padding=2),
        "padding 2 takes all 3 elements away: the output has no extent",
    ),
    (lambda x, w, A: gg.locally_connected(x, w), "x is 3x8x8 and w is 4x3x3x3; it takes channels along 1 to 3 axes"),
    (
        lambda x, w, A: gg.locally_connected(A, gg.param("u", 1, 3, 2, 3)),
        "it has 1 positions, and u has weights for 3",
    ),
    (lambda x, w, A: gg.max_pool(x, 9), "a window over 9 elements does not fit along axis 1 of x, which has 8"),
    (lambda x, w, A: gg.max_pool(x, 2, padding=2), "padding is 2, and can be half of a window's 2 elements at most"),
    (
        lambda x, w, A: gg.avg_pool(x, 2, stride=0),
        "avg_pool(x, kernel=2, stride=0): stride is 0, and cannot be below 1",
    ),
    (lambda x, w, A: gg.adaptive_avg_pool(x, 0), "size is (0, 0), and cannot be below 1"),
    (lambda x, w, A: gg.global_avg_pool(A[0]), "global_avg_pool: B is 3; it takes channels along one axis or more"),
    (lambda x, w, A: gg.upsample(x), "upsample: give scale, how many times as many positions, or size, how many"),
    (lambda x, w, A: gg.upsample(x, 2, mode="cubic"), "upsample: mode is 'cubic'; it is one of nearest, linear"),
    (
        lambda x, w, A: gg.upsample(x, 2, mode="linear"),
        'mode "linear" is for 1 axis beside the channels and x is 3x8x8; "bilinear" fits',
    ),
    (lambda x, w, A: gg.reshape(A, (4, 2)), "A is 2x3 and has 6 elements, which do not fill the shape (4, 2)"),
    (lambda x, w, A: gg.reshape(A, (-1, -1)), "the shape (-1, -1) is none"),
    (lambda x, w, A: gg.squeeze(A, 0), "axis 0 of A has 2 elements; only an axis of one can be left out"),
    (lambda x, w, A: gg.expand_dims(A, 4), "axis 4 is out of range: the result, of A which is 2x3, has 3 axes"),
    (lambda x, w, A: gg.permute(A, (0, 0)), "(0, 0) is no order of the axes of A, which is 2x3"),
    (lambda x, w, A: gg.broadcast_to(A, (2, 4)), "A is 2x3 and cannot be repeated to (2, 4)"),
    (lambda x, w, A: A[2], "A[2]: axis 0 of A has 2 elements, 2 is none of them"),
    (lambda x, w, A: A[0, 0, 0], "A is 2x3 and has 2 axes, of which 3 are cut"),
    (lambda x, w, A: A[2:], "the slice 2: takes nothing of axis 0 of A, which has 2 elements"),
    (lambda x, w, A: A[::0], "a subscript of A: a step of 0 never arrives"),
    (lambda x, w, A: A[None], "a subscript of A: None is no position; expand_dims(A, axis) makes a new axis"),
    (lambda x, w, A: A[A], "a subscript of A: A is a node; embedding(A, A) takes rows by its values"),
    (lambda x, w, A: A[[0, 1]], "a subscript of A: a position is [0, 1], which is no whole number"),
    (lambda x, w, A: list(A), "A is a node and cannot be looped over"),
    (lambda x, w, A: gg.concatenate(A, A.T), "A is 2x3 and B is 3x2, which differ in more than axis 0"),
    (lambda x, w, A: gg.concatenate(A, A, axis=2), "axis 2 is out of range: A has 2 axes"),
    (lambda x, w, A: gg.split(A, 2, axis=1), "split: 2 does not make up the 3 elements of A along axis 1"),
    (lambda x, w, A: gg.pad(A, -1), "a width in -1 is negative; a slice takes elements away"),
    (lambda x, w, A: gg.pad(A, 2, "reflect"), "axis 0 of A has 2 elements, too few to mirror 2 at its end"),
    (lambda x, w, A: gg.pad(A, ((1, 1),)), "there are 1 pairs of widths, and A is 2x3 and has 2 axes"),
    (lambda x, w, A: gg.one_hot(A, 0), "one_hot: count is 0, and lies between 1 and 16,777,216"),
    (lambda x, w, A: gg.einsum("ij,jk->ik", A, A), "j is 3 elsewhere, and 2 in A, which is 2x3"),
    (lambda x, w, A: gg.einsum("ij,jk", A, A), "einsum: 'ij,jk' is no sum"),
    (lambda x, w, A: gg.dot(A, A), "dot: A is a matrix; a scalar product is one of two vectors"),
    (lambda x, w, A: x @ gg.input("q", 4, 8, 2), "x is 3x8x8 and q is 4x8x2, whose leading axes cannot be broadcast"),
]


@pytest.mark.parametrize(("call", "sentence"), SENTENCES, ids=[sentence[:40] for _, sentence in SENTENCES])
def test_bad_input_is_answered_with_a_sentence(call, sentence):
    with gg.Graph(), pytest.raises(gg.GraphError) as error:
        call(gg.input("x", 3, 8, 8), gg.param("w", 4, 3, 3, 3), gg.input("A", 2, 3))
    assert sentence in str(error.value)
    assert len(str(error.value)) < 420


# -- room ----------------------------------------------------------------------------------------------------------


def test_the_reference_takes_a_moderate_convolution_without_gigabytes():
    with gg.Graph() as g:
        x, w = gg.input("x", 16, 28, 28), gg.param("w", 32, 16, 3, 3)
        g.J = gg.batch_sum(gg.sum(gg.max_pool(gg.conv(x, w, padding=1), 2)))
    arrays = {x: np.ones((32, 16, 28, 28)), w: np.ones((32, 16, 3, 3))}
    tracemalloc.start()
    gradient = gg.grad(g.J, w)
    evaluate([gradient], arrays, 32)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1e9


def test_parts_make_up_the_whole():
    with gg.Graph() as g:
        x = gg.input("x", 2, 6)
        parts = gg.split(x, (1, 3, 2), axis=-1)
        g.y = gg.concatenate(parts, axis=1)
        g.same = g.y - x
    assert [part.shape for part in parts] == [(2, 1), (2, 3), (2, 2)]
    assert not gg.compile(g, "same", target="numpy")(x=np.arange(12.0).reshape(2, 6))["same"].any()
