"""The PDF: pages, figures, every character of the code; and whose code it is."""

import shutil
import subprocess
import unicodedata

import nbformat
import pypdf
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HOSTILE = {
    "long": "x = '" + "abcdefghij" * 30 + "'",
    "long with spaces": "y = [" + ", ".join(f"value_{i}" for i in range(80)) + "]",
    "dashes": "z = '" + "a-" * 150 + "'",
    "greek": "# αβγ Ω ∑ ≤ → ← ⇒ ∀ é ü ß",
    "tabs": "def f():\n\treturn 1\t# after a tab",
    "typst": "# $x$ <label> @ref *bold* _it_ \\ #let x = 1 = heading // comment /* */ [a] {b}",
    "backticks": "s = '```' + \"``\" + '`'",
    "quotes": 't = """it\'s""" + r\'\\n\'',
    "magics": "%matplotlib inline\n!ls -la\n%%time",
    "blank": "a = 1\n\n\n\nb = 2\n    \nc = 3",
    "ligatures": "assert a != b -> c == d >= e <= f ... fi fl ffi www",
}


def notebook_of(*sources, headings=()):
    """Return a notebook of these code cells, with headings before them."""
    cells = [nbformat.v4.new_markdown_cell(heading) for heading in headings]
    return nbformat.v4.new_notebook(cells=cells + [nbformat.v4.new_code_cell(s) for s in sources])


@pytest.fixture(scope="module")
def figures(hw9, tmp_path_factory):
    """Return {caption: file} of two figures, and make their folder the current one."""
    folder = tmp_path_factory.mktemp("pdf")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        figure = hw9.interpolation_figure(hw9.torch.rand(10, 9, 28, 28), [[1, 2]] * 10, preview=False)
        for name in ("one", "two"):
            hw9.save_figure(figure, hw9.Path(name))
        yield {"Same digit": hw9.Path("one.pdf"), "Different digits": hw9.Path("two.pdf")}


@pytest.fixture
def submit(hw9, figures, tmp_path):
    """Return a function that typesets a notebook, checks the PDF, and returns its path and parts."""

    def submit(notebook, preview=False, netid="abc123"):
        parts = hw9.list_code(notebook, hw9.LISTING)
        pdf = hw9.typeset(
            hw9.FIGURE_PAGES + hw9.CODE_PAGES, netid, "HW9.ipynb", figures, parts, preview
        )
        hw9.check_pdf(pdf, parts)
        path = tmp_path / "out.pdf"
        path.write_bytes(pdf)
        return path, parts

    return submit


def text_of(path, first=1):
    """Return what one can select in a PDF from page `first` on."""
    command = ["pdftotext", "-enc", "UTF-8", "-raw", "-f", str(first), path, "-"]
    return subprocess.run(command, capture_output=True, check=True).stdout.decode()


def squeeze(text):
    """Return the text without white space."""
    return "".join(text.split())


def test_pages(submit):
    path, _ = submit(notebook_of(*["print(1)\n" * 60] * 3))
    pages = pypdf.PdfReader(path).pages
    assert {tuple(page.mediabox) for page in pages} == {(0, 0, 612, 792)}
    texts = [page.extract_text() for page in pages]
    assert "Same digit" in texts[0] and "print(1)" not in texts[0]
    assert "Different digits" in texts[1] and "print(1)" not in texts[1]
    assert all("print(1)" in text for text in texts[2:]), "no page is blank"
    assert all("abc123" in text and "HW9.ipynb" in text for text in texts[2:])
    assert [text.split()[-1] for text in texts[2:]] == [str(n) for n in range(3, len(pages) + 1)]


@pytest.mark.skipif(not shutil.which("pdfimages"), reason="needs poppler-utils")
def test_images_are_not_resampled(submit):
    path, _ = submit(notebook_of("a = 1"))
    listing = subprocess.run(["pdfimages", "-list", path], capture_output=True, check=True, text=True)
    sizes = [line.split()[:5] for line in listing.stdout.splitlines()[2:]]
    for page in ("1", "2"):
        images = [size for size in sizes if size[0] == page and size[2] == "image"]
        assert len(images) == 90 and all(size[3:5] == ["28", "28"] for size in images)


