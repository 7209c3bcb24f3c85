"""The settings under which the pages are served."""

import subprocess
import sys
import tomllib
from pathlib import Path

from graphgrad.app.settings import SETTINGS, flags

ROOT = Path(__file__).parents[2]


def flat(table, before=""):
    for name, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def test_a_checkout_and_the_command_line_say_the_same():
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))
    assert dict(flat(config)) == SETTINGS


def test_flags_are_written_as_streamlit_reads_them():
    assert "--browser.gatherUsageStats=false" in flags()
    assert "--server.address=127.0.0.1" in flags()


def test_the_settings_are_read_without_streamlit():
    code = "import sys, graphgrad.app.settings; print('streamlit' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert said == "False\n"
