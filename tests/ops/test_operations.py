"""Every operation against witnesses that share no code with it, on every target."""

from __future__ import annotations

import numpy as np
import pytest

from graphgrad.graph import FUNCTIONS, Leaf, Operation, ancestors
from tests.ops import checks
from tests.ops.bench import DTYPES, FEW, INTERPRETED, NAMES, ON_LANES, PARTS, case, cases, computed
from tests.ops.samples import SAMPLES


def test_every_operation_has_samples():
    missing = set(FUNCTIONS) - set(NAMES) - {"grad"}  # which the text form has, and no operation makes
    assert not missing, f"these operations have no samples in tests/ops/samples.py: {', '.join(sorted(missing))}"


def test_every_kind_of_operation_is_sampled():
    used = {type(node.op) for part in PARTS for one in cases(part) for node in ancestors(one.y)}
    kinds = {kind for kind in _kinds(Operation) if kind.__module__.startswith("graphgrad.ops")}
    missing = {
        kind.__name__ for kind in kinds if not issubclass(kind, Leaf) and not any(issubclass(one, kind) for one in used)
    }
    assert not missing, f"no sample uses {', '.join(sorted(missing))}"


def _kinds(kind: type) -> set[type]:
    return {deeper for below in kind.__subclasses__() for deeper in (below, *_kinds(below))}


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_reference(check, sample):
    check(case(sample))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", ["numpy", INTERPRETED, ON_LANES, "cuda"])
def test_targets(target, dtype, part):
    agrees_with_the_reference(part, target, dtype)


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("dtype", DTYPES)
def test_compiled(dtype, name):
    agrees_with_the_reference(name, "cpu", dtype)


def agrees_with_the_reference(part, target, dtype):
    """Values and gradients of the samples as the reference has them in float64, from the same rounded arrays."""
    found = computed(part, target, dtype)
    rtol = 1e-13 if dtype == "float64" else 16 * float(np.finfo(np.float32).eps)
    for one in cases(part):
        arrays = {leaf: array.astype(dtype).astype(np.float64) for leaf, array in one.draw().items()}
        wanted = [node for node in (one.y, *one.gradients) if node is not None]
        for node, expected in zip(wanted, one.reference(wanted, arrays), strict=True):
            got = found[node]
            assert got.dtype == dtype
            checks.close(np.broadcast_to(got, expected.shape), expected, rtol, f"{one.sample}: {node.text()}")
