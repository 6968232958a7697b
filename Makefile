# Everything runs in .venv. Each target makes it first and does not repeat that the second time.
# Needs only Python 3.11 or newer with pip; another one: make demo PYTHON=python3.12

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# What `make demo` installs, and what every other target adds to it.
extras_demo := report,train
extras_dev := dev

BENCHMARKS := $(filter-out benchmarks/tables.py benchmarks/plots.py benchmarks/study_results.py,$(wildcard benchmarks/*.py))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test check bench docs clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 16

setup: $(VENV)/.dev ## install prunus and all tools into .venv

demo: $(VENV)/.demo ## compare pruning strategies on a real network (6 minutes) -> runs/demo
	$(BIN)/prunus demo --folder runs/demo

test: $(VENV)/.dev ## run all tests
	$(BIN)/pytest

check: $(VENV)/.dev ## lint, format, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(VENV)/.dev ## measure every figure of benchmarks/ on this machine, and write the tables
	set -e; for script in $(BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script; done
	$(BIN)/python benchmarks/tables.py

docs: $(VENV)/.dev ## build the documentation -> site
	$(BIN)/python benchmarks/tables.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean: ## remove all that make made, except runs
	rm -rf $(VENV) site build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache

# Some systems ship venv without its pip: the pip outside fills the environment, pip included.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("prunus needs Python 3.11 or newer, and $(PYTHON) is " \
	  "{}.{}: make PYTHON=python3.12".format(*sys.version_info) if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv --without-pip $(VENV)

$(VENV)/.%: pyproject.toml constraints.txt | $(BIN)/python
	$(PYTHON) -m pip --python $(BIN)/python install --constraint constraints.txt \
	  pip --editable '.[$(extras_$*)]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
