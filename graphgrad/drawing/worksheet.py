"""The worksheet of a network: its lines, its picture, and the way to each gradient with the numbers of one's own data.

It is handed everything that is computed, and lays it out as a document.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from graphgrad.calculus.chain import Chain, Factor
from graphgrad.calculus.check import GradientCheck
from graphgrad.calculus.equations import Equation
from graphgrad.drawing.documents import Block, Code, Document, Figure, Formula, Formulas, Prose, Section, Table
from graphgrad.drawing.documents.html import print_html
from graphgrad.drawing.documents.markdown import print_markdown
from graphgrad.drawing.documents.notebook import print_notebook
from graphgrad.drawing.documents.tex import print_tex
from graphgrad.drawing.numbers import Array, array_in_tex, number, summary
from graphgrad.drawing.picture import Picture
from graphgrad.drawing.tiles import tiles
from graphgrad.graph import Graph, GraphError, Name, Node

MOST_TILES = 64
"""How many images an array may be drawn as."""

WIDEST = 8
"""How many rows and columns of numbers a cell of a table has at most."""

FORMATS = (".html", ".tex", ".md", ".ipynb")


@dataclass(frozen=True)
class Numbers:
    """What was computed for a worksheet: of one sample, or for an objective over all of them what all share.

    `factors` are the numbers of each chain's factors, `after` the parameters after one step of size `rate`; `code`
    rebuilds network and arrays in a notebook, and `source` says where the arrays come from.
    """

    values: Mapping[Node, Array]
    gradients: Mapping[Node, Array]
    factors: Mapping[Chain, Mapping[Factor, Array]]
    rate: float
    after: Mapping[Node, Array]
    objective: tuple[float, float]
    check: GradientCheck
    source: str
    code: str


@dataclass(frozen=True)
class Worksheet:
    """A network worked through with numbers; `save` writes it, and Jupyter shows it."""

    graph: Graph
    of: Node
    lines: tuple[Equation, ...]
    chains: tuple[Chain, ...]
    numbers: Numbers
    picture: Picture

    @cached_property
    def document(self) -> Document:
        """The worksheet as plain data."""
        return Document(
            self.graph.title or "A network",
            (
                self._network(),
                self._forward(),
                self._backward(),
                *map(self._chain, self.chains),
                self._step(),
                self._checked(),
            ),
        )

    def html(self) -> str:
        """The worksheet as one HTML file, whose formulas the browser shows without a network connection."""
        return print_html(self.document)

    def tex(self, stem: str = "worksheet") -> str:
        """The worksheet for pdflatex; the pictures are in `stem-NAME.pdf`, which `save` writes."""
        return print_tex(self.document, stem)

    def markdown(self, stem: str = "worksheet") -> str:
        """The worksheet as Markdown; the pictures are in `stem-NAME.svg`, which `save` writes."""
        return print_markdown(self.document, stem)

    def notebook(self) -> str:
        """The worksheet as a Jupyter notebook, whose cells of code compute the numbers again."""
        return print_notebook(self.document)

    def save(self, path: str | os.PathLike[str]) -> list[str]:
        """Write the worksheet as the path's ending says: .html, .tex, .md or .ipynb; returns all files written.

        The pictures of a .tex and a .md file lie beside it. Raises GraphError for another ending.
        """
        target = Path(path)
        if target.suffix not in FORMATS:
            raise GraphError(
                f"{target.name} is no worksheet's name: it ends in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
            )
        stem = target.stem
        if target.suffix == ".html":
            text = self.html()
        elif target.suffix == ".ipynb":
            text = self.notebook()
        else:
            text = self.tex(stem) if target.suffix == ".tex" else self.markdown(stem)
        target.write_text(text, "utf-8")
        beside = [self._beside(figure, target) for figure in self._figures()]
        return [str(target), *(name for name in beside if name)]

    def _figures(self) -> Iterator[Figure]:
        for section in self.document.sections:
            yield from (block for block in section.blocks if isinstance(block, Figure))

    def _beside(self, figure: Figure, target: Path) -> str | None:
        """Write a picture where the file looks for it; None where it needs none."""
        beside = target.with_name(f"{target.stem}-{figure.name}")
        if target.suffix == ".md":
            beside = beside.with_name(f"{beside.name}.svg")
            beside.write_text(figure.svg, "utf-8")
            return str(beside)
        if target.suffix == ".tex" and figure.pdf is not None:
            beside = beside.with_name(f"{beside.name}.pdf")
            figure.pdf(str(beside))
            return str(beside)
        return None

    def _repr_html_(self) -> str:
        page = base64.b64encode(self.html().encode()).decode()
        return f'<iframe src="data:text/html;base64,{page}" style="width:100%;height:40rem;border:0"></iframe>'

    def __repr__(self) -> str:
        return f"<Worksheet of {self.graph.title or 'a network'}: {len(self.document.sections)} sections>"

    # -- sections ------------------------------------------------------------------------------------------------

    def _network(self) -> Section:
        steps = tuple(Formula(node.latex(), node.text(), _shape(node)) for node in self.graph.steps)
        rows = tuple(
            (_name(node), "input" if node.kind == "input" else "parameter", _shape(node), f"{node.type.size:,}")
            for node in (*self.graph.inputs, *self.graph.parameters)
        )
        count = f"{self.graph.count_params():,} parameters in {len(self.graph.parameters)} arrays."
        return Section(
            "The network",
            (
                Prose(f"{len(self.graph.steps)} steps and {count} {self.numbers.source}"),
                Formulas(steps),
                Table(("name", "kind", "shape", "numbers"), rows),
                Figure(
                    "network",
                    "The network with its values (above) and gradients (below).",
                    self.picture.svg(),
                    self.picture.pdf,
                ),
                Code(self.numbers.code),
            ),
        )

    def _forward(self) -> Section:
        given = (*self.graph.inputs, *self.graph.parameters)
        nodes = [node for node in (*given, *self.graph.steps) if node in self.numbers.values]
        lines = tuple(_with_number(node.latex(), node.text(), self.numbers.values[node]) for node in nodes)
        return Section(
            "Forward pass",
            (
                Formulas(lines),
                *self._images(nodes),
                Code("{str(node.name): value for node, value in result.values.items()}"),
            ),
        )

    def _images(self, nodes: list[Node]) -> Iterator[Block]:
        """Filters and feature maps, which a formula has no room for."""
        shown = {}
        count = 0
        for node in nodes:
            array = self.numbers.values[node]
            images = array.size // (array.shape[-1] * array.shape[-2]) if array.ndim >= 2 and array.size else 0
            if (
                node.name
                and array_in_tex(array) is None
                and images
                and min(array.shape[-2:]) > 1
                and images <= MOST_TILES
            ):
                count += images
                if count <= 4 * MOST_TILES:
                    shown[node.name.text] = array
        if shown:
            yield Figure("maps", "What has too many numbers to be written out, as images.", tiles(shown).svg())

    def _backward(self) -> Section:
        of = _sign(self.of)
        lines = []
        for line in self.lines:
            array = None if line.wrt is None else self.numbers.gradients.get(line.wrt)
            remark = "; ".join(dict.fromkeys(step.reason for step in line.steps))
            shown = Formula(line.latex(), line.text())
            lines.append(shown if array is None else _with_number(shown.latex, shown.unicode, array, remark))
            if line.elements is not None:
                left, right = line.elements
                lines.append(
                    Formula(f"{left.latex} = {right.latex}", f"{left.unicode} = {right.unicode}", "by its elements")
                )
        code = "for line in gg.equations(objective):\n    display(line)"
        return Section(
            "Backward pass",
            (
                Prose(f"Each gradient of {of} from those that come after it, from {of} back to the parameters."),
                Formulas(tuple(lines)),
                Code(code),
            ),
        )

    def _chain(self, chain: Chain) -> Section:
        titles = {
            "names": "by names",
            "local": "by local derivatives",
            "simplified": "simplified",
            "sweep": "as the sweep computes it",
        }
        rows = tuple(Formula(chain.latex(row), chain.text(row), titles[row]) for row in chain.rows)
        numbers = self.numbers.factors.get(chain, {})
        factors = tuple(
            (
                Formula(factor.latex(), factor.text()),
                Formula(factor.local(), factor.local("unicode")),
                factor.structure,
                f"{factor.of.type.size}×{factor.wrt.type.size}",
                _number(numbers[factor]) if factor in numbers else "",
            )
            for factor in chain.factors
        )
        steps = tuple(Formula(step.latex(), str(step), step.reason) for step in chain.steps)
        name = f"∂{_sign(chain.of)}/∂{_sign(chain.wrt)}"
        blocks: list[Block] = [Formulas(rows)]
        if chain.remark:
            blocks.append(Prose(chain.remark))
        blocks.append(Table(("factor", "local derivative", "structure", "shape", "number"), factors))
        if steps:
            blocks += [Prose("What is simpler, and why:"), Formulas(steps)]
        blocks.append(Code(f'gg.chain(objective, graph["{_ident(chain.wrt)}"])'))
        return Section(f"The chain rule for {name}", tuple(blocks))

    def _step(self) -> Section:
        before, after = self.numbers.objective
        eta = number(self.numbers.rate)
        lines = []
        for node, new in self.numbers.after.items():
            sign = _name(node)
            gradient = self.numbers.gradients[node]
            fraction = rf"\frac{{\partial {_tex(self.of)}}}{{\partial {sign.latex}}}"
            rule = rf"{sign.latex} := {sign.latex} - \eta \, {fraction}"
            parts = [array_in_tex(array) for array in (self.numbers.values[node], gradient, new)]
            if None in parts:
                moved = f"{sign.unicode} moves by {number(self.numbers.rate)} times {summary(gradient)}"
                lines.append(Formula(rule, moved, moved))
                continue
            old, slope, result = parts
            lines.append(
                Formula(rf"{rule} = {old} - {number(self.numbers.rate)} {slope} = {result}", f"{sign.unicode} := …")
            )
        of = _sign(self.of)
        told = f"With the rate η = {eta}, {of} goes from {number(before)} to {number(after)}."
        wrt = ", ".join(f'"{_ident(node)}"' for node in self.numbers.after)
        code = (
            f"step = gg.compile(graph, objective, wrt=[{wrt}]).bind(\n"
            f"    optimizer=gg.SGD({self.numbers.rate!r}),\n"
            "    **{node.name.ident: arrays[node.name.ident] for node in graph.parameters},\n"
            ")\n"
            "step(*(arrays[node.name.ident] for node in step.inputs))\n"
            "step.params"
        )
        return Section("One gradient step", (Prose(told), Formulas(tuple(lines)), Code(code)))

    def _checked(self) -> Section:
        head, *rows = self.numbers.check.table
        return Section(
            "Gradient check",
            (
                Prose(f"{self.numbers.check.title}. {self.numbers.check.conclusion}"),
                Table(head, tuple(rows)),
                Code("graph.check_gradients(arrays, of=objective)"),
            ),
        )


def _with_number(latex: str, unicode: str, array: Array, remark: str = "") -> Formula:
    """A line with its number at the end, or with what there is to say of its numbers beside it."""
    shown = array_in_tex(array)
    if shown is None:
        return Formula(latex, unicode, "; ".join(part for part in (remark, summary(array)) if part))
    if latex.endswith(f"= {shown}"):
        return Formula(latex, unicode, remark)
    return Formula(f"{latex} = {shown}", unicode, remark)


def _number(array: Array) -> str | Formula:
    shown = array_in_tex(array, WIDEST)
    return summary(array) if shown is None else Formula(shown, "")


def _named(node: Node) -> Name:
    named = node.name
    return named if named is not None else Name(node.latex(), node.text(), "")


def _name(node: Node) -> Formula:
    return Formula(_named(node).tex, _named(node).text)


def _sign(node: Node) -> str:
    return _named(node).text


def _tex(node: Node) -> str:
    return _named(node).tex


def _ident(node: Node) -> str:
    return _named(node).ident


def _shape(node: Node) -> str:
    return f"{_extents(node.shape)}{', per sample' if node.per_sample and node.kind == 'input' else ''}"


def _extents(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "number"
