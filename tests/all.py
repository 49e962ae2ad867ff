#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Runs make targets one after the other and sums up what their test runners counted.

  all.py [--load] TARGET... [--beside TARGET...]

Those behind --beside begin when the first of the others has ended, and run beside the rest, at low
priority: they compute, where most tests wait. --load keeps one core busy meanwhile. A target that
fails does not keep the next ones from running.
What failed and what was skipped, and why, is said once more at the end; the last line is
`N passed, N failed, N skipped`.

A runner says `SKIPPED what: why`, and `not installed` in it only of what .ci/install-packages
installs. With CI=true in the environment that is a failure.
"""

import concurrent.futures
import io
import os
import re
import subprocess
import sys
import time

CARGO = re.compile(r"test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;")
FAILURE = re.compile(r"FAILED .*|test \S+ \.\.\. FAILED")
SKIP = re.compile(r"(?:SKIPPED|skipped:) +(.*)|test (\S+ \.\.\. ignored.*)")
NOT_INSTALLED = re.compile(r"\bnot installed\b")
OTHERS = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped\s*")


def run(target, command=(), out=sys.stdout):
    """(passed, failed, skipped), seconds, seconds of CPU time, what to say at the end. The output
    is passed on as it comes. `command` is what make is run by."""
    print(f"==== make {target}", file=out, flush=True)
    start = time.monotonic()
    # Lines, each once and in their order.
    counts, failures, skips = [0, 0, 0], {}, {}
    make = subprocess.Popen(
        [*command, os.environ.get("MAKE", "make"), "--no-print-directory", target],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    for line in make.stdout:
        out.write(line)
        out.flush()
        found = CARGO.match(line) or OTHERS.fullmatch(line)
        if found:
            counts = [total + int(part) for total, part in zip(counts, found.groups())]
        elif FAILURE.match(line):
            failures[line.rstrip()] = None
        elif SKIP.match(line):
            skips[f"SKIPPED {' '.join(filter(None, SKIP.match(line).groups()))}"] = None
    if counts[2] and not skips:
        skips[f"SKIPPED {counts[2]}: its output does not say why"] = None
    # Not make.wait(), which does not tell what it took.
    _, status, took = os.wait4(make.pid, 0)
    make.returncode = os.waitstatus_to_exitcode(status)
    if make.returncode != 0 and counts[1] == 0:
        # It did not get as far as counting: a program does not compile, a runner crashed.
        counts[1] = 1
        failures[f"FAILED: make ended with status {make.returncode}"] = None
    if os.environ.get("CI") == "true":
        for skip in filter(NOT_INSTALLED.search, list(skips)):
            counts[1] += 1
            failures[f"FAILED, as this is CI: {skip}"] = skips.pop(skip)
    cpu_seconds = took.ru_utime + took.ru_stime
    return counts, time.monotonic() - start, cpu_seconds, [*skips, *failures]


def run_beside(targets):
    """What `run` says of each, and all they have printed."""
    printed = io.StringIO()
    return [(target, *run(target, ("nice", "-n", "19"), printed)) for target in targets], printed


def main():
    targets = [argument for argument in sys.argv[1:] if argument != "--load"]
    beside = []
    if "--beside" in targets:
        place = targets.index("--beside")
        targets, beside = targets[:place], targets[place + 1 :]
    load = None
    if "--load" in sys.argv:
        load = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    start = time.monotonic()
    try:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            rows = [(target, *run(target)) for target in targets[:1]]
            others = pool.submit(run_beside, beside)
            rows += [(target, *run(target)) for target in targets[1:]]
            other_rows, printed = others.result()
        sys.stdout.write(printed.getvalue())
        rows += other_rows
    finally:
        if load:
            load.kill()
            load.wait()
    print()
    for target, *_, lines in rows:
        for line in lines:
            print(f"{target}: {line}")
    print(f"{'':16}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}{'of CPU':>8}")
    for target, counts, seconds, cpu_seconds, _ in rows:
        print(f"{target:16}{counts[0]:8}{counts[1]:8}{counts[2]:8}{seconds:9.0f}{cpu_seconds:8.0f}")
    cpu_seconds = sum(row[3] for row in rows)
    print(f"{'all of them':16}{time.monotonic() - start:33.0f}{cpu_seconds:8.0f}")
    passed, failed, skipped = (sum(column) for column in zip(*(row[1] for row in rows)))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
