"""The PDF: pages, figures, every character of the code that ran; when it is none."""

import functools
import io
import random
import re

import numpy as np
import pypdf
import pypdfium2
import pytest
from conftest import read_cells
from PIL import Image

CELLS = read_cells()
TITLES = [source.split("\n")[0].removeprefix("# ") for source in CELLS.values()]
# Under the index, where there are no numbered cells: without the numbers of pages.
POINTER = "Modelp.(2.2–2.3),lossp.(3.1)·trainingp.(3.5–3.7),datap.(1.2–1.4)·interp"
POINTER += "olatesp.(4.1)·figuresp.(4.3)"
ADVANCE = 0.602 * 8  # of DejaVu Sans Mono at 8 points


def squeeze(text):
    """Return the text without spaces, tabs and ends of lines."""
    return text.translate(dict.fromkeys(map(ord, " \t\n")))


def read(document):
    """Return the lines of each page."""
    texts = [page.get_textpage().get_text_bounded() for page in document]
    return [[line.strip() for line in text.splitlines()] for text in texts]


def ink(page):
    """Return where a page is not white: the first and last (y, x), in points."""
    y, x = (page.render(grayscale=True).to_numpy().squeeze() < 250).nonzero()
    return y.min(), x.min(), y.max(), x.max()


def seen(text):
    """Return the indices of the characters that one can see."""
    code = functools.partial(pypdfium2.raw.FPDFText_GetUnicode, text.raw)
    return [k for k in range(text.count_chars()) if chr(code(k)).strip()]


def overlap(page):
    """Return how many characters lie on others, but their neighbours (ligatures)."""
    text = page.get_textpage()
    left, bottom, right, top = np.array([text.get_charbox(k) for k in seen(text)]).T
    across = np.minimum(right, right[:, None]) - np.maximum(left, left[:, None])
    along = np.minimum(top, top[:, None]) - np.maximum(bottom, bottom[:, None])
    return int((np.triu(across > 0.8, 3) & (along > 0.8)).sum())


def collect(hw9, *sources, failed=()):
    """Return the cells that a kernel remembers after these ran."""
    return hw9.collect_cells(["", *sources], set(failed))


def edit(name, old, new):
    """Return a cell of the notebook with `new` for `old`."""
    assert old in CELLS[name]
    return CELLS[name].replace(old, new)


def part(*numbers):
    """Return the cells of these Parts."""
    begins = tuple(f"# {number}." for number in numbers)
    return [source for source in CELLS.values() if source.startswith(begins)]


def save(hw9, folder, cells, figures=(), preview="", netid="abc123"):
    """Save a submission; return its only PDF, and its pages' lines."""
    hw9.save_submission(netid, list(figures), preview, cells, folder)
    (path,) = folder.glob("*.pdf")
    document = pypdfium2.PdfDocument(path)
    return document, read(document)


def set_code(hw9, folder, cells, monkeypatch):
    """Typeset cells alone, no figures and no mark; return what `save` does."""
    monkeypatch.setattr(hw9, "find_fault", lambda cells: "")
    return save(hw9, folder, cells)


