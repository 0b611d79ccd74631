"""The notebook's cells, run outside a kernel: training, and two judges.

The names of a notebook live in a module: hw9.train, hw9.encoder. With QUICK=1 in the
environment, all is done small, on the sample.
"""

import gc
import os
import time

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as cell 0.1, before torch is there
import torch
import tutorial
from read_notebook import PROJECT, define, read_cells, run_cell
from torch import nn

QUICK = "QUICK" in os.environ
SMALL = {"DATASET": "sample", "EPOCHS": 1} if QUICK else {}
CELLS = read_cells()
# These cells run; of the others, definitions are enough.
PREPARE = ["Load MNIST", "Images as tensors", "Training and validation images", "Prior"]
RUN = [*PREPARE, "Train", "Radius", "Train the judge"]


def begin(cells, settings):
    """Return a notebook of these cells that is about to train, with these settings."""
    gc.collect()  # a notebook's functions hold on to it, and to its images
    os.chdir(PROJECT)  # where it finds its data
    hw9 = define(cells)
    for name, value in (settings | SMALL).items():
        getattr(hw9, name)  # raises AttributeError if there is no such setting
        setattr(hw9, name, value)
    for title in PREPARE:
        run_cell(cells[title], title, vars(hw9))
    return hw9


def train_notebook(cells, settings):
    """Train as these cells do; return the notebook, with its `seconds`."""
    hw9 = begin(cells, settings)
    validation = hw9.val_images
    hw9.val_images = None  # so that only training is timed
    start = time.perf_counter()
    run_cell(cells["Train"], "Train", vars(hw9))
    hw9.seconds = time.perf_counter() - start
    hw9.val_images = validation
    return hw9


def train_tutorial(settings):
    """Train the tutorial's VAE; return what `train_notebook` returns."""
    hw9 = begin(CELLS, settings)
    torch.manual_seed(hw9.SEED)
    hw9.encoder = tutorial.Encoder().to(hw9.device)
    hw9.plain_decoder = tutorial.make_decoder().to(hw9.device)
    hw9.prior_means = None
    loader = hw9.DataLoader(hw9.mnist_train, batch_size=128, shuffle=True)
    start = time.perf_counter()
    tutorial.train(hw9.encoder, hw9.plain_decoder, loader, hw9.EPOCHS, hw9.device)
    hw9.seconds = time.perf_counter() - start
    return hw9


def measure_loss(hw9):
    """Return what the notebook's `evaluate` says of the test split."""
    return hw9.evaluate(
        hw9.encoder, hw9.plain_decoder, hw9.test_images, hw9.prior_means
    )


def train_judges(hw9):
    """Return {name: judge}: the notebook's, and a fully connected one."""
    run_cell(CELLS["Train the judge"], "Train the judge", vars(hw9))
    torch.manual_seed(1)
    second = hw9.Judge()
    layers = [nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 128)]
    second.features = nn.Sequential(*layers, nn.ReLU())
    second.to(hw9.device)
    loader = hw9.make_loader(hw9.train_images, hw9.train_labels, 512)
    hw9.train_judge(second, loader, num_epochs=4)
    return {"judge": hw9.judge, "second judge": second}
