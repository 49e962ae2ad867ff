#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Latency and throughput of this library beside libzmq's, and beside what plain sockets do.

The same programs (bench/build) run over each library, chosen by LD_LIBRARY_PATH, in turn: A B A B.
Figures are medians; a ratio is the median of the ratios within each pair, with the lowest and the
highest. CPU is that of all threads of both processes, for each round trip or message. Loopback
only. Ends with 1 if a run of this library failed, or, with --check, if a floor is not met.
"""

import argparse
import itertools
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import measuring
from measuring import (HERE, LIBZMQ, OURS, TOOLS, Failed, Program, environment_for, free_port,
                       machine_cpu_seconds, number, placements, run)

CERTIFICATES = os.path.join(HERE, "..", "c-tests", "certificates.sh")
OURS_TCP = "ours over tcp"

# What each figure must reach, as a multiple of libzmq's in the same run: at most for times, at
# least for rates.
LATENCY_FLOORS = {
    ("tcp", "unpinned"): 0.35, ("tcp", "one core"): 0.6, ("tcp", "split"): 0.35,
    ("ipc", "unpinned"): 0.35, ("ipc", "one core"): 0.35, ("ipc", "split"): 0.35,
    ("inproc", "unpinned"): 0.3,
    # None for inproc on one core: there libzmq is within three times of a bare futex hand-over.
}
P99_FLOOR = 0.5
CPU_FLOOR = 0.6
THROUGHPUT_FLOOR = 1.0
CURVE_LATENCY_FLOOR = 0.4
WS_FLOORS = {"latency": LATENCY_FLOORS["tcp", "unpinned"], "rate": 2.0}
# Debian's libzmq has neither tls nor wss: a multiple of this library's own tcp.
TLS_FLOORS = {("tls", 1024): 0.6}

SIZES = (64, 1024, 32768)
SIZE_NAMES = {64: "64 B", 1024: "1 KiB", 32768: "32 KiB", 65536: "64 KiB"}
# ZMTP puts 2 bytes before a short body, 9 before one of more than 255.
FRAMED = {size: size + (2 if size <= 255 else 9) for size in SIZES}
RAW_WRITE = 65536

VALUE_PATTERNS = {
    "latency": r"^average latency: ([0-9.]+) \[us\]$",
    "p50": r"^p50 latency: ([0-9.]+) \[us\]$",
    "p99": r"^p99 latency: ([0-9.]+) \[us\]$",
    "p99.9": r"^p99\.9 latency: ([0-9.]+) \[us\]$",
    "rate": r"^mean throughput: ([0-9]+) \[msg/s\]$",
    "megabits": r"^mean throughput: ([0-9.]+) \[Mb/s\]$",
}


class Series:
    """The runs of one workload over one library (or over no library at all)."""

    def __init__(self, workload, environment, seconds, probe_count):
        self.workload = workload
        self.environment = environment
        self.seconds = seconds
        self.count = probe_count
        self.runs = []  # for each round: a dict of values, or None where there are none
        self.failures = []  # the reason of every failed attempt, calibration included
        self._in_a_row = 0

    def calibrate(self):
        """Finds the message count that lasts `seconds`; warms up at the same time."""
        shares = [0.2, 1.0]
        while shares and not self.given_up:
            values = self._attempt(timeout=5)
            if values:
                self.count = self._count_for(values, self.seconds * shares.pop(0))

    def run_once(self):
        self.runs.append(None if self.given_up else self._attempt(timeout=4 + 6 * self.seconds))

    @property
    def given_up(self):
        """Two failures in a row: the rest would only cost two more deadlines each."""
        return self._in_a_row >= 2

    def _attempt(self, timeout):
        try:
            values = self.workload.measure(self.environment, self.count, timeout)
            self._in_a_row = 0
            return values
        except Failed as failure:
            self.failures.append(str(failure))
            self._in_a_row += 1
            return None

    def _count_for(self, values, seconds):
        if "rate" in values:
            wanted = values["rate"] * seconds
        else:
            wanted = seconds * 1e6 / (2 * max(values["latency"], 0.01))
        # A probe can mislead; a hundred times the probe is as far as one step goes.
        return int(min(max(wanted, 100), self.count * 100, 100_000_000))

    def median(self, key):
        values = [values[key] for values in self.runs if values]
        return statistics.median(values) if values else None

    def note(self, text):
        """`text`, the median of some value, with what failed beside it."""
        if not any(self.runs):
            return "FAILED"
        return f"{text}, {len(self.failures)} FAILED" if self.failures else text


class Workload:
    """What is run: programs, transport, size and placement. `tools` are one or two command lines,
    in which {endpoint} and {count} are filled in; with two, the first listens."""

    def __init__(self, tools, transport, cores, keys):
        self.tools = tools
        self.transport = transport
        self.cores = cores
        self.keys = keys

    def measure(self, environment, count, timeout):
        directory = tempfile.mkdtemp(prefix="perf-")
        try:
            if self.transport == "ipc":
                endpoint = f"ipc://{directory}/socket"
            else:
                scheme = self.transport if self.transport in ("tls", "ws", "wss") else "tcp"
                endpoint = f"{scheme}://127.0.0.1:{free_port()}"
            programs = []
            for index, words in enumerate(self.tools):
                argv = [word.format(endpoint=endpoint, count=count) for word in words]
                argv[0] = os.path.join(TOOLS, argv[0])
                listens = endpoint if len(self.tools) == 2 and index == 0 else None
                programs.append(Program(argv, environment, self.cores[index], listens))
            start, busy = time.monotonic(), machine_cpu_seconds()
            output, cpu_seconds = run(programs, timeout)
            busy, elapsed = machine_cpu_seconds() - busy, time.monotonic() - start
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        values = {"count": count, "cpu": cpu_seconds * 1e6 / count}
        values["cpu side"] = values["cpu"] / 2
        values["others"] = max(0.0, (busy - cpu_seconds) / elapsed)
        for key in self.keys:
            match = re.search(VALUE_PATTERNS[key], output, re.M)
            if not match or not float(match[1]) > 0:
                raise Failed(f"no {key} in the output of {programs[-1].argv[0]}: {output!r:.100}")
            values[key] = float(match[1])
        return values


class Row:
    """A line of the table: one value of a figure's runs."""

    def __init__(self, title, key, floor=None):
        self.title = title
        self.key = key
        self.floor = floor
        self.at_most = key != "rate"


