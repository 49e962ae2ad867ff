#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Every floor this project sets itself, measured: our figure, the other one's, the ratio, met or
short. Ends with 1 if one falls short, cannot be measured, or one of our runs failed.

The other one is libzmq for the floors, and for the gates the same library without speculative write
and zero copy (async-only). Ratios are medians of those within each round. Where the noise leaves open on
which side of its bound a ratio lies, met or short, there are more rounds, up to four times as many;
all of them count. The share of speculative writes that succeed comes from the engine's own counters
(speculative_writes.rs).
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import time

import comparing
import suite
from measuring import HERE, LIBZMQ, OURS, Failed, columns, environment_for, load_libraries
from suite import Cell, pattern_cell, ratio_text, there_and_back

ASYNC = "async-only"
MOST_BATCHES = 4
# How sure it must be on which side of its bound a ratio lies.
CONFIDENCE = 0.95


class Floor:
    """One line: a figure of a cell, and what it must reach as a multiple of the other's figure, or
    by itself where there is no other. `other` may be another cell of ours."""

    def __init__(self, title, cell, metric, bound, other=LIBZMQ):
        self.title = title
        self.cell = cell
        self.metric = metric
        self.bound = bound
        self.other = other
        self.at_most = metric != "rate"

    def ratios(self):
        if isinstance(self.other, Cell):
            ours, theirs = (self.figures(cell) for cell in (self.cell, self.other))
            return [a / b for a, b in zip(ours, theirs)]
        if self.other is None:
            median = self.cell.series[OURS].median(self.metric)
            return [] if median is None else [median]
        return self.cell.ratios(self.metric, self.other)

    def cells(self):
        return [self.cell] + ([self.other] if isinstance(self.other, Cell) else [])

    def is_open(self):
        """The noise is too large to tell met from short."""
        ratios = self.ratios()
        if self.other is None or len(ratios) < comparing.FEWEST_RUNS:
            return False
        low, high = comparing.median_interval(ratios, CONFIDENCE)
        return low < self.bound < high

    def figures(self, cell):
        runs = cell.series[OURS].runs if OURS in cell.series else []
        return [values[self.metric] for values in runs if values and values.get(self.metric)]

    def verdict(self):
        if not self.cell.possible():
            return "left out"
        if self.cell.series[OURS].failures:
            return "FAILED"
        if self.cell.series[OURS].not_there:
            return suite.NOT_THERE
        ratios = self.ratios()
        if not ratios:
            return "no ratio"
        ratio = statistics.median(ratios)
        return "met" if (ratio <= self.bound if self.at_most else ratio >= self.bound) else "SHORT"

    def line(self):
        verdict = self.verdict()
        limit = f"{'≤' if self.at_most else '≥'} {self.bound:g}{'' if self.other is None else '×'}"
        if not self.cell.series:
            return [self.title, "–", "–", "–", limit, verdict]
        ours = self.cell.series[OURS].text(self.metric)
        if self.other is None:
            # Nothing to compare with, but libzmq's figure says what it means.
            theirs = self.cell.series[LIBZMQ] if LIBZMQ in self.cell.series else None
            return [self.title, ours, theirs.text(self.metric) if theirs else "–", "–", limit,
                    verdict]
        if isinstance(self.other, Cell):
            theirs = self.other.series[OURS].text(self.metric)
        else:
            theirs = (self.cell.series[self.other].text(self.metric)
                      if self.other in self.cell.series else "–")
        return [self.title, ours, theirs, ratio_text(self.ratios()), limit, verdict]