POOLS = [
    [chr(c) for c in range(0x20, 0x7F)],
    [chr(c) for c in range(0x180) if chr(c).isprintable()],
    [chr(c) for c in (*range(10), *range(11, 0x20), *range(0x7F, 0xA1), 0xAD)],
    [*"#$*_`@<>[]{}/\\=-~'\"", *"``` #let x = 1|#{|$x$|//|/*|<a>|@b".split("|")],
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
def test_no_character_is_lost_nor_runs_off_the_page(hw9, tmp_path, monkeypatch, seed):
    """Each is in the listing, itself or as its escape; and all that on the pages."""
    sources = hostile(seed)
    listed = [cell["code"] for cell in collect(hw9, *sources).values()][1:]
    for source, code in zip(sources, listed, strict=True):
        left = squeeze(code)
        for character in squeeze(source):
            escape = ascii(character)[1:-1]
            known = character if left.startswith(character) else escape
            assert left.startswith(known), (character, left[:20])
            left = left[len(known) :]
        assert left == ""
    cells = collect(hw9, *sources)
    document, _ = set_code(hw9, tmp_path, cells, monkeypatch)
    pages = pypdf.PdfReader(tmp_path / "abc123_HW9.pdf").pages
    text = ""
    for page in pages:
        text += squeeze("".join(page.extract_text().split("\n")[1:]))
    assert text == POINTER + squeeze("".join(listed))
    for top, left, bottom, right in map(ink, document):
        assert top > 12 and left > 36 and bottom < 780 and right < 576


def test_no_character_of_a_title_is_lost_either(hw9, tmp_path, monkeypatch):
    title = "你好 🎉 \u0301 #let $ *a* `b`"
    cells = collect(hw9, f"# 3.11 {title}\na = 1")
    _, pages = set_code(hw9, tmp_path, cells, monkeypatch)
    shown = "".join(c if ord(c) < 0x180 else ascii(c)[1:-1] for c in title)
    assert squeeze(shown) in squeeze("".join(pages[0])).rpartition("Part3")[2]


def test_indents_and_blank_lines_are_kept(hw9, tmp_path, monkeypatch):
    """Also the first line's indent; of several blank lines in a row, one."""
    source = "    def f():\n        if x:\n\n\n\n\t    return 1"
    document, _ = set_code(hw9, tmp_path, collect(hw9, source), monkeypatch)
    text = document[0].get_textpage()
    places = [text.get_text_bounded().index(word) for word in ("def", "if x", "return")]
    (x0, y0), (x1, y1), (x2, y2) = [text.get_charbox(k, loose=True)[:2] for k in places]
    margin = 0.8 * 72
    columns = [round((x - margin) / ADVANCE) for x in (x0, x1, x2)]
    assert columns == [4, 8, 8] and y1 - y2 == pytest.approx(2 * (y0 - y1), abs=1)


ALIKE = (
    "plt.figure(figsize=(3, 3))\nplt.plot({})",
    "with torch.no_grad():\n    print({})",
    "%%time\nf({})",
    "!pip install -q package{}",
    "# only a comment\n# number {}",
)


def test_cells_without_a_number_are_all_listed_however_they_begin(hw9):
    own = [source.format(k) for k in range(3) for source in ALIKE]
    assert [cell["code"] for cell in collect(hw9, *own).values()] == ["", *own]


@pytest.mark.parametrize("magic", ["%%time\n", "%%time\n\n", "%matplotlib inline\n"])
def test_a_magic_atop_a_numbered_cell_changes_nothing(hw9, magic):
    cells = collect(hw9, "# 3.7 Train\nold()", f"{magic}# 3.7 Train\nnew()")
    cell = cells.pop((3, 7))
    assert cell["title"] == "3.7 Train" and cell["code"].startswith(magic.strip())
    assert cell["code"].endswith("new()") and "old" not in str(cells)


def test_an_edited_numbered_cell_is_listed_once_as_it_last_ran(hw9):
    old = "# 2.3 Decoder\nclass Decoder:\n    a = 1"
    cells = collect(hw9, old, "b", old.replace("Decoder:", "Decoder(nn.Module):"))
    listed = [cell["code"] for cell in cells.values() if cell["title"]]
    assert listed == ["class Decoder(nn.Module):\n    a = 1"]


def test_own_cells_stand_after_the_numbered_cell_after_which_they_ran(hw9):
    cells = collect(hw9, "first", "# 3.4 Prior", "mine", "# 3.10 Seen", "# 3.5 Ev", "x")
    listed = [cell["title"] or cell["code"] for cell in cells.values()]
    assert listed[1:] == ["first", "3.4 Prior", "mine", "3.5 Ev", "x", "3.10 Seen"]


def test_a_title_counts_only_at_the_top_of_a_cell(hw9):
    cells = collect(hw9, "# 3.7 Train\na", "b\n# 3.7 Train\nc")
    listed = [cell["code"] for cell in cells.values()]
    assert listed[1:] == ["a", "b\n# 3.7 Train\nc"]


WARM = edit("settings", "TEMPERATURE = 0.6", "TEMPERATURE = 5")
FASTER = edit("fit", "lr=LEARNING_RATE", "lr=1e-3")
CELL = CELLS.__getitem__
AFTERWARDS = {  # what runs after the whole notebook; the cell from which to run again
    "nothing": ([], ""),
    "settings, Part 6": ([WARM, *part(6)], "0.3"),
    "settings, Parts 4 to 6": ([WARM, CELL("checks"), *part(4, 5, 6)], "1.1"),
    "settings, all but training": (
        [WARM, CELL("checks"), *part(1, 2), *part(3)[:6], *part(3)[7:], *part(4, 6)],
        "3.7",
    ),
    "settings, all below": ([WARM, CELL("checks"), *part(1, 2, 3, 4, 6)], ""),
    "training, Part 6": ([FASTER, *part(6)], "3.8"),
    "training and back, Part 6": ([FASTER, CELL("fit"), *part(6)], "3.8"),
    "training, all below": ([FASTER, *part(3)[7:], *part(4, 6)], ""),
    "training, figures, 3.8 last": (
        [FASTER, *part(3)[8:], *part(4), CELL("curves"), *part(6)],
        "3.9",
    ),
    "data, Part 6": ([edit("data", "ToTensor()", "None"), *part(6)], "1.3"),
    "data unchanged, Part 6": ([CELL("data"), *part(6)], ""),
    "Part 5 changed": ([edit("judge", "16", "8"), *part(6)], ""),
    "unchanged, in any order": ([*part(4, 6, 3, 1)[::-1], CELL("fit")], ""),
    "own cells": (["digits = 3", "!pip list", "# a comment"], ""),
}


@pytest.mark.parametrize("case", AFTERWARDS)
def test_from_which_cell_to_run_again(hw9, case):
    ran, number = AFTERWARDS[case]
    fault = hw9.find_fault(collect(hw9, *CELLS.values(), *ran))
    title = [title for title in TITLES if title.split()[0] == number]
    assert fault == (f"run {title[0]} and all below again" if title else "")


def test_a_cell_that_failed_must_run_again_and_all_below(hw9):
    ran = [*CELLS.values(), CELL("fit"), *part(4, 6)]
    failed = [len(CELLS) + 1]
    assert "3.7 Train" in hw9.find_fault(collect(hw9, *ran, failed=failed))
    ran += [*part(3)[6:], *part(4)]
    assert hw9.find_fault(collect(hw9, *ran, failed=failed)) == ""


@pytest.mark.parametrize("missing", ["train", "fit", "same", "different"])
def test_a_cell_that_is_graded_is_not_missing(hw9, missing):
    ran = [source for name, source in CELLS.items() if name != missing]
    number = CELL(missing).split()[1].replace(".", ", ")
    assert number in hw9.find_fault(collect(hw9, *ran))


@pytest.mark.parametrize("ran", [[], ["%run HW9.ipynb"], ["", "", "", *part(6)]])
def test_without_the_code_there_is_no_submission(hw9, ran):
    assert "not among those that ran" in hw9.find_fault(collect(hw9, *ran))


@pytest.fixture(scope="module")
def figures(run):
    """Return the two figures of a run on the sample."""
    return [run.names["same_figure"], run.names["different_figure"]]


@pytest.fixture(scope="module")
def whole(hw9):
    """Return the cells after the whole notebook ran once."""
    return collect(hw9, *CELLS.values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of `submission`."""
    return tmp_path_factory.mktemp("submission")


@pytest.fixture(scope="module")
def submission(hw9, folder, whole, figures):
    """Return the PDF of a run, as if on MNIST, and its pages' lines."""
    return save(hw9, folder, whole, figures)


def test_pages(submission):
    """Two figures, the code; no title page, no blank page, not too many to read."""
    document, pages = submission
    assert 4 <= len(document) <= 11
    assert {page.get_size() for page in document} == {(612, 792)}
    for number, (head, *code) in enumerate(pages[2:], 3):
        assert head.split() == ["HW9", "·", "abc123", str(number)] and len(code) > 10


def test_figures_are_as_large_as_the_page_allows(submission):
    for page in list(submission[0])[:2]:
        top, left, bottom, right = ink(page)
        assert (right - left) * (bottom - top) > 0.7 * 612 * 792
        assert top > 18 and left > 18 and bottom < 774 and right < 594
        (image,) = page.get_objects(filter=[pypdfium2.raw.FPDF_PAGEOBJ_IMAGE])
        x0, y0, x1, y1 = image.get_bounds()
        assert x1 - x0 > 0.9 * 612 and y1 - y0 > 0.7 * 792


@pytest.mark.parametrize("number", [0, 1])
def test_each_page_shows_its_figure(submission, folder, figures, number):
    """Every pixel of it, and nothing else."""
    (shown,) = pypdf.PdfReader(folder / "abc123_HW9.pdf").pages[number].images
    png = Image.open(io.BytesIO(bytes(figures[number]["png"])))
    assert (np.array(png.convert("L")) == np.array(shown.image.convert("L"))).all()


@pytest.mark.parametrize("number", [0, 1])
def test_a_caption_says_what_is_graded(submission, figures, run, number):
    text = " ".join(submission[1][number])
    title = ["Same digit interpolates", "Different digit interpolates"][number]
    assert title in text and "abc123" in text
    assert (
        "VAE trained on MNIST’s training set only (cells 1.4, 3.7); in training, its "
        "prior knows each image’s label (3.3). Framed in black: test images, drawn at "
        "random (4.2)." in text
    )
    assert "decoded at 𝑡 = 1/8, …, 7/8 of the straight line between" in text
    assert "their codes (posterior means), evenly spaced (4.1); contrast" in text
    assert "contrast raised, logits / 0.6 (3.9), of these seven alone" in text
    numbers = re.search(r"Seed 0 drew test images no\. ([^.]*)", text)[1]
    shown = [list(map(int, pair.split(" and "))) for pair in numbers.split("; ")]
    assert shown == figures[number]["pairs"] and len(shown) == 10
    digits = [run.names["test_labels"][pair].tolist() for pair in shown]
    same = [[digit, digit] for digit in range(10)]
    assert digits == same if number == 0 else all(a != b for a, b in digits)


def test_a_caption_speaks_of_contrast_only_if_it_is_raised(
    hw9, tmp_path, whole, figures
):
    plain = [figure | {"temperature": 1} for figure in figures]
    for page in save(hw9, tmp_path, whole, plain)[1][:2]:
        text = " ".join(page)
        assert "evenly spaced (4.1); contrast as decoded." in text
        assert "raised" not in text and "logits" not in text


def test_all_our_code_is_there_in_one_column(submission):
    """Each line uncut, once, in order; titles as headings; and nothing else."""
    shown = [squeeze(line) for page in submission[1][2:] for line in page[1:]]
    code = "\n".join(source.removeprefix("# ") for source in CELLS.values())
    shown = shown[shown.index("Part0·Setup") :]
    parts = [line for line in shown if line.startswith("Part") and "·" in line]
    assert [part[4] for part in parts] == list("0123456")
    shown = [line for line in shown if line and line not in parts]
    assert shown == list(filter(None, map(squeeze, code.split("\n"))))


def test_code_is_large_enough(submission):
    for page in list(submission[0])[2:]:
        text = page.get_textpage()
        size = functools.partial(pypdfium2.raw.FPDFText_GetFontSize, text.raw)
        assert min(round(size(k), 2) for k in seen(text)) >= 8


def test_the_index_names_every_part_and_title_with_its_page(submission):
    document, pages = submission
    text = squeeze("".join(pages[2])).partition("0.1Importsimport")[0]
    for mark in document.get_toc():
        entry = re.escape(squeeze(mark.get_title()))
        page = mark.get_dest().get_index() + 1
        assert re.search(rf"{entry}\.*{page}", text), entry


def test_bookmarks_and_title(submission):
    titles = [mark.get_title() for mark in submission[0].get_toc()]
    assert titles[:2] == ["Same digit interpolates", "Different digit interpolates"]
    assert [title for title in titles if title in TITLES] == TITLES
    parts = [title[:6] for title in titles if title.startswith("Part ")]
    assert parts == [f"Part {k}" for k in range(7)]
    about = submission[0].get_metadata_dict()
    assert "HW9" in about["Title"] and about["Author"] == "abc123"


def test_nothing_lies_on_anything_else(hw9, tmp_path, figures):
    """Also with a student's own numbered cells in the index."""
    own = [f"# 5.{k} My own look at what is above\nf({k})" for k in range(9, 29)]
    cells = collect(hw9, *CELLS.values(), *own)
    document, _ = save(hw9, tmp_path, cells, figures)
    assert [overlap(page) for page in document] == [0] * len(document)


@pytest.mark.parametrize("lines", range(0, 60, 12))
def test_no_heading_stands_alone_and_no_short_cell_is_split(
    hw9, tmp_path, monkeypatch, lines
):
    first = "\n".join(f"line_{k}" for k in range(lines))
    cells = collect(hw9, first, *CELLS.values())
    _, pages = set_code(hw9, tmp_path, cells, monkeypatch)
    pages = [page[1:] for page in pages]
    for page in pages:
        assert page[-1] not in TITLES and not page[-1].startswith("Part ")
    pages = [squeeze("".join(page)) for page in pages]
    for cell in list(cells.values())[2:]:
        if len(cell["code"].split("\n")) <= 12:
            assert any(squeeze(cell["code"]) in page for page in pages), cell["title"]


def test_a_preview_says_so_in_its_name_on_its_pages_and_below(
    hw9, tmp_path, whole, figures, capsys
):
    reason = "made from a small sample of made-up digits, not from MNIST"
    document, pages = save(hw9, tmp_path, whole, figures, reason)
    assert capsys.readouterr().out == (
        f"abc123_HW9_PREVIEW.pdf PREVIEW, do not submit: {reason}.\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["abc123_HW9_PREVIEW.pdf"]
    for page in pages:
        assert f"PREVIEW, do not submit: {reason}." in " ".join(page)
    assert [overlap(page) for page in document] == [0] * len(document)
    assert all(ink(page)[3] < 594 for page in document)


def test_a_real_one_says_so_and_leaves_its_figures(
    hw9, tmp_path, whole, figures, capsys
):
    save(hw9, tmp_path, whole, figures)
    assert capsys.readouterr().out == "abc123_HW9.pdf is ready to hand in.\n"
    for figure, name in zip(figures, ("same_digit", "different_digit"), strict=True):
        png = (tmp_path / "figures" / f"{name}.png").read_bytes()
        assert png == bytes(figure["png"])


@pytest.mark.parametrize("netid", ["../evil", "a/b", "", ".", "a b", "/tmp/x"])
def test_no_netid_writes_elsewhere(hw9, tmp_path, whole, netid):
    (tmp_path / "here").mkdir()
    with pytest.raises(ValueError, match="NETID"):
        save(hw9, tmp_path / "here", whole, netid=netid)
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]


def test_a_submission_that_was_there_stays_if_none_can_be_made(
    hw9, tmp_path, whole, monkeypatch
):
    (tmp_path / "abc123_HW9.pdf").write_bytes(b"an earlier one")
    monkeypatch.setattr(hw9, "CODE_PAGES", '#panic("no")')
    with pytest.raises(RuntimeError):
        save(hw9, tmp_path, whole)
    assert (tmp_path / "abc123_HW9.pdf").read_bytes() == b"an earlier one"
