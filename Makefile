# Two commands do everything on a fresh machine: `make run` and `make test`.
PYTHON ?= $(shell for p in python3 /usr/bin/python3; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
PACKAGES := gcc libc6-dev linux-libc-dev make python3-dev python3-venv libseccomp-dev libcap-dev busybox-static
TEST_PACKAGES := $(PACKAGES) runc crun clang libclang-rt-14-dev uidmap strace jq iproute2 procps gcc-aarch64-linux-gnu libc6-dev-arm64-cross liblxc1 criu
BENCH_PACKAGES := $(PACKAGES) runc crun time
SOURCES := $(wildcard nsenter/*.c nsenter/*.h nsenter/generate.py pyrunc/ffi/*_build.py) pyrunc/plan/steps.py
ROOTFS := bundles/busybox/rootfs/.made bundles/plain/rootfs/.made

.PHONY: setup build run test unit integration lint cross fuzz bench hostile test-engines engines-table bench-engines clean

setup: $(VENV)/.ready $(VENV)/.built $(VENV)/.hot

$(VENV)/.ready: pyproject.toml setup.py
	@sh .ci/packages $(PACKAGES)
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[test]'
	@touch $@ $(VENV)/.built

# After the first set-up only what changed in C is compiled again.
$(VENV)/.built: $(SOURCES) $(VENV)/.ready
	$(VENV)/bin/python setup.py --quiet build_programs
	@touch $@

# And the archives of hot modules, which a changed source makes useless.
$(VENV)/.hot: $(shell find pyrunc -name '*.py') $(VENV)/.built
	@$(VENV)/bin/python -m pyrunc.hot pyrunc/_bin/hot
	@touch $@

build: setup

bundles/%/rootfs/.made: bundles/make-rootfs
	@sh .ci/packages busybox-static
	@sh bundles/make-rootfs bundles/$*/rootfs
	@touch $@

run: setup $(ROOTFS)
	$(VENV)/bin/pyrunc run --bundle bundles/busybox hello

test: setup lint unit integration

unit: setup
	$(VENV)/bin/python -m pytest -q tests

integration: setup $(ROOTFS)
	@sh .ci/packages $(TEST_PACKAGES)
	$(VENV)/bin/python -m pytest -q integration --ignore=integration/engines

lint: setup
	@sh .ci/packages clang
	$(VENV)/bin/ruff check pyrunc tests integration setup.py nsenter bundles
	$(VENV)/bin/ruff format --check pyrunc tests integration setup.py nsenter
	$(VENV)/bin/mypy
	CC=clang $(VENV)/bin/python setup.py --quiet build_programs --check

# The same sources for another architecture: nothing in C may be tied to x86_64.
cross:
	@sh .ci/packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross
	CC=aarch64-linux-gnu-gcc $(VENV)/bin/python setup.py --quiet build_programs --check

fuzz: setup
	@sh .ci/packages clang libclang-rt-14-dev
	$(VENV)/bin/python nsenter/fuzz/run.py $(FUZZ_SECONDS)

bench: setup $(ROOTFS)
	@sh .ci/packages $(BENCH_PACKAGES)
	unshare --mount $(VENV)/bin/python integration/bench.py

hostile: setup $(ROOTFS)
	$(VENV)/bin/python integration/hostile/experiments.py

$(VENV)/.engines: $(VENV)/.ready integration/engines/packages
	@sh .ci/packages $$(cat integration/engines/packages)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[test,engines]'
	@touch $(VENV)/.built $@

test-engines: setup $(VENV)/.engines
	$(VENV)/bin/python -m pytest -q integration/engines

# The same, and the table in docs/engines.md is made anew of what passed.
engines-table: setup $(VENV)/.engines
	ENGINES_TABLE=docs/engines.md $(VENV)/bin/python -m pytest -q integration/engines

bench-engines: setup $(VENV)/.engines
	$(VENV)/bin/python integration/engines/bench.py

clean:
	rm -rf $(VENV) build dist *.egg-info pyrunc/_bin bundles/*/rootfs
