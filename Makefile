# Every target sets up what it needs in this folder (.venv, node_modules), from a fresh clone, with Python 3.11+ and pip.

# The first interpreter that is new enough; name another one with `make demo PYTHON=/path/to/python3`.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
# How many processes run the tests.
WORKERS ?= auto
# More arguments for pytest, for example ARGS="-k custody".
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
# uv installs in seconds what takes pip a minute. Where it cannot (an index that only pip.conf knows), pip does.
# A venv made without the machine's ensurepip (Debian without python3-venv) has no pip of its own: then the machine's.
PIP := if [ -x $(BIN)/pip ]; then pip="$(PY) -m pip"; else pip="$(PYTHON) -m pip --python $(PY)"; fi; \
	$$pip install --quiet --disable-pip-version-check --no-compile
UV := $(BIN)/uv pip install --quiet --python $(PY) --system-certs
install = $(UV) $(1) 2>/dev/null || { $(PIP) $(1); }
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-annotate --no-header

export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help demo test check format bench soak lock clean setup-demo setup-dev

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: setup-demo ## The whole weekly job for three tokens on a local chain, then its verification
	@$(BIN)/attest devnet --directory demo --detach
	@trap '$(BIN)/attest devnet --directory demo --stop' EXIT; \
		$(BIN)/attest run --config demo/attest.toml && \
		echo && echo '$$ attest verify demo/public/attestations/2026-W47 --trust demo/trust.json' && \
		$(BIN)/attest verify demo/public/attestations/2026-W47 --trust demo/trust.json

test: setup-dev ## All tests, with coverage (ARGS="-k name" runs some, without; WORKERS=1 in one process)
	@$(PY) -m pytest --numprocesses $(WORKERS) --dist worksteal $(or $(ARGS),--cov)

check: setup-dev ## Lint, format, types, architecture, and that all generated files are current
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/attest schemas --check schemas
	$(BIN)/attest schemas --configuration-reference --check docs/configuration.md
	$(BIN)/attest alerts --check .
	$(PY) -m deploy.grafana.build --check
	node contracts/compile.mjs --check
	node attest/publish/site/verifier/build.mjs --check

format: setup-dev ## Sort imports, format, and write all generated files
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format
	$(BIN)/attest schemas --write schemas
	$(BIN)/attest schemas --configuration-reference --write docs/configuration.md
	$(BIN)/attest alerts --write .
	$(PY) -m deploy.grafana.build
	node contracts/compile.mjs
	node attest/publish/site/verifier/build.mjs

bench: setup-dev ## Measure what the project promises about speed, as ratios
	@$(PY) -m benchmarks.run $(ARGS)

soak: setup-dev $(VENV)/fuzz.stamp ## What takes long: kills at every point, faulty endpoints, hostile files of full size, fuzzing
	@ATTEST_SOAK=1 $(PY) -m pytest --numprocesses $(WORKERS) --dist worksteal \
		tests/integration/pipeline/test_run_resumes.py tests/integration/chain/test_submission_faults.py \
		tests/integration/custody/test_bounds.py tests/integration/monitor/test_index_killed.py $(ARGS)
	@$(PY) -m tests.fuzz.run --minutes 10

lock: setup-dev ## Lock the newest allowed versions (requirements/, package-lock.json)
	$(LOCK) --upgrade pyproject.toml --extra run --extra monitor --extra chain-proof --group demo --output-file requirements/demo.txt
	$(LOCK) --upgrade pyproject.toml --extra run --extra custody --extra signers --extra chain-proof --extra report --extra timestamp --extra notify \
		--group dev --constraints requirements/demo.txt --output-file requirements/dev.txt
	$(LOCK) --upgrade --group node --output-file requirements/node.txt
	$(LOCK) --upgrade --group uv --output-file requirements/uv.txt
	$(LOCK) --upgrade --group fuzz --output-file requirements/fuzz.txt
	npm install --package-lock-only --omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund

clean: ## Remove everything that make made (.venv, node_modules, demo, caches)
	rm -rf $(VENV) node_modules demo build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- what the targets stand on ---------------------------------------------------------------------------------------

setup-demo: $(VENV)/demo.stamp node_modules/.demo.stamp
setup-dev: $(VENV)/dev.stamp node_modules/.dev.stamp

$(PY):
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer is needed (make ... PYTHON=/path/to/python3)" >&2; exit 1; }
	@echo "Setting up $(VENV) (once, about a minute)"
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || $(PYTHON) -m venv --without-pip $(VENV) \
		|| { echo "Python's venv is missing: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/demo.stamp: requirements/demo.txt pyproject.toml | $(BIN)/uv
	@$(call install,--require-hashes --requirement requirements/demo.txt)
	@$(call install,--no-deps --no-build-isolation --editable .)
	@touch $@

$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml | $(BIN)/uv
	@$(call install,--require-hashes --requirement requirements/dev.txt)
	@$(call install,--no-deps --no-build-isolation --editable .)
	@touch $@ $(VENV)/demo.stamp

$(VENV)/fuzz.stamp: requirements/fuzz.txt $(VENV)/dev.stamp
	@$(call install,--require-hashes --requirement requirements/fuzz.txt)
	@touch $@

$(BIN)/uv: requirements/uv.txt | $(PY)
	@$(PIP) --require-hashes --requirement requirements/uv.txt
	@touch $@

# Node from the machine if it is new enough for the chain and the compiler, else from PyPI into the venv.
$(VENV)/node.stamp: requirements/node.txt | $(BIN)/uv
	@node --version 2>/dev/null | grep -Eq '^v([2-9][0-9]|1[0-9][0-9])\.' && command -v npm >/dev/null \
		|| { $(call install,--require-hashes --requirement requirements/node.txt); }
	@touch $@

# Node brings its own list of authorities; the machine's counts too, as everywhere else.
export NODE_USE_SYSTEM_CA := 1
NPM_CI := npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel error

node_modules/.demo.stamp: package-lock.json $(VENV)/node.stamp
	@$(NPM_CI) --omit=dev >/dev/null
	@touch $@

node_modules/.dev.stamp: package-lock.json $(VENV)/node.stamp
	@$(NPM_CI) >/dev/null
	@touch $@ node_modules/.demo.stamp
