"""Leave of a notebook that ran what a reader needs, nothing else (`make notebook`)."""

import sys

import nbformat
from nbconvert.preprocessors import (
    ClearMetadataPreprocessor,
    CoalesceStreamsPreprocessor,
)

notebook = nbformat.read(sys.argv[1], as_version=4)
notebook, _ = CoalesceStreamsPreprocessor().preprocess(notebook, {})
clear = ClearMetadataPreprocessor(
    preserve_cell_metadata_mask={"tags"},
    preserve_nb_metadata_mask={("kernelspec",), ("language_info",)},
)
notebook, _ = clear.preprocess(notebook, {})
language = notebook.metadata.language_info
notebook.metadata.language_info = {"name": language.name, "file_extension": ".py"}
for cell in notebook.cells:
    if cell.cell_type == "code":
        for output in cell.outputs:
            if output.output_type == "stream":  # where a bar has been, there are blanks
                lines = [line.rstrip() for line in output.text.split("\n")]
                output.text = "\n".join(filter(None, lines)) + "\n"
        cell.outputs = [o for o in cell.outputs if o.get("text") != "\n"]
nbformat.write(notebook, sys.argv[1])
