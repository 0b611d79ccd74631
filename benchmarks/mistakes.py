"""`make mistakes`: what common mistakes and the notebook's exercises come to.

Edits the notebook's cells, trains for one epoch, and measures the test split. Writes
mistakes.json, and the tables on the page. With QUICK=1 it prints tables of the sample,
and changes nothing.
"""

import cells
import report
import torch
from cells import CELLS
from read_notebook import edit
from torch.distributions import MultivariateNormal
from walks import decode_for_lines

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
    loss = cells.measure_loss(hw9)
    return f"−ELBO {loss['-ELBO']:.1f}, KL {loss['KL']:.1f}"


def attempt(change):
    """Train for an epoch with an edit; return what comes out, or stops it, in words."""
    edited = edit(CELLS, *change)
    try:
        return describe(cells.train_notebook(edited, {"EPOCHS": 1}))
    except AssertionError as error:
        return f"stops: {error}"


@torch.no_grad()
def go_too_far(hw9, judge):
    """Return the share of images at t = −1 and 2 that are seen as the nearer digit."""
    decoder = decode_for_lines(hw9, hw9.MOVED_SHARE)
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
    corners = MultivariateNormal(hw9.prior_means, torch.eye(hw9.LATENT_DIM).to(codes))
    z = hw9.sample(*hw9.encoder(hw9.test_images))[:, None]
    # Both are mixtures of ten, equally likely.
    gain = fitted.log_prob(z).logsumexp(1) - corners.log_prob(z).logsumexp(1)
    return f"{gain.mean():.2f} after {hw9.EPOCHS}"


def main():
    """Try all, and report."""
    right = cells.train_notebook(CELLS, {"EPOCHS": 1})
    mistakes = {"none": describe(right)}
    for name, change in MISTAKES.items():
        mistakes[name] = attempt(change)
    plane = {"EPOCHS": 1, "LATENT_DIM": 2, "CORNER_DISTANCE": 0.0}
    exercises = {
        "1: codes of two numbers": describe(cells.train_notebook(CELLS, plane))
    }
    for name, change in BALANCE.items():
        exercises[name] = attempt(change)
    exercises["4: too far"] = go_too_far(right, cells.train_judges(right)["judge"])
    longer = cells.train_notebook(CELLS, {})
    exercises["5: a fitted prior, by epochs"] = (
        f"−ELBO falls by {fit_prior(right)}, {fit_prior(longer)}"
    )
    report.publish("mistakes", {"mistakes": mistakes, "exercises": exercises})


if __name__ == "__main__":
    main()
