# The one way in: a person, CI and the README all run these targets and nothing else.
# Needs git, make, bash and Python 3.11 or newer with its venv module; all else is installed
# into .venv from lock files that pin every package by hash. Tests against real clients need npm
# too, and put those into .clients.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.ready-bench
STAGE := bash scripts/stage
PYTEST := $(BIN)/python -m pytest
TESTS := bash scripts/tests $(BIN)/python
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
LOCK := $(BIN)/uv pip compile --no-config --quiet --universal --python-version 3.11 \
	--generate-hashes --no-header --no-emit-index-url $(UPGRADE)
# Whatever this machine says about where packages come from stays out of the locks.
PUBLIC := env -u UV_INDEX -u UV_DEFAULT_INDEX -u UV_INDEX_URL -u UV_EXTRA_INDEX_URL -u UV_FIND_LINKS

# Each is a folder of tests with a stage of its own; every other folder is in the unit stage.
SLOW := simulator powercuts kills chaos job clients faces mutants
PRESENT := $(notdir $(wildcard $(SLOW:%=tests/%)))
SEEDS ?= 10000
# What a release is put through besides: seeds with a thousand agents, storms, hours of chaos.
LARGE_SEEDS ?= 10000
CHAOS_SEEDS ?= 1 2 3 4 5 6 7 8 9 10
# More than there are processors: a third of the time a test waits for a process of its own.
JOBS ?= 3
DEMO := .demo

.DEFAULT_GOAL := help
.PHONY: help setup lint test unit browser programs $(SLOW) demo pictures bench prove lock clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile

setup: $(READY)  ## create .venv with everything that development needs

$(READY): requirements/dev.lock pyproject.toml
	@$(PYTHON) scripts/python_fits.py
	@$(STAGE) "setup: environment" $(PYTHON) -m venv $(VENV)
	@$(STAGE) "setup: locked packages" $(PIP) --require-hashes -r requirements/dev.lock
	@$(STAGE) "setup: visionflow" $(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

lint: $(READY)  ## style, types, layers
	@$(STAGE) "ruff check" $(BIN)/ruff check --quiet
	@$(STAGE) "ruff format" $(BIN)/ruff format --check --quiet
	@$(STAGE) "pyright" $(BIN)/pyright
	@$(STAGE) "layers" $(BIN)/lint-imports --no-cache --no-logo
	@$(STAGE) "house rules" $(PYTEST) -n $(JOBS) tests/house

test: lint unit $(PRESENT)  ## lint, then every test, stage by stage
	@echo "stages without a test as yet: $(or $(filter-out $(PRESENT),$(SLOW)),none)"

browser:
	@$(STAGE) "browser" bash scripts/browser

programs:  ## install the programs of others that tests run against the server
	@$(STAGE) "programs of others" bash scripts/clients

unit: $(READY) browser  ## the tests that need no stage of their own
	@$(STAGE) "unit and property tests" $(TESTS) -n $(JOBS) --dist loadfile tests $(patsubst %,--ignore=tests/%,house $(SLOW))

# Those wait for other programs most of the time.
clients: SIDE_BY_SIDE := -n $(JOBS) --dist loadfile
clients: programs
$(SLOW): $(READY)
	@$(STAGE) "$@" $(TESTS) $(SIDE_BY_SIDE) tests/$@

$(DEMO)/.ready: requirements/demo.lock scripts/unpack.py | $(READY)
	@rm -rf $(DEMO)/sdist $(DEMO)/package
	@$(STAGE) "demo: download" $(BIN)/python -m pip --disable-pip-version-check download --quiet \
		--no-binary :all: --no-deps --no-build-isolation --require-hashes \
		-r requirements/demo.lock --dest $(DEMO)/sdist
	@$(BIN)/python scripts/unpack.py $(DEMO)/sdist/*.tar.gz $(DEMO)/package
	@touch $@

demo: $(READY) $(DEMO)/.ready  ## audit a package that nobody here wrote, then one with planted faults
	@# A gate that fails is a result like any other.
	@$(STAGE) "demo: an audit of a strange package" $(BIN)/visionflow run \
		"Audit this repository: security, quality, tests" \
		--workspace $(DEMO)/package --out $(DEMO)/runs || test $$? -eq 1
	@$(STAGE) "demo: planted faults" $(BIN)/visionflow demo

pictures: $(READY) browser  ## take the screenshots in the docs anew
	@rm -rf $(DEMO)/planted
	@$(STAGE) "pictures: a run to show" $(BIN)/visionflow demo --keep $(DEMO)/planted
	@$(STAGE) "pictures" $(BIN)/python scripts/screenshots.py $(DEMO)/planted/runs/run_*

$(BENCH_READY): requirements/bench.lock $(READY)
	@$(STAGE) "setup: peers to measure against" $(PIP) --require-hashes -r requirements/bench.lock
	@touch $@

bench: $(BENCH_READY)  ## measure, with peers on the same work in the same run
	@$(STAGE) "bench" $(BIN)/python -m bench

prove: export VISIONFLOW_RELEASE := 1
prove: test  ## what a release needs: no row of the manifest unproved, seeds and hours of chaos
	@$(STAGE) "prove: simulator" $(BIN)/visionflow simulate --seeds $(SEEDS)
	@$(STAGE) "prove: a thousand agents" $(BIN)/visionflow simulate --seeds $(LARGE_SEEDS) \
		--agents 1000 --tasks 300
	@$(STAGE) "prove: a storm" $(BIN)/visionflow simulate --storm --agents 10000 --tasks 50000
	@for seed in $(CHAOS_SEEDS); do \
		$(STAGE) "prove: chaos $$seed" \
			$(BIN)/visionflow chaos --seed $$seed --duration 10m --tasks 10000 || exit 1; \
	done

lock: $(READY)  ## write the lock files anew; UPGRADE=--upgrade takes newer versions
	$(PUBLIC) $(LOCK) pyproject.toml --group dev -o requirements/dev.lock
	$(PUBLIC) $(LOCK) pyproject.toml -c requirements/dev.lock -o requirements/base.lock
	$(PUBLIC) $(LOCK) --group bench -c requirements/dev.lock -o requirements/bench.lock

clean:  ## remove what the other targets made
	rm -rf $(VENV) $(DEMO) .clients build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
