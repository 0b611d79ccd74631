"""A student in JupyterLab: opens the notebook in Chromium, and runs it.

Screenshots are left in `.ci/screenshots`."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import pypdf
import pytest
from conftest import outside_make
from notebook import PROJECT

pytestmark = pytest.mark.browser
SCREENSHOTS = PROJECT / ".ci" / "screenshots"
LAST = "abc123_HW9_PREVIEW.pdf PREVIEW, do not submit: made from a small sample"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
# All cells stay on the page, also those that are not in view.
SETTINGS = {
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
}


@pytest.fixture
def address(tmp_path):
    """Serve a folder with notebook and sample by JupyterLab; return its address."""
    notebook = (PROJECT / "HW9.ipynb").read_text(encoding="utf-8")
    notebook = notebook.replace(r"NETID = \"netid", r"NETID = \"abc123")
    notebook = notebook.replace(r"DATASET = \"mnist", r"DATASET = \"sample")
    (tmp_path / "HW9.ipynb").write_text(notebook, encoding="utf-8")
    shutil.copytree(PROJECT / "data" / "sample", tmp_path / "data" / "sample")
    (tmp_path / ".lab").mkdir()
    (tmp_path / ".lab" / "overrides.json").write_text(json.dumps(SETTINGS))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = f"-m jupyterlab --no-browser --allow-root --ip=127.0.0.1 --port={port}"
    command += " --IdentityProvider.token= --LabApp.app_settings_dir=.lab"
    with (tmp_path / "server.log").open("w") as log:
        options = {"cwd": tmp_path, "env": outside_make(), "stdout": log, "stderr": log}
        server = subprocess.Popen([sys.executable, *command.split()], **options)
    for _ in range(120):
        time.sleep(0.5)
        assert server.poll() is None, (tmp_path / "server.log").read_text()
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5).close()
            break
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait(20)


@pytest.fixture
def page():
    """Return a page of headless Chromium."""
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "No Chromium: install it, or name it in the variable CHROMIUM."
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser.new_page(viewport={"width": 1300, "height": 1000})
        browser.close()


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

    page.locator(".lm-MenuBar-item", has_text="Run").click()
    page.locator(".lm-Menu-item", has_text="Restart Kernel and Run All Cells").click()
    page.locator("button", has_text="Restart").click()
    output = ".jp-OutputArea-output"
    done = page.locator(output, has_text=LAST)
    done.first.wait_for(state="attached", timeout=180_000)
    running = "document.body.innerText.includes('[*]')"
    page.wait_for_function(f"!{running}", timeout=180_000)

    for kind in ("error", "stderr"):
        assert page.locator(f"[data-mime-type$='jupyter.{kind}']").count() == 0
    assert page.locator(output, has_text="it/s").count() == 0, "no bar is left"
    assert page.locator(f"{output} img").count() == 8, "each picture, once"
    take(page, "2_same", f"{output} img >> nth=3")
    take(page, "3_different", f"{output} img >> nth=4")
    assert len(pypdf.PdfReader(tmp_path / "abc123_HW9_PREVIEW.pdf").pages) > 3

    take(page, "4_end", f"{output}:has-text('{LAST}')")
