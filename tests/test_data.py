"""Data: what is said when torchvision cannot load it, and what is read."""

import os
import shutil
import socket
import types

import pytest
import torch
from conftest import SAMPLE
from hw9 import load_mnist, make_loader, read_split
from torch.utils.data import DataLoader
from torchvision import transforms
from torchvision.datasets import MNIST


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Return a data folder with unpacked files, where no mirror answers."""
    shutil.copytree(SAMPLE, tmp_path / "data")
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    yield tmp_path / "data"
    socket.setdefaulttimeout(None)


def test_unpacked_files_are_enough_and_nothing_is_written(root, sample):
    """So a folder that cannot be written will do."""
    before = sorted(root.rglob("*"))
    split = load_mnist(root, train=False, download=True)
    assert split.data.equal(sample.test.data)
    assert sorted(root.rglob("*")) == before


NO_MNIST = r"(?s)^No MNIST in .*The text above cell 1\.1 says what helps\.$"


def test_no_mnist_is_an_error_that_points_to_help_and_mirrors_get_ten_seconds(root):
    with pytest.raises(RuntimeError, match=NO_MNIST):
        load_mnist(root / "empty", train=True, download=True)
    assert socket.getdefaulttimeout() == 10


@pytest.mark.parametrize("size", [0, 5000])
def test_a_file_cut_short_is_the_same_error(root, size):
    os.truncate(root / "MNIST" / "raw" / "t10k-images-idx3-ubyte", size)
    with pytest.raises(RuntimeError, match=NO_MNIST):
        load_mnist(root, train=False, download=True)


def test_tensors_are_what_a_dataloader_gives_whatever_the_transform(sample):
    rotated = MNIST(SAMPLE, False, transforms.RandomRotation(45))
    images, labels = read_split(rotated, "cpu")
    batch, digits = next(iter(DataLoader(sample.test, batch_size=1000)))
    assert images.equal(batch)
    assert labels.equal(digits)


@pytest.mark.parametrize("factor", [1 / 255, 255])
def test_pixels_that_were_divided_before_or_never_are_an_error(sample, factor):
    """1/255: divided before. 255: as if never divided."""
    split = types.SimpleNamespace(data=factor * sample.test.data.float())
    with pytest.raises(AssertionError, match="divide pixels by 255, once"):
        read_split(split, "cpu")


def test_an_epoch_has_each_image_once_shuffled_in_batches():
    torch.manual_seed(3)
    loader = make_loader(torch.arange(10), torch.arange(10), 4)
    batches = [images for images, _ in loader]
    order = torch.cat(batches)
    assert [len(batch) for batch in batches] == [4, 4, 2]
    assert not order.equal(torch.arange(10))
    assert order.sort().values.equal(torch.arange(10))


def test_validation_is_the_last_twelfth_of_training(run, sample):
    held_out = sample.train.data[-416:, None] / 255
    assert run.names["val_images"].cpu().equal(held_out)
    assert len(run.names["train_images"]) == 5000 - len(held_out)
