"""Data: only checked files are trained on; what is missing is fetched or asked for."""

import contextlib
import gzip
import hashlib
import http.server
import runpy
import shutil
import socket
import threading
import time

import numpy as np
import pytest
from conftest import PROJECT, read_cells, run_cell
from torchvision.datasets import MNIST

RAW = PROJECT / "data" / "sample" / "MNIST" / "raw"
MNISTS = list(MNIST.resources)
PATIENCE = 0.5


class Mirror(http.server.BaseHTTPRequestHandler):
    """A mirror of a folder's files; the first part of the address says how it is."""

    folder = None

    def log_message(self, *_):
        """Be silent."""

    def do_GET(self):
        """Answer as a mirror in trouble would."""
        _, how, name = self.path.split("/")
        content = (self.folder / name).read_bytes()
        if how in ("404", "500"):
            return self.send_error(int(how))
        if how == "silent":
            return time.sleep(4 * PATIENCE)
        if how == "portal":
            content = b"<!DOCTYPE html><html>Log in to the network</html>"
        self.send_response(200)
        self.send_header("Content-Length", len(content))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who only asks where it is hangs up
            self.wfile.write(content[:1000] if how in ("cut", "stalls") else content)
        if how == "stalls":
            time.sleep(4 * PATIENCE)


def archive(folder):
    """Write the sample's archives to a folder; return [(name, md5)] of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in RAW.glob("*-ubyte"):
        packed = gzip.compress(path.read_bytes(), 1, mtime=0)
        (folder / f"{path.name}.gz").write_bytes(packed)
    files = sorted(folder.glob("*.gz"))
    return [(path.name, hashlib.md5(path.read_bytes()).hexdigest()) for path in files]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Serve the sample's archives on loopback; return folder, [(name, md5)], address."""
    folder = tmp_path_factory.mktemp("served")
    resources = archive(folder)
    handler = type("Handler", (Mirror,), {"folder": folder})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=[0.01], daemon=True).start()
        yield folder, resources, f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.fixture
def mirrors(hw9, served, monkeypatch):
    """Return a function that gives torchvision such mirrors, and the sample as MNIST.

    "refuses" is a port at which nobody listens."""
    _, resources, address = served
    patience = socket.getdefaulttimeout()

    def choose(*kinds):
        own = {"refuses": "http://127.0.0.1:9/"}
        chosen = [own.get(kind, f"{address}/{kind}/") for kind in kinds]
        monkeypatch.setattr(hw9.MNIST, "mirrors", chosen)
        monkeypatch.setattr(hw9.MNIST, "resources", resources)

    yield choose
    socket.setdefaulttimeout(patience)


@pytest.fixture
def root(served, tmp_path):
    """Return a data folder in which the archives lie."""
    shutil.copytree(served[0], tmp_path / "data" / "MNIST" / "raw")
    return tmp_path / "data"


def load(hw9, root):
    """Load MNIST; assert that it is what the mirror has, byte for byte."""
    train, test = hw9.load_mnist(root, PATIENCE)
    for split, name in ((train, "train"), (test, "t10k")):
        images, labels = (RAW / f"{name}-images-idx3-ubyte").read_bytes(), split.targets
        assert split.data.numpy().tobytes() == images[16:]
        kept = (RAW / f"{name}-labels-idx1-ubyte").read_bytes()[8:]
        assert labels.numpy().astype(np.uint8).tobytes() == kept


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "web page": lambda content: b"<!DOCTYPE html><html>Log in to the network</html>",
    "one bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
}


def test_archives_put_there_by_hand_need_no_network(hw9, root, mirrors, capsys):
    mirrors("refuses")
    load(hw9, root)
    assert capsys.readouterr().out.count(".gz found\n") == 4


@pytest.mark.parametrize("how", [*DAMAGES, "missing"])
def test_what_is_damaged_or_missing_is_fetched(hw9, root, mirrors, capsys, how):
    mirrors("good")
    for name in ("train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"):
        path = root / "MNIST" / "raw" / name
        content = path.read_bytes()
        path.unlink()
        if how in DAMAGES:
            path.write_bytes(DAMAGES[how](content))
    load(hw9, root)
    told = "missing" if how == "missing" else "damaged"
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split()[-1] for line in lines) == sorted(["found", told] * 2)
    assert f"train-images-idx3-ubyte.gz {told}" in lines


@pytest.mark.parametrize("name", [path.name for path in RAW.glob("*-ubyte")])
def test_an_unpacked_file_cut_short_is_unpacked_again(hw9, root, mirrors, name):
    mirrors("refuses")
    load(hw9, root)
    path = root / "MNIST" / "raw" / name
    path.write_bytes(path.read_bytes()[:-100])
    load(hw9, root)


@pytest.mark.parametrize("trouble", ["refuses", "404", "500", "portal", "cut"])
def test_a_mirror_in_trouble_is_left_for_the_next(hw9, tmp_path, mirrors, trouble):
    mirrors(trouble, "good")
    load(hw9, tmp_path)


