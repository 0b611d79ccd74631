"""What may go wrong in a whole run: each test provokes the fault itself (`make test-faults`)."""

import contextlib
import functools
import hashlib
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import types

import nbformat
import pypdf
import pytest
from child import Child
from conftest import PROJECT, outside_make, read_cells
from PIL import Image
from test_data import archive, serving

pytestmark = pytest.mark.faults
RAW = PROJECT / "data" / "sample" / "MNIST" / "raw"
SETTINGS = {"NETID": "abc123", "DATASET": "mnist", "EPOCHS": 3, "LATENT_DIM": 8, "BATCH_SIZE": 256}
FIGURES = ["same_digit.png", "different_digit.png", "interpolation.gif"]
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounts and changes users: needs root")


def stand_in():
    """Return the sample's files as if they were MNIST's, {name: (bytes, md5)}."""
    files = {}
    for path in RAW.iterdir():
        content = path.read_bytes()
        files[path.name] = len(content), hashlib.md5(content).hexdigest()
    return files


def point_to(mirrors, resources, names):
    """Point torchvision to mirrors."""
    names["MNIST"].mirrors, names["MNIST"].resources = mirrors, resources


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a function that begins a run in a folder, the sample standing in for MNIST."""
    served = tmp_path_factory.mktemp("served")
    resources = archive(served)
    with serving(served) as address:

        def run(folder, mirror="good", settings=SETTINGS, more=None, **options):
            prepare = functools.partial(point_to, [f"{address}/{mirror}/"], resources)
            patches = {"files": {"MNIST_FILES": stand_in()}} | (more or {})
            return Child(folder, settings, patches=patches, prepare=prepare, **options)

        yield run


def project(folder):
    """Return a new folder with nothing but the notebook in it."""
    folder.mkdir(parents=True)
    shutil.copy2(PROJECT / "HW9.ipynb", folder)
    return folder


@pytest.fixture(scope="module")
def finished(run, tmp_path_factory):
    """Return the folder of a run that nothing disturbed."""
    folder = project(tmp_path_factory.mktemp("finished") / "project")
    child = run(folder)
    assert child.ends(), child.log()
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    """Return a copy of that folder."""
    return shutil.copytree(finished, tmp_path / "project")


def pictures(folder):
    """Return the figures that a run leaves; fail if one is not whole."""
    for name in FIGURES:
        with Image.open(folder / "figures" / name) as image:
            image.load()
    for name in ("same_digit.pdf", "different_digit.pdf"):
        assert len(pypdf.PdfReader(folder / "figures" / name).pages) == 1
    assert len(pypdf.PdfReader(folder / "abc123_HW9.pdf").pages) > 3
    return [(folder / "figures" / name).read_bytes() for name in FIGURES]


def moments():
    """Return 20 moments to kill at: a cell, and seconds after it begins, or where a file begins."""
    draw = random.Random(9)
    spans = {"load": 0.8, "fit": 1.5, "same": 1.5, "different": 1.0, "submit": 1.2}
    return [(cell, draw.uniform(0, span)) for cell, span in spans.items() for _ in range(3)] + [
        ("load", "data/MNIST/raw"),
        *[("fit", "data/weights")] * 2,
        ("same", "figures"),
        ("gif", "figures"),
    ]


@pytest.mark.parametrize(("cell", "when"), moments())
def test_killed_at_any_moment(run, copy, finished, cell, when):
    """An earlier PDF and earlier figures stay whole, and the next run ends with the same pictures."""
    lost = {"load": "MNIST", "fit": "weights"}.get(cell)
    if lost:
        shutil.rmtree(copy / "data" / lost)
    child = run(copy, mirror="slow" if cell == "load" else "good")
    child.wait_for(cell)
    if isinstance(when, str):
        child.wait_for_part(copy / when) if cell != "load" else time.sleep(0.3)
    else:
        time.sleep(when)
    child.kill()
    pictures(copy)
    child = run(copy)
    assert child.ends(), child.log()
    assert pictures(copy) == pictures(finished)


def test_interrupted_in_a_kernel(tmp_path):
    """The stop button: within a second, the best weights are there, and the cell goes on from there."""
    from jupyter_client.manager import start_new_kernel

    folder = project(tmp_path / "project")
    shutil.copytree(PROJECT / "data" / "sample", folder / "data" / "sample")
    manager, client = start_new_kernel(cwd=folder)
    shown = []

    def listen(message):
        content = message["content"]
        shown.append(content.get("text", "") or "\n".join(content.get("traceback", [])))

    def execute(source):
        reply = client.execute_interactive(source, timeout=120, output_hook=listen)
        assert reply["content"]["status"] == "ok", shown[-1]

    cells = read_cells()
    names = list(cells)
    try:
        for name in names[: names.index("fit")]:
            execute(cells[name])
            if name == "settings":
                execute("DATASET, EPOCHS, NETID = 'sample', 300, 'abc123'")
        client.execute(cells["fit"])
        seen = ""
        while "Epoch 4/300" not in seen:
            message = client.get_iopub_msg(timeout=60)
            seen += message["content"].get("text", "")
        start = time.perf_counter()
        manager.interrupt_kernel()
        while "Stopped after" not in seen:
            message = client.get_iopub_msg(timeout=60)
            seen += message["content"].get("text", "")
        assert time.perf_counter() - start < 1
        assert "Stopped after 3 of 300 epochs" in seen
        while message["content"].get("execution_state") != "idle":
            message = client.get_iopub_msg(timeout=60)
        execute("assert history[-1]['validation'] == evaluate(encoder, plain_decoder, val_images)")
        for name in names[names.index("fit") + 1 : names.index("tune")]:
            execute(cells[name])
        client.execute(cells["fit"])
        seen = ""
        while "Epoch 5/300" not in seen:
            message = client.get_iopub_msg(timeout=60)
            seen += message["content"].get("text", "")
        assert "Weights loaded" in seen and "Epoch 4/300" in seen and "Epoch 3/300" not in seen
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def shell(command, folder, **environment):
    """Begin a command in a folder, as a shell would."""
    return subprocess.Popen(
        command,
        cwd=folder,
        env=outside_make() | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def with_make(folder):
    """Return a new folder with what `make` needs, and the sample."""
    project(folder)
    for name in ("Makefile", "requirements.txt"):
        shutil.copy2(PROJECT / name, folder)
    shutil.copytree(PROJECT / "data" / "sample", folder / "data" / "sample")
    return folder


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGKILL])
def test_make_interrupted_and_made_again(tmp_path, blow):
    """Ctrl-C: the notebook is as it was, and the next `make` goes on from the last whole epoch."""
    folder = with_make(tmp_path / "project")
    before = (folder / "HW9.ipynb").read_bytes()
    command = ["make", f"VENV={sys.prefix}", "NETID=abc123", "DATASET=sample", "EPOCHS=30"]
    process = shell(command, folder)
    while not list((folder / "data").glob("weights/*.pt")):
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.05)
    os.killpg(process.pid, blow)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert (folder / "HW9.ipynb").read_bytes() == before
    output, _ = shell(command, folder).communicate(timeout=180)
    assert b"Weights loaded from data/weights/vae_sample" in output and b"Epoch 1/30" not in output
    assert (folder / "abc123_HW9_PREVIEW.pdf").exists()


def test_two_runs_at_once(run, finished, tmp_path):
    """Both begin with nothing, download, train, save, draw and typeset in one folder."""
    folder = project(tmp_path / "project")
    first = run(folder, mirror="drips")
    first.wait_for("load")
    time.sleep(1)  # so that the second one meets half a file
    second = run(folder, mirror="drips")
    assert first.ends() and second.ends(), first.log()
    assert pictures(folder) == pictures(finished)
    assert not list(folder.rglob(".part*"))


def test_each_cell_run_twice(run, finished, tmp_path):
    folder = project(tmp_path / "project")
    child = run(folder, repeat=2)
    assert child.ends(), child.log()
    assert pictures(folder) == pictures(finished)


def test_cells_out_of_order(run, copy, finished):
    """What only draws may be drawn again later, in any order."""
    order = list(read_cells())
    for late, early in [
        ("curves", "result"),
        ("reconstructions", "prior"),
        ("gif", "map"),
        ("same", "different"),
    ]:
        if late != "same":  # it brings what the other needs; so it is run again, after it
            order.remove(late)
        order.insert(order.index(early) + 1, late)
    child = run(copy, order=order)
    assert child.ends(), child.log()
    assert pictures(copy) == pictures(finished)


def unprivileged():
    """Give up root's rights."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def last_line(child):
    """Return the last line that a run printed."""
    return child.log().strip().splitlines()[-1]


