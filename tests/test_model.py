"""Model, loss, training, weights: the course's contract; only training images train."""

import math
import pickle

import conftest
import numpy as np
import pytest
from torch import distributions
from torch.nn.functional import binary_cross_entropy

SHAPES = [(28, 28), (1, 28, 28), (5, 28, 28), (5, 1, 28, 28)]


@pytest.mark.parametrize("shape", SHAPES)
def test_encoder_and_loss_take_all_shapes_of_images(hw9, vae, shape):
    x, rows = hw9.torch.rand(shape), 5 if shape[0] == 5 else 1
    mu, logvar = vae[0](x)
    assert mu.shape == logvar.shape == (rows, 4)
    alone = vae[0](x.reshape(-1, 28, 28)[0])[0]
    assert mu[:1].allclose(alone, atol=1e-6), "nor does it depend on its batch"
    x_hat, p = vae[1](mu), distributions.Normal(0.0, 1.0)
    q = distributions.Normal(mu, (logvar / 2).exp())
    pixels = binary_cross_entropy(x_hat.flatten(), x.flatten(), reduction="sum")
    by_library = (pixels + distributions.kl_divergence(q, p).sum()) / rows
    for seen in (x_hat, x_hat[:, None]):
        loss = hw9.vae_loss(x, seen, mu, logvar)
        assert loss.shape == () and loss.item() == pytest.approx(by_library.item())


def test_decoder_takes_a_batch_or_one_code_and_sees_its_direction_alone(hw9, vae):
    for shape, rows in {(5, 4): 5, (4,): 1, (1, 4): 1}.items():
        z = 10 * hw9.torch.randn(shape)
        images = vae[1](z)
        assert images.shape == (rows, 28, 28) and 0 <= images.min() <= images.max() <= 1
        assert vae[1](3 * z).allclose(images, atol=1e-5)
        assert not vae[1](-z).allclose(images, atol=1e-3)


def test_loss_of_pixels_drawn_pure_black_or_white_is_finite(hw9):
    code, x = hw9.torch.zeros(2, 4), hw9.torch.rand(2, 28, 28).round()
    wrong = (1 - x).requires_grad_()
    hw9.vae_loss(x, wrong, code, code).backward()
    assert hw9.vae_loss(x, wrong, code, code) < 1e5 and wrong.grad.isfinite().all()


def test_sample_has_the_right_mean_and_spread_and_lets_gradients_through(hw9):
    numbers = ([[value] * 2] * 100_000 for value in (3.0, math.log(0.25)))
    mu, logvar = (hw9.torch.tensor(rows, requires_grad=True) for rows in numbers)
    z = hw9.sample(mu, logvar, hw9.torch.Generator().manual_seed(0))
    assert abs(z.mean() - 3) < 0.01 and abs(z.std() - 0.5) < 0.01
    z.sum().backward()
    assert (mu.grad == 1).all() and logvar.grad.allclose((z - mu) / 2, atol=1e-5)


def test_corners_are_equally_far_from_each_other_and_from_the_origin(hw9):
    for d in (2, 9, 10, 32):  # in short codes some digits share one
        means = hw9.make_prior_means(d, 5.0)
        assert means.norm(dim=1).tolist() == pytest.approx([5.0] * 10)
        assert means.shape == (10, d) and len(means.unique(dim=0)) == min(d + 1, 10)
        if d >= 10:
            apart = hw9.torch.pdist(means).tolist()
            assert apart == pytest.approx([5 * math.sqrt(20 / 9)] * 45, rel=1e-5)
        assert (hw9.make_prior_means(d, 0.0) == 0).all()


