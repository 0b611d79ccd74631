"""The notebook's code cells, by title: to read, edit, run, or lift definitions out."""

import ast
import types
from pathlib import Path

import nbformat

PROJECT = Path(__file__).resolve().parent.parent


def read_cells(path=PROJECT / "HW9.ipynb"):
    """Return {title: source} of a notebook's code cells; "# 2.2 Encoder": Encoder."""
    cells = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            first = cell.source.split("\n")[0].removesuffix(" (not listed)")
            title = first.split(maxsplit=2)[2]
            cells[title] = cell.source
    return cells


def edit(cells, title, old, new):
    """Return cells with `new` for `old`, which must stand in that cell once."""
    if cells[title].count(old) != 1:
        raise ValueError(f"Cell {title} does not contain {old!r} once.")
    return cells | {title: cells[title].replace(old, new)}


def run_cell(source, title, namespace):
    """Run a cell's source in a namespace."""
    exec(compile(source, f"<cell {title}>", "exec"), namespace)


def definitions(source):
    """Return only the imports, functions, classes, and constants of a cell."""
    whole = ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef
    kept = []
    for node in ast.parse(source).body:
        constant = isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        if constant or isinstance(node, whole):
            kept.append(ast.unparse(node))
    return "\n\n".join(kept)


def define(cells):
    """Return a module of all that the cells define; nothing else of them has run."""
    module = types.ModuleType("__main__")
    for title, source in cells.items():
        run_cell(definitions(source), title, vars(module))
    return module
