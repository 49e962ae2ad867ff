# SPDX-License-Identifier: MPL-2.0
# make            the release library, with libzmq's file names in build/lib
# make test       unit tests and the C tests
# make perf       the perf tools over this library and, where installed, over libzmq
#                 (PERF_ARGS="--runs 20", "--quick", "--output result.json", ...)
# make header     writes include/zmq.h anew
# make clean      removes everything built

CARGO ?= cargo
TARGET_DIR := $(abspath $(or $(CARGO_TARGET_DIR),target))

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

test:
	$(CARGO) test
	$(if $(wildcard c-tests/Makefile),$(MAKE) -C c-tests test)

clean:
	$(CARGO) clean
	rm -rf build
	$(MAKE) -C bench clean
	$(if $(wildcard c-tests/Makefile),$(MAKE) -C c-tests clean)

.PHONY: all perf-tools perf header test clean
