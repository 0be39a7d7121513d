# Everything sets itself up: a .venv in the checkout, made anew only when pyproject.toml has changed.
# Needs python3 (3.11 or later), make and git. Another interpreter: make test PYTHON=python3.13 VENV=.venv-3.13

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: help demo test test-slow test-all test-lowest coverage check format bench mutants clean

help:
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(VENV)/.current: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "scrapeengine needs Python 3.11 or later, and '$(PYTHON)' is older or missing: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' \
		|| { echo "'$(PYTHON)' has no venv module; on Debian: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group test
	@touch $@

$(VENV)/.checkers: $(VENV)/.current
	$(BIN)/python -m pip install --quiet --group check
	@touch $@

demo: $(VENV)/.current ## scrape 26 feeds and 36 articles from loopback, ten at a time
	$(BIN)/python examples/feeds.py

test: $(VENV)/.current ## the tests, in a few minutes
	$(PYTEST)

test-slow: $(VENV)/.current ## the laws in a thousand generated runs each, and all else that takes long
	$(PYTEST) -m slow
	$(PYTEST) tests/laws tests/unit --hypothesis-profile slow

test-lowest: ## the tests on the lowest versions that pyproject.toml allows
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --upgrade uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest --resolution lowest-direct --editable . --group test
	.venv-lowest/bin/python -m pytest

test-all: ## the tests on every Python from 3.11 to 3.13 that is found
	.ci/pythons

coverage: $(VENV)/.current ## branch coverage, with the least that is taken
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet || true
	$(BIN)/coverage report --fail-under 95
	$(BIN)/coverage report --fail-under 100 --include '*/scrapeengine/model/*,*/scrapeengine/decide/*'

mutants: $(VENV)/.current ## break each law's code, and see its test fail
	$(BIN)/python tests/mutants.py

check: $(VENV)/.checkers ## lint and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python

format: $(VENV)/.checkers ## put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.current ## what the engine itself costs
	$(BIN)/python benchmarks/engine.py

clean: ## remove what was made
	rm -rf .venv* .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
