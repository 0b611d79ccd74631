"""`make mistakes`: what common mistakes and the notebook's exercises come to.

Edits the notebook's cells, trains for one epoch, and measures the test split. Writes
benchmarks/mistakes.json. `--quick` does it on the sample, and writes nothing.
"""

import os
import re
import sys
import traceback

import cells
import report
import torch
from notebook import PROJECT, read_cells
from torch.distributions import MultivariateNormal
from torch.nn.functional import cosine_similarity

LOSS = "Loss, and a check of its KL"
RETURNED = "self.net(x.reshape(-1, 1, 28, 28)).chunk(2, dim=1)"
# {what is tried: (title of a cell, old text, new text)}
MISTAKES = {
    "mean over pixels, in `vae_loss`": (
        LOSS,
        "(reconstruction_error(x, x_hat) + kl_to_prior",
        "(reconstruction_error(x, x_hat) / 784 + kl_to_prior",
    ),
    "KL subtracted": (
        LOSS,
        "(reconstruction_error(x, x_hat) + kl_to_prior",
        "(reconstruction_error(x, x_hat) - kl_to_prior",
    ),
    "pixels 0 to 255": (
        "Images as tensors",
        "pixels[:, None].to(device) / 255",
        "pixels[:, None].to(device).float()",
    ),
    "`sigma` returned by the encoder as `logvar`": (
        "Encoder",
        f"        return {RETURNED}",
        f"        mu, logvar = {RETURNED}\n        return mu, torch.exp(logvar / 2)",
    ),
}
NO_RADIUS = ("Decoder", "radius=6.0", "radius=0.0")
BALANCE = {
    "2: KL times 0.25": (LOSS, " + kl_to_prior", " + 0.25 * kl_to_prior"),
    "2: KL times 4": (LOSS, " + kl_to_prior", " + 4 * kl_to_prior"),
}


def attempt(edit, settings):
    """Train with an edit; return the loss on the test split, or what stops it."""
    source = cells.edited([edit])
    try:
        hw9 = cells.train_notebook(source, settings)
    except (ValueError, AssertionError) as error:
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename.startswith("<cell "):
                title = frame.filename[len("<cell ") : -1]
                return {f"{title} stops:": re.split("[.:] ", str(error))[0]}
        raise  # none of the notebook's cells
    return loss(hw9)


def loss(hw9):
    """Return −ELBO of the test split, and its KL."""
    return {"−ELBO": hw9.history[-1]["-ELBO"], "KL": hw9.history[-1]["KL"]}


@torch.no_grad()
def draw_codes(hw9):
    """Return how much larger the error of decoded ends is if codes are drawn."""
    decoder = hw9.Sharpened(hw9.plain_decoder, hw9.TEMPERATURE)
    real = hw9.test_images[:, 0]
    mu, logvar = hw9.encoder(hw9.test_images)
    of_mean = (decoder(mu) - real).square().sum()
    of_draw = (decoder(hw9.sample(mu, logvar)) - real).square().sum()
    return {"error at the ends, times": (of_draw / of_mean).item()}


@torch.no_grad()
def go_too_far(hw9, judge):
    """Return the judge's belief in the nearer end's digit, and angles, at t = −1, 2."""
    decoder = hw9.Sharpened(hw9.plain_decoder, hw9.TEMPERATURE)
    pairs = hw9.choose_many(hw9.test_labels.cpu(), 250, 0)[1]
    A, B = hw9.encoder(hw9.test_images)[0][pairs].unbind(dim=1)
    ends = torch.cat([A, B])
    z = torch.cat([2 * A - B, 2 * B - A])
    digits = hw9.test_labels[pairs].T.reshape(-1, 1)
    belief = hw9.ask(judge, decoder(z))[1]
    angles = cosine_similarity(z, ends).acos().rad2deg()
    return {
        "belief in the end's digit": belief.gather(1, digits).mean().item(),
        "belief in any": belief.amax(dim=1).mean().item(),
        "degrees from that end: mean": angles.mean().item(),
        "largest": angles.max().item(),
    }


@torch.no_grad()
def fit_prior(hw9):
    """Return by how much −ELBO falls if the prior is fitted to each digit's codes."""
    codes = []
    for images in hw9.train_images.split(5000):
        codes.append(hw9.sample(*hw9.encoder(images)))
    codes = torch.cat(codes)
    z = hw9.sample(*hw9.encoder(hw9.test_images))
    log_fitted = []
    log_corner = []
    for digit in range(10):
        own = codes[hw9.train_labels == digit]
        fitted = MultivariateNormal(own.mean(dim=0), own.T.cov())
        corner = hw9.Normal(hw9.prior_means[digit], 1.0)
        log_fitted.append(fitted.log_prob(z))
        log_corner.append(corner.log_prob(z).sum(dim=1))
    # Both are mixtures of ten, equally likely.
    gain = torch.stack(log_fitted).logsumexp(0) - torch.stack(log_corner).logsumexp(0)
    return gain.mean().item()


def main(quick):
    """Try all, and report; quick: print only."""
    os.chdir(PROJECT)
    data = {"DATASET": "sample" if quick else "mnist"}
    once = data | {"EPOCHS": 1}
    right = cells.train_notebook(read_cells(), once)
    mistakes = {"none": loss(right)}
    for name, edit in MISTAKES.items():
        mistakes[name] = attempt(edit, once)
    mistakes["(Part 4) a draw from the posterior as code"] = draw_codes(right)
    plane = once | {"LATENT_DIM": 2, "CORNER_DISTANCE": 0.0}
    exercises = {"1: codes of two numbers": attempt(NO_RADIUS, plane)}
    for name, edit in BALANCE.items():
        exercises[name] = attempt(edit, once)
    judge = cells.train_judges(right)["judge"]
    exercises["4: too far"] = go_too_far(right, judge)
    longer = cells.train_notebook(read_cells(), data)
    exercises["5: a fitted prior"] = {
        "−ELBO falls, after 1 epoch, by": fit_prior(right),
        f"after {longer.EPOCHS} by": fit_prior(longer),
    }
    results = {"mistakes": mistakes, "exercises": exercises}
    if quick:
        report.show(report.mistakes_tables(results, report.machine()))
    else:
        report.save("mistakes", cells.ALL, results)
        report.main()


if __name__ == "__main__":
    main("--quick" in sys.argv)
