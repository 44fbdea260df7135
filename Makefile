.DEFAULT_GOAL := help
PY := .venv/bin/python

.venv/uv:
	@echo "Installing into .venv; the first time takes a minute or two."
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check uv
	@touch $@

.venv/runtime: requirements.lock .venv/uv
	.venv/bin/uv pip install --quiet --python $(PY) --require-hashes -r requirements.lock
	@touch $@

.venv/installed: requirements-dev.lock .venv/runtime
	.venv/bin/uv pip install --quiet --python $(PY) --require-hashes -r requirements-dev.lock
	@touch $@

help: ## what can be made
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/\t/'

up: .venv/runtime ## start everything: web, worker, scheduler, demo
	@exec $(PY) -m config.supervisor

test: .venv/installed ## all tests, on the embedded database and on PostgreSQL
	$(PY) -m tests.run

faults: .venv/installed ## the fault tests in full: ROUNDS=100 deaths at each point
	ASSENT_FAULT_ROUNDS=$(or $(ROUNDS),100) $(PY) -m tests.run tests/faults -n 2

binding: .venv/installed ## ten thousand changes between a decision and its call, on both databases
	ASSENT_FAULT_ROUNDS=$(or $(ROUNDS),100) $(PY) -m tests.run tests/security/test_binding.py -n 2

races: .venv/installed ## each race ROUNDS=300 times, on both databases
	ASSENT_RACE_ROUNDS=$(or $(ROUNDS),300) $(PY) -m tests.run tests/tasks_app/test_races.py tests/tasks_app/test_review_races.py -n 2

check: .venv/installed ## format, lint, types, contracts, migrations, tests
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy accounts_app integrations_app guard_app tasks_app config
	.venv/bin/mypy --python-version 3.10 client/assent_client
	$(PY) client/generate_sync.py --check
	.venv/bin/lint-imports
	DJANGO_SETTINGS_MODULE=tests.settings $(PY) manage.py makemigrations --check --dry-run
	$(MAKE) oldest
	$(MAKE) test

# uv finds one on the path, or fetches one; pyenv's do not stand on the path.
OLDEST := $(firstword $(wildcard $(HOME)/.pyenv/versions/3.10.*/bin/python3.10) 3.10)

client/.venv-oldest: client/oldest.txt client/pyproject.toml .venv/uv
	.venv/bin/uv venv --quiet --clear --python $(OLDEST) $@
	.venv/bin/uv pip install --quiet --resolution lowest-direct --python $@/bin/python -r client/oldest.txt
	@touch $@

oldest: ## the client's tests on the oldest Python and httpx2 that it promises
	@if $(MAKE) --silent client/.venv-oldest; then \
		PYTHONPATH=client client/.venv-oldest/bin/python -m pytest -c client/oldest.ini --rootdir . tests/client; \
	else \
		echo "=== No Python 3.10 here: the client's tests on it are left out."; \
	fi

audit: .venv/uv ## known flaws of what is locked; needs the internet
	.venv/bin/uv tool run pip-audit --disable-pip --require-hashes -r requirements.lock
	.venv/bin/uv tool run pip-audit --disable-pip --require-hashes -r requirements-dev.lock

fmt: .venv/installed ## format and mend what can be mended
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

screenshots: .venv/installed ## make the pictures in docs/screenshots anew
	$(PY) -m tests.screenshots

bench: .venv/installed benchmarks/.venv-pair ## measure, and print one table
	@for peer in dbos langgraph viewflow; do \
		$(MAKE) --silent benchmarks/.venv-$$peer \
			|| echo "=== $$peer cannot be installed here: it is left out."; \
	done
	$(PY) -m benchmarks

benchmarks/.venv-pair: benchmarks/pair.txt .venv/uv
	.venv/bin/uv venv --quiet --clear --python $(PY) $@
	.venv/bin/uv pip install --quiet --python $@/bin/python -r benchmarks/pair.txt
	@touch $@

COMPILE := .venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header \
	--no-annotate --python-version 3.11 pyproject.toml

benchmarks/.venv-%: benchmarks/peers/%.txt .venv/uv
	.venv/bin/uv venv --quiet --clear --python $(PY) $@
	.venv/bin/uv pip install --quiet --no-deps --python $@/bin/python -r $< || { rm -rf $@; exit 1; }
	@touch $@

lock: .venv/uv ## resolve the dependencies anew
	$(COMPILE) --group dev -o requirements-dev.lock
	$(COMPILE) -c requirements-dev.lock -o requirements.lock

.PHONY: up help test faults binding races check audit oldest bench fmt lock screenshots
