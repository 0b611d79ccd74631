"""Part 5: the PDF, on which no character is lost, and when it is a PREVIEW."""

import functools
import random
import re
import types
from pathlib import Path

import matplotlib.pyplot as plt
import pypdf
import pypdfium2
import pytest
from hw9 import (
    RESTART,
    Encoder,
    find_fault,
    make_prior_means,
    save_submission,
)
from PIL import Image, ImageOps
from read_notebook import read_cells, run_cell
from torch.nn import Linear

CELLS = read_cells()
LISTED = re.compile(r"# [0-4]\.(?!.*\(not listed\))")  # of Parts 0 to 4
CODE = list(filter(LISTED.match, CELLS.values()))
FIGURES = ["figures/same_digit_PREVIEW.png", "figures/different_digit_PREVIEW.png"]
HEAD = r"HW9, abc123\s+(PREVIEW[^.]*\.\s+)?\d+\s"
LAST = "Cells marked “not listed” only look at what was made, or typeset these pages."


def squeeze(text):
    """Return the text without spaces, tabs, and ends of lines."""
    return "".join(text.split())


def read_pages(path):
    """Return the text of each page."""
    pages = pypdfium2.PdfDocument(path)
    return [page.get_textpage().get_text_bounded() for page in pages]


def listing(pages):
    """Return the squeezed text of pages of code, without their heads and last line."""
    text = re.sub(HEAD, "", "\n".join(pages)).removesuffix(LAST)
    return squeeze(text).replace("\x02", "-")  # so pdfium reads - at a line's end


def margins(page):
    """Return how far a page's ink is from its left, top, right, and bottom, points."""
    image = ImageOps.invert(page.render(grayscale=True).to_pil())
    left, top, right, bottom = image.getbbox()
    return left, top, 612 - right, 792 - bottom


@pytest.fixture
def submission(run):
    """Return the PDF of a run, a PREVIEW because it is on the sample."""
    return run.folder / "abc123_HW9_PREVIEW.pdf"


@pytest.fixture
def pages(submission):
    """Return the text of each of its pages."""
    return read_pages(submission)


# The figures


def test_the_same_digit_then_different_digits_then_code(pages):
    assert pages[0].startswith("Same digit interpolates")
    assert pages[1].startswith("Different digit interpolates")
    assert "0.1 Environment" in pages[2].splitlines()


@pytest.mark.parametrize("number", [0, 1])
def test_a_figure_is_as_large_as_us_letter_allows(submission, number):
    white = margins(pypdfium2.PdfDocument(submission)[number])
    assert min(white) > 18
    assert max(white) < 80


@pytest.mark.parametrize("number", [0, 1])
def test_each_page_shows_the_figure_that_is_saved(submission, number):
    (shown,) = pypdf.PdfReader(submission).pages[number].images
    saved = Image.open(submission.parent / FIGURES[number])
    assert shown.image.convert("RGB").tobytes() == saved.convert("RGB").tobytes()


# Their captions


def test_each_page_has_the_caption_and_its_pairs(run, pages):
    for page, name in zip(pages, ["same_pairs", "different_pairs"], strict=False):
        listed = ", ".join(f"{a}–{b}" for a, b in run.names[name])
        words = squeeze(f"{run.names['caption']} Test images {listed}.")
        assert squeeze(page).endswith(words)


@pytest.fixture
def caption(run):
    """Return a function of the three changes, all off unless given."""

    def caption(distance=0.0, radius=0.0, temperature=1):
        names = run.names | {
            "decoder": types.SimpleNamespace(radius=radius, temperature=temperature),
            "moved_between": 0.91,
            "prior_means": make_prior_means(12, distance),
            "test_loss": {"-ELBO": 93.8},
        }
        run_cell(CELLS["Caption"], "Caption", names)
        return names["caption"]

    return caption


def test_a_caption_says_what_is_graded(caption):
    said = caption()
    assert "MNIST test images (seed 0, 4.1)" in said
    assert "decoded from z(t) = (1 − t) μ_A + t μ_B, t = 1/8, …, 7/8" in said
    assert "where μ is the encoder's mean (4.6)" in said
    assert "codes of 12 numbers, trained for 1 epochs on the training set only" in said
    assert "test −ELBO 93.8 nats" in said


