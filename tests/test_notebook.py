"""The notebook as a whole: run by make, and as committed; the pages' links."""

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pypdf
import pytest
from notebook import PROJECT

# A poor shell: no home, no UTF-8.
POOR = {"HOME": "/nonexistent", "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}


def committed(path):
    """Return a file as committed or staged, whatever has been run here since."""
    command = ["git", "show", f":{path}"]
    shown = subprocess.run(command, cwd=PROJECT, capture_output=True)
    if shown.returncode:
        pytest.skip("not a git checkout")
    return shown.stdout.decode()


def outside_make():
    """Return the environment without what a `make` above these tests has put there."""
    environment = dict(os.environ)
    for name in os.environ:
        if name.startswith(("MAKE", "MFLAGS", "REQUIREMENTS", "VENV")):
            del environment[name]
    return environment


def copy_project(folder):
    """Copy what `make` needs, and the sample, into a folder."""
    for name in ("HW9.ipynb", "Makefile", "requirements.txt", "run.py"):
        shutil.copy(PROJECT / name, folder / name)
    os.utime(folder / "requirements.txt", (1, 1))  # older than the environment
    shutil.copytree(PROJECT / "data" / "sample", folder / "data" / "sample")
    (folder / ".venv").symlink_to(sys.prefix)  # make knows no path with a space in it


def make(folder, *settings):
    """Run make in a poor shell; return its exit code, and what the screen shows."""
    done = subprocess.run(
        ["make", "DATASET=sample", *settings],
        cwd=folder,
        env=outside_make() | POOR,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.returncode, done.stdout.decode(errors="replace")


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Return a copy of the project, in a folder with an odd name."""
    folder = tmp_path_factory.mktemp("project") / "mein Übungsblatt (9)"
    folder.mkdir()
    copy_project(folder)
    return folder


@pytest.fixture(scope="module")
def made(copy):
    """Return the copy after a run of make, and what the screen showed."""
    code, screen = make(copy, "NETID=abc123", "EPOCHS=1", "SEED=7")
    assert code == 0, screen
    return copy, screen


def test_make_leaves_the_pdf_of_all_that_ran_with_the_settings_given(made):
    pages = pypdf.PdfReader(made[0] / "abc123_HW9_PREVIEW.pdf").pages
    listing = "".join(page.extract_text() for page in pages[2:])
    code = listing.partition("figures 4.5 to 4.7")[2]
    assert code.split()[:2] == ["0.1", "Begin"]
    for setting in ('NETID = "abc123"', "SEED = 7", "EPOCHS = 1", 'DATASET = "sample"'):
        assert setting in code
    assert "Seed 7." in pages[0].extract_text()


def test_the_run_is_left_beside_the_notebook(made):
    path = made[0] / "HW9.ipynb"
    assert path.read_bytes() == (PROJECT / "HW9.ipynb").read_bytes()
    after = nbformat.read(made[0] / "last_run.ipynb", 4).cells
    assert len(after) == len(nbformat.read(path, 4).cells) + 1, "the settings given"


def test_the_screen_shows_progress_no_warnings_and_ends_with_the_pdf(made):
    assert re.search(r"Epoch 1/1: +\d+%", made[1])
    assert "warning" not in made[1].lower()
    last = made[1].strip().split("\n")[-1]
    assert "/abc123_HW9_PREVIEW.pdf PREVIEW, do not submit: " in last


WRONG = {
    'NETID=a "b': "ValueError: NETID must be letters and digits, as in abc123.",
    "least=3": "There is no setting least:",
    "EPOCHS=ten": "EPOCHS=ten: it must be a number, as 8.",
}


@pytest.mark.parametrize("given", WRONG)
def test_a_wrong_setting_stops_make_with_one_line(copy, given):
    code, screen = make(copy, given)
    assert code != 0 and "Traceback" not in screen
    *_, words, last = filter(str.strip, screen.split("\n"))
    assert WRONG[given] in words and last.startswith("make: ***")


def test_where_nothing_can_be_written_one_line_says_so(tmp_path):
    copy_project(tmp_path)
    (tmp_path / "last_run.ipynb").mkdir()  # root may write into any folder
    code, screen = make(tmp_path)
    assert code != 0 and "Traceback" not in screen
    assert f"The run could not be saved in {tmp_path}: " in screen


@pytest.fixture(scope="module")
def notebook():
    """Return the notebook that is committed, or about to be, and its code cells."""
    notebook = nbformat.reads(committed("HW9.ipynb"), 4)
    return notebook, [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_committed_from_restart_and_run_all(notebook):
    _, code = notebook
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert "60000 training and 10000 test images" in str(outputs), "on MNIST itself"
    assert "netid_HW9.pdf is ready to hand in, if netid is your NetID" in str(outputs)


def test_committed_as_github_can_show_it(notebook):
    whole, code = notebook
    outputs = str([cell.outputs for cell in code])
    assert "widgets" not in whole.metadata and "widget-view" not in outputs
    assert not re.search(r"/(home|root|tmp|work|Users)/", outputs)
    metadata = json.dumps([cell.metadata for cell in whole.cells])
    assert "papermill" not in metadata + json.dumps(whole.metadata)
    assert len(committed("HW9.ipynb").encode()) < 2e6


def test_committed_with_a_rising_number_and_a_title_on_each_cell(notebook):
    numbers = []
    for cell in notebook[1]:
        title = re.match(r"# (\d+)\.(\d+) \S.*\n", cell.source)
        numbers.append((int(title[1]), int(title[2])))
    assert numbers == sorted(set(numbers))
    assert {part for part, _ in numbers} == set(range(7))


PAGES = "README.md", "benchmarks/README.md", "data/README.md", "tests/README.md"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_target_exists(page):
    for link in re.findall(r"(?:\]\(|src=\")([^)\s\"]+)", committed(page)):
        file = (PROJECT / page).parent / link.split("#")[0]
        assert link.startswith("https://") or file.exists(), link
