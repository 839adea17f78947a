# Every target installs what it needs into .venv; nothing needs root.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
HOME_DIR := var/demo

export GX_ANALYTICS_ENABLED := false
export AIRFLOW__USAGE_DATA_COLLECTION__ENABLED := False

.PHONY: demo docs test test-all stack check airflow bench clean
.DELETE_ON_ERROR:

$(STAMP): pyproject.toml uv.lock
	@scripts/install.sh "$(PYTHON)"
	@touch $@

demo: $(STAMP)  ## 12 synthetic hospitals through the real Airflow DAG, to reports and deliveries
	@scripts/demo.sh $(HOME_DIR)

test: $(STAMP)  ## the tests; a browser is installed when this user may
	@scripts/install-browser.sh
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder -m "not slow"

test-all: $(STAMP)  ## with the slow tests
	@scripts/install-browser.sh
	@scripts/install-redis.sh
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

stack: $(STAMP)  ## the services of docker-compose.yml without containers, from export to feedback
	@scripts/install-redis.sh
	@$(BIN)/python -m pytest -q tests/stack

check: $(STAMP)  ## linter, formatter, types, and the definitions of indicators
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/uitkomst indicators check

airflow: $(STAMP)  ## Airflow with these DAGs on http://localhost:8080
	@scripts/airflow.sh standalone

docs: $(STAMP)  ## the documentation site in var/site/html
	@$(BIN)/uitkomst indicators document var/site/pages
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

bench: $(STAMP)  ## speed and memory, against hand-written SQL in the same run
	@$(BIN)/python benchmarks/mapping.py
	@$(BIN)/python benchmarks/fit_gap.py
	@$(BIN)/python benchmarks/proms.py
	@$(BIN)/python benchmarks/indicators.py

clean:
	rm -rf .venv var
