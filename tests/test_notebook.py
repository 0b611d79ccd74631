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
from nbconvert.exporters import ScriptExporter

REAL = "figures/same_digit.png", "abc123_HW9.pdf"


def copy_project(folder):
    """Copy what `make` needs, and the sample, into a folder."""
    for name in ("HW9.ipynb", "Makefile", "requirements.txt", "tests/run.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / name, folder / name)
    os.utime(folder / "requirements.txt", (1, 1))  # older than the environment
    shutil.copytree(PROJECT / "data" / "sample", folder / "data" / "sample")


def make(folder, *settings):
    """Run make in a poor shell: no home, no UTF-8; return its exit code and words."""
    poor = {"HOME": "/nonexistent", "LC_ALL": "C", "LANG": "C", "MPLBACKEND": ""}
    poor |= {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = ["make", f"VENV={sys.prefix}", *settings]
    given = {"cwd": folder, "env": outside_make() | poor, "stdout": subprocess.PIPE}
    done = subprocess.run(command, stderr=subprocess.STDOUT, **given)
    return done.returncode, done.stdout.decode(errors="replace")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Return a copy of the project with the files of an earlier, real run."""
    folder = tmp_path_factory.mktemp("project") / "my project (9)"
    folder.mkdir()
    copy_project(folder)
    (folder / "figures").mkdir()
    for name in REAL:
        (folder / name).write_bytes(b"of a real run")
    return folder


@pytest.fixture(scope="module")
def made(copy):
    """Return the copy after a run of make, and the words on the screen."""
    code, words = make(copy, "NETID=abc123", "DATASET=sample", "EPOCHS=1", "SEED=7")
    assert code == 0, words
    return copy, words


def test_make_leaves_the_pdf_with_the_settings_given(made):
    pages = pypdf.PdfReader(made[0] / "abc123_HW9_PREVIEW.pdf").pages
    assert 4 <= len(pages) <= 11
    assert {tuple(page.mediabox) for page in pages} == {(0, 0, 612, 792)}
    given = pages[2].extract_text().split("# Parameters")[1]
    for setting in ('NETID = "abc123"', "SEED = 7", "EPOCHS = 1", 'DATASET = "sample"'):
        assert setting in given
    assert "Seed 7 " in pages[0].extract_text()


def test_a_preview_touches_nothing_of_a_real_run(made):
    for name in REAL:
        assert (made[0] / name).read_bytes() == b"of a real run"
    assert len(list((made[0] / "figures").iterdir())) == 1


def test_the_run_is_left_beside_the_notebook(made):
    before, after = (made[0] / name for name in ("HW9.ipynb", "last_run.ipynb"))
    assert before.read_bytes() == (PROJECT / "HW9.ipynb").read_bytes()
    before, after = (nbformat.read(path, 4).cells for path in (before, after))
    assert {cell.source for cell in before} < {cell.source for cell in after}
    assert len(after) == len(before) + 1, "and the settings given"
    assert "abc123_HW9_PREVIEW.pdf" in str(after[-2].outputs)


def test_the_screen_shows_progress_and_the_end(made):
    assert re.search(r"Epoch 1/1: +\d+%", made[1])
    last = made[1].strip().split("\n")[-1]
    assert last.startswith("abc123_HW9_PREVIEW.pdf PREVIEW, do not submit: ")


def test_the_screen_shows_no_warnings(made):
    words = made[1].lower().replace("error at the ends", "")
    assert "warning" not in words and "error" not in words


WRONG = {
    'NETID=a "b': """ValueError: NETID = 'a "b': it must be letters and digits""",
    "least=3": "There is no setting least:",
}


@pytest.mark.parametrize("given", WRONG)
def test_a_wrong_setting_stops_make_with_one_line(copy, given):
    code, screen = make(copy, "DATASET=sample", given)
    assert code != 0 and "Traceback" not in screen
    *_, words, last = filter(str.strip, screen.split("\n"))
    assert WRONG[given] in words and last.startswith("make: ***")


def test_an_error_of_two_lines_is_shown_whole(tmp_path):
    copy_project(tmp_path)
    notebook = nbformat.read(tmp_path / "HW9.ipynb", 4)
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    first.source = 'raise OSError("No space left on device.\\nTry again, or wait.")'
    nbformat.write(notebook, tmp_path / "HW9.ipynb")
    code, screen = make(tmp_path, "DATASET=sample")
    assert code != 0 and "Traceback" not in screen
    assert "OSError: No space left on device.\nTry again, or wait.\nmake" in screen


def test_without_the_notebook_make_says_so(tmp_path):
    copy_project(tmp_path)
    (tmp_path / "HW9.ipynb").unlink()
    code, screen = make(tmp_path)
    assert code != 0 and "HW9.ipynb is not here" in screen


@pytest.fixture(scope="module")
def notebook():
    """Return the notebook that is committed, or about to be."""
    return nbformat.reads(committed("HW9.ipynb"), 4)


def read_outputs(notebook):
    """Return the outputs of all cells."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return [output for cell in code for output in cell.outputs]


def test_committed_from_restart_and_run_all(notebook):
    counts = [c.execution_count for c in notebook.cells if c.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    outputs = read_outputs(notebook)
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert "60000 training and 10000 test images" in str(outputs), "on MNIST itself"


def test_committed_as_github_can_show_it(notebook):
    outputs = str(read_outputs(notebook))
    assert "widgets" not in notebook.metadata and "widget-view" not in outputs
    assert not re.search(r"/(home|root|tmp|work|Users)/", outputs)
    metadata = json.dumps([cell.metadata for cell in notebook.cells])
    assert "papermill" not in metadata + json.dumps(notebook.metadata)
    assert len(committed("HW9.ipynb").encode()) < 2e6


def test_committed_with_a_rising_number_and_a_title_on_each_cell(notebook):
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    titles = [re.match(r"# (\d+)\.(\d+) \S.*\n", source) for source in code]
    assert all(titles)
    numbers = [(int(title[1]), int(title[2])) for title in titles]
    assert numbers == sorted(set(numbers)) and {a for a, _ in numbers} == set(range(7))


def test_committed_becomes_a_script_of_python(notebook):
    script, about = ScriptExporter().from_notebook_node(notebook)
    assert about["output_extension"] == ".py" and "class Encoder" in script
