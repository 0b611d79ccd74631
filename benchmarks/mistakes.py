"""`make mistakes`: what common mistakes and the notebook's exercises come to.

Edits the notebook's cells, trains for one epoch, measures the test split, and prints
tables. `--save` writes benchmarks/mistakes.json, and the tables on the pages. `--quick`
does it on the sample, and changes nothing.
"""

import os
import traceback

import cells
import report
import torch
from read_notebook import PROJECT, edit, read_cells
from torch.distributions import MultivariateNormal
from walks import decoder_for_lines

LOSS = "Loss, and a check of its KL"
RETURNED = "self.net(x.reshape(-1, 1, 28, 28)).chunk(2, dim=1)"
# {what is tried: (title of a cell, old text, new text)}
MISTAKES = {
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
BALANCE = {
    "2: KL times 0.25": (LOSS, " + kl_to_prior", " + 0.25 * kl_to_prior"),
    "2: KL times 4": (LOSS, " + kl_to_prior", " + 4 * kl_to_prior"),
}


def describe(hw9):
    """Return −ELBO of the test split, and its KL, in words."""
    found = hw9.history[-1]
    return f"−ELBO {found['-ELBO']:.1f}, KL {found['KL']:.1f}"


def attempt(change, settings):
    """Train with an edit; return what comes out, or which cell stops, in words."""
    edited = edit(read_cells(), *change)
    try:
        return describe(cells.train_notebook(edited, settings))
    except AssertionError as error:
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename.startswith("<cell "):
                return f"{frame.filename[6:-1]} stops: {error}"
        raise  # none of the notebook's cells


@torch.no_grad()
def draw_codes(hw9, decoder):
    """Return how much larger the error of decoded ends is if codes are drawn."""
    real = hw9.test_images[:, 0]
    mu, logvar = hw9.encoder(hw9.test_images)
    of_mean = (decoder(mu) - real).square().sum()
    of_draw = (decoder(hw9.sample(mu, logvar)) - real).square().sum()
    return f"error at the ends, times {of_draw / of_mean:.2f}"


@torch.no_grad()
def go_too_far(hw9, decoder, judge):
    """Return the share of images at t = −1 and 2 that are seen as the nearer digit."""
    pairs = hw9.choose_pairs(hw9.test_labels.cpu(), 0, 250)[1]
    pairs = torch.cat([pairs, pairs.flip(1)])  # beyond A, and beyond B
    near, far = hw9.encoder(hw9.test_images)[0][pairs.T]
    _, seen = hw9.ask(judge, decoder(2 * near - far))
    share = (seen == hw9.test_labels[pairs[:, 0]]).double().mean()
    return f"the end's digit is seen in {share:.2f} of images"


@torch.no_grad()
def fit_prior(hw9):
    """Return by how much −ELBO falls if the prior is fitted to each digit's codes."""
    codes = hw9.sample(*hw9.encoder(hw9.train_images))
    means = []
    covariances = []
    for digit in range(10):
        own = codes[hw9.train_labels == digit]
        means.append(own.mean(dim=0))
        covariances.append(own.T.cov())
    fitted = MultivariateNormal(torch.stack(means), torch.stack(covariances))
    corners = MultivariateNormal(
        hw9.prior_means, torch.eye(hw9.LATENT_DIM, device=hw9.device)
    )
    z = hw9.sample(*hw9.encoder(hw9.test_images))[:, None]
    # Both are mixtures of ten, equally likely.
    gain = fitted.log_prob(z).logsumexp(1) - corners.log_prob(z).logsumexp(1)
    return gain.mean()


def main():
    """Try all, and report, as the command line says."""
    given = report.make_parser(__doc__).parse_args()
    os.chdir(PROJECT)
    once = {"EPOCHS": 1} | report.small(given)
    right = cells.train_notebook(read_cells(), once)
    decoder = decoder_for_lines(right, right.encoder, right.plain_decoder)
    mistakes = {"none": describe(right)}
    for name, change in MISTAKES.items():
        mistakes[name] = attempt(change, once)
    mistakes["(Part 4) a draw from the posterior as code"] = draw_codes(right, decoder)
    plane = once | {"LATENT_DIM": 2, "CORNER_DISTANCE": 0.0}
    flat = cells.train_notebook(read_cells(), plane)
    exercises = {"1: codes of two numbers": describe(flat)}
    for name, change in BALANCE.items():
        exercises[name] = attempt(change, once)
    judge = cells.train_judges(right)["judge"]
    exercises["4: too far"] = go_too_far(right, decoder, judge)
    longer = cells.train_notebook(read_cells(), report.small(given))
    falls = f"{fit_prior(right):.2f} after 1 epoch, {fit_prior(longer):.2f} after 8"
    exercises["5: a fitted prior"] = f"−ELBO falls by {falls}"
    results = {"mistakes": mistakes, "exercises": exercises}
    report.publish("mistakes", results, given)


if __name__ == "__main__":
    main()
