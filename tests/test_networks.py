"""Encoder and decoder: the course's contract, and VAEs from elsewhere."""

import hw9
import pytest
import torch
from conftest import CELLS, Run
from read_notebook import run_cell


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (5, 28, 28), (5, 1, 28, 28)])
def test_encoder_takes_all_shapes_of_images(encoder, shape):
    x = torch.rand(shape)
    mu, logvar = encoder(x)
    assert mu.shape == logvar.shape == (x.numel() // 784, 4)


@pytest.mark.parametrize("shape", [(5, 4), (1, 4), (4,)])
def test_decoder_takes_a_batch_or_one_code(decoder, shape):
    z = torch.randn(shape)
    images = decoder(z)
    assert images.shape == (z.numel() // 4, 28, 28)


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
def toy_call():
    """Return a function that runs the toy call with another VAE."""

    def toy_call(source):
        names = dict(vars(hw9))
        names["LATENT_DIM"] = 4
        names["device"] = "cpu"
        names["train_images"] = torch.rand(40, 1, 28, 28)
        torch.manual_seed(1)
        run_cell(source, "own classes", names)
        run_cell(CELLS["A toy call"], "A toy call", names)

    return toy_call


def test_the_toy_call_lets_a_vae_from_elsewhere_pass_and_prints_shapes(
    toy_call, capsys
):
    toy_call(ELSEWHERE)
    shapes = capsys.readouterr().out.split("torch.Size")
    assert shapes == ["", "([2, 1, 28, 28]) ", "([2, 4]) ", "([2, 4]) ", "([2, 784])\n"]


def test_the_toy_call_stops_a_decoder_without_a_sigmoid(toy_call):
    wrong = ELSEWHERE.replace("nn.Sigmoid()", "nn.Identity()")
    with pytest.raises(AssertionError, match=r"end the decoder with nn\.Sigmoid\(\)"):
        toy_call(wrong)


def test_the_toy_call_stops_codes_that_depend_on_the_rest_of_the_batch(toy_call):
    standardised = "(h - h.mean(0)) / (h.std(0, correction=0) + 1e-5)"
    wrong = ELSEWHERE.replace("return ", f"h = {standardised}\n        return ", 1)
    with pytest.raises(AssertionError, match="one image must have one code"):
        toy_call(wrong)


def test_another_vae_goes_through_the_whole_notebook(tmp_path):
    cells = CELLS | {"Encoder": ELSEWHERE, "Decoder": "# 2.3 Decoder"}
    run = Run(tmp_path).execute_all(cells)
    words = "abc123_HW9_PREVIEW.pdf PREVIEW, do not submit: made from a small sample"
    assert words in run.out
