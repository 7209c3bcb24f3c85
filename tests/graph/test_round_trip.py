"""Writing a graph and reading it again gives the same graph: every operation, and graphs drawn at random."""

import inspect

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import graphgrad as gg
from graphgrad.graph import FUNCTIONS
from graphgrad.graph.text import LONGEST_LINE
from graphgrad.graph.writing import MOST_STEPS
from graphgrad.ops.elementwise import Elementwise
from graphgrad.ops.reductions import Broadcast
from tests.graph.structure import idents, same, structure
from tests.ops.samples import SAMPLES

SHAPES = [(), (3,), (2, 3), (3, 3), (1, 3), (4, 3), (2, 4, 4), (3, 2, 2, 2)]


def assert_same(g):
    text = g.text()
    again = gg.parse(text)
    assert same(g, again), text
    assert again.text() == text


def other(default):
    """Values of an option apart from its default."""
    match default:
        case bool():
            return [not default]
        case int() | float():
            return [default + 0.25, default + 1, -(default + 1)]
        case None:
            return [0, -1, 2, (0, 1), 1.5, (0.5, 2.0, 1.0)]
        case str():
            return ["same", "valid", "reflect", "edge", "linear", "bilinear"]
    return []


CONSTANTS = [
    0,
    -1,
    2,
    (1, 0),
    (1, 0, 2),
    (-1,),
    (2, 3),
    (3, 2),
    (2, 2),
    (4, -1, 3),
    (1, 2),
    "ij->ji",
    "ij,j->i",
    slice(1, 3),
]
"""What an operation may ask for beside its operands, where it has no default for it."""


def ways(name):
    """Graphs in which the operation of this name is used, with operands and options that it takes."""
    function = FUNCTIONS[name]
    parameters = inspect.signature(function.body if isinstance(function, Elementwise) else function).parameters.values()
    options = [{}] + [{p.name: value} for p in parameters if p.default is not p.empty for value in other(p.default)]
    operands = [(a,) for a in SHAPES] + [(a, b) for a in SHAPES for b in SHAPES] + [((3,), (3,), (3,)), ((), (), ())]
    for shapes in operands:
        for chosen in options:
            yield from made(name, shapes, lambda *leaves, chosen=chosen: function(*leaves, **chosen))
        for constant in CONSTANTS:
            yield from made(name, shapes, lambda a, *leaves, constant=constant: function(a, constant, *leaves))
            yield from made(name, shapes, lambda *leaves, constant=constant: function(constant, *leaves))
    yield from made(name, [()], lambda a: function(a, a))


def made(name, shapes, call):
    """The graph of one call, if the operation takes it."""
    with gg.Graph(name) as g:
        leaves = [gg.input(f"a{k}", *shape) for k, shape in enumerate(shapes)]
        try:
            g.y = call(*leaves)
        except (gg.GraphError, TypeError, AttributeError):
            return
    if g.steps:
        yield g


def samples(name):
    """Graphs of the samples that the operation is tested with, as far as they are made of operations that users have."""
    for sample in SAMPLES:
        if sample.name == name:
            with gg.Graph(str(sample)[:80]) as g:
                leaves = [
                    (gg.input if each == "n" else gg.param)(f"a{k}", *shape)
                    for k, (shape, each) in enumerate(zip(sample.shapes, sample.mixture, strict=True))
                ]
                g.y = sample.call(*leaves)
            if not any(node.op.name not in FUNCTIONS or isinstance(node.op, Broadcast) for node in g.steps):
                yield g


@pytest.mark.parametrize(
    "name", sorted(name for name, function in FUNCTIONS.items() if getattr(function, "built_in", True))
)
def test_every_operation_reads_back(name):
    found = {str(g.y.op) + str(len(g.y.inputs)): g for g in (*ways(name), *samples(name))}
    assert found, "no operands were found that the operation takes: give it samples, or their shapes to SHAPES"
    for g in found.values():
        assert_same(g)


