"""Every public name says what it is and shows it; every operation names its source."""

import inspect

import pytest

import graphgrad as gg
from graphgrad.graph import FUNCTIONS

NAMES = [
    name for name in gg.__all__ if not (inspect.isclass(getattr(gg, name)) and issubclass(getattr(gg, name), Exception))
]


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_has_an_example(name):
    assert ">>> " in (inspect.getdoc(getattr(gg, name)) or "")


@pytest.mark.parametrize("name", sorted(name for name in FUNCTIONS if getattr(FUNCTIONS[name], "built_in", True)))
def test_an_operation_names_its_source(name):
    assert "Source: " in (inspect.getdoc(FUNCTIONS[name]) or "")
