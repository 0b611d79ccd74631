"""What may go wrong in a whole run, provoked by the tests (`make test-faults`)."""

import contextlib
import os
import signal

import pypdf
import pytest
from conftest import Run
from notebook import edit, read_cells

pytestmark = pytest.mark.faults
CELLS = edit(read_cells(), "Save the submission", "(ran, DATASET,", '(ran, "mnist",')
SOURCES = list(CELLS.values())
READY = "abc123_HW9.pdf is ready to hand in, if abc123 is your NetID"
AGAIN = "abc123_HW9_PREVIEW.pdf PREVIEW, do not submit: restart the kernel and run all"


def run_until(title, folder):
    """Return a kernel in which the cells before that one ran, as if on MNIST."""
    place = list(CELLS).index(title)
    return Run(folder).execute_all(dict(list(CELLS.items())[:place]))


def run_from(run, title, until="Where the line goes"):
    """Run the cells from one to before another; return what the last one printed."""
    places = list(CELLS).index(title), list(CELLS).index(until)
    for source in SOURCES[places[0] : places[1]]:
        said = run.execute(source)
    return said


def listing(run):
    """Return the text of a run's last PDF from page 3 on."""
    path = max(run.folder.glob("*.pdf"), key=os.path.getmtime)
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(path).pages[2:])


def test_restart_and_run_all_then_the_same_without_a_restart(tmp_path):
    run = run_until("Where the line goes", tmp_path)
    assert READY in run.out
    run.out = ""
    assert READY in run.execute_all(CELLS).out, "Run All begins anew, with cell 0.1"


def test_a_cell_edited_and_only_what_is_below_run_again(tmp_path):
    run = run_until("Where the line goes", tmp_path)
    run.execute(CELLS["Decoder"].replace("SiLU", "ReLU"))
    assert run_from(run, "Same digit").startswith(AGAIN)
    assert "nn.ReLU" in listing(run) and "nn.SiLU" in listing(run)


@pytest.mark.parametrize("magic", ["", "%%capture\n", "%%time\n"])
def test_training_that_was_stopped(tmp_path, magic):
    """Nothing can be drawn; after it ran again, the PDF asks for a restart."""
    run = run_until("Train", tmp_path)
    stop = lambda *_: signal.raise_signal(signal.SIGINT)  # noqa: E731
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(run.names, "evaluate", stop)
        with contextlib.suppress(KeyboardInterrupt):
            run.execute(magic + CELLS["Train"])
    with pytest.raises(TypeError, match="NoneType"):
        run_from(run, "Curves, and the test images")
    with pytest.raises(TypeError, match="NoneType"):
        run_from(run, "Draw a figure")
    assert run_from(run, "Train").startswith(AGAIN)


def test_cells_run_out_of_order(tmp_path):
    run = run_until("Where the line goes", tmp_path)
    run.execute(CELLS["Train"])
    assert run.execute(CELLS["Save the submission"]).startswith(AGAIN)


def test_own_cells_with_numbers_for_titles_own_names_and_no_gradients(tmp_path):
    run = run_until("Train", tmp_path)
    for source in ("# 3.11 KL annealing\nbeta = 1", "%%time\n# 2.3 Decoder\na = 3"):
        run.execute(source)
    run_from(run, "Train", "May it be handed in?")
    run.execute("preview = sample = normalize = show = x = train = False")
    run.execute("torch.set_grad_enabled(False)")
    assert READY in run_from(run, "May it be handed in?")
    run.execute("torch.set_grad_enabled(True)")
    for line in ("3.11 KL annealing", "beta = 1", "%%time", "a = 3"):
        assert line in listing(run).splitlines()
