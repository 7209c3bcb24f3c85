"""Kernels compiled and linked for GPUs that are not there: what Numba and NVIDIA's tools make of a generated source."""

import importlib.util
import os
import subprocess
import sys

import pytest

SCRIPT = """
import glob, inspect, os, sys
import nvidia
import numpy as np
import numba.cuda.dispatcher as dispatcher
from cuda.bindings import nvjitlink
from numba import cuda, types
import graphgrad as gg
from graphgrad.compiler import cache

dispatcher.get_current_device = lambda: type("Ampere", (), {"compute_capability": (8, 0)})
dtype = sys.argv[1]
with gg.Graph("three layers") as g:  # products of all turns: forward, back to the layer before, to the weights
    h, t = gg.input("x", 64), gg.input("t", 64)
    for k in range(3):
        h = gg.tanh(gg.param(f"W{k}", 64, 64) @ h + gg.param(f"b{k}", 64))
    g.l = gg.squared_error(gg.round(h), t) + gg.squared_error(h, t)
start = {node.name.ident: np.zeros(node.shape) for node in g.parameters}
f = gg.compile(g, "l", wrt=[*start, "x"], target="cuda", dtype=dtype)
step = f.bind(optimizer=gg.SGD(0.1), **start)
for source in (f.source, step.source):
    module, _ = cache.load(source, lambda: source)
    array = lambda rank: types.Array(getattr(types, dtype), rank, "C")
    whole = {name: types.int64 for name in ("batch", "first", "last")}
    ranks = {"x": 2, "t": 2}
    names = inspect.signature(module.run.py_func).parameters
    signature = tuple(whole.get(name) or array(ranks.get(name, 1)) for name in names)
    ptx, _ = cuda.compile_ptx(module.run.py_func, signature, cc=(8, 0))
    linker = nvjitlink.create(1, ["-arch=sm_80"])
    nvjitlink.add_data(linker, nvjitlink.InputType.PTX, ptx.encode(), len(ptx), "step.ptx")
    (library,) = glob.glob(os.path.join(list(nvidia.__path__)[0], "**", "libcudadevrt.a"), recursive=True)
    nvjitlink.add_file(linker, nvjitlink.InputType.LIBRARY, library)
    nvjitlink.complete(linker)
    assert nvjitlink.get_linked_cubin_size(linker) > 0
"""


@pytest.mark.skipif(importlib.util.find_spec("numba_cuda") is None, reason="needs numba-cuda: pip install .[cuda12]")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_kernel_compiles_and_links(dtype, tmp_path):
    """Its shared memory is no more than a block has, and no function with some of it is linked twice."""
    known = {**os.environ, "NUMBA_ENABLE_CUDASIM": "0", "GRAPHGRAD_CACHE_DIR": str(tmp_path / "kernels")}
    subprocess.run([sys.executable, "-c", SCRIPT, dtype], check=True, env=known)
