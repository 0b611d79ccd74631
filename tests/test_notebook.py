"""The notebook as a whole: run by make in a real kernel, and committed as a reader should meet it."""

import json
import re
import shutil
import subprocess
import sys

import nbformat
import pypdf
import pytest
from conftest import PROJECT, committed, outside_make, read_cells

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Run the README's own command on the sample in a copy of the project; return folder and output."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("HW9.ipynb", "Makefile", "requirements.txt"):
        shutil.copy2(PROJECT / name, folder)
    shutil.copytree(PROJECT / "data" / "sample", folder / "data" / "sample")
    (folder / "figures").mkdir()
    (folder / "figures" / "same_digit.png").write_bytes(b"of a real run")
    (folder / "abc123_HW9.pdf").write_bytes(b"of a real run")
    command = ["make", f"VENV={sys.prefix}", "NETID=abc123", "DATASET=sample", "EPOCHS=2", "SEED=7"]
    made = subprocess.run(command, cwd=folder, env=outside_make(), capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    return folder, made.stdout + made.stderr


def test_make_leaves_the_pdf_and_the_figures(made):
    folder, _ = made
    pages = pypdf.PdfReader(folder / "abc123_HW9_PREVIEW.pdf").pages
    assert len(pages) > 3 and tuple(pages[0].mediabox) == (0, 0, 612, 792)
    text = pages[2].extract_text()
    assert 'NETID = "abc123"' in text and "SEED = 7" in text, (
        "the settings given to make are in the code"
    )
    for stem in ("same_digit", "different_digit"):
        assert (folder / "figures" / f"{stem}_PREVIEW.png").stat().st_size > 10_000
        assert (folder / "figures" / f"{stem}_PREVIEW.pdf").read_bytes().startswith(b"%PDF")


def test_a_run_on_the_sample_is_no_submission_and_touches_none(made):
    folder, _ = made
    assert (folder / "abc123_HW9.pdf").read_bytes() == b"of a real run"
    assert (folder / "figures" / "same_digit.png").read_bytes() == b"of a real run"
    assert all(
        "PREVIEW" in page.extract_text()
        for page in pypdf.PdfReader(folder / "abc123_HW9_PREVIEW.pdf").pages
    )


def test_the_shell_shows_progress(made):
    _, output = made
    assert re.search(r"Executing Interpolation: +\d+%", output), "which part of the notebook"
    assert re.search(r"Epoch 2/2: .*<\d\d:\d\d.*train=\d+.*validation=\d+", output), (
        "epoch, time left, losses"
    )
    assert "warning" not in output.lower() and "error" not in output.lower()


def test_the_notebook_ran_in_place_and_stays_clean(made):
    before, after = PROJECT / "HW9.ipynb", made[0] / "HW9.ipynb"
    before, after = (nbformat.read(path, as_version=4) for path in (before, after))
    assert [cell.source for cell in after.cells] == [cell.source for cell in before.cells]
    assert any("abc123_HW9_PREVIEW.pdf" in str(cell.get("outputs")) for cell in after.cells)
    assert "papermill" not in json.dumps([cell.metadata for cell in after.cells] + [after.metadata])
    counts = [cell.execution_count for cell in after.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))
    tagged = [cell.id for cell in after.cells if "parameters" in cell.metadata.get("tags", [])]
    assert tagged == ["settings"]


def test_a_wrong_setting_stops_make_at_once(made):
    folder, _ = made
    before = (folder / "HW9.ipynb").read_bytes()
    command = ["make", f"VENV={sys.prefix}", "NETID=a/b", "DATASET=sample"]
    result = subprocess.run(command, cwd=folder, env=outside_make(), capture_output=True, text=True)
    assert result.returncode != 0
    assert "ValueError: NETID = 'a/b' is not allowed" in result.stdout + result.stderr
    assert (folder / "HW9.ipynb").read_bytes() == before, "with the outputs of the last run"
    command = ["make", f"VENV={sys.prefix}", "EPOCH=3"]
    result = subprocess.run(command, cwd=folder, env=outside_make(), capture_output=True, text=True)
    assert result.returncode != 0 and "no setting EPOCH" in result.stderr and "EPOCHS" in result.stderr


def test_committed_from_restart_and_run_all():
    text = committed("HW9.ipynb")
    notebook = nbformat.reads(text, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert "mnist: 60,000 images" in str(outputs), "on MNIST itself"
    assert "widgets" not in notebook.metadata
    assert not re.search(r"/(home|root|tmp|work|Users)/", str(outputs))
    assert len(text) < 2e6


def test_cells_are_short():
    lengths = [len(list(filter(str.strip, source.split("\n")))) for source in read_cells().values()]
    assert max(lengths) <= 35
    assert sorted(lengths)[len(lengths) // 2] <= 15


def test_model_loss_and_training_take_sixty_lines_at_most():
    """Lines of code, that is: without comments, docstrings and blank lines."""
    cells = read_cells()
    names = "residual encoder decoder loss sample optimizer precision train".split()
    code = re.sub(r'""".*?"""', "", "\n".join(cells[name] for name in names), flags=re.DOTALL)
    lines = [line for line in map(str.strip, code.split("\n")) if line and not line.startswith("#")]
    assert 50 < len(lines) <= 60


def test_the_contracts_names_are_live(run):
    for name in ("encoder", "decoder", "mnist_train", "mnist_test", "train_loader", "test_loader"):
        assert name in run.names
    image, digit = run.names["mnist_test"][0]
    assert image.shape == (1, 28, 28) and isinstance(digit, int)
    mu, logvar = run.names["encoder"](image)
    assert run.names["decoder"](mu).shape == (1, 28, 28) and logvar.shape == mu.shape
