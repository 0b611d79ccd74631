"""`python benchmarks/report.py`: make every table of what was measured.

Reads results.json and the like, which the scripts beside this one write; puts tables
between the marks <!-- name --> and <!-- end --> of READMEs, NOTES, and the notebook's
text. Says which of the notebook's cells have changed since.
"""

import ast
import json
import os
import platform
import zlib

import nbformat
import pandas
import torch
from cells import CELLS, PROJECT, QUICK, RUN
from read_notebook import definitions

FOLDER = PROJECT / "benchmarks"
PAGES = ["README.md", "benchmarks/README.md", "benchmarks/NOTES.md"]
REAL = "real images"
FADE = "cross-fade"
TUTORIAL = "tutorial recipe"
TEXTBOOK = "textbook VAE"
NOTEBOOK = "this notebook"
PLUS_TEMPERATURE = "+ temperature"
PLUS_RADIUS = "+ radius"
PLUS_CORNERS = "+ corners (this notebook)"
ELBO = "−ELBO (T = 1)"
# Of walks between two digits, or within one.
MEASURES = [
    "-ELBO",
    "half way",
    "switches once",
    "sharpness",
    "longest step",
    "within a digit: half way",
    "within a digit: switches once",
    "within a digit: sharpness",
    "within a digit: longest step",
    "error at the ends",
]


def markdown(table):
    """Return a DataFrame of texts as a Markdown table."""
    aligned = ["left"] + ["right"] * len(table.columns)
    return table.to_markdown(disable_numparse=True, colalign=aligned)


def number(value):
    """Return a number as a table shows it."""
    return f"{value:.1f}" if abs(value) > 2 else f"{value:.2f}"


def mean(values):
    """Return the mean of a column as a text."""
    return number(values.mean())


def spread(values):
    """Return the range of a column as a text; of a single value, none."""
    if len(values) == 1:
        return ""
    return f"{number(values.min())} to {number(values.max())}"


def mean_and_range(values):
    """Return the mean of a measure over seeds as a text; of the two main ones, more."""
    if values.name in ("half way", "switches once") and len(values) > 1:
        return f"{mean(values)} ({spread(values)})"
    return mean(values)


def texts_of_walks(walks, summary):
    """Return a DataFrame of texts over seeds: a row for each judge and way."""
    groups = pandas.DataFrame(walks).groupby(["judge", "row"])[MEASURES]
    return groups.agg(summary).replace("nan", "").rename(columns={"-ELBO": ELBO})


def walks_table(walks, summary):
    """Return a DataFrame of texts over seeds: a row for each way.

    They are of the notebook's judge and, after "/" if that differs, of the second."""
    texts = texts_of_walks(walks, summary)
    first = texts.loc["judge"]
    second = texts.loc["second judge"]
    both = first.where(first == second, first + " / " + second)
    both = both.rename(
        columns={"within a digit: switches once": "within a digit: never switches"}
    )
    rows = dict.fromkeys(record["row"] for record in walks)
    return both.loc[list(rows)].rename_axis("")


def steps_table(walks):
    """Return the table for those who read no more: by the notebook's judge alone."""
    rows = [REAL, FADE, TUTORIAL, TEXTBOOK, PLUS_TEMPERATURE, PLUS_RADIUS, PLUS_CORNERS]
    shown = [ELBO, "half way", "switches once", "within a digit: half way"]
    table = texts_of_walks(walks, mean).loc["judge"].loc[rows, shown]
    return table.rename_axis("")


def claim(steps):
    """Return the claim, in numbers of the table of steps."""
    distance = steps["half way"].astype(float)
    closer = distance[TEXTBOOK] / distance[PLUS_RADIUS]
    once = steps["switches once"].astype(float).map("{:.0%}".format)
    return (
        "**Decoded differently, without labels or training, a textbook VAE's images "
        f"halfway between two digits come {closer:.1f} times closer to real ones, in "
        "squared Fréchet distance. "
        "With training labels, for the prior, a classifier sees "
        f"{once[PLUS_CORNERS]} of straight lines between codes of two digits switch "
        f"from one to the other exactly once (without {once[PLUS_RADIUS]}, textbook "
        f"VAE {once[TEXTBOOK]}, cross-fade {once[FADE]}, real images, which jump, "
        f"{once[REAL]}).**"
    )