class Figure:
    """One workload in one placement over every library, its raw limits, and the rows it fills."""

    def __init__(self, placement, workload, rows, seconds, probe_count, size, raw=(),
                 yardstick=None):
        self.placement = placement
        self.workload = workload  # None: this machine cannot place it so
        self.rows = rows
        self.seconds = seconds
        self.probe_count = probe_count
        self.size = size
        self.raw = raw
        self.yardstick = yardstick  # what to compare with, over this library too, if not libzmq
        self.series = {}

    def __str__(self):
        return f"{self.rows[0].title}, {self.placement}"

    def measure(self, libraries, runs, raw_measured):
        if self.yardstick:
            libraries = libraries[:1]
            self.series[OURS_TCP] = Series(
                self.yardstick, libraries[0].environment, self.seconds, self.probe_count)
        for library in libraries:
            self.series[library.name] = Series(
                self.workload, library.environment, self.seconds, self.probe_count)
        # Raw limits shared by several figures are measured with the first of them.
        raw = [limit for limit in self.raw if id(limit) not in raw_measured]
        raw_measured.update(map(id, raw))
        every = list(self.series.values()) + [limit.series for limit in raw]
        for series in every:
            series.calibrate()
        for _ in range(runs):
            for series in every:
                series.run_once()

    def ratios(self, row):
        peer = OURS_TCP if self.yardstick else LIBZMQ
        ours, theirs = self.series.get(OURS), self.series.get(peer)
        if ours is None or theirs is None:
            return []
        return [a[row.key] / b[row.key] for a, b in zip(ours.runs, theirs.runs)
                if a and b and b[row.key] > 0]

    def verdict(self, row):
        if self.workload is None or OURS not in self.series:
            return "–"
        if self.series[OURS].failures:
            return "FAILED"
        ratios = self.ratios(row)
        if row.floor is None:
            return "–"
        if not ratios:
            return "no ratio"
        ratio = statistics.median(ratios)
        return "met" if (ratio <= row.floor if row.at_most else ratio >= row.floor) else "short"


class RawLimit:
    def __init__(self, label, workload, seconds, probe_count):
        self.label = label
        self.series = Series(workload, environment_for(None), seconds, probe_count)


