"""`make bench`: the tutorial recipe and the notebook's own training, one after the other.

Prints tables, and writes benchmarks/results.json, figures/benchmark.png and the tables in the READMEs.
Each training runs in a process of its own, so that its time and its memory are its own. The test split
is measured after each epoch, outside the time that counts. `--quick` does the same small, on the
sample, and writes nothing into the project.
"""

import argparse
import itertools
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT / "tests"), str(PROJECT / "benchmarks")]


def run_cells(last, settings):
    """Run the notebook's own cells, with these settings, up to the cell `last`; return its names."""
    from conftest import read_cells, run_cell

    cells, names = read_cells(), {}
    for name in list(cells)[: list(cells).index(last) + 1]:
        run_cell(cells[name], name, names)
        if name == "settings":
            names.update(settings)
    return names


def train_notebook(settings):
    """Train as the notebook does, measured on the test split after each epoch; return the curve."""
    from conftest import read_cells, run_cell

    names = run_cells("recipe", settings)
    names.update(val_images=names["test_images"], Checkpoint=lambda *_: None)
    run_cell(read_cells()["fit"], "fit", names)
    history, images = names["history"], len(names["train_images"])
    seconds = list(itertools.accumulate(epoch["seconds"] for epoch in history))
    rate = len(seconds) * images / seconds[-1]
    curve = [epoch["validation"] for epoch in history]
    return {"curve": curve, "seconds": seconds, "images_per_second": rate}


def measure_interpolation(settings):
    """Return {judge: {kind: {way: {measure: value}}}} of the notebook's ways and of the tutorial's VAE.

    The second judge is of another kind (fully connected) and seed; nothing was chosen by it.
    """
    import torch
    from torch import nn
    from tutorial import TutorialVAE

    tutorial = TutorialVAE()
    tutorial.load_state_dict(torch.load("tutorial.pt", weights_only=True))
    names = run_cells("results", settings)
    torch.manual_seed(1)
    seeing = nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 128), nn.ReLU())
    second = nn.Sequential(seeing, nn.Linear(128, 10))
    names["train_judge"](second, names["train_images"], names["train_loader"].labels)
    ways = {"tutorial": (lambda x: tutorial.encode(x)[0], tutorial.decode, names["straight"])}
    judges = {"judge": names["judge"], "second judge": second}
    found = {judge: {kind: {} for kind in names["ends"]} for judge in judges}
    for kind, ends in names["ends"].items():
        for way, how in (names["ways"] | ways).items():
            walks = names["walk"](*ends.unbind(1), *how)
            for name, judge in judges.items():
                given = ends, names["digits"][kind], judge, names["reference"]
                found[name][kind][way], _ = names["measure"](walks, *given)
    return found


def child(kind, settings):
    """Train in this process and return curve, seconds, images/s, memory in bytes; or measure."""
    if kind == "interpolation":
        return measure_interpolation(settings)
    if kind == "notebook":
        result = train_notebook(settings)
    else:
        import torch
        from tutorial import train_tutorial

        sample = settings["DATASET"] == "sample"
        root = Path("data/sample" if sample else "data")
        result, model = train_tutorial(root, settings["EPOCHS"], fetch=not sample)
        torch.save(model.state_dict(), "tutorial.pt")
    return result | {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def in_process(kind, folder, **settings):
    """Train in a process of its own, in `folder`; show its progress and return its result."""
    out = folder / "result.json"
    command = [sys.executable, __file__, "--child", kind, json.dumps(settings), str(out)]
    print(f"\n{kind}: {settings}", flush=True)
    subprocess.run(command, cwd=folder, check=True)
    return json.loads(out.read_text())


def run_whole(folder, **settings):
    """Run the whole notebook through papermill; return the seconds of each of its parts."""
    import nbformat

    words = [word for name, value in settings.items() for word in ("-p", name, str(value))]
    command = [sys.executable, "-m", "papermill", str(PROJECT / "HW9.ipynb"), "out.ipynb", *words]
    subprocess.run(command, cwd=folder, check=True)
    parts, heading = {}, "Settings"
    for cell in nbformat.read(folder / "out.ipynb", as_version=4).cells:
        if cell.cell_type == "markdown" and cell.source.startswith(("## ", "### ")):
            heading = cell.source.split("\n")[0].strip("# ")
        parts[heading] = parts.get(heading, 0) + (cell.metadata.papermill.duration or 0)
    return parts


def machine():
    """Return a line that describes this machine."""
    import torch

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(": ")[1] for line in lines if line.startswith("model name")] or [
        platform.machine()
    ]
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{names[0]}, {os.cpu_count()} cores{gpu}, PyTorch {torch.__version__.split('+')[0]}"