@pytest.mark.skipif(not shutil.which("pdftotext"), reason="needs poppler-utils")
@pytest.mark.parametrize("name", HOSTILE)
def test_no_character_is_lost(submit, name):
    source = HOSTILE[name]
    path, parts = submit(notebook_of("first = 0", source))
    assert squeeze(parts[1]["code"]) == squeeze(source), "nothing needed an escape"
    text = squeeze(text_of(path, first=3))
    for number, line in enumerate(source.split("\n"), 2):
        assert squeeze(f"{number}{line}") in text


ANY = st.characters(exclude_categories=())  # lone surrogates too
TYPST = st.sampled_from(
    ["#", "$", "*", "_", "`", "```", "<a>", "@a", "//", "/*", "*/", "\\", "[", "]", "#let x"]
)
LINES = st.one_of(
    st.text(ANY, max_size=60),
    st.text(st.characters(categories=["Cc", "Cf", "Mn", "Zs"]), max_size=30),
    st.lists(st.one_of(TYPST, st.text("ab1 ", max_size=4)), max_size=20).map("".join),
    st.builds(
        lambda text, times: (text * times)[:5000], st.text(ANY, min_size=1, max_size=50), st.just(5000)
    ),
    st.text("abcdefghij =()[].,'+-", max_size=300),
)
CELLS = st.lists(LINES, min_size=1, max_size=6).map("\n".join)


def lose_nothing(hw9, source):
    """Typeset a cell; assert that the PDF's text holds all of it, read by two libraries."""
    notebook = notebook_of("first = 0", source)
    parts = hw9.list_code(notebook, hw9.LISTING)
    pdf = hw9.typeset(hw9.FIGURE_PAGES + hw9.CODE_PAGES, "abc123", "HW9.ipynb", {}, parts, False)
    with hw9.pdfium.PdfDocument(pdf) as document:
        assert hw9.check_code(list(document), parts) == []
    code = parts[1]["code"]
    assert all(c in code or ascii(c)[1:-1] in code or c == "\t" for c in source.rstrip("\n"))
    command = ["pdftotext", "-enc", "UTF-8", "-raw", "-", "-"]
    text = subprocess.run(command, input=pdf, capture_output=True, check=True).stdout.decode()
    text = squeeze(text.replace("\f", ""))
    for line in code.split("\n"):
        if len(line) < 80:  # a longer one may go over pages, whose header and footer are read with it
            assert squeeze(line) in text


QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@pytest.mark.skipif(not shutil.which("pdftotext"), reason="needs poppler-utils")
@settings(max_examples=25, derandomize=True, **QUIET)
@given(source=CELLS)
def test_random_cells_are_typeset(hw9, figures, source):
    lose_nothing(hw9, source)


@pytest.mark.faults
@settings(max_examples=500, **QUIET)
@given(source=CELLS)
def test_500_random_cells_are_typeset(hw9, figures, source):
    lose_nothing(hw9, source)


@settings(max_examples=200, derandomize=True, **QUIET)
@given(netid=st.text(ANY, max_size=80))
def test_a_random_netid_is_refused_or_safe_as_a_name(hw9, netid):
    from test_settings import GOOD

    try:
        hw9.check_settings(GOOD | {"NETID": netid})
    except ValueError as error:
        assert "NETID" in str(error) and str(error).isprintable()
    else:
        assert netid.isascii() and not set(netid) & set('/\\:*?"<>|\0 ') and netid not in (".", "..")


