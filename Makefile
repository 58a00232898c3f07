# Two commands on a fresh machine with Python 3.11+, pip and make:
#
#   make demo    train, measure and use a denoiser on real photographs; report in runs/demo/report.html
#   make test    the fast tests
#
# Variables, for example `make demo TORCH="torch==2.12.1"`:
#
#   PYTHON      the Python that makes the environment                 python3
#   VENV        where the environment is                              .venv
#   TORCH       the PyTorch to install, as pip names it               the version in constraints.txt
#   PIP_ARGS    more arguments for pip, such as an index or a folder of wheels with another build of PyTorch
#   TEST_ARGS   more arguments for pytest                             -n 2
#   DEMO_ARGS   more arguments for `noiseless demo`

PYTHON ?= python3
VENV ?= .venv
TORCH ?= $(shell grep '^torch==' constraints.txt)
PIP_ARGS ?=
TEST_ARGS ?= -n 2
DEMO_ARGS ?=

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WANTED := $(VENV)/.wanted
TEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(TEST_ARGS)

.PHONY: help demo test test-all lint format benchmark clean FORCE

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

demo: $(INSTALLED)
	$(BIN)/noiseless demo $(DEMO_ARGS)

test: $(INSTALLED)
	$(TEST)

test-all: $(INSTALLED)
	$(TEST) -m ""

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(INSTALLED)
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python benchmarks/cold_start.py
	$(BIN)/python benchmarks/engines.py
	$(BIN)/python benchmarks/training_throughput.py
	$(BIN)/python benchmarks/service_load.py

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(INSTALLED): pyproject.toml constraints.txt $(WANTED)
	grep -v '^torch==' constraints.txt > $(VENV)/constraints.txt
	$(BIN)/python -m pip install $(PIP_ARGS) -c $(VENV)/constraints.txt "$(TORCH)" -e ".[dev]"
	touch $@

# Rewritten only when what is wanted changes, so that another TORCH installs again and the same one does not.
$(WANTED): FORCE
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "noiseless needs Python 3.11 or later; name one: make PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo '$(TORCH) $(PIP_ARGS)' | cmp -s - $@ || echo '$(TORCH) $(PIP_ARGS)' > $@
