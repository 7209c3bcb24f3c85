"""The table of operations in the docs is the one that the register gives."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from graphgrad.graph import FUNCTIONS

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def script():
    specification = importlib.util.spec_from_file_location("operations", ROOT / "docs" / "operations.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(script):
    page = script.page()
    assert script.PAGE.read_text("utf-8") == page, "docs/operations.md is not what the register gives: run `make docs`"
    assert page == script.page(), "the page differs from one time to the next"


def test_every_operation_has_its_line(script):
    page = script.PAGE.read_text("utf-8")
    listed = re.findall(r"^\| `(\w+)\(", page, re.MULTILINE)
    assert sorted(listed) == sorted(set(FUNCTIONS) - {"grad"})
    for line in page.splitlines():
        if line.startswith("| `"):
            cells = re.split(r"(?<!\\) \| ", line)
            assert len(cells) == 5, line
            assert all(cells[:4]), line
            assert line.count("$`") == line.count("`$"), line
    assert not re.search(r"<lambda>|object at|\bNone\b *\||Derivative", page)
