# make           run HW9.ipynb: train, draw, and write {NETID}_HW9.pdf
#                with settings: make NETID=abc123 EPOCHS=20 DATASET=mnist RETRAIN=True
#                (all of them are in the notebook, section "Settings")
# make test      run the tests, on the small sample in data/sample
# make test-faults   provoke what may go wrong: kills, full disks, dead mirrors, ... (ten minutes)
# make test-browser  run the notebook in JupyterLab in Chromium (screenshots in .ci/screenshots)
# make test-lowest   run the tests with the oldest packages that requirements.txt allows
# make bench     time the training against the tutorial recipe (LONG=100: and train for 100 epochs)
# make lint      check style and format, and that the notebook is committed as it should be
# make format    mend them
# make badge     point the Colab badges of notebook and README to REPOSITORY, below
# make clean     remove what can be made again: .venv, caches, previews, remains of killed runs
# make help      show these lines

# The address of this repository on GitHub, owner/name: the Colab badges open the notebook from there.
# As long as it is empty they open Colab's start page, where one uploads the notebook.
REPOSITORY ?=

PYTHON ?= python3
VENV ?= .venv
REQUIREMENTS ?= requirements.txt
BIN = $(VENV)/bin

TEXTS = NETID DATASET DECODER
NUMBERS = SEED LATENT_DIM EPOCHS BATCH_SIZE LEARNING_RATE RETRAIN
unknown = $(strip $(filter-out $(TEXTS) $(NUMBERS) PYTHON VENV REQUIREMENTS REPOSITORY LONG,$(foreach word,$(MAKEOVERRIDES),\
	$(if $(findstring =,$(word)),$(firstword $(subst =, ,$(word)))))))
ifneq ($(unknown),)
$(error There is no setting $(unknown). The settings are: $(TEXTS) $(NUMBERS))
endif

# What follows `make` is in the environment; papermill gets it from there, text as it stands (-r).
given = $(foreach name,$(1),$(if $(filter command,$(origin $(name))),$(2) $(name) "$$$(name)"))
parameters = $(call given,$(TEXTS),-r) $(call given,$(NUMBERS),-p)

# papermill's bar, one line per step, so that the notebook's own output begins on a line of its own.
define BAR
{desc}{percentage:3.0f}% |{bar:20}| {elapsed}

endef

# The notebook runs as a copy; only a run that ends takes its place, with its outputs, but without the
# cell in which papermill puts the settings given here (it would override the settings cell when the
# notebook is next run by hand), papermill's log of the run, and the state of widgets.
define TIDY
import nbformat
import sys
from nbconvert.preprocessors import CoalesceStreamsPreprocessor
from pathlib import Path

notebook, _ = CoalesceStreamsPreprocessor().preprocess(nbformat.read(sys.argv[1], 4), {})
papermills = {"injected-parameters", "papermill-error-cell-tag"}
notebook.cells = [cell for cell in notebook.cells if papermills.isdisjoint(cell.metadata.get("tags", []))]
code = [cell for cell in notebook.cells if cell.cell_type == "code"]
for count, cell in enumerate(code, 1):
    cell.execution_count = cell.execution_count and count
for output in (output for cell in code for output in cell.outputs if "data" in output):
    output.data.pop("application/vnd.jupyter.widget-view+json", None)
for cell in notebook.cells:
    cell.metadata = {"tags": cell.metadata.tags} if cell.metadata.get("tags") else {}
notebook.metadata = {"kernelspec": notebook.metadata.kernelspec, "language_info": {"name": "python"}}
nbformat.write(notebook, ".part_HW9.ipynb")
Path(".part_HW9.ipynb").replace("HW9.ipynb")
endef

.PHONY: run test test-faults test-browser test-lowest bench lint format badge clean help
run: export TQDM_BAR_FORMAT = $(BAR)
run: export TIDY_UP = $(TIDY)
run: $(VENV)/ready
	@copy=$$(mktemp -d)/HW9.ipynb; trap : INT; trap 'rm -r "$$(dirname "$$copy")"' EXIT; \
		JPY_SESSION_NAME="$$copy" $(BIN)/papermill HW9.ipynb "$$copy" $(parameters) --log-level WARNING \
		--stdout-file - --stderr-file - \
		&& $(BIN)/python -c "$$TIDY_UP" "$$copy"

test: $(VENV)/ready-test
	$(BIN)/pytest tests -m "not faults and not browser"

test-faults: $(VENV)/ready-test
	$(BIN)/pytest tests -m faults

test-browser: $(VENV)/ready-browser
	$(BIN)/pytest tests -m browser

test-lowest:
	@mkdir -p .venv-lowest
	@sed 's/>=/==/' requirements.txt > .venv-lowest/requirements.txt
	@$(MAKE) test VENV=.venv-lowest REQUIREMENTS=.venv-lowest/requirements.txt

bench: $(VENV)/ready-test
	$(BIN)/python benchmarks/bench.py $(if $(LONG),--long "$(LONG)")

lint: $(VENV)/ready-test
	$(BIN)/ruff check --config tests/ruff.toml HW9.ipynb tests benchmarks data
	$(BIN)/ruff format --check --config tests/ruff.toml HW9.ipynb tests benchmarks data
	$(BIN)/pytest -q tests/test_notebook.py -k committed

format: $(VENV)/ready-test
	$(BIN)/ruff check --fix --config tests/ruff.toml HW9.ipynb tests benchmarks data
	$(BIN)/ruff format --config tests/ruff.toml HW9.ipynb tests benchmarks data

COLAB = https://colab.research.google.com/
badge:
	sed -i.bak 's#svg)\](\($(COLAB)\)[^)]*)#svg)](\1$(if $(REPOSITORY),github/$(REPOSITORY)/blob/main/HW9.ipynb))#' README.md HW9.ipynb
	rm README.md.bak HW9.ipynb.bak

# The kernel's log level: a kernel on one's own machine warns at every start that it does not encrypt.
$(VENV)/ready: $(REQUIREMENTS)
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.10 or newer is needed: make PYTHON=python3.12" \
		if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check -r $(REQUIREMENTS)
	mkdir -p $(VENV)/etc/ipython
	echo '{"IPKernelApp": {"log_level": 40}}' > $(VENV)/etc/ipython/ipython_kernel_config.json
	touch $@

$(VENV)/ready-test: $(VENV)/ready tests/requirements.txt
	$(BIN)/pip install --disable-pip-version-check -r tests/requirements.txt
	touch $@

$(VENV)/ready-browser: $(VENV)/ready-test tests/requirements-browser.txt
	$(BIN)/pip install --disable-pip-version-check -r tests/requirements-browser.txt
	touch $@

clean:
	rm -rf .venv .venv-lowest .pytest_cache .ruff_cache .hypothesis tests/__pycache__ .ci/screenshots
	rm -f *_PREVIEW.pdf figures/*_PREVIEW.* .part* figures/.part* data/weights/.part* data/weights/*.bad

help:
	@sed -n 's/^# //;/^$$/q;p' Makefile
