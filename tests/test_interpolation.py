"""Interpolation: the pairs, the seven codes between, the figures, as was asked."""

import collections
import io

import numpy as np
import pytest

MIDDLES = 16.5 + 32 * np.arange(10)  # of rows and columns, in pixels of a sheet


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (1, 1, 28, 28)])
def test_a_row_is_one_image_seven_of_evenly_spaced_codes_the_other(hw9, vae, shape):
    A = hw9.torch.rand(shape)
    B = hw9.torch.rand(shape).round()
    first = hw9.nn.Linear(4, 784, bias=False)  # shows a code's first number
    first.weight.data = hw9.torch.eye(4)[:1].repeat(784, 1)
    row = hw9.create_interpolates(A, B, vae[0], first)
    a = vae[0](A)[0][0, 0]
    b = vae[0](B)[0][0, 0]
    assert row.shape == (9, 28, 28)
    assert row[0].equal(A.reshape(28, 28)) and row[8].equal(B.reshape(28, 28))
    for k in range(1, 8):
        assert row[k].allclose(a + k / 8 * (b - a), atol=1e-6), f"t = {k}/8"


def test_rows_of_many_pairs_are_those_of_each(hw9, vae):
    A, B = hw9.torch.rand(2, 20, 1, 28, 28)
    rows = hw9.create_interpolates(A, B, *vae)
    assert rows.shape == (20, 9, 28, 28)
    assert rows[5].allclose(hw9.create_interpolates(A[5], B[5], *vae), atol=1e-6)


def test_reconstructions_and_samples_are_shown_in_lines_of_ten(run):
    rows = run.names["rows"].cpu()
    assert rows[:10].equal(run.names["test_images"][:10, 0].cpu()) and len(rows) == 60
    panels = {figure.axes[0].get_title(): figure.axes[0] for figure in run.drawn}
    panel = panels["Images, reconstructed, sharpened; three rows of samples"]
    assert panel.images[0].get_array().shape == (6 * 28, 10 * 28)


def test_pairs_are_of_the_ten_digits_and_of_two_digits(hw9, sample):
    labels = sample.test.targets
    counts = collections.Counter()
    for seed in range(50):
        same, different = hw9.choose_pairs(labels, seed)
        assert labels[same].tolist() == [[digit, digit] for digit in range(10)]
        assert (same[:, 0] != same[:, 1]).all() and different.shape == (10, 2)
        assert (labels[different[:, 0]] != labels[different[:, 1]]).all()
        counts.update(labels[different].flatten().tolist())
    assert len(counts) == 10 and min(counts.values()) > 0.5 * max(counts.values())


AS_EVER = """
440 390 211 491 272 302 193 283 124 424 455 165 26 216 397 117 458 278 289 59
145 41 283 126 142 325 481 170 464 189 233 427 413 368 388 391 20 188 57 188"""


def test_seed_0_draws_the_pairs_that_it_always_drew(hw9):
    labels = hw9.torch.arange(500) % 10
    hw9.torch.rand(7)  # what else draws random numbers does not matter
    drawn = hw9.torch.cat(hw9.choose_pairs(labels, 0)).flatten().tolist()
    assert drawn == list(map(int, AS_EVER.split()))
    assert not hw9.choose_pairs(labels, 1)[0].equal(hw9.choose_pairs(labels, 0)[0])


@pytest.fixture(params=["same", "different"])
def drawn(run, request):
    """Return one of the run's two figures: PNG, caption, its pairs, its axes."""
    pages = [f for f in run.drawn if f.get_size_inches().tolist() == [7.7, 8.5]]
    place = ["same", "different"].index(request.param)
    assert len(pages) == 2
    png, caption = run.names[f"{request.param}_figure"]
    pairs = run.names[f"{request.param}_pairs"].tolist()
    return png, caption, pairs, pages[place].axes[0]


