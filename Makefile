# Everything runs in .venv, made from requirements.lock by pip, wheels with their hashes only: no compiler is needed.
# The peers of `make bench` have an environment apart, .venv-bench, of their newest releases.
# PYTHON names the interpreter that makes it (3.11 or later).

PYTHON ?= python3
BIN := .venv/bin

# Says which Python is needed, where another is found.
require = @$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "graphgrad needs Python 3.11 or later, \
    $(PYTHON) is " + sys.version.split()[0] + ": make PYTHON=python3.12 ... names another")'

# A virtual environment with pip, also by a Python that has pip and not the parts that bring it along.
environment = $(PYTHON) -m venv $(1) || \
    { $(PYTHON) -m venv --without-pip --clear $(1) && $(PYTHON) -m pip --python $(1)/bin/python install --quiet pip; }

.PHONY: app test check style types layers bench growth oracle docs templates lock clean
.DELETE_ON_ERROR:

app: .venv/graphgrad.done  ## serve the pages on 127.0.0.1
	$(BIN)/graphgrad app

test: .venv/graphgrad.done  ## run all tests
	$(BIN)/python -m pytest

check: style types layers

style: .venv/graphgrad.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/graphgrad.done
	$(BIN)/mypy

layers: .venv/graphgrad.done
	$(BIN)/lint-imports

bench: .venv/graphgrad.done .venv-bench/done  ## time training steps beside the peers of the extra `bench`; ONLY=lenet for one, QUICK=1 for less
	.venv-bench/bin/python benchmarks/run.py

growth: .venv-bench/done  ## time how cost grows with batch, depth, width and nodes; draws benchmarks/growth.svg
	.venv-bench/bin/python benchmarks/growth.py

oracle: .venv-bench/done  ## compare every shared operation with PyTorch, over its options
	.venv-bench/bin/python -m pytest tests/ops/test_pytorch.py

docs: .venv/graphgrad.done  ## write docs/operations.md from the register of operations, and docs/sources from the compiler
	$(BIN)/python docs/operations.py
	$(BIN)/python docs/sources.py

templates: .venv/graphgrad.done  ## print the formulas of the operations ahead, into graphgrad/compiler/templates.py
	$(BIN)/python -m graphgrad.compiler.bodies

lock: .venv/graphgrad.done  ## resolve the dependencies of pyproject.toml anew
	$(BIN)/uv pip compile --universal --generate-hashes --no-header --no-annotate --upgrade \
	    --extra app --extra examples --extra dev --quiet --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv .venv-bench .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/lock.done: requirements.lock
	$(require)
	rm -rf .venv
	$(call environment,.venv)
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
	touch $@

.venv/graphgrad.done: .venv/lock.done pyproject.toml
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

.venv-bench/done: pyproject.toml
	$(require)
	rm -rf .venv-bench
	$(call environment,.venv-bench)
	.venv-bench/bin/python -m pip install --quiet --editable '.[bench]'
	touch $@
