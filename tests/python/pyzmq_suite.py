#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Runs pyzmq's own tests over this library.

  pyzmq_suite.py [--library DIRECTORY] [ARGUMENT OF PYTEST...]

pyzmq is built from its source against an installation of this library, with the draft API. The last
line is `N passed, N failed, N skipped`.
"""

import os
import subprocess
import sys
import xml.etree.ElementTree as xml

from environment import PYTHON, SOURCE, WORK, Unavailable, prepare

# The tests marked large send 2 GiB.
LARGE = 10 << 30
# Of each test, in seconds. They take a second as a rule, and the large ones ten.
TIMEOUT = 120
# Tests that do not pass yet, each with the reason. One that does is to be taken from this list.
KNOWN = {}


def memory():
    with open("/proc/meminfo") as lines:
        (available,) = (int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    return available << 10


def outcomes(report):
    """(name, "passed", "failed" or "skipped") of each test; names as tests.module.Class::test."""
    for case in xml.parse(report).iter("testcase"):
        tags = {child.tag for child in case}
        name = f"{case.get('classname')}::{case.get('name')}"
        if tags & {"failure", "error"}:
            yield name, "failed"
        else:
            yield name, "skipped" if "skipped" in tags else "passed"


def judge(name, outcome):
    """The outcome, as it counts here."""
    if outcome == "failed" and name in KNOWN:
        print(f"skipped: {name}: {KNOWN[name]}")
        return "skipped"
    if outcome == "passed" and name in KNOWN:
        print(f"{name} passes: no longer KNOWN not to")
    if outcome == "failed":
        print(f"FAILED {name}")
    return outcome


def main():
    arguments = sys.argv[1:]
    environment = dict(os.environ)
    for variable in ("LD_PRELOAD", "LD_LIBRARY_PATH"):
        environment.pop(variable, None)
    if arguments[:1] == ["--library"]:
        environment["LD_LIBRARY_PATH"] = os.path.abspath(arguments[1])
        arguments = arguments[2:]
    try:
        prepare()
    except Unavailable as reason:
        print(f"skipped: pyzmq's tests: {reason}\n0 passed, 0 failed, 1 skipped")
        return 0
    report = WORK / "pyzmq-tests.xml"
    report.unlink(missing_ok=True)
    command = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += [f"--timeout={TIMEOUT}", "--durations=3", "--disable-warnings", "-rN"]
    command += [f"--junitxml={report}", *arguments]
    if memory() < LARGE:
        print("skipped: tests that send 2 GiB: there is not enough memory")
        command += ["-m", "not large"]
    status = subprocess.run(command, cwd=SOURCE, env=environment).returncode
    if status not in (0, 1) or not report.exists():
        print(f"FAILED pytest ended with status {status}\n0 passed, 1 failed, 0 skipped")
        return 1
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name, outcome in outcomes(report):
        counts[judge(name, outcome)] += 1
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