def plan(options):
    """Every figure to be measured, in the order of the table."""
    latency_seconds, throughput_seconds = options.latency_seconds, options.throughput_seconds
    places = placements()
    figures = []

    def raw_latency(transport, placement, mode):
        if transport == "inproc":
            tools = [["raw_limit", "inproc_lat", "64", "{count}", mode]]
        else:
            tools = [["raw_limit", side, "{endpoint}", str(FRAMED[64]), "{count}", mode]
                     for side in ("local_lat", "remote_lat")]
        workload = Workload(tools, transport, places[placement], ["latency"])
        return RawLimit(mode, workload, min(0.25, latency_seconds), 500)

    def raw_throughput(transport, placement, mode):
        tools = [["raw_limit", side, "{endpoint}", str(RAW_WRITE), "{count}", mode]
                 for side in ("local_thr", "remote_thr")]
        workload = Workload(tools, transport, places[placement], ["rate"])
        return RawLimit(mode, workload, min(0.3, throughput_seconds), 1000)

    def add(placement, tools, transport, keys, rows, size, raw=lambda: ()):
        possible = places[placement] is not None
        latency = "latency" in keys
        figures.append(Figure(
            placement,
            Workload(tools, transport, places[placement], keys) if possible else None,
            rows,
            latency_seconds if latency else throughput_seconds,
            300 if latency else max(1000, min(50_000, 32_000_000 // max(size, 1))),
            size,
            raw() if possible else ()))

    for transport in ("tcp", "ipc", "inproc"):
        for placement in places:
            if transport == "inproc" and placement == "split":
                continue  # one process: its threads are the library's and the tool's to place
            if transport == "inproc":
                tools = [["inproc_lat", "64", "{count}"]]
            else:
                tools = [[side, "{endpoint}", "64", "{count}"]
                         for side in ("local_lat", "remote_lat")]
            rows = [Row(f"{transport} latency 64 B, µs", "latency",
                        LATENCY_FLOORS.get((transport, placement)))]
            if transport == "tcp" and placement == "unpinned":
                rows.append(Row("tcp CPU of a round trip, one side, µs", "cpu side", CPU_FLOOR))
            add(placement, tools, transport, ["latency"], rows, 64,
                lambda: [raw_latency(transport, placement, mode) for mode in ("spin", "block")])
    add("unpinned",
        [["local_lat", "{endpoint}", "64", "{count}"],
         ["latency_distribution", "{endpoint}", "64", "{count}"]],
        "tcp", ["latency", "p50", "p99", "p99.9"],
        [Row("tcp latency 64 B, p50, µs", "p50"),
         Row("tcp latency 64 B, p99, µs", "p99", P99_FLOOR),
         Row("tcp latency 64 B, p99.9, µs", "p99.9")], 64)

    for transport in ("tcp", "ipc", "inproc"):
        for placement in places:
            if transport == "inproc" and placement == "split":
                continue
            if options.quick and placement != "unpinned":
                continue
            shared = []
            if transport != "inproc" and places[placement] is not None:
                shared = [raw_throughput(transport, placement, mode) for mode in ("spin", "block")]
            for size in SIZES:
                if transport == "inproc":
                    tools = [["inproc_thr", str(size), "{count}"]]
                else:
                    tools = [[side, "{endpoint}", str(size), "{count}"]
                             for side in ("local_thr", "remote_thr")]
                add(placement, tools, transport, ["rate", "megabits"],
                    [Row(f"{transport} throughput {SIZE_NAMES[size]}, msg/s", "rate",
                         THROUGHPUT_FLOOR)], size, lambda: shared)
    add("unpinned", [["proxy_thr", "64", "{count}"]], "inproc", ["rate", "megabits"],
        [Row("proxy throughput 64 B, msg/s", "rate", THROUGHPUT_FLOOR)], 64)
    if options.curve:
        add("unpinned", [[side, "{endpoint}", "64", "{count}", "1"]
                         for side in ("local_lat", "remote_lat")], "tcp", ["latency"],
            [Row("tcp CURVE latency 64 B, µs", "latency", CURVE_LATENCY_FLOOR)], 64)
        for size in SIZES:
            add("unpinned", [[side, "{endpoint}", str(size), "{count}", "1"]
                             for side in ("local_thr", "remote_thr")], "tcp", ["rate", "megabits"],
                [Row(f"tcp CURVE throughput {SIZE_NAMES[size]}, msg/s", "rate",
                     THROUGHPUT_FLOOR)], size)

    chosen = [transport for transport in ("ws", "tls", "wss") if getattr(options, transport)]
    for transport, (tool, keys, size, unit) in itertools.product(chosen, (
            ("lat", ["latency"], 64, "latency {}, µs"),
            *(("thr", ["rate", "megabits"], size, "throughput {}, msg/s")
              for size in (64, 1024, 65536)))):
        tools = [[f"{side}_{tool}", "{endpoint}", str(size), "{count}"]
                 for side in ("local", "remote")]
        title = f"{transport} {unit.format(SIZE_NAMES[size])}"
        if transport == "ws":
            add("unpinned", tools, transport, keys, [Row(title, keys[0], WS_FLOORS[keys[0]])], size)
            continue
        floor = TLS_FLOORS.get((transport, size)) if tool == "thr" else None
        add("unpinned", tools, transport, keys, [Row(f"{title}, beside tcp", keys[0], floor)], size)
        figures[-1].yardstick = Workload(tools, "tcp", places["unpinned"], keys)

    if options.only:
        figures = [figure for figure in figures if re.search(options.only, str(figure))]
    return figures


# --- the table ---

def quantity(row, size, value):
    text = number(value)
    if row.key == "rate" and size >= 1024:
        text += f" ({value * size * 8 / 1e9:.1f} Gb/s)"
    return text


def value_cell(figure, row, name):
    if figure.workload is None:
        return "n/a (1 CPU)"
    series = figure.series.get(name)
    if series is None:
        return "not run"
    median = series.median(row.key)
    return series.note(quantity(row, figure.size, median) if median is not None else "")


def cpu_cell(figure, name):
    series = figure.series.get(name)
    median = series.median("cpu") if series else None
    return "–" if median is None else number(median)


def ratio_cell(figure, row):
    ratios = figure.ratios(row)
    if not ratios:
        return "–"
    return f"{statistics.median(ratios):.2f}× ({min(ratios):.2f}–{max(ratios):.2f})"


def raw_cell(figure, row):
    texts = []
    if OURS_TCP in figure.series:
        series = figure.series[OURS_TCP]
        value = series.median(row.key)
        text = quantity(row, figure.size, value) if value is not None else ""
        return f"{series.note(text)} {OURS_TCP}"
    for limit in figure.raw:
        series = limit.series
        key = row.key if row.key in ("cpu side", "rate") else "latency"
        value = series.median(key)
        if key == "rate" and value is not None:
            value *= RAW_WRITE / FRAMED[figure.size]
        text = series.note(number(value) if value is not None else "")
        texts.append(f"{text} {limit.label}")
    return " / ".join(texts) or "–"


def table(figures, columns):
    heads = (["figure", "placement"] + columns
             + ["ours/libzmq (spread)", "floor", ""] + [f"CPU {name}" for name in columns]
             + ["raw limit"])
    lines = [heads]
    for figure in figures:
        for row in figure.rows:
            floor = "–"
            if row.floor is not None:
                floor = f"{'≤' if row.at_most else '≥'} {row.floor:g}×"
            lines.append(
                [row.title, figure.placement]
                + [value_cell(figure, row, name) for name in columns]
                + [ratio_cell(figure, row), floor, figure.verdict(row)]
                + [cpu_cell(figure, name) for name in columns]
                + [raw_cell(figure, row)])
    return measuring.columns(lines)


def failure_list(figures):
    lines, seen = [], set()
    for figure in figures:
        named = list(figure.series.items())
        for limit in figure.raw:
            if id(limit) not in seen:
                seen.add(id(limit))
                named.append((f"raw limit {limit.label}", limit.series))
        for name, series in named:
            if series.failures:
                skipped = " and the rest left out" if series.given_up else ""
                lines.append(f"  {figure}, {name}: {len(series.failures)} failed{skipped}:")
                lines += [f"    {reason}" for reason in dict.fromkeys(series.failures)]
    return lines


def others_share(figures):
    """How many CPUs everybody else kept busy, on average over all runs."""
    shares = [values["others"] for figure in figures for series in figure.series.values()
              for values in series.runs if values]
    return statistics.mean(shares) if shares else 0.0


def report(figures, libraries, missing, options):
    """Everything measured, for --output: the runs themselves, not only medians."""
    def runs(series):
        return {"count": series.count, "runs": series.runs, "failures": series.failures}
    return {
        "machine": {"cpus": len(os.sched_getaffinity(0)), "architecture": platform.machine(),
                    "kernel": platform.release()},
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "pairs": options.runs, "quick": options.quick,
        "libraries": {library.name: {"version": library.version} for library in libraries},
        "missing": missing,
        "others": others_share(figures),
        "figures": [{
            "placement": figure.placement, "size": figure.size,
            "possible": figure.workload is not None,
            "series": {name: runs(series) for name, series in figure.series.items()},
            "raw": {limit.label: runs(limit.series) for limit in figure.raw},
            "rows": [{
                "title": row.title, "key": row.key, "floor": row.floor,
                "verdict": figure.verdict(row),
                "ratio": statistics.median(figure.ratios(row)) if figure.ratios(row) else None,
                "ratios": figure.ratios(row),
                "median": {name: series.median(row.key) for name, series in figure.series.items()},
            } for row in figure.rows],
        } for figure in figures],
    }


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", default=os.path.join(HERE, "..", "build", "lib"), metavar="DIR",
                        help="directory with this project's libzmq.so.5 (default: build/lib)")
    parser.add_argument("--libzmq", metavar="DIR",
                        help="directory with libzmq's libzmq.so.5 (default: the system's)")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=DIR",
                        help="another library to run beside the two")
    parser.add_argument("--runs", type=int, metavar="N",
                        help="pairs of runs (default: 5; quick: 3)")
    parser.add_argument("--quick", action="store_true",
                        help="shorter runs; throughput unpinned only")
    parser.add_argument("--only", metavar="REGEX", help="only figures whose title, placement match")
    parser.add_argument("--curve", action="store_true", help="also CURVE latency and throughput")
    parser.add_argument("--tls", action="store_true",
                        help="also tls, beside this library's tcp; needs openssl")
    parser.add_argument("--ws", action="store_true", help="also ws")
    parser.add_argument("--wss", action="store_true",
                        help="also wss, beside this library's tcp; needs openssl")
    parser.add_argument("--output", metavar="FILE", help="write everything measured as JSON")
    parser.add_argument("--check", action="store_true", help="end with 1 if a floor is not met")
    parser.add_argument("--latency-seconds", type=float, metavar="S",
                        help="how long a latency run lasts (default: 0.5; quick: 0.25)")
    parser.add_argument("--throughput-seconds", type=float, metavar="S",
                        help="how long a throughput run lasts (default: 0.6; quick: 0.3)")
    options = parser.parse_args()
    options.runs = options.runs or (3 if options.quick else 5)
    options.latency_seconds = options.latency_seconds or (0.25 if options.quick else 0.5)
    options.throughput_seconds = options.throughput_seconds or (0.3 if options.quick else 0.6)
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    if any("=" not in peer for peer in options.peer):
        parser.error("--peer wants NAME=DIR")
    return options


