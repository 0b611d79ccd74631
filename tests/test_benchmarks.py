"""The benchmarks: they run on the sample, and their tables are of committed results."""

import subprocess
import sys

import nbformat
import pytest
import report
from read_notebook import PROJECT, edit, read_cells

WORDS = {
    "bench": ["tutorial recipe", "textbook VAE", "this notebook", "within: half way"],
    "choices": ["16 numbers, corners at 3.5, share 0.25"],
    "mistakes": ["KL subtracted", "pixels 0 to 255", "Images as tensors stops"],
}


def read_files():
    """Return {path: content} of results and figures."""
    paths = [*PROJECT.glob("benchmarks/*.json"), *PROJECT.glob("figures/*")]
    return {path: path.read_bytes() for path in paths}


@pytest.mark.faults
@pytest.mark.parametrize("script", WORDS)
def test_quick_benchmarks_print_their_tables_and_write_nothing(script):
    before = read_files()
    command = [sys.executable, f"benchmarks/{script}.py", "--quick"]
    shown = subprocess.check_output(command, cwd=PROJECT, text=True)
    for words in WORDS[script]:
        assert words in shown
    assert read_files() == before


def test_an_edit_whose_text_is_not_found_raises():
    with pytest.raises(ValueError, match="Decoder does not contain"):
        edit(read_cells(), "Decoder", "nn.LayerNorm(hidden)", "nn.Identity()")


def test_committed_tables_are_those_of_the_committed_results():
    tables = report.committed_tables()[0]
    notebook = nbformat.read(PROJECT / "HW9.ipynb", as_version=4)
    texts = [cell.source for cell in notebook.cells]
    for page in ("README.md", "benchmarks/README.md", "benchmarks/NOTES.md"):
        texts.append((PROJECT / page).read_text(encoding="utf-8"))
    for text in texts:
        assert report.filled(text, tables) == text, "run benchmarks/report.py"
        assert " -->\n<!-- end -->" not in text, "a table is still to be measured"


def test_tables_are_put_between_their_marks():
    text = "before\n<!-- walks -->\nold\n<!-- end -->\nafter <!-- end -->"
    new = report.filled(text, {"walks": "| new |", "unknown": "nothing"})
    assert new == "before\n<!-- walks -->\n| new |\n<!-- end -->\nafter <!-- end -->"
