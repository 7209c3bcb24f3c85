# Everything runs in .venv, made from requirements.lock by pip, wheels with their hashes only: no compiler is needed.
# PYTHON names the interpreter that makes it (3.11 or later).

PYTHON ?= python3
BIN := .venv/bin

.PHONY: app test check style types layers bench lock clean
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

lock: .venv/graphgrad.done  ## resolve the dependencies of pyproject.toml anew
	$(BIN)/uv pip compile --universal --generate-hashes --no-header --no-annotate --upgrade \
	    --extra app --extra examples --extra dev --quiet --output-file requirements.lock pyproject.toml

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/lock.done: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and f"graphgrad needs Python 3.11 or later; $(PYTHON) is {sys.version.split()[0]}: make PYTHON=python3.12 ... names another")'
	rm -rf .venv
	$(PYTHON) -m venv .venv || { $(PYTHON) -m venv --without-pip --clear .venv && $(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	$(BIN)/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
	touch $@

.venv/graphgrad.done: .venv/lock.done pyproject.toml
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@
