"""A student in JupyterLab: opens the notebook in Chromium, runs it, plays (`make test-browser`).

Screenshots are left in `.ci/screenshots`.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pypdf
import pytest
from conftest import PROJECT, outside_make, read_cells

pytestmark = pytest.mark.browser
SCREENSHOTS = PROJECT / ".ci" / "screenshots"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
# All cells stay on the page, also those that are not in view.
SETTINGS = {
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
}


@pytest.fixture
def address(tmp_path):
    """Serve a folder that holds the notebook and the sample with JupyterLab; return its address."""
    shutil.copy2(PROJECT / "HW9.ipynb", tmp_path)
    shutil.copytree(PROJECT / "data" / "sample", tmp_path / "data" / "sample")
    settings = tmp_path / ".jupyter" / "lab" / "settings"
    settings.mkdir(parents=True)
    (settings / "overrides.json").write_text(json.dumps(SETTINGS))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    command += [f"--port={port}", "--IdentityProvider.token=", "--ServerApp.password="]
    command += [f"--LabApp.app_settings_dir={settings}", "--LabApp.news_url="]
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=outside_make(), stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            time.sleep(0.5)
            assert server.poll() is None, (tmp_path / "server.log").read_text()
            try:
                urllib.request.urlopen(f"{address}/api", timeout=5).close()
                break
            except OSError:
                continue
        yield address
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture
def page():
    """Return a page of headless Chromium."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "There is no Chromium: install it, or name it in the variable CHROMIUM."
    quiet = "sandbox disable-gpu disable-background-networking disable-component-update disable-sync"
    flags = ["--no-sandbox", *(f"--{flag}" for flag in quiet.split()[1:])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser.new_page(viewport={"width": 1300, "height": 1000})
        browser.close()


def type_over(page, setting, old, new):
    """Replace the word that a setting has, as one would by hand."""
    line = page.locator(".cm-line", has_text=f'{setting} = "{old}"')
    line.locator("span", has_text=f'"{old}"').first.dblclick()
    page.keyboard.type(new)


def take(page, name, selector):
    """Scroll to an element and take a screenshot."""
    page.locator(selector).first.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def test_a_students_way_in_jupyterlab(address, page, tmp_path):
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.goto(f"{address}/lab/tree/HW9.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=120_000)
    page.wait_for_timeout(3000)
    page.screenshot(path=SCREENSHOTS / "1_opened.png")

    type_over(page, "NETID", "netid", "abc123")
    type_over(page, "DATASET", "auto", "sample")
    page.keyboard.press("Control+s")
    page.wait_for_timeout(2000)
    source = {cell.id: cell.source for cell in nbformat.read(tmp_path / "HW9.ipynb", 4).cells}
    assert 'NETID = "abc123"' in source["settings"] and 'DATASET = "sample"' in source["settings"]

    page.locator(".lm-MenuBar-item", has_text="Run").click()
    page.locator(".lm-Menu-item", has_text="Restart Kernel and Run All Cells").click()
    page.locator("button", has_text="Restart").click()
    done = page.locator(".jp-OutputArea-output", has_text="abc123_HW9_PREVIEW.pdf, in the folder")
    done.first.wait_for(state="attached", timeout=180_000)

    assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    whole = re.search(r"(?m)^EPOCHS = (\d+)", read_cells()["settings"])[1]
    bar = page.locator(".jp-OutputArea-output", has_text=f"Epoch {whole}/{whole}: 100%")
    assert bar.count() == 1
    take(page, "2_bar", f".jp-OutputArea-output:has-text('Epoch {whole}/{whole}')")
    pictures = page.locator(".jp-OutputArea-output img")
    sizes = [
        pictures.nth(k).evaluate("x => [x.naturalWidth, x.naturalHeight]")
        for k in range(pictures.count())
    ]
    figures = [k for k, (width, height) in enumerate(sizes) if height > 1.2 * width and width > 400]
    assert len(figures) == 2, "the two figures are on the page"
    for number, k in enumerate(figures):
        pictures.nth(k).scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        page.screenshot(path=SCREENSHOTS / f"3_figure_{number + 1}.png")
    assert len(pypdf.PdfReader(tmp_path / "abc123_HW9_PREVIEW.pdf").pages) > 3

    take(page, "4_explorer", ".widget-slider")
    picture = page.locator(".widget-image").first
    seen = [picture.get_attribute("src")]
    actions = [
        lambda: page.locator(".noUi-handle").first.press("ArrowRight"),
        lambda: page.locator(".widget-button").first.click(),
        lambda: page.locator(".widget-dropdown select").first.select_option("7"),
    ]
    for action in actions:
        action()
        for _ in range(50):
            page.wait_for_timeout(100)
            if picture.get_attribute("src") != seen[-1]:
                break
        seen.append(picture.get_attribute("src"))
    assert len(set(seen)) == 4, "slider, button and menu each change the picture"
    take(page, "5_explored", ".widget-slider")
    take(page, "6_end", ".jp-OutputArea-output:has-text('abc123_HW9_PREVIEW.pdf, in the folder')")
