"""The page in a real browser: it opens, a node is chosen, the steps go forward and backward, a weight is changed."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

APP = Path(__file__).parents[2] / "app.py"
CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and os.environ.get("CI") != "true", reason="there is no chromium on this machine"
)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    pytest.importorskip("streamlit")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("app") / "log"
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(APP),
        "--server.headless",
        "true",
        "--server.port",
        str(port),
    ]
    with log.open("wb") as out, subprocess.Popen(command, cwd=APP.parent, stdout=out, stderr=out) as server:
        try:
            for _ in range(600):
                with socket.socket() as knock:
                    if knock.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert server.poll() is None, log.read_text()
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.fixture
def page(address):
    assert CHROMIUM is not None, "CI has no chromium"
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1400, "height": 950})
        page.set_default_timeout(60_000)
        complaints = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("request", lambda asked: complaints.append(asked.url) if _elsewhere(asked.url, address) else None)
        page.goto(address)
        page.wait_for_selector("g.node")
        yield page
        browser.close()
        assert not complaints


def _elsewhere(url, address):
    return not url.startswith((address, address.replace("http", "ws"), "data:", "blob:"))


def value(page, cell):
    return page.locator(f"#{cell} text").text_content()


def opens(page, beginning):
    """The inspector comes to show a node, by the beginning of its line."""
    sync_api.expect(page.locator(".st-key-inspector h4 annotation")).to_have_text(re.compile(f"^{beginning}"))


def test_choose_step_and_edit(page):
    assert page.locator("g.node").count() == 12
    assert value(page, "n9-f0") == "−0.2143"
    said = page.locator(".said")

    page.locator("#n8").click()
    opens(page, "D")
    assert page.locator("#n8.selected").count() == 1

    page.locator(".first").click()
    assert value(page, "n5-f0") == "·", "nothing is computed yet"
    assert value(page, "n0-f0") == "0.4", "inputs are given"
    page.locator(".next").click()
    assert value(page, "n5-f0") == "0.4"
    assert value(page, "n6-f0") == "·"
    assert "Forward: A = W⁽⁰⁾x" in said.text_content()
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    assert value(page, "n11-f0") == "0.8060"
    assert "Backward: ∂l/∂l" in said.text_content()
    page.keyboard.press("ArrowRight")
    assert re.search(r"Backward: ∂l/∂[yt] =", said.text_content())
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert value(page, "n11-b0") == "·", "a step back takes the gradient away"
    opens(page, "l")
    page.locator(".last").click()
    assert value(page, "n11-b0") == "1"
    assert "All computed" in said.text_content()

    table = page.locator(".st-key-tables .dvn-scroller").nth(1)
    table.hover(position={"x": 30, "y": 52})  # the table marks the cell that the mouse has come to
    page.wait_for_timeout(400)
    table.click(position={"x": 30, "y": 52})
    page.wait_for_timeout(400)
    page.keyboard.press("Enter")  # opens the cell
    cell = page.locator("input.gdg-input")
    cell.fill("1.5")
    cell.press("Enter")
    sync_api.expect(page.locator("#n5-f0 text")).to_have_text("0.8", timeout=30_000)  # 1.5 · 0.4 + (−0.2)(−1)
    assert value(page, "n2-f0") == "1.5"
    assert page.locator("#n11.selected").count() == 1, "the choice outlives the edit"


def test_play_goes_through_all_steps_without_the_server(page):
    page.locator(".first").click()
    page.locator(".play").click()
    page.wait_for_timeout(1700)
    page.locator(".play").click()
    step = int(page.locator(".said").text_content().partition("/")[0])
    assert 1 <= step <= 4
    page.wait_for_timeout(900)
    assert page.locator(".said").text_content().startswith(f"{step}/"), "it rests"


def test_the_keyboard_chooses_a_node_and_zoom_keeps_the_choice(page):
    node = page.locator("#n2")
    node.focus()
    page.keyboard.press("Enter")
    opens(page, "W")
    assert node.get_attribute("aria-pressed") == "true"
    assert node.get_attribute("aria-label").startswith("W⁽⁰⁾")
    svg = page.locator(".host svg")
    whole = svg.get_attribute("viewBox")
    page.locator(".in").click()
    near = svg.get_attribute("viewBox")
    assert float(near.split()[2]) < float(whole.split()[2])
    page.locator("#n3").click()
    opens(page, r"W\^\{\[1\]\}")
    assert svg.get_attribute("viewBox") == near, "a choice does not move the picture"
    page.locator(".fit").click()
    assert svg.get_attribute("viewBox") == whole
