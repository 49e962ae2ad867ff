#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# Builds what is measured and runs the benchmarks:
#   bench/run_benchmarks.sh --quick
#   taskset -c 0 bench/run_benchmarks.sh --runs 20 --output result.json
# BENCH_PEERS=1 also builds the peers (as `make peers` does); otherwise those that are there are
# measured. See --help for the rest.
set -e
top=$(cd "$(dirname "$0")/.." && pwd)
case " $* " in
*" --help "* | *" -h "*) ;;
*)
    make -s -C "$top" perf-tools >&2
    [ -z "$BENCH_PEERS" ] || make -s -C "$top" peers >&2
    ;;
esac
exec python3 "$top/bench/run_benchmarks.py" "$@"
