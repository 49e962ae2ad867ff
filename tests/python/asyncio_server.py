#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""A server with pyzmq's asyncio, or its clients; tests/programs.py runs both.

  asyncio_server.py server|clients DIRECTORY TRANSPORT

Many tasks in each: the server answers requests by several tasks that share a ROUTER, and publishes
what it answered; the clients are REQ sockets that ask and SUB sockets that listen, each with a task
of its own. Prints the library that it has.
"""

import asyncio
import re
import sys
from pathlib import Path

import zmq
import zmq.asyncio

SECONDS = 60
WORKERS = 8
CLIENTS = 40
REQUESTS = 25
SUBSCRIBERS = 10
NAMES = ["requests", "news"]


def library():
    maps = Path("/proc/self/maps").read_text()
    return " ".join({found[0] for found in re.finditer(r"/\S*/libzmq[^/\s]*\.so\S*", maps)})


async def server(context, directory, transport):
    router, publisher = context.socket(zmq.ROUTER), context.socket(zmq.XPUB)
    for socket, name in zip((router, publisher), NAMES):
        socket.linger = SECONDS * 1000
        wildcard = {"tcp": "tcp://127.0.0.1:*", "ipc": f"ipc://{directory}/{name}.socket"}
        socket.bind(wildcard[transport])
        (directory / f"{name}.part").write_bytes(socket.last_endpoint.rstrip(b"\0"))
        (directory / f"{name}.part").rename(directory / name)
    topics = set()
    while len(topics) < SUBSCRIBERS:
        topics.add(await publisher.recv())
    answered, done = 0, asyncio.Event()

    async def worker():
        nonlocal answered
        while True:
            *envelope, number = await router.recv_multipart()
            await asyncio.sleep(0)
            await router.send_multipart([*envelope, b"%d" % int(number) ** 2])
            await publisher.send_multipart([b"%d." % (int(number) % SUBSCRIBERS), number])
            answered += 1
            if answered == CLIENTS * REQUESTS:
                done.set()

    workers = [asyncio.create_task(worker()) for _ in range(WORKERS)]
    waiting = asyncio.create_task(done.wait())
    await asyncio.wait([waiting, *workers], return_when=asyncio.FIRST_COMPLETED)
    for task in workers:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    await publisher.send(b"end")
    router.close()
    publisher.close()


async def client(context, endpoint, first):
    """Asks for the squares of the numbers from first on."""
    socket = context.socket(zmq.REQ)
    socket.connect(endpoint)
    for number in range(first, first + REQUESTS):
        await socket.send(b"%d" % number)
        reply = await socket.recv()
        assert int(reply) == number**2, (number, reply)
    socket.close()


async def subscriber(context, endpoint, topic):
    """Hears of all numbers that end in this digit, and of the end."""
    socket = context.socket(zmq.SUB)
    socket.rcvhwm = 0
    socket.subscribe(b"%d." % topic)
    socket.subscribe(b"end")
    socket.connect(endpoint)
    poller = zmq.asyncio.Poller()
    poller.register(socket, zmq.POLLIN)
    heard = set()
    while True:
        assert dict(await poller.poll()) == {socket: zmq.POLLIN}
        parts = await socket.recv_multipart()
        if parts == [b"end"]:
            break
        assert parts[0] == b"%d." % topic, parts
        heard.add(int(parts[1]))
    assert heard == set(range(topic, CLIENTS * REQUESTS, SUBSCRIBERS)), len(heard)
    socket.close()


async def clients(context, directory, transport):
    while not all((directory / name).exists() for name in NAMES):
        await asyncio.sleep(0.01)
    requests, news = ((directory / name).read_text() for name in NAMES)
    tasks = [subscriber(context, news, topic) for topic in range(SUBSCRIBERS)]
    tasks += [client(context, requests, index * REQUESTS) for index in range(CLIENTS)]
    await asyncio.gather(*tasks)


def main():
    role, directory, transport = sys.argv[1:]
    context = zmq.asyncio.Context()
    run = {"server": server, "clients": clients}[role]
    asyncio.run(asyncio.wait_for(run(context, Path(directory), transport), SECONDS))
    print(library())
    context.term()


if __name__ == "__main__":
    main()
