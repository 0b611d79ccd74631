"""The PDF: pages, figures, every character of the code that ran; when it is none."""

import io
import random
import re

import numpy as np
import pypdf
import pypdfium2
import pytest
from notebook import read_cells
from PIL import Image

CELLS = read_cells()
SOURCES = list(CELLS.values())
TITLES = [source.split("\n")[0].removeprefix("# ") for source in SOURCES]
RESTART = "restart the kernel and run all cells"


def squeeze(text):
    """Return the text without spaces, tabs, and ends of lines."""
    return "".join(text.split())


def ink(page):
    """Return where a page is not white: the first and last (y, x), in points."""
    y, x = (page.render(grayscale=True).to_numpy().squeeze() < 250).nonzero()
    return y.min(), x.min(), y.max(), x.max()


def code_of(pages):
    """Return the squeezed text of the pages of code, from where the index has ended."""
    without_head = ["".join(page.splitlines()[1:]) for page in pages]
    return squeeze("".join(without_head)).partition("figures4.5to4.7")[2]


@pytest.fixture
def save(hw9, tmp_path, monkeypatch):
    """Return a function that saves a submission; it returns the PDF, and its text."""
    monkeypatch.chdir(tmp_path)

    def save(ran, figures=None, fault=""):
        hw9.save_submission("abc123", figures or {}, ran, fault)
        (path,) = tmp_path.glob("*.pdf")
        document = pypdfium2.PdfDocument(path)
        return document, [page.get_textpage().get_text_bounded() for page in document]

    return save


@pytest.fixture
def figures(run):
    """Return the two figures of a run on the sample."""
    same = run.names["same_figure"]
    different = run.names["different_figure"]
    return {"same_digit": same, "different_digit": different}


@pytest.fixture
def submission(save, figures):
    """Return the PDF of a run, as if on MNIST, and its pages' text."""
    return save(SOURCES, figures)


def test_two_figures_then_the_code_on_us_letter(submission):
    document, pages = submission
    assert {page.get_size() for page in document} == {(612, 792)}
    assert pages[0].startswith("Same digit interpolates")
    assert pages[1].startswith("Different digit interpolates")
    for number, page in enumerate(pages[2:], 3):
        head, *code = page.splitlines()
        assert head.split() == ["HW9,", "abc123", str(number)] and len(code) > 10


def test_figures_are_as_large_as_the_page_allows(submission):
    for page in list(submission[0])[:2]:
        top, left, bottom, right = ink(page)
        assert (right - left) * (bottom - top) > 0.7 * 612 * 792
        assert top > 18 and left > 18 and bottom < 774 and right < 594


@pytest.mark.parametrize("number", [0, 1])
def test_each_page_shows_its_figure_and_caption(submission, tmp_path, figures, number):
    png, caption = list(figures.values())[number]
    (shown,) = pypdf.PdfReader(tmp_path / "abc123_HW9.pdf").pages[number].images
    drawn = np.array(Image.open(io.BytesIO(png)).convert("L"))
    assert (drawn == np.array(shown.image.convert("L"))).all()
    assert squeeze(caption) in squeeze(submission[1][number])


@pytest.mark.parametrize("name", ["same_figure", "different_figure"])
def test_a_caption_says_what_is_graded(run, name):
    caption = run.names[name][1]
    assert "Black frames: real test images." in caption
    assert "decoded at t = 1/8, …, 7/8, evenly spaced on the straight line" in caption
    assert "between the ends' posterior means (4.3)." in caption
    assert "VAE trained for 1 epochs on MNIST's training set only (1.3, 3.7)" in caption
    assert "Each label's prior mean lies 5.0 from the origin (3.3)" in caption
    assert "codes nearer than 6.0 are moved out to there by the" in caption
    assert "Seed 0." in caption


