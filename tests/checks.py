# SPDX-License-Identifier: MPL-2.0
"""What the test runners in Python share: counting, and running programs."""

import contextlib
import os
import socket
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 120


class Checks:
    """Counts, and tells what went wrong and what was skipped."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def check(self, title, good, output=""):
        if good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {title}\n{str(output).strip()[-4000:]}", flush=True)
        return good

    def skip(self, title, reason):
        """What .ci/install-packages would have installed is "not installed"; see tests/all.py."""
        self.skipped += 1
        print(f"SKIPPED {title}: {reason}", flush=True)

    def runs(self, title, command, expected=None, **keywords):
        """Whether the command ends well and, if that is asked, says what is expected."""
        good, said = run(command, **keywords)
        return self.check(title, good and (expected is None or expected in said), said)

    def finish(self):
        """Prints the line that tests/all.py reads; gives the exit status."""
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped")
        return 1 if self.failed else 0


def nothing_without(packages, title):
    """Says what a runner cannot do at all without these packages; gives the exit status."""
    checks = Checks()
    checks.skip(title, f"{', '.join(packages)} not installed")
    return checks.finish()


@contextlib.contextmanager
def reserved_ports(count):
    """Ports of 127.0.0.1 for programs that cannot choose their own and tell.

    They stay bound without listening, so the system gives them to nobody else; a program that sets
    SO_REUSEADDR, as nearly all do, can listen on its port nevertheless.
    """
    with contextlib.ExitStack() as sockets:
        ports = []
        for _ in range(count):
            holder = sockets.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", 0))
            ports.append(holder.getsockname()[1])
        yield ports


def run(command, environment=None, seconds=SECONDS, **keywords):
    """(whether it ended well, its output and errors). None in the environment unsets a name."""
    full = {**os.environ, **(environment or {})}
    try:
        done = subprocess.run(
            [str(part) for part in command],
            env={name: str(value) for name, value in full.items() if value is not None},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=seconds,
            **keywords,
        )
    except subprocess.TimeoutExpired as expired:
        said = (expired.stdout or b"").decode(errors="replace")
        return False, f"{said}\nno end after {seconds} s: {command}"
    except OSError as error:
        return False, str(error)
    return done.returncode == 0, done.stdout


def output(command, **keywords):
    """What a command says that must not fail."""
    good, said = run(command, **keywords)
    if not good:
        raise RuntimeError(f"{command}: {said}")
    return said.strip()


def make(*arguments):
    """`make` at the root of the source, not as a part of the make that runs the tests."""
    return run(
        [os.environ.get("MAKE", "make"), "--no-print-directory", *arguments],
        environment={"MAKEFLAGS": None, "MAKELEVEL": None, "MFLAGS": None, "DESTDIR": None},
        cwd=ROOT,
        seconds=600,
    )
