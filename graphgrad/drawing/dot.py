"""A view as DOT: cards of fixed size, each value in a cell with an id of its own.

User text enters here and nowhere else, as text of an XML tree (`_text`); the names of nodes, ports and ids are ours.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from xml.etree import ElementTree as xml

import graphviz

from graphgrad.drawing.cells import Cell, Grid
from graphgrad.drawing.style import COLOURS, FONT, GLYPHS, NOT_COMPUTED, Theme, mixed
from graphgrad.drawing.view import Card, GraphView, Group, Side

Element = xml.Element

HEAD, TAG, LINE, GLYPH = 26, 14, 15, 13  # heights of title, tag and value line, and width of the glyph's column
COLUMN, SQUARE, LEAST = 48, 9, 76  # width of a number in a matrix, side of a cell without one, least width of a card
GAP = 2  # around a panel of numbers, in which the card's colour is seen
WIDTHS = (
    (" .,:;|!'ijlI·", 0.29),
    ("()[]{}ftr-⁽⁾₍₎⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉₊₋⁺⁻ᵀ′", 0.37),
    ("MWmw@%⊙…", 0.95),
)
"""Letters that are narrower or wider than others, with their widths as multiples of the size."""
BOLD = 1.06
BLANK = "\u00a0"  # the text of a cell that shows only its colour: no tag in a label is ever empty


@dataclass(frozen=True)
class _Sheet:
    """What every card needs to know of the others."""

    view: GraphView
    theme: Theme
    blank: bool

    @cached_property
    def cards(self) -> dict[str, Card]:
        return {card.id: card for card in self.view.cards}

    @cached_property
    def lines(self) -> int:
        """How many lines each value takes: the same on every card, so that the edges run level."""
        return max((card.form.rows for card in self.view.cards if card.form and not card.form.coloured), default=1)

    @cached_property
    def widths(self) -> dict[str, int]:
        """Wide enough for what a card says; over an operation as wide as that, so that their edges are upright."""
        own = {card.id: _width(card, numbered=bool(self.view.sides)) for card in self.view.cards}
        below = {pair.source: own[pair.target] for pair in self.view.above}
        return {id: max(width, below.get(id, 0)) for id, width in own.items()}

    def shown(self, card: Card, side: Side) -> Sequence[Cell]:
        assert card.form is not None
        return (Cell(NOT_COMPUTED),) * card.form.size if self.blank else self.view.shown(card, side)


def dot(view: GraphView, theme: Theme, *, blank: bool = False, legend: bool = True, dpi: int = 0) -> str:
    """The view in the DOT language; `blank` leaves the values out, which gives the same layout."""
    result = graphviz.Digraph("graphgrad")
    result.attr(
        rankdir="LR",
        bgcolor=theme["paper"],
        fontname=FONT,
        ranksep="0.28",
        nodesep="0.24",
        pad="0.12",
        tooltip=" ",
        **({"dpi": str(dpi)} if dpi else {}),
    )
    result.attr("node", shape="plain", fontname=FONT, fontsize="10", fontcolor=theme["ink"], tooltip=" ")
    result.attr("edge", arrowsize="0.6", penwidth="1.3", color=theme["edge"], tooltip=" ")
    if legend and view.sides:
        result.attr(label=_legend(view, theme), labelloc="b", labeljust="l")
    sheet = _Sheet(view, theme, blank)
    grouped = {id for group in view.groups for id in _members(group)}
    _place(result, [id for id in sheet.cards if id not in grouped], sheet)
    for group in view.groups:
        _cluster(result, group, sheet)
    _edges(result, sheet, grouped)
    return str(result.source)


def _members(group: Group) -> list[str]:
    return [*group.cards, *(id for inner in group.groups for id in _members(inner))]


def _cluster(outer: graphviz.Digraph, group: Group, sheet: _Sheet) -> None:
    with outer.subgraph(name=f"cluster_{group.id}") as cluster:
        cluster.attr(
            id=group.id,
            label=_html(_styled(group.title, sheet.theme["muted"], 10, bold=True)),
            labeljust="l",
            style="rounded,filled",
            fillcolor=sheet.theme["cluster"],
            color=sheet.theme["cluster-line"],
            margin="10",
        )
        _place(cluster, group.cards, sheet)
        for inner in group.groups:
            _cluster(cluster, inner, sheet)


def _place(where: graphviz.Digraph, ids: Sequence[str], sheet: _Sheet) -> None:
    """The cards of a group, or of none; a parameter in one rank with its operation, which sets it above."""
    for id in ids:
        where.node(id, label=_label(sheet.cards[id], sheet), id=id)
    for pair in sheet.view.above:
        if pair.source in ids and pair.target in ids:
            with where.subgraph() as rank:
                rank.attr(rank="same")
                rank.node(pair.source)
                rank.node(pair.target)


def _edges(result: graphviz.Digraph, sheet: _Sheet, grouped: set[str]) -> None:
    """Each edge forward, and beside it the way of the gradient, dashed, back.

    A leaf that is used again further on (a weight by its penalty) has the one line there, which would else run double
    through half of the picture.
    """
    view = sheet.view
    kinds = {card.id: card.kind for card in view.cards}
    leaves: set[str] = set()
    for edge in view.edges:
        again = edge.source in leaves
        if kinds[edge.source] in ("input", "parameter", "constant"):
            leaves.add(edge.source)
        weight = "1" if again else "20"
        ways = {"f": {"weight": weight}}
        if "backward" in view.sides and not again:
            ways["b"] = {"weight": weight, "dir": "back", "style": "dashed", "color": sheet.theme["backward"]}
        for way, look in ways.items():
            name = f"{way}-{edge.source}-{edge.target}"
            if edge not in view.above:
                tail, head = f"{edge.source}:{way}:e", f"{edge.target}:{way}:w"
                if not view.sides:
                    tail, head = edge.source, edge.target
                elif kinds[edge.target] == "activation":
                    head = f"{edge.target}:{way}i:w"
                result.edge(tail, head, id=name, **look)
            elif edge.target in grouped:
                # inside a cluster Graphviz sets the first node of a flat edge below the second, outside above
                result.edge(edge.target, edge.source, id=name, **(look | {"dir": "back" if way == "f" else "forward"}))
            else:
                result.edge(edge.source, edge.target, id=name, **look)


# -- cards -------------------------------------------------------------------------------------------------------


def _label(card: Card, sheet: _Sheet) -> str:
    theme, width = sheet.theme, sheet.widths[card.id]
    parts = [_stacked(_title(card, theme, width), _tags(card, theme, width))]
    for side in sheet.view.sides:
        if card.form is None:
            parts.append(
                _stacked(_fixed(_styled("", theme["ink"], 8), width, sheet.lines * LINE, f"{card.id}-{side[0]}"))
            )
        else:
            parts.append(_panel(card, side, sheet.shown(card, side), theme, width, sheet.lines))
    return _html(_framed(parts, sheet.view.sides, card, theme))


def _width(card: Card, *, numbered: bool) -> int:
    title = max(_reach(line) for line in card.title) * (13 if len(card.title) == 1 else 10.5) * BOLD + 6
    tags = (_reach(card.tag) + _reach(card.extent)) * 9.5 + 14
    numbers = 0.0
    if numbered and card.form is not None and card.form.columns > 1:
        numbers = GLYPH + card.form.columns * (COLUMN if card.form.numbered else SQUARE)
    return round(max(LEAST, title, tags, numbers))


def _reach(text: str) -> float:
    """How wide a text is, as a multiple of its size, in the font's proportions."""
    return sum(next((width for letters, width in WIDTHS if letter in letters), _other(letter)) for letter in text)


