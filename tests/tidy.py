"""Leave of a notebook that ran what a reader needs, nothing else (`make notebook`)."""

import sys
from pathlib import Path

import nbformat
from nbconvert.preprocessors import (
    ClearMetadataPreprocessor,
    CoalesceStreamsPreprocessor,
)

path = Path(sys.argv[1])
notebook = nbformat.read(path, as_version=4)
notebook, _ = CoalesceStreamsPreprocessor().preprocess(notebook, {})
kept = {"preserve_cell_metadata_mask": {"tags"}}
kept["preserve_nb_metadata_mask"] = {("kernelspec",), ("language_info",)}
notebook, _ = ClearMetadataPreprocessor(**kept).preprocess(notebook, {})
language = notebook.metadata.language_info
for key in language.keys() - {"name", "file_extension"}:
    del language[key]
for cell in notebook.cells:  # GitHub shows neither widgets nor an emptied bar
    outputs = cell.get("outputs", [])
    texts = {id(o): o.text.strip() for o in outputs if o.output_type == "stream"}
    widget = "application/vnd.jupyter.widget-view+json"
    kept = [
        o for o in outputs if texts.get(id(o), "x") and widget not in o.get("data", {})
    ]
    cell.update({"outputs": kept} if cell.cell_type == "code" else {})
    for output in kept:
        if output.output_type == "stream":
            lines = map(str.rstrip, output.text.split("\n"))
            output.text = "\n".join(line for line in lines if line) + "\n"
nbformat.write(notebook, path)
