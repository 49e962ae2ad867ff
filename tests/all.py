#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Runs make targets one after the other and sums up what their test runners counted.

  all.py [--load] TARGET...

--load keeps one core busy meanwhile. A target that fails does not keep the next ones from running.
What failed, and what a runner had to skip for want of a program, is said once more at the end; the
last line is `N passed, N failed, N skipped`.
"""

import os
import re
import subprocess
import sys
import time

CARGO = re.compile(r"test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;")
FAILURE = re.compile(r"(FAILED|SKIPPED) .*|test \S+ \.\.\. FAILED")
OTHERS = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped\s*")


def run(target):
    """(passed, failed, skipped), seconds, failures. The output is passed on as it comes."""
    print(f"==== make {target}", flush=True)
    start = time.monotonic()
    counts, failures = [0, 0, 0], []
    make = subprocess.Popen(
        [os.environ.get("MAKE", "make"), "--no-print-directory", target],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    for line in make.stdout:
        sys.stdout.write(line)
        sys.stdout.flush()
        found = CARGO.match(line) or OTHERS.fullmatch(line)
        if found:
            counts = [total + int(part) for total, part in zip(counts, found.groups())]
        elif FAILURE.match(line):
            failures.append(line.rstrip())
    if make.wait() != 0 and counts[1] == 0:
        # It did not get as far as counting: a program does not compile, a runner crashed.
        counts[1] = 1
        failures.append(f"make {target} ended with status {make.returncode}")
    return counts, time.monotonic() - start, failures


def main():
    targets = [argument for argument in sys.argv[1:] if argument != "--load"]
    load = None
    if len(targets) < len(sys.argv) - 1:
        load = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        rows = [(target, *run(target)) for target in targets]
    finally:
        if load:
            load.kill()
            load.wait()
    print()
    for _, _, _, failures in rows:
        for failure in failures:
            print(failure)
    print(f"{'':16}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}")
    for target, counts, seconds, _ in rows:
        print(f"{target:16}{counts[0]:8}{counts[1]:8}{counts[2]:8}{seconds:9.0f}")
    passed, failed, skipped = (sum(column) for column in zip(*(counts for _, counts, _, _ in rows)))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