@pytest.fixture
def everybodys(tmp_path_factory):
    """Let those without root's rights into pytest's folders."""
    folder = tmp_path_factory.getbasetemp()
    for path in (folder, folder.parent):
        path.chmod(0o755)


def open_to_all(folder):
    """Let everybody write into a folder and all below it."""
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    folder.parent.chmod(0o755)


class Robbed:
    """Take rights before a cell: a picklable function of the folder."""

    def __init__(self, **modes):
        """Take {path: mode}."""
        self.modes = modes

    def __call__(self, folder):
        """Change modes, then user."""
        for path, mode in self.modes.items():
            (folder / path.replace("__", ".")).chmod(mode)
        unprivileged()


def test_a_read_only_folder_is_found_before_training(run, copy, everybodys):
    shutil.rmtree(copy / "data" / "weights")
    open_to_all(copy)
    copy.chmod(0o555)
    child = run(copy, before={"check-settings": Robbed()})
    assert not child.ends()
    assert "read-only" in last_line(child) and "Epoch" not in child.log()


def test_a_write_protected_pdf_is_left_as_it_is(run, copy, everybodys):
    old = (copy / "abc123_HW9.pdf").read_bytes()
    open_to_all(copy)
    child = run(copy, before={"submit": Robbed(abc123_HW9__pdf=0o444)})
    assert not child.ends()
    assert "abc123_HW9.pdf could not be written" in last_line(child)
    assert "write-protected" in last_line(child) and "run this cell again" in last_line(child)
    assert (copy / "abc123_HW9.pdf").read_bytes() == old


