# The targets of the project. `make demo` and `make test` install what they need; both can be repeated.
PYTHON ?= python3
IMAGE ?= prodgate
VENV := .venv
BIN := $(VENV)/bin
CHAOSTOOLKIT := 1.19.0
FILES = git ls-files --cached --others --exclude-standard
SCRIPTS = $(shell $(FILES) '*.sh' .ci/run)
DOCKERFILES = $(shell $(FILES) Dockerfile '*/Dockerfile')
WORKFLOWS = $(shell $(FILES) '.github/workflows/*.yml' '*/.github/workflows/*.yml')

.PHONY: help venv parts lint check test format bench demo image generate schema catalogues lock
help: ## show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

venv: $(VENV)/.made ## create the virtual environment

$(VENV)/.made: requirements-dev.lock pyproject.toml
	@echo "prodgate: creating the virtual environment in $(VENV)"
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || tests/support/install-venv.sh
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

parts: venv ## install what the tests run: Debian packages, a Docker engine, images
	@tests/support/install.sh $(BIN)/python
	@$(BIN)/python -m tests.support.github.fetch >/dev/null

lint: venv ## format, lint, types, scripts, Dockerfiles, workflows
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/shellcheck $(SCRIPTS)
	$(BIN)/hadolint $(DOCKERFILES)
	$(BIN)/check-jsonschema --builtin-schema vendor.github-actions action.yml
	$(if $(WORKFLOWS),$(BIN)/check-jsonschema --builtin-schema vendor.github-workflows $(WORKFLOWS))
	$(BIN)/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline --no-progress --quiet action.yml .github/dependabot.yml $(WORKFLOWS)

format: venv ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

check: venv ## run the tests that need neither an engine nor installed servers
	$(BIN)/pytest -n 2 --dist worksteal tests/unit tests/repository

test: venv parts ## run all tests
	$(BIN)/pytest -n 6 --dist loadgroup

demo: venv ## run the gate on the example, with its services as processes
	cd examples/veza && $(CURDIR)/$(BIN)/python -m demo

image: ## build the action's image: IMAGE= names it, BASE= is any Debian 13
	docker build $(if $(BASE),--build-arg BASE=$(BASE)) --tag $(IMAGE) .

bench: parts .cache/prodgate .cache/chaostoolkit/bin/chaos ## measure the gate beside its peers
	@for script in $(sort $(wildcard bench/[a-z]*.py)); do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

.PHONY: .cache/prodgate
.cache/prodgate:
	@rm -rf build $@
	@$(PYTHON) -m venv $@
	@$@/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$@/bin/pip install --quiet --disable-pip-version-check --no-deps .

.cache/chaostoolkit/bin/chaos:
	@$(PYTHON) -m venv .cache/chaostoolkit
	@.cache/chaostoolkit/bin/pip install --quiet --disable-pip-version-check chaostoolkit==$(CHAOSTOOLKIT)

# Every file that is written from code: CI fails if one differs.
generate: schema catalogues ## write the JSON Schemas, extract and compile the catalogues

schema: venv ## write the JSON Schemas of the checklist and of the report
	$(BIN)/prodgate schema > examples/veza/prodgate.schema.json
	$(BIN)/prodgate schema --report > docs/report.schema.json

catalogues: venv ## extract the texts, update and compile the catalogues
	$(BIN)/python -m gate.i18n.extract

lock: ## pin the dependencies again
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --group dev -o requirements-dev.lock
