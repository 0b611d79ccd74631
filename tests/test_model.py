"""Model, loss, training: the course's contract, with our VAE and with others."""

import math

import pytest
from conftest import Run
from notebook import read_cells, run_cell
from torch import distributions
from torch.nn.functional import binary_cross_entropy

SHAPES = [(28, 28), (1, 28, 28), (5, 28, 28), (5, 1, 28, 28)]


@pytest.mark.parametrize("shape", SHAPES)
def test_encoder_and_loss_take_all_shapes_of_images(hw9, vae, shape):
    """And the loss is the library's."""
    x = hw9.torch.rand(shape)
    mu, logvar = vae[0](x)
    x_hat = vae[1](mu)
    assert mu.shape == logvar.shape == (x.numel() // 784, 4)
    posterior = distributions.Normal(mu, (logvar / 2).exp())
    kl = distributions.kl_divergence(posterior, distributions.Normal(0.0, 1.0)).sum()
    pixels = binary_cross_entropy(x_hat.flatten(), x.flatten(), reduction="sum")
    loss = hw9.vae_loss(x, x_hat, mu, logvar)
    assert loss.shape == () and loss.allclose((pixels + kl) / len(mu))


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
    assert vae[1](0 * z).isfinite().all()


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

    def make(rate=2e-3, count=1000):
        images, labels = hw9.read_split(sample.train, "cpu")
        loader = hw9.make_loader(images[:count], labels[:count], 100)
        weights = [*vae[0].parameters(), *vae[1].parameters()]
        return *vae, loader, hw9.optim.AdamW(weights, rate)

    return make


def test_training_takes_a_list_of_batches_and_lowers_the_loss(hw9, sample, small):
    encoder, decoder, _, optimizer = small()
    subset = hw9.torch.utils.data.Subset(sample.train, range(601))
    loader = list(hw9.DataLoader(subset, batch_size=50))
    first, _, last = hw9.train(encoder, decoder, loader, optimizer, 3)
    assert last["training loss"] < 0.7 * first["training loss"]
    assert first.keys() == {"training loss"}, "no images, nothing to evaluate"


def test_the_learning_rate_climbs_to_the_optimizers_then_falls(hw9, small):
    schedule = hw9.one_cycle(small()[3], 100)
    rates = []
    for _ in range(100):
        rates += schedule.get_last_lr()
        schedule.optimizer.step()
        schedule.step()
    assert max(rates) == rates[20] == pytest.approx(2e-3)
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


def test_each_digit_is_near_its_own_corner(run):
    mu = run.names["encoder"](run.names["test_images"])[0]
    nearest = run.names["torch"].cdist(mu, run.names["prior_means"]).argmin(1)
    assert (nearest == run.names["test_labels"]).double().mean() > 0.5  # chance: 0.1


def test_the_contracts_names_are_live(run):
    names = "encoder decoder plain_decoder prior_means sample vae_loss train "
    names += "mnist_train mnist_test train_loader test_loader create_interpolates"
    assert set(names.split()) <= run.names.keys()


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


def test_the_same_seed_gives_the_same_weights(run, tmp_path):
    again = Run(tmp_path).execute_all(read_cells()).names
    for name in ("encoder", "plain_decoder", "judge"):
        weights = run.names[name].state_dict()
        for key, value in again[name].state_dict().items():
            assert value.equal(weights[key])


def test_temperature_divides_the_logits(hw9, vae):
    z = 3 * hw9.torch.randn(6, 4)
    ink = vae[1](z) ** 2  # odds squared: logits of twice the size
    paper = (1 - vae[1](z)) ** 2
    assert hw9.Sharpened(vae[1], 1.0)(z).allclose(vae[1](z), atol=1e-5)
    assert hw9.Sharpened(vae[1], 0.5)(z).allclose(ink / (ink + paper), atol=1e-5)


# A VAE from elsewhere, with BatchNorm, made by a class and by a function.
ELSEWHERE = """
class Encoder(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Linear(784, 400), nn.BatchNorm1d(400), nn.ReLU())
        self.mu = nn.Linear(400, d)
        self.logvar = nn.Linear(400, d)

    def forward(self, x):
        h = self.hidden(x.view(-1, 784))
        return self.mu(h), self.logvar(h)


def Decoder(d):
    return nn.Sequential(
        nn.Linear(d, 400), nn.ReLU(), nn.Linear(400, 784), nn.Sigmoid())
"""


@pytest.fixture
def toy(hw9):
    """Return a function that runs the toy call with another VAE."""

    def call(source):
        names = dict(vars(hw9)) | {"LATENT_DIM": 4, "BATCH_SIZE": 32, "device": "cpu"}
        names["train_images"] = hw9.torch.rand(40, 1, 28, 28)
        hw9.torch.manual_seed(1)
        run_cell(source, "own classes", names)
        run_cell(read_cells()["A toy call"], "A toy call", names)

    return call


def test_the_toy_call_lets_a_vae_pass_and_prints_its_shapes(toy, capsys):
    toy(ELSEWHERE)
    shapes = "torch.Size([1, 1, 28, 28]) torch.Size([1, 4]) torch.Size([1, 28, 28])"
    assert shapes in capsys.readouterr().out


def test_epochs_train_in_training_mode_and_all_else_reads_in_evaluation_mode(
    hw9, vae, small
):
    seen = []
    vae[0].register_forward_hook(lambda part, *_: seen.append(part.training))
    vae[1].register_forward_hook(lambda part, *_: seen.append(part.training))
    images = hw9.torch.rand(5, 1, 28, 28)
    hw9.train(*small(count=100), 2, None, images)
    assert seen == [True, True, False, False] * 2
    vae[0].train()
    vae[1].train()
    seen.clear()
    hw9.create_interpolates(images, images, *vae)
    assert not any(seen)


X = "x.view(-1, 784)"
MU = "self.mu(h), self.logvar(h)"
WRONG = [  # what a VAE from elsewhere may do: old text, new text, words of the error
    ("nn.Sigmoid()", "nn.Identity()", r"End the decoder with nn\.Sigmoid"),
    (MU, f"h, {MU}", "too many values"),
    (MU, "self.mu(h)", "not enough values"),
    (MU, f"{MU}[:, :3]", r"must be \(1, d\) each"),
    (X, "x.view(BATCH_SIZE, 784)", "invalid"),
    (X, "x", "cannot be multiplied"),
    (X, f"nn.functional.dropout({X})", "the same image must have the same code"),
    (X, "x.sub_(0.13).view(-1, 784)", "must not change their input"),
    ("(400),", "(400, track_running_stats=False),", "Expected more than 1 value"),
]


@pytest.mark.parametrize(("old", "new", "words"), WRONG)
def test_the_toy_call_stops_a_vae_that_would_fail_later(toy, old, new, words):
    assert old in ELSEWHERE
    with pytest.raises(Exception, match=words):
        toy(ELSEWHERE.replace(old, new))


def test_another_vae_and_default_dtype_go_through_the_whole_notebook(tmp_path, hw9):
    cells = read_cells() | {"Encoder": ELSEWHERE, "Decoder": "# 2.3 Decoder"}
    cells["Imports"] += "\ntorch.set_default_dtype(torch.float64)"
    try:
        run = Run(tmp_path).execute_all(cells)
    finally:
        hw9.torch.set_default_dtype(hw9.torch.float32)
    words = "abc123_HW9_PREVIEW.pdf PREVIEW, do not submit: made from a small sample"
    assert words in run.out
