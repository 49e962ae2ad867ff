# SPDX-License-Identifier: MPL-2.0
"""What became of single tests over the library that is built: build/results/PROGRAM.json.

c-tests/run.py writes them, and runners in Python do. An outcome is "passed", "failed" or
"skipped: why"; a test with parameters has one for each, as NAME/PARAMETER.
"""

import json

from checks import ROOT

RESULTS = ROOT / "build/results"
LIBRARY = ROOT / "build/lib/libzmq.so.5"
NOT_RUN = "skipped: they have not run over this library"


def write(program, outcomes):
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{program}.json").write_text(json.dumps(outcomes, indent=1) + "\n")


def read():
    """{"program: test": outcomes}, of programs that have run since the library was built."""
    found = {}
    built = LIBRARY.stat().st_mtime if LIBRARY.exists() else 0
    for path in RESULTS.glob("*.json"):
        if path.stat().st_mtime > built:
            for name, outcome in json.loads(path.read_text()).items():
                found.setdefault(f"{path.stem}: {name.partition('/')[0]}", []).append(outcome)
    return found


def excuse(tests, outcomes):
    """None if one of the tests has passed; why none has, if that is for want of something; else ""."""
    all_outcomes = [outcome for test in tests for outcome in outcomes.get(test, [NOT_RUN])]
    if "passed" in all_outcomes:
        return None
    if "failed" in all_outcomes:
        return ""
    wanting = [outcome for outcome in all_outcomes if outcome == NOT_RUN or "not installed" in outcome]
    return next((outcome.removeprefix("skipped: ") for outcome in wanting), "")
