"""The templates that were printed ahead are those of the formulas, and no formula is looked at for a step of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sympy as sp

import graphgrad as gg
from graphgrad.compiler.bodies import printed, template, text_of
from graphgrad.compiler.scalar import ATOM, CHOICE, SUM
from graphgrad.compiler.templates import ON_LANES, TEMPLATES
from graphgrad.ops.elementwise import BUILT_IN, At


@pytest.mark.parametrize("name", sorted(BUILT_IN))
@pytest.mark.parametrize("lanes", [False, True])
def test_what_was_printed_ahead_is_what_sympy_prints(name: str, lanes: bool) -> None:
    op = BUILT_IN[name]
    for dtype in ("float32", "float64"):
        assert template(op, dtype, lanes) == printed(At(op), op.arity, dtype, lanes), "make templates"


def test_there_is_no_template_without_an_operation() -> None:
    assert {*TEMPLATES, *ON_LANES} == set(BUILT_IN)


def test_operands_are_in_parentheses_where_they_bind_more_loosely() -> None:
    body = At(BUILT_IN["multiply"])
    assert text_of(body, [("a + b", SUM), ("c", ATOM)], "float32", False)[0] == "(a + b) * c"
    assert text_of(body, [("c", ATOM), ("d if e else f", CHOICE)], "float32", False)[0] == "c * (d if e else f)"
    assert text_of(At(BUILT_IN["identity"]), [("a + b", SUM)], "float32", False) == ("a + b", SUM)


def test_an_option_of_another_value_and_an_operation_of_the_same_name_have_texts_of_their_own() -> None:
    steeper = gg.leaky_relu.with_options(alpha=0.25)
    assert template(steeper, "float64", False)[0] == "{0:1} if {0:1} > 0.0 else 0.25 * {0:3}"
    mine = gg.elementwise("mine", lambda z: sp.sin(z) + 1)
    assert template(mine, "float64", False)[0] == "sin({0}) + 1.0"


FIRST_STEP = """
import sys
import numpy as np
import graphgrad as gg
with gg.Graph() as g:
    x, t = gg.input("x", 2), gg.input("t")
    W, K = gg.param("W", 64, 2), gg.param("K", 64, 64)
    g.l = gg.batch_mean(gg.cross_entropy_with_logits(K @ gg.tanh(W @ x), t)) + 0.01 * gg.l2(W, K)
step = gg.compile(g, "l", wrt=["W", "K"]).bind(W=np.ones((64, 2)), K=np.eye(64), optimizer=gg.SGD(0.1))
step(np.ones((4, 2)), np.zeros(4))
print("sympy" in sys.modules)
"""


def test_the_first_step_of_a_network_imports_no_sympy(tmp_path: Path) -> None:
    environment = {**os.environ, "GRAPHGRAD_CACHE_DIR": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, "-c", FIRST_STEP], capture_output=True, text=True, check=True, env=environment
    )
    assert found.stdout.split() == ["False"], found.stderr
