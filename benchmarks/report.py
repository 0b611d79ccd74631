"""`python benchmarks/report.py`: make every table of what was measured.

Reads results.json, peers.json, and mistakes.json, which the scripts beside this one
write, and sweep.json; puts tables between the marks <!-- name --> and <!-- end --> of
READMEs, NOTES, and the notebook's text. Says if the notebook's code has changed since.
"""

import json
import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from statistics import mean, median

import nbformat
from cells import checksums
from notebook import PROJECT

FOLDER = PROJECT / "benchmarks"
TUTORIAL = "tutorial recipe"
TEXTBOOK = "textbook VAE"
SHARPENED = "+ temperature"
CORNERS = "+ corners"
NOTEBOOK = "this notebook"
DIRECTIONS = "directions"
ROWS = [TUTORIAL, TEXTBOOK, SHARPENED, CORNERS, NOTEBOOK, DIRECTIONS]
# Of walks between two digits and, after "within: ", between two images of one.
MEASURES = [
    "half way",
    "switches once",
    "one of the two",
    "belief",
    "sharpness",
    "longest step",
    "within: half way",
    "within: kept",
    "within: sharpness",
    "within: longest step",
    "error at the ends",
]


def markdown(lines):
    """Return a Markdown table of lines of texts, the first its head."""
    texts = []
    for line in lines:
        texts.append("| " + " | ".join(line) + " |")
    texts.insert(1, "|---" + "|---:" * (len(lines[0]) - 1) + "|")
    return "\n".join(texts)


def number(value):
    """Return a number as a table shows it; nothing for None."""
    if value is None:
        return ""
    return f"{value:.1f}" if abs(value) > 5 else f"{value:.2f}"


def turned(lines):
    """Return lines whose first is made of the first of each of these, and so on."""
    return [list(column) for column in zip(*lines, strict=True)]


def last(runs, term):
    """Return a term of the loss on the test split after the last epoch of each run."""
    return [run["curve"][-1][term] for run in runs]


def spread(values, digits):
    """Return the range of several values in words."""
    if len(values) == 1:
        return "–"
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def find_tutorial(results):
    """Return the result of the tutorial recipe, whose seconds are T."""
    for result in results.values():
        if result.get("kind") == TUTORIAL:
            return result


def group_runs(results):
    """Return {(kind, epochs): runs} of trainings."""
    groups = {}
    for result in results.values():
        if "curve" in result:
            key = result["kind"], len(result["curve"])
            groups.setdefault(key, []).append(result)
    return groups


def training_table(results):
    """Return a table of trainings: loss on the test split, time, and memory."""
    tutorial = find_tutorial(results)
    goal = tutorial["curve"][-1]["-ELBO"]
    head = ["", "runs", "−ELBO: mean", "range", "seconds: median", "of T"]
    lines = [[*head, f"seconds to {goal:.2f}", "memory, GB"]]
    for (kind, epochs), runs in group_runs(results).items():
        seconds = median(run["seconds"][-1] for run in runs)
        share = seconds / tutorial["seconds"][-1]
        reached = "–"
        for epoch in reversed(range(epochs)):
            if mean(run["curve"][epoch]["-ELBO"] for run in runs) <= goal:
                reached = f"{median(run['seconds'][epoch] for run in runs):.1f}"
        line = [
            f"{kind}, EPOCHS={epochs}",
            str(len(runs)),
            f"{mean(last(runs, '-ELBO')):.2f}",
            spread(last(runs, "-ELBO"), 2),
            f"{seconds:.1f}",
            f"T/{1 / share:.1f}" if share < 0.5 else f"{share:.2f} T",
            reached,
            f"{median(run['memory'] for run in runs) / 1e9:.2f}",
        ]
        lines.append(line)
    return markdown(lines)


