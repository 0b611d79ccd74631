"""Data: only whole files are trained on; what is missing is fetched or asked for."""

import contextlib
import gzip
import hashlib
import http.server
import runpy
import shutil
import socket
import threading
import time
import types

import numpy as np
import pytest
from conftest import PROJECT, read_cells, run_cell
from torchvision import transforms

RAW = PROJECT / "data" / "sample" / "MNIST" / "raw"
SIZES = {path.name: path.stat().st_size for path in RAW.iterdir()}
PATIENCE = 0.5
PORTAL = b"<!DOCTYPE html><html>Log in to the network</html>"


class Mirror(http.server.SimpleHTTPRequestHandler):
    """A mirror of a folder's files; the first part of the address says how it is."""

    def log_message(self, *_):
        """Be silent."""

    def do_GET(self):
        """Answer as a mirror in trouble would."""
        _, how, name = self.path.split("/")
        content = (self.server.folder / name).read_bytes()
        if how == "silent":
            return time.sleep(4 * PATIENCE)
        if how == "portal":
            content = PORTAL
        self.send_response(200)
        self.send_header("Content-Length", len(content))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # who only asks where it is hangs up
            self.wfile.write(content[:1000] if how in ("cut", "stalls") else content)
        time.sleep(4 * PATIENCE if how == "stalls" else 0)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Serve the sample's archives on loopback."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        server.folder = tmp_path_factory.mktemp("served")
        server.resources = []
        for path in sorted(RAW.iterdir()):
            packed = gzip.compress(path.read_bytes(), 1, mtime=0)
            (server.folder / f"{path.name}.gz").write_bytes(packed)
            md5 = hashlib.md5(packed).hexdigest()
            server.resources.append((f"{path.name}.gz", md5))
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

    choose("refuses")
    yield choose
    socket.setdefaulttimeout(None)


@pytest.fixture
def packed(server, tmp_path):
    """Return a data folder in which the archives lie."""
    shutil.copytree(server.folder, tmp_path / "data" / "MNIST" / "raw")
    return tmp_path / "data"


@pytest.fixture
def unpacked(tmp_path):
    """Return a data folder in which the unpacked files lie."""
    shutil.copytree(RAW, tmp_path / "data" / "MNIST" / "raw")
    return tmp_path / "data"


def listing(root):
    """Return {path: what would change if it were written}."""
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino)
            for path in [root, *root.rglob("*")]}  # fmt: skip


def load(hw9, root):
    """Fetch and load MNIST; assert that it is what the mirror has, byte for byte."""
    hw9.fetch_mnist(root, SIZES, PATIENCE)
    for train, name in ((True, "train"), (False, "t10k")):
        split = hw9.MNIST(root, train)
        images, labels = (next(RAW.glob(f"{name}-{k}*")) for k in ("images", "labels"))
        assert split.data.numpy().tobytes() == images.read_bytes()[16:]
        assert bytes(split.targets.tolist()) == labels.read_bytes()[8:]


@pytest.mark.parametrize("name", SIZES)
def test_a_truncated_unpacked_file_is_replaced_from_its_archive(
    hw9, packed, mirrors, name
):
    load(hw9, packed)
    path = packed / "MNIST" / "raw" / name
    path.write_bytes(path.read_bytes()[:-100])
    load(hw9, packed)


def test_a_truncated_unpacked_file_is_kept_aside(hw9, unpacked, mirrors):
    path = unpacked / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    cut = path.read_bytes()[:-100]
    path.write_bytes(cut)
    with pytest.raises(RuntimeError, match="No MNIST"):
        load(hw9, unpacked)
    assert (path.parent / f"{path.name}.damaged").read_bytes() == cut


def test_archives_packed_again_beside_good_files_do_no_harm(hw9, packed, mirrors):
    load(hw9, packed)
    for path in (packed / "MNIST" / "raw").glob("*.gz"):
        path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), 9))
    load(hw9, packed)


def test_only_unpacked_files_in_a_folder_that_cannot_be_written_are_enough(
    hw9, unpacked, mirrors, capsys
):
    paths = [unpacked, *unpacked.rglob("*")]
    for path in paths:
        path.chmod(0o555)  # root may write anyway, hence the listing
    before = listing(unpacked)
    try:
        load(hw9, unpacked)
        assert listing(unpacked) == before
        assert capsys.readouterr().out.count(" found") == 4
    finally:
        for path in paths:
            path.chmod(0o755)


@pytest.mark.parametrize("trouble", ["refuses", "portal", "cut", "silent", "stalls"])
def test_no_mirror_is_an_error_soon_and_the_next_try_is_not_misled(
    hw9, tmp_path, mirrors, trouble
):
    mirrors(trouble)
    start = time.perf_counter()
    with pytest.raises(RuntimeError, match=r"^No MNIST: "):
        load(hw9, tmp_path)
    assert time.perf_counter() - start < 4 * PATIENCE
    mirrors("good")
    load(hw9, tmp_path)


