"""The README: every command is one that a test runs; its links lead somewhere; one badge for all."""

import re
import subprocess

import nbformat
import pytest
from conftest import PROJECT, committed, outside_make

# Each command of the README, and what runs it.
RUN_BY = {
    "make NETID=abc123": "test_notebook.py",
    "make test": ".ci/run",
    "python3 -m venv .venv": "test_the_jupyter_lines_as_they_stand",
    ". .venv/bin/activate": "test_the_jupyter_lines_as_they_stand",
    "pip install -r requirements.txt jupyterlab": "test_the_jupyter_lines_as_they_stand",
    "jupyter lab HW9.ipynb": "test_browser.py",
    "papermill HW9.ipynb abc123.ipynb -r NETID abc123": "test_faults.py",
}


def commands():
    """Return the blocks of shell commands in the README."""
    return re.findall(r"(?s)```sh\n(.*?)```", committed("README.md"))


def test_every_command_is_run_by_a_test():
    assert [line for block in commands() for line in block.splitlines()] == list(RUN_BY)
    words = "".join(path.read_text() for path in (PROJECT / "tests").glob("*.py"))
    words += (PROJECT / ".ci" / "run").read_text()
    for place in RUN_BY.values():
        assert (PROJECT / "tests" / place).exists() or (PROJECT / place).exists() or place in words


def test_every_target_and_setting_named_exists():
    makefile = committed("Makefile")
    for target in re.findall(r"`make ([a-z][a-z-]*)`", committed("README.md")):
        assert re.search(rf"(?m)^{target}:", makefile), target
        assert f"# make {target}" in makefile, "make help lists it"
    settings = re.findall(
        r"(?m)^([A-Z_]+) = ", nbformat.reads(committed("HW9.ipynb"), 4).cells[3].source
    )
    for name in re.findall(r"`([A-Z_]+)=", committed("README.md")):
        assert name in settings or f"{name} ?=" in makefile, name
    given = re.search(r"TEXTS = (.*)\nNUMBERS = (.*)", makefile)
    assert sorted(settings) == sorted(" ".join(given.groups()).split())


def test_every_link_leads_to_a_file():
    for page in ("README.md", "benchmarks/README.md", "data/README.md", "tests/README.md"):
        for link in re.findall(r"\]\(([^)]+)\)", committed(page)):
            assert link.startswith("https://") or ((PROJECT / page).parent / link).exists(), link


def test_every_message_explained_is_one_that_is_given():
    sources = committed("HW9.ipynb") + committed("Makefile")
    page = committed("README.md")
    table = page[page.index("| message |") : page.index("</details>", page.index("| message |"))]
    messages = re.findall(r"`([^`]+)`", " ".join(re.findall(r"(?m)^\| (.*) \| ", table)))
    assert len(messages) > 10
    for message in messages:
        for piece in re.split(r"…|A or B|\b3\b|\b9\b", message):
            assert piece.strip() in sources, piece


def test_the_badges_have_one_address(tmp_path):
    for name in ("Makefile", "README.md", "HW9.ipynb"):
        (tmp_path / name).write_text(committed(name), encoding="utf-8")
    command = ["make", "badge", "REPOSITORY=me/hw9"]
    subprocess.run(command, cwd=tmp_path, env=outside_make(), check=True, capture_output=True)
    address = "https://colab.research.google.com/github/me/hw9/blob/main/HW9.ipynb"
    for name in ("README.md", "HW9.ipynb"):
        assert (tmp_path / name).read_text(encoding="utf-8").count(f"]({address})") == 1
    nbformat.read(tmp_path / "HW9.ipynb", 4)
    subprocess.run(["make", "badge"], cwd=tmp_path, env=outside_make(), check=True, capture_output=True)
    for name in ("README.md", "HW9.ipynb"):
        assert (tmp_path / name).read_text(encoding="utf-8") == committed(name)


def test_make_help_lists_every_target():
    shown = subprocess.run(
        ["make", "help"], cwd=PROJECT, env=outside_make(), capture_output=True, text=True
    )
    targets = re.search(r"\.PHONY: run (.*)", committed("Makefile"))[1].split()
    assert all(f"make {target} " in shown.stdout for target in targets)


@pytest.mark.browser
def test_the_jupyter_lines_as_they_stand():
    """In this checkout itself, whose environment they make or find made."""
    block = next(block for block in commands() if "jupyter lab" in block)
    lines, last = block.strip().rsplit("\n", 1)
    command = f"set -e\n{lines}\n{last} --version"
    result = subprocess.run(["bash", "-c", command], cwd=PROJECT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