def mine_table(results):
    """Return the table of "Is mine right?": a column for each length of training."""
    lines = [["epochs", "seeds", "−ELBO: mean", "range", "reconstruction", "KL"]]
    groups = group_runs(results)
    for kind, epochs in ((NOTEBOOK, 1), (NOTEBOOK, 8), (TEXTBOOK, 8)):
        runs = groups.get((kind, epochs))
        if runs:  # a quick run has some of them
            line = [str(epochs) if kind == NOTEBOOK else f"{kind}, {epochs}"]
            line.append(str(len(runs)))
            line.append(f"{mean(last(runs, '-ELBO')):.1f}")
            line.append(spread(last(runs, "-ELBO"), 1))
            line.append(f"{mean(last(runs, 'reconstruction')):.1f}")
            line.append(f"{mean(last(runs, 'KL')):.1f}")
            lines.append(line)
    return markdown(turned(lines))


def walks_lines(rows, measures=MEASURES, judges=2):
    """Return a line for each of the rows {name: {"-ELBO", "walks"}}, and a head.

    Each value is that of the notebook's judge and, if it differs, of the second."""
    lines = [["", "−ELBO", *measures]]
    for name, row in rows.items():
        line = [name, number(row["-ELBO"])]
        for measure in measures:
            texts = [number(found[measure]) for found in row["walks"].values()]
            line.append(" / ".join(dict.fromkeys(texts[:judges])))
        lines.append(line)
    return lines


def times(results, machine):
    """Return a line on this machine, and on the seconds of whole notebooks."""
    if "two at once" not in results:  # the last to be measured
        return f"Measured on {machine}."
    T = find_tutorial(results)["seconds"][-1]
    whole = results["whole"]["seconds"]
    pdf = results["whole"]["pdf"]
    ratio = results["two at once"]["seconds"] / results["short"]["seconds"]
    return (
        f"Measured on {machine}. "
        f"The whole notebook: {whole:.0f} s = {whole / T:.2f} T; "
        f"two at once take {ratio:.2f} times as long as one (EPOCHS=1). "
        f"The PDF after {pdf:.0f} s = {pdf / T:.2f} T."
    )


def bench_tables(results, machine):
    """Return {name: text} of what bench.py measures."""
    found = {}
    for result in results.values():
        for name, walks in result.get("walks", {}).items():
            found[name] = {"-ELBO": last([result], "-ELBO")[0], "walks": walks}
    rows = {name: found[name] for name in ROWS}
    # For those who read no more: four rows, three measures, the notebook's judge.
    short = ["half way", "switches once", "within: half way"]
    ours = {name: rows[name] for name in (TEXTBOOK, SHARPENED, CORNERS, NOTEBOOK)}
    steps = walks_lines(ours, short, judges=1)
    steps[0][-1] = "within a digit: half way"
    headline = [steps[0], steps[1], steps[2], steps[4]]  # without the corners alone
    ours_once = 100 * rows[NOTEBOOK]["walks"]["judge"]["switches once"]
    textbook_once = 100 * rows[TEXTBOOK]["walks"]["judge"]["switches once"]
    return {
        "claim": (
            "**Of straight lines between the codes of two digits, "
            f"{ours_once:.0f} % show the first digit, then the second, and nothing "
            f"else; of a textbook VAE's, {textbook_once:.0f} %.**"
        ),
        "machine": times(results, machine),
        "training": training_table(results),
        "mine": mine_table(results),
        "walks": markdown(turned(walks_lines(rows))),
        "steps": markdown(steps),
        "headline": markdown(turned(headline)).replace("digit: half way", "digit"),
    }


def peers_tables(results, machine):
    """Return {name: text} of what peers.py measures."""
    chosen = []
    for name, row in results.items():
        settings = [f"{key} {value}" for key, value in row["chosen"].items()]
        if settings:
            chosen.append(f"{name}: {', '.join(settings)}")
    text = f"Chosen: {'; '.join(chosen)}. Measured on {machine}."
    return {"peers": f"{markdown(walks_lines(results))}\n\n{text}"}


