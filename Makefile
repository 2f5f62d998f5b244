# Everything a developer needs; each target does all of it on a fresh machine: virtual environment, install, run.
#
#   make demo             three small servers and l7 in front of them, on http://localhost:8080 and https://localhost:8443
#   make test             the test suite on an installed wheel   (ARGS="-k reload" is passed on to pytest)
#   make test-pure        the same, with L7_PURE_PYTHON=1
#   make test-asan        parsers, corpora and mutations of them on hot modules with AddressSanitizer and UBSan (gcc)
#   make testssl          testssl.sh against an l7 with TLS, for two minutes (Debian)
#   make lint             ruff (rules and layout) and mypy
#   make bench            l7 beside nginx, HAProxy and Caddy, for half an hour (ARGS="--quick" takes four minutes; needs Debian)
#   make docs             the documentation, in docs/_build/html
#   make dist             the source distribution and the wheel of this machine, in dist/
#   make test-container   the steps of docs/Containerfile and what they make, by debootstrap (root, Debian, some minutes)
#   make format           lay the sources out as `make lint` wants them
#   make generated        write the generated parts of the documentation anew
#   make pictures         take the pictures of the admin page in the documentation anew (needs Chromium)
#   make clean            remove everything that these made
#
# PYTHON=python3.13 VENV=.venv-3.13 tries another interpreter, BENCH_PYTHON= measures on it.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
# Most tests wait for something; a module stays in one process, because its tests share a proxy.
JOBS ?= 4
BENCH_PYTHON ?= $(firstword $(wildcard /usr/bin/python3) $(PYTHON))
BENCH_VENV ?= .venv-bench

BIN := $(VENV)/bin
# An environment of its own for the wheel that is tested, with the copy that it is built from.
WHEEL_VENV ?= $(VENV)-wheel
SUITE := $(WHEEL_VENV)/suite
# The same for a wheel whose extensions look at each access to memory and at each sum. -O0: nothing is optimised away,
# and compiling takes a third of the time. -fno-wrapv: Python's own flags let integers wrap around, which is no error then.
# No guards between the variables of one stack: gevent copies stacks, guards included, and the copying is reported.
ASAN_VENV ?= $(VENV)-asan
SANITIZE := -O0 -g1 -fno-omit-frame-pointer -fno-wrapv -fsanitize=address,undefined -fno-sanitize-recover=all \
	--param asan-stack=0 -DL7_CHECK_BOUNDS
# Leaks are not looked for: an interpreter that ends leaves most things as they are.
SANITIZED = LD_PRELOAD="$$(gcc -print-file-name=libasan.so) $$(gcc -print-file-name=libubsan.so)" PYTHONMALLOC=malloc \
	ASAN_OPTIONS=detect_leaks=0:halt_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
	EXPECT_L7=compiled EXPECT_SANITIZED=1
# What reads bytes of strangers, and what reads and writes memory by address.
READING_TESTS := tests/fuzz tests/http tests/balancing tests/rules/test_headers.py tests/rules/test_templates.py \
	tests/rules/test_rate_limit.py tests/sharedmem/test_rate_limits.py tests/sharedmem/test_integers.py \
	tests/telemetry/test_access_log_formats.py \
	tests/e2e/test_http_requests.py tests/e2e/test_http_responses.py
MUTATE ?= --seconds 15
PYTEST = $(abspath $(WHEEL_VENV))/bin/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
# The tests start l7 some hundred times, and each start would parse anew what is not compiled.
unexport PYTHONDONTWRITEBYTECODE
# Directories, too: a file that is gone changes only those.
PACKAGED := setup.py setup.cfg pyproject.toml README.rst $(wildcard MANIFEST.in LICENSE) \
	$(shell find l7 -type d ! -name __pycache__ -o -name '*.py' -o -name '*.pxd' -o -name py.typed)
PIP = -m pip --disable-pip-version-check
# What pyproject.toml asks for to build; installed first, so that an install needs no network when nothing is missing.
BUILD := "setuptools>=70.1" "Cython>=3.1"
SOURCES := l7 tests docs setup.py .ci
RUFF = --config .ci/ruff.toml $(SOURCES)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test test-pure test-asan lint format bench run-bench docs dist test-container testssl generated pictures clean

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.installed
	@exec $(BIN)/l7 demo $(ARGS)

