#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""A browser talks to this library: a page in Chromium, over ws:// and wss://.

  browser.py --library ../build/lib

The page (tests/browser) holds a small ZWS 2.0 client in JavaScript. It asks for one scenario after
the other over HTTP, plays the browser's side against sockets of this library in this process, and
says what came of it; a scenario has passed when neither side complains. Needs Debian's chromium,
and openssl for wss. The last line is `N passed, N failed, N skipped`.
"""

import argparse
import base64
import ctypes
import errno
import hashlib
import http.server
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from checks import nothing_without

ROOT = Path(__file__).resolve().parent.parent
PAGES = Path(__file__).resolve().parent / "browser"
CERTIFICATES = ROOT / "c-tests/build/certificates"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS = 30  # for one call; the page itself gives up earlier
ALL_SECONDS = 240
MEGABYTE = 1 << 20

PUB, REP, ROUTER, PULL = 1, 4, 6, 7
ROUTING_ID, LINGER, LAST_ENDPOINT = 5, 17, 32
MAXMSGSIZE, SNDHWM, RCVHWM, RCVTIMEO, SNDTIMEO = 22, 23, 24, 27, 28
HEARTBEAT_IVL, HEARTBEAT_TIMEOUT = 75, 77
WSS_KEY_PEM, WSS_CERT_PEM = 103, 104
SNDMORE, POLLIN = 2, 1


class Library:
    def __init__(self, path):
        self.c = ctypes.CDLL(str(path), use_errno=True)
        for name in ("zmq_ctx_new", "zmq_socket", "zmq_msg_data"):
            getattr(self.c, name).restype = ctypes.c_void_p
        self.c.zmq_msg_size.restype = ctypes.c_size_t
        self.c.zmq_strerror.restype = ctypes.c_char_p
        self.context = ctypes.c_void_p(self.c.zmq_ctx_new())

    def check(self, result):
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, self.c.zmq_strerror(number).decode())
        return result


class PollItem(ctypes.Structure):
    _fields_ = [
        ("socket", ctypes.c_void_p),
        ("fd", ctypes.c_int),
        ("events", ctypes.c_short),
        ("revents", ctypes.c_short),
    ]


class Socket:
    """A socket of the library, bound to a port of its own."""

    def __init__(self, library, kind, certificate=None, endpoint=None, **options):
        self.library, self.c = library, library.c
        self.handle = ctypes.c_void_p(self.c.zmq_socket(library.context, kind))
        for option in (RCVTIMEO, SNDTIMEO, LINGER):
            self.set(option, SECONDS * 1000)
        for name, value in options.items():
            self.set(globals()[name], value)
        if certificate:
            self.set(WSS_CERT_PEM, (CERTIFICATES / f"{certificate}.pem").read_bytes())
            self.set(WSS_KEY_PEM, (CERTIFICATES / f"{certificate}.key").read_bytes())
        scheme = "wss" if certificate else "ws"
        self.endpoint = self.bind(endpoint or f"{scheme}://127.0.0.1:*")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def set(self, option, value):
        if isinstance(value, bytes):
            result = self.c.zmq_setsockopt(self.handle, option, value, len(value))
        else:
            number = (ctypes.c_int64 if option == MAXMSGSIZE else ctypes.c_int)(value)
            result = self.c.zmq_setsockopt(
                self.handle, option, ctypes.byref(number), ctypes.sizeof(number)
            )
        self.library.check(result)

    def get(self, option, value):
        size = ctypes.c_size_t(ctypes.sizeof(value))
        self.library.check(
            self.c.zmq_getsockopt(self.handle, option, ctypes.byref(value), ctypes.byref(size))
        )
        return value.value

    def bind(self, endpoint):
        end = time.monotonic() + SECONDS
        while self.c.zmq_bind(self.handle, endpoint.encode()) != 0:
            # A listener closed just now may not be gone yet.
            if ctypes.get_errno() != errno.EADDRINUSE or time.monotonic() > end:
                self.library.check(-1)
        return self.get(LAST_ENDPOINT, ctypes.create_string_buffer(256)).decode()

    def unbind(self):
        self.library.check(self.c.zmq_unbind(self.handle, self.endpoint.encode()))

    def send(self, *parts):
        for at, part in enumerate(parts):
            flags = SNDMORE if at + 1 < len(parts) else 0
            self.library.check(self.c.zmq_send(self.handle, part, len(part), flags))

    def receive(self):
        parts = []
        while True:
            message = (ctypes.c_uint64 * 8)()
            self.c.zmq_msg_init(message)
            self.library.check(self.c.zmq_msg_recv(message, self.handle, 0))
            size = self.c.zmq_msg_size(message)
            data = ctypes.c_void_p(self.c.zmq_msg_data(message))
            parts.append(ctypes.string_at(data, size))
            more = self.c.zmq_msg_more(message)
            self.c.zmq_msg_close(message)
            if not more:
                return parts

    def readable(self, milliseconds=0):
        """Whether a message is there, or comes within that time."""
        item = PollItem(self.handle, 0, POLLIN, 0)
        wait = ctypes.c_long(milliseconds)
        return self.library.check(self.c.zmq_poll(ctypes.byref(item), 1, wait)) > 0

    def close(self):
        if self.handle:
            self.c.zmq_close(self.handle)
            self.handle = None


def body(length):
    """As in scenarios.js."""
    return bytes((i * 7 + (i >> 8) + length) & 255 for i in range(length))


# ---- this side of the scenarios -----------------------------------------------------------------
#
# Each takes the library, and an event that is set once the page has said what came of it. It first
# yields its endpoints.


def echo(over, *sockets):
    """Sends back what comes until the page is done."""
    while not over.is_set():
        for socket in sockets:
            if socket.readable(10):
                socket.send(*socket.receive())


def echoing(certificate=None, **options):
    def scenario(library, over):
        with Socket(library, ROUTER, certificate, **options) as router:
            yield {"router": router.endpoint}
            echo(over, router)

    return scenario


def identified(certificate=None, **options):
    """As `echoing`, and the peer has to be who it said it is."""

    def scenario(library, over):
        with Socket(library, ROUTER, certificate, **options) as router:
            yield {"router": router.endpoint}
            parts = router.receive()
            assert parts == [b"page", b"hello"], parts
            router.send(*parts)
            echo(over, router)

    return scenario


def req(library, over):
    with Socket(library, ROUTER) as router, Socket(library, REP) as rep:
        yield {"router": router.endpoint, "rep": rep.endpoint}
        echo(over, router, rep)


def sub(library, over):
    with Socket(library, PUB, SNDHWM=0) as pub, Socket(library, ROUTER) as router:
        yield {"pub": pub.endpoint, "router": router.endpoint}
        big = body(MEGABYTE)
        for turn in (1, 2, 3):
            # Until the subscriptions have come.
            while not router.readable(1):
                pub.send(b"go %d" % turn)
            assert router.receive() == [b"control", b"seen"]
            for message in ([b"apple", big], [b"banana", big], [b"ant"], [b"a"], [b"\0\xff!"]):
                pub.send(*message)
            pub.send(b"end")
        over.wait(SECONDS)


def server_closes_and_comes_back(library, _over):
    endpoint = None
    for turn in range(3):
        with Socket(library, ROUTER, endpoint=endpoint) as router:
            if endpoint is None:
                endpoint = router.endpoint
                yield {"router": endpoint}
            peer, text = router.receive()
            assert text == b"turn %d" % turn, text
            router.send(peer, text)
            assert router.receive() == [peer, b"close"]
            for number in range(100):
                router.send(peer, b"%d" % number)


def unbinding(certificate=None):
    def scenario(library, over):
        with Socket(library, ROUTER, certificate) as router:
            yield {"router": router.endpoint}
            while (parts := router.receive())[1] != b"unbind":
                router.send(*parts)
            router.unbind()
            over.wait(SECONDS)

    return scenario


def server_closes_unread(library, over):
    with Socket(library, ROUTER) as router:
        with Socket(library, PULL, RCVHWM=1) as pull:
            yield {"pull": pull.endpoint, "router": router.endpoint}
            router.receive()
            pull.receive()
        over.wait(SECONDS)


SCENARIOS = {
    "dealer": identified(ROUTING_ID=b"server"),
    "paths": echoing(),
    "req": req,
    "stream": echoing(),
    "many_connections": echoing(),
    "sub": sub,
    "heartbeats": echoing(HEARTBEAT_IVL=5, HEARTBEAT_TIMEOUT=SECONDS * 1000),
    "server_closes_and_comes_back": server_closes_and_comes_back,
    "server_unbinds": unbinding(),
    "server_closes_unread": server_closes_unread,
    "page_closes": echoing(),
    "violations": echoing(),
    "too_big": echoing(MAXMSGSIZE=1000),
    "wrong_protocol": echoing(),
    "wss": identified("server", ROUTING_ID=b"server"),
    "wss_paths": echoing("server"),
    "wss_server_closes": unbinding("server"),
    "wss_of_a_stranger": echoing("stranger"),
}


class Run:
    """Goes through the scenarios as the page asks for them."""

    def __init__(self, library, names):
        self.library, self.waiting = library, names
        self.passed = self.failed = 0
        self.finished = threading.Event()
        self.name = self.thread = self.error = self.over = None

    def next(self, known):
        """The page's question for its next scenario; it tells which it knows."""
        unknown = set(known) ^ set(SCENARIOS)
        if unknown:
            self.fail(", ".join(sorted(unknown)), "known to one side only")
            self.waiting = []
        if not self.waiting:
            self.finished.set()
            return {"name": None}
        self.name, self.error, self.over = self.waiting.pop(0), None, threading.Event()
        steps = SCENARIOS[self.name](self.library, self.over)
        endpoints = next(steps)
        self.thread = threading.Thread(target=self.play, args=(steps,), daemon=True)
        self.thread.start()
        return {"name": self.name, "endpoints": endpoints}

    def play(self, steps):
        try:
            for _ in steps:
                pass
        except Exception as error:  # whatever it is, it belongs into the report
            self.error = f"{type(error).__name__}: {error}"

    def result(self, report):
        self.over.set()
        self.thread.join(SECONDS + 10)
        complaints = [("page", report["error"]), ("library", self.error)]
        if self.thread.is_alive():
            complaints.append(("library", "no end"))
        complaints = [f"{side}: {what}" for side, what in complaints if what]
        if complaints:
            self.fail(report["name"], "\n".join(complaints))
        else:
            self.passed += 1
        self.name = None
        return {}

    def fail(self, name, what):
        self.failed += 1
        print(f"FAILED browser: {name}\n{what}", flush=True)


