# SPDX-License-Identifier: MPL-2.0
# make            the release library, with libzmq's file names in build/lib
# make test       all tests; the last line says how many passed, failed and were skipped
# make test-repeat  the concurrency tests and the C harness 20 times in a row beside a busy core
# make fuzz       every fuzz target for FUZZ_SECONDS (30), two at a time
#                 (FUZZ_ARGS="--jobs 1 zws", ...); new inputs are thrown away
# make test-tsan  the C tests and the Rust tests under ThreadSanitizer; needs the toolchain's rust-src;
#                 about twenty minutes, so not part of make test (TSAN_C="test_stress ...")
# make test-vm    vsock and tipc in a virtual machine whose kernel has them, which this one's may not;
#                 needs qemu-system-x86, busybox-static and 70 MB of Debian's kernel, so not part of
#                 make test
# make perf       the perf tools over this library and, where installed, over libzmq
#                 (PERF_ARGS="--runs 20", "--quick", "--output result.json", ...)
# make bench-check  every floor and gate, met or short; three to ten minutes; fails if one is short
#                 (BENCH_ARGS="--only ipc", ...). bench/run_benchmarks.sh measures everything else
# make peers      builds what is measured beside libzmq into build/peers
# make install    PREFIX=/usr/local DESTDIR= LIBDIR= INCLUDEDIR=; make uninstall; make deb:
#                 packaging/install.mk
# make header     writes include/zmq.h anew
# make matrix     writes MATRIX.md anew: which test shows what
# make clean      removes everything built

CARGO ?= cargo
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))
# Debian's python3-zmq is seen by Debian's python3.
PYTHON ?= $(firstword $(wildcard /usr/bin/python3) python3)
SYSTEM_LIBZMQ := $(shell PATH="$$PATH:/usr/sbin:/sbin" ldconfig -p 2>/dev/null | grep -m1 -o 'libzmq\.so\.5')
C_TEST_LIBS := ours=../build/lib $(if $(SYSTEM_LIBZMQ),system=)
C_TEST_RESULTS := --results ../build/results
C_TEST_LIBZMQ := $(if $(SYSTEM_LIBZMQ),,@echo "SKIPPED all of it over libzmq: libzmq5 not installed")

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

matrix:
	$(PYTHON) tests/matrix.py --write

# All tests: Rust unit and integration tests, the models of the hand-overs, the C harness over this
# library, built by gcc and by clang, and, where installed, over libzmq, both libraries talking to each other, directly and
# through a TLS terminator, a browser, pyzmq over both, programs made for libzmq with this library
# preloaded, and, with the feature, GSSAPI with a key server; what is installed and packaged, the
# manual pages, the matrix of what is tested, pyzmq's own tests, programs and bindings made for
# libzmq, and the fuzz targets. Each can be run alone.
TESTS := test-rust all test-c test-c-clang test-interop test-terminator test-browser test-pyzmq \
	test-preload test-gssapi test-bench test-install test-deb test-man test-matrix \
	test-pyzmq-suite test-programs
TESTS_BESIDE := test-models test-fuzz

test:
	MAKE="$(MAKE)" $(PYTHON) tests/all.py $(TESTS) --beside $(TESTS_BESIDE)

test-rust:
	$(CARGO) test --no-fail-fast

# Optimised, since they run for long; the dependencies are those of test-rust.
test-models:
	CARGO_PROFILE_DEV_OPT_LEVEL=3 LOOM_MAX_PREEMPTIONS=3 $(CARGO) test --features loom --lib model

test-c: all
	$(C_TEST_LIBZMQ)
	$(MAKE) -C c-tests test LIBS="$(C_TEST_LIBS)" ARGS="$(C_TEST_RESULTS) $(C_TEST_ARGS)"

# The same programs, built by the other compiler.
test-c-clang: all
	if command -v clang >/dev/null; then \
		$(MAKE) -C c-tests test CC=clang BUILD=../build/c-tests-clang LIBS="ours=../build/lib"; \
	else echo "clang is not installed"; echo "0 passed, 0 failed, 1 skipped"; fi

test-interop: all
	$(C_TEST_LIBZMQ)
	$(MAKE) -C c-tests interop LIBS="$(C_TEST_LIBS)" ARGS="$(C_TEST_RESULTS) $(C_TEST_ARGS)"

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

# Builds the library with the feature into build/gssapi.
test-gssapi:
	$(PYTHON) tests/gssapi.py --cargo "$(CARGO)"

# The judgement of the benchmarks, on made-up figures.
test-bench:
	$(PYTHON) bench/test_bench.py

# In the tests every run begins with the same numbers, so that what one finds others find, too; and
# two targets share a core, which saves two minutes: what they begin with is what others have found.
test-fuzz: FUZZ_ARGS := --seed 1 --jobs 4
test-fuzz: fuzz

