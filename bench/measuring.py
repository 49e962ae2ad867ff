# SPDX-License-Identifier: MPL-2.0
"""Runs benchmark programs: placed on cores, under a deadline, with their CPU time.

A run is one program or two that talk to each other. Whatever goes wrong in it (exit status, signal,
deadline, unreadable output) is a `Failed` with a reason; a failed run never yields a figure.
"""

import os
import queue
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time


HERE = os.path.dirname(os.path.abspath(__file__))
TOOLS = os.path.join(HERE, "build")

OURS, LIBZMQ = "ours", "libzmq"


class Failed(Exception):
    """A run that gave no figure, and why. `status`: how the program ended, if it did."""

    def __init__(self, reason, status=None):
        super().__init__(reason)
        self.status = status


class Program:
    """One program of a run. `endpoint` is what it listens on, if it does."""

    def __init__(self, argv, environment=None, cpus=None, endpoint=None):
        self.argv = [str(word) for word in argv]
        self.environment = environment
        self.cpus = cpus
        self.endpoint = endpoint


class Library:
    """A library under measurement, as the loader finds it in `directory` (None: the system's)."""

    def __init__(self, name, directory):
        self.name = name
        self.environment = environment_for(directory)
        output, _ = run([Program([os.path.join(TOOLS, "which_library")], self.environment)], 5)
        self.path = re.search(r"^library: (.*)$", output, re.M)[1]
        self.version = re.search(r"^version: (.*)$", output, re.M)[1]
        if directory is not None and (
                os.path.realpath(os.path.dirname(self.path)) != os.path.realpath(directory)):
            raise Failed(f"the loader takes {self.path}, not the library in {directory}")


def load_libraries(wanted):
    """(libraries, reasons why others are missing) of (name, directory) pairs. The first one has to
    be there: without it this raises Failed."""
    libraries, missing = [], {}
    for name, directory in wanted:
        try:
            library = Library(name, directory)
            if libraries and os.path.samefile(library.path, libraries[0].path):
                raise Failed(f"the same file as {libraries[0].name}")
            libraries.append(library)
        except Failed as failure:
            if not libraries:
                raise
            missing[name] = str(failure)
    return libraries, missing


