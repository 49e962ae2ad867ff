#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Programs and bindings made for libzmq run over this library as they are.

  programs.py --library ../build/lib

An asyncio server and its clients; a Jupyter kernel, with CURVE, too; condure, a web server that
passes requests on; PHP, Perl, Ruby and Node.js. Where two processes talk, one may have libzmq: all
but both. Those of Debian are found if they are installed; the kernel comes by pip, the binding of
Node.js by npm. The last line is `N passed, N failed, N skipped`.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from bindings import node
from checks import ROOT, Checks, reserved_ports, run

HERE = Path(__file__).resolve().parent
SYSTEM_PYTHON = "/usr/bin/python3"
SECONDS = 90
# The file that every build/lib/libzmq.so.5 leads to.
OURS = str((ROOT / "build/lib/libzmq.so.5").resolve())
BINDINGS = {
    "php": (["php", HERE / "bindings/session.php"], ["php", "-r", "exit(class_exists('ZMQ') ? 0 : 1);"]),
    "perl": (["perl", HERE / "bindings/session.pl"], ["perl", "-MZMQ::FFI", "-e", "1"]),
    "ruby": (["ruby", HERE / "bindings/session.rb"], ["ruby", "-rffi-rzmq", "-e", ""]),
}


def with_library(directory):
    """The environment of a process over this library, or over libzmq for None."""
    return {"LD_LIBRARY_PATH": directory, "LD_PRELOAD": None}


class Process:
    def __init__(self, command, directory, **keywords):
        environment = {**os.environ, **with_library(directory)}
        self.process = subprocess.Popen(
            [str(part) for part in command],
            env={name: str(value) for name, value in environment.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **keywords,
        )

    def finish(self):
        """(whether it ended well, what it said)"""
        try:
            said, _ = self.process.communicate(timeout=SECONDS)
            return self.process.returncode == 0, said
        except subprocess.TimeoutExpired:
            self.process.kill()
            return False, self.process.communicate()[0] + "\nno end"


def libraries(directory):
    """(title, library of the first process, library of the second)"""
    return [("ours, ours", directory, directory), ("ours, libzmq", directory, None),
            ("libzmq, ours", None, directory)]


def has_library(said, directory):
    """Whether a process that says which library it has has the right one."""
    lines = [line for line in said.splitlines() if "/libzmq" in line]
    return len(lines) == 1 and (OURS in lines[0]) == (directory is not None)


def both(checks, title, first, second):
    """Checks two processes, each with the library that it should have."""
    processes = [(Process(*first), first[1]), (Process(*second), second[1])]
    results = [(*process.finish(), directory) for process, directory in processes]
    good = all(good and has_library(said, directory) for good, said, directory in results)
    checks.check(title, good, "\n".join(said for _, said, _ in results))


def test_asyncio(checks, directory):
    if not run([SYSTEM_PYTHON, "-c", "import zmq"])[0]:
        return checks.skip("asyncio server", "python3-zmq is not installed")
    for transport in ("tcp", "ipc"):
        for title, server, clients in libraries(directory):
            with tempfile.TemporaryDirectory() as place:
                command = [SYSTEM_PYTHON, HERE / "python/asyncio_server.py"]
                both(
                    checks,
                    f"asyncio server over {transport}: {title}",
                    ([*command, "server", place, transport], server),
                    ([*command, "clients", place, transport], clients),
                )


def bindings(checks, directory):
    """The command of each that is there."""
    there = {}
    for name, (command, probe) in BINDINGS.items():
        good, _ = run(probe)
        if good:
            there[name] = command
        else:
            checks.skip(f"{name}'s binding", "is not installed")
    try:
        node.prepare(directory)
        there["node"] = ["env", f"NODE_PATH={node.MODULES}", "node", HERE / "bindings/session.js"]
    except node.Unavailable as reason:
        checks.skip("node's binding", reason)
    return there


def test_bindings(checks, directory):
    there = bindings(checks, directory)
    for binder, bind in there.items():
        for connecter, connect in there.items():
            for title, first, second in libraries(directory):
                with tempfile.TemporaryDirectory() as place:
                    endpoints = [f"ipc://{place}/requests", f"ipc://{place}/news"]
                    both(
                        checks,
                        f"{binder} binds, {connecter} connects: {title}",
                        ([*bind, "bind", *endpoints], first),
                        ([*connect, "connect", *endpoints], second),
                    )


def get(url, body=None):
    with urllib.request.urlopen(url, body, timeout=SECONDS) as response:
        return response.read()


def web_session(port):
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            first = get(f"{url}/first")
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
    bodies = [get(f"{url}/{number}", b"x" * number) for number in range(0, 20_000, 500)]
    wanted = [f"{url}/{number} ".encode() + b"x" * number for number in range(0, 20_000, 500)]
    return first == f"{url}/first ".encode() and bodies == wanted


def test_condure(checks, directory):
    """HTTP requests become messages to a handler, its replies HTTP responses."""
    if not shutil.which("condure") or not run([SYSTEM_PYTHON, "-c", "import zmq"])[0]:
        return checks.skip("condure", "it or python3-zmq is not installed")
    for title, server, handler in libraries(directory):
        with tempfile.TemporaryDirectory() as place, reserved_ports(1) as (port,):
            endpoint = f"ipc://{place}/requests"
            command = ["condure", "--listen", f"127.0.0.1:{port},req", "--zclient-req", endpoint]
            processes = [
                Process(command, server),
                Process([SYSTEM_PYTHON, HERE / "python/zhttp_handler.py", endpoint], handler),
            ]
            try:
                good, said = web_session(port), ""
            except OSError as error:
                good, said = False, str(error)
            maps = Path(f"/proc/{processes[0].process.pid}/maps")
            good = good and (OURS in maps.read_text()) == bool(server)
            for process in processes:
                process.process.send_signal(signal.SIGTERM)
            ends = [process.finish() for process in processes]
            said += "\n".join(said for _, said in ends)
            checks.check(f"condure: {title}", good and ends[0][0] and has_library(ends[1][1], handler), said)


def test_jupyter(checks):
    sys.path.insert(0, str(HERE / "python"))
    import environment

    try:
        environment.prepare()
    except environment.Unavailable as reason:
        return checks.skip("Jupyter kernel", reason)
    for how in ("tcp", "ipc", "curve"):
        good, said = run(
            [environment.PYTHON, HERE / "python/jupyter.py", how],
            environment=with_library(None),
            seconds=SECONDS,
        )
        installed = f"{environment.PREFIX}/lib/libzmq.so.5"
        good = good and f"client: {installed}" in said and f"kernel: {installed}" in said
        checks.check(f"Jupyter kernel: {how}", good, said)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", type=Path, default=ROOT / "build/lib", metavar="DIRECTORY")
    directory = parser.parse_args().library.absolute()
    checks = Checks()
    test_asyncio(checks, directory)
    test_bindings(checks, directory)
    test_condure(checks, directory)
    test_jupyter(checks)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
