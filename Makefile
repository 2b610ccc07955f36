# Two commands do everything on a fresh machine: `make run` and `make test`.
PYTHON ?= python3
VENV := .venv
PACKAGES := gcc libc6-dev make python3-dev python3-venv libseccomp-dev libcap-dev busybox-static

.PHONY: setup test lint clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml
	@sh .ci/packages $(PACKAGES)
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@

test: setup lint
	$(VENV)/bin/python -m pytest

lint: setup
	$(VENV)/bin/ruff check pyrunc tests
	$(VENV)/bin/mypy

clean:
	rm -rf $(VENV) build dist *.egg-info
