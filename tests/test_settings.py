"""Settings: a wrong one is one error that names it, before anything is read."""

import re

import pytest
from read_notebook import read_cells, run_cell

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
    names = check(NETID=netid)
    assert names["NETID"] == str(netid)


@pytest.mark.parametrize("netid", ["", "../a", "a/b", "a b", "a\n", "ü", "x" * 65])
def test_what_cannot_begin_a_files_name_is_no_netid(netid):
    with pytest.raises(AssertionError, match="NETID must be as in abc123"):
        check(NETID=netid)


@pytest.mark.parametrize("name", ["SEED", "EPOCHS", "BATCH_SIZE", "LATENT_DIM"])
def test_what_must_be_a_whole_number_is_checked(name):
    with pytest.raises(AssertionError, match=r"^42\.0 in 0\.3 must be a whole number"):
        check(**{name: 42.0})


POSITIVE = "EPOCHS BATCH_SIZE LEARNING_RATE LATENT_DIM TEMPERATURE".split()


@pytest.mark.parametrize("name", POSITIVE)
def test_what_must_be_above_0_is_checked(name):
    with pytest.raises(AssertionError, match=r"^0 in 0\.3 must be above 0"):
        check(**{name: 0})


@pytest.mark.parametrize("share", [-0.1, 1])
def test_the_share_of_codes_moved_is_below_1(share):
    with pytest.raises(AssertionError, match="MOVED_SHARE must be"):
        check(MOVED_SHARE=share)


def test_ten_corners_need_ten_numbers():
    with pytest.raises(AssertionError, match="ten corners need LATENT_DIM >= 10"):
        check(LATENT_DIM=9)


def test_an_unknown_dataset_is_an_error():
    with pytest.raises(AssertionError, match="DATASET must be mnist or sample"):
        check(DATASET="MNIST")


def test_the_textbooks_vae_passes():
    check(CORNER_DISTANCE=0, MOVED_SHARE=0, TEMPERATURE=1)
