#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""GSSAPI with Kerberos: this library with itself and with libzmq, both ways round.

  gssapi.py --cargo cargo                   builds the library with the feature first, and runs the
                                            Rust tests that look at it
  gssapi.py --library ../build/gssapi/lib   takes one that was built

A key server of Debian's krb5-kdc runs on 127.0.0.1, its database, keys and tickets in a temporary
directory. Needs krb5-kdc, krb5-admin-server, krb5-user, libkrb5-dev and libclang-dev; without one
of them everything is skipped, without a libzmq5 that has GSSAPI what is done with it. The last line
is `N passed, N failed, N skipped`.
"""

import argparse
import concurrent.futures
import contextlib
import ctypes
import errno
import glob
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import results
from checks import nothing_without, reserved_ports

ROOT = Path(__file__).resolve().parent.parent
BUILT = ROOT / "build/gssapi"
SECONDS = 120
TIMEOUT_MS = 60_000
REALM = "FERROZMQ.TEST"
SERVICE = f"zmq/localhost@{REALM}"
SIZES = [0, 1, 32, 254, 255, 256, 8191, 8192, 8193, 65_536, 1 << 20, 5 << 20]

# ---- libzmq's interface -------------------------------------------------------------------------

PAIR, PUB, SUB, REQ, REP, DEALER, ROUTER, PULL, PUSH = range(9)
ROUTING_ID, SUBSCRIBE, RCVMORE, LINGER, RECONNECT_IVL, RCVTIMEO, SNDTIMEO = 5, 6, 13, 17, 18, 27, 28
LAST_ENDPOINT, MECHANISM, PLAIN_USERNAME, PLAIN_PASSWORD, ZAP_DOMAIN = 32, 43, 45, 46, 55
GSSAPI_SERVER, GSSAPI_PRINCIPAL, GSSAPI_SERVICE_PRINCIPAL, GSSAPI_PLAINTEXT = 62, 63, 64, 65
HEARTBEAT_IVL, HEARTBEAT_TIMEOUT = 75, 77
GSSAPI_PRINCIPAL_NAMETYPE, GSSAPI_SERVICE_PRINCIPAL_NAMETYPE = 90, 91
GSSAPI_NT_HOSTBASED, GSSAPI_NT_USER_NAME, GSSAPI_NT_KRB5_PRINCIPAL = 0, 1, 2
SNDMORE = 2
CONNECTED, ACCEPTED, DISCONNECTED = 0x1, 0x20, 0x200
NO_DETAIL, SUCCEEDED, FAILED_PROTOCOL, FAILED_AUTH = 0x800, 0x1000, 0x2000, 0x4000
UNEXPECTED_COMMAND, CRYPTOGRAPHIC, MECHANISM_MISMATCH = 0x10000001, 0x11000001, 0x11000002


class ZmqError(Exception):
    pass


class Zmq:
    """One library, one context."""

    def __init__(self, library):
        self.lib = ctypes.CDLL(str(library), use_errno=True)
        self.lib.zmq_ctx_new.restype = self.lib.zmq_socket.restype = ctypes.c_void_p
        self.lib.zmq_msg_gets.restype = ctypes.c_char_p
        self.context = ctypes.c_void_p(self.lib.zmq_ctx_new())

    def socket(self, kind, **options):
        return Socket(self, kind, options)

    def has(self, name):
        return self.lib.zmq_has(name.encode())

    def term(self):
        self.lib.zmq_ctx_term(self.context)


class Socket:
    def __init__(self, zmq, kind, options):
        self.zmq, self.lib = zmq, zmq.lib
        self.handle = ctypes.c_void_p(self.lib.zmq_socket(zmq.context, kind))
        assert self.handle.value
        for option in (RCVTIMEO, SNDTIMEO, LINGER):
            self.set(option, TIMEOUT_MS)
        for name, value in options.items():
            self.set(globals()[name.upper()], value)

    def check(self, result):
        if result < 0:
            number = ctypes.get_errno()
            raise ZmqError(errno.errorcode.get(number, number))
        return result

    def set(self, option, value):
        if isinstance(value, int):
            value = value.to_bytes(4, sys.byteorder, signed=True)
        elif isinstance(value, str):
            value = value.encode()
        self.check(self.lib.zmq_setsockopt(self.handle, option, value, ctypes.c_size_t(len(value))))

    def get(self, option, size=4):
        value, length = ctypes.create_string_buffer(512), ctypes.c_size_t(size)
        self.check(self.lib.zmq_getsockopt(self.handle, option, value, ctypes.byref(length)))
        return value.raw[: length.value]

    def bind(self, endpoint):
        self.check(self.lib.zmq_bind(self.handle, endpoint.encode()))
        return self.get(LAST_ENDPOINT, 512).rstrip(b"\0").decode()

    def connect(self, endpoint):
        self.check(self.lib.zmq_connect(self.handle, endpoint.encode()))

    def send(self, *parts):
        for number, part in enumerate(parts, 1):
            flags = SNDMORE if number < len(parts) else 0
            self.check(self.lib.zmq_send(self.handle, part, ctypes.c_size_t(len(part)), flags))

    def recv(self, user_id=False):
        """All parts; with `user_id` that of the first one as well."""
        message = (ctypes.c_uint64 * 8)()
        parts, user = [], None
        while True:
            self.lib.zmq_msg_init(message)
            try:
                self.check(self.lib.zmq_msg_recv(message, self.handle, 0))
                size = self.lib.zmq_msg_size(message)
                self.lib.zmq_msg_data.restype = ctypes.c_void_p
                parts.append(ctypes.string_at(self.lib.zmq_msg_data(message), size))
                user = user or self.lib.zmq_msg_gets(message, b"User-Id")
                if not self.lib.zmq_msg_more(message):
                    return (parts, user) if user_id else parts
            finally:
                self.lib.zmq_msg_close(message)

    def monitor(self):
        endpoint = f"inproc://monitor-{self.handle.value}"
        self.check(self.lib.zmq_socket_monitor(self.handle, endpoint.encode(), 0xFFFF))
        pair = self.zmq.socket(PAIR)
        pair.connect(endpoint)
        return pair

    def close(self, linger=None):
        if linger is not None:
            self.set(LINGER, linger)
        self.lib.zmq_close(self.handle)


def next_event(monitor, *wanted):
    """The next of these events; (event, value)."""
    while True:
        event = monitor.recv()[0]
        number = int.from_bytes(event[:2], sys.byteorder)
        if number in wanted:
            return number, int.from_bytes(event[2:6], sys.byteorder)


OUTCOMES = (NO_DETAIL, SUCCEEDED, FAILED_PROTOCOL, FAILED_AUTH)

# ---- two processes: each scenario has a side that binds and one that connects -------------------


def body(size):
    return bytes((i * 31 + size) & 0xFF for i in range(min(size, 256))).ljust(size, b"x")


# One side's to the other that it has all it waited for.
SIGN = Path(sys.argv[-1])


def wait_for_sign():
    for _ in range(SECONDS * 100):
        if SIGN.exists():
            return
        time.sleep(0.01)
    raise ZmqError("the other side has not finished")


def echo(s, turns):
    for _ in range(turns):
        s.send(*s.recv())
    # libzmq, closing the socket while it sends heartbeats, now and then loses the last answer.
    wait_for_sign()


def ask(s, turns):
    for turn in range(turns - 2 * len(SIZES)):
        s.send(b"%d" % turn)
        assert s.recv() == [b"%d" % turn]
    for size in SIZES:
        for parts in ([body(size)], [b"", body(size), b"end"]):
            s.send(*parts)
            assert s.recv() == parts, size
    SIGN.touch()


TURNS = 100 + 2 * len(SIZES)
MANY = 3000


def push(s):
    for number in range(MANY):
        s.send(b"%d" % number, b"x" * (number % 300))
    s.send(body(1 << 20))


def pull(s):
    for number in range(MANY):
        assert s.recv() == [b"%d" % number, b"x" * (number % 300)]
    assert s.recv() == [body(1 << 20)]


def publish(s):
    # Until the subscription has come, messages are dropped.
    for number in range(SECONDS * 100):
        s.send(b"odd" if number % 2 else b"even", b"%d" % number)
        if SIGN.exists():
            return
        time.sleep(0.01)


def subscribe(s):
    s.set(SUBSCRIBE, b"even")
    for _ in range(20):
        topic, number = s.recv()
        assert topic == b"even" and int(number) % 2 == 0
    SIGN.touch()


def route(s):
    for _ in range(50):
        sender, *parts = s.recv()
        assert sender == b"dealer-1"
        s.send(sender, *parts)


def deal(s):
    s.set(RECONNECT_IVL, 100)
    for number in range(50):
        s.send(b"%d" % number, b"")
    for number in range(50):
        assert s.recv() == [b"%d" % number, b""]


SERVER = {"gssapi_server": 1}
CLIENT = {"gssapi_service_principal": "zmq@localhost"}
PLAINTEXT = {"gssapi_plaintext": 1}
# Often, and never too late.
HEARTBEATS = {"heartbeat_ivl": 10, "heartbeat_timeout": TIMEOUT_MS}
BY_PRINCIPAL = {
    "gssapi_service_principal": SERVICE,
    "gssapi_service_principal_nametype": GSSAPI_NT_KRB5_PRINCIPAL,
}
# Name: the sides' types, what they do, their options, the endpoint.
SCENARIOS = {
    "rep-req": ((REP, lambda s: echo(s, TURNS), SERVER), (REQ, lambda s: ask(s, TURNS), CLIENT)),
    "rep-req/plaintext": (
        (REP, lambda s: echo(s, TURNS), SERVER | PLAINTEXT),
        (REQ, lambda s: ask(s, TURNS), CLIENT | PLAINTEXT),
    ),
    "client-binds": (
        (REP, lambda s: echo(s, TURNS), CLIENT),
        (REQ, lambda s: ask(s, TURNS), SERVER),
    ),
    "pull-push": ((PULL, pull, SERVER), (PUSH, push, CLIENT)),
    "pull-push/plaintext": ((PULL, pull, SERVER | PLAINTEXT), (PUSH, push, CLIENT | PLAINTEXT)),
    "push-pull": ((PUSH, push, SERVER), (PULL, pull, CLIENT)),
    "rep-req/heartbeats": (
        (REP, lambda s: echo(s, TURNS), SERVER | HEARTBEATS),
        (REQ, lambda s: ask(s, TURNS), CLIENT | HEARTBEATS),
    ),
    "pub-sub": ((PUB, publish, SERVER), (SUB, subscribe, CLIENT)),
    "pub-sub/plaintext": ((PUB, publish, SERVER | PLAINTEXT), (SUB, subscribe, CLIENT | PLAINTEXT)),
    "router-dealer": ((ROUTER, route, SERVER), (DEALER, deal, CLIENT | {"routing_id": "dealer-1"})),
    "names": (
        (
            REP,
            lambda s: echo(s, TURNS),
            SERVER
            | {
                "gssapi_principal": SERVICE + "\0",
                "gssapi_principal_nametype": GSSAPI_NT_KRB5_PRINCIPAL,
            },
        ),
        (
            REQ,
            lambda s: ask(s, TURNS),
            BY_PRINCIPAL
            | {
                "gssapi_principal": "alice\0",
                "gssapi_principal_nametype": GSSAPI_NT_USER_NAME,
            },
        ),
    ),
}
# libzmq 4.3.4 sends subscriptions as messages when it seals them.
LOST_BY_LIBZMQ = ["pub-sub"]
OURS_ONLY = {"rep-req": "ipc", "pull-push": "ws"}


def run_side(library, name, binds, endpoint):
    zmq = Zmq(library)
    kind, act, options = SCENARIOS[name][0 if binds else 1]
    s = zmq.socket(kind, **options)
    if binds:
        print(s.bind(endpoint), flush=True)
    else:
        s.connect(endpoint)
    act(s)
    s.close()
    zmq.term()


# ---- one process: what goes wrong, and who hears of it -----------------------------------------


class Alone:
    """A server and a client of this library, with monitors."""

    def __init__(self, library, server=SERVER, client=CLIENT):
        self.zmq = Zmq(library)
        self.server = self.zmq.socket(REP, **server)
        self.server_events = self.server.monitor()
        self.endpoint = self.server.bind("tcp://127.0.0.1:*")
        self.client = self.zmq.socket(REQ, **client)
        self.client_events = self.client.monitor()

    def connect(self, endpoint=None):
        self.client.connect(endpoint or self.endpoint)
        return self

    def expect(self, server=None, client=None):
        if server:
            found = next_event(self.server_events, *OUTCOMES)
            assert found == server, f"server: {found}"
        if client:
            found = next_event(self.client_events, *OUTCOMES)
            assert found == client, f"client: {found}"

    def end(self):
        for s in (self.server, self.client, self.server_events, self.client_events):
            s.close(0)
        self.zmq.term()


def capabilities(library):
    zmq = Zmq(library)
    assert zmq.has("gssapi") == 1
    zmq.term()


def client_keys(library):
    """A client that gets its ticket by a key, from the key server, as libkrb5 does it by itself."""
    principal = {"gssapi_principal": "alice", "gssapi_principal_nametype": GSSAPI_NT_USER_NAME}
    alone = Alone(library, client=CLIENT | principal).connect()
    alone.client.send(b"hello")
    assert alone.server.recv() == [b"hello"]
    alone.expect(server=(SUCCEEDED, 0), client=(SUCCEEDED, 0))
    alone.end()


def no_ticket(library):
    alone = Alone(library).connect()
    alone.expect(client=(NO_DETAIL, errno.EACCES))
    next_event(alone.client_events, DISCONNECTED)
    next_event(alone.server_events, DISCONNECTED)
    # It tries again.
    alone.expect(client=(NO_DETAIL, errno.EACCES))
    alone.end()


def no_key(library):
    """The server has no key for the ticket."""
    alone = Alone(library, client={"gssapi_service_principal": "other@localhost"}).connect()
    alone.expect(server=(NO_DETAIL, errno.EACCES), client=(NO_DETAIL, errno.EPIPE))
    alone.end()


def unknown_service(library):
    alone = Alone(library, client={"gssapi_service_principal": "nobody@localhost"}).connect()
    alone.expect(client=(NO_DETAIL, errno.EACCES))
    alone.end()


def other_principal(library):
    """Not the one of the ticket."""
    principal = {"gssapi_principal": "bob", "gssapi_principal_nametype": GSSAPI_NT_USER_NAME}
    alone = Alone(library, client=CLIENT | principal).connect()
    alone.expect(client=(NO_DETAIL, errno.EACCES))
    alone.end()


def wrong_server_principal(library):
    principal = {"gssapi_principal": "other@localhost"}
    alone = Alone(library, server=SERVER | principal).connect()
    alone.expect(server=(NO_DETAIL, errno.EACCES), client=(NO_DETAIL, errno.EPIPE))
    alone.end()


def plaintext_on_one_side(library):
    alone = Alone(library, client=CLIENT | PLAINTEXT).connect()
    alone.expect(client=(FAILED_PROTOCOL, UNEXPECTED_COMMAND))
    alone.end()


def other_mechanisms(library):
    for options in ({}, {"plain_username": "a", "plain_password": "b"}):
        alone = Alone(library, client=options).connect()
        alone.expect(server=(FAILED_PROTOCOL, MECHANISM_MISMATCH))
        alone.end()


def drain(peer):
    """Reads until the other side closes."""
    try:
        while peer.recv(1000):
            pass
    except ConnectionResetError:
        pass


def no_security(library):
    """A peer of ZMTP 1.0."""
    alone = Alone(library)
    with socket.create_connection(("127.0.0.1", int(alone.endpoint.rsplit(":", 1)[1]))) as peer:
        peer.sendall(b"\x01\x00\x08\x00sneaky!")
        drain(peer)
    next_event(alone.server_events, DISCONNECTED)
    alone.end()


def garbage(library):
    """Tokens that are none, and a token cut short, whatever the state."""
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01GSSAPI".ljust(55, b"\0")
    alone = Alone(library)
    port = int(alone.endpoint.rsplit(":", 1)[1])
    for data in (
        b"\x08INITIATE\0\0\0\x04junk",
        b"\x08INITIATE\0\0\0\xffjunk",
        b"\x05READY",
        b"\x60" * 200,
    ):
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.sendall(greeting + bytes([4, len(data)]) + data)
            drain(peer)
        next_event(alone.server_events, NO_DETAIL, FAILED_PROTOCOL)
    alone.connect()
    alone.client.send(b"hello")
    assert alone.server.recv() == [b"hello"]
    alone.end()


def zap_accepts(library):
    for plaintext in ({}, PLAINTEXT):
        alone = Alone(library, SERVER | plaintext | {"zap_domain": "test"}, CLIENT | plaintext)
        handler = alone.zmq.socket(REP)
        handler.bind("inproc://zeromq.zap.01")
        alone.connect()
        alone.client.send(b"hello")
        request = handler.recv()
        assert request[0] == b"1.0" and request[2:4] == [b"test", b"127.0.0.1"], request
        assert request[5:] == [b"GSSAPI", f"alice@{REALM}".encode()], request
        handler.send(b"1.0", request[1], b"200", b"", b"al", b"")
        assert alone.server.recv(user_id=True) == ([b"hello"], b"al")
        alone.expect(server=(SUCCEEDED, 0), client=(SUCCEEDED, 0))
        handler.close(0)
        alone.end()


def zap_denies(library):
    for status in (b"300", b"400", b"500"):
        alone = Alone(library, SERVER | {"zap_domain": "test"})
        handler = alone.zmq.socket(REP)
        handler.bind("inproc://zeromq.zap.01")
        alone.connect()
        request = handler.recv()
        handler.send(b"1.0", request[1], status, b"", b"", b"")
        alone.expect(server=(FAILED_AUTH, int(status)), client=(NO_DETAIL, errno.EPIPE))
        handler.close(0)
        alone.end()


class Tap(threading.Thread):
    """Passes a connection on and keeps what it has seen; on demand it changes the next byte."""

    def __init__(self, endpoint):
        super().__init__(daemon=True)
        self.target = ("127.0.0.1", int(endpoint.rsplit(":", 1)[1]))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self.listener.getsockname()[1]}"
        self.seen = b""
        self.spoil = False
        self.start()

    def run(self):
        near, _ = self.listener.accept()
        far = socket.create_connection(self.target)
        threading.Thread(target=self.copy, args=(far, near), daemon=True).start()
        self.copy(near, far)

    def copy(self, source, target):
        try:
            while data := source.recv(65536):
                self.seen += data
                if self.spoil:
                    self.spoil = False
                    data = data[:-1] + bytes([data[-1] ^ 1])
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def what_others_see(library):
    secret = b"what nobody may read"
    for plaintext in ({}, PLAINTEXT):
        alone = Alone(library, SERVER | plaintext, CLIENT | plaintext)
        tap = Tap(alone.endpoint)
        alone.connect(tap.endpoint)
        alone.client.send(secret)
        assert alone.server.recv() == [secret]
        assert b"INITIATE" in tap.seen
        assert (secret in tap.seen) == bool(plaintext)
        alone.end()


class Gss:
    """The system's GSSAPI, as a client that speaks ZMTP by itself uses it."""

    class Buffer(ctypes.Structure):
        _fields_ = [("length", ctypes.c_size_t), ("value", ctypes.c_void_p)]

        def bytes(self):
            return ctypes.string_at(self.value, self.length) if self.length else b""

    class Oid(ctypes.Structure):
        _fields_ = [("length", ctypes.c_uint32), ("elements", ctypes.c_char_p)]

    # GSS_C_NT_HOSTBASED_SERVICE; mutual, replay, confidential, integrity.
    HOSTBASED = Oid(10, b"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04")
    FLAGS = 2 | 4 | 16 | 32

    def __init__(self, service):
        self.lib = ctypes.CDLL("libgssapi_krb5.so.2")
        self.minor = ctypes.c_uint32()
        self.context, self.name = ctypes.c_void_p(), ctypes.c_void_p()
        name, kind = self.buffer(service), ctypes.byref(self.HOSTBASED)
        self.call("gss_import_name", name, kind, ctypes.byref(self.name))

    def call(self, function, *arguments):
        status = getattr(self.lib, function)(ctypes.byref(self.minor), *arguments)
        assert status in (0, 1), f"{function}: {status:#x}"
        return status

    def buffer(self, data=b""):
        self.data = ctypes.create_string_buffer(data, len(data))
        return ctypes.byref(self.Buffer(len(data), ctypes.addressof(self.data)))

    def step(self, token):
        out = self.Buffer()
        self.call(
            "gss_init_sec_context", None, ctypes.byref(self.context), self.name, None, self.FLAGS,
            0, None, self.buffer(token), None, ctypes.byref(out), None, None,
        )  # fmt: skip
        return out.bytes()

    def wrap(self, text, sealed):
        out, state = self.Buffer(), ctypes.c_int(-1)
        arguments = (self.buffer(text), ctypes.byref(state), ctypes.byref(out))
        self.call("gss_wrap", self.context, int(sealed), 0, *arguments)
        assert state.value == int(sealed)
        return out.bytes()