CHANGES = {
    "distance": "labels give each digit a prior of its own",
    "radius": "codes shorter than 0.5, 91% of those between digits, are decoded from",
    "temperature": "decoded pixels' logits are divided by 0.5",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_caption_names_each_change_that_is_on(caption, change):
    said = caption(**{change: 0.5})
    assert "Not as in a textbook: " in said
    for other, words in CHANGES.items():
        assert (words in said) == (other == change)


def test_a_caption_of_a_textbooks_vae_names_no_change(caption):
    assert "Not as in a textbook" not in caption()


# The code


def test_all_code_is_there_as_typed_and_in_order(run, pages):
    listed = run.names["listed"]
    text = "\n".join(cell.removeprefix("# ") for cell in listed)
    assert len(listed) == len(CODE)
    assert listing(pages).endswith(f".{squeeze(text)}")  # below the sources


def test_cells_marked_so_are_not_listed_and_the_pages_say_so(pages):
    assert "plot_history" not in "".join(pages)
    assert pages[-1].splitlines()[-1] == LAST


GRADED = {
    "model": "2.2 Encoder",
    "loss": "3.1 Loss, and a check of its KL",
    "training": "3.5 Training loop",
    "decoding": "4.2 Decode for lines",
    "lines": "4.6 Interpolate",
}


@pytest.mark.parametrize("part", GRADED)
def test_for_grading_names_the_page_of_each_part(pages, part):
    (number,) = re.findall(rf"{part} p\. (\d+) ·", pages[2])
    assert GRADED[part] in pages[int(number) - 1].splitlines()


@pytest.fixture
def save(tmp_path, monkeypatch):
    """Return a function that saves cells, without figures, and returns the PDF."""
    monkeypatch.chdir(tmp_path)

    def save(listed, fault=""):
        save_submission("abc123", {}, {}, "", listed, fault)
        (path,) = tmp_path.glob("*.pdf")
        return path

    return save


@pytest.mark.parametrize("lines", [0, 12, 24, 36])
def test_no_heading_stands_alone_at_the_end_of_a_page(save, lines):
    for page in read_pages(save(["x = 1\n" * lines, *CODE])):
        assert not re.match(r"\d\.\d+ [A-Z]", page.splitlines()[-1])


@pytest.fixture
def odd():
    """Return a cell of odd characters and long lines, longer than a page."""
    pool = "0Oo1lI|#$*_`\\/<>@\"'()[]{}~- \téßñ你好🎉\u202e" + "\n"
    some = random.Random(0).choices(pool, k=5000)
    return "# " + pool + "".join(some) + "x" * 5000


def test_no_character_is_lost(save, odd):
    """Those that the page's fonts may lack are shown as in a string of Python."""
    expected = ""
    for character in squeeze(odd.removeprefix("# ")):
        latin = ord(character) < 256
        expected += character if latin else ascii(character).strip("'")
    assert listing(read_pages(save([odd]))).endswith(f".{expected}")


def test_no_character_runs_off_the_page(save, odd):
    for page in pypdfium2.PdfDocument(save([odd])):
        assert min(margins(page)) > 18


def test_indents_and_blank_lines_are_kept(save):
    path = save(["def f():\n    if x:\n\n\t    return 1"])
    text = pypdf.PdfReader(path).pages[0].extract_text(extraction_mode="layout")
    assert re.search(r"( *)def f\(\):\n+\1    if x:\n\n+\1        return 1", text)


# A PREVIEW


def test_a_preview_says_so_in_its_name_and_below_the_cell(save, capsys):
    assert save(CODE, fault=RESTART).name == "abc123_HW9_PREVIEW.pdf"
    said = capsys.readouterr().out
    assert said == f"abc123_HW9_PREVIEW.pdf PREVIEW, do not submit: {RESTART}.\n"


def test_a_preview_says_so_on_each_page(pages):
    words = "PREVIEW, do not submit: made from a small sample of made-up digits."
    for page in pages:
        assert words in " ".join(page.split())


def test_a_preview_touches_nothing_of_a_submission(save):
    path = save(CODE)
    before = path.read_bytes()
    save_submission("abc123", {"same_digit": plt.figure()}, {}, "", [], RESTART)
    assert path.read_bytes() == before
    assert not Path("figures/same_digit.png").exists()


# What makes it one


@pytest.fixture
def fault(encoder):
    """Return a function: which fault is found after these cells ran."""

    def fault(listed, maker=Encoder):
        return find_fault(listed, "mnist", {maker: encoder})

    return fault


TRAIN = CELLS["Train"]
OWN = [  # cells of a student's own that change nothing
    "# 2.3 million weights\nprint(weights)",
    "losses = train(other, another, train_loader, adam)  # 3.7 Train",
    "!pip install tqdm",
    "%%bash\nls",
]
EDITED = [  # the cell of training, as a student may have changed it
    TRAIN + "\nhistory = list(history)",
    TRAIN.replace("# 3.7 Train", "# my training"),
    "%%time\n" + TRAIN,
]


@pytest.mark.parametrize("edited", EDITED)
def test_training_of_ones_own_and_cells_of_ones_own_pass(fault, edited):
    cells = [edited if cell == TRAIN else cell for cell in CODE]
    assert fault([*OWN, *cells[:20], *OWN, *cells[20:], *OWN]) == ""


@pytest.mark.parametrize("again", [TRAIN, "%%time\n" + TRAIN])
def test_a_cell_that_ran_twice_is_named(fault, again):
    assert fault([*CODE, again]) == f"a cell ran twice (3.7 Train): {RESTART}"


def test_a_class_changed_after_training_is_a_fault(fault):
    class Encoder:
        __module__ = "__main__"

    assert fault(CODE, maker=Encoder) == f"Encoder has changed since: {RESTART}"


@pytest.mark.parametrize("maker", [Linear, functools.partial(Linear, 784)])
def test_a_class_from_elsewhere_is_a_fault(fault, maker):
    words = "Encoder and Decoder must be defined in this notebook"
    assert fault(CODE, maker=maker) == words
