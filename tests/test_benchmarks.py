"""The benchmarks: they run on the sample, and their tables are of committed results."""

import os
import subprocess
import sys

import nbformat
import pytest
import report
from read_notebook import PROJECT

WORDS = {  # in the table that each prints
    "bench": "+ corners (this notebook)",
    "choices": "16 numbers, corners at 3.5, share 0.25",
    "mistakes": "divide pixels by 255",
    "peers": "VampPrior, for lines",
}


@pytest.mark.faults
@pytest.mark.parametrize("script", WORDS)
def test_a_quick_benchmark_prints_its_table(script):
    command = [sys.executable, PROJECT / "benchmarks" / f"{script}.py"]
    shown = subprocess.check_output(command, env=os.environ | {"QUICK": "1"}, text=True)
    assert WORDS[script] in shown


def test_committed_tables_are_those_of_the_committed_results():
    tables = report.committed_tables()
    notebook = nbformat.read(PROJECT / "HW9.ipynb", as_version=4)
    texts = [cell.source for cell in notebook.cells]
    for page in report.PAGES:
        texts.append((PROJECT / page).read_text(encoding="utf-8"))
    for text in texts:
        assert report.filled(text, tables) == text, "run benchmarks/report.py"
        assert " -->\n<!-- end -->" not in text, "a table is still to be measured"