def test_a_pdf_open_elsewhere_is_replaced_and_the_reader_keeps_the_old_one(run, copy):
    old = (copy / "abc123_HW9.pdf").read_bytes()
    with (copy / "abc123_HW9.pdf").open("rb") as reader:
        child = run(copy, settings=SETTINGS | {"SEED": 1})
        assert child.ends(), child.log()
        assert reader.read() == old
    assert (copy / "abc123_HW9.pdf").read_bytes() != old
    pictures(copy)


def fill(folder):
    """Fill the disk."""
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


@root_only
@pytest.mark.parametrize("cell", ["load", "fit", "same", "submit"])
def test_a_full_disk_says_so_and_loses_nothing(run, finished, tmp_path, cell):
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=True)
    try:
        copy = shutil.copytree(finished, folder / "project")
        lost = {"load": "MNIST", "fit": "weights"}.get(cell)
        if lost:
            shutil.rmtree(copy / "data" / lost)
        child = run(copy, before={cell: fill})
        assert not child.ends()
        words = last_line(child)
        assert "No space left on device" in words, child.log()
        assert ("train-images-idx3-ubyte.gz" if cell == "load" else "Make room") in words
        assert pictures(copy) == pictures(finished)
        assert not list(copy.rglob(".part*"))
        (copy / "filler").unlink()
        child = run(copy)
        assert child.ends(), child.log()
        assert pictures(copy) == pictures(finished)
    finally:
        subprocess.run(["umount", folder], check=True)


def rename(new, folder):
    """Rename the notebook."""
    (folder / "HW9.ipynb").rename(folder / new)


