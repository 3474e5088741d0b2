# What one does with Larder. `make` alone lists it.
#
# Each target first sees to `.venv`, which is the project's own: it is made, renewed when a lock or pyproject.toml
# changed, and made again when an earlier attempt was interrupted or its Python or place is gone. Needs Python 3.11 or
# newer with its venv module; PYTHON=/path/to/python names the one to make it with.

.DEFAULT_GOAL := help
.PHONY: help run dev test test-all test-faults test-scale soak deploy-check bench bench-compare bench-scale lint types format check audit lock clean \
	FORCE
.NOTPARALLEL:
# Else each process that a registry consists of, and each that the tests start, compiles all of it anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
CANDIDATES := $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python)
CODE := $(wildcard services shared tests benchmarks)
LOCKS := requirements.lock requirements-dev.lock
AUDIT = $(BIN)/uv tool run pip-audit==2.10.1 --strict --require-hashes --disable-pip --vulnerability-service osv \
	--progress-spinner off $(LOCKS:%=--requirement %)
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# Two makes at once take turns, where the machine has flock.
ONE_AT_A_TIME := $(shell command -v flock >/dev/null 2>&1 && echo "flock Makefile")
# A test file at a time to each core, and one more, because some wait for processes. Those that load or fill the machine
# themselves go one by one.
SIDE_BY_SIDE = -n $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1) --maxprocesses 5 --dist loadfile
SCALED = --engines=scaled
# The runs that follow leave their rows in a file, and the last thing that is seen is one table of them all.
FAULT_TABLE = FAULT_ROWS=$$(mktemp) && export FAULT_ROWS \
	&& trap '$(BIN)/python -m tests.faults.report "$$FAULT_ROWS"; rm -f "$$FAULT_ROWS"' EXIT
SET_UP = +@$(ONE_AT_A_TIME) $(MAKE) --no-print-directory

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile

run: ## set everything up and serve: embedded Redis, API, worker (Ctrl-C stops it)
	$(SET_UP) .venv/.runtime .venv/.redis
	@exec $(BIN)/larder serve

dev: ## like run, with data in var-dev, readable logs, and a restart on every change
	$(SET_UP) .venv/.dev .venv/.redis
	@LARDER_DATA_DIR=$${LARDER_DATA_DIR:-var-dev} LARDER_LOG_FORMAT=$${LARDER_LOG_FORMAT:-console} \
		exec $(BIN)/watchfiles --target-type command --sigint-timeout 15 '$(BIN)/larder serve' services shared

test: ## run the tests
	$(SET_UP) .venv/.dev .venv/.redis LARDER_REDIS_URL=
	@$(BIN)/python -m pytest -m "not slow" $(SIDE_BY_SIDE)

test-all: ## run all tests, the long ones too, and some on PostgreSQL and S3 again; a missing backend is a failure
	$(SET_UP) .venv/.dev .venv/.redis LARDER_REDIS_URL=
	@$(FAULT_TABLE) && REQUIRE_BACKENDS=1 $(BIN)/python -m pytest -m "not slow" $(SIDE_BY_SIDE) \
		&& REQUIRE_BACKENDS=1 $(BIN)/python -m pytest -m "slow and not alone" $(SIDE_BY_SIDE) \
		&& REQUIRE_BACKENDS=1 $(BIN)/python -m pytest -m "slow and alone" \
		&& REQUIRE_BACKENDS=1 $(BIN)/python -m pytest $(SCALED) -m "scaled and not alone" $(SIDE_BY_SIDE) \
		&& REQUIRE_BACKENDS=1 $(BIN)/python -m pytest $(SCALED) -m "scaled and alone"

test-scale: ## run contract suites, API and end-to-end tests and some faults on PostgreSQL and S3, which it starts
	$(SET_UP) .venv/.dev .venv/.redis LARDER_REDIS_URL=
	@$(FAULT_TABLE) && REQUIRE_BACKENDS=1 $(BIN)/python -m pytest $(SCALED) -m "not alone" $(SIDE_BY_SIDE) \
			tests/contracts tests/api tests/worker tests/e2e \
		&& REQUIRE_BACKENDS=1 $(BIN)/python -m pytest $(SCALED) -m alone tests/e2e \
		&& REQUIRE_BACKENDS=1 $(BIN)/python -m pytest $(SCALED) -m scaled tests/faults

test-faults: ## run the fault tests, and print the table of what was lost, doubled and leaked: nothing
	$(SET_UP) .venv/.dev .venv/.redis LARDER_REDIS_URL=
	@$(FAULT_TABLE) && REQUIRE_BACKENDS=1 $(BIN)/python -m pytest tests/faults -m "not alone" $(SIDE_BY_SIDE) \
		&& REQUIRE_BACKENDS=1 $(BIN)/python -m pytest tests/faults -m alone

soak: ## let 16 clients work for SOAK_MINUTES (20) while processes are killed, and check what they were told
	$(SET_UP) .venv/.dev .venv/.redis LARDER_REDIS_URL=
	@$(BIN)/python -m pytest -s tests/faults/soak.py

