"""What all tests share: one kernel cache for all workers, kept from run to run and apart from the user's own."""

import os
from pathlib import Path

os.environ["GRAPHGRAD_CACHE_DIR"] = str(Path(__file__).parent.parent / ".pytest_cache" / "kernels")