def training_table(runs):
    """Return a DataFrame of texts of trainings: loss on the test split, and time."""
    groups = pandas.DataFrame(runs).groupby(["kind", "EPOCHS"], sort=False)
    table = groups[["-ELBO", "reconstruction", "KL"]].agg(mean)
    table.insert(1, "range", groups["-ELBO"].agg(spread))
    table.insert(0, "runs", groups.size())
    seconds = groups["seconds"].median()
    table["seconds: median"] = seconds.map(number)
    ratio = seconds / seconds[TUTORIAL, 10]
    table["to the tutorial's"] = ratio.map("{:.1f}".format)
    table.index = [f"{kind}, EPOCHS={epochs}" for kind, epochs in table.index]
    table = table.rename(columns={"-ELBO": "−ELBO: mean"})
    return table.replace("nan.*", "", regex=True)


def bench_tables(results):
    """Return {name: text} of what bench.py measures."""
    walks = walks_table(results["walks"], mean_and_range)
    steps = steps_table(results["walks"])
    training = training_table(results["runs"])
    # "Is mine right?": these rows as columns.
    rows = [f"{NOTEBOOK}, EPOCHS=1", f"{NOTEBOOK}, EPOCHS=8", f"{TEXTBOOK}, EPOCHS=8"]
    mine = training.loc[rows, ["−ELBO: mean", "range", "reconstruction", "KL"]]
    return {
        "claim": claim(steps),
        "steps": markdown(steps),
        "walks": markdown(walks.T),
        "training": f"{markdown(training)}\n\nMeasured on {results['machine']}.",
        "mine": markdown(mine.T),
    }


def peers_tables(walks):
    """Return {name: text} of what peers.py measures."""
    return {"peers": markdown(walks_table(walks, mean))}


def choices_tables(walks):
    """Return {name: text} of what choices.py measures."""
    shown = [ELBO, "half way", "switches once", "longest step", "error at the ends"]
    return {"choices": markdown(walks_table(walks, mean)[shown])}


def mistakes_tables(found):
    """Return {name: text} of what mistakes.py measures."""
    return {"mistakes": pandas.DataFrame({"what came out": found}).to_markdown()}


TABLES = {
    "results": bench_tables,
    "peers": peers_tables,
    "mistakes": mistakes_tables,
    "choices": choices_tables,
}


def machine():
    """Return this machine in words."""
    if torch.cuda.is_available():
        kind = torch.cuda.get_device_name()
    else:
        kind = f"{platform.machine()} with {torch.backends.cpu.get_cpu_capability()}"
    version = torch.__version__.split("+")[0]
    return f"{kind}, {os.cpu_count()} cores, PyTorch {version}"


def checksums():
    """Return {title: a number that changes with what is used of the cell}."""
    sums = {}
    for title, source in CELLS.items():
        code = ast.unparse(ast.parse(source)) if title in RUN else definitions(source)
        sums[title] = zlib.crc32(code.encode())
    return sums


def read(name):
    """Return what was saved: {"code", "results"}."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def committed_tables():
    """Return {name: text} of the committed results."""
    tables = {}
    for name, make_tables in TABLES.items():
        tables |= make_tables(read(name)["results"])
    return tables


def filled(text, tables):
    """Return a text with these tables between their marks."""
    for name, table in tables.items():
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        if mark:
            rest = rest[rest.index("<!-- end -->") :]
            text = f"{before}{mark}{table}\n{rest}"
    return text


def fill_pages():
    """Fill the pages and the notebook's text; say what is out of date."""
    tables = committed_tables()
    for page in PAGES:
        path = PROJECT / page
        text = path.read_text(encoding="utf-8")
        path.write_text(filled(text, tables), encoding="utf-8")
    path = PROJECT / "HW9.ipynb"
    hw9 = nbformat.read(path, as_version=4)
    for cell in hw9.cells:
        if cell.cell_type == "markdown":
            cell.source = filled(cell.source, tables)
    nbformat.write(hw9, path)
    for name in TABLES:
        changed = dict(read(name)["code"].items() - checksums().items())
        if changed:
            print(f"Changed since {name}.json was measured:", *sorted(changed))


def publish(name, results):
    """Save what was measured, and fill the pages; if quick, only print its tables."""
    if QUICK:
        for text in TABLES[name](results).values():
            print(f"\n{text}")
        return
    found = {"code": checksums(), "results": results}
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")
    fill_pages()


if __name__ == "__main__":
    fill_pages()
