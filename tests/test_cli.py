"""The command line: what each command prints and writes, and the one sentence it says of bad input."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import graphgrad as gg
from graphgrad.cli import main

ROOT = Path(__file__).parent.parent
NETWORK = str(ROOT / "examples" / "two_hidden.gg")

TABLE = """\
id,x1,x2,t
a,0.4,-1.0,1
b,-2.1,3.0,0
c,1.5,0.2,1
d,-0.7,0.9,0
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(TABLE, "utf-8")
    return str(path)


@pytest.fixture
def weights():
    generator = np.random.default_rng(0)
    return {name: generator.normal(size=shape) for name, shape in (("W0", (3, 2)), ("W1", (3, 3)), ("w", (3,)))}


def refused(capsys, *arguments):
    """The sentence with which the command line refuses the arguments."""
    try:
        code = main(list(arguments))
    except SystemExit as left:
        code = left.code
    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert said.err.startswith("graphgrad: ")
    assert said.err.count("\n") == 1
    return said.err.removeprefix("graphgrad: ").strip()


# -- derive ------------------------------------------------------------------------------------------------------


def test_derive_prints_the_lines_of_the_network_of_the_gradient_and_of_the_chain(capsys):
    assert main(["derive", NETWORK, "--wrt", "W0"]) == 0
    network, gradient, chain = capsys.readouterr().out.strip().split("\n\n")
    assert network.splitlines()[:2] == ["two hidden layers", "A = W⁽⁰⁾x"]
    assert gradient.splitlines()[-1] == "∂l/∂W⁽⁰⁾ = ∂l/∂A xᵀ"
    names, local, *_ = chain.splitlines()
    assert names == "∂l/∂W⁽⁰⁾ = ∂l/∂y · ∂y/∂E · ∂E/∂D · ∂D/∂C · ∂C/∂B · ∂B/∂A · ∂A/∂W⁽⁰⁾"
    assert local.endswith("· y(1 − y) · wᵀ · diag(D(1 − D)) · W⁽¹⁾ · diag(B(1 − B)) · (I ⊗ xᵀ)")


