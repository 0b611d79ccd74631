"""The benchmarks: they run on the sample, edit what they name, and report as said."""

import subprocess
import sys
from types import SimpleNamespace

import nbformat
import pytest
from notebook import PROJECT, read_cells

sys.path.append(str(PROJECT / "benchmarks"))
import cells
import mistakes
import report
from nll import log_likelihood

WORDS = {
    "bench": ["tutorial recipe", "textbook VAE", "this notebook", "within: half way"],
    "nll": ["log p(x) = ", "1,000 images"],
    "mistakes": ["KL subtracted", "Images as tensors stops", "fitted prior"],
}


@pytest.mark.faults
@pytest.mark.parametrize("script", WORDS)
def test_quick_benchmarks_print_their_tables_and_write_nothing(script):
    given = {"cwd": PROJECT, "capture_output": True, "text": True, "timeout": 900}
    status = ["git", "status", "--short", "--", "benchmarks", "figures"]
    before = subprocess.run(status, **given).stdout
    command = [sys.executable, f"benchmarks/{script}.py", "--quick"]
    done = subprocess.run(command, **given)
    assert done.returncode == 0, done.stderr
    for words in WORDS[script]:
        assert words in done.stdout
    assert subprocess.run(status, **given).stdout == before


@pytest.mark.parametrize("name", ["textbook", "directions"])
def test_another_decoder_differs_from_the_notebook_in_that_cell_only(name):
    ours = read_cells()
    other = cells.edited(cells.DECODERS[name])
    changed = [title for title in ours if other[title] != ours[title]]
    assert changed == ["Decoder"]


@pytest.mark.parametrize("name", mistakes.MISTAKES | mistakes.BALANCE)
def test_each_mistake_changes_the_cell_that_it_names(name):
    edit = (mistakes.MISTAKES | mistakes.BALANCE)[name]
    assert cells.edited([edit])[edit[0]] != read_cells()[edit[0]]


def test_edits_whose_text_is_not_found_raise():
    with pytest.raises(ValueError, match="Decoder does not contain"):
        cells.edited([("Decoder", "nn.LayerNorm(hidden)", "nn.Identity()")])


def test_settings_that_the_notebook_does_not_have_raise():
    with pytest.raises(ValueError, match="no settings"):
        cells.begin(read_cells(), {"CORNERS": 0.0})


def test_tables_are_put_between_their_marks():
    text = "before\n<!-- walks -->\nold\n<!-- end -->\nafter <!-- end -->"
    new = report.filled(text, {"walks": "| new |", "unknown": "nothing"})
    assert new == "before\n<!-- walks -->\n| new |\n<!-- end -->\nafter <!-- end -->"


def test_committed_tables_are_those_of_the_committed_files():
    tables = report.committed_tables()[0]
    texts = []
    for page in ("README.md", "benchmarks/README.md"):
        texts.append((PROJECT / page).read_text(encoding="utf-8"))
    for cell in nbformat.read(PROJECT / "HW9.ipynb", as_version=4).cells:
        texts.append(cell.source)
    for text in texts:
        assert report.filled(text, tables) == text, "run benchmarks/report.py"


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
