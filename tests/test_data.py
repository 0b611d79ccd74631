"""Data: what is said when torchvision cannot load it, and what is read."""

import shutil
import socket
import types

import numpy as np
import pytest
from notebook import PROJECT
from torchvision import transforms
from torchvision.datasets import MNIST

SAMPLE = PROJECT / "data" / "sample"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Return a data folder with unpacked files, where no mirror answers."""
    shutil.copytree(SAMPLE / "MNIST" / "raw", tmp_path / "data" / "MNIST" / "raw")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    yield tmp_path / "data"
    socket.setdefaulttimeout(None)


def test_unpacked_files_are_enough_and_nothing_is_written(hw9, root, sample):
    """So a folder that cannot be written will do."""
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    split = hw9.load_mnist(root, train=False, download=True)
    assert split.data.equal(sample.test.data)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_no_mnist_is_an_error_after_ten_seconds_that_says_what_to_do(hw9, root):
    with pytest.raises(RuntimeError, match=r"(?s)^No MNIST: .*put the four archives"):
        hw9.load_mnist(root / "empty", train=True, download=True)
    assert socket.getdefaulttimeout() == 10


@pytest.mark.parametrize("size", [0, 5000])
def test_a_file_cut_short_is_an_error_that_says_what_to_delete(hw9, root, size):
    path = root / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(RuntimeError, match=f"Delete {root / 'MNIST'}, and run again"):
        hw9.load_mnist(root, train=False, download=True)


def test_tensors_are_what_a_dataloader_gives_whatever_the_transform(hw9, sample):
    rotated = hw9.MNIST(SAMPLE, False, transforms.RandomRotation(45))
    images, labels = hw9.read_split(rotated, "cpu")
    batch, digits = next(iter(hw9.DataLoader(sample.test, batch_size=50)))
    assert images.dtype == hw9.torch.float32 and images.shape == (1000, 1, 28, 28)
    assert images[:50].equal(batch) and labels[:50].equal(digits)


@pytest.mark.parametrize("pixel", [-0.01, 1.01, np.nan])
def test_pixels_out_of_range_are_one_error(hw9, pixel):
    images = hw9.torch.tensor([[0.0, 1.0], [0.5, pixel]])
    with pytest.raises(ValueError, match=r"pixels in \[0, 1\]. Divide by 255"):
        hw9.check_images(images, "Divide by 255")
    hw9.check_images(images[0], "Both 0 and 1 are allowed.")


@pytest.fixture
def split(hw9):
    """Return a small split that is right."""
    data = hw9.torch.zeros(100, 28, 28, dtype=hw9.torch.uint8)
    data[:, 5:9, 5:9] = 255
    return types.SimpleNamespace(data=data, targets=hw9.torch.arange(100) % 10)


def test_arrays_of_numpy_and_labels_that_are_floats_are_read(hw9, split):
    expected = hw9.read_split(split, "cpu")
    split.data = split.data.numpy()
    split.targets = split.targets.double()
    images, labels = hw9.read_split(split, "cpu")
    assert images.equal(expected[0]) and labels.equal(expected[1])


def test_other_pixels_are_one_error(hw9, split):
    """Boolean ones, floats, with a channel, larger; a Subset has none."""
    data = split.data
    for other in (data > 127, data / 255, data[:, None], data.repeat(1, 2, 2)):
        split.data = other
        with pytest.raises(ValueError, match=r"whose data is uint8, \(N, 28, 28\)"):
            hw9.read_split(split, "cpu")
    with pytest.raises(ValueError, match="A whole split is needed"):
        hw9.read_split(hw9.torch.utils.data.Subset(split, range(60)), "cpu")


def test_other_labels_are_one_short_error(hw9, split):
    """26 classes, nine, or several columns (QMNIST)."""
    torch = hw9.torch
    for targets in (torch.arange(100) % 26, torch.arange(100) % 9, torch.ones(100, 8)):
        split.targets = targets
        with pytest.raises(ValueError, match="must be ten digits") as error:
            hw9.read_split(split, "cpu")
        assert len(str(error.value)) <= 200


def test_each_image_comes_once_per_epoch_shuffled(hw9):
    images = hw9.torch.arange(10.0).reshape(10, 1, 1, 1)
    loader = hw9.make_loader(images, hw9.torch.arange(10), 4)
    epochs = []
    for seed in (3, 4, 3):
        hw9.torch.manual_seed(seed)
        batches = list(loader)
        assert [len(digits) for _, digits in batches] == [4, 4, 2] and len(loader) == 3
        assert all(x.flatten().equal(digits.float()) for x, digits in batches)
        epochs.append(hw9.torch.cat([digits for _, digits in batches]).tolist())
    assert sorted(epochs[0]) == list(range(10)) and epochs[0] == epochs[2] != epochs[1]


def test_validation_is_the_last_twelfth_of_training(run, sample):
    whole = sample.train.data[:, None] / 255
    last = 5000 // 12
    assert run.names["val_images"].cpu().equal(whole[-last:])
    assert run.names["train_images"].cpu().equal(whole[:-last])
