"""Do the tests notice small changes of the notebook? `python tests/mutate.py 16 7`.

Changes a number or an operator at 16 places of the listed code, chosen with seed 7, one
after the other, in a copy of the project, and runs the tests of that Part there. Prints
each change, and whether a test failed.
"""

import io
import random
import shutil
import subprocess
import sys
import tempfile
import tokenize
from pathlib import Path

import nbformat

PROJECT = Path(__file__).resolve().parent.parent
TESTS = ["settings", "data", "networks", "training", "interpolation", "", "measures"]
SWAPPED = {"<": "<=", ">": ">=", "<=": "<", ">=": ">", "==": "!=", "+": "-", "-": "+"}


def find_places(notebook):
    """Return each cell of listed code with each of its numbers and operators."""
    places = []
    for cell in notebook.cells:
        if cell.cell_type == "code" and "(not listed)" not in cell.source:
            for token in tokenize.generate_tokens(io.StringIO(cell.source).readline):
                if token.type == tokenize.NUMBER or token.string in SWAPPED:
                    places.append((cell, token))
    return places


def main(count, seed):
    """Change, test, and print what was noticed."""
    folder = Path(tempfile.mkdtemp()) / "project"
    shutil.copytree(PROJECT, folder, ignore=shutil.ignore_patterns(".*"))
    notebook = nbformat.read(folder / "HW9.ipynb", as_version=4)
    for cell, token in random.Random(seed).sample(find_places(notebook), count):
        source = cell.source
        new = SWAPPED.get(token.string, f"({token.string} + 1)")
        line = token.line[: token.start[1]] + new + token.line[token.end[1] :]
        cell.source = source.replace(token.line, line, 1)
        nbformat.write(notebook, folder / "HW9.ipynb")
        cell.source = source
        tests = folder / "tests" / f"test_{TESTS[int(source[2])]}.py"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-x",
            "-q",
            "-m",
            "not faults",
            tests,
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        print(
            line.strip(), "=>", done.stdout.splitlines()[-1], sep="\n    ", flush=True
        )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
