# Everything a newcomer needs: `make demo` runs Freshet, `make test` passes its tests.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: setup demo test check bench fuzz soak clean

setup: $(STAMP)
	@$(BIN)/freshet broker fetch
	@$(BIN)/python -m models.compile

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Freshet needs Python 3.11 or newer, this is %s: run make PYTHON=python3.11" % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.9
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --compile-bytecode --editable '.[dev]'
	@touch $@

demo: setup
	@$(BIN)/freshet demo

# Two processes, a file of tests at a time in each; tests/conftest.py says in which order.
test: setup
	@$(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup
	@$(BIN)/python -m benchmarks

fuzz: $(STAMP)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev,fuzz]'
	@$(BIN)/python -m tests.fuzz.fuzz -max_total_time=$$((60 * $(or $(MINUTES),5)))

soak: setup
	@$(BIN)/python -m tests.crash --minutes $(or $(MINUTES),12) --seed $(or $(SEED),1) $(if $(JSON),--json $(JSON))

clean:
	rm -rf .venv build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