def floors(seconds):
    """All of them, as (Floor list); a cell that several share is measured once."""
    def cell(mode, pattern, transport="tcp", size=64, clients=1, placement="unpinned", **others):
        return pattern_cell(mode, pattern, transport, size, clients, placement, seconds, **others)

    lines = []

    def add(title, measured, metric, bound, other=LIBZMQ):
        lines.append(Floor(title, measured, metric, bound, other))

    latency = cell("latency", "req_rep", count_syscalls=True)
    add("tcp latency 64 B, µs", latency, "mean_us", 0.35)
    add("  p99, µs", latency, "p99_us", 0.5)
    add("  CPU of a round trip, server, µs", latency, "server_cpu", 0.6)
    add("  system calls of a round trip, a process", latency, "syscalls", 8, None)
    add("tcp latency 64 B, one core, µs",
        cell("latency", "req_rep", placement="one-core"), "mean_us", 0.6)
    add("tcp latency 64 B, split cores, µs",
        cell("latency", "req_rep", placement="split"), "mean_us", 0.35)
    add("ipc latency 64 B, µs", cell("latency", "req_rep", "ipc"), "mean_us", 0.35)
    add("inproc latency 64 B, µs", cell("latency", "req_rep", "inproc"), "mean_us", 0.3)
    streams = {size: cell("throughput", "push_pull", size=size) for size in (64, 1024, 32768)}
    for size, bound in ((64, 3), (1024, 2), (32768, 2)):
        add(f"tcp PUSH/PULL {suite.size_name(size)}, msg/s", streams[size], "rate", bound)
    add("ipc PUSH/PULL 64 B, msg/s", cell("throughput", "push_pull", "ipc"), "rate", 3)
    add("inproc PUSH/PULL 64 B, msg/s", cell("throughput", "push_pull", "inproc"), "rate", 2)
    add("PUB to 32 SUB 16 B, none lost, deliveries/s",
        cell("throughput", "pub_sub", size=16, clients=32), "rate", 1.5)
    add("zmq_poll(0) over 400 idle sockets, µs",
        Cell("poll", ["bench_cell", "poll", f"seconds={seconds}"]), "p50_us", 5, None)
    connections = Cell("connections", ["bench_cell", "connections", "connections=1000",
                                       "seconds=0.1"])
    add("RSS of an idle tcp connection, KiB", connections, "rss_per_connection_kib", 0.5)
    add("connections accepted and greeted a second", connections, "rate", 1)
    add("CURVE tcp PUSH/PULL 64 B, msg/s",
        cell("throughput", "push_pull", extra=["curve=1"]), "rate", 1)
    add("CURVE tcp latency 64 B, µs", cell("latency", "req_rep", extra=["curve=1"]), "mean_us", 0.4)
    websocket = {size: cell("throughput", "push_pull", "ws", size) for size in (64, 1024, 65536)}
    for size, measured in websocket.items():
        add(f"ws PUSH/PULL {suite.size_name(size)}, msg/s", measured, "rate", 2)
    secure = {transport: cell("throughput", "push_pull", transport, 1024)
              for transport in ("tls", "wss")}
    add("tls PUSH/PULL 1 KiB, msg/s, against our tcp", secure["tls"], "rate", 0.6, streams[1024])
    add("wss PUSH/PULL 1 KiB, msg/s, against our tls", secure["wss"], "rate", 0.6, secure["tls"])

    short = cell("latency", "req_rep", size=512)
    add("gate: p99 64 B, µs, against async-only", latency, "p99_us", 0.7, ASYNC)
    add("gate: p99 512 B, µs, against async-only", short, "p99_us", 0.7, ASYNC)
    for size in streams:
        name = suite.size_name(size)
        add(f"gate: CPU of a message {name}, µs, against async-only", streams[size], "cpu", 0.9,
            ASYNC)
        add(f"gate: msg/s {name}, against async-only", streams[size], "rate", 1.15, ASYNC)
    for transport, size, stream in (("ws", 64, websocket[64]), ("ws", 1024, websocket[1024]),
                                    ("tls", 1024, secure["tls"]), ("wss", 1024, secure["wss"])):
        name = f"{transport} {suite.size_name(size)}"
        if size == 64 or transport != "ws":
            add(f"gate: p99 {transport} 64 B, µs, against async-only",
                cell("latency", "req_rep", transport), "p99_us", 0.7, ASYNC)
        add(f"gate: CPU of a message {name}, µs, against async-only", stream, "cpu", 0.9, ASYNC)
        add(f"gate: msg/s {name}, against async-only", stream, "rate", 1.15, ASYNC)
    return lines


