"""Run a copy of HW9.ipynb from a shell: python run.py NETID=abc123 EPOCHS=20.

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

PROJECT = Path(__file__).resolve().parent


def read_setting(word, known):
    """Return name and value of NAME=value, or of NAME in the environment."""
    name, equals, value = word.partition("=")
    if name not in known:
        raise SystemExit(f"There is no setting {name}: see cell 0.3 of HW9.ipynb.")
    value = value if equals else os.environ[name]
    default = ast.literal_eval(known[name]["default"])
    if isinstance(default, str):
        return name, value
    try:
        return name, type(default)(value)
    except ValueError:
        raise SystemExit(
            f"{name}={value}: it must be a number, as {default}."
        ) from None


def silence_kernel():
    """Let the log of Jupyter's kernel go nowhere: errors of cells come another way."""
    sys.stderr = os.fdopen(os.dup(2), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.stdout.reconfigure(errors="replace")  # a bar, where there is no UTF-8


def last_words(notebook):
    """Return what the notebook said of its PDF."""
    for cell in notebook.cells:
        if "save_submission(NETID" in cell.source:
            return cell.outputs[-1].text.strip()


def main(words):
    """Run the notebook with these settings; end with its own error, if there is one."""
    os.chdir(PROJECT)
    if not Path("HW9.ipynb").exists():
        raise SystemExit("HW9.ipynb is not here: give the notebook its name back.")
    known = papermill.inspect_notebook("HW9.ipynb")
    settings = dict(read_setting(word, known) for word in words)
    shown = {"stdout_file": sys.stdout, "progress_bar": False}
    silence_kernel()
    try:
        ran = papermill.execute_notebook(
            "HW9.ipynb", "last_run.ipynb", settings, **shown
        )
    except PapermillExecutionError as error:
        raise SystemExit(f"{error.ename}: {error.evalue}") from None
    except OSError as error:  # a folder that cannot be written, a full disk
        raise SystemExit(f"The run could not be saved in {PROJECT}: {error}") from None
    except KeyboardInterrupt:
        logging.disable()  # asyncio might tell of the cell that nobody waits for now
        raise SystemExit("Stopped. Nothing is lost; run it again.") from None
    print(f"\n{PROJECT}{os.sep}{last_words(ran)}")


if __name__ == "__main__":
    main(sys.argv[1:])
