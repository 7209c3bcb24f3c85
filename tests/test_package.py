"""The package as it is installed and imported: light, typed, complete, of one version."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import graphgrad as gg

ROOT = Path(__file__).parent.parent

HEAVY = ("graphviz", "llvmlite", "networkx", "numba", "pandas", "pygraphviz", "scipy", "streamlit", "sympy", "tqdm")

FUNCTIONS = (
    "Adam Graph GraphError Input Param SGD batch_mean batch_sum binary_cross_entropy chain compile elementwise fit grad "
    "input l1 l2 load network param parse sigmoid"
).split()
METHODS = "check_gradients count_params draw save summary to_networkx".split()


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout


@pytest.mark.parametrize("statement", ["import graphgrad", "import graphgrad.cli"])
def test_import_loads_nothing_heavy(statement):
    loaded = run(f"{statement}, sys\nprint(*sys.modules, sep='\\n')").split()
    assert "graphgrad" in loaded
    assert [module for module in HEAVY if module in loaded] == []


def test_building_and_differentiating_loads_no_compiler():
    code = """
import sys, graphgrad as gg
with gg.Graph() as g:
    x, w = gg.input("x", 2), gg.param("w", 2)
    g.y = gg.sigmoid(w @ x)
gg.grad(g.y, w).text()
print(*sys.modules, sep="\\n")
"""
    assert "numba" not in run(code).split()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_public_face_has(name):
    assert hasattr(gg, name)


@pytest.mark.parametrize("name", METHODS)
def test_a_graph_has(name):
    assert callable(getattr(gg.Graph, name))


def test_everything_listed_is_there():
    assert [name for name in gg.__all__ if not hasattr(gg, name)] == []
    assert sorted(gg.__all__) == sorted(set(gg.__all__))


def test_one_version_everywhere():
    version = re.escape(gg.__version__)
    assert re.search(rf"^version: {version}$", (ROOT / "CITATION.cff").read_text("utf-8"), re.MULTILINE)
    assert re.search(rf"^## \[.*{version}", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)


def test_the_lock_names_no_host():
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    assert "://" not in lock
    assert not re.search(r"^(--|torch\b)", lock, re.MULTILINE)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling")
    target = tmp_path_factory.mktemp("wheel")
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--wheel-dir", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], check=True, stdin=subprocess.DEVNULL)
    (built,) = target.glob("graphgrad-*.whl")
    return built


def test_the_wheel_holds_all_that_the_package_reads(wheel):
    inside = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "graphgrad"
    files = {path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"}
    assert {path.relative_to(ROOT).as_posix() for path in files} <= inside
    assert "graphgrad/py.typed" in inside
    assert {path.partition("/")[0] for path in inside if ".dist-info/" not in path} == {"graphgrad"}


def test_the_app_is_in_the_wheel(wheel):
    inside = zipfile.ZipFile(wheel).namelist()
    assert {Path(name).suffix for name in inside if name.startswith("graphgrad/app/")} >= {".py", ".js", ".css"}
    assert "graphgrad/app/start.py" in inside


def test_the_wheel_installs_the_command(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (entry,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "graphgrad = graphgrad.cli:main" in archive.read(entry).decode()
