"""Part 5: the judge and the measures of interpolation, on cases with known answers."""

import math

import numpy as np
import pytest

KINDS, WAYS = (
    ["one digit", "two digits"],
    ["real images", "cross-fade", "straight line"],
)


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

    assert hw9.frechet_distance(ours, ours).item() == pytest.approx(0, abs=1e-6)
    ours[:, 1:] = 0
    assert hw9.frechet_distance(ours, ours).item() == pytest.approx(0, abs=1e-4)


def test_sharpness_is_the_mean_square_of_the_laplacian(hw9):
    dot = hw9.torch.zeros(1, 28, 28)
    dot[0, 9, 20] = 1
    assert hw9.sharpness(dot).item() == pytest.approx((4**2 + 4) / 26**2)


def measure(hw9, paths, digits, logit=9.0):
    """Measure walks between digits, of which a judge believes that they are `paths`.

    The judge reads what it believes off the first row of an image."""
    torch = hw9.torch
    rows = torch.zeros(len(paths), 9, 28, 28)
    seen = torch.tensor([list(map(int, path)) for path in paths])
    rows[:, :, 0, :10] = logit * torch.nn.functional.one_hot(seen, 10)
    judge = (lambda x: x[:, 0, 0, :10], torch.nn.Identity())
    images, labels = torch.cat([rows[:, 4], 2 * rows[:, 4]])[:, None], torch.arange(10)
    pairs = torch.tensor([digits] * len(paths))
    reference = torch.arange(len(images))
    return hw9.measure(rows, pairs, reference, images, labels, judge)


PATHS = """333355555 355555555
335335555 333855555 333333333 555555555 555333333 833355555 333355558"""


@pytest.mark.parametrize("path", PATHS.split())
def test_walks_switch_once_if_taken_for_the_first_then_the_second(hw9, path):
    values = measure(hw9, [path, path], [3, 5])
    once = path in ("333355555", "355555555")
    assert values["switches once"].flatten().tolist() == [once, once]


def test_one_of_the_two_is_the_share_of_the_seven(hw9):
    values = measure(hw9, PATHS.split(), [3, 5])
    assert values["one of the two"].double().mean().item() == pytest.approx(62 / 63)


def test_sharpness_half_way_is_a_share_of_the_references(hw9):
    values = measure(hw9, PATHS.split(), [3, 5])
    assert values["sharpness"].item() == pytest.approx(1 / 2.5)


@pytest.mark.parametrize(("logit", "stays"), [(9.0, [1, 0]), (4.0, [0, 0])])
def test_a_walk_stays_only_if_the_judge_is_sure_all_the_way(hw9, logit, stays):
    values = measure(hw9, ["833333338", "333333353"], [3, 3], logit)
    assert values["stays"].flatten().tolist() == stays


@pytest.mark.parametrize("kind", KINDS)
def test_real_images_look_real_and_cross_fades_do_not(run, kind):
    real, fade, line = (
        {name: value.double().mean() for name, value in values.items()}
        for values in (run.names["results"][kind, way] for way in WAYS)
    )
    assert 0 <= real["half way"] < min(fade["half way"], line["half way"])
    assert abs(real["sharpness"] - 1) < 0.1 and fade["sharpness"] < 0.7
    assert real["one of the two"] > 0.9 and real["switches once"] > 0.8


@pytest.mark.parametrize("alike", [True, False])
def test_the_pairs_measured_are_of_one_digit_or_two_and_spare_the_reference(
    hw9, sample, alike
):
    labels = sample.test.targets
    pairs, reference = hw9.choose_many(labels, alike, 0)
    assert set(pairs.flatten().tolist()).isdisjoint(reference.tolist())
    assert ((labels[pairs[:, 0]] == labels[pairs[:, 1]]) == alike).all()
    assert len(reference) == 500 and len(pairs) > 200
    assert len(pairs.unique()) == pairs.numel(), "no image twice"


def test_the_three_ways_from_image_to_image(hw9, vae):
    A, B = hw9.torch.rand(2, 5, 1, 28, 28)
    walks = hw9.take_walks(A, B, *vae)
    real, fade, line = (walks[way] for way in WAYS)
    assert real.equal(hw9.torch.cat([A] * 5 + [B] * 4, dim=1))
    assert all(fade[:, [k]].allclose(A + k / 8 * (B - A), atol=1e-6) for k in range(9))
    assert line.equal(hw9.create_interpolates(A, B, *vae))


def test_the_table_shows_each_mean_in_its_row(run, monkeypatch):
    shown, results = [], run.names["results"]
    monkeypatch.setitem(run.names, "display", lambda table: shown.append(table.data))
    run.names["show_table"](results)
    head, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]]
                      for line in shown[0].splitlines())  # fmt: skip
    assert head[1:] == list(results["one digit", "straight line"])
    for row, ((kind, way), values) in zip(rows, results.items(), strict=True):
        numbers = [f"{value.double().mean():.2f}" for value in values.values()]
        assert row == [f"{kind}: {way}", *numbers]


def test_the_judge_is_right(run):
    _, belief = run.names["ask"](run.names["judge"], run.names["test_images"])
    right = (belief.argmax(1) == run.names["test_labels"]).double().mean()
    assert right > 0.9 and f"right on {right:.2%}" in run.out


def test_the_judge_learns_on_training_images_only(run):
    train = run.names["mnist_train"].data.numpy().reshape(-1, 784)
    kept = set(map(bytes, train[: -(len(train) // 12)]))
    seen = np.concatenate(run.trained_on[run.names["judge"][0][0]]).reshape(-1, 784)
    assert set(map(bytes, (seen * 255).round().astype(np.uint8))) == kept


def test_the_explorer_draws_the_images_asked_for(run):
    names, plt, sheets = run.names, run.names["plt"], []
    live = (names[name] for name in "test_images test_labels encoder decoder".split())
    live = *live, names["judge"]
    for a, b, again in [(3, 5, 0), (7, 5, 0), (3, 1, 0), (3, 5, 1), (3, 5, 0)]:
        names["explore"](*live, a, b, again)
        assert plt.gca().get_title().startswith("The judge sees [")
        sheets.append(np.array(plt.gca().images[0].get_array()))
        plt.close()
    assert (sheets[0] == sheets[4]).all() and len({*map(bytes, sheets)}) == 4
    first = names["test_images"][names["test_labels"] == 3][0, 0]
    assert (sheets[0][:, :28] == first.cpu().numpy()).all()