def signed_alone(library):
    """A peer that proves who it is, and then signs READY or a message without sealing it."""
    ready = b"\0\x05READY\x0bSocket-Type\0\0\0\x03REQ"
    for sealed_ready, sealed_request in ((True, True), (False, True), (True, False)):
        alone = Alone(library)
        gss = Gss(b"zmq@localhost")
        port = int(alone.endpoint.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)) as peer:
            peer.settimeout(SECONDS)
            stream = peer.makefile("rb")

            def send(body, kind=4):
                length = len(body).to_bytes(8, "big") if len(body) > 255 else bytes([len(body)])
                peer.sendall(bytes([kind | (2 if len(body) > 255 else 0)]) + length + body)

            def receive():
                size = 8 if stream.read(1)[0] & 2 else 1
                return stream.read(int.from_bytes(stream.read(size), "big"))

            def message(text, sealed):
                token = gss.wrap(text, sealed)
                return b"\x07MESSAGE" + len(token).to_bytes(4, "big") + token

            peer.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x01GSSAPI".ljust(55, b"\0"))
            stream.read(64)
            token = gss.step(b"")
            send(b"\x08INITIATE" + len(token).to_bytes(4, "big") + token)
            assert gss.step(receive()[13:]) == b""
            send(b"")
            assert receive().startswith(b"\x07MESSAGE")
            send(message(ready, sealed_ready))
            if not sealed_ready:
                alone.expect(server=(FAILED_PROTOCOL, CRYPTOGRAPHIC))
            else:
                alone.expect(server=(SUCCEEDED, 0))
                send(message(b"\1", True), 0)
                send(message(b"\0hello", sealed_request), 0)
                if sealed_request:
                    assert alone.server.recv() == [b"hello"]
                else:
                    next_event(alone.server_events, DISCONNECTED)
        alone.end()


