"""What may go wrong in a whole run, provoked by the tests (`make test-faults`)."""

import contextlib
import re
import signal

import pypdf
import pytest
from conftest import Run
from read_notebook import edit, read_cells

pytestmark = pytest.mark.faults
# As if on MNIST.
CELLS = edit(
    read_cells(), "Save the submission", "(listed, DATASET,", '(listed, "mnist",'
)
TITLES = list(CELLS)
SAVE = CELLS["Save the submission"]
READY = "abc123_HW9.pdf is ready to hand in, if abc123 is your NetID"
TWICE = "abc123_HW9_PREVIEW.pdf PREVIEW, do not submit: a cell ran twice "


def choose_cells(first, last):
    """Return the cells of the homework from one title to another."""
    titles = TITLES[TITLES.index(first) : TITLES.index(last) + 1]
    return {title: CELLS[title] for title in titles}


HOMEWORK = choose_cells("Environment", "Save the submission")


def listing(run, name):
    """Return the text of a run's PDF from page 3 on."""
    pages = pypdf.PdfReader(run.folder / name).pages[2:]
    return "\n".join(page.extract_text() for page in pages)


@pytest.fixture(scope="module")
def edited(tmp_path_factory):
    """Return a run in which 2.3 was edited, and it and all below it ran again."""
    run = Run(tmp_path_factory.mktemp("edited")).execute_all(HOMEWORK)
    again = choose_cells("Decoder", "Save the submission")
    again = edit(
        again, "Decoder", "nn.SiLU(),\n            to_pix", "nn.ReLU(), to_pix"
    )
    return run.execute_all(again)


def test_a_cell_edited_and_run_again_is_a_preview(edited):
    assert edited.out.splitlines()[-1].startswith(f"{TWICE}(2.3 Decoder): ")


def test_both_versions_of_a_cell_are_listed_in_order(edited):
    code = listing(edited, "abc123_HW9_PREVIEW.pdf")
    assert re.findall(r"nn\.(.*)\(\),\s+to_pixels", code) == ["SiLU", "ReLU"]


def stop(*_):
    """Press the stop button."""
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("magic", ["", "%%capture\n", "%%time\n"])
def test_training_that_was_stopped_leaves_no_pdf(tmp_path, magic):
    """Even if all cells below it are run, one by one."""
    run = Run(tmp_path).execute_all(choose_cells("Environment", "Prior"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(run.names, "evaluate", stop)
        with contextlib.suppress(KeyboardInterrupt):
            run.execute(magic + CELLS["Train"])
    for source in choose_cells("Curves, and the test images", "Caption").values():
        with contextlib.suppress(NameError):
            run.execute(source)
    with pytest.raises(NameError, match="caption"):
        run.execute(SAVE)
    assert not list(run.folder.glob("*.pdf"))


ONCE = "# 3.11 KL annealing\nbeta = 1"
OFTEN = "%%time\n# 2.4 million weights\nprint('mine')"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Return a run with cells of one's own, whose 5.4 failed, and alone ran again."""
    run = Run(tmp_path_factory.mktemp("own"))
    taken = run.folder / "abc123_HW9.pdf"
    taken.mkdir()
    cells = {"above 0.1": "above = 1", "once": ONCE, "often": OFTEN, "again": OFTEN}
    with pytest.raises(OSError, match="abc123_HW9"):
        run.execute_all(cells | HOMEWORK)
    taken.rmdir()
    run.said = run.execute(SAVE)
    return run


def test_a_run_with_cells_of_ones_own_whose_5_4_ran_again_is_ready(own):
    assert own.said.startswith(READY)


@pytest.mark.parametrize("line", ["above = 1", "3.11 KL annealing", "beta = 1"])
def test_cells_of_ones_own_are_listed(own, line):
    assert line in listing(own, "abc123_HW9.pdf").splitlines()


@pytest.mark.filterwarnings(
    "error::DeprecationWarning",
    "error::FutureWarning",
    "ignore:__array__ implementation",  # between torch and NumPy
)
def test_no_call_is_deprecated(tmp_path):
    Run(tmp_path).execute_all(HOMEWORK)
