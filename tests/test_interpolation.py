"""Interpolation: the pairs, the seven codes between, and the figure, as the assignment asks."""

import collections

import pytest


class Codes:
    """An encoder whose posterior means are an image's first two pixels, and whose variance is huge."""

    def __init__(self, hw9):
        self.torch = hw9.torch

    def parameters(self):
        """Yield something that knows its device."""
        yield self.torch.zeros(1)

    def __call__(self, x):
        """Return mu and logvar."""
        mu = x.reshape(len(x), -1)[:, :2]
        return mu, self.torch.full_like(mu, 20.0)


def draw(z):
    """Decode codes into images whose first two pixels they are."""
    images = z.new_zeros(len(z), 28 * 28)
    images[:, :2] = z
    return images.reshape(-1, 28, 28)


def test_row_is_image_seven_interpolates_image(hw9):
    A, B = hw9.torch.rand(28, 28), hw9.torch.rand(28, 28)
    row = hw9.create_interpolates(A, B, Codes(hw9), draw)
    assert row.shape == (9, 28, 28)
    assert row[0].equal(A) and row[8].equal(B), "the ends are the images themselves"
    for k in range(1, 8):
        expected = A[0, :2] + k / 8 * (B[0, :2] - A[0, :2])
        assert row[k, 0, :2].tolist() == pytest.approx(expected.tolist()), f"t = {k}/8, from A to B"


def test_interpolates_are_of_posterior_means(hw9, vae, sample):
    A, B = sample.test[0][0], sample.test[1][0]
    row = hw9.create_interpolates(A, B, *vae)
    assert row.equal(hw9.create_interpolates(A, B, *vae)), "nothing is random"
    with hw9.torch.no_grad():
        (a, _), (b, _) = vae[0](A), vae[0](B)
        for k in range(1, 8):
            assert hw9.torch.allclose(row[k], vae[1]((1 - k / 8) * a + k / 8 * b)[0], atol=1e-5)


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28)])
def test_both_shapes_of_an_image(hw9, vae, shape):
    A, B = hw9.torch.rand(shape), hw9.torch.rand(shape)
    row = hw9.create_interpolates(A, B, *vae)
    assert row.shape == (9, 28, 28) and row[0].equal(A.reshape(28, 28))
    assert not row.requires_grad


def test_pairs(hw9, sample):
    labels = sample.test.targets
    counts = collections.Counter()
    for seed in range(50):
        same, different = hw9.choose_pairs(labels, hw9.torch.Generator().manual_seed(seed))
        assert same.shape == different.shape == (10, 2)
        assert labels[same].tolist() == [[digit, digit] for digit in range(10)]
        assert (same[:, 0] != same[:, 1]).all()
        assert (labels[different[:, 0]] != labels[different[:, 1]]).all()
        counts.update(labels[different].flatten().tolist())
    assert set(counts) == set(range(10)) and min(counts.values()) > 0.5 * max(counts.values())


def test_pairs_follow_from_the_seed(hw9, sample):
    def pairs(seed):
        return hw9.choose_pairs(sample.test.targets, hw9.torch.Generator().manual_seed(seed))

    hw9.torch.manual_seed(1)
    first = pairs(5)
    hw9.torch.rand(7)  # what else draws random numbers does not matter
    assert all(map(hw9.torch.equal, first, pairs(5)))
    assert not first[0].equal(pairs(6)[0]) and not first[1].equal(pairs(6)[1])


def grid(figure):
    """Return the figure's axes as rows from the top, each from the left."""
    rows = collections.defaultdict(list)
    for axes in figure.axes:
        rows[round(axes.get_position().y0, 4)].append(axes)
    return [
        sorted(rows[y], key=lambda axes: axes.get_position().x0) for y in sorted(rows, reverse=True)
    ]


def test_figure_is_ten_rows_of_nine(hw9):
    rows = hw9.torch.rand(10, 9, 28, 28)
    digits = [[i, (i + 3) % 10] for i in range(10)]
    figure = hw9.interpolation_figure(rows, digits, preview=False)
    cells = grid(figure)
    assert [len(row) for row in cells] == [9] * 10
    width, height = figure.get_size_inches()
    for i, row in enumerate(cells):
        for k, axes in enumerate(row):
            (image,) = axes.images
            assert (image.get_array() == rows[i, k].numpy()).all(), "row i, column k"
            assert image.get_clim() == (0, 1) and image.get_interpolation() == "none"
            assert image.get_cmap().name in ("gray", "gray_r")
            box = axes.get_position()
            assert box.width * width == pytest.approx(box.height * height), "cells are square"
            assert not axes.get_xticks().size and not axes.get_yticks().size
            if k in (0, 8):
                frame = axes.spines["left"]
                assert frame.get_linewidth() > 2 * row[4].spines["left"].get_linewidth()
    words = [text.get_text() for text in figure.texts]
    assert words == [f"{a} → {b}" for a, b in digits]
    assert [axes.get_title() for axes in cells[0][1:8]] == [f"{k}/8" for k in range(1, 8)]


def test_figure_fills_the_page(hw9):
    figure = hw9.interpolation_figure(hw9.torch.rand(10, 9, 28, 28), [[0, 0]] * 10, preview=False)
    boxes = [axes.get_position() for axes in figure.axes]
    assert max(box.x1 for box in boxes) > 0.98 and max(box.x1 for box in boxes) <= 1
    assert min(box.y0 for box in boxes) < 0.02 and min(box.y0 for box in boxes) >= 0
    width, height = figure.get_size_inches()
    assert width >= 7.5 and height >= 9.5, "US Letter less its margins"


def test_preview_says_so_in_the_figure(hw9):
    figure = hw9.interpolation_figure(hw9.torch.rand(10, 9, 28, 28), [[0, 0]] * 10, preview=True)
    assert any("PREVIEW" in text.get_text() and text.get_fontsize() >= 12 for text in figure.texts)
    assert [len(row) for row in grid(figure)] == [9] * 10


def test_submitted_pairs_are_test_images(run):
    """The ends of the rows that the notebook drew are the test images of its pairs, untouched."""
    names = run.names
    drawn = [figure for figure in run.drawn if len(figure.axes) == 90]
    assert len(drawn) == 2
    for figure, pairs in zip(drawn, [names["same_pairs"], names["different_pairs"]], strict=True):
        for row, (a, b) in zip(grid(figure), pairs.tolist(), strict=True):
            for axes, index in [(row[0], a), (row[8], b)]:
                shown = axes.images[0].get_array() * 255
                assert (shown.round() == names["mnist_test"].data[index].numpy()).all()
