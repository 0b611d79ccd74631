"""What may go wrong in a whole run, provoked by the tests (`make test-faults`)."""

import functools
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time

import pypdf
import pytest
from child import Child
from conftest import PROJECT, outside_make, read_cells
from PIL import Image
from test_data import archive

pytestmark = pytest.mark.faults
SETTINGS = {"NETID": "abc123", "DATASET": "mnist", "EPOCHS": 3, "BATCH_SIZE": 256}
NAMES = list(read_cells())
# What the PDF needs: not the slow Part 5.
SHORT = [*NAMES[: NAMES.index("map")], *NAMES[NAMES.index("listing") :]]
WRITES = {"fit": "data/weights", "same": "figures", "save": "."}


def take_for_mnist(resources, names):
    """Let the sample be MNIST, and no mirror answer."""
    names["MNIST"].resources, names["MNIST"].mirrors = (
        resources,
        ["http://127.0.0.1:9/"],
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a function that begins a run in a folder, on the sample as if on MNIST."""
    archives = tmp_path_factory.mktemp("archives")
    prepare = functools.partial(take_for_mnist, archive(archives))

    def run(folder, order=SHORT, settings=SETTINGS, **options):
        raw = folder / "data" / "MNIST" / "raw"
        shutil.copytree(archives, raw, dirs_exist_ok=True)
        return Child(folder, settings, prepare, order, **options)

    return run


@pytest.fixture(scope="module")
def finished(run, tmp_path_factory):
    """Return the folder of a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("finished")
    child = run(folder)
    assert child.ends(), child.log()
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    """Return a copy of that folder."""
    return shutil.copytree(finished, tmp_path / "copy")


def results(folder):
    """Return the figures that a run leaves; fail if they or the PDF are not whole."""
    figures = [folder / "figures" / f"{name}_digit" for name in ("same", "different")]
    for path in figures:
        with Image.open(path.with_suffix(".png")) as image:
            image.load()
        assert len(pypdf.PdfReader(path.with_suffix(".pdf")).pages) == 1
    pages = pypdf.PdfReader(folder / "abc123_HW9.pdf").pages
    assert "abc123" in pages[-1].extract_text() and len(pages) > 3
    return [path.with_suffix(".png").read_bytes() for path in figures]


def assert_works(child, folder, finished):
    """Assert that a run ends with the results of one that nothing disturbed."""
    assert child.ends(), child.log()
    assert results(folder) == results(finished)
    assert not list(folder.rglob(f".part{child.process.pid}*"))


def write_no_more(deadly):
    """Let no file grow beyond 20 kB from now on: an error, or death while writing."""
    if deadly:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))


@pytest.mark.parametrize("deadly", [True, False], ids=["killed", "disk full"])
@pytest.mark.parametrize("cell", WRITES)
def test_while_writing(run, copy, finished, cell, deadly):
    """What was there is whole, nothing is half there, and the next run works."""
    if cell == "fit":
        shutil.rmtree(copy / "data" / "weights")
    kept = {path: path.read_bytes() for path in (copy / WRITES[cell]).glob("*.p*")}
    child = run(copy, before={cell: functools.partial(write_no_more, deadly)})
    assert not child.ends()
    assert kept == {path: path.read_bytes() for path in kept} and results(copy)
    files = list((copy / WRITES[cell]).glob("*.p*"))
    parts = [path for path in files if path.name.startswith(".part")]
    assert len(files) == len(kept) + len(parts) and len(parts) == deadly
    if not deadly:
        last = child.log().strip().splitlines()[-1]
        assert re.fullmatch(r"OSError: \S+ is as it was: .*\. Make room, retry\.", last)
    assert_works(run(copy), copy, finished)


def test_killed_while_training(run, copy, finished):
    shutil.rmtree(copy / "data" / "weights")
    child = run(copy)
    child.wait_for("fit")
    time.sleep(0.3)
    os.kill(child.process.pid, signal.SIGKILL)
    assert not child.ends() and results(copy)
    assert not (copy / "data" / "weights").exists()
    assert_works(run(copy), copy, finished)


def test_two_runs_at_once(run, finished, tmp_path):
    for child in [run(tmp_path), run(tmp_path)]:
        assert_works(child, tmp_path, finished)


