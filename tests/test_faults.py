"""What may go wrong in a whole run, provoked by the tests (`make test-faults`)."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import pypdf
import pytest
from conftest import PROJECT, outside_make, read_cells, run_on_sample
from test_notebook import copy_project

pytestmark = pytest.mark.faults
GOOD, PREVIEW = "abc123_HW9.pdf", "abc123_HW9_PREVIEW.pdf"
READY = f"{GOOD} is ready to hand in.\n"
CELLS = read_cells()
PART_5 = [source for source in CELLS.values() if source.startswith("# 5.")]
BELOW = list(CELLS.values())[list(CELLS).index("interpolate") :]  # Parts 4 to 6


def as_if_mnist(folder, **settings):
    """Run the notebook on the sample, as if that were MNIST."""
    before, told, after = CELLS["data"].partition('preview = "made')
    assert told
    data = before + 'preview = ""\n' + after.partition("\n")[2]
    return run_on_sample(folder, CELLS | {"data": data}, **settings)


def read(path):
    """Return the text of each page of a PDF."""
    return [page.extract_text() for page in pypdf.PdfReader(path).pages]


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    """Return a run that has made a submission; each test leaves it so."""
    run = as_if_mnist(tmp_path_factory.mktemp("ready"))
    assert run.out.endswith(READY), run.out
    return run


def test_a_full_disk_leaves_the_earlier_submission_whole(ready):
    before = (ready.folder / GOOD).read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            ready.execute(CELLS["save"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (ready.folder / GOOD).read_bytes() == before
    assert ready.execute(CELLS["save"]) == READY, "once there is room"
    assert not list(ready.folder.glob("*.part"))


def test_parts_4_to_6_run_again_in_any_order(ready):
    """With names of a student's own; and the pages say the same as before."""
    before = read(ready.folder / GOOD)
    ready.execute("kl = digits = x = row = 3")
    for source in [*BELOW[::-1], BELOW[-1]]:
        said = ready.execute(source)
    after = read(ready.folder / GOOD)
    assert said == READY and after[:2] == before[:2]
    before, after = ("".join(pages) for pages in (before, after))
    assert "kl = digits" in after and len(after) < 60 + len(before)


def test_magics_and_commands_go_through(ready):
    own = ["!echo installed", "# only a comment", "%%time\na = 1", "%%time\nb = 2"]
    for source in own:
        ready.execute(source)
    for name in ("same", "different", "plane", "save"):
        said = ready.execute("%%time\n" + CELLS[name])
    text = "\n".join([*read(ready.folder / GOOD)[2:], ""])
    assert READY in said and text.count("%%time") == 6
    for line in ("!echo installed", "# only a comment", "a = 1", "b = 2"):
        assert f"\n{line}\n" in text


def test_another_directory_and_removed_figures_do_no_harm(ready, tmp_path, monkeypatch):
    monkeypatch.chdir(PROJECT)
    shutil.rmtree(ready.folder / "figures")
    ready.execute(f"%cd {tmp_path}")
    assert ready.execute(CELLS["save"]) == READY and not list(tmp_path.iterdir())
    names = {path.name for path in (ready.folder / "figures").iterdir()}
    assert names == {"same_digit.png", "different_digit.png"}


def test_the_stop_button(ready, monkeypatch):
    """Until training has run to its end, what follows is a PREVIEW that names it."""
    before = (ready.folder / GOOD).read_bytes()
    stop = lambda *_: signal.raise_signal(signal.SIGINT)  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setitem(ready.names, "evaluate", stop)
        with pytest.raises(KeyboardInterrupt):
            ready.execute(CELLS["fit"])
    rest = list(CELLS.values())[list(CELLS).index("fit") :]
    rest = [source for source in rest if source not in PART_5]
    for source in rest[1:]:
        said = ready.execute(source)
    reason = "run 3.7 Train and all below again"
    assert said == f"{PREVIEW} PREVIEW, do not submit: {reason}.\n"
    assert (ready.folder / GOOD).read_bytes() == before
    for source in rest:
        said = ready.execute(source)
    assert said == READY


def test_of_two_runs_in_one_folder_each_has_its_own_figures(ready):
    """The second begins and ends before the first one's last cell."""
    paths = [ready.folder / GOOD, ready.folder / "xyz_HW9.pdf"]
    shutil.rmtree(ready.folder / "data")
    other = as_if_mnist(ready.folder, NETID="xyz", SEED=7)
    assert ready.execute(CELLS["save"]) == READY
    pages = [pypdf.PdfReader(path).pages[0] for path in paths]
    for page, seed, run in zip(pages, (0, 7), (ready, other), strict=True):
        assert f"Seed {seed} " in page.extract_text()
        figure = run.names["same_figure"]
        assert str(figure["pairs"][0][0]) in page.extract_text()
    assert pages[0].images[0].data != pages[1].images[0].data


def begin(command, folder, **environment):
    """Begin a command in a folder, as a shell would."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    options = {"env": outside_make() | environment, "start_new_session": True}
    return subprocess.Popen(command, cwd=folder, **options, **pipes)


def test_two_runs_at_once(tmp_path):
    """Both end, and each PDF has its own seed's figures."""
    copy_project(tmp_path)
    command = [sys.executable, "tests/run.py", "DATASET=sample", "EPOCHS=1"]
    seeds = (1, 2)
    more = [[f"NETID=seed{seed}", f"SEED={seed}"] for seed in seeds]
    processes = []
    for words in more:
        processes.append(begin(command + words, tmp_path))
        time.sleep(5)  # of two begun in the same moment, one was seen to wait for ever
    for process in processes:
        words, _ = process.communicate(timeout=300)
        assert process.returncode == 0, words.decode()[-2000:]
    for seed in seeds:
        first = read(tmp_path / f"seed{seed}_HW9_PREVIEW.pdf")[0]
        assert f"Seed {seed} " in first


def test_make_interrupted(tmp_path):
    """Ctrl-C: one line of ours, the notebook as it was, and no kernel left behind."""
    copy_project(tmp_path)
    command = ["make", f"VENV={sys.prefix}", "NETID=abc123", "DATASET=sample"]
    process, seen = begin([*command, "EPOCHS=500"], tmp_path), b""
    while b"Epoch 2/" not in seen:
        part = os.read(process.stdout.fileno(), 10_000)
        assert part, seen
        seen += part
    os.killpg(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode != 0 and b"Stopped. Nothing is lost" in rest, rest
    assert b"Traceback" not in rest, rest.decode()
    before, after = (at / "HW9.ipynb" for at in (PROJECT, tmp_path))
    assert before.read_bytes() == after.read_bytes()
    time.sleep(1)
    every = subprocess.run("readlink /proc/[0-9]*/cwd", shell=True, stdout=-1).stdout
    assert str(tmp_path).encode() not in every.splitlines()