def edit(folder):
    """Edit the notebook after it ran."""
    path = folder / "HW9.ipynb"
    notebook = nbformat.read(path, 4)
    notebook.cells[3].source += "\nextra = 1"
    nbformat.write(notebook, path)


@pytest.mark.parametrize("name", ["renamed.ipynb", "HW9 (1).ipynb", "Aufgabe 9 – Lösung.ipynb"])
def test_a_renamed_notebook_is_found(run, copy, name):
    child = run(copy, before={"packages": functools.partial(rename, name)})
    assert child.ends(), child.log()
    assert f"The code is that of {name}." in child.log() and "BUT" not in child.log()
    assert name in pypdf.PdfReader(copy / "abc123_HW9.pdf").pages[2].extract_text()


def test_another_ones_notebook_beside_it_is_not_taken(run, copy):
    notebook = nbformat.read(copy / "HW9.ipynb", 4)
    for cell in notebook.cells:
        if cell.id in ("encoder", "decoder"):
            cell.source = "stolen = 1\n" + cell.source
    nbformat.write(notebook, copy / "A friend's.ipynb")
    child = run(copy)
    assert child.ends(), child.log()
    assert "The code is that of HW9.ipynb." in child.log()
    text = "".join(page.extract_text() for page in pypdf.PdfReader(copy / "abc123_HW9.pdf").pages)
    assert "stolen" not in text


def test_run_from_another_folder(tmp_path):
    """The code on the pages is that of the copy which papermill writes here."""
    source = project(tmp_path / "source")
    here = tmp_path / "here"
    shutil.copytree(PROJECT / "data" / "sample", here / "data" / "sample")
    command = [
        f"{sys.prefix}/bin/papermill",
        source / "HW9.ipynb",
        "mine.ipynb",
        "-r",
        "NETID",
        "abc123",
    ]
    output, _ = shell([*command, "-r", "DATASET", "sample", "-p", "EPOCHS", "1"], here).communicate()
    text = output.decode()
    pages = pypdf.PdfReader(here / "abc123_HW9_PREVIEW.pdf").pages
    assert "mine.ipynb" in pages[2].extract_text() and 'NETID = "abc123"' in pages[2].extract_text(), (
        text
    )
    assert [path.name for path in source.iterdir()] == ["HW9.ipynb"]


def test_what_was_edited_after_it_ran_is_told(run, copy):
    child = run(copy, before={"open-notebooks": edit})
    assert child.ends(), child.log()
    assert "BUT what ran differs" in child.log() and "Save the notebook" in child.log()


def test_no_notebook_is_a_clear_question_and_the_old_pdf_stays(run, copy):
    old = (copy / "abc123_HW9.pdf").read_bytes()
    (copy / "HW9.ipynb").unlink()
    child = run(copy)
    assert not child.ends()
    assert "No notebook here holds the cells that ran: save it" in last_line(child)
    assert (copy / "abc123_HW9.pdf").read_bytes() == old


def test_a_poor_shell(tmp_path):
    """No home, no display, no UTF-8 locale, one core; a path with spaces and non-ASCII letters."""
    folder = with_make(tmp_path / "Übung 9 (α – ω)" / "my project")
    environment = {
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "DISPLAY": "",
        "MPLBACKEND": "",
    }
    command = ["taskset", "-c", "0", "make", f"VENV={sys.prefix}", "NETID=abc123", "DATASET=sample"]
    output, _ = shell([*command, "EPOCHS=1"], folder, **environment).communicate(timeout=300)
    assert (folder / "abc123_HW9_PREVIEW.pdf").exists(), output.decode(errors="replace")[-3000:]


