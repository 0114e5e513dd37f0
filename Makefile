# What a person types. How the machine is made ready for it is in tests/machine/.

MACHINE := tests/machine
BIN     := .venv/bin
# Tests of executors, which are about the machine, run one by one, whatever the others have found.
ALONE   := tests/contract
# Of the others each has a store of its own: each processor takes file after file. In the order of their names those that
# take longest are not the last.
WORKERS := $$($(BIN)/python -c "from runner.share import own_share; print(own_share().places)")
SHARED  := --numprocesses=$(WORKERS) --maxprocesses=8 --dist=loadfile --no-loadscope-reorder --ignore=$(ALONE)
export PYTHON

.DEFAULT_GOAL := help
.PHONY: help demo test test-fast test-search test-podman test-fuzz test-faults test-log test-kill snapshots check bench docs venv clean

help:  ## print this page
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "make %-11s %s\n", $$1, $$2 }'

demo:  ## train and check two models in a new project (./demo, or DEMO=FOLDER); needs no Docker
	@$(MACHINE)/venv.sh sklearn
	@$(MACHINE)/demo.sh

test: check  ## every check and every test, on a real Docker engine where one answers or may be started
	@echo "steps without Docker run in: $$($(MACHINE)/executor.sh)"
	@$(MACHINE)/package.sh xfsprogs e2fsprogs libfaketime || true
	$(BIN)/python $(MACHINE)/engine.py run -- sh -c '$(BIN)/python -m pytest $(SHARED) "$$@"; shared=$$?; \
	$(BIN)/python -m pytest $(ALONE) "$$@" && exit $$shared' sh $(PYTEST)

test-fast: venv  ## the tests that need neither a container engine nor the installed command
	$(BIN)/python -m pytest -m 'not docker and not e2e' $(PYTEST)

test-search: venv  ## the tests that choose what they try, with new choices each time
	MLRUN_TEST_SEARCH=1 $(BIN)/python -m pytest -m 'not docker and not e2e' --ignore=tests/fault $(PYTEST)
	MLRUN_TEST_SEARCH=1 $(BIN)/python -m pytest tests/e2e/test_reuse_property.py tests/fault $(PYTEST)

test-podman: venv  ## the tests of containers, on a Podman of their own (as root, on Debian or Ubuntu)
	$(BIN)/python $(MACHINE)/podman.py run -- $(BIN)/python -m pytest -m docker \
		tests/contract tests/compat/test_official_utils.py $(PYTEST)

test-fuzz: venv  ## 20,000 mutants of the example files (FUZZ_SEED=… makes the same ones again)
	$(BIN)/python tests/fuzz/run.py --count 20000

test-faults: venv  ## kills, failing calls, power cuts, full disks, flipped bits: the full suites, with their figures
	@$(MACHINE)/package.sh xfsprogs e2fsprogs libfaketime || true
	$(BIN)/python $(MACHINE)/engine.py run -- $(BIN)/python tests/fault/run.py $(SUITES)
	FAULT_GB=20 FAULT_FILES=100000 $(BIN)/python -m pytest tests/e2e/test_fault.py $(PYTEST)

test-log: venv  ## the tests of logs in their full size: 1 GB, a line of 200 MB, a million metrics, 200 tails
	MLRUN_TEST_LOG_MB=1000 $(BIN)/python -m pytest tests/e2e/test_log.py $(PYTEST)

test-kill: venv  ## kill the runner of a pipeline 50 times, each time at another moment, and go on with its run
	MLRUN_TEST_KILLS=50 $(BIN)/python -m pytest tests/e2e/test_resume.py -k however_often $(PYTEST)

snapshots: venv  ## write what lint prints about tests/examples; read the difference before you commit it
	WRITE_SNAPSHOTS=1 $(BIN)/python -m pytest -q tests/test_examples.py -k printed

check: venv  ## style, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --strict .github/action/pullrequest
	$(BIN)/lint-imports

bench: venv  ## print the benchmarks, each beside a peer or the physical floor
	$(BIN)/python -m benchmarks

docs: venv  ## write the pages that are generated from help texts and schema
	$(BIN)/python docs/generate.py

venv:  ## make or refresh .venv with everything a developer needs (PYTHON=… chooses the interpreter)
	@$(MACHINE)/venv.sh sklearn dev

clean:  ## remove what can be made again; demo projects stay, they may hold your work
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find runner tests steps benchmarks docs -name __pycache__ -prune -exec rm -rf {} +
