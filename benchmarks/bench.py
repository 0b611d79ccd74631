"""`make bench`: the tutorial recipe, a textbook VAE and the notebook, in one run.

Prints tables and puts them into README.md and benchmarks/README.md, between marks. Each
training runs in a process of its own, so that its time and its memory are its own. The
test split is measured after each epoch, outside the time that counts. `--quick` does it
small, on the sample, and writes nothing; `--long N` trains once more, for N epochs.
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
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(PROJECT / "tests"), str(PROJECT / "benchmarks")]

# What is added to the textbook, one after the other: settings, and whether only the
# direction of a code counts.
STEPS = {
    "textbook VAE": ({"CORNER_DISTANCE": 0.0, "TEMPERATURE": 1.0}, False),
    "+ directions": ({"CORNER_DISTANCE": 0.0, "TEMPERATURE": 1.0}, True),
    "+ corners": ({"TEMPERATURE": 1.0}, True),
    "+ temperature": ({}, True),
}
JUDGES = "judge", "second judge"


class Timed:
    """A loader that notes the seconds of each pass over it."""

    def __init__(self, loader):
        """Take anything that yields batches."""
        self.loader, self.seconds = loader, []

    def __len__(self):
        """Return the number of batches."""
        return len(self.loader)

    def __iter__(self):
        """Yield the batches, and note how long it took until there were no more."""
        start = time.perf_counter()
        yield from self.loader
        self.seconds.append(time.perf_counter() - start)


def run_cells(names, first, last, settings, directions=True):
    """Run the notebook's own cells from `first` to `last` in `names`, with settings."""
    from conftest import read_cells, run_cell

    cells = read_cells()
    order = list(cells)
    for name in order[order.index(first) : order.index(last) + 1]:
        source = cells[name]
        if not directions:
            layer = "nn.Linear(latent_dim, hidden, bias=False)"
            norm = "nn.RMSNorm(hidden, elementwise_affine=False)"
            source = source.replace(layer, "nn.Linear(latent_dim, hidden)")
            source = source.replace(norm, "nn.Identity()")
        run_cell(source, name, names)
        if name == "settings":
            names.update(settings)


def train_notebook(names, settings, directions):
    """Train as the notebook does; return the curve on the test split, and seconds."""
    run_cells(names, "imports", "saving", settings, directions)
    loader = names["train_loader"] = Timed(names["train_loader"])
    names["val_images"], saving = names["test_images"], names["load_or_train"]
    names["load_or_train"] = lambda *given: given[-1]()  # train, whatever is saved
    run_cells(names, "fit", "fit", settings)
    names["load_or_train"] = saving
    return [epoch["validation"] for epoch in names["history"]], loader.seconds


def train_tutorial(names, settings):
    """Train the tutorial's VAE; return the curve on the test split, and seconds."""
    from tutorial import TutorialVAE, fit

    run_cells(names, "imports", "saving", settings)
    import torch

    torch.manual_seed(0)
    vae = TutorialVAE()
    loader = Timed(
        names["DataLoader"](names["mnist_train"], batch_size=128, shuffle=True)
    )
    curve = fit(vae, loader, names["test_images"], settings["EPOCHS"])
    names.update(encoder=vae.encode, plain_decoder=vae.decode)
    return curve, loader.seconds


