# Every target sets up what it needs, from nothing: .venv, the pinned packages and this library in it.

PYTHON ?= python3
export LIVERSEG_DATA ?= $(abspath ../shared/data)

BIN := .venv/bin
CONSTRAINTS := Testing/requirements.txt
LOCK := Testing/requirements.lock
TORCH_LOCKS := Testing/requirements-torch-cpu.lock Testing/requirements-torch.lock
QUIETLY := --quiet --disable-pip-version-check
LOCKED := $(QUIETLY) --require-hashes --no-deps
SLICER ?= 5.13
NETWORK ?= bundled
INSTALLED := $(abspath out/package/LiverSegExtension/lib/Slicer-$(SLICER)/qt-scripted-modules)

.DEFAULT_GOAL := help
.PHONY: help demo test test-package coverage lint lock audit format fuzz soak bench bench-panel bench-clicks bench-batch bench-cluster bench-rivals figures package train evaluate system readers clean

help:  ## show these lines
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/installed-slicer system  ## segment a synthetic CT, or yours: make demo CT=scan.nii.gz [REF=liver.nii.gz]
	PYTHONPATH=LiverSeg $(BIN)/python -m Testing.demo.demo --output out/demo $(if $(CT),--ct "$(CT)") $(if $(REF),--reference "$(REF)")

test: lint system readers  ## style, types and tests; choose with PYTEST_ARGS="Testing/unit -k volume", or "-m slow"
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile $(PYTEST_ARGS)

test-package: .venv/installed-test package system  ## the tests of scene and panel, run from the installed tree
	LIVERSEG_MODULE_FILE=$(INSTALLED)/LiverSeg.py $(BIN)/python -m pytest -o pythonpath="$(INSTALLED) ." \
	  $(wildcard Testing/mrml Testing/widget) $(PYTEST_ARGS)

coverage: .venv/installed-test system  ## how much of module, panel and scene code the tests of scene and panel run
	$(BIN)/python -m pytest Testing/mrml Testing/widget --cov=LiverSeg --cov=LiverSegLib.mrml --cov=LiverSegLib.panel \
	  --cov=LiverSegLib.mrml.scene_run --cov-report=term-missing $(PYTEST_ARGS)

lint: .venv/installed-test  ## style and types only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --recursive LiverSeg Training

lock: .venv-audit/installed  ## choose the packages of the tests anew, with their digests, under the pins of requirements.txt
	.venv-audit/bin/python Testing/lock.py

audit: .venv-audit/installed  ## ask PyPI which of the packages of the tests are known to be vulnerable; needs the internet
	.venv-audit/bin/python Testing/audit.py $(AUDIT_ARGS)

format: .venv/installed-test  ## lay the code out as lint wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

fuzz: .venv/installed-test  ## thousands of damaged files: the voxels that others read or a clean error; Linux only
	$(BIN)/python -m Testing.fuzz.campaign $(FUZZ_ARGS)

soak: .venv/installed-test system  ## 500 segmentations, 20 times 300 random actions: nothing grows, changes or crashes; Linux only
	$(BIN)/python -m Testing.soak.segmentations $(SOAK_ARGS)
	$(BIN)/python -m Testing.soak.random_actions $(ACTIONS_ARGS)

bench: .venv/installed-test  ## time and memory of each stage, beside the machine's own limit
	$(BIN)/python -m Testing.benchmark.speed $(BENCH_ARGS)

bench-panel: .venv/installed-test  ## what the panel adds, and how long the window stands still
	$(BIN)/python -m Testing.benchmark.panel $(PANEL_ARGS)

bench-clicks: .venv/installed-test  ## how long a reader waits after a click that corrects
	$(BIN)/python -m Testing.benchmark.corrections $(CLICKS_ARGS)

bench-batch: .venv/installed-test  ## 200 cases, some broken: survival, memory, resume, pace, two processes
	$(BIN)/python -m Testing.benchmark.batch $(BATCH_ARGS)

