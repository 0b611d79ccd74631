"""Lift the notebook's cells into tests: its definitions, and a run on the sample."""

import ast
import contextlib
import io
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
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(Path(__file__).parent))
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the notebook does
matplotlib.use("agg")
matplotlib.rcParams["figure.max_open_warning"] = 0  # many runs in one process


def pytest_configure(config):
    """Name the marks of long tests; let all be interrupted, even in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for mark in ("faults: provokes a fault in a run of its own", "browser: JupyterLab"):
        config.addinivalue_line("markers", mark)
    for words in ("FigureCanvasAgg is non-interactive", "__array__ implementation"):
        config.addinivalue_line("filterwarnings", f"ignore:{words}")


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
    """Run a cell's source in a namespace."""
    exec(compile(source, f"<cell {name}>", "exec"), namespace)


def definitions(source):
    """Return only the imports, functions, classes and CONSTANTS of a cell."""
    whole = ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef

    def kept(node):
        if isinstance(node, ast.Assign):
            return getattr(node.targets[0], "id", "").isupper()
        return isinstance(node, whole)

    return "\n\n".join(map(ast.unparse, filter(kept, ast.parse(source).body)))


@pytest.fixture(scope="session")
def hw9():
    """Return the notebook's definitions as a module; nothing else of it has run."""
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
    """The notebook's cells, run in this process as a kernel runs them."""

    def __init__(self, folder, cells=None, **settings):
        """Run `cells` in `folder`; these settings follow its own, as papermill's do."""
        self.folder, self.cells = folder, cells or read_cells()
        config = Config({"InteractiveShell": {"colors": "nocolor"}})
        config.HistoryManager.enabled = False  # no file of it
        InteractiveShell.clear_instance()
        given = {"config": config, "ipython_dir": str(folder / ".ipython")}
        given["user_module"] = types.ModuleType("notebook_of_run")
        self.shell = InteractiveShell.instance(**given)
        self.names, self.trained_on, self.out = self.shell.user_ns, {}, ""
        import matplotlib.pyplot as plt
        import torch

        def watch(module, inputs):
            first = isinstance(module, torch.nn.Conv2d) and module.in_channels == 1
            if first and torch.is_grad_enabled():
                seen = self.trained_on.setdefault(module, [])
                seen.append(inputs[0].detach().cpu().numpy())

        plt.close("all")
        hook = torch.nn.modules.module.register_module_forward_pre_hook(watch)
        with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as after:
            after.callback(hook.remove)
            patch.chdir(folder)
            for name, source in self.cells.items():
                self.execute(source)
                if name == "settings":
                    lines = [f"{key} = {value!r}" for key, value in settings.items()]
                    self.execute("\n".join(["# Parameters", *lines]))
        self.drawn = [plt.figure(number) for number in plt.get_fignums()]
        plt.close("all")

    def execute(self, source):
        """Run a cell; return what it prints, or raise what it raises."""
        with contextlib.redirect_stdout(io.StringIO()) as output:
            result = self.shell.run_cell(source, store_history=True)
        self.out += output.getvalue()
        result.raise_error()
        return output.getvalue()


def run_on_sample(folder, cells=None, **settings):
    """Run the notebook once, small, in a new folder."""
    shutil.copytree(PROJECT / "data" / "sample", folder / "data" / "sample")
    small = {"NETID": "abc123", "DATASET": "sample", "EPOCHS": 1, "LATENT_DIM": 8}
    small |= {"SEED": 0, "TEMPERATURE": 0.6, "BATCH_SIZE": 256}  # whatever 0.2 says
    return Run(folder, cells, **small | settings)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Return a run of the notebook on the sample."""
    return run_on_sample(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def run_again(tmp_path_factory, run):
    """Return a second run with the same settings."""
    return run_on_sample(tmp_path_factory.mktemp("again"))
