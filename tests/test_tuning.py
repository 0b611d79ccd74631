"""The decoder tuned for the line: what it is given, what it leaves alone, and what it gains."""

import pytest


def test_tuning_leaves_the_vae_alone(run):
    names = run.names
    after = names["evaluate"](names["encoder"], names["plain_decoder"], names["test_images"])
    assert after == [names["reconstruction"], names["kl"]]


def test_the_setting_chooses_who_draws(run, run_again):
    names, torch = run.names, run.names["torch"]
    assert names["decoder"] is names["plain_decoder"]
    tuned = run_again.load(DECODER="tuned")
    assert "loaded" in tuned.out and "Tuning" not in tuned.out
    assert tuned.names["decoder"] is tuned.names["tuned_decoder"]
    for name in ("plain_decoder", "tuned_decoder", "encoder"):
        pairs = zip(names[name].parameters(), tuned.names[name].parameters(), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)
    assert all(run.figures()[name] != file for name, file in tuned.figures().items())
    assert tuned.names["values"] == names["values"]


def test_the_tuned_decoder_draws_sharper(run):
    for kind in ("one digit", "two digits"):
        plain, tuned = (run.names["values"][kind, f"{way} decoder"] for way in ("plain", "tuned"))
        assert tuned["sharpness, half way"] > 1.05 * plain["sharpness, half way"]


def test_lines_are_within_a_digit_and_between_two(hw9):
    torch = hw9.torch
    torch.manual_seed(0)
    labels = torch.arange(2000) % 10
    a, b, t = hw9.draw_lines(labels, 1000)
    same = labels[a] == labels[b]
    assert a.shape == b.shape == (1000,) and t.shape == (1000, 1)
    assert 0.45 < same.float().mean() < 0.65
    assert (a == b).float().mean() < 0.05
    assert len(labels[b[~same]].unique()) == len(labels[b[same]].unique()) == 10
    assert 0 <= t.min() < 0.01 and 0.99 < t.max() < 1


def test_within_a_digit_the_ideal_has_the_variance_of_the_codes(hw9):
    """(1 - t)² + t² is what a mixture of two independent codes has of it."""
    torch, asked = hw9.torch, []

    class Spy(torch.nn.Module):
        def forward(self, z):
            asked.append(z.detach())
            return torch.full((len(z), 28, 28), 0.5)

    torch.manual_seed(0)
    labels = torch.arange(1920) % 10
    center = 5 * torch.randn(10, 4)
    mu = center[labels] + torch.randn(1920, 4)
    hw9.tune_decoder(hw9.Decoder(4), Spy(), mu, torch.rand(1920, 1, 28, 28), labels)
    ideal = torch.cat(asked)
    nearest = torch.cdist(ideal, center).argmin(1)
    deviation = ideal - center[nearest]
    assert len(ideal) > 900
    assert deviation.var() == pytest.approx(1, abs=0.1)


def test_tuning_that_diverges_says_so(hw9):
    torch = hw9.torch
    torch.manual_seed(0)
    decoder, labels = hw9.Decoder(4), torch.arange(960) % 10
    with pytest.raises(FloatingPointError, match="SEED"):
        images = torch.full((960, 1, 28, 28), float("nan"))
        hw9.tune_decoder(decoder, hw9.Decoder(4), torch.randn(960, 4), images, labels)
