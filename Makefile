SHELL := /bin/bash
.DEFAULT_GOAL := help

# The first Python of 3.11 to 3.13 that runs; `make PYTHON=/path/to/python ...` chooses by hand.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --no-annotate

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "No Python of 3.11 to 3.13 found. Install one, or: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) || { rm -rf $(VENV); echo "The venv module does not work. On Debian: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.runtime: $(VENV)/bin/python requirements/runtime.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/runtime.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

.PHONY: install
install: $(VENV)/.runtime ## create .venv with the pinned dependencies

.PHONY: run
run: install ## start all roles; without AVITO_CLIENT_ID against the sandbox
	@$(BIN)/avito-gateway run

.PHONY: test
test: $(VENV)/.dev ## run the suite, but for chaos and bench
	$(BIN)/python -m pytest -n auto

.PHONY: check
check: $(VENV)/.dev ## lint, formatting, types, spelling, lock files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	@set -e; new=$$(mktemp -d); trap 'rm -rf "$$new"' EXIT; cp requirements/*.txt "$$new"; \
	$(COMPILE) --extra embedded --group build --output-file "$$new/runtime.txt" pyproject.toml; \
	$(COMPILE) --extra embedded --group build --group dev --output-file "$$new/dev.txt" pyproject.toml; \
	for f in runtime dev; do diff -q "requirements/$$f.txt" "$$new/$$f.txt" >/dev/null || \
		{ echo "requirements/$$f.txt is not what pyproject.toml asks for: run make lock" >&2; exit 1; }; done; \
	echo "lock files are current"

.PHONY: format
format: $(VENV)/.dev ## format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: lock
lock: $(VENV)/.dev ## write the lock files anew from pyproject.toml; UPGRADE=--upgrade for newer versions
	$(COMPILE) $(UPGRADE) --extra embedded --group build --output-file requirements/runtime.txt pyproject.toml
	$(COMPILE) $(UPGRADE) --extra embedded --group build --group dev --output-file requirements/dev.txt pyproject.toml

.PHONY: chaos
chaos: $(VENV)/.dev ## processes, signals and faults for real
	$(BIN)/python -m pytest -m chaos

.PHONY: bench
bench: $(VENV)/.dev ## measure on this machine
	$(BIN)/python -m bench

.PHONY: clean
clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
