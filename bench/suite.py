# SPDX-License-Identifier: MPL-2.0
"""What run_benchmarks.py and check_floors.py share: cells, their runs over every library, and what
comes out of them.

A cell is one command line of bench_pattern or bench_cell, or several at once, in one placement. It
runs over every library in turn, round by round, so that the runs of one round can be compared. A
run that failed has no values and a reason; a transport that a library lacks is "not there".
"""

import os
import re
import shutil
import statistics
import subprocess
import tempfile
import time

from measuring import (LIBZMQ, OURS, TOOLS, Failed, Program, machine_cpu_seconds,
                       number, placements, run)

PATTERNS = ("pair", "pub_sub", "dealer_dealer", "dealer_router", "router_router",
            "router_router_poll", "req_rep", "push_pull")
ONE_CLIENT = ("pair", "dealer_dealer")
TRANSPORTS = ("tcp", "ipc", "inproc", "tls", "ws", "wss")
SIZES = (64, 256, 1024, 4096, 16384, 65536, 262144)
PLACEMENTS = {"unpinned": "unpinned", "one-core": "one core", "split": "split"}

NOT_THERE = "not there"
STATUS_NOT_THERE = 3

# What is printed, in what unit, and whether less is better.
METRICS = {
    "p50_us": ("p50, µs", True),
    "p99_us": ("p99, µs", True),
    "p999_us": ("p99.9, µs", True),
    "mean_us": ("mean, µs", True),
    "rate": ("per second", False),
    "server_cpu": ("CPU server, µs", True),
    "client_cpu": ("CPU client, µs", True),
    "cpu": ("CPU, µs", True),
    "syscalls": ("system calls a process", True),
    "yields": ("of these sched_yield", True),
    "server_rss_kib": ("peak RSS server, KiB", True),
    "client_rss_kib": ("peak RSS client, KiB", True),
    "rss_per_connection_kib": ("RSS a connection, KiB", True),
    "server_idle_switches": ("wake-ups server", True),
    "client_idle_switches": ("wake-ups client", True),
    "server_idle_cpu_us": ("idle CPU server, µs", True),
    "client_idle_cpu_us": ("idle CPU client, µs", True),
}
# Shown of every cell that has them; the rest is in the JSON file.
USUAL = ("p50_us", "p99_us", "p999_us", "rate", "server_cpu", "client_cpu", "cpu", "syscalls",
         "yields", "server_rss_kib")


def size_name(size):
    return f"{size // 1024} KiB" if size >= 1024 else f"{size} B"


class Cell:
    """One thing that is measured. `words` is the command line without what the machine decides."""

    def __init__(self, name, words, placement="unpinned", metrics=USUAL, copies=1, most_runs=None,
                 count_syscalls=False, **facts):
        self.name = name
        self.words = [str(word) for word in words]
        self.placement = placement
        self.metrics = metrics
        self.copies = copies  # so many at the same time
        self.most_runs = most_runs
        self.count_syscalls = count_syscalls
        self.facts = facts  # for compare and plot
        self.series = {}

    @property
    def title(self):
        return f"{self.name}, {self.placement}"

    def possible(self):
        if placements()[PLACEMENTS[self.placement]] is None:
            return False
        return not (self.placement == "split" and self.facts.get("transport") == "inproc")

    def measure(self, libraries, runs, order_of_round):
        """`runs` rounds over the libraries; every second one in the opposite order."""
        for library in libraries:
            self.series[library.name] = Series(self, library)
        self.measure_on(min(runs, self.most_runs or runs), order_of_round)
        if self.count_syscalls:
            for series in self.series.values():
                series.count_syscalls()

    def measure_on(self, runs, order_of_round):
        """`runs` more rounds."""
        for round_number in range(runs):
            for series in order_of_round(list(self.series.values()), round_number):
                series.run_once()

    def ratios(self, metric, peer, ours=OURS):
        """The ratio in each round in which both have a figure."""
        if ours not in self.series or peer not in self.series:
            return []
        pairs = zip(self.series[ours].runs, self.series[peer].runs)
        return [a[metric] / b[metric] for a, b in pairs
                if a and b and a.get(metric) is not None and b.get(metric)]


def there_and_back(series, round_number):
    return series if round_number % 2 == 0 else series[::-1]