def sweep_tables(results, machine):
    """Return {name: text} of what was tried: means over seeds."""
    measures = ["half way", "switches once", "longest step", "within: half way"]
    measures.append("error at the ends")
    rows = {}
    for name, runs in results.items():
        walks = {}
        for judge in runs[0]["walks"]:
            walks[judge] = {}
            for measure in measures:
                values = [run["walks"][judge][measure] for run in runs]
                walks[judge][measure] = mean(values)
        rows[name] = {"-ELBO": mean(run["-ELBO"] for run in runs), "walks": walks}
    return {"sweep": markdown(walks_lines(rows, measures))}


def mistakes_tables(results, machine):
    """Return {name: text} of what mistakes.py measures: two tables."""
    tables = {}
    for name, found in results.items():
        lines = [["", "what came out"]]
        for tried, values in found.items():
            texts = []
            for what, value in values.items():
                shown = value if isinstance(value, str) else number(value)
                texts.append(f"{what} {shown}")
            lines.append([tried, ", ".join(texts)])
        tables[name] = markdown(lines).replace("|---:|", "|---|")
    return tables


TABLES = {
    "results": bench_tables,
    "peers": peers_tables,
    "mistakes": mistakes_tables,
    "sweep": sweep_tables,
}


def machine():
    """Return this machine in words."""
    model = platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        found = re.search(r"model name\s*: (.*)", info.read_text())
        model = found[1] if found else model
    torch = version("torch").split("+")[0]
    return f"{model}, {os.cpu_count()} cores, PyTorch {torch}"


def read_saved(name, titles):
    """Return the results in a file, if these cells are still as they were then."""
    path = FOLDER / f"{name}.json"
    if not path.exists():
        return {}
    found = json.loads(path.read_text(encoding="utf-8"))
    if found["code"] != checksums(titles):
        print(f"{path.name} is of another version of the notebook: all begins anew.")
        return {}
    return found["results"]


def save(name, titles, results):
    """Write what was measured, rounded, and the cells that it was measured with."""
    found = {"code": checksums(titles), "machine": machine(), "results": results}
    rounded = json.loads(json.dumps(found), parse_float=lambda x: round(float(x), 4))
    text = json.dumps(rounded, indent=1, ensure_ascii=False)
    (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def committed_tables():
    """Return {name: text} of the files that are there, {file: cells that differ}."""
    tables = {}
    changed = {}
    for name, function in TABLES.items():
        path = FOLDER / f"{name}.json"
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            tables |= function(found["results"], found["machine"])
            now = checksums(found["code"])
            changed[path.name] = [t for t in now if now[t] != found["code"][t]]
    return tables, changed


def filled(text, tables):
    """Return a text with these tables between their marks."""
    for name, table in tables.items():
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        if mark:
            rest = rest[rest.index("<!-- end -->") :]
            text = f"{before}{mark}{table}\n{rest}"
    return text


def show(tables):
    """Print tables {name: text}."""
    for name, text in tables.items():
        print(f"\n{name}:\n\n{text}")


def main():
    """Fill the pages and the notebook's text; say what is out of date."""
    tables, changed = committed_tables()
    for path in (PROJECT / "README.md", FOLDER / "README.md", FOLDER / "NOTES.md"):
        text = path.read_text(encoding="utf-8")
        path.write_text(filled(text, tables), encoding="utf-8")
    path = PROJECT / "HW9.ipynb"
    hw9 = nbformat.read(path, as_version=4)
    before = nbformat.writes(hw9)
    for cell in hw9.cells:
        if cell.cell_type == "markdown":
            cell.source = filled(cell.source, tables)
    if nbformat.writes(hw9) != before:
        nbformat.write(hw9, path)
    show(tables)
    for name, titles in changed.items():
        if titles:
            print(f"\n{name} was measured before these changed: {', '.join(titles)}.")


if __name__ == "__main__":
    main()