def test_cells_run_twice_and_again_out_of_order(run, finished, tmp_path):
    child = run(tmp_path, order=[*SHORT, "same", "look", "save"], repeat=2)
    assert_works(child, tmp_path, finished)
    files = [folder / "abc123_HW9.pdf" for folder in (tmp_path, finished)]
    again, once = (
        [page.extract_text() for page in pypdf.PdfReader(file).pages] for file in files
    )
    assert again == once, "each cell stands there once, in the notebook's order"


def wait_for(child, words, seconds=60):
    """Wait until a run has printed these words."""
    end = time.monotonic() + seconds
    while words not in child.log():
        assert time.monotonic() < end, child.log()
        time.sleep(0.02)


def test_the_stop_button(run, tmp_path):
    """Training ends at once. Until it has run to its end, what follows is a PREVIEW."""
    good, preview = tmp_path / "abc123_HW9.pdf", tmp_path / "abc123_HW9_PREVIEW.pdf"
    good.write_bytes(b"an earlier one")
    order = [*SHORT, *SHORT[SHORT.index("fit") :]]
    child = run(tmp_path, order=order, settings=SETTINGS | {"EPOCHS": 20})
    child.wait_for("fit")
    wait_for(child, "Epoch 3/20")
    os.kill(child.process.pid, signal.SIGINT)
    wait_for(child, "PREVIEW", seconds=2)
    child.wait_for("fit")
    told = r"PREVIEW: training was stopped after [2-4] of 20 epochs\n"
    assert re.search(told, child.log()) and "HW9_PREVIEW.pdf: " in child.log()
    assert good.read_bytes() == b"an earlier one" and preview.exists()
    assert {path.stem[-7:] for path in (tmp_path / "figures").iterdir()} == {"PREVIEW"}
    assert child.ends(), child.log()
    said = child.log().rpartition("no submission: ")[2]
    assert "PREVIEW" not in said and "ready to hand in" in said and results(tmp_path)


def begin(command, folder, **environment):
    """Begin a command in a folder, as a shell would."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    options = {"env": outside_make() | environment, "start_new_session": True}
    return subprocess.Popen(command, cwd=folder, **options, **pipes)


def test_a_poor_shell(tmp_path):
    """No home, no UTF-8; an empty folder but for the sample, with a difficult name."""
    folder = tmp_path / "Übung 9 (α – ω)" / "my project"
    shutil.copytree(PROJECT / "data" / "sample", folder / "data" / "sample")
    poor = {"HOME": "/nonexistent", "LC_ALL": "C", "LANG": "C", "MPLBACKEND": ""}
    poor |= {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [f"{sys.prefix}/bin/papermill", PROJECT / "HW9.ipynb", "out.ipynb"]
    command += ["-r", "NETID", "abc123", "-r", "DATASET", "sample", "-p", "EPOCHS", "1"]
    output, _ = begin(command, folder, **poor).communicate(timeout=120)
    path = folder / "abc123_HW9_PREVIEW.pdf"
    assert path.exists(), output.decode(errors="replace")[-3000:]
    assert "Settings given to this run" in pypdf.PdfReader(path).pages[2].extract_text()


def test_make_interrupted(tmp_path):
    """Ctrl-C: one line of ours, the notebook as it was, and no kernel left behind."""
    for name in ("HW9.ipynb", "Makefile", "requirements.txt"):
        shutil.copy2(PROJECT / name, tmp_path)
    shutil.copytree(PROJECT / "data" / "sample", tmp_path / "data" / "sample")
    before = (tmp_path / "HW9.ipynb").read_bytes()
    command = ["make", f"VENV={sys.prefix}", "NETID=abc123", "DATASET=sample"]
    process, seen = begin([*command, "EPOCHS=500"], tmp_path), b""
    while b"Epoch 2/" not in seen:
        part = os.read(process.stdout.fileno(), 10_000)
        assert part, seen
        seen += part
    os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=30)
    assert process.returncode != 0 and b"Stopped. Nothing is lost" in rest, rest
    assert b"Traceback" not in rest, rest.decode()
    assert (tmp_path / "HW9.ipynb").read_bytes() == before
    time.sleep(1)
    every = subprocess.run("readlink /proc/[0-9]*/cwd", shell=True, stdout=-1).stdout
    assert str(tmp_path).encode() not in every.splitlines()
