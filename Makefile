# make demo   record and replay a scraper against a market-data server on loopback
# make test   all tests
# make docs   the pages of docs/ as a site, in build/docs; fails on a broken link
# make screenshots  the pictures in docs/, taken anew (needs Chromium)
# make lint   style, types, layers
# make test-long  the long forms of the tests
# make test-steady  make test's tests in four processes, fifty times (two hours and more; RUNS=5 for
#             fewer), with CI set every other time; ends at the first run that fails
# make test-fork  with urllib3-future in urllib3's place
# make clients  the tests of real clients, with those too that take long to install (ccxt, dlt)
# make trust  nothing lost, nothing leaked, nothing forged: kills, writers at once, flipped bytes,
#             fuzzed parsers, planted secrets (ARGS=--long for thousands)
# make archive  a shared archive against a real S3 on loopback: pushes, kills, flipped bytes, look-ups,
#             engines; each figure with its bound (half an hour; ARGS=--short takes minutes)
# make bench  measure beside plain requests and the other recorders: ratios, JSON and a plot
#             (minutes; ARGS=--full takes an hour, ARGS=--help lists the options)
# make bench-quick  the short form, without the others; fails on a twofold loss
# make conformance  requests' and urllib3's own tests: plainly, under capture; outcomes compared
# make bakeoff  our own three-way tests on each Python and each end that is supported
# make conformance-oldest  the same with the oldest supported releases and urllib3's last 1.26
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

# The tests start Python some hundred times: compiled modules are kept, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test docs screenshots test-long test-steady test-fork clients trust archive archive-quick bench bench-quick conformance conformance-oldest bakeoff lint clean

help:
	@sed -n 's/^# //p' Makefile

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[cli,config,test,clients,dev]'
	touch $@

# The demo needs no more than the command line does, and the tests' environment has that.
$(VENV)/.demo: pyproject.toml
	test $(VENV)/.installed -nt pyproject.toml || { \
		$(PYTHON) -m venv $(VENV) && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[cli]'; }
	touch $@

demo: $(VENV)/.demo
	$(BIN)/python -m examples.demo

$(VENV)/.docs: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[cli,docs]'
	touch $@

docs: $(VENV)/.docs
	$(BIN)/python docs/tools/fill.py build/pages
	$(BIN)/zensical build --clean --strict --config-file mkdocs.yml

screenshots: $(VENV)/.installed
	PYTHONPATH=. $(BIN)/python docs/tools/screenshots.py

WORKERS ?= auto
test: $(VENV)/.installed
	$(BIN)/python -m pytest -q -n $(WORKERS) -m 'not long'

test-long: $(VENV)/.installed
	MXM_TEST_ROUNDS=50 $(BIN)/python -m pytest -q -n auto

# Where CI is set the examples of the properties are always the same; where it isn't they are new.
RUNS ?= 50
test-steady:
	@for run in $$(seq $(RUNS)); do \
		if [ $$((run % 2)) = 0 ]; then export CI=true; else unset CI; fi; \
		echo "run $$run of $(RUNS)$${CI:+, CI set}"; \
		$(MAKE) --no-print-directory test WORKERS=4 || exit 1; \
	done

test-fork:
	$(PYTHON) -m venv .venv-fork
	.venv-fork/bin/python -m pip install --quiet --disable-pip-version-check '.[test]'
	.venv-fork/bin/python -m pip install --quiet --disable-pip-version-check urllib3-future
	.venv-fork/bin/python -m pytest -q tests/capture/test_coverage.py

.venv-clients/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python -m pip install --quiet --disable-pip-version-check -e '.[cli,test,clients,heavy-clients]'
	touch $@

clients: .venv-clients/.installed
	.venv-clients/bin/python -m pytest -q -n 2 tests/clients

trust: $(VENV)/.installed
	$(BIN)/python -m tests.trust $(ARGS)

.venv-archive/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-archive
	.venv-archive/bin/python -m pip install --quiet --disable-pip-version-check -e '.[cli,archive,index,test,engines]'
	touch $@

archive: .venv-archive/.installed
	.venv-archive/bin/python -m tests.archive $(ARGS)

# With the engines that the tests have.
archive-quick: $(VENV)/.installed
	$(BIN)/python -m tests.archive --short

.venv-bench/.installed: pyproject.toml
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	touch $@

bench: .venv-bench/.installed
	.venv-bench/bin/python -m tests.benchmarks --plot .cache/bench/bench.png $(ARGS)

bench-quick: $(VENV)/.installed
	$(BIN)/python -m tests.benchmarks --quick

conformance: $(VENV)/.installed
	$(BIN)/python -m tests.conformance --end newest

conformance-oldest: $(VENV)/.installed
	$(BIN)/python -m tests.conformance --end oldest

bakeoff: $(VENV)/.installed
	$(BIN)/python -m tests.conformance.bakeoff

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) .venv-fork .venv-archive .venv-bench .venv-clients .cache/bench demo-data build dist
