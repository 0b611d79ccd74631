"""`make mistakes`: what common mistakes, and two exercises, come to.

Edits the notebook's cells, trains for one epoch, and measures the test split. Writes
mistakes.json, and the table on its page. With QUICK=1 it prints one of the sample, and
changes nothing.
"""

import cells
import report
from cells import CELLS
from read_notebook import edit

LOSS = "Loss, and a check of its KL"
RETURNED = "self.net(x.reshape(-1, 1, 28, 28)).chunk(2, dim=1)"
# {what is tried: (title of a cell, old text, new text)}
EDITS = {
    "exercise 2: KL times 0.25": (LOSS, " + kl_to_prior", " + 0.25 * kl_to_prior"),
    "exercise 2: KL times 4": (LOSS, " + kl_to_prior", " + 4 * kl_to_prior"),
    "mean over pixels, in `vae_loss`": (
        LOSS,
        "(reconstruction_error(x, x_hat) + kl_to_prior",
        "(reconstruction_error(x, x_hat) / 784 + kl_to_prior",
    ),
    "KL subtracted": (LOSS, " + kl_to_prior", " - kl_to_prior"),
    "pixels 0 to 255": (
        "Images as tensors",
        "split.data[:, None].to(device) / 255",
        "split.data[:, None].to(device).float()",
    ),
    "`sigma` returned by the encoder as `logvar`": (
        "Encoder",
        f"return {RETURNED}",
        f"mu, logvar = {RETURNED}; return mu, torch.exp(logvar / 2)",
    ),
}


def describe(hw9):
    """Return −ELBO of the test split, and its KL, in words."""
    loss = cells.measure_loss(hw9)
    return f"−ELBO {loss['-ELBO']:.1f}, KL {loss['KL']:.1f}"


def attempt(change):
    """Train for an epoch with an edit; return what comes out, or stops it, in words."""
    edited = edit(CELLS, *change)
    try:
        return describe(cells.train_notebook(edited, {"EPOCHS": 1}))
    except AssertionError as error:
        return f"stops: {error}"


def main():
    """Try all, and report."""
    found = {"none": describe(cells.train_notebook(CELLS, {"EPOCHS": 1}))}
    plane = {"EPOCHS": 1, "LATENT_DIM": 2, "CORNER_DISTANCE": 0.0}
    hw9 = cells.train_notebook(CELLS, plane)
    found["exercise 1: codes of two numbers"] = describe(hw9)
    for name, change in EDITS.items():
        found[name] = attempt(change)
    report.publish("mistakes", found)


if __name__ == "__main__":
    main()
