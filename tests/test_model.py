"""Model, loss, training: the course's contract, with our VAE and with others."""

import math

import pytest
from conftest import Run
from notebook import edit, read_cells, run_cell
from torch import distributions
from torch.nn.functional import binary_cross_entropy

SHAPES = [(28, 28), (1, 28, 28), (5, 28, 28), (5, 1, 28, 28)]


@pytest.mark.parametrize("shape", SHAPES)
def test_encoder_and_loss_take_all_shapes_of_images(hw9, vae, shape):
    """And the loss is the library's."""
    x = hw9.torch.rand(shape)
    mu, logvar = vae[0](x)
    x_hat = vae[1](mu)
    rows = 5 if shape[0] == 5 else 1
    assert mu.shape == logvar.shape == (rows, 4)
    posterior = distributions.Normal(mu, (logvar / 2).exp())
    kl = distributions.kl_divergence(posterior, distributions.Normal(0.0, 1.0)).sum()
    pixels = binary_cross_entropy(x_hat.flatten(), x.flatten(), reduction="sum")
    loss = hw9.vae_loss(x, x_hat, mu, logvar)
    assert loss.shape == () and loss.item() == pytest.approx(
        (pixels + kl).item() / rows
    )


@pytest.mark.parametrize("shape", [(5, 4), (4,), (1, 4)])
def test_decoder_takes_a_batch_or_one_code(hw9, vae, shape):
    z = 10 * hw9.torch.randn(shape)
    images = vae[1](z)
    assert images.shape == (z.numel() // 4, 28, 28)
    assert 0 <= images.min() <= images.max() <= 1


def test_decoder_moves_codes_out_to_the_radius_and_leaves_those_beyond(hw9, vae):
    seen = []
    vae[1].net[0].register_forward_pre_hook(lambda part, given: seen.append(given[0]))
    z = hw9.torch.nn.functional.normalize(hw9.torch.randn(5, 4))  # of length 1
    for length, moved_to in ((1, 6), (5.9, 6), (9, 9)):
        vae[1](length * z)
        assert seen[-1].allclose(moved_to * z, atol=1e-5)


def test_decoder_decodes_a_code_of_zeros(hw9, vae):
    assert vae[1](hw9.torch.zeros(4)).isfinite().all()


def test_decoder_begins_with_a_blank_page(hw9, vae):
    assert vae[1](hw9.torch.randn(5, 4)).mean() < 0.2


def test_loss_of_pixels_drawn_pure_black_or_white_is_finite(hw9):
    code = hw9.torch.zeros(2, 4)
    x = hw9.torch.rand(2, 28, 28).round()
    wrong = (1 - x).requires_grad_()
    loss = hw9.vae_loss(x, wrong, code, code)
    loss.backward()
    assert loss < 1e5 and wrong.grad.isfinite().all()


def test_sample_has_the_right_mean_and_spread_and_lets_gradients_through(hw9):
    mu = hw9.torch.full((100_000, 2), 3.0, requires_grad=True)
    logvar = hw9.torch.full((100_000, 2), math.log(0.25), requires_grad=True)
    z = hw9.sample(mu, logvar, hw9.torch.Generator().manual_seed(0))
    assert abs(z.mean() - 3) < 0.01 and abs(z.std() - 0.5) < 0.01
    z.sum().backward()
    assert (mu.grad == 1).all() and logvar.grad.allclose((z - mu) / 2, atol=1e-5)


@pytest.mark.parametrize("d", [2, 9, 10, 32])
def test_corners_are_equally_far_from_the_origin_and_from_each_other(hw9, d):
    means = hw9.make_prior_means(d, 5.0)
    assert means.norm(dim=1).tolist() == pytest.approx([5.0] * 10)
    assert means.shape == (10, d) and len(means.unique(dim=0)) == min(d + 1, 10)
    apart = hw9.torch.pdist(means).tolist()
    assert d < 10 or apart == pytest.approx([5 * math.sqrt(20 / 9)] * 45, rel=1e-5)
    assert (hw9.make_prior_means(d, 0.0) == 0).all()


def test_kl_to_mixture_is_the_librarys_and_at_most_log_10_above_ones_own(hw9):
    torch = hw9.torch
    label = torch.arange(2000) % 10
    means = hw9.make_prior_means(12, 5.0)
    mu = means[label] + torch.randn(2000, 12)
    logvar = torch.randn(2000, 12) - 2
    z = hw9.sample(mu, logvar)
    log_q = distributions.Normal(mu, (logvar / 2).exp()).log_prob(z).sum(1)
    parts = distributions.Independent(distributions.Normal(means, 1.0), 1)
    equal = distributions.Categorical(torch.ones(10))
    mixture = distributions.MixtureSameFamily(equal, parts)
    kl = hw9.kl_to_mixture(z, mu, logvar, means)
    assert kl.allclose(log_q - mixture.log_prob(z), atol=1e-3)
    own = log_q - distributions.Normal(means[label], 1.0).log_prob(z).sum(1)
    assert (kl - own).max() < math.log(10) + 1e-3


@pytest.fixture
def small(hw9, sample, vae):
    """Return a function that makes what `train` takes, of a few images."""

    def make(rate=2e-3, batch_size=100, count=1000, vae=vae):
        images, labels = hw9.read_split(sample.train, "cpu")
        loader = hw9.make_loader(images[:count], labels[:count], batch_size)
        weights = [*vae[0].parameters(), *vae[1].parameters()]
        return *vae, loader, hw9.optim.AdamW(weights, rate)

    return make


def test_training_takes_a_dataloader_and_lowers_the_loss(hw9, sample, small):
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
    hw9.train(encoder, decoder, list(loader), optimizer, 1)
    assert not before.equal(encoder.net[0].bias)


def test_the_learning_rate_climbs_to_the_optimizers_then_falls(hw9, small):
    optimizer = small()[3]
    schedule = hw9.one_cycle(optimizer, 100)
    rates = []
    for _ in range(100):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert max(rates) == pytest.approx(2e-3) and rates.index(max(rates)) in (20, 21)
    assert rates[0] < 1e-4 and rates[99] < 1e-4


def test_history_is_what_evaluate_says_after_each_epoch(hw9, small):
    encoder, decoder, loader, optimizer = small()
    means = hw9.make_prior_means(4, 5.0)
    images = loader.dataset.tensors[0][:100]
    history = hw9.train(encoder, decoder, loader, optimizer, 2, means, images)
    last = hw9.evaluate(encoder, decoder, images, means)
    assert len(history) == 2 and history[0]["-ELBO"] > history[1]["-ELBO"]
    assert history[1] == {"training loss": history[1]["training loss"]} | last
    assert last["-ELBO"] == pytest.approx(last["reconstruction"] + last["KL"])


def test_training_minimises_vae_loss_as_edited(hw9, small, monkeypatch):
    """Exercise 2: a weight on the KL, by editing vae_loss alone."""
    title = "Loss, and a check of its KL"
    edited = edit(read_cells(), title, "+ kl_to_prior", "+ 1000 * kl_to_prior")
    names = dict(vars(hw9)) | {"LATENT_DIM": 4}
    run_cell(edited[title], title, names)
    monkeypatch.setattr(hw9, "vae_loss", names["vae_loss"])
    last = hw9.train(*small(), 3, None, hw9.torch.rand(50, 1, 28, 28))[-1]
    assert last["KL"] < 0.1


def test_each_digit_is_near_its_own_corner(run):
    mu = run.names["encoder"](run.names["test_images"])[0]
    nearest = run.names["torch"].cdist(mu, run.names["prior_means"]).argmin(1)
    assert (nearest == run.names["test_labels"]).double().mean() > 0.5  # chance: 0.1


def test_the_contracts_names_are_live(run):
    names = "encoder decoder mnist_train mnist_test train_loader test_loader".split()
    names += (
        "plain_decoder prior_means sample vae_loss train create_interpolates".split()
    )
    assert set(names) <= run.names.keys()


@pytest.mark.parametrize(("rate", "pixel"), [(1e6, 0.5), (1e-3, math.nan), (1e-3, 1e6)])
def test_a_loss_that_cannot_be_right_stops_and_says_why(hw9, small, rate, pixel):
    encoder, decoder, loader, optimizer = small(rate)
    loader.dataset.tensors[0][7, 0, 5, 5] = pixel
    words = "check rate, loss, model, pixels"
    with pytest.raises(AssertionError, match=words):
        hw9.train(encoder, decoder, loader, optimizer, 3)


def test_only_training_images_train(run):
    """Gradients were taken on all training images but the held-out, each once."""
    kept = run.names["train_images"].reshape(-1, 784).cpu()
    seen = run.names["torch"].cat(run.trained_on["encoder"])
    assert sorted(map(bytes, seen.numpy())) == sorted(map(bytes, kept.numpy()))


def test_the_same_seed_gives_the_same_weights(run, run_again):
    for name in ("encoder", "plain_decoder", "judge"):
        one = run.names[name].state_dict()
        two = run_again.names[name].state_dict()
        assert all(one[key].equal(two[key]) for key in one)


def test_nothing_is_left_on_disk_that_a_second_run_could_load(run):
    left = {path.name for path in run.folder.iterdir()} - {".ipython"}
    assert left == {"data", "figures", "abc123_HW9_PREVIEW.pdf"}
    assert [path.name for path in (run.folder / "data").iterdir()] == ["sample"]


def test_temperature_divides_the_logits(hw9, vae):
    z = 3 * hw9.torch.randn(6, 4)
    ink = vae[1](z) ** 2  # odds squared: logits of twice the size
    paper = (1 - vae[1](z)) ** 2
    assert hw9.Sharpened(vae[1], 1.0)(z).allclose(vae[1](z), atol=1e-5)
    assert hw9.Sharpened(vae[1], 0.5)(z).allclose(ink / (ink + paper), atol=1e-5)


# VAEs from elsewhere: the tutorial's shape, with another layer in place of EXTRA.
TUTORIAL = """
class Encoder(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(784, 400), EXTRA, nn.ReLU())
        self.mu = nn.Linear(400, d)
        self.logvar = nn.Linear(400, d)

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
        self.mu = nn.Linear(784, d)
        self.logvar = nn.Linear(784, d)

    def forward(self, x):
        h = torch.flatten(self.conv(x), 1)
        return self.mu(h), self.logvar(h)


def Decoder(d):
    return nn.Sequential(
        nn.Linear(d, 784), nn.Unflatten(1, (16, 7, 7)),
        nn.ConvTranspose2d(16, 8, 3, 2, 1, 1), nn.BatchNorm2d(8), nn.LeakyReLU(),
        nn.ConvTranspose2d(8, 1, 3, 2, 1, 1), nn.Sigmoid())
"""
VAES = {
    "tutorial": TUTORIAL.replace("EXTRA", "nn.Identity()"),
    "batch norm": TUTORIAL.replace("EXTRA", "nn.BatchNorm1d(400)"),
    "published": PUBLISHED,
}
all_vaes = pytest.mark.parametrize("kind", VAES)


@pytest.fixture
def toy(hw9):
    """Return a function that runs the toy call with another VAE; it returns names."""

    def call(source):
        names = dict(vars(hw9)) | {"LATENT_DIM": 4, "BATCH_SIZE": 32, "device": "cpu"}
        names["train_images"] = hw9.torch.rand(40, 1, 28, 28)
        hw9.torch.manual_seed(1)
        run_cell(source, "own classes", names)
        run_cell(read_cells()["A toy call"], "A toy call", names)
        return names

    return call


@all_vaes
def test_the_toy_call_lets_a_vae_pass_and_prints_its_shapes(toy, kind, capsys):
    toy(VAES[kind])
    shapes = "torch.Size([1, 1, 28, 28]) torch.Size([1, 4]) torch.Size([1, 28, 28])"
    assert shapes in capsys.readouterr().out


@all_vaes
def test_a_row_is_the_same_alone_or_in_a_batch_after_training(hw9, toy, small, kind):
    """So it was read in evaluation mode, whatever mode it was trained in."""
    names = toy(VAES[kind])
    vae = names["Encoder"](4), names["Decoder"](4)
    hw9.train(*small(vae=vae, count=300), 1)
    vae[0].train()
    vae[1].train()
    x = hw9.torch.rand(40, 1, 28, 28)
    rows = hw9.create_interpolates(x[:20], x[20:], *vae)
    alone = hw9.create_interpolates(x[3], x[23], *vae)
    assert rows[3].allclose(alone, atol=1e-4) and not rows.requires_grad


def test_each_epoch_trains_in_training_mode_and_evaluate_reads_in_evaluation_mode(
    hw9, vae, small
):
    seen = []
    vae[0].register_forward_hook(lambda part, *_: seen.append(part.training))
    vae[1].register_forward_hook(lambda part, *_: seen.append(part.training))
    hw9.train(*small(count=100), 2, None, hw9.torch.rand(5, 1, 28, 28))
    assert seen == [True, True, False, False] * 2


WRONG = {  # what a VAE from elsewhere may do: old text, new text, words of the error
    "no sigmoid": (
        "nn.Sigmoid()",
        "nn.Identity()",
        r"End the decoder with nn\.Sigmoid",
    ),
    "tanh": ("nn.Sigmoid()", "nn.Tanh()", r"End the decoder with nn\.Sigmoid"),
    "three": ("return self.mu(h),", "return h, self.mu(h),", "too many values"),
    "one tensor": ("return self.mu(h),", "return", "not enough values"),
    "other length": ("self.logvar(h)", "self.logvar(h)[:, :3]", "must be .1, d. each"),
    "images of a batch only": ("view(-1, 784)", "view(BATCH_SIZE, 784)", "invalid"),
    "batches only": (
        "EXTRA",
        "nn.BatchNorm1d(400, track_running_stats=False)",
        "Expect",
    ),
    "not flattened": ("x.view(-1, 784)", "x", "cannot be multiplied"),
    "another code": (
        "x.view(-1, 784)",
        "nn.functional.dropout(x).view(-1, 784)",
        "same",
    ),
    "its input": (
        "x.view(-1, 784)",
        "x.sub_(0.13).view(-1, 784)",
        "not change their in",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_the_toy_call_stops_a_vae_that_would_fail_later(toy, what):
    old, new, words = WRONG[what]
    assert old in TUTORIAL
    source = TUTORIAL.replace(old, new).replace("EXTRA", "nn.Identity()")
    with pytest.raises(Exception, match=words):
        toy(source)


@pytest.mark.parametrize("kind", ["tutorial", "published"])
def test_another_vae_goes_through_the_whole_notebook(tmp_path, kind):
    cells = read_cells() | {"Encoder": VAES[kind], "Decoder": "# 2.3 Decoder"}
    assert (
        "abc123_HW9_PREVIEW.pdf PREVIEW, do not submit: made from a small sample"
        in Run(tmp_path).execute_all(cells).out
    )


def test_another_default_dtype_goes_through_the_whole_notebook(tmp_path, hw9):
    cells = read_cells()
    cells["Imports"] += "\ntorch.set_default_dtype(torch.float64)"
    try:
        assert "PREVIEW, do not submit" in Run(tmp_path).execute_all(cells).out
    finally:
        hw9.torch.set_default_dtype(hw9.torch.float32)