def test_kl_to_mixture_is_the_librarys_and_at_most_log_10_above_ones_own(hw9):
    torch, label = hw9.torch, hw9.torch.arange(2000) % 10
    means = hw9.make_prior_means(12, 5.0)
    mu, logvar = means[label] + torch.randn(2000, 12), torch.randn(2000, 12) - 2
    z, q = hw9.sample(mu, logvar), distributions.Normal(mu, (logvar / 2).exp())
    parts = distributions.Independent(distributions.Normal(means, 1.0), 1)
    p = distributions.MixtureSameFamily(
        distributions.Categorical(torch.ones(10)), parts
    )
    kl, log_q = hw9.kl_to_mixture(z, mu, logvar, means), q.log_prob(z).sum(1)
    assert kl.allclose(log_q - p.log_prob(z), atol=1e-3)
    own = distributions.Normal(means[label], 1.0).log_prob(z).sum(1)
    assert (kl - log_q + own).max() < math.log(10) + 1e-3
    # Without corners it is the textbook's KL, on average over draws.
    mu, logvar = (rows[:1, :2].expand(10**5, 2) for rows in (mu, logvar))
    kl = hw9.kl_to_mixture(hw9.sample(mu, logvar), mu, logvar, torch.zeros(10, 2))
    by_formula = hw9.kl_to_prior(mu[:1], logvar[:1]).item()
    assert kl.mean().item() == pytest.approx(by_formula, rel=0.01)


@pytest.fixture
def small(hw9, sample, vae):
    """Return a function that makes what `train` takes, of a few images."""

    def make(rate=2e-3, batch_size=100, count=1000, method=hw9.torch.optim.AdamW):
        images, labels = hw9.as_tensors(sample.train, "cpu")
        loader = hw9.make_loader(images[:count], labels[:count], batch_size)
        parameters = [*vae[0].parameters(), *vae[1].parameters()]
        return *vae, loader, method(parameters, rate)

    return make


def test_training_takes_a_dataloader_and_lowers_the_loss(hw9, sample, small):
    encoder, decoder, _, optimizer = small()
    subset = hw9.torch.utils.data.Subset(sample.train, range(600))
    loader = hw9.DataLoader(subset, batch_size=50, shuffle=True)
    first, _, last = hw9.train(encoder, decoder, loader, optimizer, 3)
    assert sum(last["train"]) < 0.7 * sum(first["train"])
    for count, batch_size in (
        (5, 1),
        (101, 100),
        (50, 100),
    ):  # and few batches, in a list
        encoder, decoder, loader, optimizer = small(1e-2, batch_size, count)
        before = encoder[0].bias.detach().clone()
        (epoch,) = hw9.train(encoder, decoder, list(loader), optimizer, 1)
        assert np.isfinite(epoch["train"]).all() and not before.equal(encoder[0].bias)


@pytest.mark.parametrize("weight", [0.0, 4.0])
def test_history_is_in_nats_whatever_the_loss_weighs(hw9, small, monkeypatch, weight):
    """With no learning, training reports what `evaluate` does, if all means are one."""
    encoder, decoder, loader, optimizer = small(1e-30, 999, method=hw9.torch.optim.SGD)
    images, means = loader.dataset.tensors[0], hw9.torch.ones(10, 4)
    weighted = lambda *terms: weight * hw9.kl_to_prior(*terms[2:]).mean()  # noqa: E731
    monkeypatch.setattr(hw9, "vae_loss", weighted)
    (epoch,) = hw9.train(encoder, decoder, loader, optimizer, 1, means, images)
    measured = hw9.evaluate(encoder, decoder, images, means)
    assert epoch["validation"] == measured
    assert epoch["train"] == pytest.approx(measured, rel=0.01, abs=0.05)


def test_the_contracts_names_are_live_and_each_digit_is_near_its_own_corner(run):
    names = run.names
    assert {"mnist_train", "train_loader", "test_loader"} <= names.keys()
    mu = names["encoder"](names["test_images"])[0]
    assert names["decoder"](mu[0]).shape == names["plain_decoder"](mu[0]).shape
    nearest = names["torch"].cdist(mu, names["prior_means"]).argmin(1)
    assert (nearest == names["test_labels"]).double().mean() > 0.5  # by chance: 0.1


@pytest.mark.parametrize(("rate", "pixel"), [(1e6, 0.5), (1e-3, math.nan)])
def test_divergence_stops_and_says_what_to_lower(hw9, small, rate, pixel):
    encoder, decoder, loader, optimizer = small(rate)
    loader.dataset.tensors[0][7, 0, 5, 5] = pixel
    with pytest.raises(FloatingPointError, match="LEARNING_RATE"):
        hw9.train(encoder, decoder, loader, optimizer, 3)


