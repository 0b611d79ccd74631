"""Part 5: the judge and the measures of interpolation, on cases with known answers."""

import math

import numpy as np
import pytest


def gaussian_rows(torch, mean, spread, count=500):
    """Return rows of exactly this mean, and of covariance diag(spread ** 2)."""
    rows = torch.randn(count, len(mean), dtype=torch.float64)
    rows = torch.linalg.qr(rows - rows.mean(0)).Q * math.sqrt(count - 1)
    return rows * torch.tensor(spread) + torch.tensor(mean)


def test_frechet_distance_of_two_gaussians_is_the_closed_form(hw9):
    ours = gaussian_rows(hw9.torch, [1.0, 0.0, 2.0], [1.0, 2.0, 0.5])
    reference = gaussian_rows(hw9.torch, [0.0, 0.0, 0.0], [3.0, 2.0, 1.0], 700)
    by_hand = (1 + 4) + ((1 - 3) ** 2 + 0 + (0.5 - 1) ** 2)
    assert hw9.frechet_distance(ours, reference) == pytest.approx(by_hand)
    assert hw9.frechet_distance(ours, ours) == pytest.approx(0, abs=1e-6)
    ours[:, 1:] = 0  # features that never vary
    assert hw9.frechet_distance(ours, ours) == pytest.approx(0, abs=1e-4)


def test_sharpness_is_the_mean_square_of_the_laplacian(hw9, sample):
    dot = hw9.torch.zeros(1, 28, 28)
    dot[0, 9, 20] = 1
    assert hw9.sharpness(dot) == pytest.approx((4**2 + 4) / 26**2)
    images = hw9.as_tensors(sample.test, "cpu")[0][:200]
    blurred = hw9.nn.functional.avg_pool2d(images, 3, stride=1, padding=1)
    assert hw9.sharpness(blurred[:, 0]) < 0.5 * hw9.sharpness(images[:, 0])


PATHS = """333355555 355555555
335335555 333855555 333333333 555555555 555333333 833355555 333355558"""
PATHS = [list(map(int, path)) for path in PATHS.split()]  # from 3 to 5


def written(torch, paths, logit=9.0):
    """Return a judge that reads a digit off the first row, and walks with these."""
    walks = torch.zeros(len(paths), 9, 28, 28)
    walks[:, :, 0, :10] = logit * torch.nn.functional.one_hot(torch.tensor(paths), 10)
    return (lambda x: x[:, 0, 0, :10], torch.nn.Identity()), walks


def test_walks_between_two_digits_are_measured(hw9):
    torch = hw9.torch
    judge, walks = written(torch, PATHS)
    ends = walks[:, [0, 8]][:, :, None].clone()
    ends[0, 1, 0, 20, 20] = 3  # a squared error of 9, at one of 18 ends
    reference = torch.stack([walks[:, 4], 2 * walks[:, 4]]).flatten(0, 1)[:, None]
    digits = torch.tensor([[3, 5]] * 9)
    values, belief = hw9.measure(walks, ends, digits, judge, reference)
    assert belief.shape == (9, 9, 10) and belief.argmax(2).tolist() == PATHS
    once = hw9.switches_once(torch.tensor(PATHS), *digits.T).tolist()
    assert once == [True] * 2 + [False] * 7
    assert values["switches once"] == pytest.approx(2 / 9) and "stays" not in values
    assert values["one of the two"] == pytest.approx(62 / 63), "the 8 at one t of seven"
    assert values["sharpness"] == pytest.approx(1 / 2.5)
    assert values["error at the ends"] == pytest.approx(0.5)


@pytest.mark.parametrize(("logit", "stays"), [(9.0, 0.5), (4.0, 0.0)])
def test_a_walk_stays_only_if_the_judge_is_sure_all_the_way(hw9, logit, stays):
    paths = [[8, 3, 3, 3, 3, 3, 3, 3, 8], [3, 3, 3, 3, 3, 3, 3, 5, 3]]
    judge, walks = written(hw9.torch, paths, logit)
    ends, digits = walks[:, [0, 8]][:, :, None], hw9.torch.tensor([[3, 3]] * 2)
    values, _ = hw9.measure(walks, ends, digits, judge, walks[:, 3][:, None])
    assert values["stays"] == stays and "switches once" not in values


def test_the_table_measures_three_ways_and_ranks_those_that_are_known(run):
    assert list(run.names["ways"]) == ["real images", "cross-fade", "straight line"]
    table = {}
    for row, cells in run.names["table"].items():
        kind, name = row.strip("| ").split(" | ")
        table.setdefault(name, {})[kind] = [float(cell.strip("| ")) for cell in cells]
    for name in ("Fréchet distance, half way", "Fréchet distance, all the way"):
        for real, fade, line in table.pop(name).values():
            assert 0 <= real < fade and real < line
    for real, fade, line in table.pop("sharpness").values():
        assert real == pytest.approx(1, abs=0.1) and fade < 0.7 and 0 < line < 1
    for real, fade, line in table.pop("error at the ends").values():
        assert real == fade == 0 < line
    for name in ("stays", "switches once", "one of the two"):
        (values,) = table.pop(name).values()
        assert 0.9 < values[0] <= 1 and all(0 <= value <= 1 for value in values)
    assert not table


def test_the_pairs_measured_are_of_one_digit_or_two_and_spare_the_reference(run):
    names, kinds = run.names, ("one digit", "two digits")
    labels, half = names["mnist_test"].targets, set(names["half"].tolist())
    assert half.isdisjoint(others := names["others"].tolist()) and others
    assert names["reference"].equal(names["test_images"][others])
    for kind in kinds:
        i, j = (names[name][names["pairs"][kind]] for name in "ij")
        assert {*i.tolist(), *j.tolist()} <= half and (i != j).all()
        assert ((labels[i] == labels[j]) == (kind == "one digit")).all()
        assert names["digits"][kind].shape == (len(labels) // 4, 2)


def test_the_judge_learns_on_training_images_only(run):
    names = run.names
    _, belief = names["ask"](names["judge"], names["test_images"])
    assert (belief.argmax(1) == names["test_labels"]).double().mean() > 0.9
    train = names["mnist_train"].data.numpy().reshape(-1, 784)
    kept = set(map(bytes, train[: -(len(train) // 12)]))
    seen = np.concatenate(run.trained_on[names["judge"][0][0]]).reshape(-1, 784) * 255
    assert set(map(bytes, seen.round().astype(np.uint8))) == kept


def test_the_explorer_draws_the_images_asked_for(run):
    names, plt, sheets = run.names, run.names["plt"], []
    for given in ({}, {"t": 0.0}, {"a": 7}, {"again": 1}, {"b": 1}, {}):
        names["step"](**given)
        assert plt.gca().get_title().startswith(f"t = {given.get('t', 0.5):.2f}: ")
        sheets.append(np.array(plt.gca().images[0].get_array()))
        plt.close()
    assert (sheets[0] == sheets[5]).all() and len({*map(bytes, sheets)}) == 5
    first = names["test_images"][names["test_labels"] == 3][0, 0]
    assert (sheets[0][:, :28] == first.cpu().numpy()).all()
