"""The picture as SVG, PNG, PDF and DOT."""

import dataclasses
import re
import struct
from xml.etree import ElementTree as xml

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.drawing import DrawingError, Picture, layout, picture
from graphgrad.drawing.dot import dot
from graphgrad.drawing.style import DARK, LIGHT, THEMES, TOKENS, contrast, mixed
from tests.drawing.nets import computed, deep, lecture, random_arrays, with_objective
from tests.ops.bench import PARTS, cases

SVG = "{http://www.w3.org/2000/svg}"


def pictures():
    g = with_objective()
    values, gradients = computed(g, "J", random_arrays(g, 2), 2)
    yield picture(g)
    yield picture(g, values)
    yield picture(g, values, gradients, g.J, sample=1)
    yield picture(g, values, gradients, g.J, "dark")
    yield picture(g, values, of=g.J, theme="auto")
    d = deep(3, 12)
    values, gradients = computed(d, "l", random_arrays(d))
    for fold in (None, True, ["Layer 2"]):
        yield picture(d, values, gradients, d.l, collapse=fold)
    yield picture(gg.Graph("nothing"))


def labels(source):
    """The HTML-like labels of a DOT source."""
    return [m[1] for m in re.finditer(r"label=<(<.*?</TABLE>|<FONT.*?</FONT>)>[ \]]", source)]


@pytest.mark.parametrize("drawn", list(pictures()), ids=repr)
def test_every_label_and_every_svg_is_xml_without_an_empty_tag(drawn, capfd):
    source = drawn.dot()
    found = labels(source)
    assert len(found) >= len(drawn.view.cards) + len(drawn.view.groups) - 3
    for label in found:
        for part in xml.fromstring(label).iter():
            assert part.text or len(part), f"<{part.tag}> is empty"
    root = xml.fromstring(drawn.svg())
    assert root.tag == f"{SVG}svg"
    for part in root.iter():
        if part.tag in (f"{SVG}text", f"{SVG}title", f"{SVG}g", f"{SVG}style"):
            assert part.text or len(part), f"{part.tag} is empty"
    assert "rror" not in capfd.readouterr().err, "Graphviz took offence at a label"


@pytest.mark.parametrize("part", PARTS)
def test_every_operation_has_a_card(part):
    g = cases(part)[0].graph
    drawn = picture(g, of=None, collapse=False)
    for label in labels(drawn.dot()):
        xml.fromstring(label)
    assert {card.full.splitlines()[0] for card in drawn.view.cards} >= {one.y.text() for one in cases(part)}


@pytest.mark.parametrize("drawn", list(pictures()), ids=repr)
def test_every_card_and_every_number_is_there_under_its_id(drawn):
    root = xml.fromstring(drawn.svg())
    parts = {part.get("id"): part for part in root.iter() if part.get("id")}
    assert len(parts) == sum(part.get("id") is not None for part in root.iter()), "an id is there twice"
    assert {card.id for card in drawn.view.cards} <= set(parts)
    for id, cell in drawn.cells.items():
        assert parts[id].findtext(f"{SVG}text").strip("\u00a0") == cell.text
    ways = {part.get("id") for part in root.iter() if part.get("class", "").startswith("edge")}
    assert {f"f-{edge.source}-{edge.target}" for edge in drawn.view.edges} <= ways


def test_a_matrix_stands_row_by_row_and_a_vector_in_a_column():
    g = lecture()
    root = xml.fromstring(picture(g, *computed(g, "l", random_arrays(g)), g.l).svg())
    place = {
        part.get("id"): (float(part.find(f"{SVG}text").get("y")), float(part.find(f"{SVG}text").get("x")))
        for part in root.iter()
        if part.get("class") == "cell"
    }
    for side in "fb":
        matrix = [place[f"n3-{side}{k}"] for k in range(9)]
        assert matrix == sorted(matrix)
        assert len({y for y, _ in matrix}) == len({x for _, x in matrix}) == 3
        vector = [place[f"n5-{side}{k}"] for k in range(3)]
        assert vector == sorted(vector)
        assert len({x for _, x in vector}) == 1
    assert place["n5-f2"] < place["n5-b0"], "the value above, the gradient below"


def geometry(svg):
    """Where everything is, without what it says and how it is coloured."""
    return [
        (part.tag, *(part.get(a) for a in ("id", "d", "points", "x", "y", "viewBox")))
        for part in xml.fromstring(svg).iter()
    ]


def test_the_layout_stays_when_only_values_change():
    g = lecture()
    one = [computed(g, "l", random_arrays(g, seed=seed)) for seed in range(2)]
    odd = {node: array * 1e-200 for node, array in one[0][0].items()}
    before = layout.laid_out.cache_info().misses
    svgs = [picture(g, v, d, g.l).svg() for v, d in [*one, (odd, one[1][1]), ({}, {})]]
    assert layout.laid_out.cache_info().misses <= before + 1
    assert all(geometry(svg) == geometry(svgs[0]) for svg in svgs)
    assert len(set(svgs)) == len(svgs)