def make_small(names, total=2 << 30):
    """Leave this process one core and 2 GB, as if what torch maps without using it were not there."""
    os.sched_setaffinity(0, {0})
    names["torch"].set_num_threads(1)
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))  # noqa: PTH123, SIM115
    mapped, used = (int(lines[name].split()[0]) << 10 for name in ("VmSize", "VmRSS"))
    limit = mapped - used + total
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def test_two_gigabytes_of_memory_and_one_core(tmp_path):
    """On MNIST itself, if it lies here; else on the sample."""
    folder = project(tmp_path / "project")
    real = PROJECT / "data" / "MNIST" / "raw"
    if real.is_dir():
        shutil.copytree(real, folder / "data" / "MNIST" / "raw")
    else:
        shutil.copytree(PROJECT / "data" / "sample", folder / "data" / "sample")
    settings = {"NETID": "abc123", "DATASET": "mnist" if real.is_dir() else "sample", "EPOCHS": 1}
    child = Child(folder, settings, prepare=make_small)
    assert child.ends(300), child.log()
    assert list(folder.glob("abc123_HW9*.pdf"))


def enter_colab(folder):
    """Be on Colab: its page holds the notebook, and downloads what it is given."""
    notebook = nbformat.read(PROJECT / "HW9.ipynb", 4)
    modules = {name: types.ModuleType(name) for name in ("google", "google.colab")}
    message, files = types.ModuleType("_message"), types.ModuleType("files")
    message.blocking_request = lambda request, timeout_sec: {"ipynb": notebook}
    files.download = lambda path: print(f"DOWNLOADED {path}")
    modules["google.colab"]._message, modules["google.colab"].files = message, files
    sys.modules.update(modules | {"google.colab._message": message, "google.colab.files": files})


def test_colab_has_nothing_but_the_page(run, finished, tmp_path):
    """An empty folder: no file of this repository, not even the notebook."""
    (tmp_path / "content").mkdir()
    child = run(tmp_path / "content", before={"packages": enter_colab})
    assert child.ends(), child.log()
    assert pictures(tmp_path / "content") == pictures(finished)
    assert last_line(child) == "DOWNLOADED abc123_HW9.pdf"
    assert "BUT" not in child.log() and "No such file" not in child.log()


def test_vs_code_says_where_the_notebook_is(run, finished, tmp_path):
    """The kernel may work in another folder than the one in which the notebook lies."""
    source, here = project(tmp_path / "source"), tmp_path / "here"
    here.mkdir()
    told = {"packages": {"__vsc_ipynb_file__": str(source / "HW9.ipynb")}}
    child = run(here, more=told)
    assert child.ends(), child.log()
    assert pictures(here) == pictures(finished)
    assert "The code is that of HW9.ipynb." in child.log()


def test_colab_installs_only_what_is_missing(monkeypatch):
    """With a stand-in for Colab's pip, and for a package that is not there."""
    import importlib.util

    found, asked = importlib.util.find_spec, []
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "typst" else found(name)
    )
    shell = types.SimpleNamespace(run_line_magic=lambda *words: asked.append(words))
    cell = read_cells()["packages"]
    with pytest.raises(ModuleNotFoundError, match=r"Not installed: typst\. Run `pip install typst`"):
        exec(cell, {"get_ipython": lambda: shell})
    assert not asked
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    exec(cell, {"get_ipython": lambda: shell})
    assert asked == [("pip", "install -q typst")]


@pytest.mark.skipif(
    len(list((PROJECT / "data" / "MNIST" / "raw").glob("*.gz"))) < 4, reason="needs MNIST's archives"
)
def test_mnist_itself_from_a_mirror(hw9, tmp_path, monkeypatch, capsys):
    """The real archives, after mirrors that are silent and that break off."""
    with serving(PROJECT / "data" / "MNIST" / "raw") as address:
        mirrors = [f"{address}/{how}/" for how in ("silent", "cut", "slow")]
        monkeypatch.setattr(hw9.MNIST, "mirrors", mirrors)
        hw9.fetch_mnist(tmp_path, hw9.MNIST_FILES, patience=1)
    assert hw9.damaged_files(tmp_path / "MNIST" / "raw", hw9.MNIST_FILES) == {}
    assert "100%" in capsys.readouterr().out
