PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: install demo test lint types package bench clean

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $(INSTALLED)

install: $(INSTALLED)

demo: $(INSTALLED)
	$(BIN)/python -m jaxmetrics.demo $(DEMO)

test: $(INSTALLED) lint
	$(BIN)/python -m pytest

lint: $(INSTALLED)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: $(INSTALLED)
	$(BIN)/basedpyright --pythonpath $(BIN)/python

# The wheel, then the sdist, in an empty environment, with the README's examples.
package: $(INSTALLED)
	rm -rf build dist .venv-package
	$(BIN)/python -m build --quiet
	$(PYTHON) -m venv .venv-package
	.venv-package/bin/python -m pip install --quiet dist/*.whl
	.venv-package/bin/python -P tests/readme.py
	.venv-package/bin/python -m pip install --quiet --no-deps --force-reinstall dist/*.tar.gz
	.venv-package/bin/python -P tests/readme.py
	rm -rf .venv-package

bench: $(INSTALLED)
	$(BIN)/python benchmarks/step.py

clean:
	rm -rf $(VENV) .venv-package .venv-tpu build dist *.egg-info
