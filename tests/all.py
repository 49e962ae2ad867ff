#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Runs make targets one after the other and sums up what their test runners counted.

  all.py [--load] TARGET...

--load keeps one core busy meanwhile. A target that fails does not keep the next ones from running.
What failed and what was skipped, and why, is said once more at the end; the last line is
`N passed, N failed, N skipped`.

A runner says `SKIPPED what: why`, and `not installed` in it only of what .ci/install-packages
installs. With CI=true in the environment that is a failure.
"""

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


def run(target):
    """(passed, failed, skipped), seconds, what to say at the end. The output is passed on as it
    comes."""
    print(f"==== make {target}", flush=True)
    start = time.monotonic()
    # Lines, each once and in their order.
    counts, failures, skips = [0, 0, 0], {}, {}
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
            failures[line.rstrip()] = None
        elif SKIP.match(line):
            skips[f"SKIPPED {' '.join(filter(None, SKIP.match(line).groups()))}"] = None
    if counts[2] and not skips:
        skips[f"SKIPPED {counts[2]}: its output does not say why"] = None
    if make.wait() != 0 and counts[1] == 0:
        # It did not get as far as counting: a program does not compile, a runner crashed.
        counts[1] = 1
        failures[f"FAILED: make ended with status {make.returncode}"] = None
    if os.environ.get("CI") == "true":
        for skip in filter(NOT_INSTALLED.search, list(skips)):
            counts[1] += 1
            failures[f"FAILED, as this is CI: {skip}"] = skips.pop(skip)
    return counts, time.monotonic() - start, [*skips, *failures]


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
    for target, _, _, lines in rows:
        for line in lines:
            print(f"{target}: {line}")
    print(f"{'':16}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}")
    for target, counts, seconds, _ in rows:
        print(f"{target:16}{counts[0]:8}{counts[1]:8}{counts[2]:8}{seconds:9.0f}")
    passed, failed, skipped = (sum(column) for column in zip(*(counts for _, counts, _, _ in rows)))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