deploy-check: ## render, validate and lint deploy/, and take the image's steps outside of a container
	$(SET_UP) .venv/.dev .venv/.redis LARDER_REDIS_URL=
	@REQUIRE_BACKENDS=1 $(BIN)/python -m pytest tests/deploy

bench: ## measure Larder beside nginx and its peers (BENCH=--quick: in short; BENCH=--help: what else)
	$(SET_UP) .venv/.dev .venv/.redis LARDER_REDIS_URL=
	@exec $(BIN)/python -m benchmarks compete $(BENCH)

bench-compare: ## measure two commits of Larder: A=<commit> B=<another, or what is here> (BENCH as above)
	$(SET_UP) .venv/.dev .venv/.redis LARDER_REDIS_URL=
	@exec $(BIN)/python -m benchmarks compare $(BENCH) $(A) $(B)

bench-scale: ## compare a registry of a million packages on PostgreSQL with one of a thousand (SCALE=--quick: in short)
	$(SET_UP) .venv/.dev .venv/.redis LARDER_REDIS_URL=
	@exec $(BIN)/python -m benchmarks scale $(SCALE)

lint: ## check style and formatting
	$(SET_UP) .venv/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: ## check types
	$(SET_UP) .venv/.dev
	@$(BIN)/mypy $(CODE)

format: ## format the code and mend what can be mended
	$(SET_UP) .venv/.dev
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

check: lint types test ## lint, types and test

audit: ## ask the advisory database about the locked requirements; without a network it says that it could not
	$(SET_UP) .venv/.dev
	@errors=$$(mktemp) && trap 'rm -f "$$errors"' EXIT; \
	if found=$$($(AUDIT) 2>"$$errors"); then \
		echo "No known vulnerability in $(LOCKS)."; \
	elif [ -n "$$found" ]; then \
		echo "$$found"; exit 1; \
	elif grep -Eqi 'connect|resolve|unreachable|timed out|failed to fetch' "$$errors"; then \
		echo "Nothing was audited: the advisory database, or what asks it, cannot be reached from here." >&2; \
	else \
		cat "$$errors" >&2; exit 1; \
	fi

lock: ## renew the locked requirements
	$(SET_UP) .venv/.dev
	@$(call COMPILE,requirements.lock)
	@$(call COMPILE,requirements-dev.lock,--group dev --constraints requirements.lock)
	@for pins in tests/e2e/pins/*.in; do $(COMPILE_ONE) "$$pins" --output-file "$${pins%.in}.txt" || exit; done

clean: ## remove caches and build output; the environment and all data stay
	@rm -rf build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find $(CODE) -type d -name __pycache__ -prune -exec rm -rf {} +

# For every Python and platform at once; no file on this machine but pyproject.toml has a say.
COMPILE_ONE = $(BIN)/uv --no-config pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock"
COMPILE = $(COMPILE_ONE) pyproject.toml --extra postgres --extra s3 --group install $(2) --output-file $(1)

.venv/.dev: requirements-dev.lock .venv/.runtime
	@echo "Installing what development needs ..."
	@touch .venv/.unfinished
	@$(PIP) install --quiet --require-hashes --requirement requirements-dev.lock
	@rm .venv/.unfinished && touch $@

.venv/.runtime: requirements.lock pyproject.toml .venv/.made
	@echo "Installing Larder ..."
	@touch .venv/.unfinished
	@$(PIP) install --quiet --require-hashes --requirement requirements.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@rm .venv/.unfinished && touch $@

# Asked each time, because what is on PATH or named by LARDER_REDIS_URL may have changed.
.venv/.redis: .venv/.made FORCE
	@test -n "$$LARDER_REDIS_URL" || $(BIN)/python -m services.standalone.redis_binary

# Holds the place that it was made for, because an environment does not survive a move. Only what was made here is ever
# removed; somebody else's `.venv` is left to him.
.venv/.made: FORCE
	@if [ ! -e .venv/.unfinished ] && [ "$$(cat $@ 2>/dev/null)" = "$$(pwd)" ] && $(BIN)/python -c "" 2>/dev/null; then \
		exit 0; \
	fi; \
	if [ -e .venv ] && [ ! -e $@ ] && [ ! -e .venv/.unfinished ]; then \
		echo ".venv was not made by this Makefile, which needs the name: move it out of the way." >&2; \
		exit 1; \
	fi; \
	chosen=; \
	for python in $(CANDIDATES); do \
		"$$python" -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null || continue; \
		if "$$python" -c "import ensurepip, venv" 2>/dev/null; then chosen=$$python; break; fi; \
		echo "$$python has no venv module: install it (Debian and Ubuntu: the package $${python##*/}-venv)." >&2; \
	done; \
	if [ -z "$$chosen" ]; then \
		echo "Larder needs Python 3.11 or newer with its venv module. None of these will do: $(CANDIDATES)." >&2; \
		echo "Install one, or name it: make PYTHON=/path/to/python" >&2; \
		exit 1; \
	fi; \
	echo "Making .venv with $$chosen ..."; \
	rm -rf .venv && mkdir .venv && touch .venv/.unfinished \
		&& "$$chosen" -m venv .venv && pwd > $@ && rm .venv/.unfinished