def number(value):
    """A figure as it is printed."""
    if value >= 1e6:
        return f"{value / 1e6:.2f} M"
    if value >= 1e4:
        return f"{value / 1e3:.{0 if value >= 1e5 else 1}f} K"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def columns(lines):
    """Lines of cells, the first being the heads, as a table."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    lines = [lines[0], ["-" * width for width in widths]] + lines[1:]
    return "\n".join(" | ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
                     for line in lines)


def placements():
    """Name -> the cores of the listening and of the connecting program; None = as the system
    likes; the whole value None = this machine cannot do it."""
    cpus = sorted(os.sched_getaffinity(0))
    one = {cpus[0]}
    return {
        "unpinned": (None, None),
        "one core": (one, one),
        "split": (one, {cpus[1]}) if len(cpus) > 1 else None,
    }


def environment_for(library_directory):
    """The environment in which the loader takes that directory's library; None: the system's."""
    environment = dict(os.environ)
    environment.pop("LD_PRELOAD", None)
    environment.pop("LD_LIBRARY_PATH", None)
    if library_directory is not None:
        environment["LD_LIBRARY_PATH"] = os.path.abspath(library_directory)
    return environment


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def machine_cpu_seconds():
    """CPU seconds the whole machine has spent so far, time stolen by its host included."""
    with open("/proc/stat", encoding="ascii") as file:
        # cpu user nice system idle iowait irq softirq steal ...
        ticks = [int(word) for word in file.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")


def run(programs, timeout):
    """Runs the programs together, each listener before the next one starts. Returns their outputs
    joined and the CPU seconds of all of them, all threads included. Raises Failed."""
    deadline = time.monotonic() + timeout
    ended = queue.Queue()
    children = []
    try:
        for program in programs:
            children.append(_Child(program, ended))
            if program.endpoint is not None:
                _wait_until_listening(children[-1], deadline)
        for _ in children:
            child = ended.get(timeout=max(0.0, deadline - time.monotonic()))
            if child.status != 0:
                raise Failed(child.describe_end(), child.status)
        return "".join(child.output() for child in children), sum(c.cpu_seconds for c in children)
    except queue.Empty:
        running = " and ".join(child.name for child in children if child.status is None)
        raise Failed(f"{running} still running after {timeout:.1f} s") from None
    finally:
        for child in children:
            child.end()


class _Child:
    """A started program. Its own thread waits for it, for wait4 is what tells its CPU time."""

    def __init__(self, program, ended):
        self.program = program
        self.name = os.path.basename(program.argv[0])
        self.status = None
        self.cpu_seconds = 0.0
        self._ended = ended
        self._lock = threading.Lock()
        self._stdout = tempfile.TemporaryFile()
        self._stderr = tempfile.TemporaryFile()
        # A child inherits the cores of the thread that starts it.
        before = os.sched_getaffinity(0)
        try:
            os.sched_setaffinity(0, program.cpus or before)
            self._process = subprocess.Popen(
                program.argv, env=program.environment, stdin=subprocess.DEVNULL,
                stdout=self._stdout, stderr=self._stderr)
        except OSError as error:
            raise Failed(f"{self.name} cannot start: {error}") from None
        finally:
            os.sched_setaffinity(0, before)
        self._waiter = threading.Thread(target=self._wait, daemon=True)
        self._waiter.start()

    def _wait(self):
        # Leave the child unreaped at first: as long as it is, nobody else can have its pid, and
        # end() cannot hit a stranger.
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            _, status, usage = os.wait4(self._process.pid, 0)
            self.status = self._process.returncode = os.waitstatus_to_exitcode(status)
            self.cpu_seconds = usage.ru_utime + usage.ru_stime
        self._ended.put(self)

    def end(self):
        with self._lock:
            if self.status is None:
                os.kill(self._process.pid, signal.SIGKILL)
        self._waiter.join()
        self._stdout.close()
        self._stderr.close()

    def output(self):
        return self._text(self._stdout)

    def describe_end(self):
        if self.status < 0:
            end = f"{self.name} killed by {signal.Signals(-self.status).name}"
        else:
            end = f"{self.name} exited with {self.status}"
        said = (self._text(self._stderr).strip() or self.output().strip()).splitlines()
        return f"{end}: {said[-1][:160]}" if said else end

    @staticmethod
    def _text(file):
        file.seek(0)
        return file.read().decode(errors="replace")


def _wait_until_listening(child, deadline):
    """A client that comes too early waits for its reconnect interval, which is not the figure."""
    while not _listens(child.program.endpoint):
        if child.status is not None:
            raise Failed(child.describe_end() if child.status else f"{child.name} ended too early")
        if time.monotonic() > deadline:
            raise Failed(f"{child.name} never listened on {child.program.endpoint}")
        time.sleep(0.002)


def _listens(endpoint):
    transport, address = endpoint.split("://", 1)
    if transport == "ipc":
        # Columns: ... Flags (__SO_ACCEPTCON when listening) ... Path
        for line in _lines("/proc/net/unix"):
            columns = line.split(None, 7)
            if len(columns) == 8 and columns[7] == address and int(columns[3], 16) & 0x10000:
                return True
        return False
    port = f":{int(address.rsplit(':', 1)[1]):04X}"
    # Columns: sl, local address, remote address, state (0A = listening)
    return any(columns[1].endswith(port) and columns[3] == "0A"
               for table in ("/proc/net/tcp", "/proc/net/tcp6")
               for columns in map(str.split, _lines(table)))


def _lines(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()[1:]
    except FileNotFoundError:
        return []
