"""Part 5: the judge and the measures of interpolation, on cases with known answers."""

import base64
import io
import math

import numpy as np
import pytest
from PIL import Image


def gaussian_rows(torch, mean, spread, count=500):
    """Return rows whose mean and covariance are exactly `mean` and diag(spread ** 2)."""
    rows = torch.randn(count, len(mean), dtype=torch.float64)
    rows = torch.linalg.qr(rows - rows.mean(0)).Q * math.sqrt(count - 1)
    return rows * torch.tensor(spread) + torch.tensor(mean)


def believed(torch, digits):
    """Return belief (P, K, 10) of 0.95 in each of `digits`, one list per path."""
    one_hot = torch.nn.functional.one_hot(torch.tensor(digits), 10)
    return one_hot * 0.95 + (1 - one_hot) * 0.05 / 9


def test_frechet_distance_of_two_gaussians_is_the_closed_form(hw9):
    ours = gaussian_rows(hw9.torch, [1.0, 0.0, 2.0], [1.0, 2.0, 0.5])
    reference = gaussian_rows(hw9.torch, [0.0, 0.0, 0.0], [3.0, 2.0, 1.0], 700)
    by_hand = (1 + 4) + ((1 - 3) ** 2 + 0 + (0.5 - 1) ** 2)
    assert hw9.frechet_distance(ours, reference) == pytest.approx(by_hand)
    assert hw9.frechet_distance(ours, ours) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_of_features_that_never_vary(hw9):
    rows = hw9.torch.randn(50, 4)
    rows[:, 2:] = 0
    assert hw9.frechet_distance(rows, rows) == pytest.approx(0, abs=1e-4)


def test_smoothness_of_an_even_path_is_0_and_of_a_jump_seven_eighths(hw9):
    torch = hw9.torch
    even = torch.linspace(0, 1, 9)[None, :, None] * torch.ones(3, 1, 5)
    jump = (torch.arange(9) > 4).float()[None, :, None] * torch.ones(3, 1, 5)
    assert hw9.smoothness(even) == pytest.approx(0, abs=1e-6)
    assert hw9.smoothness(jump) == pytest.approx(0.875)
    assert hw9.smoothness(torch.cat([even, jump])) == pytest.approx(0.4375)


def test_sharpness_is_1_for_equals_and_less_for_blur(hw9, sample):
    images = hw9.as_tensors(sample.test, "cpu")[0][:200]
    blurred = hw9.nn.functional.avg_pool2d(images, 3, stride=1, padding=1)
    assert hw9.sharpness(images[:, 0], images) == pytest.approx(1)
    assert hw9.sharpness(blurred[:, 0], images) < 0.5
    assert hw9.sharpness(images[:, 0] / 2, images) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("seen", "counts"),
    [
        ([3, 3, 3, 3, 5, 5, 5, 5, 5], True),
        ([3, 5, 5, 5, 5, 5, 5, 5, 5], True),
        ([3, 3, 5, 3, 3, 5, 5, 5, 5], False),
        ([3, 3, 3, 8, 5, 5, 5, 5, 5], False),
        ([3, 3, 3, 3, 3, 3, 3, 3, 3], False),
        ([5, 5, 5, 5, 5, 5, 5, 5, 5], False),
        ([5, 5, 5, 3, 3, 3, 3, 3, 3], False),
        ([8, 3, 3, 3, 5, 5, 5, 5, 5], False),
        ([3, 3, 3, 3, 5, 5, 5, 5, 8], False),
    ],
)
def test_only_one_switch_from_the_first_to_the_second_counts(hw9, seen, counts):
    torch = hw9.torch
    once = hw9.switches_once(believed(torch, [seen]), torch.tensor([3]), torch.tensor([5]))
    assert once.tolist() == [counts]


def test_the_map_has_each_pair_of_digits_in_its_place(hw9):
    torch = hw9.torch
    paths = [[1, 1, 1, 1, 2, 2, 2, 2, 2], [4, 4, 9, 9, 9, 9, 9, 9, 7], [6] * 9]
    digits = torch.tensor([[1, 2], [4, 7], [6, 6]])
    valid = hw9.validity_map(believed(torch, paths), digits)
    assert valid[1, 2] == 1 and valid[6, 6] == 1 and valid[4, 7] == pytest.approx(1 / 7)
    assert valid.isnan().sum() == 97, "no walk, no figure"


def test_the_sphere_keeps_the_length_and_both_ends(hw9):
    torch = hw9.torch
    a, b = torch.tensor([[1.0, 0, 0], [2.0, 0, 0]]), torch.tensor([[0, 1.0, 0], [0, 0, 2.0]])
    assert torch.allclose(hw9.spherical(a, b, 0), a) and torch.allclose(hw9.spherical(a, b, 1), b)
    half = hw9.spherical(a, b, 0.5)
    assert half.norm(dim=1).tolist() == pytest.approx([1, 2])
    assert half[0].tolist() == pytest.approx([math.sqrt(0.5), math.sqrt(0.5), 0])
    assert hw9.spherical(a, a, 0.5).isfinite().all()


