"""What all tests share: one kernel cache for all workers, kept from run to run and apart from the user's own."""

import os
import sys
from pathlib import Path

import pytest

os.environ["GRAPHGRAD_CACHE_DIR"] = str(Path(__file__).parent.parent / ".pytest_cache" / "kernels")
os.environ.setdefault(
    "NUMBA_ENABLE_CUDASIM", "1"
)  # kernels for a GPU run in Python, with a thread for each of its threads
sys.setswitchinterval(1e-4)  # which take turns often: a block of them waits for each other at every meeting


@pytest.fixture(autouse=True)
def _only_the_operations_of_graphgrad():
    """No test sees an operation that another one defined for itself."""
    from graphgrad.graph import FUNCTIONS

    for name in [name for name, function in FUNCTIONS.items() if not getattr(function, "built_in", True)]:
        del FUNCTIONS[name]
