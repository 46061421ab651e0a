# Each of these alone takes a fresh Debian or Ubuntu with make all the way; see tests/tools/setup.
#   make run ARGS="-c qemu:///system"     make test ARGS="-k rates"
.DEFAULT_GOAL := help
.PHONY: help run test lab bench lint keys screenshots clean

PY := .venv/bin/python
# Processes that share the tests, each with a libvirtd of its own: most wait for guests, so one more than CPUs.
# ARGS="-n 0" runs them in this one.
WORKERS ?= $(shell expr $$(nproc) + 1)
BIN := .venv/bin

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 14

run:  ## the program; without a libvirt to connect to, on the demo host
	@tests/tools/setup run
	@exec $(BIN)/virtdeck --demo-if-none $(ARGS)

test:  ## all tests, the lab's real guests included
	@tests/tools/setup dev
	$(PY) -m pytest -n $(WORKERS) --maxprocesses 4 --dist worksteal $(ARGS)

lab:  ## a private libvirtd with tiny real guests to play with, until Ctrl+C
	@tests/tools/setup dev
	@exec $(PY) -m tests.lab $(ARGS)

bench:  ## the figures the program is held to
	@tests/tools/setup dev
	@exec $(PY) -m tests.bench $(ARGS)

lint:  ## style, types, layers, and whether KEYS.md is what the actions say
	@tests/tools/setup dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/virtdeck keys | diff -u KEYS.md - || { echo "KEYS.md is stale: make keys" >&2; exit 1; }

keys:  ## write KEYS.md from the actions
	@tests/tools/setup run
	$(BIN)/virtdeck keys > KEYS.md.new && mv KEYS.md.new KEYS.md

screenshots:  ## write screenshots/ from real runs
	@tests/tools/setup dev
	$(PY) -m tests.tools.screenshots $(ARGS)

clean:  ## remove the environment and everything else that was made here
	rm -rf .venv dist build .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
