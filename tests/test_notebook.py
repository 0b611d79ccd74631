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
from conftest import committed, outside_make
from notebook import PROJECT

REAL = "figures/same_digit.png", "abc123_HW9.pdf"


def copy_project(folder):
    """Copy what `make` needs, and the sample, into a folder."""
    for name in ("HW9.ipynb", "Makefile", "requirements.txt", "run.py"):
        shutil.copy(PROJECT / name, folder / name)
    os.utime(folder / "requirements.txt", (1, 1))  # older than the environment
    shutil.copytree(PROJECT / "data" / "sample", folder / "data" / "sample")
    (folder / ".venv").symlink_to(sys.prefix)  # make knows no path with a space in it


def make(folder, *settings):
    """Run make in a poor shell: no home, no UTF-8; return its exit code and words."""
    environment = outside_make()
    environment |= {
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "LANG": "C",
        "MPLBACKEND": "",
    }
    environment |= {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        ["make", *settings],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout.decode(errors="replace")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Return a copy of the project with the files of an earlier, real run."""
    folder = tmp_path_factory.mktemp("project") / "mein Übungsblatt (9)"
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
    text = "".join(page.extract_text() for page in pages)
    for setting in ('NETID = "abc123"', "SEED = 7", "EPOCHS = 1", 'DATASET = "sample"'):
        assert setting in text.partition("0.4 Check the settings")[2]
    assert "Seed 7." in pages[0].extract_text()


def test_the_listing_begins_with_the_first_cell(made):
    text = pypdf.PdfReader(made[0] / "abc123_HW9_PREVIEW.pdf").pages[2].extract_text()
    assert text.partition("figures 4.5 to 4.7")[2].split()[:2] == ["0.1", "Begin"]


def test_a_preview_touches_nothing_of_a_real_run(made):
    for name in REAL:
        assert (made[0] / name).read_bytes() == b"of a real run"


def test_the_run_is_left_beside_the_notebook(made):
    path = made[0] / "HW9.ipynb"
    assert path.read_bytes() == (PROJECT / "HW9.ipynb").read_bytes()
    before = nbformat.read(path, 4).cells
    after = nbformat.read(made[0] / "last_run.ipynb", 4).cells
    assert {cell.source for cell in before} < {cell.source for cell in after}
    assert len(after) == len(before) + 1, "and the settings given"


def test_the_screen_shows_progress_no_warnings_and_ends_with_the_pdf(made):
    assert re.search(r"Epoch 1/1: +\d+%", made[1])
    assert "warning" not in made[1].lower()
    last = made[1].strip().split("\n")[-1]
    assert "/abc123_HW9_PREVIEW.pdf PREVIEW, do not submit: " in last


WRONG = {
    'NETID=a "b': "ValueError: NETID must be letters and digits, as in abc123.",
    "least=3": "There is no setting least:",
    "EPOCHS=ten": "EPOCHS=ten: it must be a number, as 8.",
    "SEED=1.5": "SEED=1.5: it must be a number, as 0.",
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


def test_where_nothing_can_be_written_one_line_says_so(tmp_path):
    copy_project(tmp_path)
    (tmp_path / "last_run.ipynb").mkdir()  # root may write into any folder
    code, screen = make(tmp_path, "DATASET=sample")
    assert code != 0 and "Traceback" not in screen
    assert f"The run could not be saved in {tmp_path}: " in screen


def test_run_py_works_in_the_projects_folder_wherever_it_was_called(tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    copy_project(project)
    command = [sys.executable, "project/run.py", "NETID=abc123", "DATASET=sample"]
    done = subprocess.run([*command, "EPOCHS=1"], cwd=tmp_path, capture_output=True)
    last = done.stdout.decode().strip().split("\n")[-1]
    assert last.startswith(f"{project}/abc123_HW9_PREVIEW.pdf PREVIEW")
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


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
    assert "netid_HW9.pdf is ready to hand in, if netid is your NetID" in str(outputs)


def test_committed_as_github_can_show_it(notebook):
    outputs = str(read_outputs(notebook))
    assert "widgets" not in notebook.metadata and "widget-view" not in outputs
    assert not re.search(r"/(home|root|tmp|work|Users)/", outputs)
    metadata = json.dumps([cell.metadata for cell in notebook.cells])
    assert "papermill" not in metadata + json.dumps(notebook.metadata)
    assert len(committed("HW9.ipynb").encode()) < 2e6


def test_committed_with_a_rising_number_and_a_title_on_each_cell(notebook):
    numbers = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            title = re.match(r"# (\d+)\.(\d+) \S.*\n", cell.source)
            numbers.append((int(title[1]), int(title[2])))
    assert numbers == sorted(set(numbers)) and {part for part, _ in numbers} == set(
        range(7)
    )
