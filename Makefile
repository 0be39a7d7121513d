# Everything sets itself up: a .venv in the checkout, made anew only when pyproject.toml has changed.
# Needs python3 (3.11 or later), make and git. Another interpreter: make test PYTHON=python3.13 VENV=.venv-3.13

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
JOBS ?= auto
SPREAD := -n $(JOBS) --dist worksteal
LOWEST ?= $(BIN)/python
ONLY ?=

# What a .venv was made for. A set-up that was interrupted has not written it down.
KEY := $(PYTHON) $(shell command -v $(PYTHON) >/dev/null && $(PYTHON) --version 2>&1) $(CURDIR) $(shell cksum < pyproject.toml)
MADE_FOR := $(shell test -x $(BIN)/python && cat $(VENV)/.current 2>/dev/null)

.PHONY: help demo test test-slow test-lowest test-all coverage covered mutants check format bench clean

help:
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

ifneq ($(MADE_FOR),$(KEY))
.PHONY: $(VENV)/.current
endif
$(VENV)/.current:
	@command -v '$(PYTHON)' >/dev/null \
		|| { echo "There is no '$(PYTHON)'. Install Python 3.11 or later, or name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "scrapeengine needs Python 3.11 or later. '$(PYTHON)' is $$($(PYTHON) --version 2>&1)." \
			"Install a later one, or name one: make PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "'$(PYTHON)' cannot make virtual environments: it lacks ensurepip or venv." \
			"On Debian and Ubuntu install them with: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group test
	@echo '$(KEY)' > $@

$(VENV)/.checkers: $(VENV)/.current
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group check
	@touch $@

demo: $(VENV)/.current ## scrape 26 feeds and 36 articles from loopback, ten at a time
	$(BIN)/python examples/feeds.py

test: $(VENV)/.current ## the tests, in a few minutes, a process for each core (JOBS=0: in one)
	$(PYTEST) $(SPREAD)

test-slow: $(VENV)/.current ## the laws in a thousand generated runs each, and all else that takes long
	$(PYTEST) $(SPREAD) -m slow
	$(PYTEST) $(SPREAD) tests/laws tests/unit -m "hypothesis and not slow" --hypothesis-profile slow

test-lowest: export UV_SYSTEM_CERTS := true
test-lowest: $(VENV)/.current ## the tests on the lowest versions that pyproject.toml allows
	$(LOWEST) -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest --resolution lowest-direct --editable . --group test
	.venv-lowest/bin/python -m pytest $(SPREAD)

test-all: ## the tests on every Python from 3.11 to 3.13 that is found, and on the system's own
	.ci/pythons

coverage: $(VENV)/.current ## the tests, and how much they cover, with the least that is taken
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	@$(MAKE) --no-print-directory covered

covered: # how much the last tests under coverage have covered: make test JOBS=0 PYTEST='.venv/bin/coverage run -m pytest'
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

bench: $(VENV)/.current ## what the engine costs, alone and beside its peers; one part: make bench ONLY=http RUNS=1
	$(BIN)/python -m benchmarks $(ONLY) $(if $(RUNS),--runs $(RUNS))

clean: ## remove what was made
	rm -rf .venv* .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