def test_a_walk_takes_eight_even_steps_between_the_decoded_ends(hw9, vae, sample):
    torch = hw9.torch
    images = hw9.as_tensors(sample.test, "cpu")[0]
    A, B = images[:700], images[-700:]
    pixels = torch.nn.Identity()
    fade = hw9.walk(A, B, pixels, pixels, hw9.straight)
    assert fade.shape == (700, 9, 28, 28)
    assert torch.allclose(fade[:, 3], (5 * A + 3 * B)[:, 0] / 8)
    line = hw9.walk(A, B, lambda x: vae[0](x)[0], vae[1], hw9.straight)
    row = hw9.create_interpolates(A[5], B[5], *vae)
    assert torch.allclose(line[5, 1:8], row[1:8], atol=1e-6)
    assert torch.allclose(line[:, 0], vae[1](vae[0](A)[0]), atol=1e-6)


def test_ends_are_of_one_digit_or_of_two_and_never_the_same_image(hw9, sample):
    torch = hw9.torch
    labels = sample.test.targets
    pairs = hw9.draw_ends(labels, 300, torch.Generator().manual_seed(0))
    assert [len(pairs[kind]) for kind in ("one digit", "two digits")] == [300, 300]
    one, two = (labels[pairs[kind]] for kind in pairs)
    assert (one[:, 0] == one[:, 1]).all() and (two[:, 0] != two[:, 1]).all()
    assert (pairs["one digit"][:, 0] != pairs["one digit"][:, 1]).all()
    again = hw9.draw_ends(labels, 300, torch.Generator().manual_seed(0))
    assert all(pairs[kind].equal(again[kind]) for kind in pairs)


def test_the_judge_learns_and_learns_on_training_images_only(run):
    names = run.names
    _, belief = names["ask"](names["judge"], names["test_images"])
    assert (belief.argmax(1) == names["test_labels"]).float().mean() > 0.9
    train = {bytes(image) for image in names["mnist_train"].data.numpy().reshape(-1, 784)}
    seen = (np.concatenate(run.trained_on[names["judge"]]) * 255).round().astype(np.uint8)
    assert {bytes(image) for image in seen.reshape(-1, 784)} <= train


def test_ends_and_reference_share_no_image(run):
    half, others = run.names["half"].tolist(), run.names["others"].tolist()
    assert not set(half) & set(others)
    assert len(half) + len(others) == len(run.names["test_images"])
    assert run.names["reference"].equal(run.names["test_images"][others])


def test_the_cross_fade_is_worse_than_real_images(run):
    values = run.names["values"]
    for kind in ("one digit", "two digits"):
        fade, real = (values[kind, way] for way in ("cross-fade", "real images"))
        for name in ("Fréchet distance, half way", "Fréchet distance, all the way"):
            assert fade[name] > (1 if kind == "one digit" else 2) * real[name]
        assert fade["error at the ends, nats"] == real["error at the ends, nats"]
        assert (
            values[kind, "plain decoder"]["error at the ends, nats"] > fade["error at the ends, nats"]
        )
        assert real["smoothness"] == pytest.approx(0.875, abs=1e-3)
        assert 0 <= fade["smoothness"] < 0.5
    assert values["two digits", "real images"]["switches once"] > 0.8


def test_the_same_seed_measures_the_same(run, run_again):
    assert run.names["values"] == run_again.names["values"]


def test_the_gif_walks_to_and_fro(run):
    file = run.folder / "figures" / "interpolation_PREVIEW.gif"
    assert file.stat().st_size < 1e6
    with Image.open(file) as gif:
        assert gif.n_frames == 48 and gif.info["loop"] == 0
        frames = []
        for k in range(gif.n_frames):
            gif.seek(k)
            frames.append(np.asarray(gif.convert("L"), int))
    assert all(np.array_equal(frames[k], frames[48 - k]) for k in range(1, 24)), "back as it came"
    names = run.names
    first = names["mnist_test"][int(names["same_pairs"][0, 0])][0]
    decoded = names["decoder"](names["encoder"](first)[0]).detach().numpy()[0]
    assert np.abs(frames[0][2:30, 2:30] - 255 * (1 - decoded)).max() < 10


def test_the_explorer_redraws(run):
    names = run.names
    ingredients = [
        names[name] for name in ("test_images", "test_labels", "encoder", "decoder", "judge")
    ]
    controls, still = names["explore"](*ingredients, 3)
    buttons, slider, picture = controls.children
    pictures = [still]
    slider.value = 0.25
    pictures.append(picture.value)
    buttons.children[0].value = 7
    pictures.append(picture.value)
    buttons.children[2].click()
    pictures.append(picture.value)
    assert len(set(pictures)) == 4, "the slider, a digit, and the button each change the picture"
    assert Image.open(io.BytesIO(picture.value)).size[0] > 600
    assert names["explore"](*ingredients, 3)[1] == still, "the same seed, the same picture"


def test_base64_of_the_gif_is_that_of_the_file(run):
    data = base64.b64encode((run.folder / "figures" / "interpolation_PREVIEW.gif").read_bytes())
    assert data.decode() == run.names["data"]
