#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Programs compiled against libzmq's own header and library run over this one by LD_PRELOAD.

  preload.py --library ../build/lib

The programs are the interop program of c-tests and the perf tools. A preloaded process talks to one
over libzmq, both ways round. Needs libzmq3-dev. The last line is `N passed, N failed, N skipped`.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from checks import nothing_without, reserved_ports

ROOT = Path(__file__).resolve().parent.parent
SYSTEM_HEADER = Path("/usr/include/zmq.h")
SECONDS = 60
TOOLS = ["which_library", "local_lat", "remote_lat", "inproc_lat", "inproc_thr", "proxy_thr"]
SCENARIOS = ["rep-req", "pub-sub", "push-pull", "router-dealer", "stream"]


class Run:
    """Counts, and tells what went wrong."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, title, good, output=""):
        if good:
            self.passed += 1
            return
        self.failed += 1
        print(f"FAILED {title}\n{output.strip()[-2000:]}", flush=True)


def build(directory):
    """Compiles the programs as a user of libzmq would. The directory of this library is unknown."""
    directory.mkdir(parents=True, exist_ok=True)
    sources = {"interop": ROOT / "c-tests/interop.c"}
    sources.update({tool: ROOT / f"bench/perf/{tool}.c" for tool in TOOLS})
    for name, source in sources.items():
        command = [os.environ.get("CC", "cc"), "-std=gnu11", "-O1", "-pthread", str(source)]
        subprocess.run([*command, "-o", str(directory / name), "-lzmq", "-ldl"], check=True)


def environment(library):
    """With the library preloaded, or with libzmq for None."""
    result = dict(os.environ)
    result.pop("LD_LIBRARY_PATH", None)
    result.pop("LD_PRELOAD", None)
    if library:
        result["LD_PRELOAD"] = str(library)
    return result


def run(command, library):
    done = subprocess.run(
        [str(part) for part in command],
        env=environment(library),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )
    return done.returncode == 0, done.stdout


def start(command, library):
    return subprocess.Popen(
        [str(part) for part in command],
        env=environment(library),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(*processes):
    """Whether all of them ended well, and what they said."""
    good, said = True, ""
    for process in processes:
        try:
            said += process.communicate(timeout=SECONDS)[0]
        except subprocess.TimeoutExpired:
            process.kill()
            said += process.communicate()[0] + "no end\n"
        good = good and process.returncode == 0
    return good, said


def interop(programs, binder, connecter, name):
    program = programs / "interop"
    first = start([program, "bind", name], binder)
    endpoints = first.stdout.readline().strip()
    second = start([program, "connect", name, endpoints], connecter)
    return finish(second, first)


def latency(programs, binder, connecter, port):
    local = start([programs / "local_lat", f"tcp://127.0.0.1:{port}", "64", "2000"], binder)
    remote = start([programs / "remote_lat", f"tcp://127.0.0.1:{port}", "64", "2000"], connecter)
    good, said = finish(remote, local)
    return good and "average latency" in said, said


def test_all(programs, library):
    result = Run()
    for preloaded in (library, None):
        good, said = run([programs / "which_library"], preloaded)
        ours = f"library: {library}" in said or f"library: {library.resolve()}" in said
        title = "preloaded" if preloaded else "not preloaded"
        result.check(f"the library that is found, {title}", good and ours == bool(preloaded), said)
    for binder, connecter in [(library, None), (None, library), (library, library)]:
        title = f"binder {'preloaded' if binder else 'over libzmq'}, "
        title += f"connecter {'preloaded' if connecter else 'over libzmq'}"
        for scenario in SCENARIOS:
            for variant in ["tcp"] if scenario == "stream" else ["tcp", "ipc"]:
                name = f"{scenario}/{variant}"
                result.check(f"{name}: {title}", *interop(programs, binder, connecter, name))
        with reserved_ports(1) as (port,):
            result.check(f"local_lat: {title}", *latency(programs, binder, connecter, port))
    for tool, arguments in [
        ("inproc_lat", ["64", "2000"]),
        ("inproc_thr", ["64", "100000"]),
        ("proxy_thr", ["64", "20000"]),
    ]:
        result.check(f"{tool} preloaded", *run([programs / tool, *arguments], library))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", type=Path, default=ROOT / "build/lib", metavar="DIRECTORY")
    parser.add_argument("--build", type=Path, default=ROOT / "build/preload")
    arguments = parser.parse_args()
    if not SYSTEM_HEADER.exists():
        return nothing_without(["libzmq3-dev"], "programs made for libzmq")
    build(arguments.build)
    result = test_all(arguments.build, (arguments.library / "libzmq.so.5").absolute())
    print(f"{result.passed} passed, {result.failed} failed, 0 skipped")
    return 1 if result.failed else 0


if __name__ == "__main__":
    sys.exit(main())