@pytest.fixture
def words(hw9, tmp_path, mirrors):
    """Return the words of the error when there is no MNIST."""
    with pytest.raises(RuntimeError) as raised:
        hw9.fetch_mnist(tmp_path, SIZES, PATIENCE)
    return str(raised.value)


def test_no_mnist_is_one_line(words):
    assert len(words.splitlines()) == 1


def test_no_mnist_says_what_to_download_and_whereto(hw9, server, tmp_path, words):
    assert str(tmp_path / "MNIST" / "raw") in words
    urls = [hw9.MNIST.mirrors[0] + name for name, _ in server.resources]
    assert all(url in words.split() for url in urls), "a URL can be clicked"


def run_data(hw9, root, dataset):
    """Run the cell that loads; return its names."""
    names = vars(hw9) | {"FOLDER": root.parent, "FILES": SIZES, "DATASET": dataset}
    run_cell(read_cells()["data"], "data", names)
    return names


def test_the_sample_is_a_preview(hw9, tmp_path, mirrors, sample):
    shutil.copytree(PROJECT / "data" / "sample", tmp_path / "data" / "sample")
    names = run_data(hw9, tmp_path / "data", "sample")
    assert "sample" in names["preview"]
    assert names["mnist_train"].data.equal(sample.train.data)
    assert names["mnist_test"].data.equal(sample.test.data)


def test_without_mnist_the_sample_never_takes_its_place(hw9, tmp_path, mirrors):
    shutil.copytree(PROJECT / "data" / "sample", tmp_path / "data" / "sample")
    with pytest.raises(RuntimeError, match="No MNIST"):
        run_data(hw9, tmp_path / "data", "mnist")
    shutil.copytree(RAW, tmp_path / "data" / "MNIST" / "raw", dirs_exist_ok=True)
    assert run_data(hw9, tmp_path / "data", "mnist")["preview"] == ""


def test_no_sample_is_an_error_that_says_what_to_do(hw9, tmp_path, mirrors):
    with pytest.raises((RuntimeError, OSError)) as raised:
        run_data(hw9, tmp_path / "data", "sample")
    assert "sample" in str(raised.value) and "download=True" not in str(raised.value)


def test_sample_is_what_the_script_makes(sample):
    """Another matplotlib may shade an edge differently."""
    with contextlib.redirect_stdout(None):
        script = runpy.run_path(str(PROJECT / "data" / "make_sample.py"))
        images, labels = script["make_split"](100, seed=0)
    assert (labels == sample.train.targets[:100].numpy()).all()
    assert np.abs(images.astype(float) - sample.train.data[:100].numpy()).mean() < 1


def test_tensors_are_what_a_dataloader_gives(hw9, sample):
    images, labels = hw9.read_split(sample.test, "cpu")
    batch, digits = next(iter(hw9.DataLoader(sample.test, batch_size=50)))
    assert images.dtype == hw9.torch.float32 and images.shape == (1000, 1, 28, 28)
    assert images[:50].equal(batch) and labels[:50].equal(digits)


@pytest.mark.parametrize(
    "added", [transforms.Normalize([0.1307], [0.3081]), transforms.RandomRotation(45)]
)
def test_a_transform_changes_nothing(hw9, sample, added):
    root, transform = PROJECT / "data" / "sample", hw9.ToTensor()
    split = hw9.MNIST(root, False, transforms.Compose([transform, added]))
    images, _ = hw9.read_split(split, "cpu")
    assert images.equal(hw9.read_split(sample.test, "cpu")[0])


@pytest.mark.parametrize(
    "instead",
    ["", " / 255 / 0.3081 - 0.4242", " / 255 * float('nan')"],
    ids=["0-255", "standardised", "not numbers"],
)
def test_pixels_out_of_range_are_one_error(hw9, sample, instead):
    source = read_cells()["tensors"].split("\n\n\ndevice = ")[0]
    assert source.count(" / 255\n") == 1
    names = dict(vars(hw9))
    run_cell(source.replace(" / 255\n", f"{instead}\n"), "tensors", names)
    with pytest.raises(ValueError, match=r"in \[0, 1\].*divide by 255, and only once"):
        names["read_split"](sample.train, "cpu")


@pytest.mark.parametrize(
    ("classes", "size"), [(26, 28), (47, 28), (9, 28), (10, 32), (10, 27)]
)
def test_other_classes_or_sizes_are_one_error(hw9, classes, size):
    data = hw9.torch.zeros(100, size, size, dtype=hw9.torch.uint8)
    data[:, 5:9, 5:9] = 255
    split = types.SimpleNamespace(data=data, targets=hw9.torch.arange(100) % classes)
    words = "28 x 28" if size != 28 else "ten digits"
    with pytest.raises(ValueError, match=words):
        hw9.read_split(split, "cpu")


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


def test_validation_is_the_last_twelfth_of_training(run, sample):
    names, whole = run.names, sample.train.data[:, None] / 255
    last = 5000 // 12
    assert names["val_images"].cpu().equal(whole[-last:])
    assert names["train_images"].cpu().equal(whole[:-last])
    assert sum(len(x) for x, _ in names["train_loader"]) == 5000 - last
