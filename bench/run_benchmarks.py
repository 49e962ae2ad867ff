#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Every pattern over every transport, beside libzmq and other libraries.

The same program runs over each library in turn (only LD_LIBRARY_PATH changes), for so many rounds.
Shown are medians, and the median of the ratios within each round with the lowest and the highest.
Latency is one way; CPU is of all threads of a process, for each round trip or message. A run that
failed enters no figure and is listed with its reason.

Without a choice of patterns, transports, sizes or clients the usual matrix is measured: every
pattern at 64 B over tcp, the other transports, sizes and client counts by two patterns, and the
cells of one figure each.
"""

import argparse
import json
import os
import platform
import sys
import time

import suite
from measuring import HERE, Failed, columns, load_libraries, placements
from suite import (METRICS, ONE_CLIENT, PATTERNS, PLACEMENTS, SIZES, TRANSPORTS, Cell, pattern_cell,
                   ratio_text, there_and_back)

MODES = ("latency", "throughput")


def usual_cells(options, placement):
    """About 50 cells, so that 20 rounds over four libraries take a quarter of an hour."""
    cells = []

    def add(mode, pattern, transport="tcp", size=64, clients=1, **others):
        cells.append(pattern_cell(mode, pattern, transport, size, clients, placement,
                                  options.seconds, **others))

    for pattern in PATTERNS:
        add("latency", pattern, count_syscalls=pattern == "req_rep")
    for pattern in PATTERNS:
        add("throughput", pattern, count_syscalls=pattern == "push_pull")
    for transport in TRANSPORTS[1:]:
        add("latency", "req_rep", transport)
        add("throughput", "push_pull", transport)
    if not options.quick:
        for size in (1024, 32768, 262144):
            add("latency", "req_rep", size=size)
            add("throughput", "push_pull", size=size)
        for clients in (10, 100):
            add("latency", "dealer_router", clients=clients)
            add("throughput", "push_pull", clients=clients)
            add("throughput", "pub_sub", clients=clients)
    return cells + special_cells(options, placement)


def special_cells(options, placement):
    seconds, quick = options.seconds, options.quick
    cells = [
        pattern_cell("throughput", "pub_sub", size=16, clients=32, placement=placement,
                     seconds=seconds),
        Cell("zmq_poll(0) over 400 idle sockets", ["bench_cell", "poll", f"seconds={seconds}"],
             placement, ("p50_us", "p99_us")),
        Cell("last message of a burst of 100 after 2 ms of silence",
             ["bench_cell", "burst", f"seconds={max(seconds, 0.2)}"], placement,
             ("p50_us", "p99_us", "cpu")),
        Cell("1000 idle connections",
             ["bench_cell", "connections", "connections=1000", f"seconds={0.5 if quick else 2}"],
             placement,
             ("rate", "rss_per_connection_kib", "server_idle_switches", "server_idle_cpu_us"),
             most_runs=2 if quick else 3),
        Cell("idle after traffic", ["bench_cell", "idle", f"seconds={1 if quick else 5}"], placement,
             ("server_idle_switches", "client_idle_switches", "server_idle_cpu_us"),
             most_runs=1 if quick else 2),
        pattern_cell("latency", "req_rep", placement=placement, seconds=seconds, copies=2),
        pattern_cell("throughput", "push_pull", placement=placement, seconds=seconds, copies=2),
    ]
    for cell in cells[-2:]:
        cell.name += ", two pairs at once"
        cell.facts = {}
    if not quick:
        cells.append(Cell("10000 idle connections",
                          ["bench_cell", "connections", "connections=10000", "seconds=0.5"],
                          placement, ("rate", "rss_per_connection_kib"), most_runs=1))
        with_idle = pattern_cell("latency", "dealer_router", placement=placement, seconds=seconds,
                                 extra=["idle=1000"])
        with_idle.facts = {}
        cells.append(with_idle)
        cells += growth_cells(options, placement, (1000,), most_runs=2)
    return cells


def growth_cells(options, placement, counts=(1, 10, 100, 1000), most_runs=None):
    cells = []
    for clients in counts:
        for mode, pattern in (("latency", "dealer_router"), ("throughput", "push_pull"),
                              ("latency", "pub_sub"), ("throughput", "pub_sub")):
            cells.append(pattern_cell(mode, pattern, size=64, clients=clients, placement=placement,
                                      seconds=options.seconds,
                                      most_runs=most_runs if clients >= 1000 else None))
    return cells


def chosen_cells(options, placement):
    """What the command line names, in every combination that makes sense."""
    cells = []
    for mode in options.mode or MODES:
        for pattern in options.pattern or PATTERNS:
            for transport in options.transport or ("tcp",):
                for size in options.size or (64,):
                    for clients in options.clients or (1,):
                        if clients == 1 or pattern not in ONE_CLIENT:
                            cells.append(pattern_cell(
                                mode, pattern, transport, size, clients, placement, options.seconds,
                                count_syscalls=options.syscalls))
    return cells


def plan(options):
    """The cells, and what this machine cannot do."""
    cells, left_out = [], []
    chosen = options.pattern or options.transport or options.size or options.clients or options.mode
    for placement in options.placement:
        if placements()[PLACEMENTS[placement]] is None:
            left_out.append(f"placement {placement}: only one CPU may be used")
        elif options.growth:
            cells += growth_cells(options, placement)
        elif chosen:
            cells += chosen_cells(options, placement)
        else:
            cells += usual_cells(options, placement)
    if "unpinned" in options.placement and placements()["split"] is None:
        left_out.append("unpinned is one core here: only one CPU may be used")
    return [cell for cell in cells if cell.possible()], left_out


def table(cells, names, reference):
    lines = [["cell", "figure"] + names + [f"{names[0]}/{other} (spread)" for other in reference]]
    for cell in cells:
        shown = [metric for metric in cell.metrics
                 if any(series.median(metric) is not None for series in cell.series.values())]
        if not shown:
            shown = cell.metrics[:1]
        if "server_cpu" in shown and "cpu" in shown:
            # Both sides in one process have one figure.
            shown.remove("cpu" if "client_cpu" in shown else "server_cpu")
        for index, metric in enumerate(shown):
            lines.append([cell.title if index == 0 else "", METRICS[metric][0]]
                         + [cell.series[name].text(metric, index == 0) for name in names]
                         + [ratio_text(cell.ratios(metric, other)) for other in reference])
    return columns(lines)


def report(cells, libraries, missing, left_out, options):
    """Everything measured: the runs themselves, not only medians."""
    return {
        "machine": {"cpus": len(os.sched_getaffinity(0)), "architecture": platform.machine(),
                    "kernel": platform.release()},
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "rounds": options.runs, "seconds": options.seconds,
        "libraries": {library.name: {"version": library.version} for library in libraries},
        "missing": missing, "left_out": left_out, "others": suite.others_share(cells),
        "cells": [{"title": cell.title, "placement": cell.placement, "metrics": cell.metrics,
                   **cell.facts,
                   "series": {name: series.report() for name, series in cell.series.items()}}
                  for cell in cells],
    }


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])

    def several(name, choices, help_text, convert=str):
        parser.add_argument(name, action="append", choices=choices, type=convert, help=help_text)

    parser.add_argument("--runs", type=int, metavar="N", help="rounds (default: 5; quick: 4)")
    parser.add_argument("--seconds", type=float, metavar="S",
                        help="how long a run lasts, without its start (default: 0.15; quick, or with "
                             "more than 10 rounds: 0.1)")
    parser.add_argument("--quick", action="store_true", help="fewer cells, shorter runs, 4 rounds")
    parser.add_argument("--growth", action="store_true",
                        help="1 to 1000 connections and subscribers, nothing else")
    several("--mode", MODES, "latency or throughput only")
    several("--pattern", PATTERNS, "may be given several times, as all of these")
    several("--transport", TRANSPORTS, "default: tcp")
    parser.add_argument("--size", action="append", type=int, metavar="BYTES",
                        help=f"from 16; usual are {', '.join(map(str, SIZES))}")
    parser.add_argument("--clients", action="append", type=int, metavar="N",
                        help="client sockets, used in turn by one thread")
    several("--placement", list(PLACEMENTS), "default: unpinned")
    parser.add_argument("--syscalls", action="store_true", help="count system calls in every cell")
    parser.add_argument("--libs", default="ours,libzmq,omq,async-only", metavar="NAMES",
                        help="default: ours,libzmq,omq,async-only, as far as they are there")
    parser.add_argument("--lib", action="append", default=[], metavar="NAME=DIR",
                        help="where a library is; adds it if it is not one of the four")
    parser.add_argument("--output", metavar="FILE", help="write everything measured as JSON")
    options = parser.parse_args()
    options.runs = options.runs or (4 if options.quick else 5)
    options.seconds = options.seconds or (0.1 if options.quick or options.runs > 10 else 0.15)
    options.placement = options.placement or ["unpinned"]
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    if any(size < 16 for size in options.size or []):
        parser.error("--size must be at least 16")
    return options


def find_libraries(options):
    directories = suite.peer_directories(os.path.join(HERE, "..", "build"))
    names = options.libs.split(",")
    for pair in options.lib:
        name, directory = pair.split("=", 1)
        directories[name] = directory or None
        if name not in names:
            names.append(name)
    unknown = [name for name in names if name not in directories]
    if unknown:
        sys.exit(f"run_benchmarks: no library {', '.join(unknown)}")
    missing = {name: "not built (make peers)" for name in names
               if directories[name] and not os.path.isdir(directories[name])}
    try:
        libraries, others = load_libraries(
            [(name, directories[name]) for name in names if name not in missing])
    except (Failed, OSError) as failure:
        sys.exit(f"run_benchmarks: {names[0]} cannot be loaded (make perf-tools builds ours and "
                 f"the programs): {failure}")
    return libraries, {**missing, **others}


def main():
    options = parse_arguments()
    libraries, missing = find_libraries(options)
    cells, left_out = plan(options)
    for library in libraries:
        print(f"{library.name}: {library.version}, {library.path}")
    for name, reason in missing.items():
        print(f"{name}: not measured: {reason}")
    for text in left_out:
        print(f"left out: {text}" if text.startswith("placement") else text)
    print(f"CPUs: {len(os.sched_getaffinity(0))}; rounds, interleaved: {options.runs}; medians; "
          "CPU in µs per round trip or message", flush=True)

    start = time.monotonic()
    measured = []
    try:
        for index, cell in enumerate(cells, 1):
            print(f"[{index}/{len(cells)}, {time.monotonic() - start:.0f} s] {cell.title}",
                  file=sys.stderr, flush=True)
            measured.append(cell)
            cell.measure(libraries, options.runs, there_and_back)
    except KeyboardInterrupt:
        print("interrupted: the table holds what was measured", file=sys.stderr)
        measured.pop()

    names = [library.name for library in libraries]
    print()
    print(table(measured, names, names[1:2] + [name for name in names[2:] if name == "async-only"]))
    failures = suite.failure_lines(measured)
    if failures:
        print("\nfailed runs:")
        print("\n".join(failures))
    print(f"\n{suite.others_line(measured)}; {time.monotonic() - start:.0f} s")
    if options.output:
        with open(options.output, "w", encoding="utf-8") as file:
            json.dump(report(measured, libraries, missing, left_out, options), file, indent=1)
            file.write("\n")
    if any(cell.series[names[0]].failures for cell in measured):
        sys.exit(1)


if __name__ == "__main__":
    main()
