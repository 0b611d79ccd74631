"""The notebook for tests: its definitions, and runs of it on the sample."""

import contextlib
import io
import os
import shutil
import signal
import sys
import types
from pathlib import Path

import matplotlib
import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

sys.path.insert(0, str(Path(__file__).parent))
from notebook import PROJECT, define, read_cells

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the notebook does
matplotlib.use("agg")
matplotlib.rcParams["figure.max_open_warning"] = 0  # many runs in one process


def pytest_configure(config):
    """Name the mark of long tests; let all be interrupted, even in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "faults: provokes a fault in a run of its own")
    for words in ("FigureCanvasAgg is non-interactive", "__array__ implementation"):
        config.addinivalue_line("filterwarnings", f"ignore:{words}")


@pytest.fixture(scope="session")
def hw9():
    """Return the notebook's definitions as a module; nothing else of it has run."""
    return define(read_cells())


@pytest.fixture(scope="session")
def sample(hw9):
    """Return the sample's two splits, loaded as the notebook loads them."""
    root = PROJECT / "data" / "sample"
    train = hw9.load_mnist(root, train=True, download=False)
    test = hw9.load_mnist(root, train=False, download=False)
    return types.SimpleNamespace(train=train, test=test)


@pytest.fixture
def vae(hw9):
    """Return an untrained encoder and decoder for codes of 4 numbers."""
    hw9.torch.manual_seed(1)
    return hw9.Encoder(4), hw9.Decoder(4)


class Run:
    """A kernel in this process, in a folder with the sample."""

    def __init__(self, folder):
        """Begin; nothing has run."""
        shutil.copytree(PROJECT / "data" / "sample", folder / "data" / "sample")
        config = Config({"InteractiveShell": {"colors": "nocolor"}})
        config.HistoryManager.enabled = False  # no file of it
        InteractiveShell.clear_instance()
        self.shell = InteractiveShell.instance(
            config=config,
            ipython_dir=str(folder / ".ipython"),
            user_module=types.ModuleType("__main__"),
        )
        self.folder = folder
        self.names = self.shell.user_ns
        self.out = ""

    def execute(self, source):
        """Run a cell; return what it prints, or raise what it raises."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            result = self.shell.run_cell(source, store_history=True)
        self.out += printed.getvalue()
        result.raise_error()
        return printed.getvalue()

    def execute_all(self, cells, **settings):
        """Run cells in order; these settings follow the notebook's, as papermill's."""
        small = {"NETID": "abc123", "DATASET": "sample", "EPOCHS": 1, "LATENT_DIM": 8}
        small |= {"SEED": 0, "TEMPERATURE": 0.6, "BATCH_SIZE": 256} | settings
        for title, source in cells.items():
            self.execute(source)
            if title == "Settings":
                lines = [f"{name} = {value!r}" for name, value in small.items()]
                self.execute("\n".join(["# Parameters", *lines]))
        return self


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Return a run of the notebook on the sample: its pages, and what it trained on."""
    import matplotlib.pyplot as plt
    import torch

    plt.close("all")
    run = Run(tmp_path_factory.mktemp("run"))
    run.trained_on = {"encoder": [], "judge": []}

    def watch(module, inputs):
        for name, seen in run.trained_on.items():
            if module is run.names.get(name) and torch.is_grad_enabled():
                seen.append(inputs[0].reshape(-1, 784).cpu())

    hook = torch.nn.modules.module.register_module_forward_pre_hook(watch)
    run.execute_all(read_cells())
    hook.remove()
    run.drawn = [plt.figure(number) for number in plt.get_fignums()]
    plt.close("all")
    return run
