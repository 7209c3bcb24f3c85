"""The suite is tested itself: each of these faults, planted on purpose, is caught by the check that is there for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

import graphgrad as gg
from graphgrad.calculus.gradient import _Sweep
from graphgrad.graph import FUNCTIONS, Index
from graphgrad.ops import linear, reductions
from graphgrad.ops.contraction import Contraction
from graphgrad.ops.elementwise import Elementwise
from graphgrad.ops.windows import Slide
from tests.ops import checks
from tests.ops.bench import Case, case_of
from tests.ops.samples import SAMPLES


def fresh(name: str) -> Case:
    """A case built anew, so that the fault is in its gradients."""
    sample = next(sample for sample in SAMPLES if str(sample) == name)
    with gg.Graph(name) as graph:
        return case_of(graph, 0, sample)


def scaled(factor, name):
    def plant(monkeypatch):
        right = Elementwise.vjp

        def vjp(op, *nodes):
            return tuple(factor * part for part in right(op, *nodes)) if op.name == name else right(op, *nodes)

        monkeypatch.setattr(Elementwise, "vjp", vjp)

    return plant


def weight_not_transposed(monkeypatch):
    monkeypatch.setattr(
        linear.MatMul,
        "vjp",
        lambda op, gradient, output, a, b: (gg.outer(gradient, b), FUNCTIONS["matmul"](a, gradient)),
    )


def fan_out_left_out(monkeypatch):
    right = _Sweep._total

    def total(sweep, node):
        sweep.contributions[node] = sweep.contributions[node][-1:]
        return right(sweep, node)

    monkeypatch.setattr(_Sweep, "_total", total)


def samples_not_summed(monkeypatch):
    monkeypatch.setattr("graphgrad.calculus.gradient.batch_sum", gg.batch_mean)


def index_off_by_one(kind):
    def plant(monkeypatch):
        right = kind.formula

        def formula(op, *types):
            whole = right(op, *types)
            first, *others = whole.reads
            if not first:
                return whole
            moved = (*first[:-1], Index(first[-1].terms, first[-1].offset + 1))
            return replace(whole, reads=(moved, *others))

        monkeypatch.setattr(kind, "formula", formula)

    return plant


def window_one_off(monkeypatch):
    right = Slide.index
    monkeypatch.setattr(Slide, "index", lambda slide, i, p: replace(right(slide, i, p), offset=1 - slide.before))


def filter_turned_round(monkeypatch):
    def index(slide, i, p):
        return Index(((i, slide.stride), (p, -slide.dilation)), slide.span - 1 - slide.before)

    monkeypatch.setattr(Slide, "index", index)


def stride_forgotten_on_the_way_back(monkeypatch):
    right = Contraction.adjoint

    def adjoint(op, position, shapes):
        found = right(op, position, shapes)
        return replace(found, reads=tuple(tuple(replace(i, divisor=1) for i in read) for read in found.reads))

    monkeypatch.setattr(Contraction, "adjoint", adjoint)


STRIDED = "conv-padding 1 stride 2-1x5,2x1x3-n1"

FAULTS = [
    ("a factor of 1.001", scaled(1.001, "sigmoid"), "sigmoid-2x3-n", {"gradient", "adjoint"}),
    ("a factor of 1.0001", scaled(1.0001, "sigmoid"), "sigmoid-2x3-n", {"gradient", "adjoint"}),
    ("a factor of 1.000001", scaled(1.000001, "sigmoid"), "sigmoid-2x3-n", {"gradient"}),
    ("a flipped sign", scaled(-1.0, "divide"), "divide-2x3,3-1n", {"gradient", "adjoint"}),
    ("a weight that is not transposed", weight_not_transposed, "matmul-3x3,3-1n", {"gradient", "adjoint"}),
    ("a gradient of a fan-out left out", fan_out_left_out, "multiply-with itself-3-n", {"gradient", "adjoint"}),
    ("a fan-out left out, of a matrix", fan_out_left_out, "matmul-with itself-3x3-1", {"gradient", "adjoint"}),
    ("samples averaged, not summed", samples_not_summed, "matmul-3x2,2-1n", {"gradient", "adjoint", "lifting"}),
    ("an index off by one in the product", index_off_by_one(linear.MatMul), "matmul-3x2,2-1n", {"value"}),
    ("an index off by one in the transpose", index_off_by_one(linear.Transpose), "transpose-2x3-n", {"value"}),
    ("an index off by one in the sum", index_off_by_one(reductions.Reduce), "sum-axis 0-2x3-n", {"value"}),
    ("an index off by one in the broadcast", index_off_by_one(reductions.Broadcast), "sum-axis 0-2x3-n", {"gradient"}),
    ("a window one off", window_one_off, STRIDED, {"value"}),
    ("a window of a pool one off", window_one_off, "max_pool-kernel 2-2x4-n", {"value"}),
    ("a filter turned round", filter_turned_round, STRIDED, {"value"}),
    ("a stride forgotten on the way back", stride_forgotten_on_the_way_back, STRIDED, {"gradient", "adjoint"}),
    ("the same in a pool", stride_forgotten_on_the_way_back, "avg_pool-kernel 2-2x4-n", {"gradient", "adjoint"}),
]


@pytest.mark.parametrize(("fault", "plant", "sample", "caught"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_a_seeded_fault_is_caught(monkeypatch, fault, plant, sample, caught):
    for check in checks.CHECKS:
        check(fresh(sample))
    plant(monkeypatch)
    failed = set()
    for check in checks.CHECKS:
        try:
            check(fresh(sample))
        except AssertionError:
            failed.add(check.__name__)
    assert caught <= failed
