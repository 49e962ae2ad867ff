#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Runs pyzmq's own tests over this library.

  pyzmq_suite.py [--library DIRECTORY] [ARGUMENT OF PYTEST...]

pyzmq is built from its source against an installation of this library, with the draft API. The last
line is `N passed, N failed, N skipped`.

Of pyzmq 27.3 these are skipped; each is named with its reason:
 3  steerable proxies, of which pyzmq thinks that they ended with libzmq 4.3.4
 3  over pyczmq, which is of 2013 and for Python 2
 3  that do not fit gevent, from classes that are run with and without it
 2  for the libzmq that pyzmq's wheels bring along
 2  that their authors have not written yet
 1  for Windows
 1  file with mypy, which reads pyzmq's own types and runs nothing
"""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as xml

from environment import PYTHON, SOURCE, WORK, Unavailable, prepare

HERE = os.path.dirname(os.path.abspath(__file__))

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
    """(name, "passed", "failed" or "skipped", why) of each test; names as tests.module.Class::test."""
    for case in xml.parse(report).iter("testcase"):
        children = {child.tag: child for child in case}
        name = f"{case.get('classname')}::{case.get('name')}"
        if "failure" in children or "error" in children:
            yield name, "failed", None
        elif "skipped" in children:
            # Of a file that is skipped as a whole the reason is in the text.
            skipped = children["skipped"]
            whole = re.search(r"Skipped: (.*)['\"]\)", skipped.text or "")
            yield name, "skipped", whole[1] if whole else skipped.get("message")
        else:
            yield name, "passed", None


def judge(name, outcome, why):
    """The outcome, as it counts here."""
    if outcome == "failed" and name in KNOWN:
        outcome, why = "skipped", KNOWN[name]
    if outcome == "passed" and name in KNOWN:
        print(f"{name} passes: no longer KNOWN not to")
    if outcome == "failed":
        print(f"FAILED {name}")
    if outcome == "skipped":
        print(f"skipped: {name}: {why}")
    return outcome


def main():
    arguments = sys.argv[1:]
    environment = dict(os.environ)
    for variable in ("LD_PRELOAD", "LD_LIBRARY_PATH", "PYZMQ_BACKEND"):
        environment.pop(variable, None)
    environment["PYTHONPATH"] = HERE
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
    command = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "pyzmq_plugin"]
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
    for result in outcomes(report):
        counts[judge(*result)] += 1
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
