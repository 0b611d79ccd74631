"""The notebook as a whole: run by make in a real kernel, and as it is committed."""

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pypdf
import pytest
from conftest import PROJECT, committed, outside_make

REAL = "figures/same_digit.png", "abc123_HW9.pdf", "abc123_HW9.ipynb"


def make(folder, *settings):
    """Run make in a folder with this environment; return its exit code and words."""
    command, env = ["make", f"VENV={sys.prefix}", *settings], outside_make()
    given = {"cwd": folder, "env": env, "text": True, "stdout": subprocess.PIPE}
    done = subprocess.run(command, stderr=subprocess.STDOUT, **given)
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Return a copy of the project with the files of an earlier, real run."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("HW9.ipynb", "Makefile", "requirements.txt"):
        shutil.copy(PROJECT / name, folder)
    os.utime(folder / "requirements.txt", (1, 1))  # older than the environment
    shutil.copytree(PROJECT / "data" / "sample", folder / "data" / "sample")
    (folder / "figures").mkdir()
    for name in REAL:
        (folder / name).write_bytes(b"of a real run")
    return folder


@pytest.fixture(scope="module")
def made(copy):
    """Return the copy after a run of make, and the words on the screen."""
    given = "NETID=abc123", "DATASET=sample", "EPOCHS=2", "SEED=7"
    code, words = make(copy, *given)
    assert code == 0, words
    return copy, words


def test_make_leaves_the_pdf_with_the_settings_given(made):
    pages = pypdf.PdfReader(made[0] / "abc123_HW9_PREVIEW.pdf").pages
    assert {tuple(page.mediabox) for page in pages} == {(0, 0, 612, 792)}
    text = [page.extract_text() for page in pages]
    assert len(pages) > 3 and all("PREVIEW" in page for page in text)
    given = "\n".join(text[2:]).split("Settings given to this run")[1][:500]
    for setting in ('NETID = "abc123"', "SEED = 7", "EPOCHS = 2", 'DATASET = "sample"'):
        assert setting in given
    for name in REAL:
        assert (made[0] / name).read_bytes() == b"of a real run", "untouched"
    assert len(list((made[0] / "figures").glob("*_PREVIEW.*"))) == 4


def test_the_screen_shows_progress_and_the_run_is_kept_beside_the_notebook(made):
    names = "HW9.ipynb", "abc123_HW9_PREVIEW.ipynb"
    before, after = (made[0] / name for name in names)
    assert before.read_bytes() == (PROJECT / "HW9.ipynb").read_bytes()
    before, after = (nbformat.read(path, 4).cells for path in (before, after))
    assert {cell.source for cell in before} < {cell.source for cell in after}
    assert len(after) == len(before) + 1, "and the settings given"
    assert "abc123_HW9_PREVIEW.pdf" in str(after[-2].outputs)
    assert re.search(r"Epoch 2/2: +\d+%", made[1])
    assert "abc123_HW9_PREVIEW.pdf" in made[1].split("\n")[-2]
    assert "warning" not in made[1].lower() and "error" not in made[1].lower()


WRONG = {
    "NETID=a/b": "ValueError: NETID = 'a/b': it must be",
    'NETID=a "b': """ValueError: NETID = 'a "b': it must be""",
    "EPOCH=3": "There is no setting EPOCH:",
}


@pytest.mark.parametrize("given", WRONG)
def test_a_wrong_setting_stops_make_with_one_line(copy, given):
    code, screen = make(copy, "DATASET=sample", given)
    assert code != 0 and "Traceback" not in screen
    *_, words, last = filter(str.strip, screen.split("\n"))
    assert WRONG[given] in words and last.startswith("make: ***")


def test_without_the_notebook_make_says_so(copy, tmp_path):
    for name in ("Makefile", "requirements.txt"):
        shutil.copy2(copy / name, tmp_path)
    code, screen = make(tmp_path)
    assert code != 0 and "HW9.ipynb is not here" in screen


@pytest.fixture(scope="module")
def notebook():
    """Return the notebook that is committed, or about to be."""
    return nbformat.reads(committed("HW9.ipynb"), 4)


def test_committed_from_restart_and_run_all(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert "60,000 training" in str(outputs), "on MNIST itself"
    assert "widgets" not in notebook.metadata and "widget-view" not in str(outputs)
    assert not re.search(r"/(home|root|tmp|work|Users)/", str(outputs))
    metadata = json.dumps([cell.metadata for cell in notebook.cells])
    assert "papermill" not in metadata + json.dumps(notebook.metadata)
    assert len(committed("HW9.ipynb").encode()) < 2e6


def test_committed_as_a_reader_can_take_it_in(notebook):
    code = [cell.source.split("\n") for cell in notebook.cells if "outputs" in cell]
    lengths = [sum(map(bool, map(str.strip, lines))) for lines in code]
    prose = " ".join(cell.source for cell in notebook.cells if "outputs" not in cell)
    assert len(code) <= 36 and sum(lengths) <= 520 and len(prose.split()) <= 2900
    assert max(lengths) <= 35 and sorted(lengths)[len(lengths) // 2] <= 14
    assert max(len(line) for lines in code for line in lines) <= 88
    assert len({lines[0] for lines in code}) == len(code), "the PDF's names for cells"
    tags = {cell.id: cell.metadata.get("tags") for cell in notebook.cells}
    assert {name for name, tag in tags.items() if tag} == {"settings"}
