"""The notebook's own cells, run outside a kernel: training, judges, and walks.

The names of a notebook live in a namespace: hw9.train, hw9.encoder.
"""

import ast
import os
import sys
import time
import zlib
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as cell 0.1, before torch is there
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import notebook

# The cells that run before training; none of them draws a picture.
BEFORE = [
    "Begin",
    "Imports",
    "Settings",
    "Check the settings",
    "Load MNIST",
    "Images as tensors",
    "Training and validation images",
    "Residual block",
    "Encoder",
    "Decoder",
    "Loss, and a check of its KL",
    "Sample a code",
    "Prior",
    "Progress bar and learning rate",
    "Training loop",
    "Evaluate",
]
# Of these, the functions and classes.
DEFINED = [
    "Raise the contrast",
    "Interpolate",
    "Choose pairs",
    "Judge",
    "Fréchet distance and sharpness",
    "Many pairs",
    "Measure",
    "Measure three ways",
]
ALL = [*BEFORE, *DEFINED, "Train", "Train the judge"]

# How other decoders are made of the notebook's: (title, old text, new text) each.
DECODERS = {
    "textbook": [
        ("Decoder", "radius=6.0", "radius=0.0"),
        ("Decoder", "nn.RMSNorm(hidden, elementwise_affine=False)", "nn.Identity()"),
    ],
    "this notebook": [],
    "directions": [  # a first layer without bias, then RMSNorm: of z, only direction
        ("Decoder", "radius=6.0", "radius=0.0"),
        ("Decoder", "(latent_dim, hidden)", "(latent_dim, hidden, bias=False)"),
    ],
}


class Timed:
    """A loader that notes, after each pass, the seconds of all passes so far."""

    def __init__(self, loader):
        """Take anything that yields batches."""
        self.loader = loader
        self.seconds = []
        self.total = 0.0

    def __len__(self):
        """Return the number of batches."""
        return len(self.loader)

    def __iter__(self):
        """Yield the batches; the pass ends when there are no more."""
        start = time.perf_counter()
        yield from self.loader
        self.total += time.perf_counter() - start
        self.seconds.append(self.total)


def edited(edits):
    """Return the notebook's cells {title: source} with edits (title, old, new) made."""
    cells = notebook.read_cells()
    for title, old, new in edits:
        cells = notebook.edit(cells, title, old, new)
    return cells


def checksums(titles):
    """Return {title: a number that changes with the cell's code}; comments are none."""
    cells = notebook.read_cells()
    sums = {}
    for title in titles:
        code = ast.unparse(ast.parse(cells.get(title, "")))
        sums[title] = zlib.crc32(code.encode())
    return sums


def begin(cells, settings):
    """Return the namespace of a notebook that is about to train, with these settings.

    Raises ValueError if the notebook does not have one of the settings."""
    hw9 = SimpleNamespace(__name__="__main__", get_ipython=notebook.shell)
    for title in BEFORE:
        notebook.run_cell(cells[title], title, vars(hw9))
        if title == "Settings":
            unknown = settings.keys() - vars(hw9).keys()
            if unknown:
                raise ValueError(f"The notebook has no settings {unknown}.")
            vars(hw9).update(settings)
    for title in DEFINED:
        code = notebook.definitions(cells[title])
        notebook.run_cell(code, title, vars(hw9))
    return hw9


def train_notebook(cells, settings):
    """Train as the notebook does; return its namespace, with history and seconds.

    The test split is measured after each epoch, outside the seconds that count."""
    hw9 = begin(cells, settings)
    hw9.train_loader = Timed(hw9.train_loader)
    hw9.val_images = hw9.test_images  # nothing is chosen here
    notebook.run_cell(cells["Train"], "Train", vars(hw9))
    hw9.seconds = hw9.train_loader.seconds
    return hw9


def train_tutorial(settings):
    """Train the tutorial's VAE; return what `train_notebook` returns."""
    import tutorial

    hw9 = begin(notebook.read_cells(), settings)
    hw9.torch.manual_seed(0)
    hw9.encoder = tutorial.Encoder().to(hw9.device)
    hw9.plain_decoder = tutorial.Decoder().to(hw9.device)
    loader = Timed(hw9.DataLoader(hw9.mnist_train, batch_size=128, shuffle=True))
    hw9.history = tutorial.fit(
        hw9.encoder, hw9.plain_decoder, loader, hw9.test_images, hw9.EPOCHS
    )
    hw9.seconds = loader.seconds
    return hw9


def train_judges(hw9):
    """Return {name: judge}: the notebook's, and a fully connected one."""
    hw9.SEED = 0  # the same judge for all
    source = notebook.read_cells()["Train the judge"]
    notebook.run_cell(source, "Train the judge", vars(hw9))
    nn = hw9.nn
    hw9.torch.manual_seed(1)
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
    return {"judge": hw9.judge, "second judge": second}


def more_measures(hw9, rows, digits, judge):
    """Return measures of rows (P, 9, 28, 28) that the notebook's table leaves out."""
    features, belief = hw9.ask(judge, rows)
    seen = belief.argmax(dim=1).reshape(-1, 9)
    either = (seen == digits[:, :1]) | (seen == digits[:, 1:])
    steps = features.reshape(-1, 9, features.shape[1]).diff(dim=1).norm(dim=2)
    return {
        "one of the two": either[:, 1:8],
        "longest step": steps.amax(dim=1) / steps.sum(dim=1),
        "kept": either.all(dim=1),  # within a digit: all nine are seen as the digit
    }


def measure_walks(hw9, judges, temperature):
    """Return {judge: {measure: mean}} of lines between the codes of test images.

    Names of measures of lines between two images of one digit begin with "within: "."""
    decoder = hw9.Sharpened(hw9.plain_decoder, temperature)
    images = hw9.test_images[::2]  # as in Part 6: these can be ends,
    labels = hw9.test_labels[::2]
    reference = hw9.test_images[1::2]  # and the others show what real images look like
    same, different = hw9.choose_many(labels.cpu(), 250, 0)
    found = {name: {} for name in judges}
    for kind, pairs in {"": different, "within: ": same}.items():
        A, B = images[pairs].unbind(dim=1)
        rows = hw9.create_interpolates(A, B, hw9.encoder, decoder)
        for name, judge in judges.items():
            measures = hw9.measure(rows, labels[pairs], reference, judge)
            measures |= more_measures(hw9, rows, labels[pairs], judge)
            for measure, values in measures.items():
                found[name][kind + measure] = values.double().mean().item()
    with hw9.torch.no_grad():
        errors = decoder(hw9.encoder(hw9.test_images)[0]) - hw9.test_images[:, 0]
    for measures in found.values():
        error = errors.square().sum(dim=(1, 2)).mean().item()
        measures["error at the ends"] = error
    return found
