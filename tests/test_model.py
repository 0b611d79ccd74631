"""Model, loss, training, weights: the course's contract, and only the training split trains."""

import math

import numpy as np
import pytest

SHAPES = [(28, 28), (1, 28, 28), (5, 28, 28), (5, 1, 28, 28)]


@pytest.mark.parametrize("shape", SHAPES)
def test_encoder_takes_all_shapes_of_images(hw9, vae, shape):
    mu, logvar = vae[0](hw9.torch.rand(shape))
    rows = 5 if shape[0] == 5 else 1
    assert mu.shape == logvar.shape == (rows, 4)


@pytest.mark.parametrize(("shape", "rows"), [((5, 4), 5), ((4,), 1), ((1, 4), 1)])
def test_decoder_takes_a_batch_or_one_code(hw9, vae, shape, rows):
    images = vae[1](10 * hw9.torch.randn(shape))
    assert images.shape == (rows, 28, 28)
    assert images.min() >= 0 and images.max() <= 1


@pytest.mark.parametrize("latent_dim", [1, 2, 64])
def test_any_size_of_code(hw9, latent_dim):
    mu, _ = hw9.Encoder(latent_dim)(hw9.torch.rand(3, 28, 28))
    assert mu.shape == (3, latent_dim)
    assert hw9.Decoder(latent_dim)(mu).shape == (3, 28, 28)


def test_an_images_code_does_not_depend_on_its_batch(hw9, vae):
    x = hw9.torch.rand(7, 28, 28)
    assert hw9.torch.allclose(vae[0](x)[0][:1], vae[0](x[0])[0], atol=1e-6)


def test_sample_has_the_right_mean_and_spread_and_lets_gradients_through(hw9):
    torch = hw9.torch
    mu = torch.full((200_000, 2), 3.0, requires_grad=True)
    logvar = torch.full((200_000, 2), math.log(0.25), requires_grad=True)
    z = hw9.sample(mu, logvar, torch.Generator().manual_seed(0))
    assert z.shape == mu.shape
    assert z.mean().item() == pytest.approx(3, abs=0.01)
    assert z.std().item() == pytest.approx(0.5, abs=0.01)
    z.sum().backward()
    assert (mu.grad == 1).all() and logvar.grad.abs().sum() > 0


def test_kl_is_the_closed_form(hw9):
    torch = hw9.torch
    mu, logvar = (
        torch.tensor([[1.0, -2.0], [0.0, 0.0]]),
        torch.tensor([[0.0, math.log(4.0)], [0.0, 0.0]]),
    )
    by_hand = [0.5 * (1 + 1 - 1 - 0) + 0.5 * (4 + 4 - 1 - math.log(4)), 0.0]
    assert hw9.kl_to_prior(mu, logvar).tolist() == pytest.approx(by_hand)


@pytest.mark.parametrize("shape", SHAPES)
def test_loss_is_summed_over_pixels_and_codes_and_averaged_over_the_batch(hw9, shape):
    torch = hw9.torch
    x, x_hat = torch.ones(shape), torch.full(shape, 0.5)
    rows = 5 if shape[0] == 5 else 1
    mu, logvar = torch.ones(rows, 4), torch.zeros(rows, 4)
    loss = hw9.vae_loss(x, x_hat.reshape(rows, 28, 28), mu, logvar)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(784 * math.log(2) + 4 * 0.5)


def test_training_lowers_the_loss_and_takes_a_dataloader(hw9, sample, vae, capsys):
    torch = hw9.torch
    subset = torch.utils.data.Subset(sample.train, range(600))
    loader = torch.utils.data.DataLoader(subset, batch_size=50, shuffle=True)
    parameters = [*vae[0].parameters(), *vae[1].parameters()]
    history = hw9.train(*vae, loader, torch.optim.Adam(parameters, 2e-3), 3)
    losses = [sum(pair) for pair in history["train"]]
    assert len(losses) == 3 and losses[2] < 0.7 * losses[0]
    assert "Epoch 3/3" in capsys.readouterr().out


def test_history_is_in_nats_per_image(hw9, sample, vae):
    """With a learning rate of nothing, what training reports is what evaluation reports."""
    images, labels = hw9.as_tensors(sample.train, "cpu")
    loader = hw9.MemoryLoader(images[:1000], labels[:1000], 64, 0)
    parameters = [*vae[0].parameters(), *vae[1].parameters()]
    history = hw9.train(*vae, loader, hw9.torch.optim.SGD(parameters, 1e-30), 1, images[:1000])
    assert history["train"][0] == pytest.approx(history["validation"][0], rel=0.01)
    assert history["validation"][0] == hw9.evaluate(*vae, images[:1000])


def test_divergence_stops_and_says_what_to_lower(hw9, sample, vae):
    images, labels = hw9.as_tensors(sample.train, "cpu")
    loader = hw9.MemoryLoader(images[:1000], labels[:1000], 100, 0)
    parameters = [*vae[0].parameters(), *vae[1].parameters()]
    with pytest.raises((FloatingPointError, RuntimeError), match="LEARNING_RATE"):
        hw9.train(*vae, loader, hw9.torch.optim.SGD(parameters, 1e9), 3)