# Both run in a directory that holds the tests and no l7: what is tested is what pip has installed.
test: $(WHEEL_VENV)/.installed-test
	cd $(SUITE) && EXPECT_L7=compiled $(PYTEST) $(ARGS)

# Without what would say the same again: tests/harness/passes.py names it.
test-pure: $(WHEEL_VENV)/.installed-test
	cd $(SUITE) && L7_PURE_PYTHON=1 EXPECT_L7="pure Python" $(PYTEST) $(ARGS)

# What ends a process has said why before, so nothing that it says is captured.
test-asan:
	@[ -e "$$(gcc -print-file-name=libasan.so)" ] || { echo "there is no gcc with libasan; on Debian: apt-get install gcc" >&2; exit 1; }
	@[ "$$(cat $(ASAN_VENV)/flags 2>/dev/null)" = "$(SANITIZE)" ] || rm -rf $(ASAN_VENV)/checkout $(ASAN_VENV)/.wheel
	@CC=gcc CFLAGS="$(SANITIZE)" $(MAKE) --no-print-directory WHEEL_VENV=$(ASAN_VENV) $(ASAN_VENV)/.wheel
	@echo "$(SANITIZE)" > $(ASAN_VENV)/flags
	@$(MAKE) --no-print-directory WHEEL_VENV=$(ASAN_VENV) $(ASAN_VENV)/.installed-test
	cd $(ASAN_VENV)/suite && $(SANITIZED) $(abspath $(ASAN_VENV))/bin/python -m pytest -n $(JOBS) --dist loadfile \
		--max-worker-restart 0 --timeout 500 -x -q -s $(READING_TESTS) $(ARGS)
	cd $(ASAN_VENV)/suite && $(SANITIZED) $(abspath $(ASAN_VENV))/bin/python -m tests.fuzz.mutations heads chunked responses $(MUTATE)

lint: $(VENV)/.installed-lint
	$(BIN)/ruff check $(RUFF)
	$(BIN)/ruff format --check $(RUFF)
	$(BIN)/mypy --strict

format: $(VENV)/.installed-lint
	$(BIN)/ruff check --fix $(RUFF)
	$(BIN)/ruff format $(RUFF)

# nginx and HAProxy are Debian's, so l7 runs on Debian's Python: one built with profile-guided optimisation.
bench:
	@$(BENCH_PYTHON) -c 'import ensurepip, pathlib, sysconfig; \
		pathlib.Path(sysconfig.get_path("include"), "Python.h").stat()' 2>/dev/null \
		|| { apt-get -qq update && apt-get -qq install -y --no-install-recommends python3-dev python3-venv >/dev/null; }
	@$(MAKE) --no-print-directory PYTHON=$(BENCH_PYTHON) VENV=$(BENCH_VENV) run-bench

# A whole run replaces the figures in the documentation; one with ARGS prints its own, unless it names --rst.
# It runs in a directory that holds the tests and no l7, so that what is measured is what pip has installed.
# The README's figures are the documentation's; also where a measurement was void.
run-bench: $(BIN)/python
	$(BIN)/python $(PIP) install -q .
	@mkdir -p $(VENV)/suite && ln -sfn $(CURDIR)/tests $(CURDIR)/docs $(VENV)/suite/
	@cd $(VENV)/suite && $(abspath $(BIN))/l7 --version && $(abspath $(BIN))/python -c 'import l7; print(l7.__file__)'
	@cd $(VENV)/suite && { $(abspath $(BIN))/python -m tests.bench $(or $(ARGS),--rst docs/performance-results.inc); status=$$?; \
		$(abspath $(BIN))/python -m tests.bench.summary docs/performance-results.inc $(CURDIR)/README.rst && exit $$status; }

