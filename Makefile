# The ways into the project. Needs make, sh, and Python 3.11 or newer with its venv module.

.DEFAULT_GOAL := help
.PHONY: help serve test check bench load measure fuzz contract crosscheck soak lock format

BIN := .venv/bin
# Makes .venv hold what is named, and compiles what decides where that can be done.
ready = @scripts/venv.sh $(1) && $(BIN)/python scripts/compile.py
# What tests print about themselves; `make test ARGS="tests/engine -x"` runs a part.
ARGS ?=

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: ## Start the server: http://127.0.0.1:8080; honours DATABASE_URL, REDIS_URL, STONETOWN_*
	$(call ready,app)
	@exec $(BIN)/stonetown serve

test: ## Run every test on two processes
	$(call ready,dev)
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

check: ## Check format, style, types, layers, budgets and the freshness of the locks
	@scripts/venv.sh dev
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/check.sh

format: ## Format the code
	@scripts/venv.sh dev
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format .

bench: ## Measure checks on memory, Postgres and the index, lists in a million tuples, the dialects
	$(call ready,dev)
	@$(BIN)/python -m loadtests.bench $(ARGS)
	@$(if $(ARGS),,$(BIN)/python -m loadtests.onindex)
	@$(if $(ARGS),,$(BIN)/python -m loadtests.lookups)
	@$(if $(ARGS),,$(BIN)/python -m loadtests.lookups --index)
	@$(if $(ARGS),,$(BIN)/python -m loadtests.dialects)

load: ## Measure a server of its own over HTTP: requests a second, and times at 60 % of that
	$(call ready,dev)
	@$(BIN)/python -m loadtests.load $(ARGS)

measure: ## Measure everything for docs/performance.md and draw it; ARGS=onindex-1m is one part
	$(call ready,dev)
	@$(BIN)/python -m loadtests.everything $(ARGS)

fuzz: ## Compare a million random checks with the reference evaluator
	$(call ready,dev)
	@$(BIN)/python -m tests.fuzz $(ARGS)

contract: ## Hold every answer of a server of its own to its documents, and to OpenFGA's
	$(call ready,dev)
	@$(BIN)/python -m tests.contract $(ARGS)

crosscheck: ## Hold every question against a check of everything, on memory, index and Postgres
	$(call ready,dev)
	@$(BIN)/python -m tests.crosscheck $(ARGS)

soak: ## Write 100,000 times while answers of the index are held to the reference evaluator
	$(call ready,dev)
	@$(BIN)/python -m tests.index.writers $(ARGS)

lock: ## Resolve the requirements again; ARGS=--upgrade takes newer versions
	@scripts/venv.sh dev
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python scripts/lock.py $(ARGS)
	@scripts/venv.sh dev
