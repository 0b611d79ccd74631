"""What `make bench` reports: tables for the READMEs, and two pictures."""

import base64
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median

from cells import PROJECT

TUTORIAL = "tutorial recipe"
STEPS = TEXTBOOK, DIRECTIONS, NOTEBOOK = (
    "textbook VAE",
    "+ directions and corners",
    "+ temperature",  # with it, this is the notebook
)
EPOCHS = 1, 3, 8  # the last: as in the notebook's settings
# The tables' names of measures: the kind of pair, and the notebook's name.
MEASURES = {
    "half way": ("two digits", "half way"),
    "switches once": ("two digits", "switches once"),
    "one of the two": ("two digits", "one of the two"),
    "sharpness": ("two digits", "sharpness"),
    "longest step": ("two digits", "longest step"),
    "within: half way": ("one digit", "half way"),
    "within: stays": ("one digit", "stays"),
    "within: sharpness": ("one digit", "sharpness"),
    "within: longest step": ("one digit", "longest step"),
    "error at the ends": ("two digits", "error at the ends"),
}
HEADLINE = "switches once", "half way", "within: half way"
MAIN = (
    *("half way", "switches once", "one of the two", "sharpness"),
    *("within: half way", "within: stays", "error at the ends"),
)


def markdown(head, rows):
    """Return a Markdown table, numbers to the right."""
    lines = ["| " + " | ".join(line) + " |" for line in (head, *rows)]
    lines.insert(1, "|---" + "|---:" * (len(head) - 1) + "|")
    return "\n".join(lines)


def bound(result):
    """Return −ELBO of the test split after the last epoch, or None."""
    return result["curve"][-1]["-ELBO"] if result["curve"] else None


def told(result, measure, judges):
    """Return the value of a measure, by each of so many judges if they differ."""
    kind, key = MEASURES[measure]
    values = [told[kind][key] for told in list(result["walks"].values())[:judges]]
    texts = [f"{value:.1f}" if value > 5 else f"{value:.2f}" for value in values]
    return " / ".join(dict.fromkeys(texts))


def walks_table(results, measures=MAIN, judges=1, seconds=False):
    """Return a table with a row for each VAE, by the notebook's judge or by two."""
    rows = []
    for name, result in results.items():
        row = [name, f"{bound(result):.2f}" if bound(result) else ""]
        row += [told(result, measure, judges) for measure in measures]
        rows.append(row + [f"{result['seconds'][-1]:.0f}"] * seconds)
    head = ["", "−ELBO", *measures, *["seconds"] * seconds]
    return markdown(head, rows)


def of_t(seconds, reference):
    """Return seconds as a share of T, the tutorial's."""
    ratio = seconds / reference
    return f"T/{1 / ratio:.1f}" if ratio < 0.5 else f"{ratio:.2f} T"


def training_table(runs):
    """Return a table of trainings: loss on the test split, time, memory."""
    goal = bound(runs[TUTORIAL])
    whole = runs[TUTORIAL]["seconds"][-1]
    rows = []
    for name, run in runs.items():
        reached = "–"
        for epoch, seconds in zip(run["curve"], run["seconds"], strict=True):
            if epoch["-ELBO"] <= goal:
                reached = f"{seconds:.1f}"
                break
        last = run["seconds"][-1]
        row = [name, f"{bound(run):.2f}", f"{last:.1f}", of_t(last, whole), reached]
        rows.append([*row, f"{run['memory'] / 1e9:.2f}"])
    to_goal = f"seconds to {goal:.2f}"
    head = ["", "−ELBO, nats", "seconds", "of T", to_goal, "memory, GB"]
    return markdown(head, rows)


def epochs_table(groups):
    """Return a table of {epochs: runs}: loss on the test split over seeds, seconds."""
    rows = []
    for epochs, runs in groups.items():
        bounds = [bound(run) for run in runs]
        row = [str(epochs), f"{mean(bounds):.2f}"]
        row.append(f"{min(bounds):.2f} to {max(bounds):.2f}")
        rows.append([*row, f"{median(run['seconds'][-1] for run in runs):.1f}"])
    head = ["epochs", "−ELBO, nats: mean", "range", "seconds, median"]
    return markdown(head, rows)


