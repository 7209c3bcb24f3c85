"""The sentences: what is wrong is said with the node, its formula, the shapes and the user's line."""

import linecache

import numpy as np
import pytest

import graphgrad as gg

BEGIN = """\
import graphgrad as gg
g = gg.Graph("mlp").__enter__()
x, t = gg.input("x", 2), gg.input("t")
W0, W1 = gg.param("W^{[0]}", 3, 2), gg.param("W^{[1]}", 1, 3)
b = gg.param("b", 4)
g.A = W0 @ x
g.B = gg.sigmoid(g.A)
"""


@pytest.fixture
def written(monkeypatch):
    """Run lines after those of BEGIN as the file mlp.py, and hand back the error."""

    def run(lines):
        source = BEGIN + lines
        monkeypatch.setitem(linecache.cache, "mlp.py", (len(source), None, source.splitlines(keepends=True), "mlp.py"))
        names = {"np": np, "__name__": "mlp"}
        try:
            exec(compile(source, "mlp.py", "exec"), names)
        except gg.GraphError as error:
            return error
        finally:
            names["g"].__exit__()
        return None

    return run


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (
            "g.C = W1 @ b",
            (
                "C = W^{[1]} @ b: W^{[1]} is 1x3 and takes 3 rows, b has 4 (W^{[1]} is a parameter of shape 1x3, mlp.py:4; "
                "b is a parameter of shape 4, mlp.py:5), at mlp.py:8"
            ),
        ),
        (
            "g['C'] = g.B + b",
            (
                "C = B + b: B is 3 and b is 4, which cannot be broadcast to one shape (B = sigmoid(A), mlp.py:7; "
                "b is a parameter of shape 4, mlp.py:5), at mlp.py:8"
            ),
        ),
        (
            "D = gg.tanh(x * x)\nprint(W0 @ D @ D)",
            (
                "E @ D: E has 3 elements and takes 3 rows, D has 2 (E = W^{[0]} @ D, mlp.py:9; D = tanh(C), mlp.py:8), "
                "at mlp.py:9"
            ),
        ),
        (
            "g.C = gg.outer(W0, x)",
            (
                "C = outer(W^{[0]}, x): W^{[0]} is a matrix; an outer product takes two vectors (W^{[0]} is a parameter of "
                "shape 3x2, mlp.py:4; x is an input of shape 2, mlp.py:3), at mlp.py:8"
            ),
        ),
        (
            "g.C = t.T",
            (
                "C = t.T: t is a scalar; a transpose takes a vector or a matrix (t is a scalar input, mlp.py:3), "
                "at mlp.py:8"
            ),
        ),
        (
            "g.C = gg.sum(g.B, axis=1)",
            "C = sum(B, axis=1): axis 1 is out of range: B has 1 axis (B = sigmoid(A), mlp.py:7), at mlp.py:8",
        ),
        (
            "g.C = gg.batch_sum(W0)",
            (
                "C = batch_sum(W^{[0]}): W^{[0]} is the same for every sample, there is nothing to sum over the batch "
                "(W^{[0]} is a parameter of shape 3x2, mlp.py:4), at mlp.py:8"
            ),
        ),
        (
            "g.C = gg.squared_error(g.B, x)",
            (
                "C = squared_error(B, x): B is 3 and x is 2, which do not fit together (B = sigmoid(A), mlp.py:7; "
                "x is an input of shape 2, mlp.py:3), at mlp.py:8"
            ),
        ),
        (
            "g.A = gg.tanh(x)",
            "the name A is used twice: A = W⁽⁰⁾x (mlp.py:6) has it, it is given again at mlp.py:8",
        ),
        (
            "gg.param('W0', 2)",
            "the name W^{[0]} is used twice: W⁽⁰⁾ (mlp.py:4) has it, it is given again at mlp.py:8",
        ),
        ("g['W00']", "'W00' is not a node of 'mlp'; did you mean W0? (it has x, t, W0, W1, b, A, B)"),
        ("g['zzz']", "'zzz' is not a node of 'mlp' (it has x, t, W0, W1, b, A, B)"),
        ("g[3]", "'3' is not a node of 'mlp' (it has x, t, W0, W1, b, A, B)"),
        ("g.C = 'x + 1'", "C = 'x + 1': a line of a graph is a node or a finite number, this is neither"),
        ("g.C = float('nan')", "C = nan: a line of a graph is a node or a finite number, this is neither"),
        ("g.C = True", "C = True: a line of a graph is a node or a finite number, this is neither"),
        (
            "g.nodes = x",
            'nodes is a part of Graph itself and cannot name a node as an attribute: write g["nodes"] = ... instead',
        ),
        (
            "x * np.ones(2)",
            "multiply: an operand is array([1., 1.]) of type ndarray; operands are nodes and finite numbers",
        ),
        (
            "np.ones(2) * x",
            "multiply: an operand is array([1., 1.]) of type ndarray; operands are nodes and finite numbers",
        ),
        ("x + '3'", "add: an operand is '3' of type str; operands are nodes and finite numbers"),
        ("x - None", "subtract: an operand is None of type NoneType; operands are nodes and finite numbers"),
        ("x / float('inf')", "divide: an operand is inf of type float; operands are nodes and finite numbers"),
        ("x * 10**400", f"multiply: an operand is 1{'0' * 199}... of type int; operands are nodes and finite numbers"),
        ("x * 10**5000", "multiply: an operand is ... of type int; operands are nodes and finite numbers"),
        ("gg.input('z', 10**5000)", "z: the shape ... asks for more than 8,589,934,592 elements"),
        (
            "g.title = x",
            'title is a part of Graph itself and cannot name a node as an attribute: write g["title"] = ... instead',
        ),
        ("gg.sigmoid(2)", "sigmoid(2): none of the operands is a node of a graph"),
        ("gg.sigmoid(x, t)", "sigmoid takes 1 operand, not 2"),
        ("if x: pass", "x is a node and has no truth value while the graph is built"),
        ("a, b = x", "x is a node and cannot be looped over: its values exist only when it is run"),
        (
            "with gg.Graph('other'):\n    y = gg.input('y', 2)\nx + y",
            "add: x belongs to 'mlp' and y to 'other'; a node takes operands of its own graph only",
        ),
        (
            "with gg.Graph('other') as h:\n    h.y = x",
            "y: the node belongs to another graph ('mlp')",
        ),
        ("with g.group(''): pass", "'' cannot title a group: one line of 1 to 80 printable characters can"),
        ("with g.group('a\\nb'): pass", "'a\\nb' cannot title a group: one line of 1 to 80 printable characters can"),
        (
            "gg.grad(g.A, W0)",
            (
                "the gradient of A does not exist: it has the shape 3 and a gradient is that of a scalar; take sum(A) or one "
                "of its elements"
            ),
        ),
        ("gg.l2()", "l2() has nothing to penalise: name at least one parameter, as in l2(W0, W1)"),
    ],
)
def test_what_is_wrong_is_one_sentence(written, lines, sentence):
    error = written(lines)
    assert str(error) == sentence
    assert "\n" not in sentence


def test_without_a_graph_there_is_a_sentence_too():
    with pytest.raises(gg.GraphError) as refused:
        gg.input("x")
    assert str(refused.value) == "no graph is open here: write this inside `with gg.Graph(...) as g:`"


def test_an_unknown_attribute_is_pythons_error_with_our_sentence():
    with pytest.raises(AttributeError, match="'sigmod' is not a node of 'this graph'"):
        _ = gg.Graph().sigmod


def test_a_sentence_does_not_bury_what_it_says():
    with gg.Graph() as g:
        weights = [gg.param(f"w{k}", 2) for k in range(500)]
        y = gg.input("y", 3)
        with pytest.raises(gg.ShapeError) as refused:
            g.l = gg.l2(*weights) + y @ weights[0]
    assert len(str(refused.value)) < 1000


def test_what_failed_leaves_no_name_behind():
    with gg.Graph() as g:
        x = gg.input("x", 2)
        with pytest.raises(gg.ShapeError):
            g.A = x @ gg.param("W", 3, 3)
        g.A = gg.tanh(x)
    assert g.A.text() == "A = tanh(x)"
