# make run: install, run the demo end to end. make test: install, run the tests (test-fast: few minutes).
PYTHON ?= python3
VENV := .venv
CORES ?= $(shell nproc 2>/dev/null || echo 2)
# One training per GPU at a time; without a GPU, one per core.
GPUS ?= $(shell nvidia-smi -L 2>/dev/null | wc -l)
SNAKEMAKE := $(VENV)/bin/snakemake --cores $(CORES) --resources gpu=$(if $(filter-out 0,$(GPUS)),$(GPUS),$(CORES))
INSTALLED := $(VENV)/.installed
# One worker and one thread per core; a file stays on one worker, for what its tests share.
PYTEST := OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -q -n $(CORES) --dist loadfile --no-loadscope-reorder

.PHONY: run test test-fast bench bench-models bench-finding lint format schemas dag install lock clean

run: $(INSTALLED)
	$(SNAKEMAKE) --report results/report.html --report-after-run

test: $(INSTALLED)
	$(PYTEST)

# No training, no run of Snakemake, nothing that takes more than a moment.
test-fast: $(INSTALLED)
	$(PYTEST) -m "not slow"

bench: $(INSTALLED)
	$(VENV)/bin/python tests/bench/run.py

# Speed and memory of every model; how long it takes: tests/bench/models.py --help.
bench-models: $(INSTALLED)
	$(VENV)/bin/python tests/bench/models.py
	$(VENV)/bin/python tests/bench/models.py --gpu

# The default recipe against plain networks on the same images, for hours: tests/bench/finding.py --help.
bench-finding: $(INSTALLED)
	$(VENV)/bin/python tests/bench/finding.py

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/snakefmt --check Snakefile workflow/rules
	$(VENV)/bin/mypy
	$(VENV)/bin/snakemake --lint

format: $(INSTALLED)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/snakefmt Snakefile workflow/rules

schemas: $(INSTALLED)
	$(VENV)/bin/python -m lenshunt schemas

# The picture of the README, from the rules (needs graphviz).
dag: $(INSTALLED)
	$(VENV)/bin/snakemake --rulegraph | sed -n '/^digraph/,$$p' | $(VENV)/bin/python workflow/scripts/draw_dag.py | dot -Tsvg > workflow/dag.svg

install: $(INSTALLED)

$(INSTALLED): envs/lock.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not ((3, 11) <= sys.version_info < (3, 13)))' || \
	  { echo "lenshunt needs Python 3.11 or 3.12; found $$($(PYTHON) --version). Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --requirement envs/lock.txt
	$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# A new lock from the newest versions that pyproject.toml allows.
lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --editable '.[dev]'
	{ echo "# Every package of the environment, pinned. Made by: make lock (pip freeze of a fresh install)."; \
	  .venv-lock/bin/python -m pip list --format=freeze | grep -v -i -E '^(lenshunt|pip)=' | sed 's/+cpu//'; } > envs/lock.txt
	rm -rf .venv-lock

clean:
	rm -rf results .snakemake
