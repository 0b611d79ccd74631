"""`make bench`: the tutorial recipe, a textbook VAE, and the notebook, in one run.

Each training runs the notebook's own cells; the test split is measured afterwards,
outside the time that counts. Writes results.json, pictures, and the tables on all pages
(report.py). With QUICK=1 it prints tables of the sample, and changes nothing.
"""

import shutil
import subprocess
import sys
import tempfile
import time

import cells
import report
from cells import CELLS, PROJECT, QUICK
from report import (
    NOTEBOOK,
    PLUS_CORNERS,
    PLUS_RADIUS,
    PLUS_TEMPERATURE,
    TEXTBOOK,
    TUTORIAL,
)
from walks import animate, decode_for_lines, draw_pictures, measure_walks


def plan():
    """Return all trainings in order: (kind, epochs, seed)."""
    # The tutorial's are spread over the run, because a machine may be slow for a while.
    seeds = range(1 if QUICK else 5)
    jobs = [(TUTORIAL, 10, 0)]
    for seed in seeds:
        jobs.append((TEXTBOOK, 8, seed))
        jobs.append((NOTEBOOK, 8, seed))
    jobs.append((TUTORIAL, 10, 1))
    for seed in seeds:
        jobs.append((NOTEBOOK, 1, seed))
    jobs.append((NOTEBOOK, 100, 0))
    jobs.append((TUTORIAL, 10, 2))
    return jobs


def train(kind, epochs, seed):
    """Train a VAE; return its notebook."""
    settings = {"EPOCHS": epochs, "SEED": seed}
    if kind == TUTORIAL:
        return cells.train_tutorial(settings)
    if kind == TEXTBOOK:
        settings["CORNER_DISTANCE"] = 0.0
    return cells.train_notebook(CELLS, settings)


def make_decoders(hw9, kind):
    """Return {row of the table: decoder} of a VAE."""
    plain = hw9.plain_decoder
    for_lines = decode_for_lines(hw9, hw9.MOVED_SHARE)
    if kind == TUTORIAL:
        return {TUTORIAL: plain, f"{TUTORIAL}, for lines": for_lines}
    if kind == TEXTBOOK:
        crisp = decode_for_lines(hw9, share=0)
        return {TEXTBOOK: plain, PLUS_TEMPERATURE: crisp, PLUS_RADIUS: for_lines}
    return {PLUS_CORNERS: for_lines}


def run_whole():
    """Run the whole notebook in a new folder; return a record of its seconds."""
    notebook = PROJECT / "HW9.ipynb"
    command = [sys.executable, "-m", "papermill", notebook, "out.ipynb"]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(PROJECT / "data", f"{folder}/data")
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, check=True)
        seconds = time.perf_counter() - start
    return {"kind": "whole notebook", "EPOCHS": 8, "seconds": seconds}


def draw(first, judge):
    """Draw walks of {kind: (notebook, {row: decoder})}."""
    textbook, decoders = first[TEXTBOOK]
    vaes = {}
    for row, decoder in decoders.items():
        vaes[row] = (textbook.encoder, decoder)
    ours, decoders = first[NOTEBOOK]
    decoder = decoders[PLUS_CORNERS]
    vaes[NOTEBOOK] = (ours.encoder, decoder)
    draw_pictures(ours, vaes, [PLUS_RADIUS, NOTEBOOK], judge)
    animate(ours, decoder)


def main():
    """Measure, report, and draw."""
    whole = [] if QUICK else [run_whole()]
    hw9 = cells.begin(CELLS, {})
    judges = cells.train_judges(hw9)
    hw9.encoder = None  # cross-fades and real images need none
    walks = measure_walks(hw9, judges, decoders={}, elbo=None)
    runs = []
    first = {}
    for kind, epochs, seed in plan():
        print(f"\n{kind}, EPOCHS={epochs}, SEED={seed}", flush=True)
        hw9 = train(kind, epochs, seed)
        loss = cells.measure_loss(hw9)
        run = {"kind": kind, "EPOCHS": epochs, "SEED": seed, "seconds": hw9.seconds}
        runs.append(run | loss)
        if epochs in (8, 10):
            decoders = make_decoders(hw9, kind)
            walks += measure_walks(hw9, judges, decoders, loss["-ELBO"])
            first.setdefault(kind, (hw9, decoders))
    results = {"machine": report.machine(), "runs": runs + whole, "walks": walks}
    report.publish("results", results)
    draw(first, judges["judge"])


if __name__ == "__main__":
    main()