def test_values_do_not_move_the_cards_of_a_png_either():
    g = lecture()
    dots = [dot(picture(g, *computed(g, "l", random_arrays(g, seed=s)), g.l).view, LIGHT) for s in range(2)]
    places = []
    for source in dots:
        plain = layout.render(source, "plain").decode()
        places.append([line.split()[:6] for line in plain.splitlines() if line.startswith("node")])
    assert places[0] == places[1]


def test_the_lecture_reads_from_left_to_right_with_weights_above():
    g = lecture()
    plain = layout.render(picture(g).dot(), "plain").decode()
    place = {}
    for line in plain.splitlines():
        if line.startswith("node"):
            _, id, x, y, *_ = line.split()
            place[id] = float(x), float(y)
    at = {g.nodes[int(id[1:])].name.ident: point for id, point in place.items()}
    spine = [at[name] for name in ("x", "A", "B", "C", "D", "E", "y", "l")]
    assert spine == sorted(spine)
    assert max(y for _, y in spine) - min(y for _, y in spine) < 0.05, "the lines of the forward pass are level"
    for above, below in (("W0", "A"), ("W1", "C"), ("w", "E"), ("t", "l")):
        assert at[above][0] == pytest.approx(at[below][0], abs=0.05)
        assert at[above][1] > at[below][1]


def test_weights_stand_above_inside_of_groups_too():
    g = deep(3)
    plain = layout.render(picture(g, collapse=False).dot(), "plain").decode()
    height = {fields[1]: float(fields[3]) for fields in map(str.split, plain.splitlines()) if fields[0] == "node"}

    def at(node):
        return height[f"n{g.nodes.index(node)}"]

    for k in range(3):
        z = g[f"z{k}"]
        assert at(g[f"W{k}"]) > at(z.inputs[0])
        assert at(g[f"b{k}"]) > at(z)


def test_png_is_an_image_with_something_on_it(tmp_path):
    g = lecture()
    picture(g).png(tmp_path / "net.png")
    data = (tmp_path / "net.png").read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", data[16:24])
    assert width > 1500
    assert height > 150
    assert len(data) > 10_000


def test_pdf_is_a_document(tmp_path):
    picture(lecture()).pdf(tmp_path / "net.pdf")
    data = (tmp_path / "net.pdf").read_bytes()
    assert data.startswith(b"%PDF-")
    assert data.rstrip().endswith(b"%%EOF")
    assert len(data) > 5_000


def test_jupyter_is_given_an_svg():
    bundle = picture(lecture())._repr_mimebundle_(include=None, exclude=None)
    assert bundle["image/svg+xml"].startswith("<svg")
    assert bundle["text/plain"] == "<Picture of two hidden layers: 12 cards, 11 edges>"


def test_each_card_says_in_words_what_it_shows():
    g = lecture()
    values, gradients = computed(g, "l", random_arrays(g))
    root = xml.fromstring(picture(g, values, gradients, g.l).svg())
    assert root.get("role") == "img"
    assert root.get("aria-label") == "two hidden layers"
    words = next(part for part in root.iter() if part.get("id") == "n11").findtext(f"{SVG}title")
    assert words.splitlines()[:2] == ["l = −t ln y − (1 − t) ln(1 − y)", "loss, a scalar, one for each sample"]
    assert words.splitlines()[2].startswith("value: ")
    assert words.splitlines()[3] == "gradient of l: 1"


# -- colours -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theme", THEMES.values(), ids=list(THEMES))
def test_text_stands_out_from_its_ground(theme):
    kinds = ("input", "parameter", "linear", "activation", "loss", "group", "cluster", "paper", "panel")
    for ground in kinds:
        assert contrast(theme["ink"], theme[ground]) >= 7
        assert contrast(theme["muted"], theme[ground]) >= 4.5
    for side in ("forward", "backward"):
        assert contrast(theme[side], theme["panel"]) >= 4.5
    assert contrast(theme["alarm-ink"], theme["alarm"]) >= 4.5
    assert contrast(theme["bar-ink"], theme["activation-line"]) >= 4.5
    for heat in (-1.0, -0.5, 0.0, 0.5, 1.0):
        assert contrast(theme["ink"], mixed(theme, heat)) >= 4.5


def test_both_themes_and_the_tokens_have_every_role():
    assert set(LIGHT) == set(DARK) == set(TOKENS)
    assert len(set(TOKENS.values())) == len(TOKENS)


@pytest.mark.parametrize("theme", ["light", "dark", "auto"])
def test_no_token_is_left_in_a_picture(theme):
    g = lecture()
    drawn = picture(g, *computed(g, "l", random_arrays(g)), g.l, theme)
    for text in (drawn.svg(), drawn.dot()):
        assert not any(token in text.lower() for token in TOKENS.values())


def test_auto_follows_the_screen():
    svg = picture(lecture(), theme="auto").svg()
    assert "prefers-color-scheme: dark" in svg
    assert LIGHT["loss"] in svg
    assert DARK["loss"] in svg


def test_nan_is_on_red():
    g = lecture()
    svg = xml.fromstring(picture(g, {g.E: np.array(np.nan)}).svg())
    cell = next(part for part in svg.iter() if part.get("id") == "n9-f0")
    assert cell.find(f"{SVG}polygon").get("fill") == LIGHT["alarm"]
    assert cell.find(f"{SVG}text").text == "NaN"


