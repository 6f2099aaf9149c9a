# Everything runs from .venv, which is made from the lock file; `make run` and `make test` do that by themselves.
PYTHON ?= python3
BIN := .venv/bin
RUN_STAMP := .venv/.installed-run
STAMP := .venv/.installed-dev
DEMO := deployments/demo
PYTEST := $(BIN)/pytest -n 2 --dist loadfile

export DO_NOT_TRACK := 1
export GX_ANALYTICS_ENABLED := false

.PHONY: setup run test test-all lint format bench lock goldens readme clean

setup: $(STAMP)

INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-deps

$(RUN_STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(INSTALL) --require-hashes -r requirements.lock
	$(INSTALL) --no-build-isolation -e .
	$(BIN)/pip check
	touch $(RUN_STAMP)

$(STAMP): requirements-dev.lock $(RUN_STAMP)
	$(INSTALL) --require-hashes -r requirements-dev.lock
	$(BIN)/pip check
	touch $(STAMP)

run: $(RUN_STAMP)
	$(BIN)/rebalance run --csv $(DEMO)/portfolios.csv --ini $(DEMO)/settings.ini --paper --yes --broker simulated

test: $(STAMP)
	$(PYTEST) --cov --cov-report=term:skip-covered --cov-fail-under=90

# The campaigns at full size.
test-all: export REBALANCER_FUZZ_CASES ?= 10000
test-all: export REBALANCER_CAMPAIGN_RUNS ?= 200
test-all: export REBALANCER_ALL_SCENARIOS ?= 1
test-all: $(STAMP)
	$(PYTEST)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP)
	PYTHONPATH=tests $(BIN)/python -m bench

# One lock for running and one for developing, for every Python we support; hashes, no addresses.
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --upgrade --generate-hashes \
  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet
lock: $(STAMP)
	$(COMPILE) --group build -o requirements.lock
	$(COMPILE) --group dev -c requirements.lock -o requirements-dev.lock

goldens: $(STAMP)
	REBUILD_GOLDENS=1 $(BIN)/pytest tests -k golden

readme: $(STAMP)
	$(BIN)/python -m deployments.readme

clean:
	rm -rf .venv build reports *.egg-info
