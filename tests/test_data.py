"""Data: damaged files are found, fetched again, or asked for; the sample is what the script makes."""

import contextlib
import functools
import gzip
import hashlib
import http.server
import runpy
import shutil
import threading

import numpy as np
import pytest
from conftest import PROJECT

RAW = PROJECT / "data" / "sample" / "MNIST" / "raw"


@pytest.fixture
def stored(tmp_path):
    """Return a data folder that holds the sample as if it were MNIST, and its sizes and md5s."""
    folder = tmp_path / "MNIST" / "raw"
    shutil.copytree(RAW, folder)
    md5 = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    return tmp_path, {name: ((folder / name).stat().st_size, md5[name]) for name in md5}


@pytest.fixture
def server(tmp_path, hw9, monkeypatch):
    """Serve the sample's archives on loopback as torchvision's only mirror."""
    folder = tmp_path / "served"
    folder.mkdir()
    for path in RAW.iterdir():
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
    md5 = [(path.name, hashlib.md5(path.read_bytes()).hexdigest()) for path in folder.iterdir()]
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    handler.func.log_message = lambda *_: None
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        monkeypatch.setattr(hw9.MNIST, "mirrors", [f"http://127.0.0.1:{httpd.server_port}/"])
        monkeypatch.setattr(hw9.MNIST, "resources", md5)
        yield
        httpd.shutdown()


@pytest.fixture
def offline(hw9, monkeypatch):
    """Let torchvision's only mirror be a port that refuses."""
    monkeypatch.setattr(hw9.MNIST, "mirrors", ["http://127.0.0.1:9/"])


def damage(path, how):
    """Damage one file."""
    content = bytearray(path.read_bytes())
    if how == "missing":
        path.unlink()
        return
    if how == "cut":
        content = content[: len(content) // 2]
    if how == "one bit":
        content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["missing", "cut", "one bit"])
@pytest.mark.parametrize("name", [path.name for path in sorted(RAW.iterdir())])
def test_damaged_file_is_fetched_again(hw9, stored, server, capsys, name, how):
    root, files = stored
    damage(root / "MNIST" / "raw" / name, how)
    assert list(hw9.damaged_files(root / "MNIST" / "raw", files)) == [name]
    assert hw9.find_data("mnist", root, files) == ("mnist", root)
    assert hw9.damaged_files(root / "MNIST" / "raw", files) == {}
    assert capsys.readouterr().out.count(name) == 1


def test_sound_files_need_no_network(hw9, stored, offline, capsys):
    root, files = stored
    assert hw9.find_data("auto", root, files) == ("mnist", root)
    assert capsys.readouterr().out == ""


def test_mnist_offline_says_what_to_put_where(hw9, tmp_path, offline):
    with pytest.raises(RuntimeError) as raised:
        hw9.find_data("mnist", tmp_path, hw9.MNIST_FILES)
    words = str(raised.value)
    assert str(tmp_path / "MNIST" / "raw") in words
    for name in hw9.MNIST_FILES:
        assert f"{name}.gz" in words


def test_auto_offline_goes_on_with_the_sample_and_says_so(hw9, tmp_path, offline, capsys):
    shutil.copytree(PROJECT / "data" / "sample", tmp_path / "sample")
    assert hw9.find_data("auto", tmp_path, hw9.MNIST_FILES) == ("sample", tmp_path / "sample")
    assert "PREVIEW" in capsys.readouterr().out


def test_auto_offline_without_a_sample_is_the_same_error(hw9, tmp_path, offline, capsys):
    with pytest.raises(RuntimeError, match=r"train-images-idx3-ubyte\.gz"):
        hw9.find_data("auto", tmp_path, hw9.MNIST_FILES)
    assert "Going on" not in capsys.readouterr().out


def test_no_sample_is_one_clear_error(hw9, tmp_path):
    with pytest.raises(RuntimeError, match="no sample"):
        hw9.find_data("sample", tmp_path, hw9.MNIST_FILES)


def test_known_files_are_mnists(hw9):
    """The sizes follow from MNIST's format; the README lists the very same files."""
    images = {"train-images-idx3-ubyte": 60_000, "t10k-images-idx3-ubyte": 10_000}
    labels = {"train-labels-idx1-ubyte": 60_000, "t10k-labels-idx1-ubyte": 10_000}
    sizes = {name: 16 + 784 * n for name, n in images.items()} | {
        name: 8 + n for name, n in labels.items()
    }
    assert {name: size for name, (size, _) in hw9.MNIST_FILES.items()} == sizes
    readme = (PROJECT / "data" / "README.md").read_text()
    for name, (size, md5) in hw9.MNIST_FILES.items():
        assert f"`{name}.gz`" in readme
        assert f"{size:,} | `{md5}`" in readme
    for name, md5 in hw9.MNIST.resources:
        assert f"`{name}` | " in readme and md5 in readme


def test_sample_is_small_and_has_all_digits(sample):
    assert sum(path.stat().st_size for path in RAW.iterdir()) <= 5e6
    assert sorted(set(sample.train.targets.tolist())) == list(range(10))
    assert sorted(set(sample.test.targets.tolist())) == list(range(10))


def test_sample_is_what_the_script_makes(sample):
    with contextlib.redirect_stdout(None):
        script = runpy.run_path(str(PROJECT / "data" / "make_sample.py"))
        images, labels = script["make_split"](200, seed=0)
        again, _ = script["make_split"](200, seed=0)
    assert (images == again).all()
    assert (labels == sample.train.targets[:200].numpy()).all()
    # Another version of matplotlib may shade an edge differently.
    assert np.abs(images.astype(float) - sample.train.data[:200].numpy()).mean() < 1


def test_tensors_are_what_a_dataloader_gives(hw9, sample):
    images, labels = hw9.as_tensors(sample.test, "cpu")
    loader = hw9.torch.utils.data.DataLoader(sample.test, batch_size=50)
    batch, digits = next(iter(loader))
    assert images.dtype == batch.dtype and hw9.torch.equal(images[:50], batch)
    assert hw9.torch.equal(labels[:50], digits)


def test_memory_loader_yields_each_image_once_per_epoch(hw9):
    images, labels = hw9.torch.arange(10.0).reshape(10, 1, 1, 1), hw9.torch.arange(10)
    loader = hw9.MemoryLoader(images, labels, 4, seed=3)
    epochs = [
        [pair for batch in loader for pair in zip(*map(list, batch), strict=True)] for _ in range(2)
    ]
    assert len(loader) == 3
    for epoch in epochs:
        assert sorted(int(label) for _, label in epoch) == list(range(10))
        assert all(int(image) == int(label) for image, label in epoch)
    assert [int(label) for _, label in epochs[0]] != [int(label) for _, label in epochs[1]]
    same = hw9.MemoryLoader(images, labels, 4, seed=3)
    assert [int(digit) for _, batch in same for digit in batch] == [
        int(label) for _, label in epochs[0]
    ]