@pytest.mark.skipif(not shutil.which("pdftotext"), reason="needs poppler-utils")
@pytest.mark.parametrize(
    ("character", "escape"),
    [
        ("你", r"\u4f60"),
        ("🎉", r"\U0001f389"),
        ("א", r"\u05d0"),
        ("e\u0301", r"e\u0301"),
        ("\u200b", r"\u200b"),
        ("\u202e", r"\u202e"),
        ("\ud800", r"\ud800"),
        ("\xa0", r"\xa0"),
        ("\x07", r"\x07"),
        ("\x0c", r"\x0c"),
    ],
)
def test_what_the_font_lacks_is_escaped(submit, character, escape):
    path, _ = submit(notebook_of(f"before = 1  # x{character}y\nafter = 2"))
    text = squeeze(text_of(path, first=3))
    assert f"1before=1#x{escape}y" in text and "2after=2" in text


def test_lines_stay_on_the_page(hw9, submit):
    path, _ = submit(notebook_of(*HOSTILE.values()))
    document = hw9.pdfium.PdfDocument(path)
    for page in list(document)[2:]:
        ink = page.render(scale=1, grayscale=True).to_numpy().squeeze() < 200
        columns = ink[50:740].any(0)
        assert not columns[:35].any() and not columns[577:].any(), "nothing runs off the page"
        assert not columns[302:310].any(), "nor from one column into the other"
    document.close()


def test_headings_are_headings_and_outputs_are_dropped(hw9, submit):
    notebook = notebook_of("print('in')", headings=["# Top\nprose\n## Below\n```\n# code\n```"])
    notebook.cells.append(nbformat.v4.new_markdown_cell("## The end\nHere is no code."))
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="OUTPUT")]
    path, parts = submit(notebook)
    headings = [(part["level"], part["heading"]) for part in parts if "heading" in part]
    assert headings == [(1, "Top"), (2, "Below")]
    assert "OUTPUT" not in text_of(path) and "prose" not in text_of(path)
    with hw9.pdfium.PdfDocument(path) as document:
        outline = [
            (mark.level, mark.get_title(), mark.get_dest().get_index()) for mark in document.get_toc()
        ]
    figures = [(0, "Same digit", 0), (0, "Different digits", 1)]
    assert outline == [*figures, (0, "Code", 2), (1, "Top", 2), (2, "Below", 2)]


def test_the_document_says_what_it_is(submit):
    """Title, author and language are set; each figure has a text for those who cannot see it."""
    path, _ = submit(notebook_of("a = 1"), netid="xyz789")
    reader = pypdf.PdfReader(path)
    assert reader.metadata.title == "HW9 · xyz789" and reader.metadata.author == "xyz789"
    assert reader.trailer["/Root"]["/Lang"] == "en"
    texts = []

    def look(node):
        if isinstance(node, pypdf.generic.ArrayObject):
            return [look(child.get_object()) for child in node]
        if isinstance(node, pypdf.generic.DictionaryObject):
            texts.append(node.get("/Alt"))
            look(node.get("/K", pypdf.generic.NullObject()).get_object())

    look(reader.trailer["/Root"]["/StructTreeRoot"])
    texts = [text for text in texts if text]
    assert [text.split(":")[0] for text in texts] == ["Same digit", "Different digits"]
    assert all("real test images" in text for text in texts)