def page_server(run):
    """Serves the page, and takes its questions and reports."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(PAGES))

        def do_POST(self):
            report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                answer = {"/next": run.next, "/result": run.result}[self.path](report)
            except Exception as error:
                run.fail(str(run.name), f"{type(error).__name__}: {error}")
                run.finished.set()
                answer = {"name": None}
            answer = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def key_hash(name):
    """By which Chromium is told to trust this certificate: SHA-256 of its public key."""
    public = subprocess.run(
        ["openssl", "x509", "-in", str(CERTIFICATES / f"{name}.pem"), "-pubkey", "-noout"],
        check=True, capture_output=True,
    ).stdout
    der = base64.b64decode(b"".join(public.split(b"\n")[1:-2]))
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


def start_browser(directory, url, secure):
    """In a process group of its own, away from all networks and settings."""
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--no-default-browser-check", "--no-proxy-server", "--disable-breakpad",
        "--disable-crash-reporter", "--disable-extensions", "--disable-sync",
        "--disable-background-networking", "--disable-component-update", "--disable-domain-reliability",
        "--disable-background-timer-throttling", "--disable-renderer-backgrounding",
        f"--user-data-dir={directory}/profile",
    ]  # fmt: skip
    if secure:
        command.append(f"--ignore-certificate-errors-spki-list={key_hash('server')}")
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": directory, "LANG": "C.UTF-8"}
    with open(f"{directory}/log", "wb") as log:
        return subprocess.Popen(
            [*command, url], env=environment, cwd=directory, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )


def processes_of(directory):
    """Those that were started with this directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if directory.encode() in line:
                found.append(int(entry.name))
    return found


