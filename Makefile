# The front door. Meson builds; this file only names what one can ask for.
# Each target first installs the Debian packages that it needs and that are missing.

BUILD ?= build
JOBS ?= 2
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
export BUILD JOBS FUZZ_SECONDS

.DEFAULT_GOAL := all
.PHONY: all demo check check-interop bench lint format sanitize fuzz install clean help
.NOTPARALLEL:

all: ## configure and build everything in build/
	@tools/install-packages.sh compile
	@tools/build.sh $(BUILD) $(if $(wildcard $(BUILD)/build.ninja),,-Dtests=false)

demo: ## real bank data over HTTP by 8 workers, kill -9 and duplicates, against awk; the scenarios
	@tools/install-packages.sh demo
	@tools/build.sh $(BUILD) $(if $(wildcard $(BUILD)/build.ninja),,-Dtests=false) -Dscenarios=true
	@tools/demo.sh

check: ## every test; the last line is "N passed, N failed"
	@tools/install-packages.sh check
	@tools/build.sh $(BUILD) -Dtests=true -Dscenarios=true
	@python3 tools/check.py --build $(BUILD) $(CHECKS)

check-interop: ## with real peers: a browser, bean-check, PostgreSQL, MariaDB
	@tools/install-packages.sh interop peers
	@tools/build.sh $(BUILD) -Dtests=true
	@python3 tools/check.py --build $(BUILD) interop

bench: ## the engine, the server, queues, feed and sagas, beside the raw sync and real peers (BENCH="http peers" for some)
	@tools/install-packages.sh bench
	@tools/build.sh $(BUILD) $(if $(wildcard $(BUILD)/build.ninja),,-Dtests=false)
	@tools/bench.sh $(BENCH)

lint: ## formatting, clang-tidy, gcc and clang with -Werror, shellcheck, include arrows
	@tools/install-packages.sh lint
	@tools/lint.sh

format: ## rewrite the C files in the project's format
	@tools/install-packages.sh lint
	@git ls-files '*.c' '*.h' | xargs clang-format -i

sanitize: ## the tests under ASan+UBSan, then under TSan
	@tools/install-packages.sh sanitize
	@tools/sanitize.sh

fuzz: ## each fuzz target for FUZZ_SECONDS (60), two at a time
	@tools/install-packages.sh check
	@python3 tools/check.py --build $(BUILD) fuzz

install: all ## libraries, headers, program, man page, systemd unit and example configuration below PREFIX (DESTDIR too)
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@meson install -C $(BUILD)

clean: ## remove every build directory
	rm -rf build build-asan build-tsan build-fuzz build-lint-gcc build-lint-clang

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' Makefile
