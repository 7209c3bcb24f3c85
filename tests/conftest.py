"""What all tests share: one kernel cache for all workers, kept from run to run and apart from the user's own."""

import os
from pathlib import Path

import pytest

os.environ["GRAPHGRAD_CACHE_DIR"] = str(Path(__file__).parent.parent / ".pytest_cache" / "kernels")


@pytest.fixture(autouse=True)
def _only_the_operations_of_graphgrad():
    """No test sees an operation that another one defined for itself."""
    from graphgrad.graph import FUNCTIONS

    for name in [name for name, function in FUNCTIONS.items() if not getattr(function, "built_in", True)]:
        del FUNCTIONS[name]
