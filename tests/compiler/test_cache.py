"""The kernel cache: written once, shared by processes, private, and rebuilt where it is damaged."""

import os
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from numba import config

import graphgrad as gg
from graphgrad.compiler import cache

COMPILES = pytest.mark.skipif(config.DISABLE_JIT, reason="no machine code is kept where Numba is switched off")

PROGRAM = """
import sys
import graphgrad as gg
with gg.Graph() as g:
    x, w = gg.input("x", 2), gg.param("w", 2)
    g.y = gg.leaky_relu(w @ x, alpha=0.25)  # of this slope the formula is not printed ahead
f = gg.compile(g, "y", wrt="w")
r = f(x=[1.0, 2.0], w=[1.0, -0.25])
print(r["y"], "sympy" in sys.modules)
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "kernels"))
    return tmp_path / "kernels"


def graph():
    with gg.Graph() as g:
        x = gg.input("x")
        g.y = gg.exp(x) * 3
    return g


def run():
    return subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True).stdout.split()


@COMPILES
def test_a_second_process_takes_what_the_first_compiled(home):
    assert run() == ["0.5", "True"]
    machine_code = {file: file.stat().st_mtime_ns for file in home.rglob("*.nbc")}
    assert machine_code
    assert run() == ["0.5", "False"], "with a warm cache no formula is looked at again"
    assert {file: file.stat().st_mtime_ns for file in home.rglob("*.nbc")} == machine_code


def test_what_was_unused_for_long_makes_room(home):
    for k, age in enumerate((5, 3, 0)):
        entry = home / f"program{k}"
        entry.mkdir(parents=True, mode=0o700)
        (entry / "lock").touch()
        (entry / "step.nbc").write_bytes(bytes(1000))
        when = time.time() - age * 24 * 3600
        os.utime(entry, (when, when))
    home.chmod(0o700)
    assert cache.bound(most=2500) == 1
    assert [entry.name for entry in cache.entries()] == ["program1", "program2"]
    assert cache.bound(most=0) == 1, "what was used within a day may be running"
    assert [entry.name for entry in cache.entries()] == ["program2"]


@COMPILES
def test_processes_that_start_together_compile_once(home):
    started = [
        subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    outcomes = [process.communicate() for process in started]
    assert [out.split()[0] for out, _ in outcomes] == ["0.5"] * 4, outcomes
    assert len(list(home.rglob("step.py"))) == 1
    assert len(list(home.rglob("*.nbc"))) == 1


def test_the_folder_is_the_users_alone(home):
    gg.compile(graph(), "y")(x=1.0)
    assert oct(home.stat().st_mode)[-3:] == "700"
    assert all(oct(entry.stat().st_mode)[-3:] == "700" for entry in cache.entries())


def test_a_folder_that_others_can_write_is_refused(home):
    home.mkdir(mode=0o700)
    home.chmod(0o777)
    with pytest.raises(cache.CacheError, match="can be written by others, and what lies there is run"):
        gg.compile(graph(), "y")(x=1.0)


@COMPILES
@pytest.mark.parametrize("damage", ["step.py", "*.nbc", "*.nbi"])
def test_a_damaged_entry_is_rebuilt(home, damage):
    def value():
        program = PROGRAM.replace("gg.sigmoid", "gg.tanh")
        return subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        ).stdout.split()[0]

    first = value()
    (file,) = home.rglob(damage)
    file.write_bytes(file.read_bytes()[:20])
    assert value() == first


def test_entries_can_be_counted_and_cleared(home):
    gg.compile(graph(), "y")(x=1.0)
    assert len(cache.entries()) == 1
    assert cache.size() > 0
    assert cache.clear() == 1
    assert cache.entries() == []


def test_files_that_come_and_go_meanwhile_are_no_obstacle(home):
    """Numba writes under another name first; another process may do so, or remove a program, at any moment."""
    home.mkdir(mode=0o700)
    entry, stop = home / "program", threading.Event()

    def come_and_go():
        while not stop.is_set():
            entry.mkdir()
            for k in range(20):
                (entry / ("lock" if k == 0 else f"step.pyc.{k}")).touch()
            shutil.rmtree(entry)

    other = threading.Thread(target=come_and_go)
    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    other.start()
    try:
        for _ in range(300):
            assert cache.size() == 0
            assert cache.bound() == 0
    finally:
        stop.set()
        other.join()
        sys.setswitchinterval(switching)


@pytest.mark.skipif(os.getuid() == 0, reason="root can write everywhere")
def test_a_home_that_cannot_be_written_is_no_obstacle(tmp_path, monkeypatch):
    tmp_path.chmod(0o500)
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "kernels"))
    assert gg.compile(graph(), "y")(x=0.0)["y"] == 3


@pytest.mark.parametrize("keep", [True, False])
def test_graphs_that_take_the_same_arrays_in_another_order_are_other_programs(keep):
    random = np.random.default_rng(3)
    values = {name: random.normal(size=(5, 3) if name in "xt" else 3) for name in "xtab"}
    x, t, a, b = values.values()
    loss = ((a * x + np.tanh(b) - t) ** 2).sum()
    by_a = (2 * (a * x + np.tanh(b) - t) * x).sum(0)
    for order in ("xtab", "txab", "xtba", "btax"):
        with gg.Graph("same") as g:
            made = {name: (gg.input if name in "xt" else gg.param)(name, 3) for name in order}
            g.l = gg.sum(gg.square(made["a"] * made["x"] + gg.tanh(made["b"]) - made["t"]))
            g.J = gg.batch_sum(g.l)
        f = gg.compile(g, "J", wrt=["a", "b"], keep=keep)
        result = f(**values)
        assert result["J"] == pytest.approx(loss)
        np.testing.assert_allclose(result.grad["a"], by_a)
        step = f.bind(optimizer=gg.SGD(0.1), a=a, b=b)
        assert step(*(values[node.op.name] for node in step.inputs)) == pytest.approx(loss)
        np.testing.assert_allclose(step.params["a"], a - 0.1 * by_a)


START = """
import sys
import numpy as np
import graphgrad as gg
with gg.Graph() as g:
    x, w = gg.input("x", 2), gg.param("w", 2)
    g.J = gg.batch_sum(gg.square(w @ x))
step = gg.compile(g, "J", wrt="w").bind(w=np.array([3.0, 1.0]), optimizer=gg.SGD(0.1))
print(step(np.array([[1.0, 2.0], [2.0, 1.0]])), "_program" in vars(step), *sys.modules, sep="\\n")
"""


@COMPILES
@pytest.mark.skipif(config.BOUNDSCHECK, reason="where every index is checked, Numba compiles the text of a step itself")
def test_a_step_from_the_cache_is_neither_rewritten_nor_written_nor_asks_for_masked_arrays(home):
    for cached in (False, True):
        done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True)
        loss, rewritten, *modules = done.stdout.split()
        assert loss == "74.0"  # (3 + 2)² + (6 + 1)²
        assert rewritten == str(not cached)
        for work in ("graphgrad.compiler.lower", "graphgrad.compiler.cpu", "graphgrad.runtime.translation"):
            assert (work in modules) is not cached
    assert "numpy.ma" not in modules


def test_the_source_bears_the_title_of_its_own_graph():
    for title in ("one", "another"):
        with gg.Graph(title) as g:
            g.y = gg.cos(gg.input("x"))
        assert f'"""{title}' in gg.compile(g, "y").source