# What cargo-fuzz does as well, without an address sanitizer, which takes a nightly compiler or
# RUSTC_BOOTSTRAP (CONTRIBUTING.md): the library is nearly all safe code, and the targets watch the
# memory themselves. A target triple, so
# that build scripts are not instrumented, and are shared with the release build.
FUZZ_SECONDS ?= 30
FUZZ_HOST = $(shell rustc -vV | sed -n 's/^host: //p')
FUZZ_COVERAGE := -level=4 -inline-8bit-counters -pc-table -trace-compares
FUZZ_RUSTFLAGS := --cfg fuzzing -Cpasses=sancov-module \
	$(FUZZ_COVERAGE:-%=-Cllvm-args=-sanitizer-coverage-%)
fuzz:
	cd fuzz && RUSTFLAGS="$(FUZZ_RUSTFLAGS)" $(CARGO) build --release --target $(FUZZ_HOST) \
		--target-dir $(TARGET_DIR)
	$(PYTHON) fuzz/run.py --binaries $(TARGET_DIR)/$(FUZZ_HOST)/release \
		--seconds $(FUZZ_SECONDS) $(FUZZ_ARGS)

# What `make install` puts into a directory, and the examples built with it.
test-install: all
	MAKE="$(MAKE)" $(PYTHON) tests/install.py

test-deb: all
	MAKE="$(MAKE)" $(PYTHON) tests/deb.py

test-man:
	$(PYTHON) tests/man.py

test-matrix:
	$(PYTHON) tests/matrix.py

# pyzmq's own tests; these two get pyzmq from PyPI.
test-pyzmq-suite: all
	MAKE="$(MAKE)" $(PYTHON) tests/python/pyzmq_suite.py $(PYZMQ_ARGS)

test-programs: all
	MAKE="$(MAKE)" $(PYTHON) tests/programs.py --library build/lib

# The concurrency tests and the C harness 20 times in a row beside a busy second core.
test-repeat:
	MAKE="$(MAKE)" $(PYTHON) tests/all.py --load test-rust-repeat test-c-repeat

test-rust-repeat:
	$(CARGO) test --no-run
	for run in $$(seq 20); do $(CARGO) test --lib --test sockets || exit 1; done

test-c-repeat: all
	$(MAKE) -C c-tests test LIBS="ours=../build/lib" ARGS="--repeat 20"

# Rust's own runtime of ThreadSanitizer is linked into the C programs: the library calls it, and that
# of the C compiler may be too old. Everything, the standard library included, is instrumented.
TSAN_HOST := $(shell rustc -vV | sed -n 's/^host: //p')
TSAN_RUNTIME = $(shell rustc --print sysroot)/lib/rustlib/$(TSAN_HOST)/lib/librustc-stable_rt.tsan.a
TSAN_CARGO := RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=thread" $(CARGO)
TSAN_CARGO_ARGS := -Zbuild-std --target $(TSAN_HOST) --target-dir $(TARGET_DIR)/tsan
# A child that fork(2) makes of a program with threads cannot start any under ThreadSanitizer; through
# TLS, 200,000 messages of an unoptimised library take longer than a test may.
TSAN_NOT := test_fork_signals test_tls test_wss
TSAN_C ?= $(filter-out $(TSAN_NOT),$(patsubst c-tests/%.c,%,$(wildcard c-tests/test_*.c)))

test-tsan: test-tsan-c test-tsan-rust

test-tsan-c:
	$(TSAN_CARGO) build $(TSAN_CARGO_ARGS)
	mkdir -p build/tsan
	ln -srfn $(TARGET_DIR)/tsan/$(TSAN_HOST)/debug/libzmq.so build/tsan/libzmq.so.5
	$(MAKE) -C c-tests $(TSAN_C:%=build/tsan/%) build/tsan/certificates/made BUILD=build/tsan \
		CFLAGS="-O1 -g -fsanitize=thread" LDFLAGS=-g LINK="../build/tsan/libzmq.so.5 \
		-Wl,--whole-archive $(TSAN_RUNTIME) -Wl,--no-whole-archive -Wl,--export-dynamic -lm -lrt"
	cd c-tests && python3 run.py --build build/tsan --lib ours=../build/tsan \
		$(TSAN_C:%=--program %) --no-ledger --jobs 2

test-tsan-rust:
	$(TSAN_CARGO) test $(TSAN_CARGO_ARGS) --lib --test sockets

test-vm: all
	$(MAKE) -C c-tests
	$(PYTHON) tests/vm.py --library build/lib --scratch build/vm

include packaging/install.mk

clean:
	$(CARGO) clean
	rm -rf build
	$(MAKE) -C bench clean
	$(if $(wildcard c-tests/Makefile),$(MAKE) -C c-tests clean)

.PHONY: all perf-tools perf peers peer-async-only peer-omq bench-check header matrix test test-rust \
	test-models test-c test-c-clang test-interop test-terminator test-browser test-pyzmq test-preload test-gssapi \
	test-bench test-install test-deb test-man test-matrix test-pyzmq-suite test-programs fuzz \
	test-fuzz test-repeat test-rust-repeat test-c-repeat test-tsan test-tsan-c test-tsan-rust \
	test-vm clean
