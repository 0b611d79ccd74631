"""The benchmark runs on the sample, and prints its tables."""

import subprocess
import sys

import pytest
from conftest import PROJECT


@pytest.mark.faults
def test_quick_bench_prints_its_tables():
    command = [sys.executable, "benchmarks/bench.py", "--quick"]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for words in ("tutorial", "textbook", "Fréchet distance, half way"):
        assert words in done.stdout
