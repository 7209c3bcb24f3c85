"""The text form: what it says, and where it says what is wrong."""

import re
import time
from pathlib import Path

import pytest

import graphgrad as gg
from graphgrad.graph import Place
from graphgrad.graph.text import (
    DEEPEST,
    DEEPEST_GROUP,
    LONGEST_LINE,
    LONGEST_NUMBER,
    LONGEST_TEXT,
    MOST_LINES,
    MOST_NODES,
    MOST_WORDS,
)
from tests.graph.networks import TEXT, WAYS
from tests.graph.structure import same, structure


@pytest.mark.parametrize("way", WAYS)
def test_the_lecture_is_the_same_graph_however_it_is_written(way):
    g = WAYS[way]()
    assert structure(g) == structure(WAYS["attributes"]())
    assert g.text() == TEXT
    assert same(g, gg.parse(g.text()))


def test_everything_at_once():
    g = gg.parse(
        r"""
        # comments and empty lines mean nothing
        """.replace("        ", "")
        + r"""
"a \"title\""     # with quotes, and a backslash: \
x = input(2)      # a vector for each sample
t = input()
W0: "W^{[0]}" = param(3, 2)
α = param()
c = -(1/3) + 2**-1 * 1_000
with group("outer"):

    with group("in\ner"):
        y_hat: "\hat{y}" = sigmoid(
            W0 @ x
        )
        z_hat: "\\hat{z}" = sum(y_hat, axis=-1, keepdims=True)
    D = -y_hat ** 2 - 0.5e-1
G = grad(sum(D), W0)
"""
    )
    assert g.title == 'a "title"'
    assert g.c.op.value == -1 / 3 + 500
    assert (g.alpha.name.text, g.y_hat.name.tex, g.z_hat.name.tex) == ("α", r"\hat{y}", r"\hat{z}")
    assert g.y_hat.group == ("outer", r"in\ner")
    assert g.D.group == ("outer",)
    assert g.z_hat.shape == (1,)
    assert (
        g.text()
        == r""""a \"title\""
x = input(2)
t = input()
W0 = param(3, 2)
alpha = param()
c = 499.6666666666667
with group("outer"):
    with group("in\\ner"):
        y_hat: "\\hat{y}" = sigmoid(W0 @ x)
        z_hat: "\\hat{z}" = sum(y_hat, axis=-1, keepdims=True)
    D = -square(y_hat) - 0.05
E = sum(D)
G = grad(E, W0)
"""
    )


def test_a_node_stands_at_its_line_and_column():
    g = gg.parse("x = input(2)\ny =  tanh(x + 1) * x")
    assert [node.place for node in g.nodes if node.place] == [
        Place("text", 1, 5, "x"),
        Place("text", 2, 11, "y"),
        Place("text", 2, 6, "y"),
        Place("text", 2, 6, "y"),
    ]
    assert str(g.y.place) == "line 2"


def test_line_endings_tabs_and_marks_of_other_machines():
    assert gg.parse("\ufeffx = input(2)\r\ny = tanh(x)\r\rz\t=\ty # é\u2028 \u202e\r\n").text() == (
        "x = input(2)\ny = tanh(x)\nz = y\n"
    )


def test_an_empty_text_is_an_empty_graph():
    assert gg.parse("").nodes == ()
    assert gg.parse("").text() == ""
    assert gg.parse('"only a title"').text() == '"only a title"\n'


def test_parts_and_comparisons_are_written_as_in_python():
    g = gg.parse("x = input(4, 3)\nA = x[0] + x[1:-1, ::2][-1, 0] * (x[0, 1] > 0.5)\nB = x.T[..., 0] <= 1")
    assert (g.A.shape, g.B.shape) == ((3,), (3,))
    assert same(g, gg.parse(g.text()))


def test_numbers_are_folded_as_numbers():
    def value(expression):
        return gg.parse(f"c = {expression}").c.op.value

    assert value("1/3") == 1 / 3
    assert value("-0.5") == -0.5
    assert value("2 ** 10 - 1") == 1023
    assert value("2 ** -1") == 0.5
    assert value("2 ** 0.5") == 2**0.5
    assert value("1e-3 * 5") == 5e-3
    assert str(value("-0.0")) == "-0.0"
    assert gg.parse("x = input(28 * 28, 2 + 1)").x.shape == (784, 3)
    assert gg.parse("x = input(2)\ny = 2 * 3 * x").text() == "x = input(2)\ny = 6 * x\n"


