"""`python benchmarks/report.py`: make every table of what was measured.

Reads results.json and the like, which the scripts beside this one write; puts tables
between the marks <!-- name --> and <!-- end --> of READMEs, NOTES, and the notebook's
text. Says which of the notebook's cells have changed since.
"""

import argparse
import json
import os
import platform
import re
import tempfile
from importlib.metadata import version
from pathlib import Path

import nbformat
import pandas
from cells import checksums
from read_notebook import PROJECT

FOLDER = PROJECT / "benchmarks"
REAL = "real images"
FADE = "cross-fade"
TUTORIAL = "tutorial recipe"
TEXTBOOK = "textbook VAE"
NOTEBOOK = "this notebook"
TEMPERATURE = "+ temperature"
RADIUS = "+ radius"
CORNERS = "+ corners (this notebook)"
ELBO = "−ELBO (T = 1)"
# Of walks between two digits and, after "within: ", between two images of one.
MEASURES = [
    "-ELBO",
    "half way",
    "switches once",
    "one of the two",
    "sharpness",
    "longest step",
    "within: half way",
    "within: kept",
    "within: sharpness",
    "within: longest step",
    "error at the ends",
]


def markdown(table):
    """Return a DataFrame of texts as a Markdown table."""
    aligned = ["left"] + ["right"] * len(table.columns)
    return table.to_markdown(disable_numparse=True, colalign=aligned)


def number(value):
    """Return a number as a table shows it."""
    return f"{value:.1f}" if abs(value) > 5 else f"{value:.2f}"


def mean(values):
    """Return the mean of a column as a text."""
    return number(values.mean())


def spread(values):
    """Return the range of a column as a text."""
    return f"{number(values.min())} to {number(values.max())}"


def mean_and_range(values):
    """Return the mean of a measure over seeds as a text; of the two main ones, more."""
    if values.name in ("half way", "switches once") and values.round(3).nunique() > 1:
        return f"{mean(values)} ({spread(values)})"
    return mean(values)


def walks_table(records):
    """Return a DataFrame of texts of walks: means over seeds, a row for each way.

    They are of the notebook's judge and, after "/" if that differs, of the second."""
    frame = pandas.DataFrame(records)
    texts = (
        frame.groupby(["judge", "row"])[MEASURES].agg(mean_and_range).replace("nan", "")
    )
    first = texts.loc["judge"]
    second = texts.loc["second judge"]
    both = first.where(first == second, first + " / " + second)
    rows = dict.fromkeys([REAL, FADE, *frame["row"]])
    return both.loc[list(rows)].rename_axis("").rename(columns={"-ELBO": ELBO})


def share_of_T(share):
    """Return a multiple or a part of T as a text."""
    return f"{share:.1f} T" if share > 0.5 else f"T/{1 / share:.1f}"


def loss_table(groups):
    """Return a DataFrame of texts on the losses of grouped trainings."""
    table = groups["-ELBO"].agg(["size", mean, spread])
    table.columns = ["runs", "−ELBO: mean", "range"]
    return table


def training_table(groups, T):
    """Return a table of trainings: loss on the test split, time, and memory."""
    table = loss_table(groups)
    seconds = groups["seconds"].median()
    table["seconds: median"] = seconds.map(number)
    table["of T"] = (seconds / T).map(share_of_T)
    table["memory, GB"] = groups["memory"].agg(mean)
    table.index = [f"{kind}, EPOCHS={epochs}" for kind, epochs in table.index]
    return markdown(table)


def mine_table(groups):
    """Return the table of "Is mine right?": a column for each length of training."""
    table = loss_table(groups).rename(columns={"runs": "seeds"})
    table["reconstruction"] = groups["reconstruction"].agg(mean)
    table["KL"] = groups["KL"].agg(mean)
    table = table.loc[[(NOTEBOOK, 1), (NOTEBOOK, 8), (TEXTBOOK, 8)]].T
    table.columns = ["1 epoch", "8 epochs", "textbook VAE, 8 epochs"]
    return markdown(table)