def test_derive_in_latex(capsys):
    assert main(["derive", NETWORK, "--wrt", "W^{[0]}", "--of", "E", "--latex"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "A = W^{[0]}x" in [line.replace(" x", "x") for line in lines]
    names = r"\frac{\partial E}{\partial W^{[0]}} = \frac{\partial E}{\partial D} \frac{\partial D}{\partial C} "
    assert any(line.startswith(names) for line in lines)


def test_derive_refuses_a_name_that_is_none(capsys):
    assert refused(capsys, "derive", NETWORK, "--wrt", "W9").startswith("'W9' is not a node of 'two hidden layers'")


def test_derive_refuses_what_it_does_not_depend_on(capsys):
    said = refused(capsys, "derive", NETWORK, "--wrt", "t", "--of", "y")
    assert said == "∂y/∂t does not exist: y = sigmoid(E) does not depend on t"


# -- draw --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ending", "begins"), [("svg", b"<"), ("png", b"\x89PNG"), ("pdf", b"%PDF"), ("dot", b"digraph")]
)
def test_draw(tmp_path, ending, begins):
    target = tmp_path / f"network.{ending}"
    assert main(["draw", NETWORK, "-o", str(target)]) == 0
    assert target.read_bytes().lstrip().startswith(begins)


def test_draw_with_data_shows_the_values_of_the_sample(tmp_path, weights):
    archive, target = tmp_path / "data.npz", tmp_path / "network.svg"
    np.savez(archive, x=[[0.4, -1.0], [-2.1, 3.0]], t=[1.0, 0.0], **weights)
    assert main(["draw", NETWORK, "-o", str(target), "--data", str(archive), "--sample", "2", "--theme", "dark"]) == 0
    text = " ".join(ElementTree.fromstring(target.read_text("utf-8")).itertext())
    assert "−2.1" in text
    assert "0.4" not in text.split()


def test_draw_says_that_it_drew_weights(capsys, tmp_path, table):
    assert main(["draw", NETWORK, "-o", str(tmp_path / "network.svg"), "--data", table]) == 0
    assert capsys.readouterr().err == (
        "graphgrad: no weights for W0, W1, w: they are drawn at random, from the seed 0\n"
    )


def test_draw_refuses_other_endings(capsys):
    said = refused(capsys, "draw", NETWORK, "-o", "network.bmp")
    assert said == "network.bmp is not a picture's name: it ends in .svg, .png, .pdf or .dot"


def test_draw_refuses_a_sample_that_is_not_there(capsys, tmp_path, weights):
    archive = tmp_path / "data.npz"
    np.savez(archive, x=[[0.4, -1.0]], t=[1.0], **weights)
    said = refused(capsys, "draw", NETWORK, "-o", str(tmp_path / "a.svg"), "--data", str(archive), "--sample", "2")
    assert said == f"the sample 2 does not exist: {archive} has 1"


# -- train -------------------------------------------------------------------------------------------------------


def test_train_saves_a_network_that_can_be_drawn_and_trained_on(capsys, tmp_path, table):
    target = str(tmp_path / "net.gg")
    options = ["--data", table, "--objective", "l", "--epochs", "200", "--rate", "1", "--batch-size", "2"]
    assert main(["train", NETWORK, *options, "--seed", "3", "-o", target]) == 0
    first = capsys.readouterr().out
    assert first.startswith("200 epochs: l from ")
    assert first.endswith(f"\nsaved: {target} and {target[:-3]}.safetensors\n")
    assert main(["train", target, *options]) == 0
    again = capsys.readouterr().out
    assert float(again.split("from ")[1].split()[0]) < float(first.split("from ")[1].split()[0]) / 5
    assert main(["draw", target, "--data", table, "-o", str(tmp_path / "net.svg")]) == 0
    assert capsys.readouterr().err == ""


def test_train_refuses_a_rate_that_is_none(capsys, table):
    assert "the rate of SGD is -1.0" in refused(capsys, "train", NETWORK, "--data", table, "--rate", "-1")


def test_bench_times_a_step_for_each_number_of_samples(capsys):
    assert main(["bench", NETWORK, "--objective", "l", "--samples", "1", "64", "--threads", "1"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["samples", "first", "step"]
    assert [row.split()[0] for row in rows] == ["1", "64"]
    for row, samples in zip(rows, (1, 64), strict=True):
        step, rate = float(row.split()[3]), float(row.split()[5].replace(",", ""))
        assert rate == pytest.approx(samples / step * 1e6, rel=0.01)  # a step is told in µs
    assert "'m' is not a node of 'two hidden layers'" in refused(capsys, "bench", NETWORK, "--objective", "m")


# -- data --------------------------------------------------------------------------------------------------------


def test_columns_of_vectors_and_matrices(tmp_path):
    g = gg.parse("x = input(2)\nX = input(2, 2)\ny = sum(X @ x)")
    (tmp_path / "a.csv").write_text("X_1_1,X_1_2,X_2_1,X_2_2,x_1,x_2\n1,2,3,4,5,6\n7,8,9,10,11,12\n", "utf-8")
    from graphgrad.interop import tables

    arrays = tables.read(tmp_path / "a.csv", g)
    assert arrays["X"].tolist() == [[[1, 2], [3, 4]], [[7, 8], [9, 10]]]
    assert arrays["x"].tolist() == [[5, 6], [11, 12]]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x1,t\n1,2\n", "data.csv has no column x2 for the input x of shape 2 (it has x1, t)"),
        ("x1,x2,t\n1,two,0\n", "data.csv, line 2: 'two' in the column x2 is no number"),
        ("x1,x2,t\n1,nan,0\n", "data.csv, line 2: 'nan' in the column x2 is no number"),
        ("x1,x2,t\n1,2,0\n1,2\n", "data.csv, line 3: 2 fields, the header has 3"),
        ("x1,x2,t\n", "data.csv has no row below its header: there is no sample"),
        ("x1,x2,x2,t\n1,2,3,0\n", "data.csv has the column x2 2 times"),
        ("", "data.csv: the input x of shape 2 needs 2 columns, the header has 0"),
        ('x1,x2,t\n"1,2,0\n', "data.csv cannot be read as a table (.csv): unexpected end of data"),
    ],
)
def test_a_table_that_does_not_fit(capsys, tmp_path, text, sentence):
    data = tmp_path / "data.csv"
    data.write_text(text, "utf-8")
    assert refused(capsys, "train", NETWORK, "--data", str(data)) == sentence


def test_an_archive_that_is_none(capsys, tmp_path):
    data = tmp_path / "data.npz"
    data.write_bytes(b"PK\x03\x04 and nothing more")
    assert "data.npz cannot be read as an archive of arrays (.npz)" in refused(
        capsys, "train", NETWORK, "--data", str(data)
    )


def test_an_archive_of_pickles_is_refused(capsys, tmp_path):
    data = tmp_path / "data.npz"
    np.savez(data, x=np.array([[object(), 1.0]], dtype=object), t=[1.0])
    assert "allow_pickle=False" in refused(capsys, "train", NETWORK, "--data", str(data))


def test_an_archive_without_an_input(capsys, tmp_path):
    data = tmp_path / "data.npz"
    np.savez(data, x=[[1.0, 2.0]], target=[1.0])
    assert refused(capsys, "train", NETWORK, "--data", str(data)) == "data.npz has no array 't' (it has x, target)"


def test_arrays_of_another_shape(capsys, tmp_path):
    data = tmp_path / "data.npz"
    np.savez(data, x=[[1.0, 2.0, 3.0]], t=[1.0])
    assert "x" in refused(capsys, "train", NETWORK, "--data", str(data))


# -- the rest ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((), "the following arguments are required: COMMAND (graphgrad --help tells more)"),
        (("derive", NETWORK), "the following arguments are required: --wrt (graphgrad derive --help tells more)"),
        (
            ("app", "--port", "65536"),
            "argument --port: '65536' is no whole number from 1 to 65535 (graphgrad app --help tells more)",
        ),
        (
            ("train", NETWORK, "--data", "data.csv", "--seed", "-1"),
            "argument --seed: '-1' is no whole number from 0 to 2147483647 (graphgrad train --help tells more)",
        ),
        (("derive", "nowhere.gg", "--wrt", "W0"), "nowhere.gg: No such file or directory"),
        (
            ("train", NETWORK, "--data", "data.xls"),
            "data.xls is not a data file: tables end in .csv, archives of arrays in .npz",
        ),
    ],
)
def test_bad_input_gets_one_sentence(capsys, arguments, sentence):
    assert refused(capsys, *arguments) == sentence