def pattern_cell(mode, pattern, transport="tcp", size=64, clients=1, placement="unpinned",
                 seconds=0.15, extra=(), **others):
    who = f", {clients} {'subscribers' if pattern == 'pub_sub' else 'clients'}" if clients > 1 else ""
    name = f"{mode} {pattern} {transport} {size_name(size)}{who}"
    name += "".join(f" {word}" for word in extra)
    words = ["bench_pattern", mode, pattern, transport, f"size={size}", f"clients={clients}",
             f"seconds={seconds}", *extra]
    times = ("p50_us", "p99_us", "p999_us")
    metrics = [metric for metric in USUAL
               if metric not in (times if mode == "throughput" else ("rate",))]
    return Cell(name, words, placement, metrics, mode=mode, pattern=pattern, transport=transport, size=size,
                clients=clients, **others)


class Series:
    """The runs of one cell over one library."""

    def __init__(self, cell, library):
        self.cell = cell
        self.library = library
        self.runs = []  # for each round a dict of values, or None
        self.failures = []
        self.not_there = False
        self.syscalls = None
        self._in_a_row = 0

    @property
    def given_up(self):
        """Two failures in a row: the rest would only cost two more deadlines each."""
        return self.not_there or self._in_a_row >= 2

    def run_once(self):
        self.runs.append(None if self.given_up else self._attempt())

    def _attempt(self):
        try:
            values = run_cell(self.cell, self.library.environment)
            self._in_a_row = 0
            return values
        except Failed as failure:
            if failure.status == STATUS_NOT_THERE:
                self.not_there = True
            else:
                self.failures.append(str(failure))
                self._in_a_row += 1
            return None

    def count_syscalls(self):
        if any(self.runs):
            try:
                self.syscalls = syscalls_of(self.cell, self.library.environment)
            except Failed as failure:
                self.failures.append(f"counting system calls: {failure}")

    def median(self, metric):
        if self.syscalls and metric in self.syscalls:
            return self.syscalls[metric]
        values = [values[metric] for values in self.runs
                  if values and values.get(metric) is not None]
        return statistics.median(values) if values else None

    def text(self, metric, first=True):
        if self.not_there:
            return NOT_THERE if first else ""
        if not any(self.runs):
            return "FAILED" if self.failures else "not run"
        median = self.median(metric)
        if median is None:
            return "–"
        return number(median) + (f", {len(self.failures)} FAILED" if self.failures else "")

    def report(self):
        return {"runs": self.runs, "failures": self.failures, "not_there": self.not_there,
                "syscalls": self.syscalls}


# --- one run ---

_certificate = None


def certificate_directory():
    """A directory with cert.pem and key.pem, made once."""
    global _certificate
    if _certificate is None:
        _certificate = tempfile.TemporaryDirectory(prefix="bench-")
        try:
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                 "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                 "-keyout", os.path.join(_certificate.name, "key.pem"),
                 "-out", os.path.join(_certificate.name, "cert.pem")],
                check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise Failed(f"openssl makes no certificate: {error}") from None
    return _certificate.name


def command(cell, directory, seconds=None):
    words = [os.path.join(TOOLS, cell.words[0])] + cell.words[1:]
    if seconds is not None:
        words = [word for word in words if not word.startswith("seconds=")]
        words.append(f"seconds={seconds}")
    placed = placements()[PLACEMENTS[cell.placement]]
    if placed[0] is not None:
        words.append("cpus=" + ",".join(str(min(cpus)) for cpus in placed))
    if words[0].endswith("bench_pattern"):
        words.append(f"directory={directory}")
    return words


