# Two commands matter: `make demo` and `make test`. Both set up whatever is missing first.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
export UV_NO_PROGRESS ?= 1
export PYTHONUNBUFFERED = 1
# What programs are written with, for tests/walks/test_clients.py: older versions, other packages.
CLIENTS := openai-1 openai-2 langchain llama-index

help:  ## show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

demo: .venv/.ready frontend/dist/.ready  ## set up, start the platform, run the main job end to end, leave the platform up
	@$(BIN)/slipway demo

start: .venv/.ready frontend/dist/.ready  ## start the platform with all its data and deployments (PORT=8000)
	@$(BIN)/slipway up --detach

stop:  ## stop the platform; data stays in .slipway
	@if [ -x $(BIN)/slipway ]; then $(BIN)/slipway down; else echo "Nothing is set up here, so nothing runs."; fi

test: .venv/.ready-to-test console-check  ## set up and pass all checks and tests
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tests/twice.py $(or $(TESTS),-n auto --maxprocesses 4 --dist loadfile --ignore tests/walks --ignore tests/node --ignore tests/standing)
	@$(if $(TESTS),true,$(BIN)/python tests/twice.py -n 2 --dist loadfile --no-loadscope-reorder tests/walks)

setup: .venv/.ready  ## only set up the environment
setup-test: .venv/.ready-to-test

console: frontend/dist/.ready  ## build the console, if its sources changed

console-client: .venv/.ready-to-test  ## take the API's document anew, after a change of routes
	@PYTHONPATH=platform:tests DJANGO_SETTINGS_MODULE=embedded_settings $(BIN)/python -W ignore -m django \
	  spectacular --format openapi-json --file frontend/openapi.json

test-cluster: .venv/.ready-to-test frontend/dist/.ready  ## build the images, install the charts on a node of this machine, do the main job there (root; 30 GB of disk)
	@PYTHONPATH=tests $(BIN)/python -m cluster $(BIN)/python -m pytest $(or $(TESTS),tests/node)
	@$(if $(TESTS),true,$(BIN)/python -m pytest tests/standing)

cluster: .venv/.ready-to-test frontend/dist/.ready  ## boot a cluster with one node and the three images, to stay (root; 30 GB of disk)
	@PYTHONPATH=tests $(BIN)/python -m cluster.standing up

cluster-down: .venv/.ready-to-test  ## end that cluster; only what was built stays, in the cache
	@PYTHONPATH=tests $(BIN)/python -m cluster.standing down

pictures: .venv/.ready-to-test frontend/dist/.ready  ## take the pictures of docs anew, from a real platform
	@SLIPWAY_PICTURES=docs/pictures $(BIN)/python -m pytest tests/walks/test_console.py tests/walks/test_console_work.py

console-check: frontend/node_modules/.ready
	@frontend/with-node npm run --silent check
	@touch frontend/dist/.ready

lock:  ## lock dependencies anew, with hashes, after editing requirements*.in
	$(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 --no-emit-index-url \
	  --custom-compile-command "make lock" requirements.in -o requirements.lock
	$(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 --no-emit-index-url \
	  --custom-compile-command "make lock" -c requirements.lock \
	  requirements-control-plane.in -o requirements-control-plane.lock
	$(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 --no-emit-index-url \
	  --custom-compile-command "make lock" -c requirements.lock requirements-operator.in -o requirements-operator.lock
	$(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 --no-emit-index-url \
	  --custom-compile-command "make lock" -c requirements.lock -c requirements-operator.lock \
	  requirements-dev.in -o requirements-dev.lock
	$(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 --no-emit-index-url \
	  --no-annotate --custom-compile-command "make lock" requirements-sbom.in -o requirements-sbom.lock
	$(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 --no-emit-index-url \
	  --no-annotate --custom-compile-command "make lock" tests/cluster/installed/mlflow.in -o tests/cluster/installed/mlflow.lock
	for client in $(CLIENTS); do $(BIN)/uv pip compile -q --generate-hashes --python-version 3.11 --no-emit-index-url \
	  --no-annotate --custom-compile-command "make lock" tests/clients/$$client.in -o tests/clients/$$client.lock; done

base:  ## make the demonstration's base model again from its recipe
	$(BIN)/python -m slipway_demo.make_base --output platform/slipway_demo/chart_base

charts:  ## write what the charts take from the contracts and values: definitions, rights, schema, README
	PYTHONPATH=platform:operators $(BIN)/python -m slipway_operator charts helm
	$(BIN)/python helm/describe.py

vendor: .venv/.ready-to-test  ## take KubeRay's and Kueue's definitions, rights and webhooks anew from their pinned modules
	@PYTHONPATH=tests $(BIN)/python -m cluster.vendored

format:
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

# An environment is ready when its stamp is newer than its locks. An interrupted set-up leaves no
# stamp, so the next run finishes it.
.venv/.ready: requirements.lock requirements-uv.lock pyproject.toml
	@$(call sync,requirements.lock)
	@touch $@

.venv/.ready-to-test: requirements-dev.lock requirements.lock requirements-uv.lock pyproject.toml $(CLIENTS:%=tests/clients/%.lock) \
  tests/clients/node/package-lock.json
	@$(call sync,requirements-dev.lock)
	@set -e; for client in $(CLIENTS); do rm -rf .venv/clients/$$client; VIRTUAL_ENV=$$PWD/.venv $(BIN)/uv pip install -q \
	  --no-deps --require-hashes --target .venv/clients/$$client -r tests/clients/$$client.lock; done
	@frontend/with-node npm --prefix ../tests/clients/node ci --prefer-offline --loglevel=error
	@touch .venv/.ready $@

CONSOLE_SOURCES := $(shell find frontend -name node_modules -prune -o -name dist -prune -o -name generated -prune -o -type f -print)

frontend/dist/.ready: $(CONSOLE_SOURCES) frontend/node_modules/.ready
	@echo "Building the console …"
	@frontend/with-node npm run --silent build
	@touch $@

frontend/node_modules/.ready: frontend/package-lock.json frontend/package.json requirements-node.lock | .venv/.ready
	@echo "Installing what the console is built with …"
	@frontend/with-node npm ci --prefer-offline --loglevel=error
	@touch $@

define sync
set -e; \
$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
  { echo "Slipway needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 …"; exit 1; }; \
free=$$(df -Pk . | awk 'NR==2 {print int($$4/1048576)}'); \
[ -x $(BIN)/ray ] || [ "$$free" -ge 9 ] || { echo "Setting up needs about 9 GB of disk here; $$free GB are free."; exit 1; }; \
[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv || \
  { echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; rm -rf .venv; exit 1; }; \
[ -x $(BIN)/uv ] || $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-uv.lock; \
echo "Installing locked packages from $(1) …"; \
VIRTUAL_ENV=$$PWD/.venv $(BIN)/uv pip sync -q --require-hashes $(1); \
VIRTUAL_ENV=$$PWD/.venv $(BIN)/uv pip install -q --no-deps --no-build-isolation -e .
endef

.PHONY: help demo start stop test setup setup-test console console-client console-check pictures lock base charts vendor format
