"""The benchmarks run on the sample, and print their tables; log p(x) is one."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import PROJECT, read_cells

sys.path.append(str(PROJECT / "benchmarks"))
from cells import DEFINE_ONLY, FIRST_LAYER, edit, new_notebook, run_cells
from nll import log_likelihood

WORDS = {
    "bench": ["tutorial recipe", "textbook VAE", "within: half way"],
    "nll": ["log p(x) = ", "1,000 images"],
}


@pytest.mark.faults
@pytest.mark.parametrize("script", WORDS)
def test_quick_benchmarks_print_their_tables(script):
    command = [sys.executable, f"benchmarks/{script}.py", "--quick"]
    given = {"cwd": PROJECT, "capture_output": True, "text": True, "timeout": 900}
    done = subprocess.run(command, **given)
    assert done.returncode == 0, done.stderr
    for words in WORDS[script]:
        assert words in done.stdout


def test_edits_change_what_they_name():
    cells = read_cells()
    edited = edit(cells, FIRST_LAYER + DEFINE_ONLY)
    changed = {name for name in cells if edited[name] != cells[name]}
    assert changed == {"decoder", "measure"}


def test_edits_whose_text_is_not_found_raise():
    with pytest.raises(ValueError, match="decoder does not contain"):
        edit(read_cells(), [["decoder", "nn.LayerNorm(hidden)", "nn.Identity()"]])


def test_settings_that_the_notebook_does_not_have_raise():
    with pytest.raises(ValueError, match="no settings"):
        run_cells(new_notebook(), "settings", "settings", {"CORNERS": 0.0})


def test_log_likelihood_agrees_with_an_integral(hw9):
    """One pixel depends on a code of one number, the others are even."""
    torch = hw9.torch
    prior_means = torch.arange(10.0)[:, None] - 6
    names = SimpleNamespace(**vars(hw9) | {"prior_means": prior_means})

    def decoder(z):
        even = torch.full((len(z), 783), 0.5)
        return torch.cat([torch.sigmoid(z), even], 1).reshape(-1, 28, 28)

    def encoder(x):
        return torch.full((len(x), 1), -1.0), torch.full((len(x), 1), 3.0)

    torch.manual_seed(0)
    x = torch.zeros(2, 1, 28, 28)
    x[1, 0, 0, 0] = 1
    z = torch.linspace(-16, 14, 3001)
    prior = torch.distributions.Normal(prior_means, 1.0).log_prob(z).exp().mean(0)
    ink = float((prior * torch.sigmoid(z)).sum() * 0.01)
    exact = torch.tensor([1 - ink, ink]).log() + 783 * torch.tensor(0.5).log()
    found = log_likelihood(names, encoder, decoder, x, 20_000)
    assert found.tolist() == pytest.approx(exact.tolist(), abs=0.03)
