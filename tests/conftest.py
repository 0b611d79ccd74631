"""Lift the notebook's cells into tests: its imports, functions and classes, and, on the sample, its run."""

import ast
import linecache
import sys
import types
from pathlib import Path

import matplotlib
import nbformat
import pytest

PROJECT = Path(__file__).parent.parent
sys.path.insert(0, str(Path(__file__).parent))


def read_cells(path=PROJECT / "HW9.ipynb"):
    """Return {cell id: source} of the code cells of a notebook."""
    notebook = nbformat.read(path, as_version=4)
    return {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "code"}


def run_cell(source, name, namespace):
    """Run a cell's source as a kernel does: tracebacks and `inspect` find its lines."""
    file = f"<cell {name}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), namespace)


def is_definition(node):
    """Say whether a statement only imports, defines, or names a constant."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    constant = isinstance(node, ast.Assign) and node.targets[0].id.isupper() if is_name(node) else False
    return isinstance(node, kinds) or constant


def is_name(node):
    """Say whether a statement assigns to one plain name."""
    return isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)


@pytest.fixture(scope="session")
def hw9():
    """Return the notebook's definitions as a module; nothing else of it has run."""
    matplotlib.use("agg")
    module = types.ModuleType("hw9")
    for name, source in read_cells().items():
        nodes = [node for node in ast.parse(source).body if is_definition(node)]
        lifted = "\n\n".join(ast.get_source_segment(source, node) for node in nodes)
        run_cell(lifted, name, vars(module))
    return module


@pytest.fixture(scope="session")
def sample(hw9):
    """Return the sample's two splits, read as the notebook reads them."""
    source, root = hw9.find_data("sample", PROJECT / "data", hw9.MNIST_FILES)
    assert source == "sample"
    return types.SimpleNamespace(
        train=hw9.MNIST(root, train=True, transform=hw9.ToTensor()),
        test=hw9.MNIST(root, train=False, transform=hw9.ToTensor()),
    )


@pytest.fixture
def vae(hw9):
    """Return an untrained encoder and decoder for codes of 4 numbers, always the same."""
    hw9.torch.manual_seed(1)
    return hw9.Encoder(4), hw9.Decoder(4)
