"""Run a copy of HW9.ipynb from a shell: python run.py NETID=abc123 EPOCHS=20.

Leaves {NETID}_HW9.pdf, and the notebook as it ran in last_run.ipynb. `make` passes the
names of settings alone, and their values in the environment, where no shell reads them.
"""

import ast
import json
import logging
import os
import re
import sys
from pathlib import Path

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

PROJECT = Path(__file__).resolve().parent


def convert(name, value, default):
    """Return a value as Python code, of the same type as the default, a number or text.

    Any other default, as 2**7 or None, says nothing: the value is taken as typed."""
    try:
        default = ast.literal_eval(default)
    except ValueError:
        return value
    if isinstance(default, str):
        return json.dumps(value)
    if not isinstance(default, int | float):
        return value
    try:
        return str(type(default)(value))
    except ValueError:
        message = f"{name}={value}: it must be a number, as {default}."
        raise SystemExit(message) from None


def write_setting(word, source):
    """Return cell 0.3 with NAME=value, or with NAME's value in the environment."""
    name, equals, value = word.partition("=")
    value = value if equals else os.environ[name]
    line = re.search(rf"^{re.escape(name)} = (.*?)(  #.*)?$", source, re.MULTILINE)
    if not line:
        raise SystemExit(f"There is no setting {name}: see cell 0.3 of HW9.ipynb.")
    value = convert(name, value, default=line[1])
    return source[: line.start(1)] + value + source[line.end(1) :]


def read_notebook(words):
    """Return HW9.ipynb with these settings in the cell that has a line NETID = ..."""
    if not Path("HW9.ipynb").exists():
        raise SystemExit("HW9.ipynb is not here: give the notebook its name back.")
    notebook = nbformat.read("HW9.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code" and "\nNETID = " in cell.source:
            for word in words:
                cell.source = write_setting(word, cell.source)
            return notebook
    raise SystemExit("HW9.ipynb has no cell with a line NETID = ...")


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
    notebook = read_notebook(words)
    silence_kernel()
    try:
        nbformat.write(notebook, "last_run.ipynb")
        ran = papermill.execute_notebook(
            "last_run.ipynb",
            "last_run.ipynb",
            kernel_name="python3",  # this environment's, whatever an editor wrote
            language="python",
            progress_bar=False,
            stdout_file=sys.stdout,
        )
    except PapermillExecutionError as error:
        raise SystemExit(f"{error.ename}: {error.evalue}") from None
    except DeadKernelError:
        raise SystemExit("The kernel died, perhaps for want of memory.") from None
    except OSError as error:  # a folder that cannot be written, a full disk
        raise SystemExit(f"The run could not be saved in {PROJECT}: {error}") from None
    except KeyboardInterrupt:
        logging.disable()  # asyncio might tell of the cell that nobody waits for now
        raise SystemExit("Stopped. Nothing is lost; run it again.") from None
    print(f"\n{PROJECT}{os.sep}{last_words(ran)}")


if __name__ == "__main__":
    main(sys.argv[1:])
