.DEFAULT_GOAL := help
PY := .venv/bin/python

.venv/installed: requirements-dev.lock
	python3 -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check uv
	.venv/bin/uv pip sync --quiet --python .venv/bin/python requirements-dev.lock
	touch $@

help: ## what can be made
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*##/\t/'

test: .venv/installed ## all tests
	$(PY) -m pytest

check: .venv/installed ## format, lint, types, contracts, migrations, tests
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy accounts_app integrations_app guard_app tasks_app config
	.venv/bin/lint-imports
	DJANGO_SETTINGS_MODULE=tests.settings $(PY) manage.py makemigrations --check --dry-run
	$(MAKE) test

fmt: .venv/installed ## format and mend what can be mended
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

lock: .venv/installed ## resolve the dependencies anew
	.venv/bin/uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 --group dev pyproject.toml -o requirements-dev.lock

.PHONY: help test check fmt lock
