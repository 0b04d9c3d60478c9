# The verbs of the project. `make demo` and `make test` install what they need; both may be run twice.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help venv lint test format demo catalogues lock clean

help: ## show the verbs
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

venv: $(VENV)/.made ## make the virtual environment

$(VENV)/.made: requirements-dev.lock pyproject.toml
	@echo "prodgate: making the virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

lint: venv ## format, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: venv ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: venv ## run the tests
	$(BIN)/pytest

demo: venv ## run the gate on the example, with its services as processes
	cd examples/veza && $(CURDIR)/$(BIN)/python -m demo

catalogues: venv ## extract the texts, update and compile the catalogues
	$(BIN)/python -m gate.locale

lock: ## pin the dependencies again
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --group dev -o requirements-dev.lock