def speculative_writes(cargo):
    """The lines of the program that reads the engine's counters, and whether its gates are met."""
    top = os.path.join(HERE, "..")
    done = subprocess.run([*cargo.split(), "bench", "-q", "--bench", "speculative_writes"], cwd=top,
                          env=environment_for(None), capture_output=True, text=True, check=False)
    lines = done.stdout.rstrip().splitlines()
    if done.returncode and not lines:
        lines = done.stderr.rstrip().splitlines()[-5:]
    return lines, done.returncode == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split(".", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=7, metavar="N", help="rounds (default: 7)")
    parser.add_argument("--seconds", type=float, default=0.25, metavar="S")
    parser.add_argument("--only", metavar="REGEX", help="only the floors whose title matches")
    parser.add_argument("--part", metavar="I/N", help="only the I-th of N parts")
    parser.add_argument("--cargo", default=os.environ.get("CARGO", "cargo"))
    options = parser.parse_args()

    directories = suite.peer_directories(os.path.join(HERE, "..", "build"))
    try:
        libraries, missing = load_libraries(
            [(name, directories[name]) for name in (OURS, LIBZMQ, ASYNC)])
    except Failed as failure:
        sys.exit(f"check_floors: cannot load ours: {failure}")
    for name, reason in missing.items():
        print(f"{name}: not measured: {reason}")

    lines = [floor for floor in floors(options.seconds)
             if re.search(options.only or "", floor.title)]
    cells = list(dict.fromkeys(floor.cell for floor in lines))
    if options.part:
        part, parts = map(int, options.part.split("/"))
        cells = cells[(part - 1) * len(cells) // parts:part * len(cells) // parts]
        lines = [floor for floor in lines if floor.cell in cells]
    # What only serves as the other figure of a line is measured, too.
    cells += [floor.other for floor in lines
              if isinstance(floor.other, Cell) and floor.other not in cells]
    start = time.monotonic()
    for index, cell in enumerate(cells, 1):
        print(f"[{index}/{len(cells)}, {time.monotonic() - start:.0f} s] {cell.title}",
              file=sys.stderr, flush=True)
        if cell.possible():
            others = {floor.other for floor in lines if floor.cell is cell}
            wanted = [library for library in libraries if library.name in (OURS, LIBZMQ)
                      or library.name in others]
            cell.measure(wanted, options.runs, there_and_back)

    for _ in range(MOST_BATCHES - 1):
        unsure = [cell for cell in cells if cell.possible()
                  and any(cell in floor.cells() and floor.is_open() for floor in lines)]
        for cell in unsure:
            print(f"[again, {time.monotonic() - start:.0f} s] {cell.title}", file=sys.stderr, flush=True)
            cell.measure_on(options.runs, there_and_back)

    print(f"\nrounds, interleaved: {options.runs}, or up to {MOST_BATCHES * options.runs} where the noise "
          "leaves a floor open; medians; ratio: median (lowest–highest)\n")
    print(columns([["floor", "ours", "other", "ours/other", "must be", ""]]
                  + [floor.line() for floor in lines]))
    verdicts = [floor.verdict() for floor in lines]
    if not options.only and options.part in (None, "1/1") or "speculative" in (options.only or ""):
        print("\nspeculative writes; with short messages under normal load at least 80 % must "
              "succeed, less than 5 % block")
        written, met = speculative_writes(options.cargo)
        print("\n".join(written))
        verdicts.append("met" if met else "SHORT")
    failures = suite.failure_lines(cells)
    if failures:
        print("\nfailed runs:")
        print("\n".join(failures))
    print(f"\n{suite.others_line(cells)}; {time.monotonic() - start:.0f} s")
    counts = {verdict: verdicts.count(verdict) for verdict in dict.fromkeys(verdicts)}
    print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()))
    sys.exit(0 if set(verdicts) <= {"met", "left out"} else 1)


if __name__ == "__main__":
    main()