def test_only_the_training_split_reaches_the_optimizer(run):
    """The images on which gradients were taken: training images but the held-out ones, each once."""
    split = run.names["mnist_train"].data.numpy().reshape(-1, 784)
    seen = np.concatenate(run.trained_on[run.names["encoder"]]).reshape(-1, 784)
    seen = (seen * 255).round().astype(np.uint8)
    held_out = len(split) // 12
    assert sorted(map(bytes, seen)) == sorted(map(bytes, split[:-held_out]))


def test_the_same_seed_gives_the_same_losses(run, run_again):
    assert run.names["history"]["train"] == run_again.names["history"]["train"]
    assert run.names["history"]["validation"] == run_again.names["history"]["validation"]


@pytest.mark.parametrize("steps", range(1, 13))
def test_one_cycle_takes_any_number_of_steps(hw9, steps):
    torch = hw9.torch
    layer = torch.nn.Linear(1, 1)
    optimizer = hw9.make_optimizer([layer], 0.1)
    schedule, rates = hw9.one_cycle(optimizer, steps), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        hw9.descend(layer(torch.ones(1)).sum(), optimizer, schedule)
    assert min(rates) > 0 and max(rates) <= 0.1
    assert steps < 6 or (max(rates) > 0.07 and rates[-1] < 0.01)


def test_weights_come_back_as_they_were(hw9, vae, tmp_path):
    nn, path, history = hw9.nn, tmp_path / "weights" / "w.pt", {"train": [[1.0, 2.0]]}
    hw9.save_weights(path, {"seed": 1}, nn.ModuleList(vae), history)
    fresh = hw9.Encoder(4), hw9.Decoder(4)
    x = hw9.torch.rand(2, 28, 28)
    assert not hw9.torch.equal(fresh[0](x)[0], vae[0](x)[0])
    assert hw9.load_weights(path, {"seed": 1}, nn.ModuleList(fresh)) == history
    assert hw9.torch.equal(fresh[0](x)[0], vae[0](x)[0])
    assert hw9.torch.equal(fresh[1](hw9.torch.ones(4)), vae[1](hw9.torch.ones(4)))


def test_weights_of_another_recipe_are_refused(hw9, vae, tmp_path, capsys):
    hw9.save_weights(tmp_path / "w.pt", {"seed": 1}, hw9.nn.ModuleList(vae), {})
    fresh = hw9.nn.ModuleList([hw9.Encoder(4), hw9.Decoder(4)])
    before = [parameter.clone() for parameter in fresh.parameters()]
    assert hw9.load_weights(tmp_path / "w.pt", {"seed": 2}, fresh) is None
    assert all(map(hw9.torch.equal, before, fresh.parameters()))
    assert "recipe" in capsys.readouterr().out
    assert hw9.load_weights(tmp_path / "none.pt", {"seed": 1}, fresh) is None


def test_low_precision_stops_before_the_means_and_the_gray_values(hw9, vae):
    """In bfloat16 a gray value of 0.999 would be 1.0, whose logarithm of the rest is not finite."""
    torch = hw9.torch
    x = torch.rand(20, 28, 28)
    mu, _ = vae[0](x)
    x_hat = vae[1](3 * mu)
    with torch.autocast("cpu", torch.bfloat16):
        low_mu, low_logvar = vae[0](x)
        low_x_hat = vae[1](3 * mu)
    assert low_mu.dtype == low_logvar.dtype == low_x_hat.dtype == torch.float32
    assert torch.allclose(low_mu, mu, atol=0.01) and torch.allclose(low_x_hat, x_hat, atol=0.01)
    assert not low_x_hat.equal(x_hat)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        vae[1].layers[-2].bias.fill_(8)
        assert 0.999 < vae[1](mu).max() < 1


@pytest.mark.parametrize("setting", ["SEED", "LATENT_DIM", "EPOCHS", "BATCH_SIZE", "LEARNING_RATE"])
def test_each_setting_of_training_is_in_the_recipe(run, setting):
    names = dict(run.names)
    names[setting] *= 2
    names[setting] += 1
    run.rerun("recipe", names)
    assert names["recipe"] != run.names["recipe"]
    assert names["weights_file"](names["recipe"]) != names["weights_file"](run.names["recipe"])


@pytest.mark.parametrize(
    ("cell", "old", "new"),
    [
        ("loss", "kl_to_prior(mu, logvar)).mean()", "4.0 * kl_to_prior(mu, logvar)).mean()"),
        ("optimizer", "(0.9, 0.98)", "(0.9, 0.99)"),
        ("decoder", "nn.SiLU()", "nn.ReLU()"),
    ],
)
def test_changed_training_code_is_another_recipe(run, cell, old, new):
    assert old in run.cells[cell]
    names = dict(run.names)
    run.rerun(cell, names, lambda source: source.replace(old, new))
    run.rerun("recipe", names)
    assert names["recipe"] != run.names["recipe"]


def test_a_second_run_loads_and_draws_the_same_pairs(run, run_again):
    assert "loaded" not in run.out and "Epoch 1/" in run.out
    loaded = run_again.load()
    assert "loaded" in loaded.out and "Epoch 1/" not in loaded.out
    assert loaded.names["same_pairs"].equal(run.names["same_pairs"])
    assert loaded.names["different_pairs"].equal(run.names["different_pairs"])
    assert loaded.figures() == run.figures()


def test_retrain_trains_again(run_again):
    assert "Epoch 1/" in run_again.load(RETRAIN=True).out


def test_a_failed_write_leaves_the_old_file(hw9, tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), hw9.replacing(path) as part:
        part.write_text("half")
        _ = 1 / 0
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