@pytest.mark.parametrize("trouble", ["silent", "stalls"])
def test_a_silent_mirror_costs_no_more_than_patience(hw9, tmp_path, mirrors, trouble):
    """The next mirror's files, or the error below; and the next try is not misled."""
    mirrors(trouble, "good")
    start = time.perf_counter()
    with contextlib.suppress(RuntimeError):
        load(hw9, tmp_path)
    assert time.perf_counter() - start < 4 * PATIENCE
    mirrors("good")
    load(hw9, tmp_path)


TROUBLES = "refuses", "404", "500", "portal", "cut", "silent", "stalls"


@pytest.mark.parametrize("trouble", TROUBLES)
def test_no_mirror_is_one_error_that_says_what_to_do(hw9, tmp_path, mirrors, trouble):
    mirrors(trouble)
    with pytest.raises(RuntimeError, match="^No MNIST: ") as raised:
        hw9.load_mnist(tmp_path, PATIENCE)
    words = str(raised.value)
    assert str(tmp_path / "MNIST" / "raw") in words
    assert all(hw9.MNIST.mirrors[0] + name in words for name, _ in hw9.MNIST.resources)


@pytest.fixture
def offline(hw9, mirrors, tmp_path, monkeypatch):
    """Return a function that runs the cell "data" where only the sample is."""
    mirrors("refuses")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(PROJECT / "data" / "sample", tmp_path / "data" / "sample")

    def run(dataset):
        names = dict(vars(hw9), DATASET=dataset)
        run_cell(read_cells()["data"], "data", names)
        return names

    return run


@pytest.mark.parametrize("dataset", ["auto", "sample"])
def test_without_mnist_the_sample_is_a_preview(offline, sample, capsys, dataset):
    names = offline(dataset)
    assert names["mnist_train"].data.equal(sample.train.data)
    assert names["mnist_test"].data.equal(sample.test.data)
    assert names["little"] and "PREVIEW" in capsys.readouterr().out


def test_mnist_offline_is_an_error_not_the_sample(offline):
    with pytest.raises(RuntimeError, match=r"into data.MNIST.raw.*train-images-idx3-"):
        offline("mnist")


def test_with_mnist_there_is_no_preview(hw9, root, mirrors, monkeypatch):
    mirrors("refuses")
    monkeypatch.chdir(root.parent)
    names = dict(vars(hw9), DATASET="auto")
    run_cell(read_cells()["data"], "data", names)
    assert names["little"] == "" and len(names["mnist_train"]) == 5000


def test_the_readme_lists_mnists_archives(hw9):
    readme = (PROJECT / "data" / "README.md").read_text()
    assert all(f"`{name}`" in readme and md5 in readme for name, md5 in MNISTS)


def test_sample_is_what_the_script_makes(sample):
    """Small, of all digits; another matplotlib may shade an edge differently."""
    assert sum(path.stat().st_size for path in RAW.iterdir()) <= 5e6
    for split in (sample.train, sample.test):
        assert sorted(set(split.targets.tolist())) == list(range(10))
    with contextlib.redirect_stdout(None):
        script = runpy.run_path(str(PROJECT / "data" / "make_sample.py"))
        images, labels = script["make_split"](100, seed=0)
    assert (labels == sample.train.targets[:100].numpy()).all()
    assert np.abs(images.astype(float) - sample.train.data[:100].numpy()).mean() < 1


def test_tensors_are_what_a_dataloader_gives(hw9, sample):
    images, labels = hw9.as_tensors(sample.test, "cpu")
    batch, digits = next(iter(hw9.DataLoader(sample.test, batch_size=50)))
    assert images.dtype == hw9.torch.float32 and images.shape == (1000, 1, 28, 28)
    assert images[:50].equal(batch) and labels[:50].equal(digits)
    assert images.min() == 0 and images.max() == 1


def test_each_image_comes_once_per_epoch_shuffled(hw9):
    images, labels = hw9.torch.arange(10.0).reshape(10, 1, 1, 1), hw9.torch.arange(10)
    loader, epochs = hw9.make_loader(images, labels, 4), []
    for seed in (3, 4, 3):
        hw9.torch.manual_seed(seed)
        batches = list(loader)
        assert [len(digits) for _, digits in batches] == [4, 4, 2] and len(loader) == 3
        assert all(x.flatten().equal(digits.float()) for x, digits in batches)
        epochs.append(hw9.torch.cat([digits for _, digits in batches]).tolist())
    assert sorted(epochs[0]) == list(range(10)) and epochs[0] == epochs[2] != epochs[1]


def test_validation_is_the_last_twelfth_of_training(hw9, sample):
    names = dict(vars(hw9), BATCH_SIZE=100)
    names |= {"mnist_train": sample.train, "mnist_test": sample.test}
    run_cell(read_cells()["loader"], "loader", names)
    whole = sample.train.data[:, None] / 255
    assert names["val_images"].cpu().equal(whole[-(5000 // 12) :])
    assert names["train_images"].cpu().equal(whole[: -(5000 // 12)])
    trained_on = sum(len(x) for x, _ in names["train_loader"])
    assert trained_on == len(names["train_labels"]) == 5000 - 5000 // 12
    assert sum(len(x) for x, _ in names["test_loader"]) == 1000
