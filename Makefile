VENV := .venv
BIN  := $(VENV)/bin
UV_VERSION := 0.13.9
UV   := VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/uv
.DEFAULT_GOAL := help

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

setup: $(VENV)/.installed  ## prepare .venv; the other commands call it

$(VENV)/.installed: requirements.lock pyproject.toml
	@python3 -c 'import sys; sys.exit("eletroposto needs Python 3.11 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@echo "preparing $(VENV): about 190 packages, once"
	@test -x $(BIN)/python || python3 -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --retries 1 uv==$(UV_VERSION) || { \
		echo "make: the packages could not be fetched; is the Python package registry reachable from here (network, proxy)?" >&2; exit 1; }
	@$(UV) pip install --quiet --require-hashes -r requirements.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

lock: pyproject.toml  ## compile the locks anew (exact versions, hashes, no index address)
	$(BIN)/uv pip compile --quiet --universal --all-extras --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --extra login --extra scale --generate-hashes --no-emit-index-url --no-header --constraints requirements.lock pyproject.toml -o requirements.runtime.lock
	$(BIN)/uv pip compile --quiet --universal --group fuzz --generate-hashes --no-emit-index-url --no-header -o requirements.fuzz.lock

demo: setup  ## everything on this machine: http://localhost:8501
	@$(BIN)/eletroposto demo

check: setup  ## lint, types, import contract, SQL lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint --processes 2 sql testbench
	@$(UV) pip check

audit: setup  ## known vulnerabilities of the locked dependencies; asks the package index
	$(BIN)/pip-audit --disable-pip --require-hashes -r requirements.lock

test: setup  ## every test, real parts, no skips
	$(BIN)/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder --reruns 1 -rfER

bench: setup  ## the load generator beside the naive reference; OPTIONS="--growth --replicas --storage"
	$(BIN)/python -m benchmarks $(OPTIONS)

faults: setup  ## kill, cut and starve real processes, then count
	$(BIN)/python -m tests.faults

fuzz: setup  ## look for inputs that raise, guided by coverage; OPTIONS="frames --seconds 300"
	@$(UV) pip install --quiet --require-hashes -r requirements.fuzz.lock
	$(BIN)/python -m tests.faults.fuzz --coverage $(OPTIONS)

.PHONY: help setup lock demo check audit test bench faults fuzz
