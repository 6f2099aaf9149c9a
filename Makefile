# Everything runs from .venv, which .ci/setup.sh makes from the lock files; every target does that by itself.
# Another Python than the first that fits: `make run PYTHON=python3.12`.
BIN := .venv/bin
DEMO := deployments/demo
# files with a server in them come first (tests/conftest.py), not those with most tests
PYTEST := $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

export DO_NOT_TRACK := 1
export GX_ANALYTICS_ENABLED := false
export PYTHON
# empty counts as not set: where it is set, each of the many processes of a test run would compile our modules anew
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup setup-run run test test-long test-all lint format bench lock goldens readme clean

# for developing: what `make test` and `make lint` need
setup:
	@sh .ci/setup.sh dev

# for running: no test tools
setup-run:
	@sh .ci/setup.sh run

run: setup-run
	$(BIN)/rebalance run --csv $(DEMO)/portfolios.csv --ini $(DEMO)/settings.ini --paper --yes --broker simulated

# counting which lines were run takes time, so only `make test COVERAGE=1` does it, as .ci/run does
test: setup
	$(PYTEST) -m "not slow" $(if $(COVERAGE),--cov --cov-report=term:skip-covered --cov-fail-under=90)

# What `make test` only takes a sample of, at full size.
test-long: export REBALANCER_FUZZ_CASES ?= 10000
test-long: export REBALANCER_CAMPAIGN_RUNS ?= 200
test-long: export REBALANCER_KILL_CASES ?= 1000
test-long: export REBALANCER_RACES ?= 50
test-long: export REBALANCER_ALL_SCENARIOS ?= 1
test-long: setup
	$(PYTEST) -m "long or slow"

test-all: test test-long

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck .ci/run .ci/setup.sh

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	PYTHONPATH=tests/support $(BIN)/python -m bench

# One lock for running and one for developing, for every Python we support; hashes, no addresses.
COMPILE := $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --upgrade --generate-hashes \
  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --quiet
lock: $(BIN)/uv
	$(COMPILE) --group build -o requirements.lock
	$(COMPILE) --group dev -c requirements.lock -o requirements-dev.lock

# not by way of set-up, which would refuse what is not locked yet
$(BIN)/uv:
	@sh .ci/setup.sh dev

goldens: setup
	REBUILD_GOLDENS=1 $(BIN)/pytest tests -k golden

readme: setup
	$(BIN)/python -m deployments.readme

clean:
	rm -rf .venv build reports *.egg-info
