"""The benchmarks: they run on the sample, and their tables are of committed results."""

import subprocess
import sys

import nbformat
import pytest
from notebook import PROJECT, edit, read_cells

sys.path.append(str(PROJECT / "benchmarks"))
import report

WORDS = {
    "bench": ["tutorial recipe", "textbook VAE", "this notebook", "within: half way"],
    "mistakes": ["KL subtracted", "Images as tensors stops", "fitted prior"],
}


@pytest.mark.faults
@pytest.mark.parametrize("script", WORDS)
def test_quick_benchmarks_print_their_tables_and_write_nothing(script):
    given = {"cwd": PROJECT, "capture_output": True, "text": True}
    status = ["git", "status", "--short", "--", "benchmarks", "figures"]
    before = subprocess.run(status, **given).stdout
    command = [sys.executable, f"benchmarks/{script}.py", "--quick"]
    done = subprocess.run(command, **given)
    assert done.returncode == 0, done.stderr
    for words in WORDS[script]:
        assert words in done.stdout
    assert subprocess.run(status, **given).stdout == before


def test_an_edit_whose_text_is_not_found_raises():
    with pytest.raises(ValueError, match="Decoder does not contain"):
        edit(read_cells(), "Decoder", "nn.LayerNorm(hidden)", "nn.Identity()")


def test_committed_tables_are_those_of_the_committed_results():
    """A table is filled in only between its two marks, so it is on a page, too."""
    tables = report.committed_tables()[0]
    texts = []
    for page in ("README.md", "benchmarks/README.md", "benchmarks/NOTES.md"):
        texts.append((PROJECT / page).read_text(encoding="utf-8"))
    for cell in nbformat.read(PROJECT / "HW9.ipynb", as_version=4).cells:
        texts.append(cell.source)
    for name in tables:
        assert any(f"<!-- {name} -->" in text for text in texts), name
    for text in texts:
        assert report.filled(text, tables) == text, "run benchmarks/report.py"


def test_tables_are_put_between_their_marks():
    text = "before\n<!-- walks -->\nold\n<!-- end -->\nafter <!-- end -->"
    new = report.filled(text, {"walks": "| new |", "unknown": "nothing"})
    assert new == "before\n<!-- walks -->\n| new |\n<!-- end -->\nafter <!-- end -->"
