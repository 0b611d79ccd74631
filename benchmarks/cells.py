"""The notebook's own cells, run outside a kernel: training, and two judges.

The names of a notebook live in a module: hw9.train, hw9.encoder.
"""

import ast
import os
import time
import zlib

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as cell 0.1, before torch is there
import torch
import tutorial
from read_notebook import define, read_cells, run_cell
from torch import nn

# Cells that training, judges, and walks depend on.
USED = [
    "Environment",
    "Imports",
    "Settings",
    "Load MNIST",
    "Images as tensors",
    "Training and validation images",
    "Residual block",
    "Encoder",
    "Decoder",
    "Loss, and a check of its KL",
    "Sample a code",
    "Evaluate",
    "Progress bar and learning rate",
    "Training loop",
    "Prior",
    "Train",
    "Choose pairs",
    "Decode for lines",
    "Radius",
    "Interpolate",
    "Judge",
    "Train the judge",
    "Fréchet distance",
    "Measure",
    "Four ways",
    "Strips",
]
# Of these, the cells that run before "Train"; of the others, definitions are enough.
PREPARE = ["Load MNIST", "Images as tensors", "Training and validation images", "Prior"]


class Timed:
    """A loader that adds up the seconds that passes over its batches take."""

    def __init__(self, loader):
        """Take anything that yields batches."""
        self.loader = loader
        self.seconds = 0.0

    def __len__(self):
        """Return the number of batches."""
        return len(self.loader)

    def __iter__(self):
        """Yield the batches; the pass ends when there are no more."""
        start = time.perf_counter()
        yield from self.loader
        self.seconds += time.perf_counter() - start


def checksums():
    """Return {title: a number that changes with the cell's code}; comments are none."""
    cells = read_cells()
    sums = {}
    for title in USED:
        code = ast.unparse(ast.parse(cells[title]))
        sums[title] = zlib.crc32(code.encode())
    return sums


def begin(cells, settings):
    """Return a notebook that is about to train, with these settings."""
    hw9 = define({title: cells[title] for title in USED})
    assert settings.keys() <= vars(hw9).keys(), "the notebook lacks one of the settings"
    vars(hw9).update(settings)
    for title in PREPARE:
        run_cell(cells[title], title, vars(hw9))
    return hw9


def train_notebook(cells, settings):
    """Train as these cells do; return the notebook.

    The test split is measured after each epoch, outside the seconds that count."""
    hw9 = begin(cells, settings)
    hw9.train_loader = Timed(hw9.train_loader)
    hw9.val_images = hw9.test_images  # nothing is chosen here
    run_cell(cells["Train"], "Train", vars(hw9))
    return hw9


def train_tutorial(settings):
    """Train the tutorial's VAE; return what `train_notebook` returns."""
    hw9 = begin(read_cells(), settings)
    torch.manual_seed(hw9.SEED)
    encoder = tutorial.Encoder().to(hw9.device)
    decoder = tutorial.Decoder().to(hw9.device)
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(weights, lr=1e-3)
    loader = hw9.DataLoader(hw9.mnist_train, batch_size=128, shuffle=True)
    hw9.train_loader = Timed(loader)
    hw9.history = []
    for _ in range(hw9.EPOCHS):
        tutorial.train(encoder, decoder, hw9.train_loader, optimizer, hw9.device)
        hw9.history.append(hw9.evaluate(encoder, decoder, hw9.test_images))
    hw9.encoder = encoder
    hw9.plain_decoder = decoder
    return hw9


def train_judges(hw9):
    """Return {name: judge}: the notebook's, and a fully connected one."""
    hw9.SEED = 0  # the same judges for all
    run_cell(read_cells()["Train the judge"], "Train the judge", vars(hw9))
    torch.manual_seed(1)
    second = hw9.Judge()
    layers = [nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 128)]
    second.features = nn.Sequential(*layers, nn.ReLU())
    second.to(hw9.device)
    loader = hw9.make_loader(hw9.train_images, hw9.train_labels, 512)
    hw9.train_judge(second, loader, num_epochs=4)
    return {"judge": hw9.judge, "second judge": second}