def machine_line(results, T, machine):
    """Return a line on this machine, and on the seconds of whole notebooks."""
    line = f"Measured on {machine}. T = {T:.0f} s."
    if "two at once" in results:  # not in a quick run
        whole = results["whole"]["seconds"]
        pdf = results["whole"]["pdf"]
        ratio = results["two at once"]["seconds"] / results["short"]["seconds"]
        line += (
            f" The whole notebook: {whole:.0f} s = {whole / T:.1f} T; two at once take "
            f"{ratio:.1f} times as long as one (EPOCHS=1). The PDF after {pdf:.0f} s = "
            f"{pdf / T:.1f} T."
        )
    return line


def means_of_walks(records, judge):
    """Return a DataFrame of means over seeds by one judge, a row for each way."""
    frame = pandas.DataFrame(records)
    return frame[frame["judge"] == judge].groupby("row")[MEASURES].mean()


def claim(records):
    """Return the claim in numbers: means over seeds, by the notebook's judge."""
    means = means_of_walks(records, "judge")
    once = (100 * means["switches once"]).map("{:.0f} %".format)
    closer = means["half way"][TEMPERATURE] / means["half way"][RADIUS]
    return (
        f"**A classifier sees {once[CORNERS]} of straight lines between the codes of "
        "two test digits change from one to the other exactly once (textbook VAE "
        f"{once[TEXTBOOK]}, cross-fade {once[FADE]}, real images {once[REAL]}). This "
        "takes training labels, for the prior. The radius brings a textbook VAE's "
        f"halfway images {closer:.1f} times closer to real ones, in squared distance. "
        "This takes neither labels nor training.**"
    )


def caveat(records):
    """Return in numbers what the table of the README leaves out."""
    first = means_of_walks(records, "judge")
    second = means_of_walks(records, "second judge")
    once = second["switches once"].map(number)
    half_way = second["half way"].map("{:.0f}".format)
    within = first["within: half way"].map("{:.0f}".format)
    return (
        f"A second classifier sees {once[FADE]} of cross-fades and {once[CORNERS]} of "
        "this notebook's lines switch once, and by it the corners cost half way: from "
        f"{half_way[RADIUS]} to {half_way[CORNERS]}. Within a digit, *half way* goes "
        f"from {within[TEXTBOOK]} to {within[CORNERS]}."
    )


def bench_tables(results, machine):
    """Return {name: text} of what bench.py measures."""
    records = []
    for result in results.values():
        records += result.get("walks", [])
    runs = [result for result in results.values() if "kind" in result]
    groups = pandas.DataFrame(runs).groupby(["kind", "EPOCHS"], sort=False)
    T = groups["seconds"].median()[TUTORIAL, 10]
    walks = walks_table(records)
    # For those who read no more: six rows, a few measures, the notebook's judge.
    rows = [REAL, FADE, TEXTBOOK, TEMPERATURE, RADIUS, CORNERS]
    steps = walks.loc[rows, [ELBO, "half way", "switches once", "within: half way"]]
    steps = steps.rename(columns={"within: half way": "within a digit: half way"})
    steps = steps.replace(r" [/(].*", "", regex=True)
    return {
        "claim": claim(records),
        "machine": machine_line(results, T, machine),
        "training": training_table(groups, T),
        "mine": mine_table(groups),
        "walks": markdown(walks.T),
        "steps": markdown(steps),
        "headline": markdown(steps[[ELBO, "half way", "switches once"]]),
        "caveat": caveat(records),
    }


def peers_tables(results, machine):
    """Return {name: text} of what peers.py measures."""
    table = markdown(walks_table(results["walks"]))
    chosen = "; ".join(results["chosen"])
    return {"peers": f"{table}\n\nChosen: {chosen}. Measured on {machine}."}


