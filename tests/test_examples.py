"""Every example runs as a script of its own, with warnings as errors, and prints the lecture's numbers."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from numba import config

pytestmark = pytest.mark.timeout(1500 if config.DISABLE_JIT else 300)  # without a compiler, to train takes minutes

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

SAYS = {
    "l01_forward_pass": ["A = W⁽⁰⁾x", "l = −t ln y − (1 − t) ln(1 − y)", "18 parameters"],
    "l02_losses": [
        "l_entropy            1000       2.127      0.6931      0.1269           0",
        "[ 0.2312 -0.3715  0.1402]",
    ],
    "l03_objective": ["R₁ = ‖w‖₁", "R₂ = ‖w‖₂²", "2.5661", "2.7461"],
    "l04_one_step": ["W⁰₁₂: -0.2 - 0.5 · 0.126931 = -0.263465", "by differences ∂J/∂W⁰₁₂ = 0.126931"],
    "l05_chain_rule": ["∂f/∂x = 2 · u · 2 · (−1 / x²)", "f = 1, ∂f/∂x = -1", "∂f/∂x = -8/x**3"],
    "l06_chain_of_factors": [
        "∂l/∂W⁽⁰⁾ = ∂l/∂y · ∂y/∂E · ∂E/∂D · ∂D/∂C · ∂C/∂B · ∂B/∂A · ∂A/∂W⁽⁰⁾",
        "∂l/∂W⁽⁰⁾ = ∂l/∂A xᵀ",
    ],
    "l07_backpropagation": ["∂l/∂B = W⁽¹⁾ᵀ ∂l/∂C", "All 11 gradients agree"],
    "l08_activations": [
        "  -0.1000  -0.0200  -0.0050   0.5000   2.0000  10.0000",
        "α of the PReLU: 0.25 before, 0.0",
    ],
    "l09_parameter_counts": ["7,850 parameters", "655,370 parameters", "167,772,170 parameters", "280 parameters"],
    "l10_connections": [
        "full              22,500 weights",
        "three neighbours     450 weights",
        "shared                 3 w",
    ],
    "l11_convolution": [
        "9 parameters in 1 array",
        "A = x ⋆[padding same] w: 4x128x128 from 4x1x3x3, 36 parameters",
        "nine outputs of a map see rows 62 to 66, columns 62 to 66",
        "grouped = x ⋆[groups 4] w_grouped        8x126x126, 72 weights",
    ],
    "l12_pooling": [
        "64 numbers become 16",
        "each window's gradient goes to its winner",
        "moved by a pixel, the digits change by 81%, M by 56%, A by 57%",
    ],
    "l13_two_class_cnn": ["F = ReLU(z_F)", "105 parameters; F is 4x8x8, P is 4x4x4", "held-out accuracy: 0.9"],
    "l13_k_class_cnn": ["l     −ln y[t]", "1,898 parameters in 6 arrays", "held-out accuracy: 0.9"],
    "l14_learned_filters": ["1,370 parameters", "digits that are told right: 0.9", "picture: l14_maps.svg"],
    "l15_batches": [
        "z = 0.06, σ(z) = 0.5150, l = 0.6636, ∂l/∂w = [-0.485 -0.194  0.485]",
        "z = [ 0.06 11.06]",
        "0.999984",
    ],
    "l16_segmentation": ["1,843 parameters", "held-out pixels that are right: 0.9"],
    "l16_localisation": ["9,604 parameters", "held-out overlap of the boxes: 0."],
    "sympy_functions": ["the hand reaches (1.00, 2.00)", "lines of code for 1000 variables"],
    "breast_cancer": ["held-out accuracy: 0.9"],
}
"""What each example prints, among other things."""


def run(script, folder):
    return subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        check=False,
        encoding="utf-8",
    )


@pytest.mark.parametrize("script", EXAMPLES, ids=lambda script: script.stem)
def test_example(script, tmp_path):
    done = run(script, tmp_path)
    assert done.returncode == 0, done.stderr
    assert [line for line in SAYS[script.stem] if line not in done.stdout] == []
    if accuracy := re.search(r"accuracy: ([0-9.]+)", done.stdout):
        assert float(accuracy[1]) >= 0.95
    if picture := re.search(r"^picture: (.+)$", done.stdout, re.MULTILINE):
        assert ElementTree.fromstring((tmp_path / picture[1]).read_text("utf-8")).tag.endswith("svg")


def test_the_example_of_the_readme(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    script = tmp_path / "readme.py"
    script.write_text(code, "utf-8")
    done = run(script, tmp_path)
    assert done.returncode == 0, done.stderr
    told = [line.partition("# ")[2].strip() for line in code.splitlines() if line.startswith("print") and "# " in line]
    assert told
    assert done.stdout.split() == " ".join(told).split()