def test_an_unknown_theme_is_a_sentence():
    with pytest.raises(gg.GraphError, match=r"^'blue' is not a theme: there are light, dark and auto$"):
        picture(lecture(), theme="blue")


# -- hostile names -----------------------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    "a<b>&amp;\"'`",
    "\\N \\G \\L \\\\N &#92;N",
    "]]> <!-- --> <![CDATA[ <?php",
    "n0:f:e -> n1 [label=x]; } digraph {",
    "<<TABLE><TR><TD></TD></TR></TABLE>>",
    "line\u2028separator \u202e right-to-left",
    '" onload="alert(1)',
    "{rank=same; n0; n1}",
    "%s %n ${x} {{x}}",
    "😀 é 中文",
]


@pytest.mark.parametrize("title", [*HOSTILE, "nul\x00 tab\t newline\n escape\x1b", "\ud800 lone surrogate", "x" * 5000])
def test_a_hostile_title_is_text(title):
    """A graph refuses most of these; a view takes what it is given, and the picture still holds."""
    seen = dataclasses.replace(picture(lecture()).view, title=title, of=title, sides=("forward", "backward"))
    root = xml.fromstring(Picture(seen).svg())
    assert {part.tag.rpartition("}")[2] for part in root.iter()} <= {"svg", "g", "title", "text", "polygon", "path"}
    assert root.findtext(f"{SVG}title") == root.get("aria-label")


@pytest.mark.parametrize("title", [title for title in HOSTILE if title.isprintable()])
@pytest.mark.parametrize("fold", [True, False], ids=["folded", "open"])
def test_a_hostile_title_of_a_group_is_text(title, fold, capfd, tmp_path):
    with gg.Graph() as g:
        x = gg.input("x")
        with g.group(title):
            g.A = gg.exp(x)
    drawn = picture(g, collapse=fold)
    for label in labels(drawn.dot()):
        xml.fromstring(label)
    root = xml.fromstring(drawn.svg())
    cards = [part for part in root.iter() if (part.get("class") or "").startswith("node")]
    assert sorted(part.get("id") for part in cards) == sorted(card.id for card in drawn.view.cards)
    tags = {part.tag.rpartition("}")[2] for part in root.iter()}
    assert tags <= {"svg", "g", "title", "text", "polygon", "polyline", "path"}
    allowed = {"href", "onload", "onclick"}
    assert not [a for part in root.iter() for a in part.attrib if a.rpartition("}")[2] in allowed]
    shown = " ".join("".join(part.itertext()) for part in root.iter(f"{SVG}text"))
    assert " ".join(title[:8].split()) in " ".join(shown.split())
    drawn.png(tmp_path / "x.png")
    assert "rror" not in capfd.readouterr().err


# -- Graphviz ----------------------------------------------------------------------------------------------------


def test_without_graphviz_one_sentence_names_the_fix(monkeypatch):
    monkeypatch.setattr(layout.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        DrawingError, match=r"^a picture needs Graphviz, and there is none: install it with `pip install"
    ):
        layout.render("digraph {}", "svg")


def test_the_systems_dot_is_used_where_pygraphviz_is_not(monkeypatch, tmp_path):
    program = tmp_path / "dot"
    program.write_text("#!/bin/sh\ncat > /dev/null\nprintf '<svg>by dot</svg>'\n")
    program.chmod(0o755)
    monkeypatch.setattr(layout.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert layout.render("digraph {}", "svg") == b"<svg>by dot</svg>"


def test_a_graph_that_graphviz_refuses_is_a_sentence():
    with pytest.raises(DrawingError, match=r"^Graphviz could not draw the graph as svg"):
        layout.render("this is no graph", "svg")


def test_graphviz_is_called_by_one_thread_at_a_time(monkeypatch):
    import threading
    import time

    import pygraphviz

    inside, most = [], []

    class Slow:
        def __init__(self, string):
            self.string = string

        def draw(self, **options):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.02)
            inside.pop()
            return b"<svg/>"

    monkeypatch.setattr(pygraphviz, "AGraph", Slow)
    threads = [threading.Thread(target=layout.render, args=("digraph {}", "svg")) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 6


# -- Graph.draw --------------------------------------------------------------------------------------------------


def test_a_graph_draws_the_result_of_a_compiled_function():
    g = lecture()
    f = gg.compile(g, "l", wrt=list(g.nodes), target="numpy")
    arrays = {node.name.ident: array for node, array in random_arrays(g).items()}
    r = f(**arrays)
    drawn = g.draw(r)
    assert drawn.svg() == picture(g, r.values, r.gradients, g.l).svg()
    assert drawn.view.of == "l"
    assert g.draw({"W0": arrays["W0"]}, theme="dark").view.sides == ("forward",)
    assert g.draw(of="l").view.sides == ("backward",)


def test_drawing_loads_graphviz_only_when_it_draws():
    import subprocess
    import sys

    code = "import sys, graphgrad; print([m for m in ('graphviz', 'pygraphviz') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
