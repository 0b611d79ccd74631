"""Interpolation: the pairs, the seven codes between, the figure, as it was asked."""

import collections

import numpy as np
import pytest
from pypdf import PdfReader


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28)])
def test_row_is_image_seven_means_on_the_line_image(hw9, vae, shape):
    A, B = hw9.torch.rand(shape), hw9.torch.rand(shape).round()
    row = hw9.create_interpolates(A, B, vae[0], lambda z: z[:, :1].expand(-1, 784))
    (a, b), ends = (vae[0](image)[0][0, 0] for image in (A, B)), row[[0, 8]]
    assert row.shape == (9, 28, 28) and not row.requires_grad
    assert ends.equal(hw9.torch.stack([A, B]).reshape(2, 28, 28)), "as they are"
    for k in range(1, 8):
        assert row[k].allclose(a + k / 8 * (b - a), atol=1e-6), f"t = {k}/8"


def test_walks_of_many_pairs_are_those_of_each(hw9, vae, sample):
    images, t = hw9.as_tensors(sample.test, "cpu")[0], hw9.torch.arange(1, 8) / 8
    walks = hw9.decode_walks(*vae, images[:20], images[20:40], t)
    row = hw9.create_interpolates(images[5], images[25], *vae)
    assert walks[5].allclose(row[1:8], atol=1e-6) and not row.requires_grad


def test_pairs(hw9, sample):
    labels, counts = sample.test.targets, collections.Counter()
    for seed in range(50):
        generator = hw9.torch.Generator().manual_seed(seed)
        same, different = hw9.choose_pairs(labels, generator)
        assert labels[same].tolist() == [[digit, digit] for digit in range(10)]
        assert (same[:, 0] != same[:, 1]).all() and different.shape == (10, 2)
        assert (labels[different[:, 0]] != labels[different[:, 1]]).all()
        counts.update(labels[different].flatten().tolist())
    assert len(counts) == 10 and min(counts.values()) > 0.5 * max(counts.values())


def pairs_as_ever(torch, labels, generator):
    """Draw pairs as all versions of the notebook have."""

    def one_of(digit, count):
        members = (labels == digit).nonzero()[:, 0]
        return members[torch.randperm(len(members), generator=generator)[:count]]

    same = [one_of(digit, 2) for digit in range(10)]
    digits = (torch.randperm(10, generator=generator)[:2] for _ in range(10))
    different = [torch.cat([one_of(digit, 1) for digit in two]) for two in digits]
    return torch.stack(same), torch.stack(different)


def test_a_seed_draws_the_pairs_that_it_always_drew(hw9):
    torch, drawn = hw9.torch, []
    labels = torch.from_numpy(np.random.default_rng(5).integers(0, 10, 500))
    for seed in (0, 1, 0):
        torch.rand(7)  # what else draws random numbers does not matter
        drawn.append(hw9.choose_pairs(labels, torch.Generator().manual_seed(seed)))
        ever = pairs_as_ever(torch, labels, torch.Generator().manual_seed(seed))
        assert all(map(torch.equal, drawn[-1], ever))
    assert all(not one.equal(two) for one, two in zip(*drawn[:2], strict=True))


@pytest.mark.parametrize(("place", "name"), [(0, "same"), (1, "different")])
def test_figure_is_ten_framed_rows_of_test_images_and_what_is_between(run, place, name):
    names, pairs = run.names, run.names[f"{name}_pairs"].tolist()
    file = PdfReader(run.folder / "figures" / f"{name}_digit_PREVIEW.pdf")
    images = [image.image.convert("L") for image in file.pages[0].images]
    rows = 255 - np.reshape(np.stack(images).astype(int), (10, 9, 28, 28))
    rows, vae = rows[:, :, ::-1], (names["encoder"], names["decoder"])  # PDF: y is up
    for row, pair in zip(rows, pairs, strict=True):
        ends = names["mnist_test"].data[pair].numpy().astype(int)
        assert np.abs(row[[0, 8]] - ends).max() <= 1, "untouched"
        by_hand = names["create_interpolates"](*names["test_images"][pair], *vae)
        assert np.abs(row - 255 * by_hand.cpu().numpy()).max() <= 2.5

    figure = [figure for figure in run.drawn if len(figure.axes) == 90][place]
    boxes = [cell.get_position(original=True).bounds for cell in figure.axes]
    left, bottom, width, height = np.transpose(boxes).reshape(4, 10, 9)
    assert (np.diff(left) > width[0, 0]).all() and np.ptp(left, 0).max() < 1e-6
    assert (np.diff(bottom, axis=0) < -height[0, 0]).all()
    assert left[9, 8] + width[9, 8] > 0.98 and bottom[9, 8] < 0.02, "fills the page"
    digits = names["mnist_test"].targets.tolist()
    digits = [f"{digits[a]} → {digits[b]}" for a, b in pairs]
    assert [cell.get_ylabel() for cell in figure.axes[::9]] == digits
    steps = [f"t = {k}/8" for k in range(1, 8)]
    assert [cell.get_title() for cell in figure.axes[:9]] == ["real", *steps, "real"]
    framed = [cell.spines["left"].get_linewidth() for cell in figure.axes]
    framed = np.reshape(framed, (10, 9))
    assert framed[:, [0, 8]].min() > 1.5 * framed[:, 1:8].max()
    assert "PREVIEW" in figure.get_suptitle(), "this is of the sample"
