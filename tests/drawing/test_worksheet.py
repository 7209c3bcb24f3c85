"""The worksheet: the numbers of the lecture in every form, one file that needs nothing else, code that runs again."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
import sympy as sp

import graphgrad as gg
from graphgrad import networks
from graphgrad.drawing.documents import Document, Formula, Formulas, Prose, Section, Table
from graphgrad.drawing.documents.html import print_html
from graphgrad.drawing.documents.markdown import print_markdown
from graphgrad.drawing.documents.tex import print_tex

ARRAYS = {
    "x": [[0.4, -1.0], [-2.1, 3.0]],
    "t": [1.0, 0.0],
    "W0": [[0.5, -0.2], [-0.3, 0.8], [0.9, 0.1]],
    "W1": [[0.2, -0.5, 0.7], [1.1, 0.4, -0.6], [-0.8, 0.3, 0.9]],
    "w": [0.6, -1.2, 0.3],
}


@pytest.fixture(scope="module")
def sheet():
    return networks.two_hidden_layers().worksheet(ARRAYS, rate=0.5)


def own():
    swish = gg.elementwise("swish", lambda z, *, beta=1.0: z / (1 + sp.exp(-beta * z)))
    with gg.Graph("<b>a user's & own</b>") as g:
        x, t, W, w = gg.input("x", 2), gg.input("t"), gg.param("W", 3, 2), gg.param("w", 3)
        g.A = W @ x
        g.B = swish(g.A, beta=2)
        g.E = w @ g.B
        g.l = gg.squared_error(g.E, t)
        g.J = gg.batch_mean(g.l) + 0.01 * gg.l2(W)
    return g


def texts(sheet):
    """All formulas and sentences of a worksheet, by the title of their section."""
    found = {}
    for section in sheet.document.sections:
        lines = found[section.title] = []
        for block in section.blocks:
            match block:
                case Formulas(formulas):
                    lines += [line.latex for line in formulas]
                case Prose(text):
                    lines.append(text)
                case Table(_, rows):
                    lines += [cell.latex if isinstance(cell, Formula) else cell for row in rows for cell in row]
    return found


def test_it_works_through_the_lectures_network_with_its_numbers(sheet):
    x, W0, W1, w = (np.array(ARRAYS[name]) for name in ("x", "W0", "W1", "w"))
    B = 1 / (1 + np.exp(-W0 @ x[0]))
    D = 1 / (1 + np.exp(-W1 @ B))
    y = 1 / (1 + np.exp(-w @ D))
    slope = np.outer((W1.T @ ((y - 1) * w * D * (1 - D))) * B * (1 - B), x[0])
    found = texts(sheet)
    assert list(found)[0:3] == ["The network", "Forward pass", "Backward pass"]
    (value,) = (line for line in found["Forward pass"] if line.startswith("y ="))
    assert value == rf"y = \sigma\left(E\right) = {y:.4f}"
    shown = " ".join(found["One gradient step"])
    for number in (W0 - 0.5 * slope).ravel():
        assert f"{number:.4g}"[:5] in shown
    assert any("goes from" in line and f"{-np.log(y):.4f}"[:5] in line for line in found["One gradient step"])
    assert "All 11 gradients agree." in " ".join(found["Gradient check"]) or "agree" in " ".join(
        found["Gradient check"]
    )
    assert any(r"\frac{\partial A}{\partial W^{[0]}}" in line for line in found["The chain rule for ∂l/∂W⁽⁰⁾"])


class Page(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


def test_the_page_needs_nothing_else(sheet):
    page = Page()
    text = sheet.html()
    page.feed(text)
    tags = {tag for tag, _ in page.seen}
    assert {"math", "svg", "table"} <= tags
    assert not tags & {"script", "link", "iframe", "object", "embed"}
    for _, attributes in page.seen:
        for name in ("src", "href", "xlink:href"):
            assert str(attributes.get(name) or "data:").startswith(("data:", "#"))
    assert not re.search(r"url\(|@import", text)
    for formula in re.findall(r"<math.*?</math>", text, flags=re.DOTALL):
        ElementTree.fromstring(formula)


def test_what_users_write_is_text_in_every_form(tmp_path):
    sheet = own().worksheet()
    assert "<b>" not in sheet.html()
    assert "&lt;b&gt;a user&#x27;s &amp; own&lt;/b&gt;" in sheet.html()
    assert r"\textless{}b\textgreater{}a user's \& own" in sheet.tex()
    assert r"# \<b\>a user's & own\</b\>" in sheet.markdown()
    hostile = Document("t", (Section("$x$ | \\input{/etc/passwd}", (Prose("`a` | *b* <script>"),)),))
    assert "<script>" not in print_html(hostile)
    assert "\\input" not in print_tex(hostile, "s").partition("\\begin{document}")[2]
    assert r"\$x\$ \|" in print_markdown(hostile, "s")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("made", [lambda: networks.two_hidden_layers().worksheet(ARRAYS), lambda: own().worksheet()])
def test_pdflatex_sets_it(made, tmp_path):
    files = made().save(tmp_path / "sheet.tex")
    assert [name.rpartition("/")[2] for name in files] == ["sheet.tex", "sheet-network.pdf"]
    ran = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "sheet.tex"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert ran.returncode == 0, ran.stdout[-2000:]
    assert "Missing character" not in (tmp_path / "sheet.log").read_text("latin-1")
    assert (tmp_path / "sheet.pdf").read_bytes()[:5] == b"%PDF-"


@pytest.mark.parametrize("made", [lambda: networks.two_hidden_layers().worksheet(ARRAYS), lambda: own().worksheet()])
def test_the_notebook_runs_and_finds_the_same_numbers(made, tmp_path):
    sheet = made()
    assert len(sheet.save(tmp_path / "sheet.ipynb")) == 1
    notebook = json.loads((tmp_path / "sheet.ipynb").read_text("utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    code = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    printed = "print(float(step.params[list(step.params)[0]].ravel()[0]).hex())"
    script = "\n".join(["display = lambda shown: None", *code, printed])
    ran = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    first = next(iter(sheet.numbers.after.values()))
    assert float.fromhex(ran.stdout.split()[-1]) == pytest.approx(float(first.ravel()[0]), rel=1e-12)


def test_markdown_has_its_pictures_beside_it(sheet, tmp_path):
    assert len(sheet.save(tmp_path / "sheet.md")) == 2
    assert "](sheet-network.svg)" in (tmp_path / "sheet.md").read_text("utf-8")
    ElementTree.fromstring((tmp_path / "sheet-network.svg").read_text("utf-8"))


def test_numbers_that_are_missing_are_drawn_and_said():
    sheet = networks.k_class_cnn().worksheet(wrt="b_E")
    assert "Drawn as an example from the seed 0: x, t" in sheet.numbers.source
    again = networks.k_class_cnn().worksheet(wrt="b_E")
    for node, array in sheet.numbers.values.items():
        np.testing.assert_array_equal(array, again.numbers.values[again.graph[node.name.ident]])
    maps = [
        block for section in sheet.document.sections for block in section.blocks if getattr(block, "name", "") == "maps"
    ]
    assert len(maps) == 1


def test_one_sample_of_several_is_worked_through():
    g = networks.two_hidden_layers()
    second = g.worksheet(ARRAYS, sample=1)
    np.testing.assert_array_equal(second.numbers.values[g.x], ARRAYS["x"][1])


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda g: g.worksheet(ARRAYS).save("sheet.doc"), r"sheet\.doc is no worksheet's name: it ends in \.html"),
        (lambda g: g.worksheet(ARRAYS, sample=2), "the sample 3 does not exist: there are 2"),
        (lambda g: g.worksheet(ARRAYS, of="A"), "has the shape 3: a worksheet is about the gradient of a scalar"),
        (lambda g: g.worksheet(ARRAYS, rate=0), "the rate of the step is 0, and is larger than 0"),
        (lambda g: g.worksheet(ARRAYS, of="E", wrt="t"), "does not depend on t"),
    ],
)
def test_what_makes_no_worksheet_is_said(act, sentence):
    with pytest.raises(gg.GraphError, match=sentence):
        act(networks.two_hidden_layers())
