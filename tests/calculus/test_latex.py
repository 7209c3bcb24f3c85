"""Every line in TeX is one that KaTeX and pdflatex set, and one that MathML can say."""

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import pytest

import graphgrad as gg
from graphgrad import networks
from graphgrad.graph import mathml
from tests.calculus.random_graphs import draw

GOLDEN = Path(__file__).parent / "golden"
KATEX = Path(sys.prefix) / "node" / "node_modules" / "katex"
PACKAGES = r"\documentclass{article}\usepackage{amsmath,amssymb}\begin{document}"


def of(graph, scalar):
    """All lines that a graph has in TeX: its own, its gradients, the rows of each chain, one weight of each parameter."""
    yield graph.latex()
    for node in graph.steps:
        yield node.latex()
    for line in gg.equations(scalar):
        yield line.latex()
    for parameter in graph.parameters:
        try:
            chain = gg.chain(scalar, parameter)
        except gg.GradientError:
            continue
        yield from (chain.latex(row) for row in (*chain.rows, "all"))
        yield from (factor.local() for factor in chain.factors)
        yield from (step.latex() for step in chain.steps)
        yield gg.one_weight(scalar, parameter).latex()


@cache
def lines():
    golden = (line for file in sorted(GOLDEN.glob("*.tex")) for line in file.read_text("utf-8").splitlines())
    found = [line for line in golden if line and not line.startswith("The ")]  # a remark is a sentence
    for seed in range(0, 200, 5):
        drawn = draw(seed)
        found += of(drawn.graph, drawn.of)
    for graph in (networks.k_class_cnn(), networks.localisation(size=8, filters=(2, 3), hidden=4)):
        found += of(graph, next(node for node in graph.outputs if not node.shape))
    return list(dict.fromkeys(found))


@pytest.mark.skipif(not KATEX.exists() or shutil.which("node") is None, reason="node or its package katex is not there")
def test_katex_sets_every_line():
    script = (
        f"const katex = require({json.dumps(str(KATEX))});"
        "const lines = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        "const bad = [];"
        "for (const line of lines) {"
        "  try { katex.renderToString(line, {displayMode: true, throwOnError: true, strict: 'error'}); }"
        "  catch (error) { bad.push([line, String(error)]); }"
        "}"
        "console.log(JSON.stringify(bad));"
    )
    ran = subprocess.run(
        ["node", "-e", script], input=json.dumps(lines()), capture_output=True, text=True, check=True, encoding="utf-8"
    )
    assert json.loads(ran.stdout) == []


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_pdflatex_sets_every_line(tmp_path):
    body = "\n".join(rf"\setbox0\hbox{{$\displaystyle {line}$}}" for line in lines())
    (tmp_path / "lines.tex").write_text(f"{PACKAGES}\n{body}\nx\\end{{document}}\n", "utf-8")
    ran = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "lines.tex"],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert ran.returncode == 0, ran.stdout[-1500:]


def test_every_line_is_well_formed_mathml_without_a_command_left_over():
    for line in lines():
        formula = ElementTree.fromstring(mathml(line))
        assert "\\" not in "".join(formula.itertext()), line


def test_nodes_gradients_chains_and_graphs_have_mathml():
    g = networks.two_hidden_layers()
    for shown in (
        g.A,
        gg.grad(g.l, g.W0),
        gg.chain(g.l, g.W0),
        gg.one_weight(g.l, g.W0, 0, 1),
        gg.equations(g.l)[0],
        g,
    ):
        formula = ElementTree.fromstring(shown.mathml())
        assert formula.tag == "{http://www.w3.org/1998/Math/MathML}math"
        assert formula.get("display") == "block"