def _other(letter: str) -> float:
    if unicodedata.combining(letter):
        return 0.0
    return 1.05 if unicodedata.east_asian_width(letter) in "WF" else 0.74 if letter.isupper() else 0.6


def _framed(parts: list[Element], sides: Sequence[Side], card: Card, theme: Theme) -> Element:
    """The card's outline, by which its kind is known without its colour. Its ports `f` and `b` are on the frame."""
    kind = COLOURS.get(card.kind, card.kind)
    line = theme[f"{kind}-line"]
    table = _table(BGCOLOR=theme[kind], COLOR=line, BORDER="1", CELLPADDING="0", CELLSPACING="0")
    for part, port in zip(parts, ("head", *(side[0] for side in sides)), strict=False):
        row = xml.SubElement(table, "TR")
        if card.kind == "activation":
            row.append(_bar(card.letter if port == "head" else "", line, theme, f"{port}i"))
        cell = xml.SubElement(row, "TD", CELLPADDING=str(GAP), PORT=port)
        cell.append(part)
    match card.kind:
        case "input":
            table.set("STYLE", "ROUNDED")
        case "parameter":
            return _around(table, COLOR=line, BORDER="1", CELLPADDING="0", CELLSPACING="2")
        case "loss":
            table.set("BORDER", "3")
        case "group":
            table.set("STYLE", "DASHED")
            for _ in range(2):
                table = _around(table, COLOR=line, BORDER="1", CELLPADDING="0", CELLSPACING="3", SIDES="RB")
    return table


def _bar(letter: str, colour: str, theme: Theme, port: str) -> Element:
    """A part of an activation's thick left bar: its letter, or the place where an edge arrives."""
    size, each = (9, 5.4) if len(letter) > 1 else (12, 6)
    bar = xml.Element("TD", BGCOLOR=colour, WIDTH=str(10 + round(each * len(letter))), PORT=port)
    bar.append(_styled(letter, theme["bar-ink"], size, bold=True))
    return bar


