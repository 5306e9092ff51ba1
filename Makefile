# Every target sets up what it needs, from nothing: .venv, the pinned packages and this library in it.

PYTHON ?= python3
export LIVERSEG_DATA ?= $(abspath ../shared/data)

BIN := .venv/bin
CONSTRAINTS := Testing/requirements.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint format bench figures train evaluate system clean

help:  ## show these lines
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/installed-slicer system  ## segment a synthetic CT, or yours: make demo CT=scan.nii.gz [REF=liver.nii.gz]
	$(BIN)/python LiverSeg/Scripts/demo.py --output out/demo $(if $(CT),--ct "$(CT)") $(if $(REF),--reference "$(REF)")

test: lint system  ## style, types and all tests; choose with PYTEST_ARGS="Testing/unit -k volume"
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: .venv/installed-test  ## style and types only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-test  ## lay the code out as lint wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/installed-slicer  ## time and memory of each stage
	$(BIN)/python Testing/benchmark/stages.py $(BENCH_ARGS)

figures: .venv/installed-train  ## plot the training curves and the results
	$(BIN)/python -m Training.plot

train: .venv/installed-train  ## train the network anew on LIVERSEG_DATA
	$(BIN)/python -m Training.prepare
	$(BIN)/python -m Training.fit $(FIT_ARGS)
	$(BIN)/python -m Training.export $(EXPORT_ARGS)

evaluate: .venv/installed-train  ## accuracy of the bundled network on LIVERSEG_DATA
	$(BIN)/python -m Training.evaluate $(EVALUATE_ARGS)

system:
	@bash Testing/system-libraries.sh

clean:  ## remove what demo and test left; keeps .venv, prepared data and training runs
	rm -rf out build dist *.egg-info LiverSeg/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find LiverSeg Training Testing -name __pycache__ -type d -prune -exec rm -rf {} +

# One stamp for each extra of pyproject.toml (slicer, train, test): installed once, and again when the lists change.
.venv/installed-%: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo "Installing into .venv; the first time this downloads PyTorch and takes a few minutes."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) --editable '.[$*]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "$(PYTHON) is not Python 3.11 to 3.13; name one that is: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