def heartbeats(library):
    """PING and PONG are sealed as everything else."""
    alone = Alone(library, SERVER | HEARTBEATS, CLIENT | HEARTBEATS)
    tap = Tap(alone.endpoint)
    alone.connect(tap.endpoint)
    alone.expect(server=(SUCCEEDED, 0), client=(SUCCEEDED, 0))
    deadline = time.monotonic() + SECONDS
    while tap.seen.count(b"\x07MESSAGE") < 20:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert b"PING" not in tap.seen and b"PONG" not in tap.seen
    alone.client.send(b"hello")
    assert alone.server.recv() == [b"hello"]
    alone.end()


def changed_on_its_way(library):
    alone = Alone(library)
    tap = Tap(alone.endpoint)
    alone.connect(tap.endpoint)
    alone.expect(server=(SUCCEEDED, 0), client=(SUCCEEDED, 0))
    tap.spoil = True
    alone.client.send(b"x" * 200)
    assert next_event(alone.server_events, FAILED_PROTOCOL, DISCONNECTED)
    alone.end()


def silent_key_server(library):
    """A key server that does not answer holds up nobody else, and not the end either."""
    alone = Alone(library)
    silent = socket.create_server(("127.0.0.1", int(os.environ["SILENT_PORT"])))
    silent.settimeout(SECONDS)
    alone.connect()
    asked, _ = silent.accept()
    asked.settimeout(SECONDS)
    assert asked.recv(65536)
    bystander, peer = alone.zmq.socket(REP), alone.zmq.socket(REQ)
    peer.connect(bystander.bind("tcp://127.0.0.1:*"))
    peer.send(b"hello")
    assert bystander.recv() == [b"hello"]
    # It is still being asked.
    asked.setblocking(False)
    try:
        while True:
            assert asked.recv(65536), "the question has been given up"
    except BlockingIOError:
        pass
    bystander.close(0)
    peer.close(0)
    alone.end()


