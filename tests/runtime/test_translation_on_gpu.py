"""The instructions that a step for a GPU is translated to, run on the processor as a grid of one thread."""

import ast

import numpy as np
import pytest
from numba import config, njit, types
from numba.extending import intrinsic

import graphgrad as gg
from graphgrad.compiler.grid import PARTS
from graphgrad.runtime import elementary, views
from graphgrad.runtime.translated import in_place_of
from graphgrad.runtime.translation import translate
from graphgrad.runtime.translation_on_gpu import Named, OnGPU
from tests.runtime.test_cuda import NETWORKS, _products_are_made_of_small_matrices, arrays  # noqa: F401

pytestmark = pytest.mark.skipif(bool(config.DISABLE_JIT), reason="nothing is compiled")


@njit
def add_up(out, parts, count):
    total, terms = out.reshape(-1), parts.reshape(-1)
    for k in range(out.size):
        total[k] = 0.0
        for part in range(count):
            total[k] += terms[out.size * part + k]


@njit
def product(out, left, right, left_turned, right_turned, scale, keep):
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            total = 0.0
            for k in range(left.shape[0 if left_turned else 1]):
                a = left[k, i] if left_turned else left[i, k]
                total += a * (right[j, k] if right_turned else right[k, j])
            out[i, j] = scale * total if keep == 0.0 else keep * out[i, j] + scale * total


@njit
def thread_of_grid():
    return 0


@njit
def threads_of_grid():
    return 1


@njit
def meet():
    pass


def on_the_processor(source):
    """The step of a source, translated for a GPU, and compiled for the processor."""
    tree = ast.parse(source)
    (definition,) = (line for line in tree.body if isinstance(line, ast.FunctionDef) and line.name == "step")
    definition.decorator_list = []
    constants = [line for line in tree.body if isinstance(line, ast.Assign)]
    scope = {"np": np}
    exec(compile(ast.Module([*constants, definition], []), "step", "exec"), scope)
    known = {name: getattr(elementary, name) for name in elementary.__all__}
    known |= {"add_up": add_up, "product": product, "array_at": views.array_at}
    known |= {"thread_of_grid": thread_of_grid, "threads_of_grid": threads_of_grid, "meet": meet}
    step, names = scope["step"], {**scope, **known}
    named = Named().visit(definition)
    returns = any(isinstance(line, ast.Return) for line in named.body)

    def typed(typing_context, *given):
        def generate(context, builder, found, values):
            return translate(named, names, context, builder, found, values, OnGPU)

        return (given[-1].dtype if returns else types.none)(*given), generate

    return njit(error_model="numpy")(in_place_of(step, typed, intrinsic)), scope


@NETWORKS
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
def test_values_and_gradients_are_those_of_the_reference(network, dtype, tolerance):
    g = network()
    wrt = [node.name.ident for node in (*g.parameters, *g.inputs) if node.name.ident != "t"]
    data, weights = arrays(g, 7, dtype)
    f = gg.compile(g, "J", wrt=wrt, target="cuda", dtype=dtype)
    step, scope = on_the_processor(f.source)
    memory = np.full(scope["MEMORY"][0] + 7 * scope["MEMORY"][1], np.nan, dtype)
    values = [{**data, **weights}[leaf.name.ident] for leaf in f.inputs]
    given = [data[leaf.name.ident] for leaf in f.inputs if leaf.per_sample]
    step(*given, *f._together(values), memory)
    ours = gg.Result(f, values, 7, False, None, memory, type("Module", (), scope))
    theirs = gg.compile(g, "J", wrt=wrt, target="numpy", dtype=dtype)(**data, **weights)
    for node, expected in theirs.gradients.items():
        scale = np.abs(expected).max(initial=1e-3)
        np.testing.assert_allclose(ours.grad[node], expected, rtol=tolerance, atol=tolerance * scale)


@NETWORKS
def test_a_bound_step_trains_as_that_of_the_cpu_does(network):
    g = network()
    data, weights = arrays(g, 7)
    ours, theirs = (
        gg.compile(g, "J", wrt=list(weights), target=target).bind(optimizer=gg.SGD(0.05, momentum=0.9), **weights)
        for target in ("cuda", "cpu")
    )
    step, scope = on_the_processor(ours.source)
    memory = np.full(scope["MEMORY"][0] + 7 * scope["MEMORY"][1], np.nan)
    given = [data[node.name.ident] for node in ours.inputs]
    for _ in range(3):
        assert step(*given, ours._parameters, memory) == pytest.approx(theirs(*given), rel=1e-10)
    for name, array in theirs.params.items():
        np.testing.assert_allclose(ours.params[name], array, rtol=1e-9, atol=1e-11, err_msg=name)


def test_a_sum_over_many_samples_loses_no_digits(monkeypatch):
    """It is made in shares: one after the other, ones of float32 would stand still at 2**24."""
    monkeypatch.setattr("graphgrad.compiler.grid.PARTS", PARTS)
    with gg.Graph() as g:
        g.J = gg.batch_sum(gg.input("x"))
    f = gg.compile(g, "J", target="cuda", dtype="float32")
    step, scope = on_the_processor(f.source)
    samples = 2**24 + 2**22
    memory = np.full(scope["MEMORY"][0] + samples * scope["MEMORY"][1], np.nan, "float32")
    step(np.ones(samples, "float32"), memory)
    ours = gg.Result(f, [], samples, False, None, memory, type("Module", (), scope))
    assert ours["J"] == samples
