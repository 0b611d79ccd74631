"""Settings: a wrong value is one error that names it, before anything is read."""

from unittest import mock

import pytest
from conftest import read_cells

GOOD = {
    "NETID": ["a", "abc123", "a.b-c_d", "x" * 64],
    "SEED": [0, 2**32 - 1],
    "EPOCHS": [1, 100],
    "BATCH_SIZE": [1, 10**6],
    "LEARNING_RATE": [1e-8, 1],
    "LATENT_DIM": [2, 1000],
    "CORNER_DISTANCE": [0, 0.0, 50.5],
    "TEMPERATURE": [0.05, 1],
    "DATASET": ["mnist", "sample"],
}
NAMES = "", " ", ".", "..", ".abc", "../a", "a/b", "a\\b", "a b", "a:b", "ü", "a\n"
BAD = {
    "NETID": [*NAMES, "x" * 65, "\u202eabc", "a\0", ["abc"], 123, None],
    "SEED": [-1, 1.0, "0", None, True, 2**32],
    "EPOCHS": [0, -3, 1.5, "ten", True],
    "BATCH_SIZE": [0, -1, 12.8, "128", False],
    "LEARNING_RATE": [0, -1e-3, float("nan"), float("inf"), "fast", True],
    "LATENT_DIM": [1, 0, -1, 2.5, "24", True],
    "CORNER_DISTANCE": [-1, -0.1, float("nan"), float("inf"), "5", None, True],
    "TEMPERATURE": [0, -1, float("nan"), float("inf"), "cold", True],
    "DATASET": ["", "auto", "MNIST", None, ["mnist"]],
}


def check(**changed):
    """Run the cell that checks, after the cell of settings."""
    names = {"re": __import__("re"), "get_ipython": mock.MagicMock()}
    exec(read_cells()["settings"], names)
    assert set(GOOD) == {name for name in names if name.isupper()}
    exec(read_cells()["checks"], names | changed)


def pairs(values):
    """Return all (name, value)."""
    return [(name, value) for name in values for value in values[name]]


@pytest.mark.parametrize(("name", "value"), pairs(GOOD))
def test_what_is_allowed_passes(name, value):
    check(**{name: value})


@pytest.mark.parametrize(("name", "value"), pairs(BAD))
def test_a_wrong_value_is_named(name, value):
    with pytest.raises(ValueError, match=f"^{name} = .*: it must be ") as raised:
        check(**{name: value})
    assert repr(value) in str(raised.value) and str(raised.value).isprintable()


@pytest.mark.parametrize(("name", "bound"), [("SEED", 2**32 - 1), ("EPOCHS", 10**6)])
def test_a_number_too_large_is_told_the_bound(name, bound):
    with pytest.raises(ValueError, match=f" to {bound}\\.$"):
        check(**{name: bound + 1})


def test_settings_are_checked_before_anything_is_read_or_trained():
    assert list(read_cells())[:4] == ["imports", "settings", "checks", "fetch"]
