#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Answers the HTTP requests that condure passes on by ZHTTP, until SIGTERM; tests/programs.py runs it.

  zhttp_handler.py ENDPOINT

A message is a "T" and a tnetstring: the length, a colon, the data, and a character for its kind. The
answer has the request's URI and body. Prints the library that it has.
"""

import re
import signal
import sys
from pathlib import Path

import zmq


def encode(value):
    if isinstance(value, int):
        data, kind = b"%d" % value, b"#"
    elif isinstance(value, bytes):
        data, kind = value, b","
    elif isinstance(value, dict):
        data, kind = b"".join(encode(part) for pair in value.items() for part in pair), b"}"
    else:
        data, kind = b"".join(map(encode, value)), b"]"
    return b"%d:%s%s" % (len(data), data, kind)


def decode(text):
    """(the value that the text begins with, the rest)"""
    size, rest = text.split(b":", 1)
    data, kind, rest = rest[: int(size)], rest[int(size) : int(size) + 1], rest[int(size) + 1 :]
    if kind == b"#":
        return int(data), rest
    if kind == b"!":
        return data == b"true", rest
    if kind == b",":
        return data, rest
    if kind == b"~":
        return None, rest
    parts = []
    while data:
        part, data = decode(data)
        parts.append(part)
    return dict(zip(parts[::2], parts[1::2])) if kind == b"}" else parts, rest


def main():
    (endpoint,) = sys.argv[1:]
    maps = Path("/proc/self/maps").read_text()
    print(" ".join({found[0] for found in re.finditer(r"/\S*/libzmq[^/\s]*\.so\S*", maps)}), flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    socket = zmq.Context().socket(zmq.REP)
    socket.linger = 0
    socket.connect(endpoint)
    while True:
        request, _ = decode(socket.recv()[1:])
        body = request[b"uri"] + b" " + request.get(b"body", b"")
        reply = {b"id": request[b"id"], b"code": 200, b"reason": b"OK", b"headers": [], b"body": body}
        socket.send(b"T" + encode(reply))


if __name__ == "__main__":
    main()
