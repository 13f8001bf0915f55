# Everything runs in .venv, which is set up from the lock files on first use. Needs Python 3.11 to 3.13, pip and make.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv

.PHONY: demo up test chaos lint types bench openapi lock clean

demo: .venv/.core
	$(BIN)/recon demo

up: .venv/.core
	$(BIN)/recon up

test: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/basedpyright
	$(BIN)/pytest -n 3 --cov --cov-report=term

# How many faults, and what they are drawn from: make chaos FAULTS=20 SEED=7
FAULTS ?= 200
SEED ?= 1

chaos: .venv/.dev
	$(BIN)/python -m tests.chaos --faults $(FAULTS) --seed $(SEED)

lint: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: .venv/.dev
	$(BIN)/basedpyright

bench: .venv/.dev
	$(BIN)/python benchmarks/run_all.py

# The published description of the API; a test keeps it in step.
openapi: .venv/.dev
	$(BIN)/python -m recon.published

lock: .venv/.uv
	$(UV) pip compile -q --universal --generate-hashes --no-header pyproject.toml -o requirements.lock
	$(UV) pip compile -q --universal --generate-hashes --no-header --all-extras -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf .venv .recon .recon-demo .recon-chaos .pytest_cache .ruff_cache .hypothesis .coverage .coverage.*

.venv/.uv:
	@echo "Setting up .venv …"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q --disable-pip-version-check uv
	@touch $@

.venv/.core: .venv/.uv requirements.lock pyproject.toml
	@echo "Installing what the locks name …"
	$(UV) pip install -q --compile-bytecode --require-hashes -r requirements.lock
	$(UV) pip install -q --no-deps -e .
	@touch $@

.venv/.dev: .venv/.core requirements-dev.lock
	@echo "Installing what the tests need …"
	$(UV) pip install -q --compile-bytecode --require-hashes -r requirements-dev.lock
	@touch $@