def test_a_text_that_is_code_is_not_run(capsys, tmp_path):
    hostile = tmp_path / "net.gg"
    hostile.write_text("x = input(2)\ny = __import__('os').system('touch hacked')\n", "utf-8")
    assert "line 2" in refused(capsys, "derive", str(hostile), "--wrt", "x")
    assert not Path("hacked").exists()


def test_a_file_that_is_not_text(capsys, tmp_path):
    binary = tmp_path / "net.gg"
    binary.write_bytes(b"\xff\xfe\x00 net")
    refused(capsys, "derive", str(binary), "--wrt", "x")


def test_cache_is_shown_and_cleared(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHGRAD_CACHE_DIR", str(tmp_path / "kernels"))
    assert main(["cache", "info"]) == 0
    assert capsys.readouterr().out == f"0 programs, 0 of 536,870,912 bytes in {tmp_path / 'kernels'}\n"
    gg.compile(gg.parse("x = input()\ny = exp(x)"), "y")(x=1.0)
    assert main(["cache", "clear"]) == 0
    assert capsys.readouterr().out == f"1 programs removed from {tmp_path / 'kernels'}\n"


def test_the_reader_of_the_output_may_leave():
    code = "import sys; from graphgrad.cli import main; sys.exit(main(sys.argv[1:]))"
    program = [sys.executable, "-c", code, "derive", NETWORK, "--wrt", "W0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        process.stdout.close()
        assert process.stderr.read() == b""


def test_help_and_version_load_nothing_heavy():
    code = """
import sys
from graphgrad.cli import main
for arguments in (["--version"], ["--help"], ["train", "--help"]):
    try:
        main(arguments)
    except SystemExit as left:
        assert left.code == 0
print(*sys.modules, sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    said = done.stdout.split()
    assert said[0] == gg.__version__
    assert not {"numba", "sympy", "scipy", "streamlit", "networkx", "graphgrad.compiler"} & set(said)