@pytest.mark.parametrize(
    ("text", "line", "column", "reason"),
    [
        # names
        ("A = x", 1, 5, "A = x: x is not defined"),
        ("x1 = input()\nA = tanh(x2)", 2, 10, "A = tanh(x2): x2 is not defined; did you mean x1?"),
        ("x = input()\nA = tanh", 2, 5, "A = tanh: tanh is not defined; tanh is an operation: tanh(...)"),
        ("x = input()\nA = x + B\nB = x", 2, 9, "A = x + B: B is defined on line 3, below; move that line up"),
        ("A = A + 1", 1, 5, "A = A + 1: a cycle, A (line 1) needs itself"),
        ("A = B\nB = A", 1, 5, "A = B: a cycle, A (line 1) needs B (line 2), which needs A"),
        (
            "x = input()\nC = A\n\nA = 2 * B\nB = x + C",
            2,
            5,
            "C = A: a cycle, C (line 2) needs A (line 4), which needs B (line 5), which needs C",
        ),
        (
            "\n".join(f"a{k} = a{(k + 1) % 9}" for k in range(9)),
            1,
            6,
            (
                "a0 = a1: a cycle, a0 (line 1) needs a1 (line 2), which needs a2 (line 3), which needs a3 (line 4), which "
                "needs a4 (line 5), which needs a5 (line 6), which needs 2 more, which needs a8 (line 9), which needs a0"
            ),
        ),
        ("sum = sum(tanh)\ntanh = 1", 1, 11, "sum = sum(tanh): tanh is defined on line 2, below; move that line up"),
        ("A = 1\nB = 2\nA = 3", 3, 1, "the name A is used twice, on line 1 and on line 3"),
        ("α = 1\nalpha = 2", 2, 1, "the name alpha is used twice, on line 1 and on line 2"),
        (
            "x1 = 1\nx_1 = 2",
            2,
            1,
            "x_1 = 2: the name x_{1} is used twice: x₁ = 1 (line 1) has it, it is given again",
        ),
        (
            "_a = 1",
            1,
            1,
            (
                "_a = 1: '_a' cannot name a node: a name is a letter or word such as A, W0 or loss, a Greek letter, or TeX "
                "with one subscript and superscript such as W^{[0]}, of at most 64 characters"
            ),
        ),
        ('y: "\\hat{z}" = 1', 1, 4, r"\hat{z} is called z_hat in a text, not y"),
        ("y: z = 1", 1, 4, 'y is followed by its name in TeX, in quotes, as in W0: "W^{[0]}" = param(3, 2)'),
        (
            "lambda = 1",
            1,
            1,
            "lambda = 1: lambda is a word of Python and no part of the text form; as a name it is written lambda_",
        ),
        # operations
        ("x = input()\nA = sigmod(x)", 2, 5, "A = sigmod(x): there is no operation sigmod; did you mean sigmoid?"),
        (
            "x = input()\nA = x(2)",
            2,
            5,
            "A = x(2): x is a node and no operation; a product is written x * (...) or x @ (...)",
        ),
        ("x = input()\nA = sigmoid(x, x)", 2, 5, "A = sigmoid(x, x): sigmoid takes 1 operand, not 2"),
        (
            "x = input(2)\nA = sum(x, axes=0)",
            2,
            5,
            "A = sum(x, axes=0): it takes a, axis, keepdims, but got an unexpected keyword argument 'axes'",
        ),
        ("A = sigmoid(2)", 1, 5, "A = sigmoid(2): this has no node among its operands"),
        ("A = transpose(2) + 1", 1, 5, "A = transpose(2) + 1: transpose(2) has no node among its operands"),
        ("A = 2 @ 3", 1, 5, "A = 2 @ 3: this has no node among its operands"),
        (
            "x = input()\nA = 1 + input(2)",
            2,
            9,
            "A = 1 + input(2): input(2) declares, and stands alone on its line, as in x = input(2)",
        ),
        ("x = input()\nA = grad(x)", 2, 5, "A = grad(x): it takes of, wrt, but missing a required argument: 'wrt'"),
        ("x = input()\nA = sum(x, **x)", 2, 14, "A = sum(x, **x): x is no option: an option is name=value"),
        # shapes
        ("x = input(0)", 1, 5, "x: the shape (0,) has an extent below 1"),
        ("x = input(2.5)", 1, 5, "x: the shape (2.5,) is not made of integers"),
        (
            'x = input(2)\nW1: "W^{[1]}" = param(1, 3)\nα = 1\nC =  1 + α * (W1 @ x)',
            4,
            15,
            (
                "C = W^{[1]} @ x: W^{[1]} is 1x3 and takes 3 rows, x has 2 (W^{[1]} is a parameter of shape 1x3, line 2; "
                "x is an input of shape 2, line 1)"
            ),
        ),
        (
            "x = input(2)\nA = sum(x, axis=1)",
            2,
            5,
            "A = sum(x, axis=1): axis 1 is out of range: x has 1 axis (x is an input of shape 2, line 1)",
        ),
        (
            "x = input(2)\nW = param(2)\nG = grad(x, W)",
            3,
            5,
            (
                "G = grad(x, W): the gradient of x does not exist: it has the shape 2 and a gradient is that of a scalar; "
                "take sum(x) or one of its elements"
            ),
        ),
        # numbers
        ("A = 1/0", 1, 5, "A = 1/0: this is no finite real number"),
        ("A = 1 + (-8) ** 0.5", 1, 9, "A = 1 + (-8) ** 0.5: (-8) ** 0.5 is no finite real number"),
        ("A = 1e999", 1, 5, "A = 1e999: this is no finite real number"),
        ("A = 2 ** 10 ** 10", 1, 5, "A = 2 ** 10 ** 10: this is no finite real number"),
        ("A = " + "9" * 41, 1, 5, f"A = {'9' * 41}: a number of 41 characters, at most 40 are read"),
        ("A = 1j", 1, 5, "A = 1j: this is nothing that a line can hold"),
        # lines
        ("sigmoid(2)", 1, 1, "sigmoid(2) has no name: a line is name = expression, such as A = W0 @ x"),
        ("A: 'A'", 1, 1, "A: 'A' has no expression: a line is name = expression, such as A = W0 @ x"),
        (
            "A = 1\nA += 1",
            2,
            1,
            "A += 1 changes a name, and a name is given once: a line is name = expression, such as A = W0 @ x",
        ),
        (
            "A = B = 1",
            1,
            1,
            "A = B = 1 names more than one node, or what is no name: a line is name = expression, such as A = W0 @ x",
        ),
        (
            "A, B = 1, 2",
            1,
            1,
            "A, B = 1, 2 names more than one node, or what is no name: a line is name = expression, such as A = W0 @ x",
        ),
        ("A = 1; B = 2", 1, 6, "A = 1; B = 2: each name has a line of its own"),
        ("A = 1\n'title'", 2, 1, "'title' stands alone: only the first line can be a title"),
        ("with A:\n    B = 1", 1, 6, 'a group is written with group("Layer 1"): and its lines are indented'),
        ('with group(""):\n    B = 1', 1, 6, "'' cannot title a group: one line of 1 to 80 printable characters can"),
        (
            "x = input()\nA = x if x else x",
            2,
            7,
            "A = x if x else x: if is a word of Python and no part of the text form; as a name it is written if_",
        ),
        ("x = input()\nA = x ^ 2", 2, 7, "A = x ^ 2: a power is written **"),
        ("x = input()\nA = x · 2", 2, 7, "A = x · 2: a product is written * or @"),
        ("x = input()\nA = x − 2", 2, 7, "A = x − 2: minus is written -"),
        ("x = input()\nA = x²", 2, 6, "A = x²: the character '²' has no meaning here"),
        ("x = input()\nA = x.shape", 2, 5, "A = x.shape: this is nothing that a line can hold"),
        ("x = input()\nA = 1 + (x, 2)", 2, 9, "A = 1 + (x, 2): (x, 2) is nothing that a line can hold"),
        ("x = input()\nA = x == x", 2, 5, "A = x == x: this is nothing that a line can hold"),
        ("x = input()\nA = 'x'", 2, 5, "A = 'x': this is nothing that a line can hold"),
        ("x = input()\nA = 'x", 2, 5, "A = 'x: the string that begins here is not closed"),
        ("A = \\\n1", 1, 5, "A = \\: TeX stands in quotes"),
        ('"""\ntitle\n"""', 1, 3, '""": the string that begins here is not closed'),
    ],
)
def test_what_cannot_be_read_is_said_with_line_and_column(text, line, column, reason):
    with pytest.raises(gg.TextError) as refused:
        gg.parse(text)
    error = refused.value
    assert (error.reason, error.line, error.column) == (reason, line, column)
    assert str(error) == f"line {line}, column {column}: {reason}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = input(2)\nA = tanh(x", 2),
        ("x = input(2)\nA = tanh(x))", 2),
        ("x = input(2)\nA = x +", 2),
        ("x = input(2)\n  A = x", 2),
        ('with group("a"):\nA = 1', 2),
        ("x = input(2)\nA = 2 x", 2),
        ("A := 1", 1),
        ("A = 1 = 2", 1),
    ],
)
def test_what_python_cannot_read_is_said_with_its_line(text, line):
    with pytest.raises(gg.TextError) as refused:
        gg.parse(text)
    assert refused.value.line == line
    assert re.fullmatch(
        r"'.*' cannot be read: .*; a line is name = expression, such as A = W0 @ x", refused.value.reason
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x" * (LONGEST_TEXT + 1), "the text has 1,000,001 characters, at most 1,000,000 are read"),
        ("\n" * MOST_LINES, "the text has 12,001 lines, at most 12,000 are read"),
        ("#" * (LONGEST_LINE + 1), "the line has 10,001 characters, at most 10,000 are read"),
        (f"x = sum({', '.join('1' * 2000)})\n" * 51, f"more than {MOST_WORDS:,} names and numbers in one text"),
        ("A = " + "(" * 101, "more than 100 brackets are open"),
        ("A = " + "-" * 5000 + "1", "the text nests more than 100 operations"),
        ("A = " + "1 + " * 150 + "1", "the expression nests more than 100 operations"),
        ("A = " + "-" * 150 + "1", "the expression nests more than 100 operations"),
        (
            "".join(f"{' ' * k}with group('{k}'):\n" for k in range(21)) + " " * 21 + "A = 1",
            "more than 20 groups inside each other",
        ),
        (
            "x = input()\na0 = x\n" + "".join(f"a{k + 1} = grad(sigmoid(a{k}), x)\n" for k in range(60)),
            "the graph has 30,000 nodes, which is the most there can be",
        ),
    ],
    ids=["characters", "lines", "line", "words", "brackets", "signs", "sums", "minus", "groups", "gradients"],
)
def test_there_is_a_most_to_everything(text, reason):
    begun = time.process_time()
    with pytest.raises(gg.TextError) as refused:
        gg.parse(text)
    assert refused.value.reason.endswith(reason)
    assert time.process_time() - begun < 10, (
        "a fraction of a second is usual, and 2.4 s where a slow processor is shared"
    )