def load_libraries(options):
    """This library, libzmq where installed, other peers. Without our own there is nothing to do."""
    wanted = [(OURS, options.ours), (LIBZMQ, options.libzmq)]
    try:
        return measuring.load_libraries(wanted + [peer.split("=", 1) for peer in options.peer])
    except Failed as failure:
        sys.exit(f"run_perf: cannot load {options.ours}/libzmq.so.5 (make perf builds it and the "
                 f"perf tools): {failure}")


def main():
    options = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="perf-") as certificates:
        if options.tls or options.wss:
            subprocess.run(["sh", CERTIFICATES, certificates], check=True)
            os.environ["PERF_CERTIFICATES"] = certificates
        compare(options)


def compare(options):
    libraries, missing = load_libraries(options)
    figures = plan(options)
    for library in libraries:
        print(f"{library.name}: {library.version}, {library.path}")
    for name, reason in missing.items():
        print(f"{name}: not measured: {reason}")
    print(f"CPUs: {len(os.sched_getaffinity(0))}; pairs of runs, interleaved: {options.runs}; "
          "medians; CPU in µs per round trip or message, both processes", flush=True)

    start = time.monotonic()
    raw_measured = set()
    measured = []
    try:
        for index, figure in enumerate(figures, 1):
            print(f"[{index}/{len(figures)}] {figure}", file=sys.stderr, flush=True)
            measured.append(figure)
            if figure.workload is not None:
                figure.measure(libraries, options.runs, raw_measured)
    except KeyboardInterrupt:
        print("interrupted: the table holds what was measured", file=sys.stderr)
        measured.pop()

    columns = [OURS, LIBZMQ] + [library.name for library in libraries[1:] if library.name != LIBZMQ]
    print()
    print(table(measured, columns))
    failures = failure_list(measured)
    if failures:
        print("\nfailed runs:")
        print("\n".join(failures))
    verdicts = [figure.verdict(row) for figure in measured for row in figure.rows]
    others = others_share(measured)
    print(f"\nother processes used {others:.2f} CPUs while measuring"
          + (": not a quiet machine, expect wide spreads" if others > 0.1 else ""))
    print(", ".join(f"{verdicts.count(verdict)} {text}" for verdict, text in (
        ("met", "floors met"), ("short", "short"), ("FAILED", "failed"),
        ("no ratio", "without a ratio"))) + f"; {time.monotonic() - start:.0f} s")
    if options.output:
        with open(options.output, "w", encoding="utf-8") as file:
            json.dump(report(measured, libraries, missing, options), file, indent=1)
            file.write("\n")
    if "FAILED" in verdicts or (options.check and {"short", "no ratio"} & set(verdicts)):
        sys.exit(1)


if __name__ == "__main__":
    main()
