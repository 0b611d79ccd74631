"""Loss, draws, evaluation, prior, and training."""

import itertools
import math

import pytest
import torch
from conftest import split_bytes
from hw9 import (
    evaluate,
    kl_to_mixture,
    kl_to_prior,
    make_prior_means,
    one_cycle,
    reconstruction_error,
    sample,
    train,
    vae_loss,
)
from read_notebook import read_cells, run_cell
from torch import nn, optim
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    Normal,
    kl_divergence,
)
from torch.nn.functional import binary_cross_entropy
from torch.testing import assert_close
from torch.utils.data import DataLoader


def test_loss_is_the_librarys():
    x = torch.rand(5, 1, 28, 28)
    x_hat = torch.rand(5, 28, 28).clamp(0.01, 0.99)
    mu, logvar = 5 * torch.randn(2, 5, 4)
    kl = kl_divergence(Normal(mu, torch.exp(logvar / 2)), Normal(0.0, 1.0)).sum()
    pixels = binary_cross_entropy(x_hat.flatten(), x.flatten(), reduction="sum")
    loss = vae_loss(x, x_hat, mu, logvar)
    assert_close(loss, (pixels + kl) / 5)


def test_loss_of_pure_pixels_that_are_wrong_is_finite():
    x = torch.eye(28)
    code = torch.zeros(1, 4)
    loss = vae_loss(x, 1 - x, code, code)
    assert loss.isfinite()


def test_draws_have_the_posteriors_mean_and_spread_and_gradients():
    mu = torch.full((100_000,), 3.0, requires_grad=True)
    logvar = torch.full((100_000,), math.log(0.25), requires_grad=True)
    z = sample(mu, logvar)
    z.sum().backward()
    assert z.mean().item() == pytest.approx(3, abs=0.02)
    assert z.std().item() == pytest.approx(0.5, abs=0.02)
    assert (mu.grad == 1).all()
    assert logvar.grad.all()


@pytest.mark.parametrize(("d", "distance"), [(10, 5.0), (16, 4.0), (32, 0.0)])
def test_corners_are_equally_far_from_the_origin_and_from_each_other(d, distance):
    corners = make_prior_means(d, distance)
    apart = distance * math.sqrt(20 / 9)
    assert_close(corners.norm(dim=1), torch.full((10,), distance))
    assert_close(torch.pdist(corners), torch.full((45,), apart))


def test_kl_to_mixture_is_from_ten_gaussians_equally_likely():
    means = make_prior_means(12, 5.0)
    mu = torch.ones(1000, 12)
    logvar = torch.full_like(mu, math.log(4))
    z = sample(mu, logvar)
    each = Independent(Normal(means, 1.0), 1)
    prior = MixtureSameFamily(Categorical(torch.ones(10)), each)
    log_q = Normal(1.0, 2.0).log_prob(z).sum(dim=1)
    kl = kl_to_mixture(z, mu, logvar, means)
    assert_close(kl, log_q - prior.log_prob(z), atol=1e-3, rtol=1e-5)


class Gray(nn.Module):
    """A decoder that ignores the code."""

    def forward(self, z):
        """Return images of one gray."""
        return torch.full((len(z), 28, 28), 0.3)


@pytest.fixture
def images():
    """Return images of random pixels."""
    return torch.rand(50, 1, 28, 28)


def test_what_is_reported_is_the_mean_over_all_images(encoder, images):
    found = evaluate(encoder, Gray(), images)
    reconstruction = reconstruction_error(images, Gray()(images)).mean().item()
    kl = kl_to_prior(*encoder(images)).mean().item()
    expected = {
        "reconstruction": reconstruction,
        "KL": kl,
        "-ELBO": reconstruction + kl,
    }
    assert found == pytest.approx(expected)


def test_the_kl_reported_for_corners_is_from_them(encoder, images):
    means = make_prior_means(4, 100.0)
    found = evaluate(encoder, Gray(), images, means)
    # |mu - mean|**2 / 2, and mu is near the origin
    assert found["KL"] == pytest.approx(100**2 / 2, rel=0.1)


@pytest.fixture
def batches(sample):
    """Return ten batches (images, labels) of a hundred, from a DataLoader."""
    loader = DataLoader(sample.train, batch_size=100)
    return list(itertools.islice(loader, 10))


def make_optimizer(vae, rate=2e-3):
    """Return an optimizer of an encoder's and a decoder's weights."""
    return optim.AdamW([*vae[0].parameters(), *vae[1].parameters()], rate)


def test_training_takes_a_list_of_batches_and_lowers_the_loss(vae, batches):
    first, _, last = train(*vae, batches, make_optimizer(vae), 3)
    assert last["training loss"] < 0.7 * first["training loss"]


def test_history_is_what_evaluate_says_after_each_epoch(vae, batches):
    images, _ = batches[0]
    means = make_prior_means(4, 3.0)
    history = train(*vae, batches, make_optimizer(vae), 2, means, images)
    assert history[1].items() >= evaluate(*vae, images, means).items()


def test_most_codes_end_near_their_digits_own_corner(run):
    mu, _ = run.names["encoder"](run.names["test_images"])
    nearest = torch.cdist(mu, run.names["prior_means"]).argmin(dim=1)
    right = (nearest == run.names["test_labels"]).double().mean()
    assert right > 0.5  # chance: 0.1


def test_the_learning_rate_climbs_to_the_optimizers_own_then_falls(vae):
    optimizer = make_optimizer(vae, 0.002)
    schedule = one_cycle(optimizer, 100)
    rates = []
    for _ in range(101):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates[0] == pytest.approx(0.04 * 0.002)
    assert rates[21] == pytest.approx(0.002)
    assert rates[100] == 0
    assert rates[:22] == sorted(rates[:22])
    assert rates[21:] == sorted(rates[21:], reverse=True)


# A rate at which the loss explodes; pixels for which it is nan, or negative.
WRONG = [(1e6, 0.5), (1e-3, math.nan), (1e-3, -1)]


@pytest.mark.parametrize(("rate", "pixel"), WRONG)
def test_a_loss_that_cannot_be_right_stops_with_words(vae, batches, rate, pixel):
    images, _ = batches[0]
    images[:] = pixel
    optimizer = make_optimizer(vae, rate)
    with pytest.raises(AssertionError, match="check rate, loss, model, pixels"):
        train(*vae, batches[:1], optimizer, 3)


def test_each_epoch_trains_in_training_mode_and_ends_in_evaluation_mode(vae, batches):
    modes = []
    for part in vae:
        part.register_forward_hook(lambda part, *_: modes.append(part.training))
    images, _ = batches[0]
    train(*vae, batches[:1], make_optimizer(vae), 2, val=images)
    # encoder and decoder train, then both are evaluated; so in each epoch
    assert modes == [True, True, False, False] * 2


def test_all_training_images_train_once_and_no_others(run):
    expected = split_bytes(run.names["train_images"])
    assert sorted(run.trained_on["Encoder"]) == sorted(expected)


def test_the_same_seed_gives_the_same_weights(run):
    again = dict(run.names)
    run_cell(read_cells()["Train"], "Train", again)
    weights = next(run.names["encoder"].parameters())
    assert next(again["encoder"].parameters()).equal(weights)
