"""Files: what is saved comes back, and what is damaged or hostile is refused in a sentence."""

import contextlib
import json
import os
import stat
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import graphgrad as gg
from graphgrad.graph.save import LONGEST_FILE
from tests.graph.networks import TEXT, by_attributes
from tests.graph.structure import same


@pytest.fixture
def net(tmp_path):
    return str(tmp_path / "net.gg")


@pytest.fixture
def params():
    random = np.random.default_rng(0)
    return {"W0": random.normal(size=(3, 2)), "W1": random.normal(size=(3, 3)), "w": random.normal(size=3)}


@pytest.mark.parametrize("suffix", ["gg", "txt", "json"])
def test_a_graph_comes_back(tmp_path, suffix):
    path = tmp_path / f"net.{suffix}"
    g = by_attributes()
    g.G = gg.grad(g.l, g.W0)
    g[r"\hat{z}"] = gg.sum(g.A) * 2
    g.save(path)
    again = gg.load(path)
    assert isinstance(again, gg.Graph)
    assert same(g, again)
    assert again.text() == g.text()
    assert os.listdir(tmp_path) == [f"net.{suffix}"]


def test_a_file_begins_with_its_format_and_is_the_text_form(net):
    by_attributes().save(net)
    with open(net, encoding="utf-8") as file:
        assert file.read() == "# graphgrad text form, version 1\n" + TEXT


def test_json_holds_a_node_a_line(tmp_path):
    with gg.Graph("one") as g, g.group("a"):
        x = gg.input(r"\vec{x}", 2)
        g[r"\hat{y}"] = gg.tanh(x)
    g.save(tmp_path / "net.json")
    assert (tmp_path / "net.json").read_text("utf-8") == (
        '{"format": "graphgrad", "version": 1, "title": "one", "nodes": [\n'
        '  {"name": "x", "tex": "\\\\vec{x}", "expression": "input(2)", "group": ["a"], "shape": [2], "per_sample": true},\n'
        '  {"name": "y_hat", "tex": "\\\\hat{y}", "expression": "tanh(x)", "group": ["a"], "shape": [2], "per_sample": true}\n'
        "]}\n"
    )


def test_what_people_write_by_hand_is_read_too(net):
    with open(net, "w", encoding="utf-8", newline="") as file:
        file.write("\ufeff# mine\r\nx = input(2)\r\ny = tanh(x)")
    assert gg.load(net).y.shape == (2,)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("suffix", ["gg", "json"])
def test_weights_lie_beside_and_come_back_bit_by_bit(tmp_path, params, dtype, suffix):
    params = {name: array.astype(dtype) for name, array in params.items()}
    path = tmp_path / f"net.{suffix}"
    by_attributes().save(path, params)
    assert sorted(os.listdir(tmp_path)) == sorted([f"net.{suffix}", "net.safetensors"])
    again = gg.load_params(path, gg.load(path))
    assert list(again) == ["W0", "W1", "w"]
    for name, array in params.items():
        assert again[name].dtype == dtype
        assert again[name].tobytes() == array.tobytes()
        again[name][...] = 0  # they are the caller's own


def test_weights_may_be_strided_transposed_of_other_types_and_under_other_names(net, params):
    g = by_attributes()
    given_params = {
        "W^{[0]}": np.asfortranarray(params["W0"]),
        "W⁽¹⁾": params["W1"].astype(">f8").T.copy().T,
        g.w: np.repeat(params["w"], 2)[::2].tolist(),
        "x": np.zeros(2),
    }
    g.save(net, given_params)
    again = gg.load_params(net, g)
    for name, array in params.items():
        np.testing.assert_array_equal(again[name], array)
    g.save(net, {"W0": np.ones((3, 2), int), "W1": np.eye(3, dtype="float32"), "w": [1, 2, 3]})
    assert {array.dtype for array in gg.load_params(net, g).values()} == {np.dtype("float64")}


def test_scalar_weights(net):
    g = gg.parse("a = param()\nb = param(1)")
    g.save(net, {"a": 2.5, "b": [3]})
    again = gg.load_params(net, g)
    assert (again["a"].shape, again["b"].shape) == ((), (1,))
    assert float(again["a"]) == 2.5


