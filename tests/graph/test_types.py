"""Shapes: broadcasting as NumPy does it, products as NumPy's, and what is refused before anything is allocated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as shapes

import graphgrad as gg
from graphgrad.graph import Type, checked_shape, extent

SHAPE = shapes.array_shapes(min_dims=0, max_dims=4, max_side=4)


def leaf(g, name, shape, per_sample):
    with g:
        return gg.input(name, *shape) if per_sample else gg.param(name, *shape)


@given(SHAPE, SHAPE, st.booleans(), st.booleans(), st.sampled_from([gg.add, gg.multiply, gg.divide, gg.power]))
def test_elementwise_operations_broadcast_as_numpy_does(a, b, a_per_sample, b_per_sample, operation):
    g = gg.Graph()
    left, right = leaf(g, "a", a, a_per_sample), leaf(g, "b", b, b_per_sample)
    try:
        expected = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(gg.ShapeError, match="which cannot be broadcast to one shape"):
            operation(left, right)
        return
    result = operation(left, right)
    assert result.shape == expected
    assert result.per_sample == (a_per_sample or b_per_sample)


@given(SHAPE, SHAPE)
def test_products_are_numpys(a, b):
    g = gg.Graph()
    left, right = leaf(g, "a", a, True), leaf(g, "b", b, False)
    try:
        expected = np.matmul(np.ones(a), np.ones(b)).shape
    except ValueError:
        with pytest.raises(gg.ShapeError):
            left @ right
        return
    product = left @ right
    assert product.shape == expected
    assert product.per_sample


@given(SHAPE, st.data())
def test_sums_have_the_shape_of_numpys(shape, data):
    a = leaf(gg.Graph(), "a", shape, True)
    rank = len(shape)
    axis = data.draw(
        st.none()
        | (st.integers(-rank, rank - 1) if rank else st.nothing())
        | st.lists(st.integers(0, rank - 1) if rank else st.nothing(), unique=True, max_size=rank).map(tuple)
    )
    keepdims = data.draw(st.booleans())
    assert gg.sum(a, axis, keepdims).shape == np.ones(shape).sum(axis=axis, keepdims=keepdims).shape


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((0,), "x: the shape (0,) has an extent below 1"),
        ((-1, 2), "x: the shape (-1, 2) has an extent below 1"),
        ((2.0,), "x: the shape (2.0,) is not made of integers"),
        (("2",), "x: the shape ('2',) is not made of integers"),
        ((1,) * 9, "x: 9 axes, at most 8 are possible"),
        ((2**33, 2), "x: the shape (8589934592, 2) asks for more than 8,589,934,592 elements"),
        ((10**400,), None),
    ],
)
def test_a_shape_is_made_of_extents(shape, sentence):
    with gg.Graph() as g:
        with pytest.raises(gg.ShapeError) as refused:
            gg.input("x", *shape)
        if sentence:
            assert str(refused.value) == sentence
    assert g.nodes == ()


def test_a_shape_may_be_a_tuple_and_of_numpys_integers():
    with gg.Graph():
        assert gg.input("x", (2, 3)).shape == (2, 3)
        assert gg.input("y", np.int64(2)).shape == (2,)
    assert checked_shape([2, True], "x") == (2, 1)


def test_a_result_is_no_larger_than_what_can_be_declared():
    with gg.Graph() as g:
        x = gg.input("x", 2**20)
        with pytest.raises(
            gg.ShapeError, match=r"the result is 1048576x1048576, which is more than 8,589,934,592 elements"
        ):
            gg.outer(x, x)
    assert len(g.nodes) == 1


def test_a_type_says_its_shape():
    assert str(Type((3, 2))) == "3x2"
    assert str(Type()) == extent(()) == "scalar"
    assert Type((3, 2)).size == 6
