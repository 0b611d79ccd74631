# make             run HW9.ipynb: train, draw, and write {NETID}_HW9.pdf and .ipynb
#                  with those of its section "Settings": make NETID=abc123 EPOCHS=20
# make test        run the tests; test-faults: provoke what may go wrong; test-browser
# make bench       measure training and walks (LONG=100: and train for 100 epochs)
# make peers       measure the autoencoders of a library likewise; nll: estimate log p(x)
# make notebook    run HW9.ipynb in place, as it is committed
# make lint        check style; format: mend it; clean: remove what can be made again

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
export NETID ?= netid
SETTINGS = $(filter-out PYTHON VENV NETID LONG,$(patsubst %=,%,$(filter %=,$(subst =,= ,$(MAKEOVERRIDES)))))

.PHONY: run test test-faults test-browser bench peers nll notebook lint format clean
run: $(VENV)/ready HW9.ipynb
	@for name in $(SETTINGS); do grep -q "\"$$name = " HW9.ipynb \
		|| { echo "There is no setting $$name: see the notebook, section Settings."; exit 1; }; done
	@run=$$(mktemp -d); trap 'rm -rf "$$run"' EXIT; \
	trap 'echo "Stopped. Nothing is lost; make again starts anew."; exit 1' INT; \
	$(BIN)/papermill HW9.ipynb "$$run/HW9.ipynb" -r NETID "$$NETID" \
		$(foreach name,$(SETTINGS),-p $(name) "$$$(name)") --no-progress-bar \
		--stdout-file - --stderr-file - --log-level ERROR 2> "$$run/log" \
		&& { preview=$$(grep -o "_PREVIEW\.pdf: " "$$run/HW9.ipynb"); \
		mv "$$run/HW9.ipynb" "$${NETID}_HW9$${preview%.pdf: }.ipynb"; } \
		|| { echo; grep . "$$run/log" | tail -n 1; exit 1; }

HW9.ipynb:
	$(error HW9.ipynb is not here: give the notebook its name back)
test: $(VENV)/ready-tests
	$(BIN)/pytest -q tests -m "not faults and not browser"
test-faults test-browser: test-%: $(VENV)/ready-tests $(VENV)/ready-benchmarks
	$(BIN)/pytest -q tests -m $*
bench: $(VENV)/ready-tests
	$(BIN)/python benchmarks/bench.py $(if $(LONG),--long $(LONG))
peers nll: $(VENV)/ready-tests $(VENV)/ready-benchmarks
	$(BIN)/python benchmarks/$@.py
notebook: $(VENV)/ready-tests
	$(BIN)/jupyter nbconvert --to notebook --execute --inplace HW9.ipynb
	$(BIN)/python tests/tidy.py HW9.ipynb
	$(BIN)/python benchmarks/walks.py
lint: $(VENV)/ready-tests
	$(BIN)/ruff check --config tests/ruff.toml HW9.ipynb tests benchmarks data
	$(BIN)/ruff format --check --config tests/ruff.toml tests benchmarks data
	$(BIN)/pytest -q tests/test_notebook.py -k committed
format: $(VENV)/ready-tests
	$(BIN)/ruff check --fix --config tests/ruff.toml HW9.ipynb tests benchmarks data
	$(BIN)/ruff format --config tests/ruff.toml tests benchmarks data

$(VENV)/ready: requirements.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check -r requirements.txt
	touch $@
$(VENV)/ready-%: %/requirements.txt $(VENV)/ready
	$(BIN)/pip install -q --disable-pip-version-check -r $<
	touch $@

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis tests/__pycache__ .ci/screenshots
	rm -f *_PREVIEW.pdf figures/*_PREVIEW.* .part* figures/.part* data/weights/.part*
