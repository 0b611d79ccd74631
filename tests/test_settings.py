"""Settings: each wrong value gives one error that names the setting, the value and what is allowed."""

import pytest
from conftest import read_cells

GOOD = {
    "NETID": "abc123",
    "SEED": 0,
    "LATENT_DIM": 24,
    "EPOCHS": 10,
    "BATCH_SIZE": 128,
    "LEARNING_RATE": 4e-3,
    "DECODER": "plain",
    "DATASET": "auto",
    "RETRAIN": False,
}
BAD = {
    "NETID": [
        "",
        " ",
        ".",
        "..",
        "a/b",
        "../a",
        "a\\b",
        "a b",
        "ünï",
        "a\n",
        "x" * 65,
        123,
        None,
        "a:b",
    ],
    "SEED": [-1, 1.0, "0", None, True, 2**32],
    "LATENT_DIM": [0, 1, -1, 2.5, "24", True, 10**9],
    "EPOCHS": [0, -3, 1.5, "ten", None, 10**9],
    "BATCH_SIZE": [0, -128, 12.8, "128", 10**9],
    "LEARNING_RATE": [0, -1e-3, float("nan"), float("inf"), "fast", True, 1e6],
    "DECODER": ["", "Tuned", "vae", None, True, ["plain"]],
    "DATASET": ["", "MNIST", "cifar", None, 1, ["mnist"]],
    "RETRAIN": [0, 1, "True", None],
}


def test_the_defaults_are_allowed(hw9):
    defaults = {}
    exec(read_cells()["settings"], defaults)
    hw9.check_settings(defaults)
    assert set(GOOD) <= set(defaults)


@pytest.mark.parametrize("netid", ["a", "x" * 64, "a.b-c_d", "123", "ABC.1", "-", "_"])
def test_netids_that_are_allowed(hw9, netid):
    hw9.check_settings(GOOD | {"NETID": netid})


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in BAD for value in BAD[name]])
def test_a_wrong_value_is_named(hw9, name, value):
    with pytest.raises(ValueError, match=name) as raised:
        hw9.check_settings(GOOD | {name: value})
    assert repr(value) in str(raised.value)
    assert "must be" in str(raised.value)


def test_settings_are_checked_before_anything_slow():
    cells = list(read_cells())
    assert cells.index("check-settings") == cells.index("settings") + 1
    assert cells.index("check-settings") < cells.index("imports")
