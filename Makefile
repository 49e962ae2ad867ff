# SPDX-License-Identifier: MPL-2.0
# make            the release library, with libzmq's file names in build/lib
# make test       all tests; the last line says how many passed, failed and were skipped
# make test-repeat  the concurrency tests and the C harness 20 times in a row beside a busy core
# make perf       the perf tools over this library and, where installed, over libzmq
#                 (PERF_ARGS="--runs 20", "--quick", "--output result.json", ...)
# make bench-check  every floor and gate, met or short; about three minutes; fails if one is short
#                 (BENCH_ARGS="--only ipc", ...). bench/run_benchmarks.sh measures everything else
# make peers      builds what is measured beside libzmq into build/peers
# make header     writes include/zmq.h anew
# make clean      removes everything built

CARGO ?= cargo
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
# Debian's python3-zmq is seen by Debian's python3.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
SYSTEM_LIBZMQ := $(shell PATH="$$PATH:/usr/sbin:/sbin" ldconfig -p 2>/dev/null | grep -m1 -o 'libzmq\.so\.5')
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

# The library without speculative write and zero copy, which the gates compare with.
peer-async-only:
	$(CARGO) build --release --features async-only --target-dir build/peers/async-only/target
	mkdir -p build/peers/async-only/lib
	ln -sfn ../target/release/libzmq.so build/peers/async-only/lib/libzmq.so.5

# Another Rust library with libzmq's interface, from its crate.
peer-omq:
	cd bench/peers/omq && $(CARGO) build --release --locked -p omq-libzmq \
		--target-dir $(abspath build)/peers/omq/target
	mkdir -p build/peers/omq/lib
	ln -sfn ../target/release/libomq_zmq.so build/peers/omq/lib/libzmq.so.5

peers: peer-async-only peer-omq

bench-check: perf-tools peer-async-only
	CARGO="$(CARGO)" python3 bench/check_floors.py $(BENCH_ARGS)

header:
	UPDATE_HEADER=1 $(CARGO) test --test header

# All tests: Rust unit and integration tests, the models of the hand-overs, the C harness over this
# library and, where installed, over libzmq, both libraries talking to each other, directly and
# through a TLS terminator, a browser, pyzmq over both, and programs made for libzmq with this
# library preloaded. Each can be run alone.
TESTS := test-rust test-models all test-c test-interop test-terminator test-browser test-pyzmq \
	test-preload test-bench

test:
	MAKE="$(MAKE)" $(PYTHON) tests/all.py $(TESTS)

test-rust:
	$(CARGO) test --no-fail-fast

# Optimised because the models are many; not across crates because that takes longer than it saves.
test-models:
	RUSTFLAGS="--cfg loom" LOOM_MAX_PREEMPTIONS=3 CARGO_PROFILE_RELEASE_LTO=off \
		CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 $(CARGO) test --release --lib \
		--target-dir $(TARGET_DIR)/loom model

test-c: all
	$(MAKE) -C c-tests test LIBS="$(C_TEST_LIBS)" ARGS="$(C_TEST_ARGS)"

test-interop: all
	$(MAKE) -C c-tests interop LIBS="$(C_TEST_LIBS)" ARGS="$(C_TEST_ARGS)"

test-terminator: all
	$(MAKE) -C c-tests
	$(PYTHON) tests/terminator.py --library build/lib

test-browser: all
	$(MAKE) -C c-tests
	$(PYTHON) tests/browser.py --library build/lib

test-pyzmq: all
	$(PYTHON) tests/python/session.py --library build/lib

test-preload: all
	$(PYTHON) tests/preload.py --library build/lib

# The judgement of the benchmarks, on made-up figures.
test-bench:
	$(PYTHON) bench/test_bench.py

# The concurrency tests and the C harness 20 times in a row beside a busy second core.
test-repeat:
	MAKE="$(MAKE)" $(PYTHON) tests/all.py --load test-rust-repeat test-c-repeat

test-rust-repeat:
	$(CARGO) test --no-run
	for run in $$(seq 20); do $(CARGO) test --lib --test sockets || exit 1; done

test-c-repeat: all
	$(MAKE) -C c-tests test LIBS="ours=../build/lib" ARGS="--repeat 20"

clean:
	$(CARGO) clean
	rm -rf build
	$(MAKE) -C bench clean
	$(if $(wildcard c-tests/Makefile),$(MAKE) -C c-tests clean)

.PHONY: all perf-tools perf peers peer-async-only peer-omq bench-check header test test-rust \
	test-models test-c test-interop test-terminator test-browser test-pyzmq test-preload test-bench \
	test-repeat test-rust-repeat test-c-repeat clean
