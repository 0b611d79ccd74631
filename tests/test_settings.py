"""Settings: a wrong one is one error in words, before anything is read."""

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


WHOLE = r"^42\.0 in 0\.3 must be a whole number"
POSITIVE = r"^0 in 0\.3 must be above 0"
WRONG = [
    ("SEED", 42.0, WHOLE),
    ("EPOCHS", 42.0, WHOLE),
    ("BATCH_SIZE", 42.0, WHOLE),
    ("LATENT_DIM", 42.0, WHOLE),
    ("EPOCHS", 0, POSITIVE),
    ("BATCH_SIZE", 0, POSITIVE),
    ("LEARNING_RATE", 0, POSITIVE),
    ("LATENT_DIM", 0, POSITIVE),
    ("TEMPERATURE", 0, POSITIVE),
    ("LATENT_DIM", 9, "ten corners need LATENT_DIM >= 10"),
    ("MOVED_SHARE", -0.1, "MOVED_SHARE must be"),
    ("MOVED_SHARE", 1, "MOVED_SHARE must be"),
    ("DATASET", "MNIST", "DATASET must be mnist or sample"),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG)
def test_a_wrong_setting_is_an_error_that_says_so(name, value, words):
    with pytest.raises(AssertionError, match=words):
        check(**{name: value})


def test_the_textbooks_vae_passes_even_with_codes_of_two_numbers():
    check(CORNER_DISTANCE=0, MOVED_SHARE=0, TEMPERATURE=1, LATENT_DIM=2)
