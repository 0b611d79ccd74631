"""The notebook for tests: its definitions, and runs of it on the sample."""

import contextlib
import io
import os
import shutil
import signal
import sys
import types

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # before torch, as the notebook does

import matplotlib.pyplot as plt
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from read_notebook import PROJECT, define, edit, read_cells
from torch.nn.modules.module import register_module_forward_pre_hook
from traitlets.config import Config

from run import write_setting

# For speed, 200 pairs of each kind, not 2,500, and one epoch of the judge.
CELLS = edit(read_cells(), "Measure four ways", "times=250", "times=20")
CELLS = edit(CELLS, "Train the judge", "num_epochs=3", "num_epochs=1")
# What the notebook defines, so that tests can import it; nothing else of it has run.
hw9 = define(CELLS)
sys.modules["hw9"] = hw9
plt.switch_backend("agg")
plt.rcParams["figure.max_open_warning"] = 0  # many runs in one process
# Tests in the background, too, can be interrupted, and interrupt themselves.
signal.signal(signal.SIGINT, signal.default_int_handler)

SAMPLE = PROJECT / "data" / "sample"
SMALL = {
    "NETID": "abc123",
    "EPOCHS": 1,
    "LATENT_DIM": 12,
    "DATASET": "sample",
}


@pytest.fixture(scope="session")
def sample():
    """Return the sample's two splits, loaded as the notebook loads them."""
    train = hw9.load_mnist(SAMPLE, train=True, download=False)
    test = hw9.load_mnist(SAMPLE, train=False, download=False)
    return types.SimpleNamespace(train=train, test=test)


@pytest.fixture
def encoder():
    """Return an untrained encoder for codes of 4 numbers."""
    torch.manual_seed(1)
    return hw9.Encoder(4)


@pytest.fixture
def decoder():
    """Return an untrained decoder of such codes."""
    torch.manual_seed(2)
    return hw9.Decoder(4)


@pytest.fixture
def vae(encoder, decoder):
    """Return both."""
    return encoder, decoder


class Run:
    """A kernel in this process, in a folder with the sample."""

    def __init__(self, folder):
        """Begin; nothing has run."""
        shutil.copytree(SAMPLE, folder / "data" / "sample")
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

    def execute_all(self, cells):
        """Run cells in order, with small settings."""
        for title, source in cells.items():
            if title == "Settings":
                for name, value in SMALL.items():
                    source = write_setting(f"{name}={value}", source)
            self.execute(source)
        return self


def split_bytes(images):
    """Return each image's bytes, by which sets of images are compared."""
    return [bytes(image) for image in images.reshape(-1, 784).cpu().numpy()]


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Return a run of the notebook on the sample, and on which images what trained."""
    run = Run(tmp_path_factory.mktemp("run"))
    run.trained_on = {"Encoder": [], "Judge": []}

    def watch(module, inputs):
        name = type(module).__name__
        if name in run.trained_on and torch.is_grad_enabled():
            run.trained_on[name] += split_bytes(inputs[0])

    hook = register_module_forward_pre_hook(watch)
    run.execute_all(CELLS)
    hook.remove()
    plt.close("all")
    return run
