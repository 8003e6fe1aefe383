# Each target does its own set-up. `make` alone prints what there is.
PYTHON ?= python3
ARGS ?=
STACK ?= on
SITE ?= auto
SERVER ?= redis-8
CELERY ?= 5.5
COMPAT := $(or $(TMPDIR),/tmp)/anp-compat-$(CELERY)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help up test test-long test-server compat site-test faults chaos check bench model lock secrets image stack-up stack-smoke stack-test stack-down clean

help:            ## what there is
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

up: $(READY)     ## the main job: embedded Redis, demo site, beat, worker, Flower, live table (ARGS="--for 60")
	@$(BIN)/anp up $(ARGS)

test: $(READY)   ## the tests, without those that take long (ARGS="-k name")
	@$(BIN)/python -m pytest -n 5 --dist worksteal $(ARGS)

test-long: $(READY) ## the tests that take longer: the site on SQLite and MariaDB; workers that stop, die, fail over, meet another app
	@$(BIN)/python -m pytest -n 5 --dist worksteal --long=only $(ARGS)

test-server: $(READY) ## unit and integration tests on another Redis (SERVER=redis-8, valkey-9 or debian; ARGS="path")
	@server=$$($(BIN)/python -m tests.servers $(SERVER)) && \
	  ANP_REDIS_SERVER=$$server $(BIN)/python -m pytest -n 5 --dist worksteal $(or $(ARGS),tests/unit tests/integration)

compat:          ## unit and integration tests with the oldest of everything that pyproject.toml allows (CELERY=5.6, ARGS="path")
	@$(PYTHON) -m venv --clear $(COMPAT)
	@$(PYTHON) -m tests.support.oldest $(CELERY) >$(COMPAT)/oldest.txt
	@$(COMPAT)/bin/python -m pip install -qq --disable-pip-version-check -r $(COMPAT)/oldest.txt
	@$(COMPAT)/bin/python -m pip install -qq --disable-pip-version-check --no-deps -e .
	@$(COMPAT)/bin/python -m pip list --format freeze | grep -E "^(celery|kombu|redis|billiard)="
	@$(COMPAT)/bin/python -m pytest -n 5 --dist worksteal -p no:cacheprovider $(or $(ARGS),tests/unit tests/integration)

site-test: $(READY) ## the tests on a real WordPress (skips without one; SITE=required fails)
	@$(BIN)/python -m pytest --wordpress=$(SITE) tests/wordpress $(ARGS)

faults: $(READY) ## the fault suite: real processes killed, paused and cut off
	@$(BIN)/python -m pytest -m faults -n 5 tests/faults $(ARGS)

chaos: $(READY)  ## all faults mixed over a second-by-second schedule (ARGS="--minutes 10 --seed 7")
	@$(BIN)/python -m tests.faults.chaos $(ARGS)

check: $(READY)  ## lint (Python and Lua), format, types, import rules, the quick search of the protocol model
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy celery_anp worker tests
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.lua
	@$(BIN)/python -m tests.model --quick

model: $(READY)  ## the long searches: of the protocol model (7 to 15 minutes), and of the scripts against theirs (minutes)
	@$(BIN)/python -m tests.model --long
	@LEDGER_MACHINE=long $(BIN)/python -m pytest -k "whatever_happens and 50" tests/integration/test_ledger_machine.py

bench: $(READY)  ## guarded against plain Celery, as ratios
	@$(BIN)/python -m tests.bench $(ARGS)

lock:            ## pin every dependency anew, with hashes (needs uv)
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  --extra flower --extra site --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 --extra dev \
	  --custom-compile-command "make lock" -c requirements.lock pyproject.toml -o requirements-dev.lock
	echo hatchling | uv pip compile -q --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
	  --custom-compile-command "make lock" -c requirements-dev.lock - -o requirements-build.lock

secrets:         ## random passwords for the stack in secrets/, and .env (what is there stays)
	@$(PYTHON) deploy/make_secrets.py

image: secrets   ## build the images of the stack
	@ANP_REVISION=$$(git rev-parse HEAD 2>/dev/null || echo unknown) docker compose --profile demo build -q worker redis mariadb

stack-up: image  ## the production shape in containers, until it is healthy
	@docker compose up -d --wait --wait-timeout 300

stack-smoke:     ## does the running stack do its work: a run through containers, Flower behind its password
	@deploy/smoke

stack-test: $(READY) ## the stack in containers, with what dies in it (skips without a Docker engine; STACK=required fails)
	@$(BIN)/python -m pytest --stack=$(STACK) tests/stack $(ARGS)

stack-down:      ## end the stack and remove its containers, volumes and networks
	@docker compose --profile '*' down -v --remove-orphans

clean:           ## remove the environment, the state of `make up`, and caches
	rm -rf $(VENV) .anp .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(READY): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "anp needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || \
	  { echo "This Python cannot make an environment; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) (once) …"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes --only-binary :all: -r requirements-dev.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
