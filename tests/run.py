"""Run a copy of HW9.ipynb from a shell: python tests/run.py NETID=abc123 EPOCHS=20.

Leaves {NETID}_HW9.pdf, and the notebook as it ran in last_run.ipynb. `make` passes the
names of settings alone, and their values in the environment, where no shell reads them.
"""

import ast
import logging
import os
import sys
from pathlib import Path

import papermill
from papermill.exceptions import PapermillExecutionError

NOTEBOOK = Path(__file__).parent.parent / "HW9.ipynb"


def read_setting(word, known):
    """Return name and value of NAME=value, or of NAME in the environment."""
    name, equals, value = word.partition("=")
    if name not in known:
        raise SystemExit(f"There is no setting {name}: see cell 0.2 of HW9.ipynb.")
    value = value if equals else os.environ[name]
    if name in ("NETID", "DATASET"):
        return name, value
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value  # the notebook says what is wrong with it


def silence_kernel():
    """Let the log of Jupyter's kernel go nowhere: errors of cells come another way."""
    sys.stderr = os.fdopen(os.dup(2), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.stdout.reconfigure(errors="replace")  # a bar, where there is no UTF-8


def main(words):
    """Run the notebook with these settings; end with its own error, if there is one."""
    if not NOTEBOOK.exists():
        raise SystemExit("HW9.ipynb is not here: give the notebook its name back.")
    known = papermill.inspect_notebook(str(NOTEBOOK))
    settings = dict(read_setting(word, known) for word in words)
    shown = {"stdout_file": sys.stdout, "progress_bar": False}
    silence_kernel()
    try:
        papermill.execute_notebook(NOTEBOOK, "last_run.ipynb", settings, **shown)
    except PapermillExecutionError as error:
        raise SystemExit(f"{error.ename}: {error.evalue}") from None
    except KeyboardInterrupt:
        logging.disable()  # asyncio might tell of the cell that nobody waits for now
        raise SystemExit("Stopped. Nothing is lost; run it again.") from None


if __name__ == "__main__":
    main(sys.argv[1:])