def draw(runs, file):
    """Draw -ELBO on the test split against seconds of training."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for (name, run), style in zip(runs.items(), ("s--", "o-", "^-", "d-"), strict=False):
        losses = [sum(pair) for pair in run["curve"]]
        axes.plot(run["seconds"], losses, style, markersize=4, label=name)
    axes.set(xlabel="seconds of training", ylabel="−ELBO on the test split, nats per image")
    axes.set(xscale="log", yscale="log")
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.yaxis.set_major_formatter("{x:.0f}")
    axes.yaxis.set_minor_formatter("{x:.0f}")
    axes.grid(alpha=0.3, which="both")
    axes.legend(frameon=False)
    figure.savefig(file, dpi=150)


def share_of(seconds, whole):
    """Return seconds as a share of T, the seconds of the whole reference."""
    ratio = seconds / whole
    return "T" if ratio == 1 else f"T/{1 / ratio:.1f}" if ratio < 0.5 else f"{ratio:.2f} T"


def reached(run, goal):
    """Return after how many seconds of training a run's -ELBO was at most `goal`, in words."""
    curve = zip(run["seconds"], run["curve"], strict=True)
    return next((f"{when:.1f}" for when, pair in curve if sum(pair) <= goal), "–")


def table(runs, reference):
    """Return a Markdown table of the trainings, with their ratios to the reference."""
    goal = sum(runs[reference]["curve"][-1])
    head = ["", "seconds", "of T", f"seconds to {goal:.2f}", "images/s"]
    head += ["−ELBO", "reconstruction", "KL", "memory, GB"]
    rows = [head, ["---"] * len(head)]
    for name, run in runs.items():
        seconds, (reconstruction, kl) = run["seconds"][-1], run["curve"][-1]
        share = share_of(seconds, runs[reference]["seconds"][-1])
        row = [name, f"{seconds:.1f}", share, reached(run, goal), f"{run['images_per_second']:,.0f}"]
        row += [f"{loss:.2f}" for loss in (reconstruction + kl, reconstruction, kl)]
        rows.append([*row, f"{run['memory'] / 1e9:.2f}"])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def interpolation_table(interpolation):
    """Return a Markdown table of the measures of interpolation, one column per way."""
    columns = ["real images", "cross-fade", "tutorial"]
    columns += ["sphere", "plain decoder", "tuned decoder"]
    rows = [["", "", *columns], ["---", "---", *["---:"] * len(columns)]]
    for kind, ways in interpolation.items():
        for name in ways["cross-fade"]:
            rows.append([kind, name, *(f"{ways[way][name]:.2f}" for way in columns)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def headline(results):
    """Return a Markdown table of what makes the notebook different from the tutorial recipe."""
    runs = results["runs"]
    tutorial, *ours = runs.values()
    goal = sum(tutorial["curve"][-1])
    names = [name.removeprefix("notebook, ") for name in list(runs)[1:]]

    walks = results["interpolation"]["judge"]["two digits"]
    far = {way: walks[way]["Fréchet distance, half way"] for way in walks}
    columns = ["", "tutorial recipe", *(f"this notebook, {name}" for name in names)]
    rows = [columns, ["---"] + ["---:"] * (len(columns) - 1)]
    rows.append(
        ["−ELBO on test images, nats", *(f"{sum(run['curve'][-1]):.2f}" for run in runs.values())]
    )
    times = [run["seconds"][-1] for run in runs.values()]
    rows.append(["training", *(f"{each:.0f} s = {share_of(each, times[0])}" for each in times)])
    rows.append([f"until {goal:.2f} nats", *(f"{reached(run, goal)} s" for run in runs.values())])
    distance = f"{far['plain decoder']:.0f}; tuned decoder {far['tuned decoder']:.0f}"
    shown = [distance if "default" in name else "–" for name in names]
    rows.append(
        ["half way between two digits, distance from real images", f"{far['tutorial']:.0f}", *shown]
    )
    rows.append(["figures and code as PDF", "LaTeX or a browser", *["`pip` alone"] * len(ours)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def fill(results):
    """Put the tables of the results into the READMEs, between their marks."""
    whole = {way: f"{sum(parts.values()):.0f}" for way, parts in results["whole"].items()}
    judges = [interpolation_table(measured) for measured in results["interpolation"].values()]
    texts = {
        "headline": headline(results),
        "machine": f"Measured on {results['machine']}. The whole notebook, PDF included, took "
        f"{whole['cold']} s from nothing and {whole['saved']} s with saved weights.",
        "runs": table(results["runs"], "tutorial"),
        "judge": judges[0],
        "second judge": judges[1],
    }
    for path in (PROJECT / "README.md", PROJECT / "benchmarks" / "README.md"):
        written = path.read_text(encoding="utf-8")
        for name, text in texts.items():
            mark = rf"(<!-- {name} -->\n).*?(\n<!-- end -->)"
            written = re.sub(
                mark, lambda found, text=text: found[1] + text + found[2], written, flags=re.S
            )
        path.write_text(written, encoding="utf-8")


def bench(quick, long):
    """Run everything, print the tables, and return the results."""
    data = {"DATASET": "sample" if quick else "mnist"}
    results = PROJECT / "benchmarks" / "results.json"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        (PROJECT / "data" / "MNIST").mkdir(exist_ok=True)
        for part in ("MNIST", "sample"):
            (folder / "data" / part).symlink_to(PROJECT / "data" / part)
        reference, short = "tutorial", "notebook, EPOCHS=1"
        runs = {reference: in_process("tutorial", folder, EPOCHS=1 if quick else 10, **data)}
        runs[short] = in_process("notebook", folder, EPOCHS=1, **data)
        if not quick:
            runs["notebook, default"] = in_process("notebook", folder, **data)
            # A few seconds are soon disturbed: the median of three, apart from each other.
            trials = [runs[short], in_process("notebook", folder, EPOCHS=1, **data)]
        if long:
            runs[f"notebook, EPOCHS={long}"] = in_process("notebook", folder, EPOCHS=long, **data)
        if not quick:
            trials.append(in_process("notebook", folder, EPOCHS=1, **data))
            runs[short] = sorted(trials, key=lambda run: run["seconds"][-1])[1]
        small = {"EPOCHS": 1} if quick else {}
        parts = {
            "cold": run_whole(folder, **data, **small),
            "saved": run_whole(folder, **data, **small),
        }
        interpolation = in_process("interpolation", folder, **data, **small)
    print(f"\n{machine()}\n\n{table(runs, reference)}\n")
    print("| whole notebook, seconds | from nothing | with saved weights |\n| --- | --- | --- |")
    for part in parts["cold"]:
        print(f"| {part} | {parts['cold'][part]:.1f} | {parts['saved'][part]:.1f} |")
    for title, left_out in {"all": "none", "all but Part 5": "Part 5"}.items():
        cold, saved = (
            sum(seconds for part, seconds in parts[way].items() if not part.startswith(left_out))
            for way in ("cold", "saved")
        )
        ratio = cold / runs[reference]["seconds"][-1]
        print(f"| {title} | {cold:.1f} = {ratio:.2f} T | {saved:.1f} |")
    for judge, measured in interpolation.items():
        print(f"\n{judge}:\n\n{interpolation_table(measured)}")
    if not quick:
        found = {"machine": machine(), "runs": runs, "whole": parts, "interpolation": interpolation}
        results.write_text(json.dumps(found, indent=1) + "\n")
        fill(found)
        draw(runs, PROJECT / "figures" / "benchmark.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small, on the sample; writes nothing")
    parser.add_argument(
        "--long", type=int, metavar="EPOCHS", help="train once more, for so many epochs"
    )
    parser.add_argument("--fill", action="store_true", help="only put results.json into the READMEs")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        kind, settings, out = arguments.child
        Path(out).write_text(json.dumps(child(kind, json.loads(settings))))
    elif arguments.fill:
        fill(json.loads((PROJECT / "benchmarks" / "results.json").read_text()))
    else:
        bench(arguments.quick, arguments.long)