def measure_walks(names):
    """Return {judge: {kind: {measure: value}}} of straight lines, by Part 5's protocol.

    The second judge is of another kind (fully connected); nothing was chosen by it.
    """
    import torch
    from torch import nn

    for first, last in [("sharp", "sharp"), ("walks", "pairs"), ("judge", "ways")]:
        run_cells(names, first, last, {})
    torch.manual_seed(1)
    see = nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 128), nn.ReLU()
    second = nn.Sequential(nn.Sequential(*see), nn.Linear(128, 10))
    loader = names["make_loader"](names["train_images"], names["train_labels"], 256)
    fit = names["partial"](names["train_judge"], second, loader, 4)
    made_of = [len(names["images"])]
    names["load_or_train"]("second", second, [names["train_judge"]], made_of, 1, fit)
    judges, found = dict(zip(JUDGES, (names["judge"], second), strict=True)), {}
    t, reference = torch.arange(9) / 8, names["test_images"][names["others"]]
    for kind, chosen in names["pairs"].items():
        count = min(2000, len(names["half"]) // 2)
        pair = torch.stack([names["i"][chosen], names["j"][chosen]], 1)[:count]
        ends, digits = names["test_images"][pair], names["test_labels"][pair]
        line = names["ways"]["straight line"]
        walks = torch.cat([line(*part.unbind(1), t) for part in ends.split(100)])
        for name, judge in judges.items():
            values, _ = names["measure"](walks, ends, digits, judge, reference)
            features = names["ask"](judge, walks.flatten(0, 1))[0].unflatten(0, (-1, 9))
            steps = features.diff(dim=1).norm(dim=2)
            values["longest step"] = float((steps.amax(1) / steps.sum(1)).mean())
            found.setdefault(name, {})[kind] = values
    return found


def child(kind, settings, directions, walks):
    """Train in this process; return curve, seconds, memory, and what walks measure."""
    names = {"__name__": "__main__"}
    if kind == "tutorial":
        curve, seconds = train_tutorial(names, settings)
        names["TEMPERATURE"] = 1.0
    else:
        curve, seconds = train_notebook(names, settings, directions)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result = {"curve": curve, "memory": memory}
    result["seconds"] = list(itertools.accumulate(seconds))
    if walks:
        names["SEED"] = 0  # one judge and the same ends for all
        result["walks"] = measure_walks(names)
    return result


def start(folder, kind, settings, directions=True, walks=False, environment=()):
    """Start a training in a process of its own; return it and its result's path."""
    handle, out = tempfile.mkstemp(suffix=".json", dir=folder)
    os.close(handle)
    words = json.dumps([kind, settings, directions, walks])
    command = [sys.executable, __file__, "--child", words, out]
    environment = os.environ | dict(environment)
    return subprocess.Popen(command, cwd=folder, env=environment), Path(out)


def run(folder, kind, settings, **more):
    """Train in a process of its own and return the result."""
    print(f"\n{kind}: {settings} {more}", flush=True)
    process, out = start(folder, kind, settings, **more)
    assert process.wait() == 0, "the training failed"
    return json.loads(out.read_text())


def run_beside(folder, settings, spins):
    """Return seconds of one epoch alone and beside another training."""
    given = {"environment": {"GOMP_SPINCOUNT": spins}}
    alone = run(folder, "notebook", settings | {"EPOCHS": 1}, **given)
    other, _ = start(folder, "notebook", settings | {"EPOCHS": 1000}, **given)
    time.sleep(12)  # until it trains
    beside = run(folder, "notebook", settings | {"EPOCHS": 1}, **given)
    other.kill()
    other.wait()
    return alone["seconds"][-1], beside["seconds"][-1]


def run_whole(folder, settings):
    """Run the whole notebook through papermill; return its seconds."""
    words = [
        word for name, value in settings.items() for word in ("-p", name, str(value))
    ]
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(PROJECT / "HW9.ipynb"),
        "out.ipynb",
    ]
    start = time.perf_counter()
    subprocess.run([*command, *words], cwd=folder, check=True)
    return time.perf_counter() - start


def markdown(head, rows):
    """Return a Markdown table, numbers to the right."""
    lines = ["| " + " | ".join(line) + " |" for line in (head, *rows)]
    lines.insert(1, "|---" + "|---:" * (len(head) - 1) + "|")
    return "\n".join(lines)


def of_t(seconds, reference):
    """Return seconds as a share of T, the tutorial's."""
    ratio = seconds / reference
    return f"T/{1 / ratio:.1f}" if ratio < 0.5 else f"{ratio:.2f} T"


def training_table(runs):
    """Return a table of trainings: loss on the test split, time, memory."""
    reference = runs["tutorial recipe"]
    goal, whole = sum(reference["curve"][-1]), reference["seconds"][-1]
    rows = []
    for name, one in runs.items():
        totals = [sum(pair) for pair in one["curve"]]
        when = [
            s for s, total in zip(one["seconds"], totals, strict=True) if total <= goal
        ]
        row = [name, f"{totals[-1]:.2f}", f"{one['seconds'][-1]:.1f}"]
        row += [of_t(one["seconds"][-1], whole), f"{when[0]:.1f}" if when else "–"]
        rows.append([*row, f"{one['memory'] / 1e9:.2f}"])
    head = [
        "",
        "−ELBO, nats",
        "seconds",
        "of T",
        f"seconds to {goal:.2f}",
        "memory, GB",
    ]
    return markdown(head, rows)


def told(one, measure, judges):
    """Return the value of a measure, by each judge if they differ."""
    kind, key = measure.split(": ")
    values = [one["walks"][judge][kind][key] for judge in judges]
    texts = [f"{value:.1f}" if value > 5 else f"{value:.2f}" for value in values]
    return " / ".join(dict.fromkeys(texts))


def walks_table(runs):
    """Return a table of what both judges say of straight lines, a column per VAE."""
    rows = [["−ELBO, nats", *(f"{sum(one['curve'][-1]):.2f}" for one in runs.values())]]
    for kind, values in next(iter(runs.values()))["walks"]["judge"].items():
        for measure in (f"{kind}: {name}" for name in values):
            rows.append(
                [measure, *(told(one, measure, JUDGES) for one in runs.values())]
            )
    return markdown(["", *runs], rows)


