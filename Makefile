# Everything runs in .venv, which `make setup` builds from constraints.txt.
SHELL := /bin/bash
PYTHON_ENV := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-7s %s\n", $$1, $$2}' \
		$(MAKEFILE_LIST)

setup: ## Build or update the environment, .venv (15 to 20 min the first time)
	@tools/setup_env.sh

demo: setup ## Train, convert and audit a spiking segmentor on digit scenes
	$(PYTHON_ENV) tools/demo.py

lint: setup ## Check style and import contracts
	$(PYTHON_ENV) -m ruff check .
	.venv/bin/lint-imports

test: lint ## Check style, import contracts and run all tests
	$(PYTHON_ENV) -m pytest -q -n auto --maxprocesses 8 \
		--dist loadfile --durations=10

clean: ## Remove what builds and tests leave (not .venv, data, work_dirs)
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache \
		.import_linter_cache
	find mmsnn tools tests configs -name __pycache__ -type d -prune \
		-exec rm -rf {} +
