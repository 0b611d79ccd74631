"""The PDF: pages, figures, and every character of the code that ran, once."""

import io
import random
import shutil
import types

import pypdf
import pypdfium2
import pytest
from conftest import read_cells, run_cell

CELLS = list(read_cells().values())
ADVANCE = 0.602 * 8  # of DejaVu Sans Mono at 8 points


def squeeze(text):
    """Return the text without spaces, tabs and ends of lines."""
    return text.translate(dict.fromkeys(map(ord, " \t\n")))


def body(page):
    """Return the lines of a page of code, as pypdf reads it, but header and footer."""
    return page.extract_text().split("\n")[1:-1]


def ink(page):
    """Return where a page is not white: the first and last (y, x), in points."""
    y, x = (page.render(grayscale=True).to_numpy().squeeze() < 250).nonzero()
    return y.min(), x.min(), y.max(), x.max()


def set_code(hw9, listing):
    """Typeset cells without figures; return the PDF, its text, what that must be."""
    data = {"netid": "abc123", "preview": "", "figures": {}, "cells": listing}
    pdf, expected = hw9.typeset(hw9.template, data), ""
    for cell in listing:
        lines = enumerate(cell["code"].split("\n"), cell["first"])
        expected += cell["heading"] + "".join(f"{n}{line}" for n, line in lines)
    pages = map(body, pypdf.PdfReader(io.BytesIO(pdf)).pages)
    text = squeeze("".join(line for lines in pages for line in lines))
    return pypdfium2.PdfDocument(pdf), text, squeeze(expected)


POOLS = [
    [chr(c) for c in range(0x20, 0x7F)],
    [chr(c) for c in range(0x180) if chr(c).isprintable()],
    [chr(c) for c in (*range(10), *range(11, 0x20), *range(0x7F, 0xA1), 0xAD)],
    [
        *"#$*_`@<>[]{}/\\=-~'\"",
        "```",
        "#let x = 1",
        "#{",
        "$x$",
        "//",
        "/*",
        "<a>",
        "@b",
    ],
    [*"\u200b\u200d\u202e\u2066\ufeff\u0301\u2028\u2029\xa0\xad", "אב", "ع"],
    [*"αΩ∑≤→你好界", "🎉", "👩\u200d🔬", "\ud800", "\udfff", "\U0010ffff", "\ue000"],
    ["\t", " ", "    ", "if x:", "a", "é", "1", "%time", "!ls", "?"],
]


def hostile(seed, lines=60):
    """Return random cells, each line from one pool, some of them very long."""
    rng, sizes = random.Random(seed), [0, 1, 5, 20, 60, 120, 400]
    text = [rng.choices(rng.choice(POOLS), k=rng.choice(sizes)) for _ in range(lines)]
    text.insert(rng.randrange(lines), "x" * 5000)
    cells = ["\n".join(map("".join, text[k : k + 6])) for k in range(0, len(text), 6)]
    return [f"# cell {seed}.{k}\n{cell}" for k, cell in enumerate(cells)]


@pytest.mark.parametrize("seed", range(6))
def test_no_character_is_lost_nor_runs_off_the_page(hw9, seed):
    """Each is in the listing, itself or as its escape; and all that on the pages."""
    source = hostile(seed)
    listing = hw9.list_code(["", *source])
    for cell, part in zip(source, listing, strict=True):
        left = squeeze(part["code"])
        for character in squeeze(cell.strip()):
            escape = ascii(character)[1:-1]
            known = character if left.startswith(character) else escape
            assert left.startswith(known), (character, left[:20])
            left = left[len(known) :]
        assert left == ""
    document, text, expected = set_code(hw9, listing)
    assert text == expected
    for top, left, bottom, right in map(ink, document):
        assert top > 18 and left > 36 and bottom < 774 and right < 576


def test_a_last_version_stands_where_its_cell_first_ran(hw9, capsys):
    ran = ["", "# one\na = 1", "# Part 1 · Data\nb", "# one\na = 3", "  \n"]
    listing = hw9.list_code([*ran, "# Parameters\nc"])
    told = ["# one\na = 3", "# Part 1 · Data\nb", "# Parameters\nc"]
    assert [part["code"] for part in listing] == told
    assert [part["first"] for part in listing] == [1, 3, 5]
    none, title, given = [part["heading"] for part in listing]
    assert none == "" and title == "Part 1 · Data" and "Settings given" in given
    _, text, expected = set_code(hw9, listing)
    assert text == expected and "last version" in capsys.readouterr().out
    hw9.list_code(ran[:3])
    assert capsys.readouterr().out == ""


def test_indents_and_blank_lines_are_kept(hw9):
    source = "def f():\n    if x:\n\n\treturn 1\nf()"
    document, _, _ = set_code(hw9, hw9.list_code([source]))
    text = document[0].get_textpage()
    places = [text.get_text_bounded().index(word) for word in ("def", "if x", "return")]
    (x0, y0), (x1, y1), (x2, y2) = [text.get_charbox(k, loose=True)[:2] for k in places]
    assert x1 - x0 == pytest.approx(4 * ADVANCE, abs=0.5) and x1 == pytest.approx(x2)
    assert y1 - y2 == pytest.approx(2 * (y0 - y1), abs=1)


