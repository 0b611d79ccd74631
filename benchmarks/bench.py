"""`make bench`: the tutorial recipe, a textbook VAE, and the notebook, in one run.

Each training runs the notebook's own cells in a process of its own, one at a time. The
test split is measured after each epoch, outside the time that counts. Draws
figures/textbook.png and figures/interpolation.gif, writes benchmarks/results.json, and
makes the tables of it (report.py). Results are saved as they come: what is found there,
of the same code, is not measured again. `--long N` trains once more, for N epochs.
`--quick` does it small, on the sample, and changes nothing in the project.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cells
import report
import torch
from notebook import PROJECT, read_cells, run_cell
from report import CORNERS, DIRECTIONS, NOTEBOOK, SHARPENED, TEXTBOOK, TUTORIAL


def plan(quick, long):
    """Return {name: job}: trainings, then whole notebooks, `count` of them at once."""
    jobs = {}

    def add(kind, decoder, settings, walks=None, picture=False):
        if quick:
            settings |= {"DATASET": "sample", "EPOCHS": 1}
        jobs[f"{kind}, {settings}"] = {
            "kind": kind,
            "edits": cells.DECODERS[decoder],
            "settings": settings,
            "walks": walks or {},  # {row of the table: temperature, or None: as given}
            "picture": picture,
        }

    plain = {"CORNER_DISTANCE": 0.0}
    both = {TEXTBOOK: 1.0, SHARPENED: None}
    ours = {"SEED": 0, "EPOCHS": 8}
    add(TUTORIAL, "textbook", {"EPOCHS": 10}, {TUTORIAL: 1.0})
    # The picture shows these two: neither is saved without the other.
    add(TEXTBOOK, "textbook", plain | {"SEED": 0}, both, picture=True)
    add(NOTEBOOK, "this notebook", ours, {NOTEBOOK: None}, picture=True)
    add(CORNERS, "textbook", {}, {CORNERS: None})
    add(DIRECTIONS, "directions", {}, {DIRECTIONS: None})
    if quick:
        return jobs
    for seed in range(5):
        for epochs in (1, 3, 8):
            if (seed, epochs) != (0, 8):  # that is above
                add(NOTEBOOK, "this notebook", {"SEED": seed, "EPOCHS": epochs})
        if seed > 0:
            add(TEXTBOOK, "textbook", plain | {"SEED": seed})
    jobs["whole"] = {"settings": {}, "count": 1}
    jobs["short"] = {"settings": {"EPOCHS": 1}, "count": 1}
    jobs["two at once"] = {"settings": {"EPOCHS": 1}, "count": 2}
    if long:
        add(NOTEBOOK, "this notebook", {"EPOCHS": long})
    return jobs


def train(job):
    """Train in this process; return curve, seconds, memory, and what walks measure."""
    from walks import animate, first_rows

    if job["kind"] == TUTORIAL:
        hw9 = cells.train_tutorial(job["settings"])
    else:
        hw9 = cells.train_notebook(cells.edited(job["edits"]), job["settings"])
    result = {"kind": job["kind"], "curve": hw9.history, "seconds": hw9.seconds}
    result["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if job["walks"]:
        judges = cells.train_judges(hw9)
        result["walks"] = {}
        for row, temperature in job["walks"].items():
            temperature = temperature or hw9.TEMPERATURE
            result["walks"][row] = cells.measure_walks(hw9, judges, temperature)
    if job["picture"]:
        result["rows"] = first_rows(hw9, 3, hw9.TEMPERATURE).numpy()
    if job["picture"] and job["kind"] == NOTEBOOK:
        animate(hw9, "interpolation.gif")
    return result


def make_folder(folder):
    """Let the notebook find the project's data in a folder; return it."""
    (folder / "data").mkdir(parents=True)
    for part in ("MNIST", "sample"):
        (PROJECT / "data" / part).mkdir(exist_ok=True)
        (folder / "data" / part).symlink_to(PROJECT / "data" / part)
    return folder


def train_apart(job, folder):
    """Train in a process of its own, in a folder; return what `train` returns."""
    with ProcessPoolExecutor(1, initializer=os.chdir, initargs=[folder]) as process:
        return process.submit(train, job).result()


def run_whole(job, folder):
    """Run whole notebooks at once, each in a new folder.

    Returns the seconds until all have ended, and until a PDF was there."""
    command = [sys.executable, "-m", "papermill", str(PROJECT / "HW9.ipynb")]
    command += ["out.ipynb", "--no-progress-bar"]
    for name, value in job["settings"].items():
        command += ["-p", name, str(value)]
    folder = Path(tempfile.mkdtemp(dir=folder))
    start = time.perf_counter()
    runs = []
    for k in range(job["count"]):
        if k > 0:
            time.sleep(5)  # of two begun at once, one was seen to wait
        runs.append(subprocess.Popen(command, cwd=make_folder(folder / f"{k}")))
    pdf = None
    while any(run.poll() is None for run in runs):
        if pdf is None and list(folder.glob("*/*_HW9.pdf")):
            pdf = time.perf_counter() - start
        time.sleep(0.1)
    seconds = time.perf_counter() - start
    if pdf is None or any(run.returncode for run in runs):
        raise RuntimeError("A whole notebook failed.")
    return {"seconds": seconds, "pdf": pdf}


def draw_walks(rows, folder, figures):
    """Draw textbook.png of {kind: rows}; put it and the GIF from folder in figures."""
    from walks import draw_pairs

    kinds = {kind: torch.from_numpy(rows[kind]) for kind in (TEXTBOOK, NOTEBOOK)}
    draw_pairs(kinds, figures / "textbook.png")
    shutil.copy(folder / "interpolation.gif", figures)


def bench(quick, long):
    """Return {name: result}; unless quick, save them, and measure what is missing."""
    results = {} if quick else report.read_saved("results", cells.ALL)
    rows = {}
    run_cell(read_cells()["Imports"], "Imports", {})  # once, for all processes
    with tempfile.TemporaryDirectory() as name:
        folder = make_folder(Path(name))
        for key, job in plan(quick, long).items():
            if key in results:
                continue
            print(f"\n{key}", flush=True)
            measure = run_whole if "count" in job else train_apart
            result = measure(job, folder)
            results[key] = result
            if "rows" in result:
                rows[result["kind"]] = result.pop("rows")
                if len(rows) < 2:
                    continue  # the picture needs both: save both, or none
                figures = Path(name, "data") if quick else PROJECT / "figures"
                draw_walks(rows, folder, figures)
            if not quick:
                report.save("results", cells.ALL, results)
    return results


def main():
    """Measure and report, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small; changes nothing")
    parser.add_argument("--long", type=int, metavar="N", help="train for N epochs, too")
    given = parser.parse_args()
    results = bench(given.quick, given.long)
    if given.quick:
        report.show(report.bench_tables(results, report.machine()))
    else:
        report.main()


if __name__ == "__main__":
    main()