def test_one_odd_image_does_not_upset_all_weights(hw9, small):
    """A first step at a 25th of the rate moves weights by at most a 25th of 200."""
    encoder, decoder, loader, optimizer = small(1.0, 1000, method=hw9.torch.optim.SGD)
    loader.dataset.tensors[0][7] *= 550
    weights = [*encoder.parameters(), *decoder.parameters()]
    before = [each.detach().clone() for each in weights]
    hw9.train(encoder, decoder, loader, optimizer, 1)
    moved = sum((w - b).square().sum() for w, b in zip(weights, before, strict=True))
    assert 0 < moved.sqrt() < 1.01 * 200 / 25


def test_the_stop_button_keeps_what_was_learned(hw9, small):
    encoder, decoder, loader, optimizer = small()
    bias, after = encoder[0].bias, []

    class Stop(list):
        def __iter__(self):
            after.append(bias.detach().clone())
            yield from self[: 3 if len(after) == 2 else 10]
            if len(after) == 2:
                raise KeyboardInterrupt

    assert len(hw9.train(encoder, decoder, Stop(loader), optimizer, 4)) == 1
    assert len({*map(str, [*after, bias.detach()])}) == 3, (
        "learned until it was stopped"
    )


def test_only_training_images_train(run):
    """Gradients were taken on all training images but the held-out, each once."""
    kept = run.names["mnist_train"].data.numpy().reshape(-1, 784)
    kept, held_out = np.split(kept, [-(len(kept) // 12)])
    seen = np.concatenate(run.trained_on[run.names["encoder"][0]]).reshape(-1, 784)
    seen = (seen * 255).round().astype(np.uint8)
    assert sorted(map(bytes, seen)) == sorted(map(bytes, kept))
    measured = run.names["val_images"].reshape(-1, 784) * 255
    assert (measured.round().numpy() == held_out).all()


def test_the_same_seed_gives_the_same_weights_and_table(run, run_again):
    for name in ("plain_decoder", "judge"):
        one, two = (each.names[name].state_dict() for each in (run, run_again))
        assert all(one[key].equal(two[key]) for key in one)
    assert run.names["table"] == run_again.names["table"]


@pytest.fixture
def fitted(hw9, tmp_path, monkeypatch):
    """Return a function that says whether a VAE made of this was trained anew."""
    monkeypatch.chdir(tmp_path)

    def fit(cell="", source="", made_of=(1, 2), epochs=1):
        names, ran = dict(vars(hw9)), []
        conftest.run_cell(conftest.definitions(source), f"new {cell}", names)
        vae = hw9.nn.ModuleList([names["Encoder"](4), names["Decoder"](4)])

        def training():
            ran.append(hw9.nn.init.ones_(vae[0][0].bias))
            return [{"train": [1.0, 2.0]}]

        functions = names["vae_loss"], names["train"]
        history = hw9.load_or_train("w", vae, functions, made_of, epochs, training)
        assert history == [{"train": [1.0, 2.0]}] and (vae[0][0].bias == 1).all()
        return bool(ran)

    return fit


def test_a_second_run_loads_what_was_made_of_the_same(fitted):
    assert fitted() and not fitted()
    assert fitted(made_of=(1, 3)) and not fitted()
    assert fitted(made_of=(4,), epochs=5) and fitted(made_of=(4,)), "stopped: not saved"


CHANGES = """loss | logvar)).mean() | logvar)).sum()
train | optimizer.step() | optimizer.step(None)
encoder | nn.SiLU(), tell | nn.ReLU(), tell
decoder | (pixels.bias, -2) | (pixels.bias, -1)
decoder | torch.atleast_2d(z) | torch.atleast_2d(2 * z)"""


@pytest.mark.parametrize("change", CHANGES.split("\n"))
def test_changed_code_trains_anew(fitted, change):
    cell, old, new = change.split(" | ")
    source = conftest.read_cells()[cell]
    assert old in source and fitted(cell, source) and not fitted(cell, source)
    assert fitted(cell, source.replace(old, new))


def test_changed_settings_train_anew(run):
    recipes, numbers = [], "SEED EPOCHS BATCH_SIZE LATENT_DIM LEARNING_RATE".split()
    changes = [{name: 1 + run.names[name]} for name in numbers]

    def note(name, vae, functions, made_of, *_):
        recipes.append(repr([vae, made_of]))
        return [{}]

    for change in ({}, {}, *changes, {"CORNER_DISTANCE": 1.0}):
        names = run.names | {"load_or_train": note} | change
        for cell in ("corners", "fit"):
            conftest.run_cell(run.cells[cell], f"{cell} again", names)
    assert recipes[0] == recipes[1] and len(set(recipes)) == 7


@pytest.mark.parametrize("how", "empty cut random pickle archive other".split())
def test_damaged_weights_are_named_and_trained_anew(hw9, fitted, capsys, how):
    class Bomb:
        def __reduce__(self):
            return exec, ("open('executed', 'w').close()",)

    assert fitted()
    (path,) = hw9.Path("data", "weights").iterdir()
    whole = path.read_bytes()
    if how in ("archive", "other"):
        hw9.torch.save({"weights": Bomb()} if how == "archive" else {}, path)
    else:
        spoilt = {"empty": b"", "cut": whole[:9999], "random": bytes(range(250))}
        path.write_bytes(spoilt.get(how, pickle.dumps(Bomb(), protocol=2)))
    capsys.readouterr()
    assert fitted() and f"{path.as_posix()} is damaged" in capsys.readouterr().out
    assert not hw9.Path("executed").exists()
    assert not fitted(), "the new weights took the place of the damaged ones"


def test_temperature_divides_the_logits_and_a_decoder_may_return_a_channel(hw9, small):
    encoder, decoder, loader, optimizer = small()
    (x, _), means, t = next(iter(loader)), hw9.torch.zeros(10, 4), hw9.torch.ones(1) / 4
    z = 3 * hw9.torch.randn(6, 4)
    ink, paper = decoder(z) ** 2, (1 - decoder(z)) ** 2  # logits of twice the size
    wide = hw9.nn.Sequential(decoder, hw9.nn.Unflatten(1, (1, 28)))
    assert wide(z).shape == (6, 1, 28, 28)
    for drawer in (decoder, wide):
        assert hw9.Sharpened(drawer, 1.0)(z).allclose(decoder(z), atol=1e-5)
        sharp = hw9.Sharpened(drawer, 0.5)(z)
        assert sharp.shape == (6, 28, 28) and not sharp.equal(decoder(z))
        assert sharp.allclose(ink / (ink + paper), atol=1e-5)
    one, other = (hw9.evaluate(encoder, each, x, means) for each in (decoder, wide))
    assert one == other
    ends = x[:3], x[3:6], t
    one, other = (hw9.decode_walks(encoder, each, *ends) for each in (decoder, wide))
    assert one.equal(other)
    assert len(hw9.train(encoder, wide, loader, optimizer, 1, val=x)) == 1


TUTORIAL = """
class Encoder(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.hidden, self.mu = nn.Linear(784, 400), nn.Linear(400, d)
        self.logvar = nn.Linear(400, d)
    def forward(self, x):
        h = torch.relu(self.hidden(x.view(-1, 784)))
        return self.mu(h), self.logvar(h)
class Decoder(nn.Sequential):
    def __init__(self, d):
        out = nn.Linear(400, 784)
        super().__init__(nn.Linear(d, 400), nn.ReLU(), out, nn.Sigmoid())
"""


def test_a_tutorials_vae_goes_through_the_whole_notebook(tmp_path, monkeypatch, run):
    """Its decoder returns rows of 784 pixels."""
    cells = conftest.read_cells() | {"encoder": TUTORIAL, "decoder": ""}
    monkeypatch.setattr(conftest, "read_cells", lambda: dict(cells))
    other = conftest.run_on_sample(tmp_path)
    assert other.figures().keys() == run.figures().keys()
    assert [len(f.axes) for f in other.drawn] == [len(f.axes) for f in run.drawn]
