"""Register tiles: which one is chosen for a sum of products, and the numbers that come of it."""

import re

import llvmlite.binding
import numpy as np
import pytest
from numba import config
from scipy import signal

import graphgrad as gg
from graphgrad.compiler import processor, tiling
from graphgrad.compiler.tiling import registers


def padded(maps: int, size: int, kernel: int) -> gg.Graph:
    with gg.Graph("padded") as g:
        x, K = gg.input("x", 2, size, size), gg.param("K", maps, 2, kernel, kernel)
        L = gg.param("L", maps, maps, kernel, kernel)
        g.A = gg.conv(x, K, padding=kernel // 2)
        g.B = gg.conv(g.A, L, padding=kernel // 2)
        g.l = gg.batch_sum(gg.sum(gg.square(g.B)))
    return g


def correlated(x: np.ndarray, K: np.ndarray) -> np.ndarray:
    return np.array([[sum(map(signal.correlate2d, one, k, ["same"] * len(k))) for k in K] for one in x])


@pytest.mark.parametrize(("maps", "size", "kernel"), [(16, 8, 3), (5, 7, 5), (24, 4, 3)])
@pytest.mark.parametrize("samples", [1, 40])
def test_zeros_around_an_image_count_for_nothing(maps, size, kernel, samples):
    random = np.random.default_rng(maps)
    x, K, L = (
        random.normal(size=shape)
        for shape in ((samples, 2, size, size), (maps, 2, kernel, kernel), (maps, maps, kernel, kernel))
    )
    f = gg.compile(padded(maps, size, kernel), "l", wrt=["x", "K", "L"], keep=False)
    found = f(x=x, K=K, L=L)
    A = correlated(x, K)
    B = correlated(A, L)
    assert found["l"] == pytest.approx((B**2).sum(), rel=1e-12)
    flipped = [np.flip(one, (2, 3)).swapaxes(0, 1) for one in (K, L)]
    by_A = correlated(2 * B, flipped[1])
    np.testing.assert_allclose(found.grad["x"], correlated(by_A, flipped[0]), rtol=1e-9, atol=1e-9)
    around = np.pad(A, ((0, 0), (0, 0), (kernel // 2,) * 2, (kernel // 2,) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(around, (size, size), axis=(2, 3))
    by_L = np.einsum("nmpqij,nkij->kmpq", windows, 2 * B)
    np.testing.assert_allclose(found.grad["L"], by_L, rtol=1e-9, atol=1e-9)


@pytest.mark.skipif(config.DISABLE_JIT or registers() < 24, reason="a tile of many maps needs registers for them")
def test_a_small_padded_map_is_made_column_by_column():
    """At 8 columns and a kernel of 3 one product in twelve has a zero from the padding, along each axis."""
    source = gg.compile(padded(16, 8, 3), "l", dtype="float32").source_on_lanes
    assert source.count('tile={"i": 16}') == 2
    assert source.count('"q": ("1 - k", "9 - k")}') == 2
    assert "_wide" not in source  # no copy with zeros around it
    with gg.Graph("not padded") as g:
        g.A = gg.conv(gg.input("x", 2, 10, 10), gg.param("K", 16, 2, 3, 3))
    assert 'tile={"i": 16}' not in gg.compile(g, "A", dtype="float32").source_on_lanes  # nothing to leave out


@pytest.mark.skipif(config.DISABLE_JIT or config.BOUNDSCHECK, reason="reads the machine code of register tiles")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("maps", "size", "kernel"), [(64, 16, 3), (5, 9, 3), (16, 12, 5)])
def test_the_sums_of_a_tile_stay_in_registers(monkeypatch, tmp_path, maps, size, kernel, dtype):
    """No number is put aside in memory and read again between the products of a tile, on the processor at hand."""
    monkeypatch.setenv("GRAPHGRAD_CACHE_DIR", str(tmp_path))  # machine code from the cache cannot be read
    f = gg.compile(padded(maps, size, kernel), "l", wrt=["x", "K", "L"], dtype=dtype, keep=False)
    (machine_code,) = f._lanes_module[0].step.inspect_asm().values()
    label_or_jump = re.compile(r"^\S*BB\d+_\d+:|^\s+j\w+\s", re.MULTILINE)
    straight = label_or_jump.split(machine_code)
    rounds = [part for part in straight if part.count("vfmadd") >= 4]
    if not rounds:
        pytest.skip("a processor without vfmadd")
    for part in rounds:
        assert not re.search(r"v(mov[au]p[sd]|fmadd\w+)\s+-?\d*\(%rsp\), %[xyz]mm", part)


@pytest.mark.parametrize(
    ("name", "told", "count", "of_bytes"),
    [
        ("skylake-avx512", "+avx,+avx2,+fma,+avx512f", 32, 64),
        ("haswell", "+avx,+avx2,+fma", 16, 32),
        ("generic", "", 16, 16),
    ],
)
def test_registers_are_those_of_the_processor_that_numba_is_told(monkeypatch, name, told, count, of_bytes):
    as_told(monkeypatch, name, told)
    assert processor.registers_for_lanes() == (count, 64 // of_bytes)


def test_what_numba_is_told_without_a_name_changes_the_processor_at_hand(monkeypatch):
    as_told(monkeypatch, None, None)
    own = processor.features()
    as_told(monkeypatch, None, "-avx512f,+sse4a")
    assert processor.features() == (own - {"avx512f"}) | {"sse4a"}


def as_told(monkeypatch, name, told):
    monkeypatch.setattr(config, "CPU_NAME", name)
    monkeypatch.setattr(config, "CPU_FEATURES", told)
    monkeypatch.setattr(llvmlite.binding, "get_process_triple", lambda: "x86_64-unknown-linux-gnu")
    for known in (processor.features, processor.registers_for_lanes):
        monkeypatch.setattr(processor, known.__name__, getattr(known, "__wrapped__", known))


@pytest.mark.parametrize(
    ("registers", "rows", "columns", "widths", "fits"),
    [
        ((16, 2), 2, 3, (2, 1), False),  # 12 for the sums, 4 for the rows, 1 for a column: 17 of 16
        ((16, 2), 1, 6, (2, 1), True),  # 12, 2 and 1
        ((16, 2), 1, 7, (2, 1), False),
        ((16, 2), 2, 2, (2, 2), True),  # 8, 4 and 2
        ((16, 2), 2, 3, (2, 2), False),
        ((32, 1), 4, 6, (1, 1), True),  # 24, 4 and 1
        ((32, 1), 5, 6, (1, 1), False),
    ],
)
def test_a_tile_fits_where_its_sums_and_what_is_multiplied_have_registers(
    monkeypatch, registers, rows, columns, widths, fits
):
    monkeypatch.setattr(tiling, "registers_for_lanes", lambda: registers)
    assert tiling._fits(rows, columns, widths) is fits


@pytest.mark.parametrize("samples", [1, 20])
@pytest.mark.parametrize("width", [3, 8, 16])
def test_a_transposed_array_that_is_a_product_itself_is_not_lost(width, samples):
    random = np.random.default_rng(width)
    with gg.Graph("outer") as g:
        x, W, v = gg.input("x", width), gg.param("W", width), gg.param("v", width)
        g.h = gg.sin(W * x)
        g.y = gg.outer(g.h, gg.cos(g.h)).T @ v
        g.J = gg.batch_sum(gg.sum(g.y))
    given = {"x": random.normal(size=(samples, width)), "W": random.normal(size=width), "v": random.normal(size=width)}
    found = gg.compile(g, ["J", "y"], wrt=["W", "v"])(**given)
    h = np.sin(given["W"] * given["x"])
    c, s = np.cos(h), np.sin(h)
    np.testing.assert_allclose(found["y"], c * (h @ given["v"])[:, None], rtol=1e-10, atol=1e-13)
    slope = c.sum(1)[:, None] * given["v"] - s * (h @ given["v"])[:, None]
    np.testing.assert_allclose(
        found.grad["W"], (slope * np.cos(given["W"] * given["x"]) * given["x"]).sum(0), rtol=1e-9
    )
    np.testing.assert_allclose(found.grad["v"], (h * c.sum(1)[:, None]).sum(0), rtol=1e-9)