def stop_browser(browser, directory):
    """Ends it and everything it started."""
    end = time.monotonic() + 20
    try:
        os.killpg(browser.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    browser.wait()
    while (left := processes_of(directory)) and time.monotonic() < end:
        for process in left:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)
    return left


def test(library, names, secure):
    run = Run(library, names)
    server = page_server(run)
    with tempfile.TemporaryDirectory(prefix="zmq-browser-", ignore_cleanup_errors=True) as directory:
        url = f"http://127.0.0.1:{server.server_port}/page.html"
        browser = start_browser(directory, url, secure)
        try:
            end = time.monotonic() + ALL_SECONDS
            while not run.finished.wait(0.1):
                if browser.poll() is not None:
                    said = Path(f"{directory}/log").read_text(errors="replace")[-2000:]
                    run.fail(str(run.name), f"the browser ended with {browser.returncode}:\n{said}")
                    break
                if time.monotonic() > end:
                    run.fail(str(run.name), f"no end after {ALL_SECONDS} s")
                    break
        finally:
            left = stop_browser(browser, directory)
        if left:
            run.fail("end", f"processes left over: {left}")
    server.shutdown()
    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", type=Path, required=True, help="its directory")
    parser.add_argument("--filter", default="", help="only scenarios whose name contains this")
    arguments = parser.parse_args()
    if not CHROMIUM:
        return nothing_without(["chromium"], "ws and wss with a browser")
    secure = (CERTIFICATES / "server.pem").exists() and shutil.which("openssl") is not None
    names = [name for name in SCENARIOS if arguments.filter in name]
    played = [name for name in names if secure or not name.startswith("wss")]
    if len(played) < len(names):
        print("SKIPPED wss with a browser: openssl is not installed")
    library = Library(arguments.library.resolve() / "libzmq.so.5")
    run = test(library, played[:], secure)
    skipped = len(names) - len(played)
    print(f"{run.passed} passed, {run.failed} failed, {skipped} skipped", flush=True)
    # Not by way of interpreter and context: after a failure a thread may still be inside a call.
    sys.stdout.flush()
    os._exit(1 if run.failed else 0)


if __name__ == "__main__":
    raise SystemExit(main())
