PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TPU := .venv-tpu
NEW := .venv-new
BENCH := .venv-bench
DOCS := .venv-docs
# Files are handed out in the order of tests/conftest.py, the slowest first.
PARALLEL := -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: install install-new demo test test-new soak mutate catalogue api test-tpu test-page \
	lint types package extras docs bench bench-tpu clean

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $(INSTALLED)

install: $(INSTALLED)

demo: $(INSTALLED)
	$(BIN)/python -m jaxmetrics.demo $(DEMO)

test: $(INSTALLED) lint
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST)

# The same tests on the newest Python of this machine, and the newest jax it can install.
$(NEW)/.installed: pyproject.toml tests/support/newest_python.py
	"$$($(PYTHON) tests/support/newest_python.py)" -m venv --clear $(NEW)
	$(NEW)/bin/python -m pip install --quiet --upgrade pip
	$(NEW)/bin/python -m pip install --quiet --editable ".[test]"
	touch $(NEW)/.installed

install-new: $(NEW)/.installed

test-new: $(NEW)/.installed
	$(NEW)/bin/python -c "import jax, sys; print('Python', sys.version, 'jax', jax.__version__)"
	$(NEW)/bin/python -m pytest $(PARALLEL) $(PYTEST)

# The faults of `make test`, ten times as many and more; SEED=n repeats a failure. QUICK=1
# makes them a quarter, and samples the tests of all metrics.
soak: $(INSTALLED)
	SOAK=1 $(BIN)/python -m pytest -ra --timeout 7200 tests/faults

# Changes an operator here and there, and expects a test to fail; --help tells more.
mutate: $(INSTALLED)
	PYTHONPATH=tests $(BIN)/python -m support.mutation $(MUTATE)

# libtpu compiles for TPUs that are not there; it is the release that jax names.
$(TPU)/.installed: $(INSTALLED) tests/tpu/install.py
	$(BIN)/python tests/tpu/install.py $(TPU)
	touch $(TPU)/.installed

# The page of all metrics, from their docstrings and the rows of the tests.
catalogue: $(INSTALLED)
	PYTHONPATH=tests $(BIN)/python -m support.catalogue

# The signatures of all public names; a test compares them, and wants changes in CHANGELOG.md.
api: $(INSTALLED)
	PYTHONPATH=tests:. $(BIN)/python tests/support/api.py

test-tpu: $(TPU)/.installed
	$(TPU)/bin/python -m pytest tests/tpu $(PYTEST)

# A real browser opens the pages of runs; without Chromium the tests say how to get it.
test-page: $(INSTALLED)
	$(BIN)/python -m pytest tests/page

lint: $(INSTALLED)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: $(INSTALLED)
	$(BIN)/basedpyright --project . --pythonpath $(BIN)/python

# Both distributions are built twice with the same bytes. The wheel, then the sdist, in an
# empty environment: the README's examples run with the base alone, each extra can be
# installed alone, and the documented calls type-check.
package: $(INSTALLED)
	rm -rf build dist .venv-package
	$(BIN)/python tests/support/distributions.py dist
	$(PYTHON) -m venv .venv-package
	.venv-package/bin/python -m pip install --quiet --upgrade pip
	.venv-package/bin/python -m pip install --quiet dist/*.whl
	.venv-package/bin/python -P tests/support/readme.py
	for extra in $$($(BIN)/python tests/support/extras.py); do \
	  .venv-package/bin/python -m pip install --quiet --dry-run \
	    "$$(ls dist/*.whl)[$$extra]" || exit 1; \
	done
	PYTHONPATH=tests $(BIN)/python tests/support/installed_types.py .venv-package
	.venv-package/bin/python -m pip install --quiet --no-deps --force-reinstall dist/*.tar.gz
	.venv-package/bin/python -P tests/support/readme.py
	rm -rf .venv-package

$(DOCS)/.installed: docs/requirements.txt
	$(PYTHON) -m venv $(DOCS)
	$(DOCS)/bin/python -m pip install --quiet --upgrade pip
	$(DOCS)/bin/python -m pip install --quiet --requirement docs/requirements.txt
	touch $(DOCS)/.installed

# The site in site/; warnings are errors, but unseen with --quiet. Needs no jax.
docs: $(DOCS)/.installed
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build --strict

# Each extra alone in an empty environment, installed and used, with the oldest and the
# newest Python and jax: an hour of downloads, for releases.
extras: $(INSTALLED)
	rm -rf dist
	$(BIN)/python tests/support/distributions.py dist
	$(BIN)/python tests/support/extras_alone.py dist/*.whl --python 3.11 --jax 0.10.0
	$(BIN)/python tests/support/extras_alone.py dist/*.whl \
	  --python "$$($(PYTHON) tests/support/newest_python.py)"

# The package beside the libraries that it is compared with.
$(BENCH)/.installed: pyproject.toml benchmarks/requirements.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --upgrade pip
	$(BENCH)/bin/python -m pip install --quiet --editable ".[test]" \
	  --requirement benchmarks/requirements.txt
	touch $(BENCH)/.installed

# All groups, or those of BENCHMARKS="step update --rounds 5".
bench: $(BENCH)/.installed
	$(BENCH)/bin/python -m benchmarks --save $(BENCHMARKS)

bench-tpu: $(TPU)/.installed
	PYTHONPATH=tests $(TPU)/bin/python -m benchmarks tpu --save

clean:
	rm -rf $(VENV) $(TPU) $(NEW) $(BENCH) $(DOCS) .venv-package site build dist *.egg-info