def test_weights_of_a_fit_go_on(net):
    g = by_attributes()
    data = {"x": [[0.0, 1.0], [1.0, 0.0]], "t": [0.0, 1.0]}
    history = gg.fit(g, "J", data, epochs=2, seed=1)
    g.save(net, history.params)
    again = gg.load(net)
    weights = gg.load_params(net, again)
    first = gg.compile(g, "J", target="numpy")(**data, **history.params)["J"]
    assert gg.compile(again, "J", target="numpy")(**data, **weights)["J"] == first


def test_without_weights_those_that_lie_there_stay(net, params):
    g = by_attributes()
    g.save(net, params)
    g.title = "changed"
    g.save(net)
    assert gg.load(net).title == "changed"
    np.testing.assert_array_equal(gg.load_params(net, g)["w"], params["w"])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"w": None}, "no array is given for w, a parameter of shape 3"),
        ({"w": [1.0, 2.0]}, "w takes (3,), and is given an array of shape (2,): w is a parameter of shape 3"),
        ({"w": [1.0, float("nan"), 2.0]}, "w is nan at (1,): weights are finite numbers"),
        ({"w": np.array([1.0, 2.0, -np.inf])}, "w is -inf at (2,): weights are finite numbers"),
        ({"q": [1.0]}, "'q' is no input or parameter of 'two hidden layers'"),
        ({"w": "abc"}, "w takes real numbers and is given text"),
        ({"w": [[1.0], [2.0, 3.0]]}, "w is given a list that is no array"),
    ],
)
def test_weights_are_checked_before_anything_is_written(net, params, change, sentence):
    wrong = {name: array for name, array in {**params, **change}.items() if array is not None}
    with pytest.raises(gg.DataError) as refused:
        by_attributes().save(net, wrong)
    assert sentence in str(refused.value)
    assert not os.listdir(os.path.dirname(net))


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_a_failed_write_leaves_what_was_there(net, params, monkeypatch):
    g = by_attributes()
    g.save(net, params)
    folder = os.path.dirname(net)
    before = contents(folder)

    def full(*_):
        raise OSError(28, "No space left on device")

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(gg.GraphError) as refused:
                g.save(net, {**params, "w": np.zeros(3)})
        assert "cannot be written: No space left on device" in str(refused.value)
        assert contents(folder) == before, "and no temporary file is left behind"


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("net.safetensors", "net.safetensors is the name of a file of weights: save the graph as net.gg or net.json"),
        ("nowhere/net.gg", "net.gg cannot be written: No such file or directory"),
        ("net\0.gg", "cannot be written: embedded null byte"),
        (".", "cannot be written: "),
    ],
)
def test_where_a_graph_cannot_be_written_is_said(tmp_path, path, sentence):
    with pytest.raises(gg.GraphError) as refused:
        by_attributes().save(str(tmp_path) + "/" + path)
    assert sentence in str(refused.value)


def test_a_saved_file_has_the_permissions_of_any_file(net, params):
    before = os.umask(0o022)
    try:
        by_attributes().save(net, params)
    finally:
        os.umask(before)
    assert stat.S_IMODE(os.stat(net).st_mode) == 0o644


# -- damaged and hostile structures ------------------------------------------------------------------------------


def refused_structure(path, content):
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())
    begun = time.process_time()
    with pytest.raises(gg.GraphError) as refused:
        gg.load(path)
    assert time.process_time() - begun < 1
    sentence = str(refused.value)
    assert sentence.isprintable()
    assert len(sentence) < 2000
    return sentence


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("# graphgrad text form, version 2\nx = input()", "net.gg is of version 2 of the text form, and version 1 is read here"),
        ("# graphgrad text form, version 1\nx = input(", "net.gg, line 2, column 10: 'x = input(' cannot be read: '(' was never closed; a line is name = expression, such as A = W0 @ x"),
        (
            "x = input(2)\nW = param(3, 3)\n\nA = W @ x",
            ("net.gg, line 4, column 5: A = W @ x: W is 3x3 and takes 3 rows, x has 2 (W is a parameter of shape 3x3, net.gg:2; "
            "x is an input of shape 2, net.gg:1)"),
        ),
        (b"\xff\xfe\x00", "net.gg is no text: a graph is text or JSON in UTF-8"),
        (b"\x80\x04\x95\x0b\x00\x00\x00cos\nsystem\n.", "net.gg is no text: a graph is text or JSON in UTF-8"),
        ("x" * (LONGEST_FILE + 1), "net.gg has 4,000,001 bytes, a graph has 4,000,000 at most"),
        ("x = param(100000, 100000)", "net.gg, line 1, column 5: x: the shape (100000, 100000) asks for more than 8,589,934,592 elements"),
    ],
)  # fmt: skip
def test_a_damaged_text_is_refused(net, content, sentence):
    assert refused_structure(net, content) == sentence


