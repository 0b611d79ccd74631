"""`make bench`: the tutorial recipe, a textbook VAE, and the notebook, in one run.

Each training runs the notebook's own cells in a process of its own, one at a time; the
test split is measured after each epoch, outside the time that counts. Prints tables.
`--save` writes results.json, the pictures, and the tables on all pages (report.py).
What was measured is kept in unsaved.json, where `--continue` takes up a run that was
stopped. `--long N` trains once more, for N epochs. `--quick` does it small, on the
sample, without whole notebooks, and changes nothing in the project.
"""

import multiprocessing
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
from read_notebook import PROJECT, read_cells
from report import CORNERS, NOTEBOOK, RADIUS, TEMPERATURE, TEXTBOOK, TUTORIAL
from walks import decoder_for_lines, draw_pictures, measure_walks

# Whole notebooks: how many at once, and for how many epochs.
WHOLE = {
    "whole": {"count": 1, "epochs": 8},
    "short": {"count": 1, "epochs": 1},
    "two at once": {"count": 2, "epochs": 1},
}


def training(kind, epochs, seed):
    """Return {title: job}, to train one VAE."""
    job = {"kind": kind, "EPOCHS": epochs, "SEED": seed}
    return {f"{kind}, EPOCHS={epochs}, SEED={seed}": job}


def plan(long):
    """Return {title: job} of all trainings in order."""
    # The tutorial's are spread over the run, because a machine may be slow for a while.
    jobs = training(TUTORIAL, 10, 0)
    for seed in range(5):
        jobs |= training(TEXTBOOK, 8, seed)
        jobs |= training(NOTEBOOK, 8, seed)
    jobs |= training(TUTORIAL, 10, 1)
    for seed in range(5):
        jobs |= training(NOTEBOOK, 1, seed)
        jobs |= training(NOTEBOOK, 3, seed)
    if long:
        jobs |= training(NOTEBOOK, long, 0)
    return jobs | training(TUTORIAL, 10, 2)


def train(job, small):
    """Train a VAE as the job says, with the settings of a small run; return it."""
    settings = {"EPOCHS": job["EPOCHS"], "SEED": job["SEED"]} | small
    if job["kind"] == TUTORIAL:
        return cells.train_tutorial(settings)
    if job["kind"] == TEXTBOOK:
        settings["CORNER_DISTANCE"] = 0.0
    return cells.train_notebook(read_cells(), settings)


def make_decoders(hw9, kind):
    """Return {row of the table: decoder} of a VAE."""
    plain = hw9.plain_decoder
    for_lines = decoder_for_lines(hw9, hw9.encoder, plain)
    if kind == TUTORIAL:
        return {TUTORIAL: plain, f"{TUTORIAL}, for lines": for_lines}
    if kind == TEXTBOOK:
        crisp = hw9.LineDecoder(plain, 0.0, hw9.TEMPERATURE)
        return {TEXTBOOK: plain, TEMPERATURE: crisp, RADIUS: for_lines}
    return {CORNERS: for_lines}


def train_and_measure(job, small):
    """Train in this process; return loss, seconds, memory, and what judges say."""
    hw9 = train(job, small)
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = job | hw9.history[-1]
    result["seconds"] = hw9.train_loader.seconds
    result["memory"] = kilobytes / 1e6
    if job["EPOCHS"] in (8, 10):
        judges = cells.train_judges(hw9)
        decoders = make_decoders(hw9, job["kind"])
        elbo = result["-ELBO"]
        times = 20 if small else 250  # ten pairs each
        walks = measure_walks(hw9, judges, hw9.encoder, decoders, elbo, times)
        result["walks"] = walks
    return result


def do_apart(job, small):
    """Do what `train_and_measure` does in a process of its own."""
    new = multiprocessing.get_context("spawn")  # a fork would inherit torch's threads
    with ProcessPoolExecutor(1, mp_context=new) as process:
        return process.submit(train_and_measure, job, small).result()


def run_whole(count, epochs):
    """Run whole notebooks at once, each in a new folder with the project's data.

    Returns the seconds until all have ended, and until a PDF was there."""
    command = [sys.executable, "-m", "papermill", PROJECT / "HW9.ipynb", "out.ipynb"]
    command += ["-p", "EPOCHS", f"{epochs}"]
    folder = Path(tempfile.mkdtemp())
    start = time.time()
    runs = []
    for k in range(count):
        time.sleep(5 * k)  # of two begun at once, one was seen to wait
        own = folder / f"{k}"
        own.mkdir()
        (own / "data").symlink_to(PROJECT / "data")
        runs.append(subprocess.Popen(command, cwd=own))
    if sum(run.wait() for run in runs) != 0:
        raise RuntimeError("A whole notebook failed.")
    seconds = time.time() - start
    written = min(pdf.stat().st_mtime for pdf in folder.glob("*/*.pdf"))
    return {"seconds": seconds, "pdf": written - start}


def draw(jobs, small, folder):
    """Train the two VAEs of seed 0 once more, and draw their walks into a folder."""
    textbook = train(jobs[f"{TEXTBOOK}, EPOCHS=8, SEED=0"], small)
    ours = train(jobs[f"{NOTEBOOK}, EPOCHS=8, SEED=0"], small)
    cells.train_judges(ours)
    encoders = {TEXTBOOK: textbook.encoder, NOTEBOOK: ours.encoder}
    decoders = {
        TEXTBOOK: make_decoders(textbook, TEXTBOOK)[TEMPERATURE],
        NOTEBOOK: make_decoders(ours, NOTEBOOK)[CORNERS],
    }
    draw_pictures(ours, encoders, decoders, folder)


def main():
    """Measure and report, as the command line says."""
    parser = report.make_parser(__doc__)
    parser.add_argument("--long", type=int, metavar="N", help="train for N epochs, too")
    parser.add_argument("--continue", action="store_true", dest="go_on", help="a run")
    given = parser.parse_args()
    os.chdir(PROJECT)
    small = report.small(given)
    results = report.read_unsaved() if given.go_on else {}
    jobs = plan(given.long)
    for title in [*jobs, *WHOLE]:
        seed = jobs.get(title, {}).get("SEED")
        if title in results or (small and seed != 0):
            continue
        print(f"\n{title}", flush=True)
        if title in WHOLE:
            results[title] = run_whole(**WHOLE[title])
        else:
            results[title] = do_apart(jobs[title], small)
        if not small:
            report.save("unsaved", results)
    if given.quick or given.save:
        draw(jobs, small, report.figures(given))
    report.publish("results", results, given)


if __name__ == "__main__":
    main()
