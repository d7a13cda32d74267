.DEFAULT_GOAL := help

# The first Python of 3.11 to 3.13 that runs; `make PYTHON=/path/to/python ...` chooses by hand.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PIN := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links --no-annotate
COMPILE := $(PIN) --extra embedded --group build
WITH_OTEL := --extra otel --constraint
NODE := n8n/node
# Libraries that only some targets need, each set in an environment of its own.
PEERS := .venv-peers
FUZZ := .venv-fuzz
SITE := .venv-site
SECONDS ?= 60
# Tests wait, too, and start programs that want a core: three for two cores.
WORKERS ?= $(shell echo $$(((3 * $$(getconf _NPROCESSORS_ONLN) + 1) / 2)))

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

# Each step leaves a stamp, so that what is done stays done and what was interrupted is done again.
$(VENV)/.made:
	@test -n "$(PYTHON)" || { \
		echo "No Python of 3.11 to 3.13 found. Install one, or name it: make PYTHON=/path/to/python3.11 install" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
		echo "$(PYTHON) is not a Python of 3.11 to 3.13." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear $(VENV)
	@touch $@

$(VENV)/.runtime: $(VENV)/.made requirements/runtime.txt pyproject.toml
	$(PIP) --require-hashes -r requirements/runtime.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	$(PIP) --require-hashes -r requirements/dev.txt
	@touch $@

.PHONY: install
install: $(VENV)/.runtime ## create .venv with the pinned dependencies

.PHONY: otel
otel: $(VENV)/.runtime requirements/otel.txt ## add what traces need (OpenTelemetry)
	$(PIP) --require-hashes -r requirements/otel.txt

.PHONY: run
run: install ## start all roles; without AVITO_CLIENT_ID against the sandbox
	@$(BIN)/avito-gateway run

.PHONY: demo
demo: install ## show a 429, a lost answer, n8n down and a killed worker heal
	@$(BIN)/avito-gateway demo

.PHONY: test
test: $(VENV)/.dev ## run the suite, but for chaos and bench
	PYTEST_XDIST_AUTO_NUM_WORKERS=$(WORKERS) $(BIN)/python -m pytest -n auto

.PHONY: check
check: $(VENV)/.dev ## lint, formatting, types, spelling, lock files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	@new=$$(mktemp -d) && trap 'rm -rf "$$new"' EXIT && cp requirements/*.txt "$$new" && \
	{ $(COMPILE) --output-file "$$new/runtime.txt" pyproject.toml && \
	$(COMPILE) $(WITH_OTEL) "$$new/runtime.txt" --output-file "$$new/otel.txt" pyproject.toml && \
	$(COMPILE) $(WITH_OTEL) "$$new/otel.txt" --group dev --output-file "$$new/dev.txt" pyproject.toml && \
	$(PIN) --group node --output-file "$$new/node.txt" && \
	$(PIN) --group site --output-file "$$new/site.txt" || \
		{ echo "The lock files cannot be checked: see above. It needs a package index within reach." >&2; exit 1; }; } && \
	for name in runtime otel dev node site; do cmp -s "requirements/$$name.txt" "$$new/$$name.txt" || { \
		echo "requirements/$$name.txt is not what pyproject.toml asks for. Run: make lock" >&2; exit 1; }; done && \
	echo "The lock files are current."

.PHONY: format
format: $(VENV)/.dev ## format the code and mend what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: lock
lock: $(VENV)/.dev ## write the lock files from pyproject.toml; UPGRADE=--upgrade for newer versions
	$(COMPILE) $(UPGRADE) --output-file requirements/runtime.txt pyproject.toml
	$(COMPILE) $(UPGRADE) $(WITH_OTEL) requirements/runtime.txt --output-file requirements/otel.txt pyproject.toml
	$(COMPILE) $(UPGRADE) $(WITH_OTEL) requirements/otel.txt --group dev --output-file requirements/dev.txt pyproject.toml
	$(PIN) $(UPGRADE) --group node --output-file requirements/node.txt
	$(PIN) $(UPGRADE) --group site --output-file requirements/site.txt
	$(PIN) $(UPGRADE) --output-file bench/peers/requirements.txt bench/peers/requirements.in
	$(PIN) $(UPGRADE) --output-file bench/peers/older.txt bench/peers/older.in
	$(PIN) $(UPGRADE) --output-file tests/fuzz/requirements.txt tests/fuzz/requirements.in

# Node comes from PyPI: what the system has may be too old, or not there.
$(VENV)/.node: $(VENV)/.made requirements/node.txt
	$(PIP) --require-hashes -r requirements/node.txt
	@touch $@

$(NODE)/node_modules/.made: $(VENV)/.node $(NODE)/package-lock.json
	PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --prefix $(NODE) --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: node
node: $(NODE)/node_modules/.made ## build, lint, scan and test n8n's community node
	cd $(NODE) && export PATH="$(CURDIR)/$(BIN):$$PATH" npm_config_loglevel=error && \
	npm run --silent build && npm run --silent lint && npm run --silent scan && npm run --silent test

.PHONY: chaos
chaos: $(VENV)/.dev ## run the tests with killed processes and broken connections
	$(BIN)/python -m pytest -m chaos

.PHONY: console
console: $(VENV)/.dev ## run the tests of the console in Chromium; without one say so
	PYTEST_XDIST_AUTO_NUM_WORKERS=$(WORKERS) $(BIN)/python -m pytest -m browser -n auto -rs tests/console

.PHONY: screenshots
screenshots: $(VENV)/.dev ## take the pictures of docs/console.md anew
	$(BIN)/python -m tests.console.screenshots

N8N_DIR ?= .n8n

.PHONY: n8n
n8n: ## install a real n8n for e2e-n8n, in .n8n or N8N_DIR
	tests/e2e_n8n/install.sh "$(N8N_DIR)"

.PHONY: e2e-n8n
e2e-n8n: $(VENV)/.dev ## run the tests against a real n8n; without one say so
	N8N_DIR="$(N8N_DIR)" $(BIN)/python -m pytest -m n8n -rs tests/e2e_n8n

.PHONY: bench
bench: $(VENV)/.dev $(PEERS)/.made ## measure beside other libraries, write docs/benchmarks.md; ROWS="drained bulk"
	$(BIN)/python -m bench $(ROWS)

# The second set asks for an older redis-py.
$(PEERS)/.made: bench/peers/requirements.txt bench/peers/older.txt | $(VENV)/.made
	@$(BIN)/python -m venv --clear $(PEERS)
	@$(BIN)/python -m venv --clear $(PEERS)/older
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r bench/peers/requirements.txt
	$(PEERS)/older/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r bench/peers/older.txt
	@touch $@

.PHONY: peers
peers: $(VENV)/.dev $(PEERS)/.made ## do the faults to consumers of other libraries
	$(BIN)/python -m bench.peers_faults

$(FUZZ)/.made: requirements/runtime.txt tests/fuzz/requirements.txt | $(VENV)/.made
	@$(BIN)/python -m venv --clear $(FUZZ)
	$(FUZZ)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements/runtime.txt -r tests/fuzz/requirements.txt
	@touch $@

.PHONY: fuzz
fuzz: $(FUZZ)/.made ## look for webhooks that do harm, guided by coverage; SECONDS=60
	$(FUZZ)/bin/python -m tests.fuzz $(SECONDS)

.PHONY: scaling
scaling: $(VENV)/.dev ## measure what scales by what, and write docs/scaling.md
	$(BIN)/python -m bench.scaling

$(SITE)/.made: requirements/site.txt | $(VENV)/.made
	@$(BIN)/python -m venv --clear $(SITE)
	$(SITE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/site.txt
	@touch $@

.PHONY: site
site: $(SITE)/.made ## build the documents as a site, in site/; a broken link fails
	@NO_MKDOCS_2_WARNING=1 $(SITE)/bin/mkdocs build --strict
	@! grep -rlE --include='*.html' '<(script|link|img)[^>]+(src|href)="?https?:' site || { \
		echo "These pages fetch something from outside." >&2; exit 1; }

.PHONY: reference
reference: $(VENV)/.dev ## write the pages that are made from the code: settings, command line, API, errors
	$(BIN)/python -m gateway.reference

.PHONY: clean
clean: ## remove the virtual environment and caches; your data stays
	rm -rf $(VENV) $(PEERS) $(FUZZ) $(SITE) site $(NODE)/dist $(NODE)/node_modules .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