def _title(card: Card, theme: Theme, width: int) -> Element:
    if len(card.title) == 1:
        return _fixed(_styled(card.title[0], theme["ink"], 13, bold=True), width, HEAD, f"{card.id}-t0")
    lines = enumerate(card.title)
    return _stacked(
        *(
            _fixed(_styled(line, theme["ink"], 10.5, bold=True), width, HEAD // 2, f"{card.id}-t{k}")
            for k, line in lines
        )
    )


def _tags(card: Card, theme: Theme, width: int) -> Element:
    table = _table(CELLPADDING="0", CELLSPACING="0")
    row = xml.SubElement(table, "TR")
    left = round(width * len(card.tag) / (len(card.tag) + len(card.extent))) if card.extent else width
    row.append(_fixed(_styled(card.tag, theme["muted"], 9.5), left, TAG, f"{card.id}-k", "LEFT"))
    row.append(_fixed(_styled(card.extent, theme["muted"], 9.5), width - left, TAG, f"{card.id}-s", "RIGHT"))
    return table


def _panel(card: Card, side: Side, shown: Sequence[Cell], theme: Theme, width: int, lines: int) -> Element:
    """The value or the gradient: its glyph, then its cells."""
    assert card.form is not None
    form, colour = card.form, theme[side]
    table = _table(CELLPADDING="0", CELLSPACING="0", BGCOLOR=theme["panel"])
    heights = _shares(max(lines * LINE, form.rows * (LINE if form.numbered else SQUARE)), form.rows)
    widths = _shares(width - GLYPH, form.columns)
    for line, height in enumerate(heights):
        row = xml.SubElement(table, "TR")
        if line == 0:
            glyph = _fixed(_styled(GLYPHS[side], colour, 11), GLYPH, sum(heights), f"{card.id}-{side[0]}")
            glyph.set("ROWSPAN", str(form.rows))
            row.append(glyph)
        for column, extent in enumerate(widths):
            position = line * form.columns + column
            row.append(_number(f"{card.id}-{side[0]}{position}", shown[position], side, form, theme, extent, height))
    return table


def _number(id: str, shown: Cell, side: Side, form: Grid, theme: Theme, width: int, height: int) -> Element:
    colour = theme["ink"] if form.coloured and form.numbered else theme[side]
    ground = theme["panel"] if shown.heat is None else mixed(theme, shown.heat)
    if shown.alarm:
        colour, ground = theme["alarm-ink"], theme["alarm"]
    size = shown.scale * ((9.5 if form.columns > 1 else 12) if form.numbered else 5)
    text = _styled(shown.text, colour, size, italic=side == "backward", bold=shown.alarm)
    cell = _fixed(text, width, height, id)
    cell.set("BGCOLOR", ground)
    return cell


def _shares(whole: int, parts: int) -> list[int]:
    """A length cut into whole numbers as equal as they can be."""
    return [whole * (k + 1) // parts - whole * k // parts for k in range(parts)]


def _legend(view: GraphView, theme: Theme) -> str:
    signs = {
        "forward": f"{GLYPHS['forward']} forward value",
        "backward": f"{GLYPHS['backward']} backward gradient" + (f" ∂{view.of}/∂node" if view.of else ""),
    }
    table = _table(CELLPADDING="4", CELLSPACING="0")
    row = xml.SubElement(table, "TR")
    for side in view.sides:
        cell = xml.SubElement(row, "TD")
        cell.append(_styled(signs[side], theme[side], 10, italic=side == "backward"))
    return _html(table)


# -- the label's tree --------------------------------------------------------------------------------------------


def _text(text: str) -> str:
    r"""User text, safe in a label: what is not printable is replaced, `\N` and the like are not read as escapes."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text).replace("\\", "\\\\")


def _html(tree: Element) -> str:
    return f"<{xml.tostring(tree, encoding='unicode')}>"


def _styled(text: str, colour: str, size: float, *, bold: bool = False, italic: bool = False) -> Element:
    font = xml.Element("FONT", {"COLOR": colour, "POINT-SIZE": f"{size:g}"})
    inner = font
    for tag, wanted in (("B", bold), ("I", italic)):
        inner = xml.SubElement(inner, tag) if wanted else inner
    inner.text = _text(text) or BLANK
    return font


def _table(**attributes: str) -> Element:
    return xml.Element("TABLE", {"BORDER": "0", "CELLBORDER": "0", **attributes})


def _around(inner: Element, **attributes: str) -> Element:
    table = _table(**attributes)
    xml.SubElement(table, "TR").append(_cell(inner))
    return table


def _stacked(*parts: Element) -> Element:
    table = _table(CELLPADDING="0", CELLSPACING="0")
    for part in parts:
        xml.SubElement(table, "TR").append(part if part.tag == "TD" else _cell(part))
    return table


def _cell(inner: Element) -> Element:
    cell = xml.Element("TD")
    cell.append(inner)
    return cell


def _fixed(inner: Element, width: int, height: int, id: str, align: str = "CENTER") -> Element:
    """A cell of fixed size and with an id; the ground it is given makes Graphviz write down its box."""
    cell = xml.Element(
        "TD",
        ID=id,
        TITLE=id,
        FIXEDSIZE="TRUE",
        WIDTH=str(width),
        HEIGHT=str(height),
        ALIGN=align,
        BGCOLOR="transparent",
    )
    cell.append(inner)
    return cell
