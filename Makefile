# make demo   compile a small CNN, train it on handwritten digits, print its test accuracy
# make test   run the tests
# make lint   style and types
# make soak   draw formulas and networks and look for wrong numbers, SEED=1 MINUTES=3
# make mutants  change codegen/ in one place at a time, and count what the tests notice, SEED=hash COUNT=20 MINUTES=60
# make mistakes  make mistakes of every kind, COUNT=1000 SEED=1, and look for one that gets no message of its own
# make bench  race training steps against other frameworks; its tables are docs/benchmarks.md
#
# Each target makes its own environment in .venv (or VENV=path) the first time,
# and again when pyproject.toml changes. Python 3.11 or newer is all it needs.

VENV ?= .venv
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11 python,$(shell \
	$(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))))

BIN := $(VENV)/bin
READY := $(VENV)/.symnet-ready
PYTEST_ARGS ?=
SEED ?=
MINUTES ?=
COUNT ?=

# The matrices here are small: a second thread in each product costs more than it brings.
export OPENBLAS_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test soak mutants mistakes lint format bench clean

help:
	@echo 'make demo   compile the CNN, train it on the digits, print its test accuracy'
	@echo 'make test   run the tests (PYTEST_ARGS="-k conv" runs some of them)'
	@echo 'make soak   draw formulas and networks, look for wrong numbers (SEED=1 MINUTES=3, SOAK_ARGS="--kind formulas")'
	@echo 'make mutants  changes codegen/ in one place at a time; what do the tests notice? (COUNT=20 MINUTES=60 SEED=hash)'
	@echo 'make mistakes  makes mistakes of every kind; does each get a message? (COUNT=1000 SEED=1, MISTAKES_ARGS="--kind files")'
	@echo 'make lint   ruff and mypy; make format puts the files in standard form'
	@echo 'make bench  race training steps against other frameworks, and put the tables into docs/benchmarks.md'
	@echo 'make clean  remove build/ and the caches (not the environment)'

setup: $(READY)

$(READY): pyproject.toml
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer is needed: install it, or name it with PYTHON=path.' >&2; exit 1; }
	@test -x '$(BIN)/python' || { echo 'making an environment in $(VENV) ...'; '$(PYTHON)' -m venv '$(VENV)'; }
	@echo 'installing symnet and what its tests use into $(VENV) ...'
	@'$(BIN)/python' -m pip install -qq --disable-pip-version-check --no-input --editable '.[dev]'
	@touch '$(READY)'

demo: $(READY)
	@'$(BIN)/python' examples/train.py digits_cnn --save build/digits_cnn.py

# A process for each core, four at most; the tests of a file stay in one, with what they share.
test: $(READY)
	'$(BIN)/python' -m pytest -n auto --maxprocesses 4 --dist loadfile $(PYTEST_ARGS)

soak: $(READY)
	PYTHONPATH=.:tests '$(BIN)/python' -m soak --jobs 2 --minutes $(or $(MINUTES),3) $(if $(SEED),--seed $(SEED)) $(SOAK_ARGS)

# The first time, every check is run once to see which lines it reaches.
mutants: $(READY)
	@test -e build/mutants/map.json || PYTHONPATH=.:tests '$(BIN)/python' -m mutants --record
	PYTHONPATH=.:tests '$(BIN)/python' -m mutants $(if $(SEED),--seed $(SEED)) $(if $(COUNT),--count $(COUNT)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(MUTANTS_ARGS)

mistakes: $(READY)
	PYTHONPATH=.:tests '$(BIN)/python' -m mistakes $(if $(SEED),--seed $(SEED)) $(if $(COUNT),--count $(COUNT)) $(MISTAKES_ARGS)

lint: $(READY)
	'$(BIN)/ruff' check .
	'$(BIN)/ruff' format --check .
	'$(BIN)/mypy' --strict symnet codegen

format: $(READY)
	'$(BIN)/ruff' check --fix .
	'$(BIN)/ruff' format .

# Frameworks that are not installed are left out: $(BIN)/python -m pip install '.[bench]' brings them.
bench: $(READY)
	'$(BIN)/python' -m benchmarks --unseen --page $(BENCH_ARGS)

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
