#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Runs the C test programs over one or more libraries and sums up.

  run.py --lib ours=../build/lib --lib system=

A library named "system", or "libzmq...", is the reference: tests tagged OURS_ONLY are skipped on
it. Their list, and the tests of libzmq's behaviour that ours leaves on purpose, stand in
differences.md. What was skipped is said at the end, once for each reason; the last line is
`N passed, N failed, N skipped` over everything.
"""

import argparse
import collections
import concurrent.futures
import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import network

HERE = Path(__file__).resolve().parent
LEDGER = HERE / "differences.md"
BEGIN, END = "<!-- generated: make ledger -->", "<!-- end -->"
# No program needs as long; the tests inside have their own limits.
PROGRAM_SECONDS = 1800


class Library:
    def __init__(self, text):
        self.name, _, directory = text.partition("=")
        self.directory = str(Path(directory).resolve()) if directory else ""
        self.is_reference = self.name == "system" or self.name.startswith("libzmq")

    def environment(self):
        environment = dict(os.environ)
        environment.pop("LD_PRELOAD", None)
        if self.directory:
            environment["LD_LIBRARY_PATH"] = self.directory
        else:
            environment.pop("LD_LIBRARY_PATH", None)
        return environment

    def missing(self):
        return self.directory and not (Path(self.directory) / "libzmq.so.5").exists()


class Counts:
    def __init__(self):
        self.passed = self.failed = 0
        self.skips = collections.Counter()

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skips += other.skips

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skips.total()} skipped"


# ---- the ledger ---------------------------------------------------------------------------------


def ours_only(programs):
    """(program, test, reason) of every test tagged OURS_ONLY, parameters left out."""
    rows = {}
    for program in programs:
        listing = subprocess.run(
            [program, "--list"], capture_output=True, text=True, check=True
        ).stdout
        for line in listing.splitlines():
            name, _, reason = line.partition("\t")
            if reason:
                rows[(program.name, name.split("/")[0])] = reason
    return [(program, test, reason) for (program, test), reason in rows.items()]


def generated_part(programs):
    lines = ["| test | why not on libzmq |", "|---|---|"]
    lines += [f"| {p}: {t} | {r} |" for p, t, r in ours_only(programs)]
    return "\n".join(lines)


def split_ledger():
    text = LEDGER.read_text()
    before, _, rest = text.partition(BEGIN)
    inside, _, after = rest.partition(END)
    return before, inside.strip("\n"), after


def write_ledger(programs):
    before, _, after = split_ledger()
    LEDGER.write_text(f"{before}{BEGIN}\n{generated_part(programs)}\n{END}{after}")


def accepted_differences():
    """Rows `| library | program: test | reason |`: tests that must not pass on that library."""
    rows = {}
    for line in LEDGER.read_text().splitlines():
        match = re.fullmatch(r"\| *(\w+) *\| *(\w+): *([\w/.]+) *\| *(.+?) *\|", line)
        if match:
            rows[(match[1], match[2], match[3])] = match[4]
    return rows


# ---- running ------------------------------------------------------------------------------------


def run_program(library, program, arguments):
    command = [program]
    if library.is_reference:
        command.append("--reference")
    if arguments.filter:
        command += ["--filter", arguments.filter]
    arguments.enter_network()
    try:
        done = subprocess.run(
            command,
            env=library.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PROGRAM_SECONDS,
        )
        return done.stdout, done.returncode
    except subprocess.TimeoutExpired as late:
        output = late.stdout or b""
        text = output if isinstance(output, str) else output.decode(errors="replace")
        return text, None


def judge(library, program, output, status, accepted, report, outcomes):
    """Counts the results of one program, writes down each one, and reports what failed."""
    counts = Counts()
    loaded = re.search(r"^# library (\S+)", output, re.M)
    if library.directory and loaded and not loaded[1].startswith(library.directory):
        report(f"{library.name}: {program.name} loaded {loaded[1]}")
        counts.failed += 1
        return counts
    diagnostics = []
    for line in output.splitlines():
        result = re.match(r"(not ok|ok) \d+ - (\S+)(.*)", line)
        if not result:
            if not line.startswith("# library"):
                diagnostics.append(line)
            continue
        difference = accepted.get((library.name, program.name, result[2]))
        # Why a test is not for libzmq stands in the ledger, test by test.
        skipped = re.match(r" # SKIP (not for libzmq|.*)", result[3])
        outcome = "failed"
        if skipped:
            outcome = f"skipped: {skipped[1]}"
            counts.skips[f"over {library.name}: {skipped[1]}"] += 1
        elif result[1] == "ok" and not difference:
            outcome = "passed"
            counts.passed += 1
        elif result[1] == "ok":
            report(f"FAILED {library.name}: {program.name}: {result[2]} passes, but is in the ledger")
            counts.failed += 1
        elif difference:
            outcome = "skipped: in the ledger"
            counts.skips[f"over {library.name}: it fails there, and is in the ledger"] += 1
        else:
            report(f"FAILED {library.name}: {program.name}: {result[2]}{result[3]}")
            for text in diagnostics[-12:]:
                report(f"    {text}")
            counts.failed += 1
        # Of several runs, the worst.
        if outcomes.get(result[2]) != "failed":
            outcomes[result[2]] = outcome
        diagnostics = []
    if not re.search(r"^\d+ passed, \d+ failed, \d+ skipped$", output, re.M):
        report(f"FAILED {library.name}: {program.name} did not come to its end (status {status})")
        counts.failed += 1
    return counts


def run_library(library, programs, arguments, report):
    total = Counts()
    outcomes = {program.name: {} for program in programs}
    if library.missing():
        report(f"FAILED {library.name}: no libzmq.so.5 in {library.directory}")
        total.failed += 1
        return total
    accepted = accepted_differences()
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = [
            (program, pool.submit(run_program, library, program, arguments))
            for _ in range(arguments.repeat)
            for program in programs
        ]
        for program, job in jobs:
            output, status = job.result()
            written = outcomes[program.name]
            counts = judge(library, program, output, status, accepted, report, written)
            if arguments.verbose:
                print(output, end="")
            print(f"{library.name:12} {program.name:28} {counts}", flush=True)
            total.add(counts)
    if not library.is_reference:
        write_results(outcomes, arguments)
    return total


def write_results(outcomes, arguments):
    """{test: outcome} over our library, of each program that ran as a whole, for tests/results.py."""
    if not arguments.results or arguments.filter:
        return
    arguments.results.mkdir(parents=True, exist_ok=True)
    for program, of_program in outcomes.items():
        (arguments.results / f"{program}.json").write_text(json.dumps(of_program, indent=1) + "\n")


def run_interop(libraries, arguments, report):
    """Every scenario of the interop program, one process over each library, both ways round."""
    program = arguments.build / "interop"
    total = Counts()

    def scenarios(library):
        """What this library can take part in."""
        listed = subprocess.run(
            [program, "list"],
            env=library.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        return [name for name in listed.stdout.split() if (arguments.filter or "") in name]

    able = {library.name: scenarios(library) for library in libraries}
    # Of our library with another.
    outcomes = {}

    def run_pair(binder, connecter, name):
        arguments.enter_network()
        first = subprocess.Popen(
            [program, "bind", name],
            env=binder.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.PIPE,
            text=True,
        )
        endpoint = first.stdout.readline().strip()
        second = subprocess.Popen(
            [program, "connect", name, endpoint],
            env=connecter.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        outputs = []
        for side in (second, first):
            try:
                outputs.append(side.communicate(timeout=120)[0])
            except subprocess.TimeoutExpired:
                side.kill()
                outputs.append("no end within 120 s\n" + (side.communicate()[0] or ""))
        return first.returncode == 0 and second.returncode == 0, endpoint, outputs

    for binder, connecter in itertools.product(libraries, repeat=2):
        counts = Counts()
        names = [name for name in able[binder.name] if name in able[connecter.name]]
        title = f"{binder.name} binds, {connecter.name} connects"
        alone = set(able[binder.name]) ^ set(able[connecter.name])
        counts.skips[f"{title}: only one of them can do it"] += len(alone)
        if binder.is_reference and connecter.is_reference:
            lost = [n for n in names if n.endswith("/ws-curve") and re.search("pub|sub", n)]
            names = [name for name in names if name not in lost]
            counts.skips[f"{title}: publishers there do not see their subscriptions"] += len(lost)
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            jobs = [
                (name, pool.submit(run_pair, binder, connecter, name))
                for _ in range(arguments.repeat)
                for name in names
            ]
            for name, job in jobs:
                good, endpoint, outputs = job.result()
                if binder.is_reference != connecter.is_reference and outcomes.get(name) != "failed":
                    outcomes[name] = "passed" if good else "failed"
                if good:
                    counts.passed += 1
                    continue
                counts.failed += 1
                report(f"FAILED {title}: {name} {endpoint}")
                for side, output in zip(("connect", "bind"), outputs):
                    for text in output.splitlines()[-6:]:
                        report(f"    {side}: {text}")
        print(f"{title}: {counts}", flush=True)
        total.add(counts)
    write_results({"interop": outcomes}, arguments)
    return total


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=HERE / "build")
    parser.add_argument("--lib", action="append", default=[], metavar="NAME=DIRECTORY")
    parser.add_argument("--program", action="append", help="only these (test_context, ...)")
    parser.add_argument("--filter", help="only tests whose name contains this")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--jobs", type=int, help="how many programs at a time")
    parser.add_argument("--load", action="store_true", help="keep a core busy meanwhile")
    parser.add_argument("--interop", action="store_true", help="run interop instead of the tests")
    parser.add_argument("--results", type=Path, help="where to write what passed over our library")
    parser.add_argument("--write-ledger", action="store_true")
    parser.add_argument("--no-ledger", action="store_true", help="not all programs were built")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    arguments.build = arguments.build.resolve()

    programs = sorted(
        path for path in arguments.build.glob("test_*") if path.suffix == "" and path.is_file()
    )
    if arguments.write_ledger:
        write_ledger(programs)
        return 0
    libraries = [Library(text) for text in arguments.lib or ["system="]]
    refused = network.why_not()
    if refused:
        print(f"all programs share one network: {refused}")
        arguments.enter_network = lambda: None
    else:
        network.become_able()
        arguments.enter_network = network.enter_own
    if not arguments.jobs:
        # Tests wait most of the time; but where they share a network, they get into each other's way.
        arguments.jobs = 2 if refused else 2 * len(os.sched_getaffinity(0))
    reports, total = [], Counts()
    load = None
    if arguments.load:
        load = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        if arguments.interop:
            total.add(run_interop(libraries, arguments, reports.append))
        else:
            if not arguments.no_ledger and split_ledger()[1] != generated_part(programs):
                reports.append("FAILED differences.md is out of date: make ledger")
                total.failed += 1
            if arguments.program:
                programs = [path for path in programs if path.name in arguments.program]
            for library in libraries:
                counts = run_library(library, programs, arguments, reports.append)
                print(f"{library.name}: {counts}")
                total.add(counts)
    finally:
        if load:
            load.kill()
            load.wait()
    for line in reports:
        print(line)
    for reason, number in total.skips.most_common():
        print(f"SKIPPED {number} {reason}")
    print(total)
    return 0 if total.failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
