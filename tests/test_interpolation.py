"""Interpolation: the pairs, the seven codes between, the figures, as was asked."""

import numpy as np
import pytest
import torch
from hw9 import Encoder, LineDecoder, choose_pairs, create_interpolates
from read_notebook import read_cells, run_cell
from torch import nn
from torch.testing import assert_close

LABELS = torch.arange(500) % 10


def test_pairs_are_of_each_digit_and_as_many_of_two_digits():
    same, different = choose_pairs(LABELS, 0, times=3)
    assert LABELS[same].tolist() == [[digit, digit] for digit in range(10)] * 3
    assert different.shape == (30, 2)
    assert LABELS[different].diff().all()


def test_a_pair_is_of_two_images():
    same, _ = choose_pairs(LABELS[:20], 0, times=3)  # only two of each digit
    assert same.diff().all()


def test_pairs_depend_on_the_seed_alone():
    same, _ = choose_pairs(LABELS, 0)
    torch.rand(7)
    again, _ = choose_pairs(LABELS, 0)
    other, _ = choose_pairs(LABELS, 1)
    assert same.equal(again)
    assert not same.equal(other)


@pytest.fixture
def z():
    """Return five codes of length 1."""
    return nn.functional.normalize(torch.randn(5, 4))


# The bare decoder; codes that are shorter than the radius, and longer; the code 0.
MOVED = [(0.0, 1, 1), (6.0, 0.5, 6), (6.0, 9, 9), (6.0, 0, 0)]


@pytest.mark.parametrize(("radius", "length", "moved_to"), MOVED)
def test_only_shorter_codes_are_moved_straight_out_to_the_radius(
    decoder, z, radius, length, moved_to
):
    for_lines = LineDecoder(decoder, radius, 1.0)
    assert_close(for_lines(length * z), decoder(moved_to * z))


def test_temperature_divides_the_logits(decoder, z):
    for_lines = LineDecoder(decoder, 0.0, 0.5)
    assert_close(for_lines(z).logit(), decoder(z).logit() / 0.5)


def test_the_radius_is_a_quantile_of_lengths_of_training_codes(run):
    mu, _ = run.names["encoder"](run.names["train_images"][:2000])
    shorter = mu.norm(dim=1) < run.names["radius"]
    share = shorter.double().mean().item()
    assert share == pytest.approx(run.names["MOVED_SHARE"], abs=1e-3)


def test_with_share_0_the_radius_is_0(run):
    names = run.names | {"MOVED_SHARE": 0}
    source = read_cells()["Radius"]
    run_cell(source, "Radius", names)
    assert names["radius"] == 0


def test_a_row_is_one_image_seven_of_evenly_spaced_codes_and_the_other():
    """A decoder that returns the code itself shows which it was given."""
    A, B = torch.rand(2, 28, 28)
    encoder = Encoder(784)
    row = create_interpolates(A, B, encoder, nn.Identity())
    first, last = encoder(torch.stack([A, B]))[0]
    assert row.shape == (9, 28, 28)
    assert row[0].equal(A)
    assert row[8].equal(B)
    for k in range(1, 8):
        assert_close(row[k].flatten(), torch.lerp(first, last, k / 8))


def test_rows_of_many_pairs_are_those_of_each(vae):
    A, B = torch.rand(2, 20, 1, 28, 28)
    rows = create_interpolates(A, B, *vae)
    row = create_interpolates(A[5], B[5], *vae)
    assert_close(rows[5], row)


def test_rows_are_made_in_evaluation_mode(encoder, decoder):
    create_interpolates(*torch.rand(2, 28, 28), encoder, decoder)
    assert not encoder.training
    assert not decoder.training


@pytest.fixture(params=["same", "different"])
def kind(request):
    """Return which of the run's figures a test is about."""
    return request.param


@pytest.fixture
def panels(run, kind):
    """Return the panels (10, 9) of that figure."""
    figure = run.names[f"{kind}_figure"]
    return np.reshape(figure.axes, (10, 9))


@pytest.fixture
def pairs(run, kind):
    """Return its pairs of images."""
    return run.names[f"{kind}_pairs"]


def get_pixels(panels):
    """Return what panels show."""
    return np.stack([panel.images[0].get_array() for panel in panels.flat])


def test_the_outer_columns_are_the_test_images_untouched(run, panels, pairs):
    shown = get_pixels(panels[:, [0, 8]])
    split = run.names["mnist_test"]
    stored = split.data[pairs.flatten()]
    np.testing.assert_allclose(255 * shown, stored, rtol=1e-6)


def test_between_stand_the_interpolates_in_order(run, panels, pairs):
    names = run.names
    A, B = names["test_images"][pairs[3]]
    row = names["create_interpolates"](A, B, names["encoder"], names["decoder"])
    shown = get_pixels(panels[3])
    np.testing.assert_allclose(shown, row.cpu(), atol=1e-5)


def test_black_frames_are_around_the_real_images_alone(panels):
    for column, panel in enumerate(panels[3]):
        colour = panel.spines["top"].get_edgecolor()
        assert (colour == (0, 0, 0, 1)) == (column in (0, 8))


def test_1_is_black_and_0_is_white(panels):
    image = panels[3, 4].images[0]
    assert image.get_cmap().name == "gray_r"
    assert image.get_clim() == (0, 1)


def test_columns_are_named_by_t(panels):
    names = " ".join(panel.get_title() for panel in panels[0])
    between = "t = 1/8 t = 2/8 t = 3/8 t = 4/8 t = 5/8 t = 6/8 t = 7/8"
    assert names == f"real {between} real"


def test_rows_are_named_by_their_digits(run, panels, pairs):
    a, b = run.names["test_labels"][pairs[3]].tolist()
    name = rf"{a} $\to$ {b}" if a != b else str(a)
    assert panels[3, 0].get_ylabel() == name