def in_directory(cell, body):
    """Calls body(directory) with a fresh directory that holds what the cell needs."""
    directory = tempfile.mkdtemp(prefix="bench-")
    try:
        if cell.facts.get("transport") in ("tls", "wss"):
            for name in ("cert.pem", "key.pem"):
                shutil.copy(os.path.join(certificate_directory(), name), directory)
        return body(directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def run_cell(cell, environment):
    def body(directory):
        program = Program(command(cell, directory), environment)
        start, busy = time.monotonic(), machine_cpu_seconds()
        output, cpu_seconds = run([program] * cell.copies, timeout_of(cell))
        busy, elapsed = machine_cpu_seconds() - busy, time.monotonic() - start
        values = values_of(output, cell.copies)
        values["others"] = max(0.0, (busy - cpu_seconds) / elapsed)
        return values
    return in_directory(cell, body)


def timeout_of(cell):
    given = dict(word.split("=", 1) for word in cell.words if "=" in word)
    peers = max(int(given.get(key, 1)) for key in ("clients", "connections"))
    return 10 + 10 * float(given.get("seconds", 0.3)) + peers / 200


def values_of(output, copies=1):
    """The figures of one run, or of several copies at the same time: times are averaged, the rest
    is summed up. CPU is for each message, and for each round trip where there is one."""
    lists = {}
    for key, value in re.findall(r"^(\w+) ([-+.\w]+)$", output, re.M):
        lists.setdefault(key, []).append(float(value))
    if not lists or any(len(values) != copies for values in lists.values()):
        raise Failed(f"not the expected output: {output!r:.200}")
    values = {key: statistics.mean(found) if key in ("p50_us", "p99_us", "p999_us", "mean_us")
              else sum(found) for key, found in lists.items()}
    messages = values.get("messages")
    if messages:
        for side in ("server", "client"):
            if f"{side}_cpu_us" in values:
                values[f"{side}_cpu"] = values[f"{side}_cpu_us"] / messages
                values[f"{side}_switches"] /= messages
        if "server_cpu" in values:
            values["cpu"] = values["server_cpu"] + values.get("client_cpu", 0.0)
    return values


# --- system calls ---

def perf_counts():
    """Whether perf may count system calls here."""
    try:
        return subprocess.run(["perf", "stat", "-e", "raw_syscalls:sys_enter", "true"],
                              capture_output=True, check=False).returncode == 0
    except OSError:
        return False


_counter = None


def syscalls_of(cell, environment):
    """System calls for each message and process: by perf where it may, else by strace, which slows
    the program down so much that it waits more often. Counted twice, for a short and for a long
    time; the difference has no start and no end in it."""
    global _counter
    if _counter is None:
        _counter = _by_perf if perf_counts() else _by_strace
    def body(directory):
        counts = []
        for seconds in (0.1, 0.4):
            file = os.path.join(directory, "counts")
            messages, calls, yields = _counter(command(cell, directory, seconds), environment, file)
            counts.append((messages, calls, yields))
        messages, calls, yields = (late - early for early, late in zip(*counts))
        if messages <= 0:
            raise Failed("no more messages in a longer time")
        processes = 1 if cell.facts.get("transport") == "inproc" else 2
        return {"syscalls": max(0.0, calls) / messages / processes,
                "yields": max(0.0, yields) / messages / processes,
                "syscalls_counted_by": "perf" if _counter is _by_perf else "strace"}
    return in_directory(cell, body)


def _messages(output):
    found = re.search(r"^messages (\S+)$", output, re.M)
    if not found:
        raise Failed(f"no messages: {output!r:.100}")
    return float(found[1])


def _by_perf(argv, environment, file):
    events = ["raw_syscalls:sys_enter", "syscalls:sys_enter_sched_yield"]
    prefix = ["perf", "stat", "-x", ";", "-o", file]
    for event in events:
        prefix += ["-e", event]
    output, _ = run([Program(prefix + argv, environment)], 20)
    with open(file, encoding="utf-8") as lines:
        counts = {fields[2]: float(fields[0]) for fields in
                  (line.split(";") for line in lines) if len(fields) > 2 and fields[0].isdigit()}
    return _messages(output), counts.get(events[0], 0.0), counts.get(events[1], 0.0)


def _by_strace(argv, environment, file):
    output, _ = run([Program(["strace", "-f", "-c", "-o", file] + argv, environment)], 40)
    calls = {}
    with open(file, encoding="utf-8") as lines:
        for line in lines:
            fields = line.split()
            if len(fields) >= 5 and fields[3].isdigit():
                calls[fields[-1]] = float(fields[3])
    calls.pop("total", None)
    return _messages(output), sum(calls.values()), calls.get("sched_yield", 0.0)


# --- what others did meanwhile ---

def others_share(cells):
    """How many CPUs everybody else kept busy, on average over all runs."""
    shares = [values["others"] for cell in cells for series in cell.series.values()
              for values in series.runs if values]
    return statistics.mean(shares) if shares else 0.0


def others_line(cells):
    others = others_share(cells)
    quiet = ": not a quiet machine, expect wide spreads" if others > 0.1 else ""
    return f"other processes used {others:.2f} CPUs while measuring{quiet}"


def failure_lines(cells):
    lines = []
    for cell in cells:
        for name, series in cell.series.items():
            if series.failures:
                left_out = " and the rest left out" if series.given_up else ""
                lines.append(f"  {cell.title}, {name}: {len(series.failures)} failed{left_out}:")
                lines += [f"    {reason}" for reason in dict.fromkeys(series.failures)]
    return lines


def ratio_text(ratios):
    if not ratios:
        return "–"
    return f"{statistics.median(ratios):.2f}× ({min(ratios):.2f}–{max(ratios):.2f})"


def peer_directories(build):
    """Where each library is looked for; None: the system's."""
    return {OURS: os.path.join(build, "lib"), LIBZMQ: None,
            "omq": os.path.join(build, "peers", "omq", "lib"),
            "async-only": os.path.join(build, "peers", "async-only", "lib")}