def test_ends_and_interpolates_differ_in_black_and_white(hw9, submit):
    """A black frame, at least a point wide, around the two outer images and around no other."""
    path, _ = submit(notebook_of("a = 1"))
    with hw9.pdfium.PdfDocument(path) as document:
        page = document[0].render(scale=4, grayscale=True).to_numpy().squeeze()
    middle = page[page.shape[0] // 2 - 600 : page.shape[0] // 2 + 600]
    dark = (middle < 60).mean(0) > 0.7  # columns of pixels that frames fill, nearly from row to row
    lines = [run for run in "".join("x" if d else " " for d in dark).split() if len(run) >= 4]
    assert len(lines) == 4


def test_no_heading_is_left_alone_at_the_bottom(submit):
    for lines in range(60, 90, 3):
        cells = [
            nbformat.v4.new_code_cell("a = 1\n" * lines),
            nbformat.v4.new_markdown_cell("## Lonely"),
        ]
        path, _ = submit(
            nbformat.v4.new_notebook(cells=[*cells, nbformat.v4.new_code_cell("b = 2\nc = 3")])
        )
        for page in pypdf.PdfReader(path).pages[2:]:
            text = page.extract_text()
            assert "Lonely" not in text or "b = 2" in text


def test_missing_code_is_noticed(hw9, figures):
    parts = hw9.list_code(notebook_of("one = 1\ntwo = 2"), hw9.LISTING)
    pdf = hw9.typeset(hw9.FIGURE_PAGES + hw9.CODE_PAGES, "abc123", "HW9.ipynb", figures, parts, False)
    parts[0]["code"] += "\nthree = 3"
    with pytest.raises(RuntimeError, match="line 3 of the code is missing"):
        hw9.check_pdf(pdf, parts)


def test_missing_figure_is_noticed(hw9, figures):
    parts = hw9.list_code(notebook_of("one = 1"), hw9.LISTING)
    figure = hw9.plt.figure(figsize=(7.7, 9.9))
    figure.savefig("empty.pdf")
    wrong = {"Same": hw9.Path("empty.pdf"), "Different": next(iter(figures.values()))}
    with pytest.raises(RuntimeError, match="0 images"):
        hw9.check_pdf(
            hw9.typeset(hw9.FIGURE_PAGES + hw9.CODE_PAGES, "a", "b", wrong, parts, False), parts
        )


def test_wrong_paper_is_noticed(hw9, figures):
    parts = hw9.list_code(notebook_of("one = 1"), hw9.LISTING)
    template = (hw9.FIGURE_PAGES + hw9.CODE_PAGES).replace('"us-letter"', '"a4"')
    with pytest.raises(RuntimeError, match="US Letter"):
        hw9.check_pdf(hw9.typeset(template, "a", "b", figures, parts, False), parts)


def test_preview_says_so_on_the_pages(submit):
    path, _ = submit(notebook_of("a = 1\n" * 200), preview=True)
    assert all("PREVIEW" in page.extract_text() for page in pypdf.PdfReader(path).pages[2:])
    path, _ = submit(notebook_of("a = 1\n" * 200), preview=False)
    assert "PREVIEW" not in text_of(path)


def test_the_whole_notebook_is_typeset(hw9, submit):
    from conftest import PROJECT

    notebook = nbformat.read(PROJECT / "HW9.ipynb", as_version=4)
    path, _ = submit(notebook)
    assert len(pypdf.PdfReader(path).pages) <= 2 + 10 and path.stat().st_size < 2e6
    text = squeeze(unicodedata.normalize("NFC", text_of(path, first=3)))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert all(squeeze(line) in text for line in cell.source.split("\n"))


def test_the_notebook_that_ran_is_found(hw9):
    mine, other = notebook_of("a = 1", "b = 2", "c = 3"), notebook_of("a = 1", "x = 9")
    ran = ["", "a = 1", "b = 2"]
    for order in ([("other", other), ("mine", mine)], [("mine", mine), ("other", other)]):
        assert hw9.find_notebook(order, ran)[0] == "mine"
    with pytest.raises(FileNotFoundError, match="save it"):
        hw9.find_notebook([("other", other)], ["", "something else"])
    with pytest.raises(FileNotFoundError, match="save it"):
        hw9.find_notebook([], ran)


def test_a_copy_with_a_cell_more_is_not_taken_for_it(hw9):
    """As papermill leaves one, with the settings that it was given."""
    mine, copy = notebook_of("a = 1", "b = 2"), notebook_of("a = 1", "NETID = 'me'", "b = 2")
    for order in ([("mine", mine), ("copy", copy)], [("copy", copy), ("mine", mine)]):
        assert hw9.find_notebook(order, ["a = 1", "b = 2"])[0] == "mine"
        assert hw9.find_notebook(order, ["a = 1", "NETID = 'me'", "b = 2"])[0] == "copy"


def test_which_of_two_is_asked_if_they_hold_as_much(hw9):
    mine = notebook_of("NETID = 'netid'", "a = 1")
    theirs = notebook_of("NETID = 'another'", "a = 1")
    ran = ["", "NETID = 'me'", "a = 1"]
    with pytest.raises(FileNotFoundError, match=r"mine\.ipynb or theirs\.ipynb.*Save.*move"):
        hw9.find_notebook([("mine.ipynb", mine), ("theirs.ipynb", theirs)], ran)
    ran[1] = "NETID = 'netid'"
    assert hw9.find_notebook([("theirs.ipynb", theirs), ("mine.ipynb", mine)], ran)[1] is mine
    copy = notebook_of("NETID = 'netid'", "a = 1")
    assert hw9.find_notebook([("mine.ipynb", mine), ("copy.ipynb", copy)], ran)[1] is mine


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"cells": 3}', b"PK\x03\x04"])
def test_a_broken_notebook_beside_it_does_not_matter(hw9, tmp_path, content):
    (tmp_path / "A.ipynb").write_bytes(content)
    nbformat.write(notebook_of("a = 1"), tmp_path / "HW9.ipynb")
    assert hw9.find_notebook(hw9.open_notebooks(tmp_path, {}), ["a = 1"])[0] == "HW9.ipynb"


