"""The notebook's own cells, run outside a kernel: training, judge, measures.

The names of a notebook live in a namespace: hw9.train, hw9.encoder.
"""

import sys
import time
from pathlib import Path
from types import SimpleNamespace

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT / "tests"))
from conftest import read_cells, run_cell

# Edits of cells: which cell, a text that stands there once, and what replaces it.
FIRST_LAYER = [  # the textbook's decoder begins with a plain layer
    ["decoder", "hidden, bias=False)", "hidden)"],
    ["decoder", "nn.RMSNorm(hidden, elementwise_affine=False)", "nn.Identity()"],
]
DEFINE_ONLY = [
    ["measure", 'for kind in ("one digit", "two digits"):', "for kind in []:"]
]


class Timed:
    """A loader that notes the seconds of each pass over it."""

    def __init__(self, loader):
        """Take anything that yields batches."""
        self.loader = loader
        self.seconds = []

    def __len__(self):
        """Return the number of batches."""
        return len(self.loader)

    def __iter__(self):
        """Yield the batches, and note how long it took until there were no more."""
        start = time.perf_counter()
        yield from self.loader
        self.seconds.append(time.perf_counter() - start)


def edit(cells, edits):
    """Return cells {id: source} with [id, old, new] done; old must stand there once."""
    cells = dict(cells)
    for name, old, new in edits:
        if cells[name].count(old) != 1:
            raise ValueError(f"Cell {name} does not contain {old!r} once.")
        cells[name] = cells[name].replace(old, new)
    return cells


def new_notebook():
    """Return a namespace for the notebook's cells; its get_ipython() does nothing."""
    shell = SimpleNamespace(events=SimpleNamespace(register=lambda *_: None))
    return SimpleNamespace(__name__="__main__", get_ipython=lambda: shell)


def run_cells(hw9, first, last, settings=None, edits=()):
    """Run the notebook's cells from `first` to `last`, edited, with other settings."""
    cells = edit(read_cells(), edits)
    order = list(cells)
    for name in order[order.index(first) : order.index(last) + 1]:
        run_cell(cells[name], name, vars(hw9))
        if name == "settings":
            unknown = (settings or {}).keys() - vars(hw9).keys()
            if unknown:
                raise ValueError(f"The notebook has no settings {unknown}.")
            vars(hw9).update(settings or {})


def prepare(hw9, settings, edits=()):
    """Run the cells before training; no pictures."""
    run_cells(hw9, "imports", "loader", settings, edits)
    run_cells(hw9, "residual", "evaluate", edits=edits)


def train_notebook(hw9, settings, edits=()):
    """Train as the notebook does; return the curve on the test split, and seconds."""
    prepare(hw9, settings, edits)
    hw9.train_loader = Timed(hw9.train_loader)
    hw9.val_images = hw9.test_images
    run_cells(hw9, "fit", "fit")
    return hw9.history, hw9.train_loader.seconds


def train_tutorial(hw9, settings):
    """Train the tutorial's VAE; return the curve on the test split, and seconds."""
    import tutorial

    prepare(hw9, settings)
    hw9.torch.manual_seed(0)
    hw9.encoder = tutorial.Encoder().to(hw9.device)
    hw9.plain_decoder = tutorial.Decoder().to(hw9.device)
    loader = Timed(hw9.DataLoader(hw9.mnist_train, batch_size=128, shuffle=True))
    networks = hw9.encoder, hw9.plain_decoder
    curve = tutorial.fit(*networks, loader, hw9.test_images, hw9.EPOCHS)
    return curve, loader.seconds


def train_judges(hw9, count):
    """Return {name: judge}: the notebook's, and if count is 2 a fully connected one."""
    run_cells(hw9, "judge", "verdict")
    judges = {"judge": hw9.judge}
    if count == 2:  # by this one nothing was chosen
        torch, nn = hw9.torch, hw9.nn
        torch.manual_seed(1)
        features = nn.Sequential(
            nn.Flatten(),
            nn.Linear(784, 512),
            nn.ReLU(),
            nn.Linear(512, 128),
            nn.ReLU(),
        )
        second = nn.Sequential(features, nn.Linear(128, 10)).to(hw9.device)
        loader = hw9.make_loader(hw9.train_images, hw9.train_labels, 512)
        hw9.train_judge(second, loader, num_epochs=4)
        judges["second judge"] = second
    return judges


def measure_walks(hw9, judges):
    """Return {judge: {kind of pair: {measure: mean}}} of lines between test codes."""
    run_cells(hw9, "sharp", "sharp")
    run_cells(hw9, "interpolate", "interpolate")
    run_cells(hw9, "measures", "measure", edits=DEFINE_ONLY)
    images, labels = hw9.test_images, hw9.test_labels
    found = {name: {} for name in judges}
    for kind in ("one digit", "two digits"):
        pairs, reference = hw9.choose_many(labels.cpu(), kind == "one digit", seed=0)
        A = images[pairs[:, 0]]
        B = images[pairs[:, 1]]
        rows = hw9.create_interpolates(A, B, hw9.encoder, hw9.decoder)
        for name, judge in judges.items():
            values = hw9.measure(rows, pairs, reference, images, labels, judge)
            hw9.results[kind, "straight line"] = values
            features, _ = hw9.ask(judge, rows)
            steps = features.unflatten(0, (-1, 9)).diff(dim=1).norm(dim=2)
            values["longest step"] = steps.amax(dim=1) / steps.sum(dim=1)
            means = {key: float(v.double().mean()) for key, v in values.items()}
            found[name][kind] = means
    run_cells(hw9, "table", "table")
    for kinds in found.values():
        error = hw9.errors.square().sum(dim=(1, 2)).mean()
        kinds["two digits"]["error at the ends"] = float(error)
    return found
