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

RAW = PROJECT / "data" / "sample" / "MNIST" / "raw"
PATIENCE = 0.5


class Mirror(http.server.SimpleHTTPRequestHandler):
    """A mirror of a folder's files; the first part of the address says how it is."""

    def log_message(self, *_):
        """Be silent."""

    def do_GET(self):
        """Answer as a mirror in trouble would."""
        _, how, name = self.path.split("/")
        content = (self.server.folder / name).read_bytes()
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
        time.sleep(4 * PATIENCE if how == "stalls" else 0)


def archive(folder):
    """Write the sample's archives to a folder; return [(name, md5)] of them."""
    md5 = {}
    for path in sorted(RAW.iterdir()):
        packed = gzip.compress(path.read_bytes(), 1, mtime=0)
        (folder / f"{path.name}.gz").write_bytes(packed)
        md5[f"{path.name}.gz"] = hashlib.md5(packed).hexdigest()
    return list(md5.items())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Serve the sample's archives on loopback."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        server.folder = tmp_path_factory.mktemp("served")
        server.resources = archive(server.folder)
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def mirrors(hw9, server, monkeypatch):
    """Return a function that gives torchvision such mirrors of the sample."""

    def choose(*kinds):
        port = server.server_port  # at port 9 nobody listens
        urls = [f"http://127.0.0.1:{9 if k == 'refuses' else port}/{k}/" for k in kinds]
        monkeypatch.setattr(hw9.MNIST, "mirrors", urls)
        monkeypatch.setattr(hw9.MNIST, "resources", server.resources)

    yield choose
    socket.setdefaulttimeout(None)


@pytest.fixture
def root(server, tmp_path):
    """Return a data folder in which the archives lie."""
    shutil.copytree(server.folder, tmp_path / "data" / "MNIST" / "raw")
    return tmp_path / "data"


def load(hw9, root):
    """Load MNIST; assert that it is what the mirror has, byte for byte."""
    for split, name in zip(
        hw9.load_mnist(root, PATIENCE), ("train", "t10k"), strict=True
    ):
        images, labels = (next(RAW.glob(f"{name}-{k}*")) for k in ("images", "labels"))
        assert split.data.numpy().tobytes() == images.read_bytes()[16:]
        assert bytes(split.targets.tolist()) == labels.read_bytes()[8:]


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "web page": lambda content: b"<!DOCTYPE html><html>Log in to the network</html>",
    "one bit": lambda content: content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
}


@pytest.mark.parametrize("how", [*DAMAGES, "missing"])
def test_what_is_damaged_or_missing_is_told_and_fetched(
    hw9, root, mirrors, capsys, how
):
    mirrors("good")
    path = root / "MNIST" / "raw" / "train-labels-idx1-ubyte.gz"
    content = path.read_bytes()
    path.unlink()
    if how in DAMAGES:
        path.write_bytes(DAMAGES[how](content))
    load(hw9, root)
    lines = capsys.readouterr().out.splitlines()
    told = "missing" if how == "missing" else "damaged"
    assert f"{path.name} {told}" in lines
    assert sum(line.endswith("found") for line in lines) == 3


def test_archives_need_no_network_and_are_always_unpacked(hw9, root, mirrors):
    """An unpacked file that was cut short is never trained on."""
    mirrors("refuses")
    load(hw9, root)
    for path in (root / "MNIST" / "raw").glob("*-ubyte"):
        path.write_bytes(path.read_bytes()[:-100])
        load(hw9, root)


@pytest.mark.parametrize("trouble", ["refuses", "404", "500", "portal", "cut"])
def test_a_mirror_in_trouble_is_left_for_the_next(hw9, tmp_path, mirrors, trouble):
    mirrors(trouble, "good")
    load(hw9, tmp_path)


@pytest.mark.parametrize("trouble", ["refuses", "portal", "cut", "silent", "stalls"])
def test_no_mirror_is_one_error_that_says_what_to_do(hw9, tmp_path, mirrors, trouble):
    """It comes soon, and what was left behind does not mislead the next try."""
    mirrors(trouble)
    start = time.perf_counter()
    with pytest.raises(RuntimeError, match=r"^No MNIST: ") as raised:
        load(hw9, tmp_path)
    assert time.perf_counter() - start < 4 * PATIENCE
    words = str(raised.value)
    assert str(tmp_path / "MNIST" / "raw") in words
    assert all(hw9.MNIST.mirrors[0] + name in words for name, _ in hw9.MNIST.resources)
    mirrors("good")
    load(hw9, tmp_path)


def test_without_mnist_the_sample_is_a_preview(
    hw9, mirrors, sample, root, monkeypatch, capsys
):
    def run_data(dataset):
        names = dict(vars(hw9), DATASET=dataset)
        run_cell(read_cells()["data"], "data", names)
        return names

    mirrors("refuses")
    monkeypatch.chdir(root.parent)
    assert run_data("auto")["little"] == "" and run_data("mnist")["little"] == ""
    shutil.rmtree(root)
    with pytest.raises(RuntimeError, match="No MNIST"):
        run_data("auto")
    shutil.copytree(PROJECT / "data" / "sample", root / "sample")
    for dataset in ("auto", "sample"):
        names = run_data(dataset)
        assert names["mnist_train"].data.equal(sample.train.data)
        assert names["mnist_test"].data.equal(sample.test.data)
        assert names["little"] and "PREVIEW" in capsys.readouterr().out
    with pytest.raises(RuntimeError, match="No MNIST"):
        run_data("mnist")


def test_sample_is_what_the_script_makes(sample):
    """Of all digits; another matplotlib may shade an edge differently."""
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
    splits = {"mnist_train": sample.train, "mnist_test": sample.test}
    names = vars(hw9) | splits | {"BATCH_SIZE": 100}
    run_cell(read_cells()["loader"], "loader", names)
    whole, last = sample.train.data[:, None] / 255, 5000 // 12
    assert names["val_images"].cpu().equal(whole[-last:])
    assert names["train_images"].cpu().equal(whole[:-last])
    assert sum(len(x) for x, _ in names["train_loader"]) == 5000 - last
