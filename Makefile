# Two commands do everything on a fresh machine: `make run` and `make test`.
PYTHON ?= $(shell for p in python3 /usr/bin/python3; do $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
PACKAGES := gcc libc6-dev linux-libc-dev make python3-dev python3-venv libseccomp-dev libcap-dev busybox-static
TEST_PACKAGES := $(PACKAGES) runc crun clang libclang-rt-14-dev uidmap strace jq iproute2 procps gcc-aarch64-linux-gnu libc6-dev-arm64-cross liblxc1 criu
BENCH_PACKAGES := $(PACKAGES) runc crun time
SOURCES := $(wildcard nsenter/*/*.c nsenter/*/*.h nsenter/*/*.py nsenter/generate.py pyrunc/ffi/*_build.py) pyrunc/plan/steps.py pyrunc/plan/protocol.py pyrunc/fastpath/prelude.py
ROOTFS := bundles/busybox/rootfs/.made bundles/plain/rootfs/.made

.PHONY: setup build run test unit integration lint cross fuzz sanitized soak bench bench-all bench-instructions record-calls hostile hostile-debian test-engines engines-table engines-table-systemd bench-engines guest test-guest test-guest-short install uninstall deb clean

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
$(VENV)/.hot: $(shell find pyrunc -name '*.py') pyrunc/fastpath/called.txt $(VENV)/.built
	@$(VENV)/bin/python -m pyrunc.fastpath.archive_build pyrunc/_bin/hot
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
	$(VENV)/bin/python -m pytest -q --reruns 2 integration --ignore=integration/engines

lint: setup
	@sh .ci/packages clang
	$(VENV)/bin/ruff check pyrunc tests integration setup.py nsenter bundles
	$(VENV)/bin/ruff format --check pyrunc tests integration setup.py nsenter
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	CC=clang $(VENV)/bin/python setup.py --quiet build_programs --check

# The same sources for another architecture: nothing in C may be tied to x86_64.
cross:
	@sh .ci/packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross
	CC=aarch64-linux-gnu-gcc $(VENV)/bin/python setup.py --quiet build_programs --check

fuzz: setup
	@sh .ci/packages clang libclang-rt-14-dev
	$(VENV)/bin/python nsenter/fuzz/run.py $(FUZZ_SECONDS)

# The integration tests with both builds of the helper under ASan and UBSan; SANITIZED chooses among them.
sanitized: setup $(ROOTFS)
	@sh .ci/packages $(TEST_PACKAGES)
	$(VENV)/bin/python integration/sanitized.py $(SANITIZED)

# SOAK_SECONDS of containers' lives under attack, after ten thousand configs of each kind.
soak: setup $(ROOTFS)
	PROPERTY_EXAMPLES=10000 $(VENV)/bin/python -m pytest -q tests/spec/test_spec_property.py
	CROWD=20 $(VENV)/bin/python -m pytest -q -s integration/security/test_crowds.py
	PYTHONPATH=integration/support $(VENV)/bin/python integration/soak/soak.py $(or $(SOAK_SECONDS),7200)

# BENCH_PEERS=name=path,... adds peers; BENCH_SCALE=whole has up to 500 containers and 1000 mounts.
bench: setup $(ROOTFS)
	@sh .ci/packages $(BENCH_PACKAGES)
	unshare --mount $(VENV)/bin/python integration/bench.py $(BENCH)

# Every figure of docs/performance.md, one table after the other.
bench-all:
	@$(MAKE) --no-print-directory bench-instructions
	@BENCH_SCALE=whole $(MAKE) --no-print-directory bench
	@$(MAKE) --no-print-directory bench-engines

# What each command executes, counted by callgrind and held to integration/instructions.json.
bench-instructions: setup $(ROOTFS)
	@sh .ci/packages $(PACKAGES) valgrind
	$(VENV)/bin/python integration/instructions.py $(INSTRUCTIONS)

# Which functions the hot commands call, for the archives (pyrunc/fastpath/shrink.py).
record-calls: setup $(ROOTFS)
	$(VENV)/bin/python integration/record_calls.py
	@$(MAKE) --no-print-directory setup

hostile: setup $(ROOTFS)
	$(VENV)/bin/python integration/hostile/experiments.py

# Debian's libraries, downloaded and not installed, through audit-lib and strace.
hostile-debian: setup
	@sh .ci/packages strace binutils
	$(VENV)/bin/python integration/hostile/soak_debian.py

$(VENV)/.engines: $(VENV)/.ready integration/engines/packages
	@sh .ci/packages $$(cat integration/engines/packages)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -e '.[test,engines]'
	@touch $(VENV)/.built $@

test-engines: setup $(VENV)/.engines
	$(VENV)/bin/python -m pytest -q --reruns 2 integration/engines

# The same, and the table in docs/engines.md is made anew of what passed.
engines-table: setup $(VENV)/.engines
	ENGINES_TABLE=docs/engines.md $(VENV)/bin/python -m pytest -q --reruns 2 integration/engines

# Engines with systemd's cgroup manager, in a guest of each release (RELEASES="--release 13" for one); the second table is
# made anew of what passed there.
engines-table-systemd: setup guest
	$(VENV)/bin/python integration/engines/table_systemd.py $(RELEASES)

bench-engines: setup $(VENV)/.engines
	$(VENV)/bin/python integration/engines/bench.py --picture docs/performance-shim.svg

# Debian 12 and 13 with systemd and cgroup v2, under QEMU: integration/guest/README.md.
guest:
	@sh .ci/packages $$(cat integration/guest/packages)
	$(PYTHON) integration/guest build

test-guest: guest
	$(PYTHON) integration/guest test --user root --user user

# A part of the systemd suite in one guest, as root and as a user, in at most GUEST_SECONDS from nothing: what CI has time for.
# -x: when the time is over (status 124), for the machine is busy, nothing had failed until then.
GUEST_SECONDS ?= 720
GUEST_SHORT := the_scope or without_limits or kept_by_updates or failed_unit or annotations or not_delegated
test-guest-short:
	@sh .ci/packages $$(cat integration/guest/packages)
	@timeout --kill-after=60 $$(($(GUEST_SECONDS) + 60)) $(PYTHON) integration/guest test --seconds $(GUEST_SECONDS) \
		--release 13 --cpus 1 --user root --user user --env RUNC=none --env CRUN=none -- \
		integration/cgroups/test_systemd.py -x --reruns 1 -k "$(GUEST_SHORT)" || \
		{ [ $$? = 124 ] && echo "guest: not done after $(GUEST_SECONDS) s; nothing has failed (GUEST_SECONDS=... gives more)"; }

# Debian's own interpreter, for what is installed outlives this checkout.
SYSTEM_PYTHON ?= $(shell test -x /usr/bin/python3 && echo /usr/bin/python3 || echo $(PYTHON))
PREFIX ?= /usr/local

install:
	@sh .ci/packages $(PACKAGES)
	@sh deploy/install/install.sh $(SYSTEM_PYTHON) $(PREFIX) $(DESTDIR)
	@echo "installed $(DESTDIR)$(PREFIX)/bin/pyrunc; pyrunc check says what works on this host"

uninstall:
	@sh deploy/install/uninstall.sh $(PREFIX)

deb:
	@sh .ci/packages $(PACKAGES) dpkg
	@sh deploy/install/deb.sh /usr/bin/python3

clean:
	rm -rf $(VENV) build dist *.egg-info pyrunc/_bin bundles/*/rootfs