def test_for_grading_and_captions_name_cells_by_their_numbers(submission):
    words = " ".join(submission[1][2].split())
    assert (
        "For grading: data 1.1 to 1.3 · model 2.2, 2.3 · loss 3.1 · training" in words
    )
    assert "3.5, 3.7 · interpolates 4.3 · figures 4.5 to 4.7" in words
    named = {"1.1 Load MNIST", "1.3 Training and validation images", "2.2 Encoder"}
    named |= {"2.3 Decoder", "3.1 Loss, and a check of its KL", "3.3 Prior"}
    named |= {"3.5 Training loop", "3.7 Train", "4.1 Raise the contrast"}
    named |= {"4.3 Interpolate", "4.5 Draw a figure", "4.7 Different digits"}
    assert named <= set(TITLES)


def test_all_code_is_there_as_typed_and_in_order(submission):
    code = "".join(squeeze(source.removeprefix("# ")) for source in SOURCES)
    assert code_of(submission[1][2:]) == code


def test_index_and_bookmarks_name_every_title_with_its_page(submission):
    index = squeeze(submission[1][2]).partition("Forgrading")[0]
    marks = list(submission[0].get_toc())
    assert [mark.get_title() for mark in marks][2:] == TITLES
    for mark in marks:
        entry = re.escape(squeeze(mark.get_title()))
        assert re.search(rf"{entry}\.*{mark.get_dest().get_index() + 1}", index), entry


@pytest.mark.parametrize("lines", [0, 25, 50])
def test_no_heading_stands_alone_and_no_short_cell_is_split(save, lines):
    first = "\n".join(f"line_{k}" for k in range(lines))
    _, pages = save([first, *SOURCES])
    for page in pages:
        assert page.splitlines()[-1] not in TITLES
    pages = [squeeze(page) for page in pages]
    for source in SOURCES:
        code = source.partition("\n")[2]
        if code.count("\n") < 12:
            assert any(squeeze(code) in page for page in pages), source


POOLS = ["abc", "0Oo1lI|", "#$*_`\\/<>@\"'", "()[]{}", "éßñ", "你好", "🎉\u202e\x07"]


def test_no_character_is_lost_nor_runs_off_the_page(save, tmp_path):
    """Each is on the pages, itself or as its escape, in code and in titles."""
    rng = random.Random(0)
    cells = ["x" * 5000]
    for pool in POOLS:
        lines = [rng.choices(pool, k=200)]
        lines += [rng.choices("".join(POOLS) + " \t", k=90) for _ in range(9)]
        cells.append(f"# {pool}\n" + "\n".join(map("".join, lines)))
    document, _ = save(cells)
    pages = pypdf.PdfReader(tmp_path / "abc123_HW9.pdf").pages
    left = code_of([page.extract_text() for page in pages])
    for character in squeeze("".join(cell.removeprefix("# ") for cell in cells)):
        escape = ascii(character)[1:-1]
        shown = character if left.startswith(character) else escape
        assert left.startswith(shown), (character, left[:20])
        left = left[len(shown) :]
    assert left == ""
    for page in document:
        top, left, bottom, right = ink(page)
        assert top > 12 and left > 36 and bottom < 780 and right < 576


def test_indents_and_blank_lines_are_kept(save, tmp_path):
    save(["def f():\n    if x:\n\n\t    return 1"])
    page = pypdf.PdfReader(tmp_path / "abc123_HW9.pdf").pages[0]
    text = page.extract_text(extraction_mode="layout")
    assert re.search(r"( *)def f\(\):\n+\1    if x:\n\n+\1        return 1", text), text


def test_a_preview_says_so_in_its_name_on_its_pages_and_below(save, figures, capsys):
    _, pages = save(SOURCES, figures, RESTART)
    words = f"PREVIEW, do not submit: {RESTART}."
    assert capsys.readouterr().out == f"abc123_HW9_PREVIEW.pdf {words}\n"
    assert all(words in " ".join(page.split()) for page in pages)


def test_a_submission_says_so_and_leaves_its_figures(save, tmp_path, figures, capsys):
    save(SOURCES, figures)
    said = capsys.readouterr().out
    assert said.startswith("abc123_HW9.pdf is ready to hand in, if abc123 is your")
    for name, (png, _) in figures.items():
        assert (tmp_path / "figures" / f"{name}.png").read_bytes() == png


