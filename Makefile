# `make demo` and `make test` need nothing but git, make and Python 3.11 to 3.13.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Above the lock's uv: the installer is the one tool the lock file cannot install itself.
UV := uv==0.13.8

.PHONY: install demo test checks tests lint lock docs screenshots notebook clean

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet "$(UV)"
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@

# Arguments of the command: make demo ARGS=--headless
demo: install
	@$(BIN)/mail-pipeline demo $(ARGS)

# Side by side: some tests wait, for a quota or a run of Dagster.
test: install
	@$(MAKE) --no-print-directory -j 2 checks tests

checks: lint
	@DAGSTER_HOME= $(BIN)/dagster definitions validate -w workspace.yaml

tests: install
	@command -v chromium >/dev/null || \
		echo "No Chromium on this machine: the tests of the UI in a browser are skipped."
	@$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: install
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

# After a change of dependencies in pyproject.toml.
lock: install
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --group dev \
		--generate-hashes --no-emit-index-url pyproject.toml -o requirements.lock

# The reference pages in docs/, from the code they describe.
docs: install
	@$(BIN)/python -m docs.reference

# The pictures in docs/images, from a real browser and the notebooks. Takes minutes.
screenshots: install
	@RENEW_IMAGES=1 MAIL_PIPELINE_TEST_DEEP=1 $(BIN)/pytest mail_pipeline_tests/ui mail_pipeline_tests/notebooks

notebook: install
	@$(BIN)/jupyter lab notebooks/tour.ipynb

# What can be made again; neither mail nor the virtual environment.
clean:
	@rm -rf artifacts build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache .tmp_dagster_home_*
	@find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