def test_notebooks_are_looked_for_where_each_program_says(hw9, tmp_path, monkeypatch):
    for name in ("HW9 (1).ipynb", "elsewhere/vscode.ipynb", "elsewhere/jupyter.ipynb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        nbformat.write(notebook_of(f"name = {name!r}"), tmp_path / name)

    def names(variables):
        return [name for name, _ in hw9.open_notebooks(tmp_path, variables)]

    assert names({}) == ["HW9 (1).ipynb"]
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "elsewhere" / "jupyter.ipynb"))
    assert names({}) == ["jupyter.ipynb", "HW9 (1).ipynb"]
    vscode = {"__vsc_ipynb_file__": str(tmp_path / "elsewhere" / "vscode.ipynb")}
    assert names(vscode) == ["vscode.ipynb", "jupyter.ipynb", "HW9 (1).ipynb"]
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "renamed.ipynb"))
    assert names({}) == ["HW9 (1).ipynb"]


def test_colabs_live_notebook_comes_first(hw9, tmp_path, monkeypatch):
    import sys
    import types

    live = notebook_of("live = 1")
    colab, message = types.ModuleType("google.colab"), types.ModuleType("google.colab._message")
    message.blocking_request = lambda request, timeout_sec: (
        {"ipynb": live} if request == "get_ipynb" else None
    )
    colab._message = message
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.setitem(sys.modules, "google.colab._message", message)
    (_, notebook), *_ = hw9.open_notebooks(tmp_path, {})
    assert notebook.cells[0].source == "live = 1"
    message.blocking_request = lambda request, timeout_sec: None  # what it answers after the timeout
    assert list(hw9.open_notebooks(tmp_path, {})) == []


@pytest.mark.parametrize(
    ("ran", "expected"),
    [
        (["a = 1", "b = 2", "c = 3"], []),
        (["a = 1", "b = 2  ", "c = 3\n"], []),
        (["a = 1", "b = 7", "c = 3"], ["In[2] ran", "code cell 2 is saved"]),
        (["a = 1", "c = 3"], ["code cell 2 is saved"]),
        (["a = 1", "b = 7", "a = 1", "b = 2", "c = 3"], []),
    ],
)
def test_differences_between_run_and_file_are_told(hw9, ran, expected):
    words = hw9.unsaved_changes(notebook_of("a = 1", "b = 2", "c = 3", "d = 4"), ["", *ran])
    assert all(part in words for part in expected)
    assert bool(words) == bool(expected)
