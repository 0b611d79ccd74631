# make             run HW9.ipynb: train, draw, and write {NETID}_HW9.pdf
#                  with those of its settings: make NETID=abc123 EPOCHS=20
# make test        run the tests; test-faults: provoke what may go wrong
# make bench       measure training and walks, and put results, tables, and pictures into
#                  the project (QUICK=1: only try it out, on the sample)
# make peers       measure the autoencoders of a library likewise; mistakes: what goes
#                  wrong if ..., and exercises; choices: other settings
# make notebook    run HW9.ipynb in place, as it is committed
# make lint        check style; format: mend it; clean: remove what can be made again

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
GIVEN = $(patsubst %=,%,$(filter %=,$(subst =,= ,$(MAKEOVERRIDES))))

.PHONY: run test test-faults bench peers mistakes choices notebook lint format clean
run: $(VENV)/ready
	@$(BIN)/python run.py $(filter-out PYTHON VENV,$(GIVEN))
test: $(VENV)/ready-tests
	$(BIN)/pytest -q tests -m "not faults"
test-faults: $(VENV)/ready-tests
	$(BIN)/pytest -q tests -m faults
bench peers mistakes choices: $(VENV)/ready-tests
	$(BIN)/python benchmarks/$@.py
notebook: $(VENV)/ready
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace HW9.ipynb
	$(BIN)/jupyter nbconvert --to notebook --inplace --coalesce-streams \
	    --ClearMetadataPreprocessor.enabled=True \
	    --ClearMetadataPreprocessor.preserve_cell_metadata_mask="{'tags'}" \
	    --ClearMetadataPreprocessor.preserve_nb_metadata_mask \
	    "[('kernelspec',), ('language_info', 'name')]" HW9.ipynb
lint: $(VENV)/ready-tests
	$(BIN)/ruff check --config tests/ruff.toml HW9.ipynb run.py tests benchmarks data .ci
	$(BIN)/ruff format --check --config tests/ruff.toml run.py tests benchmarks data .ci
	$(BIN)/pytest -q tests/test_notebook.py -k committed
format: $(VENV)/ready-tests
	$(BIN)/ruff check --fix --config tests/ruff.toml HW9.ipynb run.py tests benchmarks data .ci
	$(BIN)/ruff format --config tests/ruff.toml run.py tests benchmarks data .ci

$(VENV)/ready: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -r requirements.txt
	touch $@
$(VENV)/ready-tests: $(VENV)/ready tests/requirements.txt benchmarks/requirements.txt
	$(BIN)/pip install -q --disable-pip-version-check -r tests/requirements.txt \
	    -r benchmarks/requirements.txt
	touch $@

clean:
	rm -rf .venv .ruff_cache tests/.pytest_cache .ci/screenshots */__pycache__
	rm -f *_PREVIEW.pdf figures/*_PREVIEW.png last_run.ipynb