def is_mine_right(groups):
    """Return lines for the notebook's table: means of {name: runs}, test split."""
    lines = []
    for name, runs in groups.items():
        last = [run["curve"][-1] for run in runs]
        keys = ("reconstruction", "KL", "-ELBO")
        means = [f"{key} {mean(one[key] for one in last):.2f}" for key in keys]
        lines.append(f"{name} ({len(runs)} seeds): {', '.join(means)}")
    return "\n".join(lines)


def machine(results):
    """Return a line on this machine, and the seconds of whole notebooks."""
    info = Path("/proc/cpuinfo")
    found = (
        re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    )
    model = (found or [platform.machine()])[0]
    torch = version("torch").split("+")[0]
    text = f"Measured on {model}, {os.cpu_count()} cores, PyTorch {torch}"
    if "two at once" in results:  # the last to be measured
        share = results["whole"] / results[TUTORIAL]["seconds"][-1]
        ratio = results["two at once"] / results["short"]
        text += (
            f". The whole notebook: {results['whole']:.0f} s = {share:.2f} T; "
            f"two at once take {ratio:.2f} times as long as one (EPOCHS=1)"
        )
    return text + "."


def judges_table(results):
    """Return a table with a column for each VAE, by both judges where they differ."""
    rows = [["−ELBO", *(f"{bound(result):.2f}" for result in results.values())]]
    for measure in MEASURES:
        rows.append([measure, *(told(each, measure, 2) for each in results.values())])
    return markdown(["", *results], rows)


def report(results):
    """Return {name: text} of the tables."""
    steps = {name: results[name] for name in STEPS}
    groups = {epochs: [] for epochs in EPOCHS}
    trainings = results | {f"seed 0, {EPOCHS[-1]}": results[NOTEBOOK]}
    for name in sorted(trainings):
        if name.startswith("seed"):
            groups[int(name.split(", ")[1])].append(trainings[name])
    groups = {epochs: runs for epochs, runs in groups.items() if runs}
    quickest_first = sorted(groups[1], key=lambda run: run["seconds"][-1])
    training = {
        TUTORIAL: results[TUTORIAL],
        "notebook, EPOCHS=1": quickest_first[len(quickest_first) // 2],
        "notebook, default": results[NOTEBOOK],
    }
    training |= {name: results[name] for name in results if "EPOCHS=" in name}
    both = {TEXTBOOK: results[TEXTBOOK], "this notebook": results[NOTEBOOK]}
    rows = [[m, *(told(each, m, 1) for each in both.values())] for m in HEADLINE]
    headline = markdown(["", *both], rows)
    mine = {f"EPOCHS={epochs}": runs for epochs, runs in groups.items()}
    return {
        "headline": headline.replace("within: half way", "within a digit"),
        "machine": machine(results),
        "training": training_table(training),
        "epochs": epochs_table(groups),
        "steps": walks_table(steps),
        "walks": judges_table({TUTORIAL: results[TUTORIAL], **steps}),
        "is mine right": is_mine_right(mine | {TEXTBOOK: [results[TEXTBOOK]]}),
    }


def draw(results, folder):
    """Draw textbook.png and interpolation.gif into a folder."""
    import torch
    from walks import draw_pairs

    names = {"textbook VAE": TEXTBOOK, "this notebook": NOTEBOOK}
    rows = {name: torch.tensor(results[of]["rows"]) / 255 for name, of in names.items()}
    draw_pairs(rows, folder / "textbook.png")
    animation = base64.b64decode(results[NOTEBOOK]["animation"])
    (folder / "interpolation.gif").write_bytes(animation)


def fill(texts):
    """Put texts into the READMEs, between their marks."""
    for path in (PROJECT / "README.md", PROJECT / "benchmarks" / "README.md"):
        written = path.read_text(encoding="utf-8")
        for name, text in texts.items():
            before, mark, rest = written.partition(f"<!-- {name} -->\n")
            if mark:
                rest = rest[rest.index("<!-- end -->") :]
                written = f"{before}{mark}{text}\n{rest}"
        path.write_text(written, encoding="utf-8")
