#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Writes inputs made by hand into corpus/TARGET, for the fuzzer to begin with.

  seeds.py [DIRECTORY]      corpus beside this file by default

What is there already stays. The layout of an input is what the target reads: see fuzz_targets.
"""

import hashlib
import pathlib
import struct
import sys

SOCKET_TYPES = (
    "PAIR PUB SUB REQ REP DEALER ROUTER PULL PUSH XPUB XSUB STREAM SERVER CLIENT RADIO DISH GATHER "
    "SCATTER DGRAM PEER CHANNEL"
).split()


def u16(number):
    return struct.pack(">H", number)


def u64(number):
    return struct.pack(">Q", number)


def chunk(data):
    return bytes([len(data)]) + data


def long_chunk(data):
    return u16(len(data)) + data


def greeting(mechanism, revision=3, minor=1):
    start = b"\xff" + u64(1) + b"\x7f" + bytes([revision, minor])
    return (start + mechanism).ljust(64, b"\0") if revision >= 2 else start


def frame(body, flags=4):
    if len(body) > 255:
        return bytes([flags | 2]) + u64(len(body)) + body
    return bytes([flags, len(body)]) + body


def prop(name, value):
    return chunk(name) + struct.pack(">I", len(value)) + value


def properties(socket_type, routing_id=b""):
    return prop(b"Socket-Type", socket_type) + prop(b"Identity", routing_id)


def local(socket_type, options=0):
    return bytes([SOCKET_TYPES.index(socket_type), options])


NO_HANDLER = b"\0"
SILENCE = b"\1"
ZAP = 0x20


def answer(status=200, user=b"user", metadata=b""):
    kind = {200: 6, 300: 2, 400: 3, 500: 4}[status]
    return bytes([kind]) + chunk(user) + chunk(metadata)


def websocket(body, masked, opcode=0x82, flags=0):
    payload = (bytes([flags]) if opcode == 0x82 else b"") + body
    bit = 0x80 if masked else 0
    if len(payload) <= 125:
        head = bytes([opcode, bit | len(payload)])
    else:
        head = bytes([opcode, bit | 126]) + u16(len(payload))
    if not masked:
        return head + payload
    key = b"\x10\x20\x30\x40"
    return head + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def zmtp_greeting_handshake():
    ready = frame(b"\5READY" + properties(b"DEALER", b"id"))
    settings = u16(7) + b"\0"
    for minor in (0, 1):
        yield local("ROUTER") + NO_HANDLER + settings + long_chunk(greeting(b"NULL", 3, minor)) + ready
    for reply in (answer(), answer(400), SILENCE, NO_HANDLER):
        yield local("ROUTER", ZAP) + reply + settings + long_chunk(greeting(b"NULL")) + ready
    for revision in (0, 1):
        hello = greeting(b"", revision, 5)
        body = b"\x03\0me" if revision == 0 else b"\0\2me"
        yield local("ROUTER") + NO_HANDLER + settings + long_chunk(hello) + body
    yield local("PUB") + NO_HANDLER + settings + long_chunk(b"\3\0me") + b"\2\0\1"
    yield local("ROUTER") + NO_HANDLER + settings + long_chunk(greeting(b"PLAIN")) + ready
    error = frame(b"\5ERROR" + chunk(b"400"))
    yield local("ROUTER") + NO_HANDLER + settings + long_chunk(greeting(b"NULL")) + error
    # The target's own greeting and READY.
    yield local("REP") + NO_HANDLER + u16(9) + b"\x05\1" + long_chunk(prop(b"Socket-Type", b"REQ"))


def plain():
    server, client = b"\0", b"\1" + chunk(b"admin") + chunk(b"secret")
    hello = frame(b"\5HELLO" + chunk(b"admin") + chunk(b"secret"))
    initiate = frame(b"\x08INITIATE" + properties(b"DEALER"))
    first, last = long_chunk(greeting(b"PLAIN") + hello), initiate
    for reply in (answer(), answer(300), answer(400), answer(500), SILENCE, NO_HANDLER):
        yield local("ROUTER", ZAP) + reply + u16(3) + server + first + long_chunk(last)
    yield local("ROUTER") + answer() + u16(3) + server + first + long_chunk(last)
    ready = frame(b"\5READY" + properties(b"ROUTER"))
    for command in (ready, frame(b"\5ERROR\3300"), frame(b"\x5eRROR\3400")):
        yield (
            local("DEALER")
            + NO_HANDLER
            + u16(3)
            + client
            + long_chunk(greeting(b"PLAIN") + frame(b"\7WELCOME"))
            + long_chunk(command)
        )


def curve():
    for mode in range(8):
        for kind in ("PAIR", "ROUTER", "XPUB"):
            metadata = prop(b"X-More", b"value")
            texts = b"\0\0" + long_chunk(metadata)
            rules = b"\x10"
            traffic = b"".join(
                [
                    b"\0" + b"\xa1" + chunk(b"one"),
                    b"\0" + b"\xa0" + chunk(b"two"),
                    b"\0" + b"\x80" + chunk(b"\0\x0acontext"),
                    b"\0" + b"\x82" + chunk(b"topic"),
                    b"\0" + b"\xc0" + u16(0x3000) + b"\x07",
                    b"\xc1" + b"\xa0" + chunk(b"changed") + u16(40) + b"\1",
                ]
            )
            yield local(kind) + NO_HANDLER + bytes([mode]) + u16(5) + texts + rules + traffic
            yield local(kind, ZAP) + answer() + bytes([mode]) + u16(5) + texts + rules + traffic
    hello = frame(b"\5HELLO".ljust(200, b"\1"))
    yield local("ROUTER") + NO_HANDLER + b"\0" + u16(1) + long_chunk(hello)


def gssapi():
    ready = long_chunk(properties(b"DEALER", b"id"))
    rules = b"\x10"
    traffic = b"".join(
        how + step
        for how, step in (
            (b"\1", b"\xa0" + chunk(b"one")),
            (b"\0", b"\xa8" + chunk(b"two")),
            (b"\2", b"\x80" + chunk(b"\0\x0acontext")),
            (b"\2", b"\x82" + chunk(b"topic")),
            (b"\4", b"\xa0" + chunk(b"topic")),
            (b"\x38", b"\xa0" + chunk(b"topic")),
            (b"\0", b"\xc0" + u16(0x3000) + b"\7"),
            (b"\x10", b"\xa0" + chunk(b"changed") + u16(11) + b"\1"),
        )
    )
    ends = (b"\x50" + b"\xa0" + chunk(b"short") + u16(20), b"\x90\xa0\0", b"\xd0\xa0\0", b"")
    # Which side, sealed or plain, how much of it the target does by itself.
    for mode in range(32):
        for steps in (1, 2, 3, 0x12, 0x0A, 0x0D):
            context = bytes([steps]) + chunk(b"alice@REALM")
            rest = ready if mode >> 2 > 3 else b""
            more = rules + traffic if mode >> 2 == 7 else long_chunk(frame(b"")) + frame(b"\5READY")
            yield local("ROUTER") + NO_HANDLER + bytes([mode]) + u16(5) + context + rest + more
    context = b"\2" + chunk(b"alice@REALM")
    for reply in (answer(), answer(300), answer(400), answer(500), SILENCE, NO_HANDLER):
        yield local("ROUTER", ZAP) + reply + b"\x1c" + u16(5) + context + ready + rules + traffic
    for end in ends:
        start = local("XPUB") + NO_HANDLER + b"\x1c" + u16(5) + context
        yield start + long_chunk(properties(b"SUB")) + rules + traffic[:40] + end
    for token in (b"\5\4\2\xff", b"\x60\x0f\6\1\x2a\2\1\x11\0\x10\0", b"\2\1\x11\0\xff\xff"):
        for command in (b"\x08INITIATE", b"\7MESSAGE", b"\5ERROR"):
            body = command + struct.pack(">I", len(token)) + token
            flights = long_chunk(frame(body)) + long_chunk(token) + frame(b"")
            yield local("DEALER") + NO_HANDLER + b"\0" + u16(5) + context + flights


def http_upgrade():
    masked = {0: True, 1: False}
    for side in (0, 1):
        for choice in (2, 6, 10):
            for headers in (b"", b"Cookie: a=b\r\n", b"Sec-WebSocket-Extensions: x\r\n"):
                ready = websocket(b"\5READY" + properties(b"DEALER"), masked[side], flags=2)
                ping = websocket(b"x", masked[side], 0x89)
                settings = u16(11) + bytes([side | choice]) + long_chunk(headers)
                for frames in (b"", ready, ping + ready, websocket(b"id", masked[side])):
                    yield local("ROUTER") + NO_HANDLER + settings + long_chunk(b"") + frames


def zap():
    good = prop(b"Role", b"admin") + prop(b"Empty", b"")
    yield b"\x02" + chunk(b"global") + chunk(b"u") + chunk(b"p") + long_chunk(good)
    yield b"\x82" + chunk(b"global") + chunk(b"u") + chunk(b"p") + long_chunk(good[:-2])
    frames = [b"", b"1.0", b"1", b"500", b"text", b"user"]
    for count in range(7):
        rest = b"".join(chunk(part) for part in frames[count:] + [good])
        yield bytes([count << 2 | min(7 - count, 7) << 5]) + chunk(b"") * 3 + rest


def metadata():
    for index, kind in enumerate(SOCKET_TYPES):
        yield bytes([index]) + properties(kind.encode(), b"id")
    yield b"\5" + properties(b"ROUTER") + prop(b"X-Name", b"one") + prop(b"X-Name", b"two\0three")
    yield b"\5" + properties(b"REQ") + prop(b"\xff", b"")


def steps():
    """Frames and commands, whole ones and claims."""
    return [
        b"\xa0" + chunk(b"hello"),
        b"\xa1" + chunk(b"part") + b"\xa0" + chunk(b""),
        b"\xa8" + chunk(b"short and yet with eight bytes of length"),
        b"\x80" + chunk(b"\0\x05context") + b"\xa0" + chunk(b"x"),
        b"\x82" + chunk(b"topic") + b"\x83" + chunk(b"topic"),
        b"\x84" + chunk(b"group") + b"\x85" + chunk(b"group"),
        b"\xa1" + chunk(b"group") + b"\xa0" + chunk(b"body"),
        b"\x86" + chunk(b"\3400"),
        b"\xc0" + u16(300) + b"\1",
        b"\xc1" + u16(0x2100) + b"\2" + b"\xe0" + u16(0x100) + b"\3",
        b"\xe8" + u16(0x200) + b"\4",
        b"\x60" + chunk(b"x") + u64(1 << 62),
        b"\x68" + chunk(b"") + u64(0xFFFFFFFFFFFFFFFF),
        b"\x1f" + b"\0\1x\4\5\4PING\1\2",
        b"\xa1" + chunk(b"\0\0\0\1") + b"\xa1" + chunk(b"") + b"\xa0" + chunk(b"reply"),
    ]


def zmtp_traffic():
    for rules in (0, 0x10, 0x20, 0x11, 0x08, 0x0C, 0x40, 0x80):
        for framing in (0, 1, 2, 0x5A):
            for step in steps():
                yield bytes([rules, framing]) + u16(33) + step
            yield bytes([rules, framing]) + u16(33) + b"".join(steps())


def zws():
    for rules in (0, 0x10, 0x20, 0x09):
        for side in (0, 1, 0x58):
            controls = b"".join(bytes([0x40 | kind]) + chunk(b"payload") for kind in (1, 2, 0, 3, 4))
            for step in steps():
                yield bytes([rules, side]) + u16(33) + b"\xc0" + step
            yield bytes([rules, side]) + u16(33) + controls
            yield bytes([rules, side]) + u16(33) + b"\xb8" + chunk(b"x") + u64(1 << 62)


def round_trip():
    for framing in range(16):
        for settings in (0, 5, 15):
            yield bytes([framing, settings]) + b"".join(steps())


def rope():
    append = [b"\0\0\3", b"\0\1\5", b"\0\2\7", b"\0\x10\3", b"\0\x18" + u16(0x2000), b"\0\x8c"]
    for choice in (0, 1, 2):
        yield bytes([choice]) + b"".join(append) + b"\5\x38\x38"
        take = b"\x05" + b"\xf8" if choice != 1 else b"\x03" + b"\xff\x10\0" + b"\x7f\x00\x40" * 9
        yield bytes([choice]) + b"".join(step + take for step in append)
        yield bytes([choice]) + b"\0\1\5\x07\x04\x0f\x0d\x0e\xff" + b"".join(append)


def endpoint():
    for text in (
        b"inproc://name",
        b"ipc:///tmp/socket",
        b"ipc://@abstract",
        b"ipc://*",
        b"ipc://" + b"x" * 120,
        b"tcp://127.0.0.1:5555",
        b"tcp://*:*",
        b"tcp://eth0:1",
        b"tcp://[::1%lo]:80",
        b"tcp://[fe80::1%2]:0",
        b"tcp://0.0.0.0:0;example.org:65536",
        b"tcp://127.0.0.1:99;10.0.0.1:5",
        b"tls://example.org:443",
        b"ws://*:8080/path/a:b?c",
        b"wss://[::1]:1/",
        b"udp://239.0.0.1:5555",
        b"udp://eth0;239.0.0.1:5555",
        b"udp://[::1];[ff02::1]:5555",
        b"tipc://{5560,0,3}",
        b"tipc://{5560, 1}@1.2.3",
        b"tipc://<1.2.3:4>",
        b"tipc://<*>",
        b"vsock://2:1234",
        b"vsock://*:*",
        b"vsock://@:-1",
        b"pgm://a:1",
        b"://",
        b"tcp:/x",
    ):
        for calls in (0, 1):
            yield bytes([0, calls]) + text


def options():
    for kind in range(21):
        yield bytes([kind]) + b"".join(bytes([0, row]) + b"\0\0\0\1\0\4" for row in range(110))
    # Text, keys, bytes, numbers of any size.
    for step, value in ((4, chunk(b"127.0.0.1/8")), (4, chunk(b"k" * 40)), (2, u64(1)), (3, u16(255))):
        yield b"\5" + b"".join(bytes([step, row]) + value + b"\x20" for row in range(110))
    yield b"\xff" + b"".join(bytes([4, row]) + b"\0\0\0\1" * 2 for row in range(32))
    yield b"\xff" + b"".join(bytes([0x84, row]) + chunk(b"\1\0\0\0") for row in range(32))


def socks():
    reply = b"\5\0\0"
    for host in (b"\0", b"\1" + u64(1), b"\2" + u16(11)):
        for user in (chunk(b""), chunk(b"user")):
            start = host + u16(80) + user + chunk(b"secret") + u16(3)
            yield start + b"\5\0" + reply + b"\1\x7f\0\0\1\0\x50more"
            yield start + b"\5\2\1\0" + reply + b"\4" + bytes(18)
            yield start + b"\5\0" + reply + b"\3" + chunk(b"example.org") + b"\0\x50"
            yield start + b"\5\0\5\5\0\1"


def tls_records():
    data = lambda text, padding=0: bytes([padding << 4]) + chunk(text)
    answer = b"\x0a" + chunk(b"answer")
    update, asking = b"\x04", b"\x14"
    traffic = data(b"one") + answer + data(b"two", 3) + data(b"")
    steps = [
        traffic + b"\x11" + u16(16384) + u16(0) + b"\x11" + u16(100) + u16(16284),
        traffic + b"\x01" + u16(16385) + u16(0) + data(b"late"),
        update + data(b"new") + asking + asking + answer + b"\x24" + b"\x74" + data(b"x") + answer,
        b"\x05" + b"\x15" + data(b"behind tickets") + b"\x35" * 3,
        b"\x09\x21\0" + chunk(b"") + data(b"behind nothing"),
        b"\x09\x20\0" + chunk(b"") + data(b"behind nothing"),
        b"\x09\x21\1" + chunk(b"\x18\0\0\1\0"),
        b"\x09\5\2" + chunk(b"\1\x5a"),
        b"\x12\x17\3\1" + chunk(b"older") + data(b"x"),
        b"\x12\x17\2\0" + chunk(b"oldest") + data(b"x"),
        b"\x07" + chunk(b"\x14\3\3\0\1\1") + data(b"x"),
        b"\x07" + chunk(b"\x17\3\3\x48\1") + data(b"x"),
        b"\x08" + u16(9) + b"\1" + chunk(b"changed") + data(b"x"),
        b"\x08" + u16(2) + b"\1" + chunk(b"changed") + data(b"x"),
        b"\x06\x0d" + u16(3) + chunk(b"\0\0\0") + data(b"x"),
        b"\x16\4" + u16(0xFFFF) + chunk(b"\0" * 200) + b"\x02\x16" + chunk(b"\0" * 200),
        b"\x0c" + data(b"x") + b"\x0d\x0c" + data(b"y"),
        b"\x02\x14" + chunk(b"\1") + data(b"x"),
        b"\x12\0\3\3" + chunk(b"") + data(b"x"),
        b"\x02\0" + chunk(b"typed by its end\x17") + data(b"x"),
    ]
    steps += [b"\x03" + bytes(alert) + data(b"x") for alert in ((1, 0), (2, 40), (1, 90), (1, 100))]
    for choice in (0, 1, 12, 13):
        for number, step in enumerate(steps):
            suite = choice + 4 * (number % 3)
            yield bytes([suite, number & 11]) + u16(number) + u16(1 << number % 15) + step
        yield bytes([choice, 4]) + u16(7) + u16(1000) + u16(90) + b"\1" + traffic
    hello = bytes.fromhex("160301002d01000029") + b"\3\3" + bytes(32) + bytes.fromhex("00000213010100")
    for start in (hello, b"\x16\3\1\xff\xff", b"\x15\3\3\0\2\2\x28", b"GET / HTTP/1.1\r\n\r\n"):
        yield b"\2\1" + u16(1) + u16(1) + start
        yield b"\3\1" + u16(1) + u16(1) + start


def datagram():
    yield chunk(b"group") + b"body"
    yield chunk(b"")
    yield b"\x09short"
    for text in (b"127.0.0.1:5555", b"[::1]:80", b"[fe80::1%2]:7", b"1.2.3.4:x", b"::1:5", b"host:1"):
        yield b"\0" + text
        yield b"\1" + text + b"\0"


def z85():
    yield b"HelloWorld"
    yield bytes.fromhex("864fd26fb559f75b")
    yield b"#####"
    yield b"%nSc0"
    yield b"\xff" * 32
    yield b"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"


TARGETS = [
    curve,
    datagram,
    endpoint,
    gssapi,
    http_upgrade,
    metadata,
    options,
    plain,
    rope,
    round_trip,
    socks,
    tls_records,
    z85,
    zap,
    zmtp_greeting_handshake,
    zmtp_traffic,
    zws,
]


def main():
    here = pathlib.Path(__file__).parent
    corpus = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else here / "corpus"
    for target in TARGETS:
        directory = corpus / target.__name__
        directory.mkdir(parents=True, exist_ok=True)
        for data in target():
            (directory / hashlib.sha1(data).hexdigest()).write_bytes(data)


if __name__ == "__main__":
    main()