def document(**changes):
    return json.dumps(
        {
            "format": "graphgrad",
            "version": 1,
            "title": "",
            "nodes": [{"name": "x", "expression": "input(2)"}, {"name": "y", "expression": "tanh(x)"}],
            **changes,
        }
    )


def node(**changes):
    return document(nodes=[{"name": "x", "expression": "input(2)", **changes}])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "net.json is no JSON: Expecting value: line 1 column 1 (char 0)"),
        ("[" * 100_000, "net.json is no JSON: "),
        ('{"a":' * 100_000, "net.json is no JSON: "),
        ("9" * 10_000, "net.json is no"),
        (document()[:-5], "net.json is no JSON: "),
        ("[]", 'net.json is no graph: a graph in JSON has "format": "graphgrad"'),
        ('{"format": "onnx"}', 'net.json is no graph: a graph in JSON has "format": "graphgrad"'),
        (document(version=2), "net.json is of version 2, and version 1 is read here"),
        (document(version="1" * 1000), "net.json is of version '111"),
        (document(title=3), 'net.json has no "title" of one line with a list of at most 12,000 "nodes"'),
        (document(nodes={}), 'net.json has no "title" of one line with a list of at most 12,000 "nodes"'),
        (document(nodes=[{}] * 12_001), 'net.json has no "title" of one line with a list of at most 12,000 "nodes"'),
        (
            document(nodes=[3]),
            "net.json, node 0: a node has name and expression, and may have name, expression, tex, group,",
        ),
        (document(nodes=[{"name": "x"}]), "net.json, node 0: a node has name and expression"),
        (node(value=3), "net.json, node 0: a node has name and expression"),
        (node(name=3), "net.json, node 0: its name is 3"),
        (node(group="a"), "net.json, node 0: its group is 'a'"),
        (node(group=[["a"]]), "net.json, node 0: its group is [['a']]"),
        (node(group=[1]), "net.json, node 0: its group is [1]"),
        (node(shape=["2"]), "net.json, node 0: its shape is ['2']"),
        (node(shape=[3]), "net.json, the node x: its shape is [3], of its expression [2]"),
        (node(per_sample=False), "net.json, the node x: its per_sample is False, of its expression True"),
        (node(name="x = 1\ny"), "net.json, node 0: its name is 'x = 1\\ny'"),
        (node(name=r"\hat{y}"), "net.json: '\\\\hat{y}' is no name of a node"),
        (node(name="x = 1; y"), "net.json: 'x = 1; y' is no name of a node"),
        (node(name="lambda"), "net.json: 'lambda' is no name of a node"),
        (node(expression="input(2)\nz = 3"), "net.json, node 0: its expression is 'input(2)\\nz = 3'"),
        (node(expression="input(2"), "net.json, the node x: 'x = input(2' cannot be read: "),
        (
            node(expression="__import__('os')"),
            "net.json, the node x: x = __import__('os'): there is no operation __import__",
        ),
        (node(tex="y"), "net.json, the node x: y is called y in a text, not x"),
        (node(tex='"'), "net.json, the node x: '\"' cannot name a node"),
        (node(group=["a\nb"]), "net.json, node 0: its group is ['a\\nb']"),
        (document(title="a\nb"), 'net.json has no "title" of one line'),
        (document(nodes=[{"name": "x", "expression": "1"}] * 2), "net.json, the node x: the name x is used twice"),
    ],
)
def test_a_damaged_document_is_refused(tmp_path, content, sentence):
    assert refused_structure(str(tmp_path / "net.json"), content).startswith(sentence)


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(gg.GraphError, match=r"^nothing.gg: No such file or directory$"):
        gg.load(tmp_path / "nothing.gg")
    with pytest.raises(gg.GraphError, match="it is no file"):
        gg.load(tmp_path)
    os.mkfifo(tmp_path / "pipe.gg")
    with pytest.raises(gg.GraphError, match=r"^pipe.gg: it is no file$"):
        gg.load(tmp_path / "pipe.gg")
    with pytest.raises(gg.GraphError, match="embedded null byte"):
        gg.load("net\0.gg")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The bytes of a graph in both formats, and a folder to change them in."""
    folder = tmp_path_factory.mktemp("changed")
    for suffix in ("gg", "json"):
        by_attributes().save(folder / f"net.{suffix}")
    return folder, contents(folder)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_file_with_changed_bytes_is_a_graph_or_refused(saved, data):
    folder, files = saved
    name = data.draw(st.sampled_from(sorted(files)))
    changed = bytearray(files[name])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        changed[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    (folder / name).write_bytes(bytes(changed))
    with contextlib.suppress(gg.GraphError):
        gg.load(folder / name)


# -- damaged and hostile weights ---------------------------------------------------------------------------------


def refused_weights(net, content=None, **tensors):
    g = by_attributes()
    path = net.replace(".gg", ".safetensors")
    if content is None:
        save_file(tensors, path)
    else:
        with open(path, "wb") as file:
            file.write(content)
    with pytest.raises(gg.GraphError) as refused:
        gg.load_params(net, g)
    return str(refused.value)


def test_weights_are_those_of_the_graph(net, params):
    right = dict(params)
    assert refused_weights(net, **{**right, "w": np.zeros(4)}) == "net.safetensors: w is 4, the parameter is 3"
    assert refused_weights(net, **{**right, "w": np.zeros((3, 1))}) == "net.safetensors: w is 3x1, the parameter is 3"
    assert (
        refused_weights(net, **{**right, "w": np.zeros(3, int)})
        == "net.safetensors: w is of type I64, weights are F32 or F64"
    )
    assert (
        refused_weights(net, **{**right, "w": np.zeros(3, "float16")})
        == "net.safetensors: w is of type F16, weights are F32 or F64"
    )
    assert (
        refused_weights(net, **{**right, "q": np.zeros(3)})
        == "net.safetensors holds what is no parameter q: 'two hidden layers' has W0, W1, w"
    )
    assert (
        refused_weights(net, W0=right["W0"], w=right["w"])
        == "net.safetensors lacks the parameter W1: 'two hidden layers' has W0, W1, w"
    )
    assert (
        refused_weights(net, **{**right, "w": np.array([1, np.nan, 2])})
        == "net.safetensors: w is nan at (1,): weights are finite numbers"
    )


def test_damaged_weights_are_refused(net, params):
    by_attributes().save(net, params)
    with open(net.replace(".gg", ".safetensors"), "rb") as file:
        content = file.read()
    for damaged in (
        b"",
        content[:7],
        content[:100],
        content[:-1],
        content + b"\0",
        b"\xff" * 8 + content[8:],
        struct.pack("<Q", 2**40) + content[8:],
        content.replace(b'"F64"', b'"F99"'),
        content.replace(b"[3,2]", b"[9,9]"),
        b"\x80\x04\x95\x0b\x00\x00\x00cos\nsystem\n.",
    ):
        assert refused_weights(net, damaged).startswith("net.safetensors ")


def test_weights_larger_than_the_graph_are_not_read(net, params):
    by_attributes().save(net, params)
    with open(net.replace(".gg", ".safetensors"), "r+b") as file:
        file.truncate(10**12)
    with pytest.raises(gg.DataError) as refused:
        gg.load_params(net, gg.load(net))
    assert str(refused.value) == (
        "net.safetensors has 1,000,000,000,000 bytes, the weights of 'two hidden layers' have 4,000,144 at most"
    )


def test_where_there_are_no_weights_it_is_said(net):
    by_attributes().save(net)
    with pytest.raises(gg.GraphError, match=r"^net.safetensors: No such file or directory$"):
        gg.load_params(net, gg.load(net))


def test_weights_are_what_other_tools_read(net, params):
    by_attributes().save(net, params)
    found = load_file(net.replace(".gg", ".safetensors"))
    assert {name: array.shape for name, array in found.items()} == {"W0": (3, 2), "W1": (3, 3), "w": (3,)}
