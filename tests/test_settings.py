"""Settings: a wrong one is one error that names it, before anything is read."""

import re

import pytest
from notebook import read_cells, run_cell

CELLS = read_cells()


def check(**changed):
    """Run the cell that checks the settings, after the cell that sets them."""
    names = {"re": re}
    run_cell(CELLS["Settings"], "Settings", names)
    names.update(changed)
    run_cell(CELLS["Check the settings"], "Check the settings", names)
    return names


@pytest.mark.parametrize("netid", ["a", "abc123_def456", "a.b-c", "x" * 64, 12345])
def test_a_netid_passes_as_text(netid):
    assert check(NETID=netid)["NETID"] == str(netid)


@pytest.mark.parametrize("netid", ["", "../a", "a/b", "a b", "a\n", "ü", "x" * 65])
def test_what_cannot_begin_a_files_name_is_no_netid(netid):
    with pytest.raises(ValueError, match="NETID must be letters and digits"):
        check(NETID=netid)


POSITIVE = "EPOCHS BATCH_SIZE LEARNING_RATE LATENT_DIM TEMPERATURE".split()


@pytest.mark.parametrize("name", POSITIVE)
def test_what_must_be_above_0_is_checked(name):
    with pytest.raises(ValueError, match="only SEED and CORNER_DISTANCE may be 0"):
        check(**{name: 0})


def test_an_unknown_dataset_is_an_error():
    with pytest.raises(ValueError, match="DATASET must be mnist or sample"):
        check(DATASET="MNIST")