@pytest.mark.parametrize(
    "expression",
    [
        "a + (b + c)",
        "a - (b - c)",
        "a - b - c",
        "a * (b * c)",
        "a / (b / c)",
        "a / b * c",
        "a * (b / c)",
        "-(a * b)",
        "-a * b",
        "-(-a)",
        "a - (-b)",
        "-a ** 3",
        "(-a) ** 3",
        "a ** (b ** c)",
        "(a ** b) ** c",
        "a ** -1.5",
        "(a + b) ** 2",
        "2 ** a",
        "(-2) ** a",
        "-2 * a",
        "a * -2",
        "1 - (2 - a)",
        "W @ (W @ v)",
        "W @ W @ v",
        "a * (W @ v)",
        "a * W @ v",
        "(a * W).T @ v",
        "-W.T @ v",
        "(W @ v) * a @ v",
        "sum(a * b + c) / (1 + a)",
        "tanh(-(a))",
        "identity(a)",
        "a",
    ],
)
def test_an_expression_keeps_its_order(expression):
    g = gg.parse(f"a = input()\nb = input()\nc = param()\nW = param(3, 3)\nv = input(3)\ny = {expression}")
    assert_same(g)
    values = {"a": 1.7, "b": 0.6, "c": 2.1, "W": [[1.0, 2, 3], [4, 5, 6.5], [7, 8, 1]], "v": [0.1, -2.0, 3.0]}
    given_values = {leaf.name.ident: values[leaf.name.ident] for leaf in (*g.inputs, *g.parameters)}
    first, second = (gg.compile(graph, "y", target="numpy")(**given_values)["y"] for graph in (g, gg.parse(g.text())))
    assert np.array_equal(first, second, equal_nan=True)


# -- at random ---------------------------------------------------------------------------------------------------

NAMES = [
    "A",
    "loss",
    "x1",
    "W0",
    "W^{[1]}",
    r"\hat{y}",
    "α",
    "lambda",
    r"\vec{h}_{2}",
    "z_max",
    "None",
    "sum",
    "input",
    "T",
    "l",
]
TITLES = ["", "two words", 'with "quotes"', r"back\slash", "ünï # code", "it's"]
UNARY = ["tanh", "square", "negative", "transpose", "sum", "batch_sum", "identity", "l2", "exp"]
BINARY = ["add", "subtract", "multiply", "divide", "matmul", "outer", "power", "l1"]
NUMBERS = st.sampled_from([2, -1, 0.5, 3, -2.5, 1e-7, 0.0]) | st.floats(-1e6, 1e6)


@st.composite
def graphs(draw):
    """A graph with groups, names, unnamed steps, constants and gradients, in any order."""
    with gg.Graph(draw(st.sampled_from(TITLES))) as g:
        names = draw(st.permutations(NAMES))
        pool = [gg.input("t"), gg.input("v", 3), gg.param("M", 3, 3)]
        for _ in range(draw(st.integers(1, 14))):
            groups = draw(st.lists(st.sampled_from(["Layer 1", "Layer 2"]), max_size=2))
            step = draw(st.sampled_from(["unary", "binary", "number", "name", "grad", "constant", "leaf"]))
            a, b = draw(st.sampled_from(pool)), draw(st.sampled_from(pool))
            try:
                pool.append(written(draw, g, step, a, b, names, groups))
            except gg.GraphError:
                continue
    return g


def written(draw, g, step, a, b, names, groups):
    if groups:
        with gg.group(groups[0]):
            return written(draw, g, step, a, b, names, groups[1:])
    match step:
        case "unary":
            return FUNCTIONS[draw(st.sampled_from(UNARY))](a)
        case "binary":
            return FUNCTIONS[draw(st.sampled_from(BINARY))](a, b)
        case "number":
            pair = (a, draw(NUMBERS)) if draw(st.booleans()) else (draw(NUMBERS), a)
            return FUNCTIONS[draw(st.sampled_from([*BINARY[:4], "power"]))](*pair)
        case "grad":
            return gg.grad(a, b)
        case "leaf":
            return draw(st.sampled_from([gg.input, gg.param]))(names.pop(), *draw(st.sampled_from(SHAPES[:4])))
        case "constant":
            return g.define(names.pop(), draw(NUMBERS))
    return g.define(names.pop(), a)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(graphs())
def test_a_random_graph_reads_back(g):
    assert_same(g)