bench-cluster: .venv/installed-test  ## throughput with one and two workers of a cluster
	$(BIN)/python -m Testing.benchmark.cluster $(CLUSTER_ARGS)

bench-rivals: .venv-rivals/installed  ## our segmenter beside nnU-Net, SegResNet, ONNX Runtime and OpenVINO, on one CT
	.venv-rivals/bin/python -m Testing.benchmark.rivals $(RIVALS_ARGS)

figures: .venv/installed-test system  ## plot the training curves and the worst slices; draw the documentation's pictures
	$(BIN)/python -m Training.evaluation.plot
	$(BIN)/python -m Resources.make_figures

package: .venv/installed-package  ## lay the extension out in out/package as Slicer would install it, and pack it
	$(BIN)/python Testing/package/make_package.py out/package --slicer $(SLICER)

train: .venv/installed-train  ## make a network from nothing on LIVERSEG_DATA: make train [NETWORK=mr]
	$(BIN)/python -m Training.recipe $(NETWORK) $(FIT_ARGS)

evaluate: .venv/installed-train  ## accuracy of the bundled network on LIVERSEG_DATA
	$(BIN)/python -m Training.evaluation.evaluate $(EVALUATE_ARGS)

system:
	@bash Testing/system-libraries.sh

readers:
	@PYTHON="$(PYTHON)" bash Testing/seg-readers.sh

clean:  ## remove what demo and test left; keeps .venv, prepared data and training runs
	rm -rf out build dist *.egg-info LiverSeg/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find LiverSeg Training Testing -name __pycache__ -type d -prune -exec rm -rf {} +

# For the tests, every package and its digest come from a list, so that nothing else can be installed: pip takes no
# dependency by itself and builds nothing away from these. Of PyTorch, the build for the CPU is taken where pip finds it.
.venv/installed-test: pyproject.toml $(LOCK) $(TORCH_LOCKS) | $(BIN)/python
	@echo "Installing into .venv; the first time this downloads PyTorch and takes a few minutes."
	$(BIN)/python -m pip install $(LOCKED) --requirement $(LOCK)
	$(BIN)/python -m pip install $(LOCKED) --requirement $(word 1,$(TORCH_LOCKS)) 2>/dev/null || \
	  $(BIN)/python -m pip install $(LOCKED) --requirement $(word 2,$(TORCH_LOCKS))
	$(BIN)/python -m pip install $(QUIETLY) --no-deps --no-build-isolation --editable .
	@touch $@

# One stamp for each other extra of pyproject.toml (slicer, train, package): installed once, and again when the lists
# change.
.venv/installed-%: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo "Installing into .venv; the first time this downloads PyTorch and takes a few minutes."
	$(BIN)/python -m pip install $(QUIETLY) --constraint $(CONSTRAINTS) --editable '.[$*]'
	@touch $@

# An environment of its own, so that what the rivals need changes nothing of ours; they run on the same PyTorch.
.venv-rivals/installed: Testing/requirements-rivals.txt $(TORCH_LOCKS)
	@echo "Installing into .venv-rivals; the first time this downloads PyTorch and takes a few minutes."
	$(PYTHON) -m venv .venv-rivals
	.venv-rivals/bin/python -m pip install $(LOCKED) --requirement $(word 1,$(TORCH_LOCKS)) 2>/dev/null || \
	  .venv-rivals/bin/python -m pip install $(LOCKED) --requirement $(word 2,$(TORCH_LOCKS))
	.venv-rivals/bin/python -m pip install $(QUIETLY) --requirement Testing/requirements-rivals.txt
	@touch $@

# Another, since pip-audit brings packages that change what others do: pydicom loads requests wherever it is installed.
.venv-audit/installed: $(CONSTRAINTS)
	$(PYTHON) -m venv .venv-audit
	.venv-audit/bin/python -m pip install $(QUIETLY) --constraint $(CONSTRAINTS) pip-audit uv
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "$(PYTHON) is not Python 3.11 to 3.13; name one that is: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv .venv || \
	  { rm -rf .venv; echo "$(PYTHON) cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
