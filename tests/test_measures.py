"""Part 6: the judge, and the measures, on cases with known answers."""

import types

import numpy as np
import pytest
import torch
from conftest import split_bytes
from hw9 import create_interpolates, frechet_distance, make_walks, measure, plot_strips
from scipy.linalg import sqrtm
from torch import nn
from torch.nn.functional import one_hot
from torch.testing import assert_close


def test_frechet_distance_is_that_of_scipys_root():
    f = torch.rand(500, 8).cumsum(dim=1)
    r = torch.randn(700, 8)
    apart = f.mean(dim=0) - r.mean(dim=0)
    C = np.cov(f.T)
    D = np.cov(r.T)
    root = sqrtm(C @ D)
    spread = np.trace(C + D - 2 * root)
    expected = apart.norm() ** 2 + spread
    found = frechet_distance(f, r)
    assert found.item() == pytest.approx(expected.item())


def get_first_pixels(x):
    """Return the first ten pixels of images."""
    return x[:, 0, 0, :10]


JUDGE = types.SimpleNamespace(features=get_first_pixels, logits=nn.Identity())
ONCE = ["333355555", "355555555", "333333335"]
OTHERS = ["335335555", "333855555", "333333333", "555533333", "833355555"]


@pytest.mark.parametrize("walk", ONCE + OTHERS)
def test_only_from_the_first_digit_to_the_second_is_one_switch(walk):
    digits = [int(digit) for digit in walk]
    seen = torch.tensor(digits)
    rows = torch.zeros(2, 9, 28, 28)
    rows[:, :, 0, :10] = one_hot(seen, 10)
    found = measure(
        rows,
        digits=torch.tensor([[3, 5]]),
        reference=rows[:, :1],
        judge=JUDGE,
    )
    assert found["once"].all() == (walk in ONCE)


def test_half_way_is_the_distance_of_the_fifth_of_nine_images():
    rows = torch.rand(30, 9, 28, 28)
    reference = torch.rand(40, 1, 28, 28)
    found = measure(rows, torch.zeros(30, 2), reference, JUDGE)
    middle = get_first_pixels(rows[:, 4, None])
    expected = frechet_distance(middle, get_first_pixels(reference))
    assert_close(found["half way"], expected)


@pytest.fixture
def ends():
    """Return the images at the ends of twenty pairs, A and B."""
    return torch.rand(2, 20, 1, 28, 28)


@pytest.fixture
def walks(ends, vae):
    """Return the ways between them."""
    images = ends.flatten(0, 1)
    pairs = torch.arange(40).reshape(2, 20).T
    encoder, decoder = vae
    return make_walks(pairs, images, encoder, {"decoder": decoder})


def test_real_images_jump_after_the_middle(ends, walks):
    A, B = ends
    expected = torch.cat([A] * 5 + [B] * 4, dim=1)
    assert_close(walks["real images"], expected)


def test_a_cross_fade_mixes_pixels(ends, walks):
    A, B = ends
    for k in range(9):
        expected = torch.lerp(A, B, k / 8)
        assert_close(walks["cross-fade"][:, k, None], expected)


def test_a_decoders_walks_are_rows_as_in_the_figures(ends, walks, vae):
    expected = create_interpolates(*ends, *vae)
    assert_close(walks["decoder"], expected)


def test_strips_show_first_second_and_other_digits_sorted():
    """Gray (8 in the colour map), blue (1), red (0)."""
    late = [3] * 6 + [8] + [5] * 2
    early = [3] + [5] * 8
    seen = torch.tensor([late, early])
    digits = torch.tensor([[3, 5], [3, 5]])
    figure = plot_strips({"way": seen, "other": seen}, digits)
    strip = figure.axes[0].collections[0]
    assert strip.get_cmap().name == "Set1"
    shown = strip.get_array().tolist()
    assert shown == [[8] + [1] * 8, [8] * 6 + [0] + [1] * 2]


def test_the_judge_learns_on_training_images_only(run):
    expected = split_bytes(run.names["train_images"])
    assert set(run.trained_on["Judge"]) == set(expected)