def test_a_gradient_in_a_named_line_reads_back():
    with gg.Graph() as g:
        x, w = gg.input("x", 2), gg.param("w", 2)
        g.l = gg.sigmoid(w @ x)
        g.G = gg.grad(g.l, w)
        g.H = gg.grad(gg.sum(gg.grad(g.l, w) * w), w)
        g.K = gg.sum(gg.grad(g.l, g.steps[0]) * 2)
    assert g.text() == (
        "x = input(2)\n"
        "w = param(2)\n"
        "A = w @ x\n"
        "l = sigmoid(A)\n"
        "G = grad(l, w)\n"
        "C = sum(grad(l, w) * w)\n"
        "H = grad(C, w)\n"
        "K = sum(grad(l, A) * 2)\n"
    )
    assert_same(g)


def test_unnamed_steps_stand_inside_the_line_that_uses_them():
    with gg.Graph() as g:
        x = gg.input("x", 3)
        shared = gg.tanh(x)
        g.y = gg.sum(gg.exp(-x) * shared + shared)
        gg.log(x)
    assert g.text() == "x = input(3)\nA = tanh(x)\ny = sum(exp(-x) * A + A)\nF = log(x)\n"
    assert_same(g)


def test_a_step_of_another_group_has_a_line_there():
    with gg.Graph() as g:
        x = gg.input("x", 3)
        with gg.group("a"):
            inside = gg.tanh(x)
        g.y = gg.exp(inside)
    assert g.text() == 'x = input(3)\nwith group("a"):\n    A = tanh(x)\ny = exp(A)\n'
    assert_same(g)


def test_many_steps_in_a_row_are_broken_into_lines():
    with gg.Graph() as g:
        x = gg.input("x")
        y = x
        for _ in range(500):
            y = gg.tanh(y) + 1
        g.y = y
    text = g.text()
    assert max(line.count("tanh") for line in text.splitlines()) <= MOST_STEPS
    assert_same(g)


def test_an_operation_of_the_users_own_reads_back():
    swish = gg.elementwise("swish_of_a_test", lambda z, *, beta=1.0: z * beta)
    try:
        with gg.Graph() as g:
            x = gg.input("x")
            g.y = swish(x) + swish(x, beta=2.5)
        assert g.text() == "x = input()\ny = swish_of_a_test(x) + swish_of_a_test(x, beta=2.5)\n"
        assert_same(g)
    finally:
        del FUNCTIONS["swish_of_a_test"]
    with pytest.raises(gg.GraphError, match="swish_of_a_test is no operation that the text form knows"):
        g.text()


def test_what_a_text_cannot_say_is_said_so():
    with gg.Graph() as g:
        x, w = gg.input("x", 2), gg.param("w", 2)
        g.l = gg.sigmoid(w @ x)
        step = next(operand for operand in gg.grad(g.l, g.steps[0]).inputs if not operand.name)
        g.y = gg.tanh(step)
    with pytest.raises(gg.GraphError, match="is a step of a gradient, which the text form cannot name"):
        g.text()


def test_an_operation_on_unnamed_numbers_is_not_folded_away():
    with gg.Graph() as g:
        x = gg.input("x")
        g.y = 2 * x
        g.z = g.y.inputs[0] + 1
    with pytest.raises(gg.GraphError, match="the text form cannot write an operation on unnamed numbers alone"):
        g.text()


def test_a_line_that_cannot_be_read_is_not_written():
    with gg.Graph() as g:
        weights = [gg.param(f"a_long_name_for_a_weight_{k}") for k in range(LONGEST_LINE // 20)]
        g.R = gg.l2(*weights)
    with pytest.raises(gg.GraphError, match="is too large for the text form"):
        g.text()


def test_structure_tells_graphs_apart():
    def one(**changes):
        options = {"title": "t", "group": "a", "shape": 2, "name": "y", "first": "x", "number": 2.0, **changes}
        with gg.Graph(options["title"]) as g:
            nodes = {"x": gg.input("x", options["shape"]), "z": gg.input("z", options["shape"])}
            with gg.group(options["group"]):
                g[options["name"]] = options["number"] * gg.tanh(nodes[options["first"]])
        return g

    assert structure(one()) == structure(one())
    for change in ({"title": "u"}, {"group": "b"}, {"shape": 3}, {"name": r"\hat{y}"}, {"first": "z"}, {"number": 3.0}):
        assert structure(one()) != structure(one(**change))
    assert idents(one()) == {"x", "z", "y"}
