"""Lift the notebook's cells into tests: its definitions, and a run on the sample."""

import ast
import contextlib
import io
import linecache
import os
import shutil
import signal
import subprocess
import sys
import types
from pathlib import Path

import matplotlib
import nbformat
import pytest

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the notebook does


def pytest_configure(config):
    """Name the marks of long tests; let all be interrupted, even in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for mark in ("faults: provokes a fault in a run of its own", "browser: JupyterLab"):
        config.addinivalue_line("markers", mark)


def read_cells(path=PROJECT / "HW9.ipynb"):
    """Return {cell id: source} of the code cells of a notebook."""
    notebook = nbformat.read(path, as_version=4)
    return {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "code"}


def committed(path):
    """Return a file as committed or staged, whatever has been run here since."""
    command = ["git", "show", f":{path}"]
    shown = subprocess.run(command, cwd=PROJECT, capture_output=True)
    if shown.returncode:
        pytest.skip("not a git checkout")
    return shown.stdout.decode()


def outside_make():
    """Return the environment without what a `make` above these tests has put there."""
    inside = ("MAKE", "MFLAGS", "REQUIREMENTS", "VENV")
    return {k: value for k, value in os.environ.items() if not k.startswith(inside)}


def run_cell(source, name, namespace):
    """Run a cell's source as a kernel does: tracebacks and `inspect` find its lines."""
    file = f"<cell {name}>"
    source += "\n"  # as a kernel has it: the digest of saved weights holds the source
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    exec(compile(source, file, "exec"), namespace)


def definitions(source):
    """Return only the imports, functions, classes, CONSTANTS and template of a cell."""
    whole = ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef

    def kept(node):
        if isinstance(node, ast.Assign):
            name = getattr(node.targets[0], "id", "")
            return name.isupper() or name in ("units", "template")
        return isinstance(node, whole)

    return "\n\n".join(map(ast.unparse, filter(kept, ast.parse(source).body)))


@pytest.fixture(scope="session")
def hw9():
    """Return the notebook's definitions as a module; nothing else of it has run."""
    matplotlib.use("agg")
    module = types.ModuleType("hw9")
    for name, source in read_cells().items():
        run_cell(definitions(source), name, vars(module))
    return module


@pytest.fixture(scope="session")
def sample(hw9):
    """Return the sample's two splits, read as the notebook reads them."""
    root, whole = PROJECT / "data" / "sample", hw9.ToTensor()
    train, test = (hw9.MNIST(root, part, whole) for part in (True, False))
    return types.SimpleNamespace(train=train, test=test)


@pytest.fixture
def vae(hw9):
    """Return an untrained encoder and decoder for codes of 4 numbers."""
    hw9.torch.manual_seed(1)
    return hw9.Encoder(4), hw9.Decoder(4)


class Run:
    """The notebook's cells up to the submission, run in this process on the sample."""

    def __init__(self, folder, **settings):
        """Run them in `folder`, with these settings in place of the notebook's own."""
        self.folder, self.cells = folder, read_cells()
        self.names, self.trained_on = {}, {}
        import matplotlib.pyplot as plt
        import torch

        def watch(module, inputs):
            first = isinstance(module, torch.nn.Conv2d) and module.in_channels == 1
            if first and torch.is_grad_enabled():
                seen = self.trained_on.setdefault(module, [])
                seen.append(inputs[0].detach().cpu().numpy())

        plt.close("all")
        hook = torch.nn.modules.module.register_module_forward_pre_hook(watch)
        output, redirect = io.StringIO(), contextlib.redirect_stdout
        with pytest.MonkeyPatch.context() as patch, redirect(output):
            patch.chdir(folder)
            for name in list(self.cells)[: list(self.cells).index("listing")]:
                run_cell(self.cells[name], name, self.names)
                if name == "settings":
                    self.names.update(settings)
        hook.remove()
        self.out = output.getvalue()
        self.drawn = [plt.figure(number) for number in plt.get_fignums()]
        plt.close("all")

    def figures(self):
        """Return {name: bytes} of the figures written."""
        files = (self.folder / "figures").iterdir()
        return {path.name: path.read_bytes() for path in files}


def run_on_sample(folder):
    """Run the notebook once, small, in a new folder."""
    shutil.copytree(PROJECT / "data" / "sample", folder / "data" / "sample")
    settings = {"NETID": "abc123", "DATASET": "sample", "EPOCHS": 1}
    return Run(folder, **settings, LATENT_DIM=8, BATCH_SIZE=256)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Return a run of the notebook on the sample."""
    matplotlib.use("agg")
    return run_on_sample(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def run_again(tmp_path_factory, run):
    """Return a second run with the same settings, trained from nothing too."""
    return run_on_sample(tmp_path_factory.mktemp("again"))
