"""`make bench`: the tutorial recipe, a textbook VAE and the notebook, in one run.

Each training runs the notebook's own cells in a process of its own, one at a time. The
test split is measured after each epoch, outside the time that counts. Prints tables and
puts them into README.md and benchmarks/README.md, between marks; draws
figures/textbook.png and figures/interpolation.gif. `--keep FILE` saves results as they
come and does not measure again what is found there; `--report FILE` only reports them.
`--long N` trains once more, for N epochs. `--quick` does it small, on the sample, and
changes nothing in the project.
"""

import argparse
import base64
import itertools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from cells import (
    FIRST_LAYER,
    PROJECT,
    measure_walks,
    new_notebook,
    read_cells,
    run_cells,
    train_judges,
    train_notebook,
    train_tutorial,
)
from report import DIRECTIONS, EPOCHS, NOTEBOOK, TEXTBOOK, TUTORIAL, draw, fill, report


def train(job):
    """Train in this process; return curve, seconds, memory, and what walks measure."""
    hw9 = new_notebook()
    if job["recipe"] == TUTORIAL:
        curve, seconds = train_tutorial(hw9, job["settings"])
    else:
        curve, seconds = train_notebook(hw9, job["settings"], job["edits"])
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = {"curve": curve, "memory": memory}
    result["seconds"] = list(itertools.accumulate(seconds))
    if job["judges"]:
        hw9.SEED = 0  # one judge, and the same pairs, for all
        result["walks"] = measure_walks(hw9, train_judges(hw9, job["judges"]))
    if job["pictures"]:
        from walks import animate, first_rows

        run_cells(hw9, "pairs", "pairs")
        result["animation"] = base64.b64encode(animate(hw9)).decode()
        result["rows"] = first_rows(hw9, 3).mul(255).round().int().tolist()
    return result


def make_folder(folder):
    """Make a folder where the notebook finds the project's data; return it."""
    (folder / "data").mkdir(parents=True)
    for part in ("MNIST", "sample"):
        (PROJECT / "data" / part).mkdir(exist_ok=True)
        (folder / "data" / part).symlink_to(PROJECT / "data" / part)
    return folder


def train_apart(folder, job):
    """Train in a process of its own, in a folder; return what `train` returns."""
    with ProcessPoolExecutor(1, initializer=os.chdir, initargs=[folder]) as process:
        return process.submit(train, job).result()


def run_whole(folder, settings, count):
    """Run `count` whole notebooks at once; return seconds until all have ended."""
    papermill = [sys.executable, "-m", "papermill", str(PROJECT / "HW9.ipynb")]
    command = [*papermill, "out.ipynb", "--no-progress-bar"]
    for name, value in settings.items():
        command += ["-p", name, str(value)]
    parents = [Path(tempfile.mkdtemp(dir=folder)) for _ in range(count)]
    folders = [make_folder(parent / "hw9") for parent in parents]
    start = time.perf_counter()
    runs = []
    for each in folders:
        runs.append(subprocess.Popen(command, cwd=each))
        time.sleep(5 * (count > 1))  # of two begun at once, one was seen to wait
    codes = [run.wait() for run in runs]
    seconds = time.perf_counter() - start
    if any(codes):
        raise RuntimeError("A whole notebook failed.")
    return seconds


def plan(quick, long):
    """Return {name: job}, a job for each training."""
    small = {"DATASET": "sample", "EPOCHS": 1} if quick else {}
    count = 1 if quick else 2  # of judges

    def job(recipe, judges=0, edits=(), pictures=False, **settings):
        more = {"edits": edits, "judges": judges, "pictures": pictures}
        return {"recipe": recipe, "settings": settings | small, **more}

    plain = {"CORNER_DISTANCE": 0.0, "TEMPERATURE": 1.0}
    jobs = {
        TUTORIAL: job(TUTORIAL, count, EPOCHS=10, TEMPERATURE=1.0),
        TEXTBOOK: job("notebook", count, FIRST_LAYER, pictures=True, **plain),
        DIRECTIONS: job("notebook", count, TEMPERATURE=1.0),
        NOTEBOOK: job("notebook", count, pictures=True),
    }
    seeds = range(1 if quick else 5)
    for seed, epochs in itertools.product(seeds, EPOCHS[:1] if quick else EPOCHS):
        if (seed, epochs) != (0, EPOCHS[-1]):  # that is NOTEBOOK
            settings = {"SEED": seed, "EPOCHS": epochs}
            jobs[f"seed {seed}, {epochs}"] = job("notebook", **settings)
    if long:
        jobs[f"notebook, EPOCHS={long}"] = job("notebook", EPOCHS=long)
    return jobs


def bench(quick, long, kept):
    """Return {name: result}; those in the file `kept` from there, new ones saved."""
    cells = read_cells()
    measured = list(cells.values())[: list(cells).index("table") + 1]
    code = zlib.crc32("\n".join(measured).encode())
    results = {}
    if kept and kept.exists():
        saved = json.loads(kept.read_text())
        results = saved["results"]
        if saved["code"] != code:
            raise SystemExit(
                f"{kept} is of another version of the notebook: delete it."
            )
    run_cells(new_notebook(), "imports", "imports")  # once, for all forks
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone = make_folder(folder / "alone")
        todo = {
            key: (train_apart, alone, job) for key, job in plan(quick, long).items()
        }
        if not quick:
            short = {"EPOCHS": 1}
            todo["whole"] = run_whole, folder, {}, 1
            todo["short"] = run_whole, folder, short, 1
            todo["two at once"] = run_whole, folder, short, 2
        for key, (measure, *given) in todo.items():
            if key not in results:
                print(f"\n{key}", flush=True)
                results[key] = measure(*given)
            if kept:
                kept.write_text(json.dumps({"code": code, "results": results}))
    return results


def main():
    """Measure and report, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small; changes nothing")
    parser.add_argument("--long", type=int, metavar="N", help="train for N epochs, too")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="save results there")
    parser.add_argument("--report", type=Path, metavar="FILE", help="only report these")
    given = parser.parse_args()
    if given.report:
        results = json.loads(given.report.read_text())["results"]
    else:
        results = bench(given.quick, given.long, given.keep)
    texts = report(results)
    for name, text in texts.items():
        print(f"\n{name}:\n\n{text}")
    if given.quick:
        with tempfile.TemporaryDirectory() as folder:
            draw(results, Path(folder))
    else:
        draw(results, PROJECT / "figures")
        fill(texts)


if __name__ == "__main__":
    main()
