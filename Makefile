# Batchlab's commands. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PY := .venv/bin/python
# Extra options for single targets, for example: make lab OPTIONS=--no-browser, make test OPTIONS="-k doctor"
OPTIONS ?=
# Some containers forbid Python to keep what it compiled: each kernel, server and test would compile its imports anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help lab test test-containers docker-lab docker-cpu docker-gpu docker-down setup models doctor labs solutions site workshop bench bench-twin lint format constraints clean

help:  ## List these targets
	@echo "Batchlab. Start with 'make lab'."
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-15s %s\n", $$1, $$2}' Makefile

lab: setup  ## Set up what is missing, then open JupyterLab on the first lab
	@$(PY) -m batchlab labs $(OPTIONS)

test: setup  ## Set up what is missing, then run every check and test
	@$(MAKE) --no-print-directory --jobs=2 --output-sync lint models  # neither needs the other
	@scripts/run-tests $(OPTIONS)

test-containers: models  ## Run the CPU profile and a hosted session on an engine of its own; needs root on Linux
	@BATCHLAB_CONTAINERS=1 scripts/with-docker-engine $(PY) -m pytest -s tests/containers $(OPTIONS)

docker-lab:  ## The labs in one container, with the embedded Triton in it: macOS, Windows, Arm, older Linux
	@scripts/docker-up lab

docker-cpu:  ## The labs in one container, NVIDIA's Triton in another; OPTIONS=monitoring adds Prometheus and Grafana
	@scripts/docker-up cpu $(OPTIONS)

docker-gpu:  ## The same with Triton on an NVIDIA GPU
	@scripts/docker-up gpu $(OPTIONS)

docker-down:  ## End all containers; your work, in a volume, stays
	@scripts/compose --profile '*' down

setup:  ## Create .venv from the pinned requirements; does nothing when it is up to date
	@scripts/setup

models: setup  ## Build the models that are built, not committed; does nothing when they are there
	@$(PY) -m batchlab labs --build-only

doctor:  ## Say in one table what this machine can do, and what to do about each lack
	@if [ -x $(PY) ]; then $(PY) -m batchlab doctor $(OPTIONS); else python3 -m batchlab doctor $(OPTIONS); fi

labs: setup  ## Build labs/*.ipynb from solutions/*.py
	@$(PY) -m batchlab.authoring labs $(OPTIONS)
	@$(PY) -m batchlab.mistakes

solutions: models  ## Execute solutions/*.py into solutions/*.ipynb, outputs kept
	@$(PY) -m batchlab.authoring solutions $(OPTIONS)

site: setup  ## Build the course as a static site into build/site
	@$(PY) -m batchlab.website

workshop: models  ## Open a JupyterHub for a room on 127.0.0.1; needs root
	@$(PY) -m batchlab.workshop $(OPTIONS)

bench: setup  ## Measure the timing goals; tables on screen, CSV files in build/bench/
	@$(PY) -m benchmarks $(OPTIONS)

bench-twin: setup models  ## Judge the digital twin against the real Triton; about 41 minutes, resumable
	@$(PY) -m benchmarks.bench_twin $(OPTIONS)

lint: setup  ## Style, format and types: ruff and mypy
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: setup  ## Let ruff mend style and format
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

constraints:  ## Resolve requirements.txt afresh into constraints.txt (downloads everything again)
	@scripts/write-constraints

clean:  ## Delete what was built; never your my_labs/ nor your runs
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './.venv/*' -not -path './my_labs/*' -prune -exec rm -rf {} +
