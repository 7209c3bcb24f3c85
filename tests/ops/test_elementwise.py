"""Elementwise operations against mpmath: value and derivative at ordinary, extreme and odd numbers, and the rules."""

from __future__ import annotations

import itertools
import math

import mpmath as mp
import numpy as np
import pytest
import sympy as sp

import graphgrad as gg
from graphgrad import ops
from graphgrad.graph import FUNCTIONS, NoGradient
from graphgrad.ops.elementwise import Elementwise
from graphgrad.ops.reference import evaluate
from tests.ops.bench import DTYPES, TARGETS, call
from tests.ops.samples import EXACT

mp.mp.dps = 40


def every_elementwise() -> dict[str, Elementwise]:
    """All elementwise operations of the package, the ones that only gradients use among them."""
    import importlib
    import pkgutil

    found = {name: op for name, op in FUNCTIONS.items() if isinstance(op, Elementwise)}
    for module in pkgutil.iter_modules(ops.__path__, "graphgrad.ops."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, Elementwise) and value.built_in:
                found.setdefault(value.name, value)
    return found


ELEMENTWISE = every_elementwise()


def test_every_elementwise_operation_is_sampled():
    missing = {name for name, op in every_elementwise().items() if op.built_in} - set(EXACT)
    assert not missing, f"no `unary` or `binary` row in tests/ops/samples.py for {', '.join(sorted(missing))}"


def in_a_graph(name: str, count: int):
    """The operation on vectors of this length, with its gradients."""
    exact = EXACT[name]
    with gg.Graph(name) as graph:
        operands = [gg.input(f"a{k}", count) for k in range(len(exact.domains))]
        y = graph.define("y", exact.call(*operands))
        s = graph.define("s", gg.sum(y))
    gradients = []
    for operand in operands:
        try:
            gradients.append(gg.grad(s, operand))
        except gg.GradientError:
            gradients.append(None)
    return graph, operands, y, gradients


def values(graph, outputs, arrays, target="reference", dtype="float64"):
    outputs = [node for node in outputs if node is not None]
    if target == "reference":
        found = evaluate(outputs, {leaf: np.asarray(a, dtype) for leaf, a in arrays.items()}, 1, dtype)
        return [np.broadcast_to(found[node], (1, *node.shape)) for node in outputs]
    found = call(gg.compile(graph, outputs, target=target, dtype=dtype), outputs, arrays)
    return [np.broadcast_to(found[node], (1, *node.shape)) for node in outputs]


@pytest.mark.parametrize("name", EXACT)
def test_value_and_slope_are_those_of_mpmath(name):
    exact = EXACT[name]
    random = np.random.default_rng(1)
    graph, operands, y, gradients = in_a_graph(name, 24)
    arrays = {leaf: domain(random, (1, 24)) for leaf, domain in zip(operands, exact.domains, strict=True)}
    points = [
        [mp.mpf(float(a)) for a in column] for column in zip(*(arrays[leaf][0] for leaf in operands), strict=True)
    ]
    (got,) = values(graph, [y], arrays)
    np.testing.assert_allclose(got[0], [float(exact.exact(*point)) for point in points], rtol=4e-15, atol=1e-15)
    for k, gradient in enumerate(gradients):
        order = tuple(int(k == j) for j in range(len(operands)))
        expected = [float(mp.diff(exact.exact, tuple(point), order)) for point in points]
        slope = np.zeros((1, 24)) if gradient is None else values(graph, [gradient], arrays)[0]
        np.testing.assert_allclose(slope[0], expected, rtol=1e-14, atol=2e-15)


@pytest.mark.parametrize("name", [name for name, op in ELEMENTWISE.items() if op.derivative])
def test_the_declared_derivative_is_sympys(name):
    op = ELEMENTWISE[name]
    random = np.random.default_rng(2)
    declared = op.derivative(op.expression, *op.symbols, **dict(op.settings))
    declared = declared if isinstance(declared, tuple) else (declared,)
    assert len(declared) == op.arity
    for symbol, partial in zip(op.symbols, declared, strict=True):
        stated = 0 if isinstance(partial, NoGradient) else partial
        derived = sp.diff(op.expression, symbol).replace(sp.Derivative, lambda *rounded: sp.S.Zero)
        for _ in range(8):
            point = {
                s: sp.Float(float(d(random, ())), 40) for s, d in zip(op.symbols, EXACT[name].domains, strict=True)
            }
            left, right = (_exactly(part, point) for part in (stated, derived))
            assert abs(left - right) <= 1e-15 * max(1, abs(right)), (
                f"{name}: ∂/∂{symbol} is declared {stated}, is {derived}"
            )


def _exactly(expression, point):
    from sympy.codegen.cfunctions import expm1, log1p

    plain = sp.sympify(expression).replace(expm1, lambda a: sp.exp(a) - 1).replace(log1p, lambda a: sp.log(1 + a))
    return sp.N(plain.subs(point), 40)


@pytest.mark.parametrize("name", [name for name, exact in EXACT.items() if exact.odd])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", ["reference", *TARGETS])
@pytest.mark.filterwarnings("ignore::graphgrad.NotFiniteWarning")
def test_odd_numbers_go_through(target, dtype, name):
    """NaN, infinities, zeros, the smallest and largest numbers: values as NumPy has them, slopes alike on all targets."""
    exact, info = EXACT[name], np.finfo(dtype)
    odd = [math.nan, math.inf, -math.inf, 0.0, -0.0, 0.5, *(s * a for a in (1, 1e-10, 40, 700) for s in (1, -1))]
    odd += [sign * float(limit) for limit in (info.tiny, info.max) for sign in (1, -1)]
    columns = list(zip(*itertools.product(odd, repeat=len(exact.domains)), strict=True))
    graph, operands, y, gradients = in_a_graph(name, len(columns[0]))
    arrays = {leaf: np.array([column], dtype) for leaf, column in zip(operands, columns, strict=True)}
    got, *slopes = values(graph, [y, *gradients], arrays, target, dtype)
    with np.errstate(all="ignore"):
        expected = exact.value(*(a.astype(np.float64) for a in arrays.values())).astype(dtype)
    close = {"rtol": 8 * float(info.eps), "atol": float(info.tiny)}
    np.testing.assert_allclose(got, expected, **close)
    if target != "reference":
        _, *reference = values(graph, [y, *gradients], arrays, "reference", dtype)
        for ours, theirs in zip(slopes, reference, strict=True):
            np.testing.assert_allclose(ours, theirs, **close)


@pytest.mark.parametrize("target", ["reference", *TARGETS])
@pytest.mark.parametrize("name", [name for name, exact in EXACT.items() if exact.kinks])
def test_kinks_have_the_stated_value_and_slope(name, target):
    kinks = EXACT[name].kinks
    points = [*kinks, -0.0] if 0.0 in kinks else [*kinks]
    graph, (operand,), y, (gradient,) = in_a_graph(name, len(points))
    got, slope = values(graph, [y, gradient], {operand: np.array([points])}, target)
    assert [(a, b) for a, b in zip(got[0], slope[0], strict=True)] == [kinks[point] for point in points]