def choices_tables(results, machine):
    """Return {name: text} of what choices.py measures."""
    shown = [ELBO, "half way", "switches once", "longest step", "error at the ends"]
    table = walks_table(results).drop([REAL, FADE])
    return {"choices": markdown(table[shown].replace(r" \([^)]*\)", "", regex=True))}


def mistakes_tables(results, machine):
    """Return {name: text} of what mistakes.py measures: two tables."""
    tables = {}
    for name, found in results.items():
        table = pandas.DataFrame({"what came out": found})
        tables[name] = table.to_markdown()
    return tables


TABLES = {
    "results": bench_tables,
    "peers": peers_tables,
    "mistakes": mistakes_tables,
    "choices": choices_tables,
}


def machine():
    """Return this machine in words."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    model = re.findall("model name\\s*: (.*)", text) or [platform.machine()]
    torch = version("torch").split("+")[0]
    return f"{model[0]}, {os.cpu_count()} cores, PyTorch {torch}"


def read(name):
    """Return what was saved: {"code", "machine", "results"}."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def read_unsaved():
    """Return the results of a run that was stopped, if its code is the notebook's."""
    found = read("unsaved")
    if found["code"] != checksums():
        raise SystemExit("The notebook has changed since: begin anew.")
    return found["results"]


def save(name, results):
    """Write what was measured, and the cells that it was measured with."""
    found = {"code": checksums(), "machine": machine(), "results": results}
    text = json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")


def committed_tables():
    """Return {name: text} of the files that are there, {name: cells that differ}."""
    tables = {}
    changed = {}
    now = checksums()
    for name, make_tables in TABLES.items():
        if (FOLDER / f"{name}.json").exists():
            found = read(name)
            tables |= make_tables(found["results"], found["machine"])
            changed[name] = sorted(dict(now.items() - found["code"].items()))
    return tables, changed


def filled(text, tables):
    """Return a text with these tables between their marks."""
    for name, table in tables.items():
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        if mark:
            rest = rest[rest.index("<!-- end -->") :]
            text = f"{before}{mark}{table}\n{rest}"
    return text


def fill_pages():
    """Fill the pages and the notebook's text; print tables, and what is out of date."""
    tables, changed = committed_tables()
    for path in (PROJECT / "README.md", FOLDER / "README.md", FOLDER / "NOTES.md"):
        text = path.read_text(encoding="utf-8")
        path.write_text(filled(text, tables), encoding="utf-8")
    path = PROJECT / "HW9.ipynb"
    hw9 = nbformat.read(path, as_version=4)
    for cell in hw9.cells:
        if cell.cell_type == "markdown":
            cell.source = filled(cell.source, tables)
    nbformat.write(hw9, path)
    show(tables)
    for name, titles in changed.items():
        if titles:
            print(
                f"\n{name}.json was measured before these changed: {', '.join(titles)}."
            )


def show(tables):
    """Print tables {name: text}."""
    for name, text in tables.items():
        print(f"\n{name}:\n\n{text}")


def make_parser(purpose):
    """Return a parser of the words that all scripts understand."""
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("--quick", action="store_true", help="small; changes nothing")
    parser.add_argument("--save", action="store_true", help="into files and pages, too")
    return parser


def small(given):
    """Return the settings of a quick run; of any other, none."""
    return {"DATASET": "sample", "EPOCHS": 1} if given.quick else {}


def figures(given):
    """Return the folder for pictures; of a quick run, a temporary one."""
    if given.quick:
        folder = Path(tempfile.mkdtemp())
        print(f"\nThe pictures are in {folder}.")
        return folder
    return PROJECT / "figures"


def publish(name, results, given):
    """Show what was measured or, as the command line says, save it and fill pages."""
    if given.save and not given.quick:
        save(name, results)
        fill_pages()
    else:
        show(TABLES[name](results, machine()))


if __name__ == "__main__":
    fill_pages()
