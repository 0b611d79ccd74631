"""Model, loss, training, weights: the course's contract, and only the training split trains."""

import math
import pickle
import signal

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
    losses = [sum(epoch["train"]) for epoch in history]
    assert len(losses) == 3 and losses[2] < 0.7 * losses[0]
    assert "Epoch 3/3" in capsys.readouterr().out


def test_history_is_in_nats_per_image(hw9, sample, vae):
    """With a learning rate of nothing, what training reports is what evaluation reports."""
    images, labels = hw9.as_tensors(sample.train, "cpu")
    loader = hw9.MemoryLoader(images[:1000], labels[:1000], 64)
    parameters = [*vae[0].parameters(), *vae[1].parameters()]
    monitor = hw9.Monitor(images[:1000])
    history = hw9.train(*vae, loader, hw9.torch.optim.SGD(parameters, 1e-30), 1, monitor)
    assert history[0]["train"] == pytest.approx(history[0]["validation"], rel=0.01)
    assert history[0]["validation"] == hw9.evaluate(*vae, images[:1000])


@pytest.fixture
def checkpoint(hw9, tmp_path, monkeypatch):
    """Return a function that makes the checkpoint of a recipe, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda seed=1, **options: hw9.Checkpoint(
        {"name": "w", "data": ["x"], "seed": seed}, **options
    )


@pytest.fixture
def small(hw9, sample):
    """Return a function that makes what `train` takes: a few images, and a VAE, always the same."""

    def make(rate=2e-3, batch_size=100, brightness=1.0):
        images, labels = hw9.as_tensors(sample.train, "cpu")
        loader = hw9.MemoryLoader(images[:1000] * brightness, labels[:1000], batch_size)
        hw9.torch.manual_seed(1)
        vae = hw9.nn.ModuleList([hw9.Encoder(4), hw9.Decoder(4)])
        return vae, loader, hw9.make_optimizer(vae, rate)

    return make


@pytest.mark.parametrize("trouble", [{"rate": 1e6}, {"brightness": 255.0}, {"brightness": math.nan}])
def test_divergence_stops_in_its_epoch_says_what_to_lower_and_saves_no_nans(
    hw9, small, checkpoint, capsys, trouble
):
    vae, loader, optimizer = small(**trouble)
    with pytest.raises(FloatingPointError, match=r"LEARNING_RATE.*gray values lie between 0 and 1"):
        hw9.train(*vae, loader, optimizer, 5, hw9.Monitor(checkpoint=checkpoint()))
    assert "Epoch 2/" not in capsys.readouterr().out
    assert not checkpoint().path.exists()


def test_images_of_bytes_are_refused_at_once(hw9, sample):
    vae = hw9.nn.ModuleList([hw9.Encoder(4), hw9.Decoder(4)])
    loader = hw9.MemoryLoader(sample.train.data[:100, None], sample.train.targets[:100], 50)
    with pytest.raises(RuntimeError, match=r"(?i)byte|unsigned char|uint8"):
        hw9.train(*vae, loader, hw9.make_optimizer(vae, 1e-3), 1)


@pytest.mark.parametrize("batch_size", [999, 5000, 1])
def test_a_last_batch_of_one_and_a_batch_of_all(hw9, small, batch_size):
    vae, loader, optimizer = small(batch_size=batch_size)
    loader.images, loader.labels = (
        rows[: min(1000, 20 * batch_size)] for rows in (loader.images, loader.labels)
    )
    history = hw9.train(*vae, loader, optimizer, 1)
    assert len(history) == 1 and np.isfinite(history[0]["train"]).all()


def losses(history):
    """Return a history without its seconds."""
    return [(epoch["train"], epoch["validation"]) for epoch in history]


class Stop:
    """A loader that is interrupted at one batch, as the stop button would."""

    def __init__(self, loader, epoch, batch):
        """Count epochs and batches from 1."""
        self.loader, self.when, self.epoch = loader, (epoch, batch), 0

    def __len__(self):
        """Return the number of batches."""
        return len(self.loader)

    def __iter__(self):
        """Yield batches, and then a real signal."""
        self.epoch += 1
        for batch, pair in enumerate(self.loader, 1):
            if (self.epoch, batch) == self.when:
                signal.raise_signal(signal.SIGINT)
            yield pair


@pytest.mark.parametrize("epoch", [1, 2, 4])
def test_interrupted_training_keeps_its_best_and_goes_on_as_if_nothing_had_been(
    hw9, small, checkpoint, capsys, epoch
):
    vae, loader, optimizer = small()
    images = loader.images[:200]
    through = hw9.train(*vae, loader, optimizer, 4, hw9.Monitor(images))
    weights = {name: weight.clone() for name, weight in vae.state_dict().items()}

    vae, loader, optimizer = small()
    monitor = hw9.Monitor(images, checkpoint())
    history = hw9.train(*vae, Stop(loader, epoch, 5), optimizer, 4, monitor)
    assert f"Stopped after {epoch - 1} of 4 epochs" in capsys.readouterr().out
    assert losses(history) == losses(through[: epoch - 1])
    if epoch > 1:
        best = min(history, key=lambda epoch: sum(epoch["validation"]))
        assert hw9.evaluate(*vae, images) == best["validation"]
    hw9.plot_history(history)
    hw9.plt.close()

    vae, loader, optimizer = small()
    history = hw9.train(*vae, loader, optimizer, 4, hw9.Monitor(images, checkpoint()))
    assert f"Epoch {epoch}/4" in capsys.readouterr().out
    assert losses(history) == losses(through)
    assert all(weights[name].equal(weight) for name, weight in vae.state_dict().items())


def test_the_best_weights_are_kept_not_the_last(hw9, small, checkpoint, monkeypatch):
    """The second epoch is the best here, whatever the weights are."""
    vae, loader, optimizer = small(rate=1e-2)
    losses = iter([[100.0, 5.0], [90.0, 5.0], [120.0, 5.0]])
    monkeypatch.setattr(hw9, "evaluate", lambda *_: next(losses))
    states = []
    save = hw9.Checkpoint.save

    def spy(self, history, **parts):
        states.append({name: weight.clone() for name, weight in parts["vae"].state_dict().items()})
        save(self, history, **parts)

    monkeypatch.setattr(hw9.Checkpoint, "save", spy)
    monitor = hw9.Monitor(loader.images[:10], checkpoint())
    hw9.train(*vae, Stop(loader, 4, 2), optimizer, 5, monitor)
    assert len(states) == 3
    assert all(states[1][name].equal(weight) for name, weight in vae.state_dict().items())


def test_only_the_training_split_reaches_the_optimizer(run):
    """The images on which gradients were taken: training images but the held-out ones, each once."""
    split = run.names["mnist_train"].data.numpy().reshape(-1, 784)
    seen = np.concatenate(run.trained_on[run.names["encoder"]]).reshape(-1, 784)
    seen = (seen * 255).round().astype(np.uint8)
    held_out = len(split) // 12
    assert sorted(map(bytes, seen)) == sorted(map(bytes, split[:-held_out]))


def test_the_same_seed_gives_the_same_losses(run, run_again):
    assert losses(run.names["history"]) == losses(run_again.names["history"])


@pytest.mark.parametrize("steps", [*range(1, 13), 1000])
def test_one_cycle_takes_any_number_of_steps(hw9, steps):
    torch = hw9.torch
    layer = torch.nn.Linear(1, 1)
    optimizer = hw9.make_optimizer(layer, 0.1)
    schedule, rates = hw9.one_cycle(optimizer, steps), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        hw9.descend(layer(torch.ones(1)).sum(), optimizer, schedule)
    assert min(rates) > 0 and max(rates) <= 0.1
    assert steps < 6 or (max(rates) > 0.07 and rates[-1] < 0.2 / steps)


def test_weights_come_back_as_they_were(hw9, vae, checkpoint):
    history = [{"train": [1.0, 2.0]}]
    checkpoint().save(history, vae=hw9.nn.ModuleList(vae))
    fresh = hw9.Encoder(4), hw9.Decoder(4)
    x = hw9.torch.rand(2, 28, 28)
    assert not hw9.torch.equal(fresh[0](x)[0], vae[0](x)[0])
    assert checkpoint().load(vae=hw9.nn.ModuleList(fresh)) == history
    assert hw9.torch.equal(fresh[0](x)[0], vae[0](x)[0])
    assert hw9.torch.equal(fresh[1](hw9.torch.ones(4)), vae[1](hw9.torch.ones(4)))
    assert checkpoint(ignore=True).load(vae=hw9.nn.ModuleList(fresh)) is None
    assert checkpoint(seed=2).load(vae=hw9.nn.ModuleList(fresh)) is None


class Bomb:
    """A pickle of this runs code when it is loaded."""

    def __reduce__(self):
        """Say what loading calls."""
        return exec, ("open('executed', 'w').close()",)


def spoil(hw9, path, how):
    """Put something of no use in the place of saved weights."""
    torch, whole = hw9.torch, path.read_bytes()
    saved = torch.load(path)
    if how == "NaNs":
        saved["vae"]["0.0.bias"][0] = math.nan
    if how == "other shapes":
        saved["vae"] = hw9.nn.ModuleList([hw9.Encoder(5), hw9.Decoder(5)]).state_dict()
    if how == "other recipe":
        saved["recipe"]["seed"] = 2
    if how == "no weights":
        del saved["vae"]
    contents = {
        "empty": b"",
        "truncated": whole[: len(whole) // 2],
        "random bytes": np.random.default_rng(0).bytes(5000),
        "web page": b"<!DOCTYPE html><html>Log in to the network</html>",
        "pickle that runs code": pickle.dumps(Bomb(), protocol=2),
    }
    if how in contents:
        path.write_bytes(contents[how])
    else:
        torch.save(saved | ({"vae": Bomb()} if how == "archive that runs code" else {}), path)


@pytest.mark.parametrize(
    "how",
    "empty|truncated|random bytes|web page|pickle that runs code|archive that runs code|NaNs"
    "|other shapes|other recipe|no weights".split("|"),
)
def test_weights_of_no_use_are_set_aside(hw9, vae, checkpoint, capsys, how):
    checkpoint().save({}, vae=hw9.nn.ModuleList(vae))
    path = checkpoint().path
    spoil(hw9, path, how)
    spoilt, fresh = path.read_bytes(), hw9.nn.ModuleList([hw9.Encoder(4), hw9.Decoder(4)])
    before = [parameter.clone() for parameter in fresh.parameters()]
    assert checkpoint().load(vae=fresh) is None
    assert all(map(hw9.torch.equal, before, fresh.parameters())), "as if there had been no file"
    words = capsys.readouterr().out
    assert path.name in words and words.count("\n") == 1
    assert [(file.suffix, file.read_bytes()) for file in path.parent.iterdir()] == [(".bad", spoilt)]
    assert not hw9.Path("executed").exists()


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
        vae[1][-2].bias.fill_(8)
        assert 0.999 < vae[1](mu).max() < 1


@pytest.mark.parametrize("setting", ["SEED", "LATENT_DIM", "EPOCHS", "BATCH_SIZE", "LEARNING_RATE"])
def test_each_setting_of_training_is_in_the_recipe(run, setting):
    names = dict(run.names)
    names[setting] *= 2
    names[setting] += 1
    run.rerun("recipe", names)
    assert names["recipe"] != run.names["recipe"]
    old, new = (names["Checkpoint"](recipe) for recipe in (run.names["recipe"], names["recipe"]))
    assert new.path != old.path


@pytest.mark.parametrize(
    ("cell", "old", "new"),
    [
        ("loss", "kl_to_prior(mu, logvar)).mean()", "4.0 * kl_to_prior(mu, logvar)).mean()"),
        ("optimizer", "(0.85, 0.9)", "(0.85, 0.99)"),
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
