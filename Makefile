# Everything a contributor or a curious reader needs. `make` alone explains itself.
#
# Needs python3 >= 3.10 and make, nothing else. Set PYTHON to choose the interpreter and VENV to
# choose the folder of the virtual environment: make test PYTHON=python3.12 VENV=/tmp/venv

PYTHON ?= python3
VENV ?= .venv
DEMO ?= demo

BIN = $(VENV)/bin
export SOURCE_DATE_EPOCH ?= 1767225600
ONE_THREAD = OMP_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint audit wheel docs recipes check clean

help: ## show this text
	@echo "synthgan: fit a conditional GAN to a table, sample rows, check what was written."
	@echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "The first call creates $(VENV) and installs the package there, with the versions of"
	@echo "constraints.txt; later calls reuse it until pyproject.toml or constraints.txt change."
	@echo "Start with 'make demo'; before a pull request, run 'make check'."

demo: $(VENV)/.installed-base ## fit, sample and evaluate on a bundled table
	$(BIN)/synthgan demo --out $(DEMO)

test: $(VENV)/.installed-test ## run the whole test suite
	$(ONE_THREAD) $(BIN)/python -m pytest -n 2 $(PYTEST_ARGS)

lint: $(VENV)/.installed-test $(VENV)/.installed-lint ## check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive synthgan pipelines

audit: $(VENV)/.installed-lint ## look for known vulnerabilities in the tested versions (asks PyPI)
	$(BIN)/pip-audit --requirement constraints.txt --disable-pip --no-deps

wheel: $(BIN)/python ## build the wheel in dist/, the same bytes wherever it is built
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist . && sha256sum dist/*.whl

docs: $(VENV)/.installed-docs ## build the documentation; every warning is an error
	$(BIN)/python -m sphinx -W --keep-going -n -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

recipes: ## test pipelines/recipes with the packages that they are for
	$(PYTHON) -m venv $(VENV)-recipes
	$(VENV)-recipes/bin/python -m pip install --quiet --constraint constraints.txt \
		--editable ".[test]" --requirement pipelines/recipes/requirements.txt
	$(ONE_THREAD) $(VENV)-recipes/bin/python -m pytest tests/pipelines/test_recipes.py $(PYTEST_ARGS)

check: test lint docs ## everything that must pass before a change is merged

clean: ## remove what make produced, the virtual environment included
	rm -rf demo docs/_build build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find synthgan tests benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} +
	@if [ -f $(VENV)/.made-by-make ]; then rm -rf $(VENV); fi

# One stamp per set of extras; a stamp older than what it was made from is made again.
$(VENV)/.installed-base: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	@touch $@

$(VENV)/.installed-%: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$*]"
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "synthgan needs Python >= 3.10; set PYTHON=... (found: $$($(PYTHON) --version 2>&1))"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $(VENV)/.made-by-make