def tiles(axes):
    """Return a sheet's tiles (10, 9, 30, 30), each with its frame of one pixel."""
    sheet = np.asarray(axes.images[0].get_array())[2:, 2:]
    return sheet.reshape(10, 32, 9, 32).swapaxes(1, 2)[:, :, :30, :30]


def test_the_outer_columns_are_the_test_images_untouched(run, drawn):
    _, _, pairs, axes = drawn
    ends = tiles(axes)[:, [0, 8], 1:-1, 1:-1] * 255
    assert (ends.round() == run.names["mnist_test"].data.numpy()[pairs]).all()


def test_between_stand_the_interpolates_in_order(run, drawn):
    names = run.names
    _, _, pairs, axes = drawn
    for row, pair in zip(tiles(axes), pairs, strict=True):
        A, B = names["test_images"][pair]
        by_hand = names["create_interpolates"](A, B, names["encoder"], names["decoder"])
        assert np.allclose(row[:, 1:-1, 1:-1], by_hand.cpu(), atol=1e-5)


def test_black_frames_are_around_the_real_images_alone(drawn):
    framed = tiles(drawn[3])
    frame = np.pad(np.zeros((28, 28), bool), 1, constant_values=True)
    assert (framed[:, [0, 8]][..., frame] == 1).all()
    assert framed[:, 1:8][..., frame].max() < 0.3


def test_columns_are_labelled_with_t_and_rows_with_their_digits(run, drawn):
    _, _, pairs, axes = drawn
    steps = ["t = 1/8", "2/8", "3/8", "4/8", "5/8", "6/8", "7/8"]
    columns = [text.get_text() for text in axes.get_xticklabels()]
    assert columns == ["real", *steps, "real"]
    assert np.abs(axes.get_xticks() - MIDDLES[:9]).max() <= 1
    digits = run.names["mnist_test"].targets.tolist()
    rows = [text.get_text() for text in axes.get_yticklabels()]
    assert rows == [f"{digits[a]} → {digits[b]}" for a, b in pairs]
    assert np.abs(axes.get_yticks() - MIDDLES).max() <= 1


def test_the_png_shows_the_sheet_in_black_on_white(run, drawn):
    png = run.names["plt"].imread(io.BytesIO(drawn[0]))[:, :, 0]
    left, *_, right = np.flatnonzero((png < 0.1).mean(0) > 0.5)  # black frames
    top, *_, bottom = np.flatnonzero(png[:, left] < 0.1)
    sheet = np.asarray(drawn[3].images[0].get_array())[2:-2, 2:-2]
    for k in range(sheet.shape[0]):  # along the diagonal
        y = top + (bottom + 1 - top) * (k + 0.5) / sheet.shape[0]
        x = left + (right + 1 - left) * (k % sheet.shape[1] + 0.5) / sheet.shape[1]
        ink = sheet[k, k % sheet.shape[1]]
        assert png[int(y), int(x)] == pytest.approx(1 - ink, abs=0.02)
    assert png.shape == (2550, 2310) and png[0].min() == png[-1].min() == 1


def test_a_caption_has_the_pairs_that_were_drawn(drawn):
    assert f"Random pairs of test images (4.4): {drawn[2]}." in drawn[1]


@pytest.fixture
def draw(run):
    """Return a function: the caption of a figure that this decoder drew."""
    names = run.names

    def draw(decoder):
        about = names["same_pairs"], names["test_images"], names["test_labels"]
        figure = names["draw_figure"](*about, names["encoder"], decoder, "About it.")
        return figure[1]

    return draw


def test_a_caption_has_the_temperature_of_the_decoder_that_drew(draw, run):
    plain = run.names["plain_decoder"]
    assert "contrast, logits / 1 (4.1). About it. Random" in draw(plain)
    assert "contrast, logits / 0.3 (4.1)" in draw(run.names["Sharpened"](plain, 0.3))


def test_rows_that_are_no_images_are_an_error(draw, run):
    with pytest.raises(ValueError, match="Restart the kernel and run all cells"):
        draw(run.names["nn"].Sequential(run.names["plain_decoder"].net[:-1]))
