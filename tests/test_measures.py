"""Part 6: the plane, the judge, and the measures, on cases with known answers."""

import math

import numpy as np
import pytest


def test_the_plane_shows_the_walk_of_evenly_spaced_codes(hw9):
    torch = hw9.torch
    means = hw9.make_prior_means(12, 5.0)
    labels = torch.arange(40) % 10
    codes = means[labels] + torch.randn(40, 12)
    hw9.plot_plane(codes, labels, torch.tensor([3, 38]), means, 6.0)
    lines = {line.get_label(): line.get_xydata() for line in hw9.plt.gca().lines}
    (circle,) = hw9.plt.gca().patches
    hw9.plt.close()
    steps = np.diff(lines["the walk"], axis=0)
    assert steps.shape == (8, 2) and np.allclose(steps, steps[0], atol=1e-4)
    assert np.allclose(lines["the walk"][0], lines["test codes of 3"][0], atol=1e-4)
    assert np.allclose(lines["the walk"][8], lines["test codes of 8"][3], atol=1e-4)
    a, b = lines["their corners"]
    assert np.allclose(np.hypot(*lines["their corners"].T), 5), "they lie in the plane"
    assert a[0] < b[0] and a[1] == pytest.approx(b[1], abs=1e-4)
    assert a[1] > 0, "the origin is below"
    assert circle.radius == 6 and circle.center == (0, 0)
    assert len(lines["test codes of 3"]) == len(lines["test codes of 8"]) == 4


def gaussian_rows(torch, mean, spread, count=500):
    """Return rows of exactly this mean, and of covariance diag(spread ** 2)."""
    rows = torch.randn(count, len(mean), dtype=torch.float64)
    rows = torch.linalg.qr(rows - rows.mean(0)).Q * math.sqrt(count - 1)
    return rows * torch.tensor(spread) + torch.tensor(mean)


def test_frechet_distance_of_two_gaussians_is_the_closed_form(hw9):
    ours = gaussian_rows(hw9.torch, [1.0, 0.0, 2.0], [1.0, 2.0, 0.5])
    reference = gaussian_rows(hw9.torch, [0.0, 0.0, 0.0], [3.0, 2.0, 1.0], 700)
    by_hand = (1 + 4) + ((1 - 3) ** 2 + 0 + (0.5 - 1) ** 2)
    assert hw9.frechet_distance(ours, reference).item() == pytest.approx(by_hand)
    ours[:, 1:] = 0  # flat, and at no distance from itself
    assert hw9.frechet_distance(ours, ours).item() == pytest.approx(0, abs=1e-4)


def test_sharpness_is_the_mean_square_of_the_laplacian(hw9):
    dot = hw9.torch.zeros(1, 28, 28)
    dot[0, 9, 20] = 1
    assert hw9.sharpness(dot).item() == pytest.approx((4**2 + 4) / 26**2)


def measure(hw9, paths, digits):
    """Measure walks between digits, of which a judge believes that they are `paths`.

    The judge reads what it believes off the first row of an image."""
    torch = hw9.torch
    seen = torch.tensor([list(map(int, path)) for path in paths])
    rows = torch.zeros(len(paths), 9, 28, 28)
    rows[:, :, 0, :10] = 9.0 * torch.nn.functional.one_hot(seen, 10)
    rows[:, [0, 8]] *= 2  # the judge is surer of the ends
    judge = (lambda x: x[:, 0, 0, :10], torch.nn.Identity())
    reference = torch.cat([rows[:, 4], 2 * rows[:, 4]])[:, None]
    return hw9.measure(rows, torch.tensor([digits] * len(paths)), reference, judge)


ONCE = ["333355555", "355555555", "333333335"]  # from 3 to 5, as a judge sees them
NOT_ONCE = ["335335555", "333855555", "333333333", "555555555", "833355555"]


def test_walks_switch_once_if_taken_for_the_first_then_the_second(hw9):
    values = measure(hw9, ONCE + NOT_ONCE, [3, 5])["switches once"]
    assert values.tolist() == [True] * len(ONCE) + [False] * len(NOT_ONCE)
    within = measure(hw9, ["333333333", "333383333", "888888888"], [3, 3])
    assert within["switches once"].tolist() == [True, False, False]


def test_belief_is_that_in_the_digit_seen_over_the_inner_seven(hw9):
    sure = math.exp(9) / (math.exp(9) + 9)
    values = measure(hw9, ["333355555", "833333338"], [3, 5])["belief"]
    assert values.tolist() == pytest.approx([sure, sure])


def test_sharpness_half_way_is_a_share_of_the_references(hw9):
    values = measure(hw9, ONCE, [3, 5])
    assert values["sharpness"].item() == pytest.approx(1 / 2.5)


def test_the_three_ways_from_image_to_image(hw9, vae):
    images = hw9.torch.rand(10, 1, 28, 28)
    labels = hw9.torch.arange(10)
    pairs = hw9.torch.tensor([[0, 1], [2, 3], [4, 5]])
    judge = hw9.make_judge()
    walks, results = hw9.measure_ways(pairs, images, labels, images, *vae, judge)
    A, B = images[pairs].unbind(1)
    assert walks["real images"].equal(hw9.torch.cat([A] * 5 + [B] * 4, dim=1))
    for k in range(9):
        assert walks["cross-fade"][:, [k]].allclose(A + k / 8 * (B - A), atol=1e-6)
    assert walks["straight line"].equal(hw9.create_interpolates(A, B, *vae))
    assert list(results) == list(walks)


def test_what_is_measured_is_of_one_digit_or_of_two_and_spares_the_reference(run):
    names = run.names
    digits = names["labels"].cpu()
    assert (digits[names["same"]][:, 0] == digits[names["same"]][:, 1]).all()
    assert (digits[names["different"]][:, 0] != digits[names["different"]][:, 1]).all()
    assert names["images"].equal(names["test_images"][::2])
    assert names["labels"].equal(names["test_labels"][::2])
    assert names["reference"].equal(names["test_images"][1::2])


def test_the_table_shows_each_mean_in_its_row(run, monkeypatch):
    shown = []
    monkeypatch.setitem(run.names, "display", lambda table: shown.append(table.data))
    run.names["show_table"]({"two digits": run.names["between"]})
    head, _, *lines = shown[0].splitlines()
    for line, (way, values) in zip(lines, run.names["between"].items(), strict=True):
        means = [f"{value.double().mean():.2f}" for value in values.values()]
        assert line == f"| two digits: {way} | {' | '.join(means)} |"
        assert head == f"| | {' | '.join(values)} |"


def test_the_judge_learns_on_training_images_only(run):
    kept = run.names["train_images"].reshape(-1, 784).cpu().numpy()
    seen = run.names["torch"].cat(run.trained_on["judge"]).numpy()
    assert set(map(bytes, seen)) == set(map(bytes, kept))