def answers_to_options(library):
    """To be compared with libzmq's."""
    zmq = Zmq(library)
    answers = [zmq.has("gssapi")]
    options = [GSSAPI_SERVER, GSSAPI_PRINCIPAL, GSSAPI_SERVICE_PRINCIPAL, GSSAPI_PLAINTEXT]
    options += [GSSAPI_PRINCIPAL_NAMETYPE, GSSAPI_SERVICE_PRINCIPAL_NAMETYPE]
    values = [GSSAPI_NT_HOSTBASED, GSSAPI_NT_USER_NAME, GSSAPI_NT_KRB5_PRINCIPAL, 3, -1]
    values += [b"", b"\0", b"x", b"x\0", b"x" * 255, b"x" * 256, b"x" * 8]
    for option in options:
        for value in values:
            s = zmq.socket(DEALER)
            row = [option, str(value)[:12]]
            try:
                s.set(option, value)
            except ZmqError as error:
                row.append(str(error))
            for what in (MECHANISM, *options):
                for size in (0, 3, 4, 8, 300):
                    try:
                        row.append(s.get(what, size).hex())
                    except ZmqError as error:
                        row.append(str(error))
            s.close(0)
            answers.append(row)
    zmq.term()
    print(json.dumps(answers), flush=True)


# Each with what it is to find in its environment instead of a ticket for alice.
ALONE = [
    (capabilities, {}),
    (zap_accepts, {}),
    (zap_denies, {}),
    (client_keys, {"KRB5CCNAME": "MEMORY:", "KRB5_CLIENT_KTNAME": "client.keytab"}),
    (no_ticket, {"KRB5CCNAME": "none"}),
    (no_ticket, {"KRB5CCNAME": "expired"}),
    (no_key, {}),
    (no_key, {"KRB5_KTNAME": "none"}),
    (unknown_service, {}),
    (other_principal, {}),
    (wrong_server_principal, {}),
    (plaintext_on_one_side, {}),
    (other_mechanisms, {}),
    (no_security, {}),
    (garbage, {}),
    (what_others_see, {}),
    (signed_alone, {}),
    (heartbeats, {}),
    (changed_on_its_way, {}),
    (
        silent_key_server,
        {
            "KRB5CCNAME": "MEMORY:",
            "KRB5_CLIENT_KTNAME": "client.keytab",
            "KRB5_CONFIG": "silent.conf",
        },
    ),
]