def test_a_preview_touches_nothing_of_a_submission(hw9, submission, tmp_path, figures):
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.p*")}
    hw9.save_submission("abc123", figures, SOURCES, RESTART)
    assert before == {path: path.stat().st_mtime_ns for path in before}


@pytest.fixture
def fault(hw9, vae):
    """Return a function: which fault is found after these cells ran."""

    def find(*ran, dataset="mnist", encoder=vae[0], maker=hw9.Encoder):
        return hw9.find_fault(ran, dataset, {maker: encoder, hw9.Decoder: vae[1]})

    return find


FINE = [  # cells of a student's own that change nothing
    "# 3.11 KL annealing\nbeta = 1",
    "preview = False\nsample = 1\nmy_figure = plt.figure()",
    "history = None  # (not yet trained)",
    "losses = train(other, another, train_loader, adam)",
    "!pip install tqdm",
    "%%bash\nls",
]


def test_restart_and_run_all_may_be_handed_in_whatever_else_ran(fault):
    assert fault(*SOURCES) == fault(*FINE, *SOURCES[:20], *FINE, *SOURCES[20:]) == ""


TRAIN = CELLS["Train"]
SAME = CELLS["Same digit"]
EDITED = [  # the cell of training, as a student may have changed it
    TRAIN.partition("\n")[2],  # no title
    TRAIN.replace("# 3.7 Train", "# my training"),
    CELLS["Evaluate"] + "\n\n" + TRAIN,
    "%%time\n" + TRAIN,
    "%%capture\n" + TRAIN,
    TRAIN.replace("history = train", "%time history = train"),
    TRAIN.replace("history = train", "if True:\n    history = train"),
    TRAIN.replace("history = train", "history=train"),
]


@pytest.mark.parametrize("edited", EDITED)
def test_the_cell_of_training_may_be_edited(fault, edited):
    assert fault(*[edited if cell == TRAIN else cell for cell in SOURCES]) == ""


@pytest.mark.parametrize("cell", [TRAIN, SAME, CELLS["Different digits"]])
def test_what_did_not_run_or_not_as_python_is_missed(fault, cell):
    place = SOURCES.index(cell)
    before = SOURCES[:place]
    after = SOURCES[place + 1 :]
    assert fault(*before, *after) == RESTART
    assert fault(*before, "%%script echo skipping\n" + cell, *after) == RESTART
    assert fault(*before, "%%timeit\n" + cell, *after) == RESTART


@pytest.mark.parametrize("cell", [TRAIN, SAME, CELLS["Save the submission"]])
def test_what_ran_twice_is_a_preview(fault, cell):
    assert fault(*SOURCES, cell) == RESTART


def test_figures_drawn_before_training_are_a_preview(fault):
    assert fault(SAME, *[source for source in SOURCES if source != SAME]) == RESTART


def test_nothing_or_another_notebook_that_ran_is_a_preview(fault):
    assert fault() == fault("%run HW9.ipynb") == RESTART


def test_the_sample_is_a_preview(fault):
    assert fault(*SOURCES, dataset="sample").startswith("made from a small sample")


def test_a_class_changed_after_training_is_a_preview(hw9, fault):
    changed = type("Encoder", (hw9.nn.Module,), {"__module__": "__main__"})
    assert fault(*SOURCES, maker=changed) == RESTART


def test_wrapped_and_factory_made_networks_pass(hw9, fault, vae):
    assert fault(*SOURCES, encoder=hw9.torch.compile(vae[0])) == ""
    factory = lambda latent_dim: vae[0]  # noqa: E731
    factory.__module__ = "__main__"
    assert fault(*SOURCES, maker=factory) == ""


def test_a_class_from_a_file_must_be_pasted(hw9, fault):
    imported = type("Encoder", (hw9.nn.Module,), {"__module__": "my_vae"})
    words = "paste the code of my_vae.py into 2.2 and 2.3"
    assert fault(*SOURCES, maker=imported) == words