def test_a_text_is_read_into_an_empty_graph():
    from graphgrad.graph.text import read

    with gg.Graph() as g:
        gg.input("x")
    with pytest.raises(gg.GraphError, match="a text is read into an empty graph, this one has nodes already"):
        read("y = input()", g)


def test_ten_thousand_lines_are_read_and_written_in_two_seconds():
    text = "x = input(3)\nW = param(3, 3)\na0 = x\n" + "".join(
        f"z{k} = W @ a{k - 1}\na{k} = sigmoid(z{k})\n" for k in range(1, 5001)
    )
    begun = time.process_time()
    g = gg.parse(text)
    assert g.text() == text
    assert time.process_time() - begun < 4, "under one second is usual"


def test_the_page_about_the_text_form_is_right():
    page = (Path(__file__).parents[2] / "docs" / "text-form.md").read_text("utf-8")
    example = page.split("```\n")[1]
    assert (
        gg.parse(example).text()
        == TEXT.replace("y =", 'y_hat: "\\\\hat{y}" =')
        .replace("(y, t)", "(y_hat, t)")
        .replace('with group("Output"):\n    E = w @ D\n    y_hat', "E = w @ D\ny_hat")
        + "G = grad(J, W0)\n"
    )
    for right, wrong in (("W1 @ B", "W1 @ x"), ("B = sigmoid", "B = sigmod"), ("W0 @ x", "W0 @ B")):
        with pytest.raises(gg.TextError) as refused:
            gg.parse(example.replace(right, wrong))
        assert str(refused.value) in " ".join(page.split())
    for limit in (
        LONGEST_TEXT,
        LONGEST_LINE,
        MOST_LINES,
        MOST_WORDS,
        MOST_NODES,
        LONGEST_NUMBER,
        DEEPEST,
        DEEPEST_GROUP,
    ):
        assert f"{limit:,}" in page.split("## Limits")[1].split("##")[0]
