"""The benchmarks: they run on the sample, and their tables are of committed results."""

import os
import subprocess
import sys

import nbformat
import pytest
import report
from read_notebook import PROJECT

WORDS = {
    "bench": [
        "tutorial recipe",
        "textbook VAE",
        "this notebook",
        "within a digit: half way",
    ],
    "choices": ["16 numbers, corners at 3.5, share 0.25"],
    "mistakes": ["KL subtracted", "pixels 0 to 255", "divide pixels by 255"],
}


@pytest.mark.faults
@pytest.mark.parametrize("script", WORDS)
def test_quick_benchmarks_print_their_tables(script):
    command = [sys.executable, PROJECT / "benchmarks" / f"{script}.py"]
    shown = subprocess.check_output(command, env=os.environ | {"QUICK": "1"}, text=True)
    for words in WORDS[script]:
        assert words in shown


def test_committed_tables_are_those_of_the_committed_results():
    tables = report.committed_tables()
    notebook = nbformat.read(PROJECT / "HW9.ipynb", as_version=4)
    texts = [cell.source for cell in notebook.cells]
    for page in ("README.md", "benchmarks/README.md", "benchmarks/NOTES.md"):
        texts.append((PROJECT / page).read_text(encoding="utf-8"))
    for text in texts:
        assert report.filled(text, tables) == text, "run benchmarks/report.py"
        assert " -->\n<!-- end -->" not in text, "a table is still to be measured"
