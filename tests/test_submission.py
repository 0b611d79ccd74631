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


def save(hw9, monkeypatch, folder, ran, figures=None, fault="", netid="abc123"):
    """Save a submission in a folder; return its only PDF, and the text of its pages."""
    monkeypatch.chdir(folder)
    hw9.save_submission(netid, figures or {}, ran, fault)
    (path,) = folder.glob("*.pdf")
    document = pypdfium2.PdfDocument(path)
    return document, [page.get_textpage().get_text_bounded() for page in document]


def code_of(text):
    """Return the squeezed text of the pages of code, from where the index has ended."""
    pages = ["".join(page.splitlines()[1:]) for page in text]
    return squeeze("".join(pages)).partition("figures4.5to4.7")[2]


@pytest.fixture(scope="module")
def figures(run):
    """Return the two figures of a run on the sample."""
    names = run.names
    return {
        "same_digit": names["same_figure"],
        "different_digit": names["different_figure"],
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of `submission`."""
    return tmp_path_factory.mktemp("submission")


@pytest.fixture(scope="module")
def submission(hw9, folder, figures):
    """Return the PDF of a run, as if on MNIST, and its pages' text."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        return save(hw9, monkeypatch, folder, SOURCES, figures)


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
def test_each_page_shows_its_figure(submission, folder, figures, number):
    """Every pixel of it, and nothing else."""
    (shown,) = pypdf.PdfReader(folder / "abc123_HW9.pdf").pages[number].images
    png = Image.open(io.BytesIO(list(figures.values())[number][0]))
    assert (np.array(png.convert("L")) == np.array(shown.image.convert("L"))).all()


@pytest.mark.parametrize("number", [0, 1])
def test_each_page_has_its_caption(submission, figures, number):
    caption = list(figures.values())[number][1]
    assert squeeze(caption) in squeeze(submission[1][number])


@pytest.mark.parametrize("name", ["same_figure", "different_figure"])
def test_a_caption_says_what_is_graded(run, name):
    caption = run.names[name][1]
    assert "Black frames: real test images." in caption
    assert "decoded at t = 1/8, …, 7/8, evenly spaced on the straight line" in caption
    assert "between the ends' posterior means (4.3)." in caption
    assert "VAE trained for 1 epochs on MNIST's training set only (1.3, 3.7)" in caption
    assert (
        "a prior mean for each label, at a distance of 5.0 from the origin" in caption
    )
    assert "Seed 0." in caption


NAMED = {  # in captions; under the index
    "4.3 Interpolate": "posterior means (4.3)",
    "4.1 Raise the contrast": "logits / 0.6 (4.1)",
    "3.7 Train": "(1.3, 3.7)",
    "3.3 Prior": "from the origin (3.3)",
    "4.4 Choose pairs": "Random pairs of test images (4.4)",
    "1.1 Load MNIST": "data 1.1 to",
    "1.3 Training and validation images": "to 1.3",
    "2.2 Encoder": "model 2.2,",
    "2.3 Decoder": ", 2.3",
    "3.1 Loss, and a check of its KL": "loss 3.1",
    "3.5 Training loop": "training 3.5",
    "4.5 Draw a figure": "figures 4.5",
    "4.7 Different digits": "to 4.7",
}


@pytest.mark.parametrize("title", NAMED)
def test_the_numbers_of_cells_that_the_pdf_names_are_right(run, title):
    assert title in TITLES
    assert NAMED[title] in run.names["same_figure"][1] + run.names["PAGES"]


def test_all_code_is_there_as_typed_and_in_order(submission):
    code = "".join(squeeze(source.removeprefix("# ")) for source in SOURCES)
    assert code_of(submission[1][2:]) == code


def test_the_index_names_every_title_with_its_page(submission):
    index = squeeze(submission[1][2]).partition("Forgrading")[0]
    for mark in submission[0].get_toc():
        entry = re.escape(squeeze(mark.get_title()))
        assert re.search(rf"{entry}\.*{mark.get_dest().get_index() + 1}", index), entry


def test_bookmarks_and_title(submission):
    titles = [mark.get_title() for mark in submission[0].get_toc()]
    assert titles == [
        "Same digit interpolates",
        "Different digit interpolates",
        *TITLES,
    ]
    about = submission[0].get_metadata_dict()
    assert about["Title"] == "HW9, abc123" and about["Author"] == "abc123"


@pytest.mark.parametrize("lines", [0, 25, 50])
def test_no_heading_stands_alone_and_no_short_cell_is_split(
    hw9, tmp_path, monkeypatch, lines
):
    first = "\n".join(f"line_{k}" for k in range(lines))
    _, pages = save(hw9, monkeypatch, tmp_path, [first, *SOURCES])
    for page in pages:
        assert page.splitlines()[-1] not in TITLES
    pages = [squeeze(page) for page in pages]
    for source in SOURCES:
        code = source.partition("\n")[2]
        if code.count("\n") < 12:
            assert any(squeeze(code) in page for page in pages), source


POOLS = (
    "abc",
    "0Oo1lI|",
    "#$*_`\\/<>@\"'",
    "()[]{}",
    "éßñ",
    "你好",
    "🎉\u202e\x07",
    " \t",
)


@pytest.mark.parametrize("seed", range(3))
def test_no_character_is_lost_nor_runs_off_the_page(hw9, tmp_path, monkeypatch, seed):
    """Each is on the pages, itself or as its escape, in code and in titles."""
    rng = random.Random(seed)
    cells = []
    for k in range(12):
        lines = [rng.choices(rng.choice(POOLS), k=rng.choice([3, 30, 200]))]
        lines += [rng.choices("".join(POOLS), k=90) for _ in range(6)]
        cells.append(f"# {rng.choice(POOLS)} {k}\n" + "\n".join(map("".join, lines)))
    cells.append("x" * 5000)
    document, _ = save(hw9, monkeypatch, tmp_path, cells)
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


def test_indents_and_blank_lines_are_kept(hw9, tmp_path, monkeypatch):
    source = "def f():\n    if x:\n\n\t    return 1"
    document, _ = save(hw9, monkeypatch, tmp_path, [source])
    text = document[0].get_textpage()
    shown = text.get_text_bounded()
    boxes = [text.get_charbox(shown.index(word), loose=True) for word in ("def", "if")]
    boxes.append(text.get_charbox(shown.index("return"), loose=True))
    columns = [round((box[0] - 0.9 * 72) / (0.602 * 9)) for box in boxes]
    assert columns == [0, 4, 8]
    first = boxes[0][1] - boxes[1][1]
    assert boxes[1][1] - boxes[2][1] == pytest.approx(2 * first, abs=1)


def test_a_preview_says_so_in_its_name_on_its_pages_and_below(
    hw9, tmp_path, monkeypatch, figures, capsys
):
    _, pages = save(hw9, monkeypatch, tmp_path, SOURCES, figures, RESTART)
    words = f"PREVIEW, do not submit: {RESTART}."
    assert capsys.readouterr().out == f"abc123_HW9_PREVIEW.pdf {words}\n"
    assert all(words in " ".join(page.split()) for page in pages)


def test_a_preview_touches_nothing_of_a_submission(hw9, tmp_path, monkeypatch, figures):
    save(hw9, monkeypatch, tmp_path, SOURCES, figures)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.p*")}
    hw9.save_submission("abc123", figures, SOURCES, RESTART)
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_submission_says_so_and_leaves_its_figures(
    hw9, tmp_path, monkeypatch, figures, capsys
):
    save(hw9, monkeypatch, tmp_path, SOURCES, figures)
    ready = (
        "abc123_HW9.pdf is ready to hand in, if abc123 is your NetID (in Colab: down"
    )
    assert capsys.readouterr().out.startswith(ready)
    for name, (png, _) in figures.items():
        assert (tmp_path / "figures" / f"{name}.png").read_bytes() == png


@pytest.fixture
def fault(hw9, vae):
    """Return a function: which fault is found after these cells ran."""

    def find(*ran, dataset="mnist", encoder=vae[0], maker=hw9.Encoder):
        return hw9.find_fault(ran, dataset, {maker: encoder, hw9.Decoder: vae[1]})

    return find


def test_restart_and_run_all_may_be_handed_in(fault):
    assert fault(*SOURCES) == ""


FINE = {  # what students do that changes nothing
    "own numbers for titles": [
        "# 3.11 KL annealing\nbeta = 1",
        "# 2.3 million weights",
    ],
    "own names": ["preview = False\nsample = 1\nmy_figure = plt.figure()", "show = 2"],
    "a remark with a parenthesis": ["history = None  # (not yet trained)"],
    "own training": ["losses = train(other, another, train_loader, adam)"],
    "commands": ["!pip install tqdm", "%matplotlib inline", "%%bash\nls"],
}


@pytest.mark.parametrize("what", FINE)
def test_own_cells_do_no_harm_wherever_they_ran(fault, what):
    assert fault(*FINE[what], *SOURCES[:20], *FINE[what], *SOURCES[20:]) == ""


TRAIN = CELLS["Train"]
SAME = CELLS["Same digit"]
EDITED = {  # a cell, as a student may have changed it
    "no title": TRAIN.partition("\n")[2],
    "another title": TRAIN.replace("# 3.7 Train", "# my training"),
    "with another cell": CELLS["Evaluate"] + "\n\n" + TRAIN,
    "timed": "%%time\n" + TRAIN,
    "captured": "%%capture\n" + TRAIN,
    "timed on its line": TRAIN.replace("history = train", "%time history = train"),
    "in a block": TRAIN.replace("history = train", "if True:\n    history = train"),
    "without spaces": TRAIN.replace("history = train", "history=train"),
}


@pytest.mark.parametrize("how", EDITED)
def test_the_cell_of_training_may_be_edited(fault, how):
    assert TRAIN in SOURCES and EDITED[how] != TRAIN
    assert fault(*[EDITED[how] if cell == TRAIN else cell for cell in SOURCES]) == ""


@pytest.mark.parametrize("missing", [TRAIN, SAME, CELLS["Different digits"]])
@pytest.mark.parametrize("instead", [[], ["%%script echo skipping\n"], ["%%timeit\n"]])
def test_what_did_not_run_is_missed(fault, missing, instead):
    ran = []
    for source in SOURCES:
        if source != missing:
            ran.append(source)
        elif instead:
            ran.append(instead[0] + source)
    assert fault(*ran) == RESTART


@pytest.mark.parametrize("again", [TRAIN, SAME, CELLS["Save the submission"]])
def test_what_ran_twice_is_a_preview(fault, again):
    assert fault(*SOURCES, again) == RESTART


def test_figures_drawn_before_training_are_a_preview(fault):
    assert fault(SAME, *[source for source in SOURCES if source != SAME]) == RESTART


def test_nothing_or_another_notebook_that_ran_is_a_preview(fault):
    assert fault() == fault("%run HW9.ipynb") == RESTART


def test_the_sample_is_a_preview(fault):
    assert (
        fault(*SOURCES, dataset="sample")
        == "made from a small sample of made-up digits"
    )


def test_a_class_changed_after_training_is_a_preview(hw9, fault):
    changed = type("Encoder", (hw9.nn.Module,), {"__module__": "__main__"})
    assert fault(*SOURCES, maker=changed) == RESTART


def test_wrapped_and_factory_made_networks_pass(hw9, fault, vae):
    compiled = hw9.torch.compile(vae[0])
    assert fault(*SOURCES, encoder=compiled) == ""
    assert fault(*SOURCES, encoder=hw9.nn.DataParallel(vae[0])) == ""

    def factory(latent_dim):
        """Make an encoder."""

    factory.__module__ = "__main__"
    assert fault(*SOURCES, maker=factory) == ""


def test_a_class_from_a_file_must_be_pasted(hw9, fault):
    imported = type("Encoder", (hw9.nn.Module,), {"__module__": "my_vae"})
    assert (
        fault(*SOURCES, maker=imported)
        == "paste the code of my_vae.py into 2.2 and 2.3"
    )
