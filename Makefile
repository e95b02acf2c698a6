# Every command a contributor needs; `make` alone prints them. CI runs `.ci/run`, which runs these.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
UV_VERSION := 0.13.9
ARGS ?=
LOCK := .cache/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup compile wheel wheels demo observe test test-fast test-compiled chaos coverage check bench growth soak dashboards pictures alerts docs lock clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo '  ARGS="…" adds arguments to the program behind demo, observe, test, test-fast, chaos, coverage, bench, growth and soak.'

setup: $(STAMP) ## install the locked dependencies and this repository into .venv

wheel: $(STAMP) ## build the wheel of this platform and Python into dist/ (JOBSTREAM_PURE=1: the pure one)
	$(BIN)/python -m hatchling build --target wheel --directory dist

wheels: $(STAMP) ## the same for each Python on the PATH, with locked tools: PYTHONS="python3.12 /path/to/python"
	$(BIN)/python -m tools.wheels $(PYTHONS)

compile: $(STAMP) ## compile the hot path in place with mypyc, for `make bench` (a minute; needs gcc)
	$(BIN)/python hatch_build.py

demo: $(STAMP) ## index the standard library through real Kafka, with a worker killed half-way
	$(BIN)/python -m examples.stdlib_index $(ARGS)

observe: $(STAMP) ## run the whole stack with a load, Prometheus and Alertmanager, until Ctrl-C
	@.ci/install
	$(BIN)/python -m examples.observe $(ARGS)

# Two files at a time: most tests wait for brokers and workers. In their order, the slow ones first.
test: $(STAMP) ## run all tests; they start the brokers they need
	@.ci/install || echo "going on without: tests of metrics, dashboards and alerts are skipped" >&2
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

test-fast: $(STAMP) ## run the tests that need no broker
	$(BIN)/python -m pytest -m "not kafka" --ignore=tests/integration --ignore=tests/guarantees $(ARGS)

test-compiled: $(STAMP) ## run unit, property, contract, simulation and guarantee tests on the compiled wheel
	$(BIN)/python -m tools.compiled_tests -n 2 --dist loadfile --no-loadscope-reorder \
	  tests/simulation tests/unit tests/property tests/contract tests/guarantees $(ARGS)

chaos: $(STAMP) ## simulate faults: SEEDS=2000 FROM=0, or one with its trace: SEED=4711
	$(BIN)/python -m tests.simulation $(if $(SEEDS),--seeds $(SEEDS)) $(if $(FROM),--from $(FROM)) $(if $(SEED),--seed $(SEED)) $(ARGS)

coverage: $(STAMP) ## run all tests and report the branches that none of them took
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: $(STAMP) ## lint, format, types, import contracts, spelling, docs: what must be clean to merge
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy tests grafana tools hatch_build.py $(wildcard examples)
	$(BIN)/lint-imports --no-logo
	$(BIN)/codespell
	$(BIN)/python -m pytest -q tests/architecture

bench: $(STAMP) ## measure jobstream side by side with bare loops and Celery (minutes)
	$(BIN)/python -m tests.bench $(ARGS)

growth: $(STAMP) ## draw what becomes of rate, CPU and memory as things grow (half an hour): ARGS="--small"
	$(BIN)/python -m tests.bench.growth $(ARGS)

soak: $(STAMP) ## load a worker for an hour and tell whether its memory grows: ARGS="--minutes 10"
	$(BIN)/python -m tests.bench.soak $(ARGS)

dashboards: $(STAMP) ## write grafana/dashboards/ anew from grafana/src/
	$(BIN)/python -m grafana.src

pictures: $(STAMP) ## draw dashboards and pages of a bad minute into docs/pictures/ (npm, Chromium)
	$(BIN)/python -m pytest -q tests/observe/test_panels.py
	npm --prefix tools/preview ci --ignore-scripts --no-audit --no-fund
	npm --prefix tools/preview run --silent build
	$(BIN)/python -m tools.preview
	$(BIN)/python -m tools.page_pictures

alerts: $(STAMP) ## write the rules of Prometheus and Grafana anew from grafana/src/alerts/
	$(BIN)/python -m grafana.src.alerts $(ARGS)

docs: $(STAMP) ## write docs/metrics.md anew from the catalogue of metrics
	$(BIN)/python -m tools.metrics_page > docs/metrics.md

lock: ## write the lock files anew from pyproject.toml (needs the network)
	@test -x .cache/lock/bin/uv || $(PYTHON) -m venv .cache/lock
	.cache/lock/bin/python -m pip install -q uv==$(UV_VERSION)
	$(LOCK) pyproject.toml --extra dev --extra otel --extra views --extra postgres --extra web --extra top \
	  --extra sql --extra fastapi --extra django --extra flask --extra pydantic --extra msgspec --extra sentry --extra oidc \
	  --group build --group test --group lint \
	  --group bench --group dashboards \
	  --output-file requirements.lock $(ARGS)
	$(LOCK) pyproject.toml --extra worker --extra otel --extra views --extra postgres --extra web --extra oidc --constraint requirements.lock \
	  --output-file docker/worker.lock
	$(LOCK) --group build --constraint requirements.lock --output-file docker/build.lock

clean: ## remove .venv, every cache and what `make compile` made
	find schemas processors streams -name '*.so' -delete
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) > /dev/null \
	  || { echo "$(PYTHON) is not on the PATH: install Python 3.11 or newer, or say make PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$$($(PYTHON) --version) is too old: jobstream needs Python 3.11 or newer; say make PYTHON=/path/to/python" >&2; exit 1; }
	@echo "installing the locked dependencies into $(VENV) (the first time: a few hundred MB, minutes)"
	@$(BIN)/python -c '' 2> /dev/null || $(PYTHON) -m venv --clear $(VENV) \
	  || { echo "$(PYTHON) cannot make a virtual environment; on Debian or Ubuntu: apt install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
