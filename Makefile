# Everything hangs off this file. A bare `make` lists the targets; each one sets up what it needs.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
HOME_DIR ?= var
export GX_ANALYTICS_ENABLED := false
export DAGSTER_DISABLE_TELEMETRY := yes

.DEFAULT_GOAL := help
.PHONY: help demo test check bench ui services services-stop docs lock clean

help:  ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.make/main: requirements/main.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked requirements into $(VENV) (once; about two minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/main.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@mkdir -p .make && touch $@

.make/test: requirements/test.txt .make/main
	@echo "installing the locked test requirements into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/test.txt
	@mkdir -p .make && touch $@

.make/kernels: .make/main $(wildcard trading/kernels/*.py)
	@echo "compiling the loops of backtests and limits (once; about a minute)"
	@$(BIN)/daybook backtest --prewarm >/dev/null
	@mkdir -p .make && touch $@

demo: .make/kernels  ## close the last sessions of the simulated market and write the report
	@$(BIN)/daybook --home $(HOME_DIR) demo

ui: .make/kernels  ## the Dagster UI on the same data, at localhost:3000
	@$(BIN)/daybook --home $(HOME_DIR) ui

services: .make/test  ## start a real MongoDB replica set and Redis for this home, and say what to export
	@$(BIN)/daybook --home $(HOME_DIR) services start

services-stop: .make/main  ## stop them; their data stay
	@$(BIN)/daybook --home $(HOME_DIR) services stop

test: .make/test .make/kernels  ## all tests that this machine can run; says by name what did not run
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: .make/test  ## ruff, mypy, import rules, architecture tests, definitions
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/architecture
	@$(BIN)/dg check defs

# Peers live in environments of their own and are never dependencies.
.make/vectorbt/installed: benchmarks/peers/vectorbt.txt
	@mkdir -p .make && $(PYTHON) -m venv .make/vectorbt
	@echo "installing vectorbt, the peer of a benchmark, into .make/vectorbt (once)"
	@.make/vectorbt/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  -r benchmarks/peers/vectorbt.txt
	@touch $@

.make/nautilus/installed: benchmarks/peers/nautilus.txt
	@mkdir -p .make && $(PYTHON) -m venv .make/nautilus
	@echo "installing nautilus_trader, the peer of a benchmark, into .make/nautilus (once)"
	@.make/nautilus/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  -r benchmarks/peers/nautilus.txt
	@touch $@

PEERS := .make/vectorbt/installed .make/nautilus/installed
bench: .make/test .make/kernels $(PEERS)  ## the benchmarks, as ratios against the named peer or limit
	@$(BIN)/python -m benchmarks

docs: .make/main  ## write the pages of docs/reference and the asset graph from the code
	@$(BIN)/python -W ignore docs/generate.py

lock:  ## compile the requirements again from pyproject.toml
	@$(PYTHON) -m venv .make/uv && .make/uv/bin/pip install --quiet uv
	@UV_CUSTOM_COMPILE_COMMAND="make lock" .make/uv/bin/uv pip compile --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url -q pyproject.toml requirements/build.in -o requirements/main.txt
	@UV_CUSTOM_COMPILE_COMMAND="make lock" .make/uv/bin/uv pip compile --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url -q pyproject.toml --extra test requirements/build.in -o requirements/test.txt
	@UV_CUSTOM_COMPILE_COMMAND="make lock" .make/uv/bin/uv pip compile --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url -q benchmarks/peers/vectorbt.in -o benchmarks/peers/vectorbt.txt
	@UV_CUSTOM_COMPILE_COMMAND="make lock" .make/uv/bin/uv pip compile --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url -q benchmarks/peers/nautilus.in -o benchmarks/peers/nautilus.txt

clean:  ## remove the environment and the demo's data
	@rm -rf $(VENV) .make var var-backups
