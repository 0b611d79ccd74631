"""Data: damaged files are found, fetched again, or asked for; the sample is what the script makes."""

import contextlib
import gzip
import hashlib
import http.server
import inspect
import runpy
import shutil
import threading
import time

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


class Mirror(http.server.BaseHTTPRequestHandler):
    """A mirror that serves the files of a folder; the first part of the address says how."""

    folder, protocol_version = None, "HTTP/1.0"

    def log_message(self, *_):
        """Be silent."""

    def do_GET(self):
        """Answer as a mirror in trouble would."""
        _, how, name = self.path.split("/")
        content = (self.folder / name).read_bytes()
        if how in ("403", "404", "500"):
            return self.send_error(int(how))
        if how == "silent":
            return time.sleep(2)
        if how == "portal":
            content = b"<!DOCTYPE html><html>Log in to the network</html>"
        self.send_response(200)
        self.send_header("Content-Length", len(content))
        self.end_headers()
        if how == "cut":
            content = content[: len(content) // 2]
        if how == "stalls":
            self.wfile.write(content[:1000])
            return time.sleep(2)
        parts = 8 if how in ("slow", "drips") else 1
        for part in range(parts):
            with contextlib.suppress(ConnectionError):  # whoever only asks for the address hangs up
                self.wfile.write(
                    content[part * len(content) // parts : (part + 1) * len(content) // parts]
                )
            time.sleep({"slow": 0.05, "drips": 0.3}.get(how, 0))


@contextlib.contextmanager
def serving(folder):
    """Serve a folder's files on loopback; yield the server's address."""
    handler = type("Handler", (Mirror,), {"folder": folder})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=[0.01], daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


def archive(folder):
    """Write the sample's archives to a folder; return [(name, md5)] of them, as torchvision has it."""
    folder.mkdir(exist_ok=True)
    for path in RAW.glob("*-ubyte"):
        (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1, mtime=0))
    return [
        (path.name, hashlib.md5(path.read_bytes()).hexdigest()) for path in sorted(folder.iterdir())
    ]


@pytest.fixture(scope="session")
def archives(tmp_path_factory):
    """Return a folder with the sample's archives, and their names and md5s."""
    folder = tmp_path_factory.mktemp("served")
    return folder, archive(folder)


@pytest.fixture
def mirrors(hw9, archives, monkeypatch):
    """Return a function that makes torchvision's mirrors such as are in trouble, or not ("good")."""
    folder, md5 = archives
    with serving(folder) as address:
        addresses = {"refused": "http://127.0.0.1:9/", "no such host": "http://nowhere.invalid/"}

        def choose(*kinds):
            chosen = [addresses.get(kind, f"{address}/{kind}/") for kind in kinds]
            monkeypatch.setattr(hw9.MNIST, "mirrors", chosen)
            monkeypatch.setattr(hw9.MNIST, "resources", md5)

        yield choose


@pytest.fixture
def offline(hw9, monkeypatch):
    """Let torchvision's only mirror be a port that refuses."""
    monkeypatch.setattr(hw9.MNIST, "mirrors", ["http://127.0.0.1:9/"])


def of_hundred(name, content):
    """Return an MNIST file cut to its first 100 images or labels, consistently."""
    size = 784 if "images" in name else 1
    header = content[: 16 if "images" in name else 8]
    return header[:4] + (100).to_bytes(4, "big") + header[8:] + content[len(header) :][: 100 * size]


DAMAGES = {
    "empty": lambda name, content: b"",
    "3 bytes": lambda name, content: content[:3],
    "web page": lambda name, content: b"<!DOCTYPE html><html>Log in to the network</html>",
    "header only": lambda name, content: content[: 16 if "images" in name else 8],
    "cut": lambda name, content: content[: len(content) // 2],
    "labels fewer than images": lambda name, content: content[:-1],
    "100 images": of_hundred,
    "one bit": lambda name, content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
}
NAMES = [path.name for path in sorted(RAW.iterdir())]


def damage(path, how):
    """Damage one file, plain or packed; a packed one may be damaged before it was packed, or after."""
    if how == "missing":
        return path.unlink()
    inside = path.suffix == ".gz" and how in ("100 images", "labels fewer than images", "header only")
    content = gzip.decompress(path.read_bytes()) if inside else path.read_bytes()
    content = DAMAGES[how](path.name, content)
    path.write_bytes(gzip.compress(content, 1) if inside else content)


@pytest.mark.parametrize("how", ["missing", *DAMAGES])
@pytest.mark.parametrize("name", NAMES)
def test_damaged_file_is_fetched_again(hw9, stored, mirrors, capsys, name, how):
    root, files = stored
    mirrors("good")
    damage(root / "MNIST" / "raw" / name, how)
    assert list(hw9.damaged_files(root / "MNIST" / "raw", files)) == [name]
    assert hw9.find_data("mnist", root, files) == ("mnist", root)
    assert hw9.damaged_files(root / "MNIST" / "raw", files) == {}
    assert capsys.readouterr().out.count(f"{name} ") == 1


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mirror", ["good", "refused"])
def test_damaged_archive_is_fetched_again_or_named(hw9, stored, archives, mirrors, name, how, mirror):
    root, files = stored
    folder, packed = root / "MNIST" / "raw", f"{name}.gz"
    (folder / name).unlink()
    shutil.copy(archives[0] / packed, folder)
    damage(folder / packed, how)
    mirrors(mirror)
    if mirror == "good":
        assert hw9.find_data("mnist", root, files) == ("mnist", root)
        assert (folder / name).read_bytes() == (RAW / name).read_bytes()
    else:
        with pytest.raises(RuntimeError, match=rf"(?s)refused.*put .*{packed}.* into .*MNIST.raw"):
            hw9.find_data("mnist", root, files)
        assert not (folder / name).exists()


def test_archives_put_there_by_hand_need_no_network(hw9, tmp_path, archives, mirrors, stored):
    root = tmp_path / "by hand"
    shutil.copytree(archives[0], root / "MNIST" / "raw")
    mirrors("refused")
    assert hw9.find_data("mnist", root, stored[1]) == ("mnist", root)


TROUBLES = ["refused", "no such host", "404", "403", "500", "silent", "cut", "stalls", "portal"]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_mirror_in_trouble_is_left_for_the_next(hw9, stored, mirrors, capsys, trouble):
    root, files = stored
    shutil.rmtree(root / "MNIST")
    mirrors(trouble, "good")
    start = time.perf_counter()
    hw9.fetch_mnist(root, files, patience=0.5)
    assert time.perf_counter() - start < 10
    assert hw9.damaged_files(root / "MNIST" / "raw", files) == {}
    shown = capsys.readouterr()
    assert "100%" in shown.out and not shown.err, "a bar, and nothing in red"


@pytest.mark.parametrize("trouble", TROUBLES)
def test_no_mirror_is_one_error_that_says_what_to_do(hw9, stored, mirrors, trouble):
    root, files = stored
    shutil.rmtree(root / "MNIST")
    mirrors(trouble, "refused")
    with pytest.raises(RuntimeError) as raised:
        hw9.fetch_mnist(root, files, patience=0.5)
    words = str(raised.value)
    assert "\n" not in words and str(root / "MNIST" / "raw") in words
    assert all(mirror in words for mirror in hw9.MNIST.mirrors)
    assert all(f"{name}.gz" in words for name in files)


def test_a_slow_mirror_is_waited_for(hw9, stored, mirrors, capsys):
    root, files = stored
    shutil.rmtree(root / "MNIST")
    mirrors("slow", "refused")
    start = time.perf_counter()
    hw9.fetch_mnist(root, files, patience=0.2)
    assert time.perf_counter() - start > 1, "five times as long as a mirror may be silent"
    assert "100%" in capsys.readouterr().out


def test_no_mirror_may_be_silent_for_longer_than_half_a_minute(hw9):
    patience = inspect.signature(hw9.fetch_mnist).parameters["patience"].default
    assert 2 * patience <= 30, "torchvision tries https, then http"


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
    hw9.torch.manual_seed(3)
    loader = hw9.MemoryLoader(images, labels, 4)
    epochs = [
        [pair for batch in loader for pair in zip(*map(list, batch), strict=True)] for _ in range(2)
    ]
    assert len(loader) == 3
    for epoch in epochs:
        assert sorted(int(label) for _, label in epoch) == list(range(10))
        assert all(int(image) == int(label) for image, label in epoch)
    assert [int(label) for _, label in epochs[0]] != [int(label) for _, label in epochs[1]]
    hw9.torch.manual_seed(3)
    same = hw9.MemoryLoader(images, labels, 4)
    assert [int(digit) for _, batch in same for digit in batch] == [
        int(label) for _, label in epochs[0]
    ]
