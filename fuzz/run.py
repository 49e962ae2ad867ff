#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Runs fuzz targets, several at a time, for some seconds each.

  run.py --binaries DIRECTORY [--seconds N] [--jobs N] [--seed N] [--merge] [--new DIRECTORY]
         [TARGET...]

Each begins with its inputs in corpus/ and keeps new ones in a directory of their own, which is
temporary unless --new names it. What it finds is left in artifacts/TARGET, to be run again with the
binary and the file's name. --seed begins as in every other run with that number. --merge fuzzes nothing: it makes corpus/ anew, of all inputs there are,
as small as it can be and reach as much.

A target that ends by a finding, or does not end, has failed; the last line is
`N passed, N failed, N skipped`.
"""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# One input takes a few milliseconds at most, and a few megabytes.
LIMITS = ["-timeout=20", "-rss_limit_mb=512", "-max_len=8192", "-len_control=50"]


def targets():
    return sorted(path.stem for path in (HERE / "fuzz_targets").glob("*.rs"))


def run(target, arguments, new):
    """(passed, output)"""
    artifacts = HERE / "artifacts" / target
    corpus = HERE / "corpus" / target
    fresh = new / target
    for directory in (artifacts, corpus, fresh):
        directory.mkdir(parents=True, exist_ok=True)
    command = [arguments.binaries / target, *LIMITS, f"-artifact_prefix={artifacts}/"]
    if arguments.merge:
        merged = pathlib.Path(tempfile.mkdtemp(prefix="merged-", dir=new))
        command += ["-set_cover_merge=1", merged, fresh, corpus]
    else:
        command += [f"-max_total_time={arguments.seconds}", f"-seed={arguments.seed}", fresh, corpus]
    # A scratch directory, should a target ever leave something where it runs.
    with tempfile.TemporaryDirectory() as scratch:
        process = subprocess.run(
            command,
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    if arguments.merge and process.returncode == 0:
        shutil.rmtree(corpus)
        shutil.move(merged, corpus)
    return process.returncode == 0, process.stdout


def summary(output):
    """How many inputs, how much was reached."""
    done = re.findall(r"^#(\d+)\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\d+).*", output, re.M)
    if not done:
        return ""
    count, cover, features, inputs = done[-1]
    return f"{count} runs, {cover} edges, {features} features, {inputs} inputs"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binaries", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--seed", type=int, default=0, help="0: another one every time")
    parser.add_argument("--merge", action="store_true")
    parser.add_argument("--new", type=pathlib.Path)
    parser.add_argument("targets", nargs="*", default=[], metavar="TARGET")
    arguments = parser.parse_args()
    arguments.binaries = arguments.binaries.resolve()
    names = arguments.targets or targets()
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        new = (arguments.new or pathlib.Path(temporary)).resolve()
        new.mkdir(parents=True, exist_ok=True)
        with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
            runs = {pool.submit(run, name, arguments, new): name for name in names}
            for future in concurrent.futures.as_completed(runs):
                passed, output = future.result()
                if passed:
                    print(f"ok      {runs[future]}: {summary(output)}", flush=True)
                else:
                    failed += 1
                    # The finding stands at the end, behind the progress.
                    lines = [line for line in output.splitlines() if not line.startswith("#")]
                    print("\n".join(lines[-60:]))
                    print(f"FAILED  {runs[future]}", flush=True)
    print(f"{len(names) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
