"""Writes operations.md, the table of all operations, from the register itself; `make docs` runs it.

The formula of an elementwise operation is its definition; that of any other is the first sentence of its docstring. The
gradients are derived from the graph in the docstring's example, and the targets are those it was lowered to.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import importlib
import inspect
import io
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sympy as sp

import graphgrad as gg
from graphgrad.calculus.gradient import sweep
from graphgrad.compiler import cpu, cuda
from graphgrad.compiler.grid import lower_to_grid
from graphgrad.compiler.lower import lower
from graphgrad.graph import FUNCTIONS, Node
from graphgrad.ops.elementwise import Elementwise
from graphgrad.ops.reference import evaluate

PAGE = Path(__file__).with_name("operations.md")

HEAD = """\
# Operations

{count} operations, by family, as `graphgrad` has them; this page is written by `make docs` from the register itself.

Shapes are those of one sample. `l` (or `L`) is a scalar that is computed from the result, `J` its sum over the samples, so that a line such as
$`\\frac{{\\partial l}}{{\\partial z}} = \\frac{{\\partial l}}{{\\partial A}} \\odot A (1 - A)`$ says what the backward sweep does at the operation;
$`\\odot`$ is the product element by element, $`\\mathbb{{1}}[\\ldots]`$ is 1 where the condition holds and 0 elsewhere. What was stretched to a larger shape
is summed over in the gradient. Every operation is differentiated to any order, in the same way. The docstrings
(`help(gg.softmax)`) say more: shapes, errors, an example, the source.
"""

TOLD = re.compile(
    r"PyTorch|ONNX|NumPy|NaN|unless|\bfirst\b|counted|cross-correlation|at 0|infinite|through|threshold|divided"
)
"""What marks a sentence of a docstring as one about a convention."""

LONG_NUMBER = re.compile(r"\d+\.\d{7,}")

NOT_TOLD = re.compile(r"^(Raises|Source)\b")


def page() -> str:
    """The whole page."""
    families: dict[str, list[str]] = {}
    for name in sorted(FUNCTIONS):
        if name != "grad":  # a word of the text form, which no operation computes
            families.setdefault(module_of(FUNCTIONS[name]), []).append(name)
    count = sum(map(len, families.values()))
    parts = [HEAD.format(count=count)]
    for module in sorted(families, key=lambda module: (ORDER.index(module) if module in ORDER else len(ORDER), module)):
        title = re.split(r"[.:;]", importlib.import_module(module).__doc__ or "")[0]
        head = "| operation | formula | gradient | targets | conventions |\n|---|---|---|---|---|"
        parts.append("\n".join([f"## {title}\n", head, *map(row, families[module]), ""]))
    return "\n".join(parts)


ORDER = [
    f"graphgrad.ops.{family}"
    for family in (
        "activations softmax arithmetic exponentials trigonometry magnitude comparisons reductions extremes products "
        "statistics norms batch linear shape slices pad rows convolution pooling upsampling normalisation noise losses "
        "classes regularisers"
    ).split()
]


def module_of(function: Callable[..., Any]) -> str:
    return (function.body if isinstance(function, Elementwise) else function).__module__


def row(name: str) -> str:
    """The line of one operation."""
    function = FUNCTIONS[name]
    graph, node = example(function, name)
    cells = (
        f"`{name}{signature(function)}`",
        formula(function),
        "<br>".join(gradients(graph, node)),
        ", ".join(targets(graph, node)),
        conventions(function),
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def signature(function: Callable[..., Any]) -> str:
    """The operands and options, without types; options that are numbers as they are read."""
    parameters = [p.replace(annotation=p.empty) for p in inspect.signature(function).parameters.values()]
    shown = str(inspect.Signature(parameters))
    return re.sub(r"0\.16666666666666666", "1/6", shown.replace("*, ", ""))


def sentences(function: Callable[..., Any]) -> list[str]:
    """The sentences of a docstring, without its example."""
    prose = inspect.cleandoc(function.__doc__ or "").partition(">>>")[0]
    paragraphs = (" ".join(paragraph.split()) for paragraph in prose.split("\n\n"))
    return [part for paragraph in paragraphs for part in re.split(r"(?<=\.)\s+(?=[A-ZαλΦ∂`])", paragraph) if part]


def formula(function: Callable[..., Any]) -> str:
    if not isinstance(function, Elementwise):
        return sentences(function)[0]
    shown = function.expression
    for name, rule in AS_READ.items():
        shown = shown.replace(lambda part, name=name: part.func.__name__ == name, rule)
    return math(f"y = {sp.latex(shown, ln_notation=True)}")


AS_READ: dict[str, Callable[[Any], Any]] = {
    "expm1": lambda part: sp.exp(part.args[0]) - 1,
    "log1p": lambda part: sp.log(1 + part.args[0]),
    "log2": lambda part: sp.log(part.args[0]) / sp.log(2),
    "log10": lambda part: sp.log(part.args[0]) / sp.log(10),
    "rint": lambda part: sp.Function("round")(part.args[0]),
}
"""What has a name for the sake of its last digits is written as it is read."""


def conventions(function: Callable[..., Any]) -> str:
    told = sentences(function)
    rest = told if isinstance(function, Elementwise) else told[1:]
    return " ".join(part for part in rest if TOLD.search(part) and not NOT_TOLD.match(part))


def example(function: Callable[..., Any], name: str) -> tuple[gg.Graph, Node]:
    """The graph of the example in the docstring, and the node that the operation made there."""
    space: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for one in doctest.DocTestParser().get_examples(function.__doc__ or ""):
            exec(compile(one.source, name, "single"), space)  # noqa: S102 - the package's own docstrings
    graph = space["g"]
    made = [node for node in graph.steps if node.op.name == name]
    return graph, made[0] if made else graph.steps[-1]


def gradients(graph: gg.Graph, node: Node) -> Iterator[str]:
    """A line for each operand: its gradient, or why there is none."""
    with graph:
        weight = (gg.input if node.per_sample else gg.param)(free(graph, "v", "u", "q"), *node.shape)
        product = node * weight
        of = graph.define(free(graph, "l", "L"), gg.sum(product) if node.shape else product)
        try:
            sweep(of)
        except gg.GradientError:  # a batch in which every sample has a part in the others' results
            of = graph.define("J", gg.batch_sum(of))
    told = []
    for operand in dict.fromkeys(node.inputs):
        if operand.kind == "constant":
            continue
        try:
            lines = gg.equations(of, operand)
        except gg.GradientError as error:
            told.append(f"none: {str(error).rpartition(': ')[2]}")
            continue
        for line in lines:
            if line.wrt is operand or line.wrt is None:
                told.append(math(" = ".join(side.latex for side in line.elements) if line.elements else line.latex()))
    yield from dict.fromkeys(told)


def free(graph: gg.Graph, *names: str) -> str:
    return next(name for name in names if name not in graph)


def targets(graph: gg.Graph, node: Node) -> Iterator[str]:
    """The targets that the operation has a program for."""
    arrays = {
        leaf: np.zeros(((2,) if leaf.per_sample else ()) + leaf.shape) for leaf in (*graph.inputs, *graph.parameters)
    }
    evaluate([node], arrays, 2)
    yield "numpy"
    function = gg.compile(graph, node)
    results = tuple(function.program.values[output] for output in function.outputs)
    given = function.program, function.leaves, "", "float64", results
    ast.parse(cpu.print_step(lower(*given)))
    yield "cpu"
    ast.parse(cuda.print_step(lower_to_grid(*given)))
    yield "cuda"


def tex(latex: str) -> str:
    """TeX whose signs do not end a cell of a table."""
    return latex.replace(r"\left|", r"\left\lvert ").replace(r"\right|", r"\right\rvert ").replace("|", r"\vert ")


def math(latex: str) -> str:
    """A formula as Markdown sets it, with numbers as long as they are read."""
    return f"$`{re.sub(LONG_NUMBER, lambda found: f'{float(found[0]):.6g}', tex(latex))}`$"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write(f"{PAGE.name} is written\n")
