"""Run the notebook in a process of its own, which a test may kill or starve."""

import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

LOGS = tempfile.TemporaryDirectory()
CONTEXT = multiprocessing.get_context("forkserver")
# Imported once, in the process from which all others are forked: that saves seconds.
PRELOAD = "torch torchvision matplotlib.pyplot ipywidgets typst IPython"
CONTEXT.set_forkserver_preload(PRELOAD.split())


def work(folder, log, pipe, settings, prepare, order, before, repeat):
    """Run the cells of HW9.ipynb in `folder`, as a kernel does; say which begins."""
    from conftest import read_cells

    output = os.open(log, os.O_WRONLY)
    os.dup2(output, 1), os.dup2(output, 2)
    os.chdir(folder)
    os.environ["IPYTHONDIR"] = str(folder / ".ipython")
    import matplotlib
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    matplotlib.use("agg")
    config = Config({"InteractiveShell": {"colors": "nocolor"}})
    config.HistoryManager.enabled = False  # no file of it
    shell = InteractiveShell.instance(config=config)
    cells = read_cells()
    for name in order:
        if name in (before or {}):
            before[name]()
        pipe.send(name)
        for _ in range(repeat):
            result = shell.run_cell(cells[name], store_history=True)
            sys.stdout.flush()
            if not result.success:
                os._exit(1)
        shell.user_ns.update(settings if name == "settings" else {})
        if name == "imports":
            prepare(shell.user_ns)
    pipe.send("end")


class Child:
    """A run of the notebook in another process."""

    def __init__(self, folder, settings, prepare, order, before=None, repeat=1):
        """Begin. `prepare` names after the imports; `before`: {cell: function}."""
        file, self.log_file = tempfile.mkstemp(dir=LOGS.name)
        os.close(file)
        self.pipe, other = CONTEXT.Pipe()
        given = folder, self.log_file, other, settings, prepare, order, before, repeat
        self.process = CONTEXT.Process(target=work, args=given)
        self.process.start()
        other.close()

    def wait_for(self, cell):
        """Wait until a cell begins."""
        while (name := self.pipe.recv()) != cell:
            assert name != "end", f"there is no cell {cell}"

    def ends(self, seconds=120):
        """Wait for its end; return whether all cells ran."""
        self.process.join(seconds)
        alive = self.process.is_alive()
        self.process.kill()
        assert not alive, "it hangs: " + self.log()[-2000:]
        return self.process.exitcode == 0

    def log(self):
        """Return what it has printed."""
        return Path(self.log_file).read_text(encoding="utf-8")
