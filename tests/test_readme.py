"""The pages: the files they link to, and the commands and settings they name, exist."""

import re

import nbformat
import pytest
from conftest import PROJECT, committed

PAGES = "README.md", "benchmarks/README.md", "data/README.md", "tests/README.md"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_target_and_setting_named_exists(page):
    text, makefile = committed(page), committed("Makefile")
    for link in re.findall(r"(?:\]\(|src=\")([^)\s\"]+)", text):
        file = (PROJECT / page).parent / link.split("#")[0]
        assert link.startswith("https://") or file.exists(), link
    code = re.findall(r"(?s)```.*?```|`[^`\n]+`", text)
    words = re.findall(r"\bmake\b(.*)", "\n".join(code))
    words = " ".join(words).replace("`", "").split()
    for word in filter(re.compile(r"[a-z][a-z-]*").fullmatch, words):
        assert re.search(rf"(?m)^[a-z -]*\b{word}\b[a-z -]*:", makefile), f"make {word}"
    cells = nbformat.reads(committed("HW9.ipynb"), 4).cells
    known = makefile + "\n".join(c.source for c in cells if c.id == "settings")
    for name in re.findall(r"\b([A-Z_]{4,})=", " ".join(code)):
        assert re.search(rf"(?m)^{name} \??=|filter-out.*\b{name}\b", known), name
    assert page != "README.md" or {"test", "NETID=abc123"} <= set(words)
