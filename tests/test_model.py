"""Model, loss, training: the course's contract, with our VAE and with others."""

import math
from unittest import mock

import numpy as np
import pytest
from conftest import read_cells, run_cell, run_on_sample
from torch import distributions
from torch.nn.functional import binary_cross_entropy

SHAPES = [(28, 28), (1, 28, 28), (5, 28, 28), (5, 1, 28, 28)]


@pytest.mark.parametrize("shape", SHAPES)
def test_encoder_and_loss_take_all_shapes_of_images(hw9, vae, shape):
    x, rows = hw9.torch.rand(shape), 5 if shape[0] == 5 else 1
    mu, logvar = vae[0](x)
    assert mu.shape == logvar.shape == (rows, 4)
    x_hat, p = vae[1](mu), distributions.Normal(0.0, 1.0)
    q = distributions.Normal(mu, (logvar / 2).exp())
    pixels = binary_cross_entropy(x_hat.flatten(), x.flatten(), reduction="sum")
    by_library = (pixels + distributions.kl_divergence(q, p).sum()) / rows
    for seen in (x_hat, x_hat[:, None]):
        loss = hw9.vae_loss(x, seen, mu, logvar)
        assert loss.shape == () and loss.item() == pytest.approx(by_library.item())


@pytest.mark.parametrize("shape", [(5, 4), (4,), (1, 4)])
def test_decoder_takes_a_batch_or_one_code_and_sees_its_direction(hw9, vae, shape):
    z = 10 * hw9.torch.randn(shape)
    images = vae[1](z)
    assert images.shape == (z.numel() // 4, 28, 28)
    assert 0 <= images.min() <= images.max() <= 1
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


@pytest.mark.parametrize("d", [2, 9, 10, 32])
def test_corners_are_equally_far_from_each_other_and_from_the_origin(hw9, d):
    means = hw9.make_prior_means(d, 5.0)
    assert means.norm(dim=1).tolist() == pytest.approx([5.0] * 10)
    assert means.shape == (10, d) and len(means.unique(dim=0)) == min(d + 1, 10)
    apart = hw9.torch.pdist(means).tolist()
    assert d < 10 or apart == pytest.approx([5 * math.sqrt(20 / 9)] * 45, rel=1e-5)
    assert (hw9.make_prior_means(d, 0.0) == 0).all()


def test_kl_to_mixture_is_the_librarys_and_at_most_log_10_above_ones_own(hw9):
    torch, label = hw9.torch, hw9.torch.arange(2000) % 10
    means = hw9.make_prior_means(12, 5.0)
    mu, logvar = means[label] + torch.randn(2000, 12), torch.randn(2000, 12) - 2
    z, q = hw9.sample(mu, logvar), distributions.Normal(mu, (logvar / 2).exp())
    parts = distributions.Independent(distributions.Normal(means, 1.0), 1)
    equal = distributions.Categorical(torch.ones(10))
    p = distributions.MixtureSameFamily(equal, parts)
    kl, log_q = hw9.kl_to_mixture(z, mu, logvar, means), q.log_prob(z).sum(1)
    assert kl.allclose(log_q - p.log_prob(z), atol=1e-3)
    own = distributions.Normal(means[label], 1.0).log_prob(z).sum(1)
    assert (kl - log_q + own).max() < math.log(10) + 1e-3


@pytest.fixture
def small(hw9, sample, vae):
    """Return a function that makes what `train` takes, of a few images."""

    def make(rate=2e-3, batch_size=100, count=1000, vae=vae, method=hw9.optim.AdamW):
        images, labels = hw9.read_split(sample.train, "cpu")
        loader = hw9.make_loader(images[:count], labels[:count], batch_size)
        parameters = [*vae[0].parameters(), *vae[1].parameters()]
        return *vae, loader, method(parameters, rate)

    return make


def test_training_takes_a_dataloader_and_lowers_the_loss(hw9, sample, small):
    """With the contract's five arguments, by place."""
    encoder, decoder, _, optimizer = small()
    subset = hw9.torch.utils.data.Subset(sample.train, range(600))
    loader = hw9.DataLoader(subset, batch_size=50, shuffle=True)
    first, _, last = hw9.train(encoder, decoder, loader, optimizer, 3)
    assert last["training loss"] < 0.7 * first["training loss"]
    assert first.keys() == {"training loss"}, "no images, nothing to evaluate"


@pytest.mark.parametrize(("count", "batch_size"), [(5, 1), (101, 100), (50, 100)])
def test_training_takes_few_batches_in_a_list(hw9, small, count, batch_size):
    encoder, decoder, loader, optimizer = small(1e-2, batch_size, count)
    before = encoder.net[0].bias.detach().clone()
    (epoch,) = hw9.train(encoder, decoder, list(loader), optimizer, 1)
    assert math.isfinite(epoch["training loss"])
    assert not before.equal(encoder.net[0].bias)


def test_history_is_what_evaluate_says_after_each_epoch(hw9, small):
    encoder, decoder, loader, optimizer = small()
    means, images = hw9.make_prior_means(4, 5.0), loader.dataset.tensors[0][:100]
    history = hw9.train(encoder, decoder, loader, optimizer, 2, means, images)
    last = hw9.evaluate(encoder, decoder, images, means)
    assert len(history) == 2 and history[0]["-ELBO"] > history[1]["-ELBO"]
    assert history[1] == {"training loss": history[1]["training loss"]} | last
    assert last["-ELBO"] == pytest.approx(last["reconstruction"] + last["KL"])


def test_training_minimises_vae_loss_as_edited(hw9, small, monkeypatch):
    """Exercise 2: a weight on the KL, by editing vae_loss alone."""
    source, names = read_cells()["loss"], dict(vars(hw9))
    assert "+ kl_to_prior" in source
    run_cell(source.replace("+ kl_to_prior", "+ 1000 * kl_to_prior"), "loss", names)
    monkeypatch.setattr(hw9, "vae_loss", names["vae_loss"])
    given, images = small(), hw9.torch.rand(50, 1, 28, 28)
    *_, last = hw9.train(*given, 3, None, images)
    assert last["KL"] < 0.1


def test_each_digit_is_near_its_own_corner(run):
    mu = run.names["encoder"](run.names["test_images"])[0]
    nearest = run.names["torch"].cdist(mu, run.names["prior_means"]).argmin(1)
    assert (nearest == run.names["test_labels"]).double().mean() > 0.5  # chance: 0.1


def test_the_contracts_names_are_live(run):
    names = "encoder decoder mnist_train mnist_test train_loader test_loader".split()
    names += "plain_decoder prior_means sample vae_loss train".split()
    assert set(names) <= run.names.keys()


@pytest.mark.parametrize(("rate", "pixel"), [(1e6, 0.5), (1e-3, math.nan)])
def test_divergence_stops_and_says_what_to_lower(hw9, small, rate, pixel):
    encoder, decoder, loader, optimizer = small(rate)
    loader.dataset.tensors[0][7, 0, 5, 5] = pixel
    with pytest.raises(FloatingPointError, match="LEARNING_RATE"):
        hw9.train(encoder, decoder, loader, optimizer, 3)


def test_only_training_images_train(run):
    """Gradients were taken on all training images but the held-out, each once."""
    kept = run.names["mnist_train"].data.numpy().reshape(-1, 784)
    kept = kept[: -(len(kept) // 12)]
    (encoder,) = (m for m in run.names["encoder"].modules() if m in run.trained_on)
    seen = np.concatenate(run.trained_on[encoder]).reshape(-1, 784)
    seen = (seen * 255).round().astype(np.uint8)
    assert sorted(map(bytes, seen)) == sorted(map(bytes, kept))


def test_the_same_seed_gives_the_same_weights_and_measures(run, run_again):
    for name in ("encoder", "plain_decoder", "judge"):
        one, two = (each.names[name].state_dict() for each in (run, run_again))
        assert all(one[key].equal(two[key]) for key in one)
    for key, values in run.names["results"].items():
        again = run_again.names["results"][key]
        assert all(values[name].equal(again[name]) for name in values)


def test_nothing_is_left_on_disk_that_a_second_run_could_load(run):
    left = {path.name for path in run.folder.iterdir()}
    assert left - {".ipython"} == {"data", "abc123_HW9_PREVIEW.pdf"}
    assert [path.name for path in (run.folder / "data").iterdir()] == ["sample"]


def test_temperature_divides_the_logits(hw9, vae):
    z = 3 * hw9.torch.randn(6, 4)
    ink, paper = vae[1](z) ** 2, (1 - vae[1](z)) ** 2  # logits of twice the size
    assert hw9.Sharpened(vae[1], 1.0)(z).allclose(vae[1](z), atol=1e-5)
    assert hw9.Sharpened(vae[1], 0.5)(z).allclose(ink / (ink + paper), atol=1e-5)


TUTORIAL = """
class Encoder(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(784, 400), EXTRA, nn.ReLU())
        self.mu, self.logvar = nn.Linear(400, d), nn.Linear(400, d)
    def forward(self, x):
        h = self.hidden(x.view(-1, 784))
        return self.mu(h), self.logvar(h)
def Decoder(d):
    hidden = nn.Linear(d, 400), EXTRA, nn.ReLU()
    return nn.Sequential(*hidden, nn.Linear(400, 784), nn.Sigmoid())
"""
PUBLISHED = """
class Encoder(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.LeakyReLU(),
            nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.LeakyReLU())
        self.fc_mu, self.fc_var = nn.Linear(784, d), nn.Linear(784, d)
    def forward(self, x):
        h = torch.flatten(self.conv(x), 1)
        return self.fc_mu(h), self.fc_var(h)
def Decoder(d):
    return nn.Sequential(
        nn.Linear(d, 784), nn.Unflatten(1, (16, 7, 7)),
        nn.ConvTranspose2d(16, 8, 3, 2, 1, 1), nn.BatchNorm2d(8), nn.LeakyReLU(),
        nn.ConvTranspose2d(8, 1, 3, 2, 1, 1), nn.Sigmoid())
"""
VAES = {
    "tutorial": TUTORIAL.replace("EXTRA", "nn.Identity()"),
    "batch norm": TUTORIAL.replace("EXTRA", "nn.BatchNorm1d(400)"),
    "dropout": TUTORIAL.replace("EXTRA", "nn.Dropout(0.5)"),
    "published": PUBLISHED,
}


@pytest.fixture
def other(hw9, request):
    """Return another VAE, one part of it in a mode of its own."""
    names = dict(vars(hw9))
    hw9.torch.manual_seed(1)
    run_cell(VAES[request.param], request.param, names)
    encoder, decoder = names["Encoder"](4), names["Decoder"](4)
    next(encoder.children()).eval()
    return encoder, decoder


def use(hw9, encoder, decoder, x):
    """Call all functions that read a VAE."""
    hw9.check_shapes(encoder, decoder, x, 4)
    hw9.evaluate(encoder, decoder, x, hw9.torch.zeros(10, 4))
    sharp, pairs = hw9.Sharpened(decoder, 0.5), hw9.torch.arange(20).reshape(10, 2)
    labels = hw9.torch.arange(len(x)) % 10
    with mock.patch.object(hw9.plt, "savefig"):  # takes a second
        hw9.draw_figure("t", pairs, x, labels, encoder, sharp, 0)
    hw9.plt.close("all")
    hw9.create_interpolates(x[:20], x[20:40], encoder, sharp)


all_vaes = pytest.mark.parametrize("other", VAES, indirect=True)


@all_vaes
def test_a_pair_alone_gives_the_row_that_it_gives_in_a_batch(hw9, small, other):
    hw9.train(*small(vae=other, count=300), 1)
    x, vae = hw9.torch.rand(40, 1, 28, 28), (other[0], hw9.Sharpened(other[1], 0.5))
    rows = hw9.create_interpolates(x[:20], x[20:], *vae)
    alone = hw9.create_interpolates(x[3], x[23], *vae)
    assert rows[3].allclose(alone, atol=1e-4) and not rows.requires_grad


@all_vaes
def test_the_same_row_drawn_twice_is_equal(hw9, other):
    A, B = hw9.torch.rand(2, 28, 28)
    rows = [hw9.create_interpolates(A, B, *other) for _ in range(2)]
    assert rows[0].equal(rows[1])


@pytest.mark.parametrize("other", ["batch norm", "published"], indirect=True)
def test_images_that_are_read_never_enter_running_statistics(hw9, other):
    buffers = [b for module in other for b in module.buffers()]
    before = [b.clone() for b in buffers]
    use(hw9, *other, hw9.torch.rand(40, 1, 28, 28))
    assert before and all(map(hw9.torch.equal, before, buffers))


def modes(modules):
    """Return whether each part of each module is in training mode."""
    return [part.training for module in modules for part in module.modules()]


@all_vaes
def test_what_is_handed_over_stays_in_its_mode(hw9, small, other):
    before = modes(other)
    assert set(before) == {True, False}
    use(hw9, *other, hw9.torch.rand(40, 1, 28, 28))
    assert modes(other) == before
    hw9.train(*small(vae=other, count=300), 1)
    assert modes(other) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("other", ["published"], indirect=True)
def test_stopped_training_leaves_the_mode(hw9, small, other, error, monkeypatch):
    before = modes(other)
    monkeypatch.setattr(hw9, "vae_loss", mock.Mock(side_effect=error))
    with pytest.raises(error):
        hw9.train(*small(vae=other), 1)
    assert modes(other) == before and hw9.torch.is_grad_enabled()


@pytest.mark.parametrize("other", ["published"], indirect=True)
def test_training_mode_is_for_training_alone_and_float32(hw9, small, other):
    def note(part, _, out):
        seen.add((part.training, hw9.torch.is_grad_enabled(), out[0].dtype))

    seen = set()
    for module in other:
        for part in module.modules():
            part.register_forward_hook(note)
    float32, x = hw9.torch.float32, hw9.torch.rand(40, 1, 28, 28)
    hw9.train(*small(vae=other, count=300), 1)
    assert seen == {(True, True, float32)}
    seen.clear()
    use(hw9, *other, x)
    assert seen == {(False, False, float32)}


@pytest.mark.parametrize("last", ["Identity", "Tanh"])
def test_a_decoder_without_a_sigmoid_is_told_what_it_lacks(hw9, vae, last):
    vae[1].net[-1] = getattr(hw9.nn, last)()
    with pytest.raises(ValueError, match=r"End the decoder with nn\.Sigmoid\(\)"):
        hw9.check_shapes(*vae, hw9.torch.rand(5, 1, 28, 28), 4)


CODES = {  # what an encoder may return, of mu and logvar; and words for it
    "three": (lambda torch, mu, logvar: (mu, mu, logvar), "values to unpack"),
    "normal": (lambda torch, mu, logvar: distributions.Normal(mu, 1.0), "Normal"),
    "dict": (lambda torch, mu, logvar: {"mu": mu, "logvar": logvar}, "str"),
    "one tensor": (lambda torch, mu, logvar: torch.cat([mu, logvar], 1), "unpack"),
    "other length": (lambda torch, mu, logvar: (mu, logvar[:, :3]), r"\[5, 3\]"),
    "of each row": (lambda torch, mu, logvar: (mu[:1], logvar[:1]), r"\[1, 4\]"),
}


@pytest.mark.parametrize("what", CODES)
def test_an_encoder_that_returns_other_things_is_one_error(hw9, vae, what):
    change, came = CODES[what]
    vae[0].register_forward_hook(lambda *given: change(hw9.torch, *given[2]))
    expected = r"Encoder must .* return mu, logvar, each \(5, 4\); Decoder, images"
    with pytest.raises(TypeError, match=expected + ".*" + came):
        hw9.check_shapes(*vae, hw9.torch.rand(5, 1, 28, 28), 4)


def test_an_encoder_that_does_not_flatten_is_one_error(hw9, vae):
    encoder = hw9.nn.Sequential(hw9.nn.Linear(784, 8))
    expected = r"Encoder must take \(5, 1, 28, 28\), return mu, logvar.*28 and 784x8"
    with pytest.raises(TypeError, match=expected):
        hw9.check_shapes(encoder, vae[1], hw9.torch.rand(5, 1, 28, 28), 4)


@pytest.mark.parametrize("kind", ["tutorial", "published"])
def test_another_vae_goes_through_the_whole_notebook(tmp_path, run, kind):
    changed = {"encoder": "# 2.2 Encoder\n" + VAES[kind], "decoder": "# 2.3 Decoder"}
    other = run_on_sample(tmp_path, read_cells() | changed)
    assert (tmp_path / "abc123_HW9_PREVIEW.pdf").exists()
    assert [len(f.axes) for f in other.drawn] == [len(f.axes) for f in run.drawn]