# ---- the key server -----------------------------------------------------------------------------


def tool(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


class KeyServer:
    """Its database, the keys and the tickets, in a directory."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.ports = contextlib.ExitStack()
        port, self.silent_port = self.ports.enter_context(reserved_ports(2))
        self.write("krb5.conf", self.configuration(port))
        self.write("silent.conf", self.configuration(self.silent_port))
        self.write(
            "kdc.conf",
            f"""
            [kdcdefaults]
              kdc_listen = 127.0.0.1:{port}
              kdc_tcp_listen = 127.0.0.1:{port}
            [realms]
              {REALM} = {{
                database_name = {self.directory}/database
                key_stash_file = {self.directory}/stash
                acl_file = {self.directory}/acl
                max_life = 1h
              }}
            [logging]
              kdc = FILE:{self.directory}/kdc.log
            """,
        )
        self.run("kdb5_util", "create", "-s", "-r", REALM, "-P", "for this test only")
        for principal in (SERVICE, f"other/localhost@{REALM}", f"alice@{REALM}"):
            self.admin(f"addprinc -randkey {principal}")
        self.admin(f"ktadd -k {self.directory}/server.keytab {SERVICE}")
        self.admin(f"ktadd -k {self.directory}/client.keytab alice")
        self.admin(f"ktadd -norandkey -k {self.directory}/both.keytab alice {SERVICE}")
        self.log = open(self.directory / "output", "w")
        self.process = subprocess.Popen(
            [tool("krb5kdc"), "-n", "-r", REALM],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    self.process.kill()
                    raise RuntimeError("the key server does not start") from None
                time.sleep(0.02)
        self.ticket("alice", "1h")
        self.ticket("expired", "1s")
        while subprocess.run(
            [tool("klist"), "-s", "-c", self.path("expired")], env=self.environment()
        ).returncode == 0:
            time.sleep(0.1)

    def configuration(self, port):
        return f"""
            [libdefaults]
              default_realm = {REALM}
              dns_lookup_kdc = false
              dns_lookup_realm = false
              dns_canonicalize_hostname = false
              rdns = false
              udp_preference_limit = 1
              default_rcache_name = file2:{self.directory}/replays
            [realms]
              {REALM} = {{
                kdc = 127.0.0.1:{port}
              }}
            [domain_realm]
              localhost = {REALM}
            """

    def path(self, name):
        return f"FILE:{self.directory}/{name}"

    def write(self, name, text):
        # What comes before a section that is not at the beginning of its line is a comment.
        (self.directory / name).write_text(textwrap.dedent(text).lstrip())

    def environment(self, **changes):
        """By default with a ticket for alice and the key of the service."""
        result = dict(os.environ)
        for name in ("LD_PRELOAD", "LD_LIBRARY_PATH"):
            result.pop(name, None)
        files = {
            "KRB5CCNAME": "alice",
            "KRB5_KTNAME": "server.keytab",
            "KRB5_CLIENT_KTNAME": "none",
            "KRB5_CONFIG": "krb5.conf",
        } | changes
        result["KRB5_CONFIG"] = str(self.directory / files.pop("KRB5_CONFIG"))
        for name, file in files.items():
            result[name] = file if file.endswith(":") else self.path(file)
        result["KRB5_KDC_PROFILE"] = str(self.directory / "kdc.conf")
        result["SILENT_PORT"] = str(self.silent_port)
        return result

    def run(self, name, *arguments):
        subprocess.run(
            [tool(name), *arguments],
            env=self.environment(),
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def admin(self, command):
        self.run("kadmin.local", "-r", REALM, "-q", command)

    def ticket(self, cache, lifetime):
        keys = f"{self.directory}/client.keytab"
        self.run("kinit", "-c", self.path(cache), "-l", lifetime, "-k", "-t", keys, "alice")

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()
        self.ports.close()


# ---- the runs -----------------------------------------------------------------------------------


def start(arguments, env):
    return subprocess.Popen(
        [sys.executable, __file__, *map(str, arguments)],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process):
    try:
        return process.communicate(timeout=SECONDS)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        return "no end: " + process.communicate()[0]


def run_pair(keys, name, transport, binder, connecter):
    """What was said if it failed."""
    # libzmq asks for a key and a ticket on either side once a principal is named.
    env = keys.environment(
        KRB5CCNAME="MEMORY:", KRB5_KTNAME="both.keytab", KRB5_CLIENT_KTNAME="both.keytab"
    )
    with tempfile.TemporaryDirectory() as directory:
        endpoint = {
            "tcp": "tcp://127.0.0.1:*",
            "ws": "ws://127.0.0.1:*",
            "ipc": f"ipc://{directory}/socket",
        }[transport]
        sign = Path(directory) / "sign"
        first = start(["--side", "bind", name, endpoint, "--library", binder, "--", sign], env)
        bound = first.stdout.readline().strip()
        second = start(["--side", "connect", name, bound, "--library", connecter, "--", sign], env)
        said = [bound, finish(second), finish(first)]
    return None if first.returncode == 0 == second.returncode else "\n".join(said)


def run_alone(keys, library, index):
    process = start(["--alone", index, "--library", library], keys.environment(**ALONE[index][1]))
    said = finish(process)
    return None if process.returncode == 0 else f"status {process.returncode}: {said}"


def run_options(keys, library, other):
    answers = []
    for each in (library, other):
        process = start(["--options", "--library", each], keys.environment())
        answers.append(finish(process))
    return None if answers[0] == answers[1] and answers[0] else difference(*answers)


def difference(ours, others):
    try:
        rows = zip(json.loads(ours), json.loads(others))
        return "\n".join(f"{ours}\n{others}" for ours, others in rows if ours != others)
    except ValueError:
        return ours + others


def missing():
    """What is not installed."""
    tools = {
        "krb5kdc": "krb5-kdc",
        "kadmin.local": "krb5-admin-server",
        "kdb5_util": "krb5-kdc",
        "kinit": "krb5-user",
        "klist": "krb5-user",
    }
    return sorted({package for name, package in tools.items() if not tool(name)})


def missing_to_build():
    if shutil.which("krb5-config") is None and not Path("/usr/include/gssapi/gssapi.h").exists():
        yield "libkrb5-dev"
    patterns = ["lib/libclang*.so*", "lib/clang/*/include/stddef.h"]
    found = all(glob.glob(f"/usr/lib/llvm-*/{pattern}") for pattern in patterns)
    if not found and "LIBCLANG_PATH" not in os.environ:
        yield "libclang-dev"


def build(cargo):
    """The library with the feature and the Rust tests that look at it: (its directory, passed).

    By cargo test alone: cargo build would have other features of the dependencies, and so build many
    of them once more. Somewhere else than the library without the feature, whose place it would take;
    what `make test-rust` has built of the dependencies is copied there.
    """
    built, place = ROOT / "target/debug", BUILT / "target/debug"
    if built.is_dir() and not place.exists():
        for part in (".fingerprint", "build", "deps"):
            shutil.copytree(built / part, place / part, ignore=shutil.ignore_patterns("*zmq*"))
    command = [*cargo.split(), "test", "--features", "gssapi", "--lib", "--test", "header"]
    command += ["--test", "symbols", "--target-dir", str(BUILT / "target")]
    sys.stdout.flush()
    subprocess.run([*command, "--no-run"], cwd=ROOT, check=True)
    # What they counted they say themselves.
    passed = subprocess.run([*command, "--no-fail-fast"], cwd=ROOT).returncode == 0
    library = BUILT / "lib/libzmq.so.5"
    library.parent.mkdir(exist_ok=True)
    library.unlink(missing_ok=True)
    library.symlink_to("../target/debug/deps/libzmq.so")
    return library.parent, passed


def gssapi_of_libzmq():
    """The name of the system's library, if it has the mechanism."""
    try:
        return "libzmq.so.5" if Zmq("libzmq.so.5").has("gssapi") == 1 else None
    except OSError:
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", help="its directory")
    parser.add_argument("--cargo", default="cargo")
    parser.add_argument("--filter", default="", help="only what has this in its name")
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--side", nargs=3)
    parser.add_argument("--alone", type=int)
    parser.add_argument("--options", action="store_true")
    parser.add_argument("sign", nargs="?")
    arguments = parser.parse_args()
    if arguments.side:
        side, name, endpoint = arguments.side
        return run_side(arguments.library, name, side == "bind", endpoint)
    if arguments.alone is not None:
        return ALONE[arguments.alone][0](arguments.library)
    if arguments.options:
        return answers_to_options(arguments.library)

    lacking_to_build = [] if arguments.library else [*missing_to_build()]
    directory, rust_passed = arguments.library, True
    if not directory and not lacking_to_build:
        directory, rust_passed = build(arguments.cargo)
    lacking = missing() + lacking_to_build
    if lacking:
        nothing_without(lacking, "GSSAPI")
        return 0 if rust_passed else 1
    ours = Path(directory).resolve() / "libzmq.so.5"
    libzmq = gssapi_of_libzmq()
    skipped = 0
    with tempfile.TemporaryDirectory() as place:
        keys = KeyServer(place)
        try:
            cases = []
            for index, (function, env) in enumerate(ALONE):
                title = " ".join([function.__name__, *map("=".join, env.items())])
                cases.append((title, run_alone, (ours, index)))
            for name in SCENARIOS:
                for transport in ("tcp", OURS_ONLY.get(name)):
                    if transport:
                        title = f"{name} over {transport}"
                        cases.append((title, run_pair, (name, transport, ours, ours)))
            if libzmq:
                cases.append((answers_to_options.__name__, run_options, (ours, libzmq)))
                for name in SCENARIOS:
                    title = f"{name} from libzmq to us"
                    if name in LOST_BY_LIBZMQ:
                        print(f"SKIPPED {title}: libzmq loses the subscriptions")
                        skipped += 1
                    else:
                        cases.append((title, run_pair, (name, "tcp", ours, libzmq)))
                    title = f"{name} from us to libzmq"
                    cases.append((title, run_pair, (name, "tcp", libzmq, ours)))
            else:
                print("SKIPPED GSSAPI with libzmq: libzmq5 is not installed, or has none")
                skipped += 1
            cases = [case for case in cases if arguments.filter in case[0]]
            failed, outcomes = 0, {}
            with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
                ends = pool.map(lambda case: case[1](keys, *case[2]), cases)
                for (title, *_), said in zip(cases, ends):
                    if outcomes.get(title.split()[0]) != "failed":
                        outcomes[title.split()[0]] = "passed" if said is None else "failed"
                    if said is not None:
                        failed += 1
                        print(f"FAILED {title}\n{said.strip()[-3000:]}", flush=True)
        finally:
            keys.stop()
    if not arguments.filter:
        results.write("gssapi.py", outcomes)
    print(f"{len(cases) - failed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not rust_passed else 0


if __name__ == "__main__":
    raise SystemExit(main())
