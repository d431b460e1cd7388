# demo: the whole path on a laptop. test: the suite. check: lint and types. bench: ratios against references.
# check-cpus: the tests of equality, once as each kind of CPU that this one can stand for.
# zoo: every architecture through every verb; writes docs/models.md. About ten minutes.
# docs: the pages as a site in build/site; only the first call, which installs mkdocs-material, needs a network.
# package: source distribution and wheel in dist/, links of the README below URL; uploads nothing.
# stranger: the wheel in a fresh environment below build/, and every command of docs/first-hour.md and docs/layouts.md.
# tiny-base: train the two shipped models again and put them into the package.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check check-cpus zoo bench docs package stranger tiny-base clean

demo: .venv/core
	$(BIN)/longstep run light-r1 --size tiny

# Three processes on the two cores that every machine has: some tests wait for servers, locks and limits, and the suite
# has to end within ten minutes. A file stays in one process, because its tests share what its module-wide fixtures made.
test: .venv/dev
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

check: .venv/dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright

check-cpus: .venv/dev
	for cpu in $$($(BIN)/python scripts/cpu_kinds.py); do \
	  echo "== $$cpu"; ATEN_CPU_CAPABILITY=$$cpu $(BIN)/python -m pytest -m equality || exit 1; done

zoo: .venv/dev
	$(BIN)/python scripts/zoo.py

# Without the one that fetches a harness from the network: python bench/lm_eval.py
bench: .venv/dev
	for file in $(filter-out bench/lm_eval.py,$(wildcard bench/*.py)); do $(BIN)/python $$file || exit 1; done

docs: .venv/docs
	$(BIN)/mkdocs build --strict

package: .venv/core
	$(BIN)/python scripts/package.py dist --url $(URL)

stranger: .venv/core
	$(BIN)/python scripts/stranger.py build/stranger

tiny-base: .venv/core
	$(BIN)/longstep run tiny-base
	$(BIN)/python scripts/install_tiny.py runs/tiny-base

# Modules are compiled as they are imported: pip would spend a minute on all of them, of which few are used.
.venv/core: requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "longstep needs Python 3.11 or newer: make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

.venv/dev: .venv/core requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile -r requirements-dev.txt
	touch $@

.venv/docs: .venv/core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check mkdocs==1.6.1 mkdocs-material==9.8.2
	touch $@

clean:
	rm -rf .venv runs dist build