docs: $(VENV)/.installed-docs
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# The wheel is built from the source distribution, so both are proven; the same commit gives the same bytes.
dist: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || stat -c %Y setup.cfg)
dist: $(VENV)/.installed-dist
	rm -rf dist build/lib* build/bdist*
	$(BIN)/python -m build --no-isolation --outdir dist
	$(BIN)/python -m twine check --strict dist/*
	@for wheel in dist/*-linux_*.whl; do \
		[ -e "$$wheel" ] || continue; \
		PATH="$(abspath $(BIN)):$$PATH" $(BIN)/auditwheel repair -w dist "$$wheel" && rm "$$wheel"; \
	done
	@ls -l dist

test-container: $(VENV)/.installed-test
	@command -v debootstrap >/dev/null || PATH="$$PATH:/usr/sbin" command -v debootstrap >/dev/null \
		|| { apt-get -qq update && apt-get -qq install -y --no-install-recommends debootstrap >/dev/null; }
	$(BIN)/python -m tests.container

testssl: $(WHEEL_VENV)/.installed-test
	@command -v testssl >/dev/null || { apt-get -qq update && apt-get -qq install -y --no-install-recommends testssl.sh >/dev/null; }
	cd $(SUITE) && L7_TESTSSL=1 $(abspath $(WHEEL_VENV))/bin/python -m pytest -q tests/e2e/test_testssl.py $(ARGS)

generated: $(VENV)/.installed
	$(BIN)/python docs/comparison.py > docs/comparison.inc
	$(BIN)/python docs/explained.py > docs/explained.inc
	$(BIN)/python docs/failures.py > docs/failures.inc
	$(BIN)/python docs/metrics.py > docs/metrics.inc
	$(BIN)/python docs/events.py > docs/events.inc
	$(BIN)/python docs/top.py > docs/top.inc
	$(BIN)/python -m l7.config.rendering.reference > docs/configuration.rst
	$(BIN)/python -m l7.config.rendering.manual > docs/l7.1

# Another Chromium draws other bytes, so these are made when the page has changed, and not each time.
pictures: $(VENV)/.installed-test
	PYTHONPATH=. TZ=UTC $(BIN)/python docs/pictures.py

%/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "l7 needs Python 3.10 or newer; name one with PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $*

# One stamp for each extra, so that `make demo` installs no test tools and a second call starts at once.
$(VENV)/.installed: $(BIN)/python setup.cfg setup.py pyproject.toml
	$(BIN)/python $(PIP) install -q $(BUILD)
	L7_PURE_PYTHON=1 $(BIN)/python $(PIP) install -q --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-%: $(VENV)/.installed
	L7_PURE_PYTHON=1 $(BIN)/python $(PIP) install -q --no-build-isolation -e '.[$*]'
	@touch $@

# What is not in the repository is not in the copy; only what has changed since the last time is compiled anew.
$(WHEEL_VENV)/.wheel: $(WHEEL_VENV)/bin/python $(PACKAGED)
	$(WHEEL_VENV)/bin/python $(PIP) install -q $(BUILD)
	$(WHEEL_VENV)/bin/python -m tests.harness.checkout $(WHEEL_VENV)/checkout
	@rm -rf $(WHEEL_VENV)/wheel
	$(WHEEL_VENV)/bin/python $(PIP) wheel -q --no-deps --no-build-isolation -w $(WHEEL_VENV)/wheel $(WHEEL_VENV)/checkout
	$(WHEEL_VENV)/bin/python $(PIP) install -q --no-deps --force-reinstall $(WHEEL_VENV)/wheel/l7-*.whl
	@touch $@

$(WHEEL_VENV)/.installed-test: $(WHEEL_VENV)/.wheel
	$(WHEEL_VENV)/bin/python $(PIP) install -q "$$(echo $(WHEEL_VENV)/wheel/l7-*.whl)[test]"
	@mkdir -p $(SUITE)
	@ln -sfn $(CURDIR)/tests $(SUITE)/tests
	@ln -sf $(CURDIR)/setup.cfg $(SUITE)/setup.cfg
	@touch $@

clean:
	rm -rf $(VENV) $(WHEEL_VENV) $(ASAN_VENV) $(BENCH_VENV) build dist l7.egg-info docs/_build .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find l7 tests docs -name __pycache__ -type d -prune -exec rm -rf {} +
