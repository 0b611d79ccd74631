"""The pages: the files that they link to and the commands that they name exist."""

import re

import pytest
from conftest import committed
from notebook import PROJECT

PAGES = "README.md", "benchmarks/README.md", "data/README.md", "tests/README.md"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_target_exists(page):
    for link in re.findall(r"(?:\]\(|src=\")([^)\s\"]+)", committed(page)):
        file = (PROJECT / page).parent / link.split("#")[0]
        assert link.startswith("https://") or file.exists(), link


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_named_exists(page):
    code = "\n".join(re.findall(r"(?s)```.*?```|`[^`\n]+`", committed(page)))
    known = re.search(r"(?m)^\.PHONY: (.*)$", committed("Makefile"))[1].split()
    named = re.findall(r"\bmake ((?:[a-z-]+ ?)+)(?![\w=])", code)
    assert set(" ".join(named).split()) <= set(known)
