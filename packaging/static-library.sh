#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# static-library.sh BUILT RESULT: makes RESULT of BUILT.a, one object whose only global symbols are
# those that BUILT.so exports. Cargo's archive holds Rust's library and libsodium as well, whose
# names must not get in the way of the same in the program that it is linked to.
set -eu
built=$1 result=$2
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
nm -D --defined-only "$built.so" | sed -n 's/.* T \(zmq_\)/\1/p' >"$directory/exported"
# Without what link-time optimisation by rustc would need.
objcopy --strip-debug -R .llvmbc -R .llvmcmd "$built.a" "$directory/all.a"
ld -r --gc-sections $(sed 's/^/-u /' "$directory/exported") -o "$directory/zmq.o" "$directory/all.a"
objcopy --keep-global-symbols="$directory/exported" "$directory/zmq.o"
rm -f "$result"
ar crs "$result" "$directory/zmq.o"
chmod 644 "$result"
