"""The memory of a step: values of a batch share a place where none is read any more when the other is written."""

from itertools import combinations
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import graphgrad as gg
from graphgrad.compiler.layout import Value, lay_out

SPANS = st.tuples(st.integers(0, 9), st.integers(0, 9)).map(lambda ends: (min(ends), max(ends)))
SHAPES = st.sampled_from([(), (4,), (2, 2), (5,), (16,)])
VALUES = st.lists(st.tuples(SHAPES, SPANS, st.booleans(), st.booleans()), max_size=12)


@given(VALUES, st.booleans())
@settings(deadline=None)
def test_values_in_one_place_are_never_needed_at_once(made, grid):
    over = {  # what each may be written over: values of its shape that are read for the last time where it is made
        k: tuple(f"v{j}" for j, (of, ends, _, _) in enumerate(made) if ends[1] == span[0] > ends[0] and of == shape)
        for k, (shape, span, _, in_place) in enumerate(made)
        if in_place
    }
    values = [
        Value(None, k, f"v{k}", shape, full=True, span=span, passes=passes, over=over.get(k, ()))
        for k, (shape, span, passes, _) in enumerate(made)
    ]
    layout = lay_out(values, [], [], {}, lanes=1, team=False, grid=grid)
    place = {section.name: (section.offset, section.offset + prod(section.shape)) for section in layout.sections}
    for one, other in combinations(values, 2):
        (begin, end), (other_begin, other_end) = place[one.name], place[other.name]
        if begin < other_end and other_begin < end:  # they have numbers in common
            assert one.passes and other.passes
            first, second = sorted((one, other), key=lambda value: value.span)
            in_place = first.name in second.over and (begin, end) == (other_begin, other_end)
            assert first.span[1] < second.span[0] or in_place
            assert grid or (begin, end) == (other_begin, other_end)  # no thread writes where another one's samples are
    assert layout.memory.each >= max([end for _, end in place.values()], default=0)


@pytest.mark.parametrize("layers", [3, 6])
def test_what_is_only_passed_on_leaves_its_room_to_the_next(layers):
    """Each large layer keeps its value and the gradient of its sum, for its weights' gradient at the end. Its value is written
    over its sum, and the gradient of its sum over that of its value; the last one's over the value, which no weights need."""
    random, width = np.random.default_rng(2), 64
    with gg.Graph("deep") as g:
        h = gg.input("x", width)
        weights = {f"W{k}": random.normal(size=(width, width)) / 8 for k in range(layers)}
        for name in weights:
            h = gg.tanh(gg.param(name, width, width) @ h)
        g.J = gg.batch_mean(gg.sum(gg.square(h)))
    step = gg.compile(g, "J", wrt=list(weights)).bind(optimizer=gg.SGD(0.1), **weights)
    (line,) = [line for line in step.source.splitlines() if line.startswith("MEMORY")]
    each = int(line.split("(")[1].split(",")[1])
    assert each == (2 * layers - 1) * width


@pytest.mark.parametrize("threads", [1, 3])
def test_a_step_whose_values_share_their_room_descends_as_one_that_keeps_them_all(threads):
    """Large layers with values that are read again later, seen in another shape, and summed with one of long before."""
    random, width = np.random.default_rng(5), 64
    weights = {f"W{k}": random.normal(size=(width, width)) / 8 for k in range(4)}
    with gg.Graph("crossed") as g:
        x = gg.input("x", width)
        W = [gg.param(name, width, width) for name in weights]
        first = gg.tanh(W[0] @ x)
        turned = gg.reshape(gg.reshape(W[1] @ first, (8, 8)).T, (width,))
        second = gg.sigmoid(turned * first)
        third = gg.relu(gg.flatten(gg.sin(gg.reshape(W[2] @ second, (2, 32)))) + x)
        g.J = gg.batch_mean(gg.sum(gg.square(W[3] @ third + turned)))
    f, samples, before = gg.compile(g, "J", wrt=list(weights)), random.normal(size=(301, width)), gg.num_threads()
    try:
        gg.set_num_threads(threads)
        kept = f(x=samples, **weights)
        step = f.bind(optimizer=gg.SGD(0.1), **weights)
        assert step(samples) == pytest.approx(float(kept["J"]))
    finally:
        gg.set_num_threads(before)
    for name, start in weights.items():
        np.testing.assert_allclose(step.params[name], start - 0.1 * kept.grad[name], rtol=1e-9, atol=1e-12)


def test_a_value_takes_the_place_of_one_that_it_is_written_over_and_no_third_one_does():
    spans = {"a": (0, 1), "b": (1, 2), "c": (1, 3), "d": (2, 4), "e": (3, 5)}
    over = {"b": ("a",), "c": ("a",), "e": ("c", "d")}
    values = [
        Value(None, k, name, (4,), True, span=spans[name], passes=True, over=over.get(name, ()))
        for k, name in enumerate(spans)
    ]
    layout = lay_out(values, [], [], {}, lanes=1, team=False, grid=False)
    place = {section.name: section.offset for section in layout.sections}
    assert place["a"] == place["b"]
    assert place["c"] not in (place["a"], place["d"])
    assert place["e"] == place["c"]
