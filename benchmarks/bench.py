"""`make bench`: the tutorial recipe, a textbook VAE, and the notebook, in one run.

Each training runs the notebook's own cells in a process of its own, one at a time. The
test split is measured after each epoch, outside the time that counts. Writes
benchmarks/results.json, makes the tables of it (report.py), and draws
figures/textbook.png and figures/interpolation.gif. `--long N` trains once more, for N
epochs. `--keep FILE` saves results as they come, and does not measure again what is
found there. `--quick` does it small, on the sample, and changes nothing in the project.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cells
import report
from notebook import PROJECT, read_cells, run_cell
from report import CORNERS, DIRECTIONS, NOTEBOOK, SHARPENED, TEXTBOOK, TUTORIAL


def plan(quick, long):
    """Return {name: job}: trainings, then whole notebooks, `count` of them at once."""
    jobs = {}

    def add(kind, decoder, settings, walks=None, pictures=None):
        if quick:
            settings |= {"DATASET": "sample", "EPOCHS": 1}
        jobs[f"{kind}, {settings}"] = {
            "kind": kind,
            "edits": cells.DECODERS[decoder],
            "settings": settings,
            "walks": walks or {},  # {row of the table: temperature, or None: as given}
            "pictures": pictures,  # a folder for them
        }

    plain = {"CORNER_DISTANCE": 0.0}
    both = {TEXTBOOK: 1.0, SHARPENED: None}
    figures = "." if quick else PROJECT / "figures"
    add(TUTORIAL, "textbook", {"EPOCHS": 10}, {TUTORIAL: 1.0})
    add(TEXTBOOK, "textbook", plain | {"SEED": 0}, both, figures)
    add(CORNERS, "textbook", {}, {CORNERS: None})
    add(NOTEBOOK, "this notebook", {"SEED": 0, "EPOCHS": 8}, {NOTEBOOK: None}, figures)
    add(DIRECTIONS, "directions", {}, {DIRECTIONS: None})
    if quick:
        return jobs
    for seed in range(5):
        for epochs in (1, 3, 8):
            if (seed, epochs) != (0, 8):  # that is above
                add(NOTEBOOK, "this notebook", {"SEED": seed, "EPOCHS": epochs})
        if seed > 0:
            add(TEXTBOOK, "textbook", plain | {"SEED": seed})
    if long:
        add(NOTEBOOK, "this notebook", {"EPOCHS": long})
    jobs["whole"] = {"settings": {}, "count": 1}
    jobs["short"] = {"settings": {"EPOCHS": 1}, "count": 1}
    jobs["two at once"] = {"settings": {"EPOCHS": 1}, "count": 2}
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
    if job["pictures"]:
        rows = first_rows(hw9, 3, hw9.TEMPERATURE)
        result["pixels"] = rows.mul(255).round().int().tolist()
        if job["kind"] == NOTEBOOK:
            animate(hw9, Path(job["pictures"], "interpolation.gif"))
    return result


def make_folder(folder):
    """Let the notebook find the project's data in a folder; return it."""
    (folder / "data").mkdir(parents=True)
    for part in ("MNIST", "sample"):
        (PROJECT / "data" / part).mkdir(exist_ok=True)
        (folder / "data" / part).symlink_to(PROJECT / "data" / part)
    return folder


def train_apart(job, folder):
    """Train in a process of its own, in a new folder; return what `train` returns."""
    folder = make_folder(Path(tempfile.mkdtemp(dir=folder)))
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
        if pdf is None and list(folder.glob("*/*_HW9*.pdf")):
            pdf = time.perf_counter() - start
        time.sleep(0.1)
    seconds = time.perf_counter() - start
    if any(run.returncode for run in runs):
        raise RuntimeError("A whole notebook failed.")
    return {"seconds": seconds, "pdf": pdf}


def bench(quick, long, kept):
    """Return {name: result}; those in the file `kept` from there, new ones saved."""
    code = cells.checksums(cells.ALL)
    results = {}
    if kept and kept.exists():
        saved = json.loads(kept.read_text())
        if saved["code"] != code:
            raise SystemExit(f"{kept} is of another notebook: delete it.")
        results = saved["results"]
    run_cell(read_cells()["Imports"], "Imports", {})  # once, for all processes
    with tempfile.TemporaryDirectory() as folder:
        for name, job in plan(quick, long).items():
            if name not in results:
                print(f"\n{name}", flush=True)
                measure = run_whole if "count" in job else train_apart
                results[name] = measure(job, folder)
            if kept:
                kept.write_text(json.dumps({"code": code, "results": results}))
    return results


def draw(pixels, folder):
    """Draw walks {name: bytes (P, 9, 28, 28)} of two VAEs, at the same temperature."""
    import torch
    from walks import draw_pairs

    rows = {name: torch.tensor(values) / 255 for name, values in pixels.items()}
    draw_pairs(rows, folder / "textbook.png")


def main():
    """Measure and report, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small; changes nothing")
    parser.add_argument("--long", type=int, metavar="N", help="train for N epochs, too")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="save results there")
    given = parser.parse_args()
    results = bench(given.quick, given.long, given.keep)
    pixels = {}
    for result in results.values():
        if "pixels" in result:  # they are for the picture only
            pixels[result["kind"]] = result.pop("pixels")
    if given.quick:
        with tempfile.TemporaryDirectory() as folder:
            draw(pixels, Path(folder))
        report.show(report.bench_tables(results, report.machine()))
    else:
        report.save("results", cells.ALL, results)
        draw(pixels, PROJECT / "figures")
        report.main()


if __name__ == "__main__":
    main()