def headline(runs, brief=False, seconds=False):
    """Return a table of what matters most, a row for each VAE; brief: by one judge."""
    measures = {
        "half way": "two digits: Fréchet distance, half way",
        "switches once": "two digits: switches once",
        "one of the two": "two digits: one of the two",
        "sharpness": "two digits: sharpness",
        "within: stays": "one digit: stays",
        "within: all the way": "one digit: Fréchet distance, all the way",
        "error at the ends": "two digits: error at the ends",
    }
    if brief:
        del measures["one of the two"], measures["within: stays"]
    rows = []
    for name, one in runs.items():
        bound = f"{sum(one['curve'][-1]):.1f}" if one["curve"][-1] else ""
        judges = JUDGES[:1] if brief else JUDGES
        row = [name, bound, *(told(one, each, judges) for each in measures.values())]
        rows.append(row + [f"{one['seconds'][-1]:.0f}"] * seconds)
    return markdown(["", "−ELBO", *measures, *["seconds"] * seconds], rows)


def machine():
    """Return a line that describes this machine."""
    import torch

    path = Path("/proc/cpuinfo")
    found = (
        re.findall(r"model name\s*: (.*)", path.read_text()) if path.exists() else []
    )
    model = (found or [platform.machine()])[0]
    version = torch.__version__.split("+")[0]
    return f"Measured on {model}, {os.cpu_count()} cores, PyTorch {version}."


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


def bench(quick, long):
    """Run everything; return {name: table}."""
    data = {"DATASET": "sample", "EPOCHS": 1} if quick else {"DATASET": "mnist"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        for part in ("MNIST", "sample"):
            (PROJECT / "data" / part).mkdir(exist_ok=True)
            (folder / "data" / part).symlink_to(PROJECT / "data" / part)
        tutorial = data | {"EPOCHS": 1 if quick else 10, "LATENT_DIM": 20}
        walks = {"tutorial recipe": run(folder, "tutorial", tutorial, walks=True)}
        short = [run(folder, "notebook", data | {"EPOCHS": 1})]
        for step, (settings, directions) in STEPS.items():
            given = {"directions": directions, "walks": True}
            walks[step] = run(folder, "notebook", data | settings, **given)
        short.append(run(folder, "notebook", data | {"EPOCHS": 1}))
        whole = [run_whole(folder, data) for _ in range(2)]
        seeds, texts, beside = {}, {}, []
        if not quick:
            seeds = {"seed 0": walks["+ temperature"]}
            for seed in range(1, 5):
                settings = data | {"SEED": seed}
                seeds[f"seed {seed}"] = run(folder, "notebook", settings, walks=True)
            beside = [run_beside(folder, data, spins) for spins in ("300000", "1000")]
        short.append(run(folder, "notebook", data | {"EPOCHS": 1}))
        short.sort(key=lambda one: one["seconds"][-1])
        runs = {"tutorial recipe": walks["tutorial recipe"]}
        runs |= {
            "notebook, EPOCHS=1": short[1],
            "notebook, default": walks["+ temperature"],
        }
        if long:
            settings = data | {"EPOCHS": long}
            runs[f"notebook, EPOCHS={long}"] = run(folder, "notebook", settings)
    reference = runs["tutorial recipe"]["seconds"][-1]
    texts["headline"] = headline(walks, brief=True)
    texts["training"], texts["walks"] = training_table(runs), walks_table(walks)
    cold, warm = (f"{each:.0f} s = {each / reference:.2f} T" for each in whole)
    texts["machine"] = (
        f"{machine()} The whole notebook: {cold}; with weights saved {warm}."
    )
    short, default = (
        f"{sum(one['curve'][-1]):.2f} nats in {of_t(one['seconds'][-1], reference)}"
        for one in (runs["notebook, EPOCHS=1"], runs["notebook, default"])
    )
    goal = (
        f"{sum(runs['tutorial recipe']['curve'][-1]):.2f} nats in T = {reference:.0f} s"
    )
    texts["speed"] = (
        f"Training: {default}, one epoch {short}; the tutorial recipe {goal}."
    )
    if seeds:
        texts["seeds"] = headline(seeds)
        names = [
            "GOMP_SPINCOUNT=300000, its default",
            "GOMP_SPINCOUNT=1000, as in the notebook",
        ]
        rows = [
            [n, *(f"{s:.1f}" for s in pair)]
            for n, pair in zip(names, beside, strict=True)
        ]
        head = ["one epoch, seconds", "alone", "beside another training"]
        texts["beside"] = markdown(head, rows)
    return texts


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small; writes nothing")
    parser.add_argument("--long", type=int, metavar="EPOCHS", help="train once more")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        words, out = arguments.child
        Path(out).write_text(json.dumps(child(*json.loads(words))))
    else:
        texts = bench(arguments.quick, arguments.long)
        for name, text in texts.items():
            print(f"\n{name}:\n\n{text}")
        if not arguments.quick:
            fill(texts)
