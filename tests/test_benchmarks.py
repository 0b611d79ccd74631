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


def test_the_readmes_figures_are_the_benchmarks(tmp_path, monkeypatch):
    """Filled in anew from results.json, they are as they are."""
    import bench

    (tmp_path / "benchmarks").mkdir()
    names = ("README.md", "benchmarks/README.md")
    for name in names:
        (tmp_path / name).write_text(committed(name), encoding="utf-8")
    monkeypatch.setattr(bench, "PROJECT", tmp_path)
    bench.fill(json.loads(committed("benchmarks/results.json")))
    for name in names:
        assert (tmp_path / name).read_text(encoding="utf-8") == committed(name)
        assert "<!-- end -->" in committed(name) and "-->\n\n<!-- end" not in committed(name)
