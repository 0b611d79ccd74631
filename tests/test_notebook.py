"""The notebook as a whole: run by make, and as committed; the pages' links."""

import os
import re
import shutil
import subprocess
import sys

import nbformat
import pypdf
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from read_notebook import PROJECT, read_cells

from run import write_setting

SETTINGS = read_cells()["Settings"]


def in_shell(folder, *command):
    """Run a command in a poor shell, without UTF-8; return what the screen shows."""
    shell = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C"}
    done = subprocess.run(
        command,
        cwd=folder,
        env=shell | {"PYTHONIOENCODING": "ascii"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return done.stdout.decode(errors="replace").strip()


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Return a copy of the project, in a folder with an odd name."""
    folder = tmp_path_factory.mktemp("project") / "mein Übungsblatt (9)"
    shutil.copytree(PROJECT / "data" / "sample", folder / "data" / "sample")
    for name in ("Makefile", "requirements.txt", "run.py"):
        shutil.copy(PROJECT / name, folder)
    notebook = (PROJECT / "HW9.ipynb").read_text(encoding="utf-8")
    notebook = notebook.replace("times=250", "times=20")  # fewer walks, for speed
    (folder / "HW9.ipynb").write_text(notebook, encoding="utf-8")
    os.utime(folder / "requirements.txt", (1, 1))  # older than the environment
    (folder / ".venv").symlink_to(sys.prefix)  # make knows no path with a space in it
    return folder


@pytest.fixture(scope="module")
def screen(copy):
    """Return what the screen showed when make ran in the copy."""
    return in_shell(
        copy, "make", "DATASET=sample", "NETID=abc123", "EPOCHS=1", "SEED=7"
    )


@pytest.fixture(scope="module")
def pages(copy, screen):
    """Return the text of the pages that make left."""
    pdf = pypdf.PdfReader(copy / "abc123_HW9_PREVIEW.pdf")
    return [page.extract_text() for page in pdf.pages]


# Run by make


def test_make_leaves_the_pdf_of_all_that_ran(pages):
    assert "(seed 7, 4.1)" in pages[0]
    assert "0.1 Environment" in pages[2]
    assert "4.9 Different digits" in pages[-1]


GIVEN = ['NETID = "abc123"', "SEED = 7", "EPOCHS = 1", 'DATASET = "sample"']


@pytest.mark.parametrize("line", GIVEN)
def test_settings_given_are_written_into_their_cell(pages, line):
    assert "".join(pages).count(f"\n{line}  #") == 1


def test_the_run_is_left_beside_the_notebook(copy, screen):
    run = (copy / "last_run.ipynb").read_text(encoding="utf-8")
    notebook = (copy / "HW9.ipynb").read_text(encoding="utf-8")
    assert "SEED = 7" in run
    assert "SEED = 7" not in notebook


def test_the_screen_shows_progress_and_ends_with_the_pdf(screen):
    assert re.search(r"Epoch 1/1: +\d+%", screen)
    last = screen.split("\n")[-1]
    assert "/abc123_HW9_PREVIEW.pdf PREVIEW, do not submit: " in last


def test_a_wrong_setting_stops_make_with_one_line(copy):
    words = 'EPOCHS=a "b: it must be a number, as 8.\nmake: *** '
    assert in_shell(copy, "make", 'EPOCHS=a "b').startswith(words)


# run.py


def test_a_kernel_that_dies_says_so(tmp_path):
    shutil.copy(PROJECT / "run.py", tmp_path)
    deadly = new_code_cell("import os\nos.kill(os.getpid(), 9)")
    cells = [new_code_cell(SETTINGS), deadly]
    nbformat.write(new_notebook(cells=cells), tmp_path / "HW9.ipynb")
    screen = in_shell(tmp_path, sys.executable, "run.py", "NETID=7")
    assert screen.endswith("\nThe kernel died, perhaps for want of memory.")
    assert "Traceback" not in screen


def test_a_setting_that_is_not_there_is_refused():
    with pytest.raises(SystemExit, match="There is no setting least"):
        write_setting("least=3", SETTINGS)


# As committed


def committed(path):
    """Return a file as committed or staged, whatever has been run here since."""
    command = ["git", "show", f":{path}"]
    shown = subprocess.run(command, cwd=PROJECT, capture_output=True)
    if shown.returncode:
        pytest.skip("not a git checkout")
    return shown.stdout.decode()


@pytest.fixture
def code():
    """Return the code cells of the notebook that is committed, or about to be."""
    notebook = nbformat.reads(committed("HW9.ipynb"), as_version=4)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture
def outputs(code):
    """Return the outputs of these cells as one text."""
    return str([cell.outputs for cell in code])


def test_committed_from_restart_and_run_all(code):
    counts = [cell.execution_count for cell in code]
    assert counts == list(range(1, len(code) + 1))


def test_committed_on_mnist_itself(outputs):
    assert "60000 training and 10000 test images" in outputs
    assert "netid_HW9.pdf is ready to hand in, if netid is your NetID" in outputs


WORDS = "'error'|'stderr'|widget-view|/(home|root|tmp|work|Users)/"


def test_committed_without_errors_widgets_and_paths_of_a_machine(outputs):
    assert re.search(WORDS, outputs) is None


def test_committed_as_github_can_show_it():
    text = committed("HW9.ipynb")
    assert re.search('"(papermill|widgets)": {', text) is None
    assert len(text) < 2e6


def test_committed_with_a_rising_number_and_a_title_on_each_cell(code):
    numbers = []
    for cell in code:
        title = re.match(r"# (\d)\.(\d+) [A-Z].*\n", cell.source)
        numbers.append((int(title[1]), int(title[2])))
    assert numbers == sorted(set(numbers))


PAGES = [
    "HW9.ipynb",
    "README.md",
    "benchmarks/README.md",
    "benchmarks/NOTES.md",
    "data/README.md",
    "tests/README.md",
]


@pytest.mark.parametrize("page", PAGES)
def test_every_link_target_exists(page):
    for link in re.findall(r"(?:\]\(|src=\\?\")([\w:/.][^)\s\"\\]+)", committed(page)):
        file = (PROJECT / page).parent / link.split("#")[0]
        assert link.startswith("https://") or file.exists(), link
