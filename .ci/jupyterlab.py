"""A student's way in JupyterLab: open the notebook in Chromium, Restart & Run All.

Works on the sample, in a new folder. Leaves screenshots in .ci/screenshots."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

PROJECT = Path(__file__).resolve().parent.parent
SCREENSHOTS = PROJECT / ".ci" / "screenshots"
PDF = "abc123_HW9_PREVIEW.pdf"
# All cells stay on the page, also those that are not in view.
SETTINGS = {
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
}


def fill(folder):
    """Put the notebook, set to the sample, and the sample into a folder."""
    notebook = (PROJECT / "HW9.ipynb").read_text(encoding="utf-8")
    notebook = notebook.replace(r"NETID = \"netid", r"NETID = \"abc123")
    notebook = notebook.replace(r"DATASET = \"mnist", r"DATASET = \"sample")
    (folder / "HW9.ipynb").write_text(notebook, encoding="utf-8")
    shutil.copytree(PROJECT / "data" / "sample", folder / "data" / "sample")
    (folder / ".lab").mkdir()
    (folder / ".lab" / "overrides.json").write_text(json.dumps(SETTINGS))


def serve(folder):
    """Start JupyterLab in a folder; return the process, and its address."""
    command = "-m jupyterlab --no-browser --allow-root --ip=127.0.0.1 --port=0"
    command += " --IdentityProvider.token= --LabApp.app_settings_dir=.lab"
    server = subprocess.Popen(
        [sys.executable, *command.split()],
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in server.stderr:
        address = re.search(r"http://127\.0\.0\.1:\d+", line)
        if address:
            return server, address[0]
    raise SystemExit("JupyterLab has ended.")


def run_all(page, address):
    """Open the notebook on a page, run it, and look at what it shows."""
    page.goto(f"{address}/lab/tree/HW9.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=120_000)
    page.wait_for_timeout(3000)
    page.screenshot(path=SCREENSHOTS / "1_opened.png")

    page.locator(".lm-MenuBar-item", has_text="Run").click()
    page.locator(".lm-Menu-item", has_text="Restart Kernel and Run All Cells").click()
    page.locator("button", has_text="Restart").click()
    output = page.locator(".jp-OutputArea-output")
    said = output.get_by_text(f"{PDF} PREVIEW, do not submit: made from a small sample")
    said.wait_for(state="attached", timeout=180_000)
    running = "document.body.innerText.includes('[*]')"
    page.wait_for_function(f"!{running}", timeout=180_000)

    for kind in ("error", "stderr"):
        assert page.locator(f"[data-mime-type$='jupyter.{kind}']").count() == 0
    assert output.get_by_text("it/s").count() == 0, "no bar is left"
    pictures = output.locator("img")
    assert pictures.count() == 9, "each picture, once"
    for name, element in (("2_figure", pictures.nth(5)), ("3_end", said)):
        element.scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        page.screenshot(path=SCREENSHOTS / f"{name}.png")


SCREENSHOTS.mkdir(parents=True, exist_ok=True)
flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    fill(folder)
    server, address = serve(folder)
    try:
        with sync_playwright() as playwright:
            chromium = shutil.which("chromium")
            browser = playwright.chromium.launch(executable_path=chromium, args=flags)
            page = browser.new_page(viewport={"width": 1300, "height": 1000})
            run_all(page, address)
    finally:
        server.terminate()
        server.communicate()
    assert (folder / PDF).exists()
