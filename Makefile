# Every target sets up what it needs, from nothing: .venv, the pinned packages and this library in it.

PYTHON ?= python3
export LIVERSEG_DATA ?= $(abspath ../shared/data)

BIN := .venv/bin
CONSTRAINTS := Testing/requirements.txt
SLICER ?= 5.13
INSTALLED := $(abspath out/package/LiverSegExtension/lib/Slicer-$(SLICER)/qt-scripted-modules)

.DEFAULT_GOAL := help
.PHONY: help demo test test-package coverage lint format bench figures package train evaluate system clean

help:  ## show these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/installed-slicer system  ## segment a synthetic CT, or yours: make demo CT=scan.nii.gz [REF=liver.nii.gz]
	$(BIN)/python LiverSeg/Scripts/demo.py --output out/demo $(if $(CT),--ct "$(CT)") $(if $(REF),--reference "$(REF)")

test: lint system  ## style, types and all tests; choose with PYTEST_ARGS="Testing/unit -k volume"
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-package: .venv/installed-test package system  ## the tests of scene and panel, run from the installed tree
	LIVERSEG_MODULE_FILE=$(INSTALLED)/LiverSeg.py $(BIN)/python -m pytest -o pythonpath="$(INSTALLED) ." \
	  $(wildcard Testing/mrml Testing/widget) $(PYTEST_ARGS)

coverage: .venv/installed-test system  ## how much of module, panel and scene code the tests of scene and panel run
	$(BIN)/python -m pytest Testing/mrml Testing/widget --cov=LiverSeg --cov=LiverSegLib.mrml --cov=LiverSegLib.panel \
	  --cov=LiverSegLib.steps --cov-report=term-missing $(PYTEST_ARGS)

lint: .venv/installed-test  ## style and types only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/installed-test  ## lay the code out as lint wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/installed-test  ## time and memory of each stage, and what the panel adds
	$(BIN)/python Testing/benchmark/stages.py $(BENCH_ARGS)
	$(BIN)/python -m Testing.benchmark.panel $(PANEL_ARGS)

figures: .venv/installed-test system  ## plot the training curves and the results; draw the documentation's pictures
	$(BIN)/python -m Training.plot
	$(BIN)/python -m Resources.make_figures

package: .venv/installed-package  ## lay the extension out in out/package as Slicer would install it, and pack it
	$(BIN)/python Testing/package/make_package.py out/package --slicer $(SLICER)

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
