# Every target brings what it needs, from python3 and make alone: see scripts/bootstrap.sh.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
# what the shipped probes.yaml uses
RUN_ENV = @scripts/bootstrap.sh --no-default-groups --extra standard
DEV_ENV = @scripts/bootstrap.sh --all-extras
# A pytest process per core, two at most: the tests measure time, and a crowd falsifies it. A third
# one on two cores saved a minute of eight, and starved two loads.
PROCESSES ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1); [ $$n -gt 2 ] && n=2; echo $$n)
# the floor of `make check`: always in CI, which sets CI; at home when asked for, as it takes minutes
COVERAGE ?= $(CI)
SUITE = scripts/suite.sh $(PROCESSES)

.PHONY: help run test quick fmt lint types imports docs bench demo build check

help:  ## show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1#/p' Makefile | column -t -s '#' 2>/dev/null || grep '## ' Makefile

run:  ## start the service with the shipped probes.yaml on 127.0.0.1:9115
	$(RUN_ENV)
	@exec $(BIN)/sonde run

test:  ## install the test servers it lacks, then run every test
	$(DEV_ENV)
	@scripts/servers.sh & servers=$$!; scripts/nodes.sh; nodes=$$?; wait $$servers && exit $$nodes
	@$(SUITE) $(BIN)/pytest

quick:  ## the tests without slow ones and real servers
	$(DEV_ENV)
	@$(SUITE) $(BIN)/pytest -q -m "not slow and not service"

fmt:  ## format, and fix what can be fixed
	$(DEV_ENV)
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

lint:  ## style, spelling, pyproject.toml, uv.lock
	$(DEV_ENV)
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/codespell
	$(BIN)/validate-pyproject pyproject.toml

types:  ## mypy and pyright
	$(DEV_ENV)
	@$(BIN)/mypy & mypy=$$!; $(BIN)/pyright; pyright=$$?; wait $$mypy && exit $$pyright

imports:  ## who may import whom
	$(DEV_ENV)
	$(BIN)/lint-imports --cache-dir .cache/import_linter

docs:  ## rewrite the generated pages, then run every example of docs/
	$(DEV_ENV)
	$(BIN)/python -m scripts.docs
	$(BIN)/pytest -q docs

bench:  ## the benchmarks, as ratios
	$(DEV_ENV)
	@for file in bench/*.py; do case $$file in */_*|*/server.py) ;; *) \
	  echo "== $$file"; $(BIN)/python $$file || exit 1;; esac; done

demo:  ## a shop to break and to load, and sonde that plays a journey through it: says what to type
	$(DEV_ENV)
	@exec $(BIN)/python -m tests.shop.demo

build:  ## wheel and source archive in dist/, byte-identical when built twice; the image if docker is there
	@scripts/bootstrap.sh --no-default-groups
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-1577836800} .tools/bin/uv build -q
	@ls -l dist
	@if command -v docker >/dev/null; then docker build -t sonde .; else echo "no docker: no image"; fi

check: lint types imports  ## all of these, fresh pages, the examples of docs/; COVERAGE=1: the floor too
	$(BIN)/python -m scripts.docs --check
	$(BIN)/pytest -q docs
	@[ -z "$(COVERAGE)" ] || $(MAKE) --no-print-directory .coverage

# Tracing slows everything down three times: the tests of durations would fail, so they may here, and
# more processes use the time that tests wait. What is not traced: `_untraced` of tests/conftest.py.
# A test has six times its time: one that is cut short inside coverage's tracer leaves the lock of that
# taken, and each test after it would wait for it until it is cut short too.
.PHONY: .coverage
.coverage:
	@rm -rf .cache/coverage; mkdir -p .cache/coverage
	-@LOOPS=uvloop SECOND_TRY= scripts/suite.sh 4 $(BIN)/coverage run -m pytest -q --tb=line \
	  -o timeout=120 -o session_timeout=1500 \
	  > .cache/coverage/pytest.log 2>&1
	@echo "traced, so durations may fail (.cache/coverage/pytest.log):"
	@grep -E "^=* ?[0-9]+ (passed|failed)" .cache/coverage/pytest.log || tail -n 1 .cache/coverage/pytest.log
	@$(BIN)/coverage combine -q
	$(BIN)/coverage report