@pytest.fixture(scope="module")
def submit(run):
    """Return a function that runs Part 6 as a kernel would, on a run on the sample."""
    history = types.SimpleNamespace(input_hist_raw=["", *CELLS])
    shell = types.SimpleNamespace(history_manager=history)

    def submit(change=str, **changed):
        names = run.names | {"get_ipython": lambda: shell}
        for figure in ("same_figure", "different_figure"):  # as if of a real run
            path = run.folder / names[figure]
            names[figure] = names[figure].replace("_PREVIEW", "")
            shutil.copy(path, run.folder / names[figure])
        names |= changed
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(run.folder)
            for name in ("listing", "template", "save"):
                run_cell(change(read_cells()[name]), name, names)

    return submit


@pytest.fixture(scope="module")
def submission(run, submit):
    """Return the PDF of a run, as if on MNIST, opened by two libraries."""
    submit(preview="", NETID="abc123")
    path = run.folder / "abc123_HW9.pdf"
    return pypdfium2.PdfDocument(path), pypdf.PdfReader(path).pages


def test_pages(submission):
    """Two figures, the code; no title page, no blank page, not too many to read."""
    document, pages = submission
    assert 4 <= len(document) <= 11
    assert {page.get_size() for page in document} == {(612, 792)}
    texts = [page.extract_text() for page in pages]
    assert texts[0].startswith("Same digit") and texts[1].startswith("Different digits")
    for number, text in enumerate(texts[2:], 3):
        head, *code, foot = text.split("\n")
        assert "abc123" in head and "PREVIEW" not in head and foot == str(number)
        assert len(code) > 10, "no page is blank"


def test_figures_are_as_large_as_the_page_allows(submission):
    for page in list(submission[0])[:2]:
        top, left, bottom, right = ink(page)
        assert (right - left) * (bottom - top) > 0.7 * 612 * 792
        assert top > 18 and left > 18 and bottom < 774 and right < 594


def test_rows_are_of_same_digits_then_of_different_ones(submission):
    texts = [page.extract_text() for page in submission[1][:2]]
    rows = [[x.split("→") for x in text.split("\n") if "→" in x] for text in texts]
    same, different = ([(int(a), int(b)) for a, b in page] for page in rows)
    assert same == [(digit, digit) for digit in range(10)]
    assert len(different) == 10 and all(a != b for a, b in different)


def test_no_line_of_our_code_is_cut(submission):
    left = (squeeze(line) for page in submission[1][2:] for line in body(page))
    for number, line in enumerate("\n".join(CELLS).split("\n"), 1):
        assert f"{number}{squeeze(line)}" in left, line


def test_code_is_large_enough_in_one_column(submission):
    for page, read in list(zip(*submission, strict=True))[2:]:
        text = page.get_textpage()
        boxes = [text.get_charbox(k, loose=True) for k in range(text.count_chars())]
        boxes = [box for box in boxes if 38 < box[1] < 741 and box[2] > box[0]]
        assert min(box[2] - box[0] for box in boxes) > 0.995 * ADVANCE
        heights = {round(box[1]) for box in boxes}
        assert len(heights) >= len(body(read)), "no two lines side by side"


def test_bookmarks_and_title(submission):
    titles = [mark.get_title() for mark in submission[0].get_toc()]
    assert titles[0].startswith("Same digit") and titles[1].startswith("Different")
    parts = [title[:6] for title in titles if title.startswith("Part ")]
    assert parts == [f"Part {k}" for k in range(1, 7)]
    about = submission[0].get_metadata_dict()
    assert "HW9" in about["Title"] and about["Author"] == "abc123"


def test_a_preview_says_so_in_its_name_on_its_pages_and_below(run, submit, capsys):
    submit(NETID="xyz789")
    assert "PREVIEW, no submission: made from a small" in capsys.readouterr().out
    assert not (run.folder / "xyz789_HW9.pdf").exists()
    pages = pypdf.PdfReader(run.folder / "xyz789_HW9_PREVIEW.pdf").pages
    assert all("PREVIEW" in page.extract_text().split("\n")[0] for page in pages[2:])
    assert all("PREVIEW" in page.extract_text() for page in pages[:2])


def test_the_last_line_says_whether_it_is_ready(submit, capsys):
    for netid, told in {"netid": "set NETID", "abc123": "ready to hand in"}.items():
        submit(preview="", NETID=netid)
        assert told in capsys.readouterr().out.strip().split("\n")[-1]


def test_a_figure_of_a_preview_is_never_ready(run, submit, submission, capsys):
    before = (run.folder / "abc123_HW9.pdf").read_bytes()
    submit(preview="", NETID="abc123", same_figure=run.names["same_figure"])
    last = capsys.readouterr().out.strip().split("\n")[-1]
    assert last.startswith("abc123_HW9_PREVIEW.pdf") and "no submission" in last
    assert (run.folder / "abc123_HW9.pdf").read_bytes() == before


def test_wrong_paper_is_not_saved(run, submit, submission):
    before = (run.folder / "abc123_HW9.pdf").read_bytes()
    with pytest.raises(RuntimeError, match="Not saved"):
        submit(lambda s: s.replace('"us-letter"', '"a4"'), preview="", NETID="abc123")
    assert (run.folder / "abc123_HW9.pdf").read_bytes() == before
