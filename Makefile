# Everything here makes .venv first and needs only python3 (>= 3.11) and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test nightly mutants coverage unit stack chaos bench lint format constraints clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(VENV)/.ready ## make the virtual environment with all that is needed

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "KafkaJourney needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1' -c constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e . --group dev
	@touch $@

demo: setup ## run the whole pipeline and verify it (STACK=real: on real Kafka and a real registry)
ifeq ($(STACK),real)
	$(BIN)/python -m tests.stack -- $(BIN)/kafkajourney demo --stack settings
else
	$(BIN)/kafkajourney demo
endif

WORKERS ?= 3

test: setup ## run all tests; what is long by nature in its short form (WORKERS=N at once)
	$(BIN)/python -m pytest -n $(WORKERS)

nightly: setup ## run all tests in their full form: every mutation, 100,000 fuzzed records
	KAFKAJOURNEY_TEST_FULL=1 $(BIN)/python -m pytest

mutants: setup ## break the loop and the store in 1,600 ways, list what no unit test notices (15 minutes)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group mutants
	$(BIN)/mutmut run --max-children 2
	$(BIN)/mutmut results

coverage: setup ## measure the branches that the tests without a stack cover
	$(BIN)/python -m pytest -m 'not stack and not slow' -n 2 --cov --cov-report=term:skip-covered -q

unit: setup ## run the tests that need no broker and no registry (seconds)
	$(BIN)/python -m pytest -m 'not registry and not stack and not slow' -n 0 -q

stack: setup ## start real Kafka and a real registry; they run until Ctrl-C (needs Java 17 and Maven)
	$(BIN)/python -m tests.stack

chaos: setup ## the fault suite: 200 SIGKILLs and other faults over a million events, then verify
	$(BIN)/python -m tests.chaos

bench: setup ## measure drain, producing, latency and scale, with peers, on real Kafka (25 minutes)
	$(BIN)/python -m benchmarks

lint: setup ## ruff, mypy, and the rules of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## let ruff format and mend what it can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

constraints: ## write constraints.txt anew with the newest allowed versions
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -U 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e . --group dev
	$(BIN)/python -m pip freeze --all --exclude-editable --exclude setuptools > constraints.txt
	@touch $(VENV)/.ready

clean: ## remove the virtual environment and what runs left behind
	rm -rf $(VENV) mutants .kafkajourney .pytest_cache .mypy_cache .ruff_cache .hypothesis
