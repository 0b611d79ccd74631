"""The benchmark runs, and measures what it says."""

import json
import math
import subprocess
import sys

import pytest
from conftest import PROJECT, committed

sys.path.insert(0, str(PROJECT / "benchmarks"))


def test_quick_bench_prints_its_tables():
    command = [sys.executable, "benchmarks/bench.py", "--quick"]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for words in (
        "| tutorial |",
        "| notebook, EPOCHS=1 |",
        "| Part 4 · Interpolation |",
        "| A decoder for the line |",
        "| two digits | switches once |",
        "cores, PyTorch",
    ):
        assert words in result.stdout


def test_the_tutorials_loss_is_in_nats_per_image(hw9):
    from tutorial import TutorialVAE

    torch = hw9.torch
    model = TutorialVAE()
    for parameter in model.parameters():
        parameter.data.zero_()
    reconstruction, kl = model.loss(torch.rand(3, 1, 28, 28))
    assert reconstruction.item() == pytest.approx(3 * 784 * math.log(2), rel=1e-5)
    assert kl.item() == 0
    layers = [tuple(module.weight.T.shape) for module in model.children()]
    assert layers == [(784, 400), (400, 20), (400, 20), (20, 400), (400, 784)]


def test_the_readmes_figures_are_the_benchmarks():
    from bench import interpolation_table, table

    results = json.loads(committed("benchmarks/results.json"))
    assert table(results["runs"], "tutorial") in committed("README.md")
    assert results["machine"] in committed("README.md")
    first, second = map(interpolation_table, results["interpolation"].values())
    assert first in committed("README.md")
    assert second in committed("benchmarks/README.md")
