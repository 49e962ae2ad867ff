# SPDX-License-Identifier: MPL-2.0
# make            the release library, with libzmq's file names in build/lib
# make test       all tests
# make test-repeat  the C harness 20 times beside a busy core
# make perf       the perf tools over this library and, where installed, over libzmq
#                 (PERF_ARGS="--runs 20", "--quick", "--output result.json", ...)
# make header     writes include/zmq.h anew
# make clean      removes everything built

CARGO ?= cargo
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
SYSTEM_LIBZMQ := $(shell ldconfig -p 2>/dev/null | grep -m1 -o 'libzmq\.so\.5')
C_TEST_LIBS := ours=../build/lib $(if $(SYSTEM_LIBZMQ),system=)

all:
	$(CARGO) build --release
	mkdir -p build/lib
	ln -srfn $(TARGET_DIR)/release/libzmq.so build/lib/libzmq.so.5
	ln -sfn libzmq.so.5 build/lib/libzmq.so

perf-tools: all
	$(MAKE) -C bench

perf: perf-tools
	python3 bench/run_perf.py $(PERF_ARGS)

header:
	UPDATE_HEADER=1 $(CARGO) test --test header

# All tests: Rust unit and integration tests, the models of the hand-overs, the C harness over this
# library and, where installed, over libzmq, and both libraries talking to each other.
test: test-rust test-models test-c

test-rust:
	$(CARGO) test

test-models:
	RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 $(CARGO) test --release --lib \
		--target-dir $(TARGET_DIR)/loom model

test-c: all
	$(MAKE) -C c-tests test LIBS="$(C_TEST_LIBS)" ARGS="$(C_TEST_ARGS)"
	$(if $(SYSTEM_LIBZMQ),$(MAKE) -C c-tests interop LIBS="$(C_TEST_LIBS)" ARGS="$(C_TEST_ARGS)")

# The C harness 20 times in a row beside a busy second core.
test-repeat: all
	$(MAKE) -C c-tests test LIBS="ours=../build/lib" ARGS="--repeat 20 --load"

clean:
	$(CARGO) clean
	rm -rf build
	$(MAKE) -C bench clean
	$(if $(wildcard c-tests/Makefile),$(MAKE) -C c-tests clean)

.PHONY: all perf-tools perf header test test-rust test-models test-c test-repeat clean
