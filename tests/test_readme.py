"""The pages: the files that they link to exist."""

import re

import pytest
from conftest import PROJECT, committed

PAGES = "README.md", "benchmarks/README.md", "data/README.md", "tests/README.md"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_target_exists(page):
    for link in re.findall(r"(?:\]\(|src=\")([^)\s\"]+)", committed(page)):
        file = (PROJECT / page).parent / link.split("#")[0]
        assert link.startswith("https://") or file.exists(), link
