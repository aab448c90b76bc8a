# Everything here runs in .venv, which the first target that needs it sets up, and which is
# brought up to date whenever pyproject.toml or constraints.txt changes.
#
#   make tree ARGS='--iterations 2000'          with options of train.py
#   make test PYTHON=python3.12 VENV=.venv312   in a second environment, with another Python
#   make docs EXECUTE_NOTEBOOKS=false           the site without running its notebooks, in seconds

PYTHON ?= python3
VENV ?= .venv
OLDEST ?= .venv-oldest
ARGS ?=

READY := $(VENV)/.ready
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# Where pyright finds envs/ under the name that it is installed by, jaxparl.envs.
TYPINGS := .typings/jaxparl/envs
# All but those that need a GPU, another checkout, or what others have measured.
BENCHMARKS := $(filter-out gpu report_card same_bits tables,$(basename $(notdir $(wildcard benchmarks/*.py))))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup tree coin test test-oldest lint docs results bench release-check clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(READY) $(TYPINGS)  ## install jaxparl and its tools into .venv

tree: $(READY)  ## train on the binary trees of the paper (ARGS: options of train.py)
	$(BIN)/python train.py game_tree $(ARGS)

coin: $(READY)  ## train on the Coin Game of the paper, and validate (ARGS: likewise)
	$(BIN)/python train.py coin_game $(ARGS)

# Where a process is lost, pytest-xdist would start another one, and then wait for ever. Files are
# begun in the order of tests/conftest.py.
PYTEST := -m pytest -n 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test: $(READY)  ## run the tests (ARGS='-m slow': the full-size checks)
	$(BIN)/python $(PYTEST) $(ARGS)

# Warnings are no errors there: of what is old, much is deprecated by now.
test-oldest: $(OLDEST)/.ready  ## run the tests with the oldest versions that pyproject.toml allows
	$(OLDEST)/bin/python $(PYTEST) -W default $(ARGS)

# pyright follows only packages that declare themselves typed (PEP 561). To see whether the
# public types are complete, the three that do not, and that environments derive from or name in
# signatures, are copied beside the built jaxparl and marked. import-linter reads the built
# jaxparl too: only there is envs/ the package jaxparl.envs.
lint: $(READY) $(TYPINGS)  ## check style, format, types, sizes, and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python -m pytest tests/test_house.py
	@rm -rf build
	@$(PIP) install --no-deps --no-build-isolation --target build/types .
	cd build/types && $(abspath $(BIN))/lint-imports --no-logo --no-cache ../../pyproject.toml
	@site=$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))'); \
	for name in gymnax optax chex; do \
	  cp -R "$$site/$$name" build/types && touch build/types/$$name/py.typed || exit 1; done
	PATH="$(abspath $(BIN)):$$PATH" PYTHONPATH=build/types \
	  pyright --verifytypes jaxparl --ignoreexternal

docs: $(VENV)/.docs  ## build the site into site/: notebooks run, and a broken link is an error
	NO_MKDOCS_2_WARNING=true $(BIN)/python -m mkdocs build --strict

results: $(READY)  ## make the tables of the docs from docs/measured/ (ARGS='--keep runs/NAME': add a run)
	$(BIN)/python benchmarks/tables.py $(ARGS)

bench: $(READY)  ## run every benchmark in turn, which takes hours
	set -e; for name in $(BENCHMARKS); do $(BIN)/python benchmarks/$$name.py; done

release-check: $(VENV)/.release  ## build a release into dist/, and try it in an empty environment
	$(BIN)/python tests/release_check.py

clean:  ## delete .venv, .venv-oldest and the caches, keep runs/
	rm -rf $(VENV) $(OLDEST) .typings build dist site jaxparl.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo 'jaxparl needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ...' >&2; exit 1; }
	@echo 'Setting up $(VENV): some minutes the first time'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(READY): pyproject.toml constraints.txt | $(BIN)/python
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.docs: $(READY)
	@$(PIP) install -c constraints.txt -e '.[docs]'
	@touch $@

$(VENV)/.release: $(READY)
	@$(PIP) install -c constraints.txt -e '.[release]'
	@touch $@

$(OLDEST)/.ready: pyproject.toml constraints-oldest.txt
	@$(PYTHON) -m venv $(OLDEST)
	@$(OLDEST)/bin/python -m pip --quiet --disable-pip-version-check install \
	  -c constraints-oldest.txt -e '.[test]'
	@touch $@

$(TYPINGS):
	@mkdir -p $(@D)
	@ln -s ../../envs $@
