#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""Starts a Jupyter kernel, has it compute, interrupts it, ends it; tests/programs.py runs this.

  jupyter.py tcp|ipc|curve

curve is tcp with keys that the client's side makes and gives the kernel. Client and kernel are two processes that share five connections: DEALER and ROUTER for requests and
for control, PUB and SUB for what the kernel prints, REQ and REP for its heartbeat, ROUTER and DEALER
for what it asks. Prints the library that each has.
"""

import queue
import re
import sys
import tempfile
from pathlib import Path

import zmq
from jupyter_client.manager import KernelManager

SECONDS = 60


def library(process):
    maps = Path(f"/proc/{process}/maps").read_text()
    return " ".join({found[0] for found in re.finditer(r"/\S*/libzmq[^/\s]*\.so\S*", maps)})


def published(client, request, *kinds):
    """What a request leads to, of these kinds, until the kernel is idle again."""
    found = []
    while True:
        message = client.get_iopub_msg(timeout=SECONDS)
        if message["parent_header"].get("msg_id") != request:
            continue
        if message["msg_type"] in kinds:
            found.append(message["content"])
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return found


def reply(client, request):
    """What the kernel answered to a request."""
    while True:
        message = client.get_shell_msg(timeout=SECONDS)
        if message["parent_header"].get("msg_id") == request:
            return message["content"]


def check(title, good, *details):
    if not good:
        raise AssertionError(f"{title}: {details}")
    print(f"ok {title}", flush=True)


def session(manager, client):
    client.wait_for_ready(timeout=SECONDS)

    request = client.execute("print('hello'); 6 * 7")
    printed, result = published(client, request, "stream", "execute_result")
    check("output", printed == {"name": "stdout", "text": "hello\n"}, printed)
    check("result", result["data"]["text/plain"] == "42", result)
    answer = reply(client, request)
    check("reply", answer["status"] == "ok", answer)

    request = client.execute("print('x' * 1_000_000)")
    text = "".join(content["text"] for content in published(client, request, "stream"))
    check("a megabyte of output", text == "x" * 1_000_000 + "\n", len(text))

    request = client.execute("name = input('who? ')", allow_stdin=True)
    asked = client.get_stdin_msg(timeout=SECONDS)
    check("the kernel asks", asked["content"]["prompt"] == "who? ", asked)
    client.input("nobody")
    reply(client, request)
    request = client.execute("name")
    (result,) = published(client, request, "execute_result")
    check("it has the answer", result["data"]["text/plain"] == "'nobody'", result)

    request = client.execute("import time\nprint('sleeping')\ntime.sleep(600)")
    while True:
        message = client.get_iopub_msg(timeout=SECONDS)
        if message["msg_type"] == "stream" and "sleeping" in message["content"]["text"]:
            break
    check("heartbeat", client.is_alive() and client.hb_channel.is_beating())
    manager.interrupt_kernel()
    answer = reply(client, request)
    check("interrupt", answer.get("ename") == "KeyboardInterrupt", answer)

    request = client.execute("6 * 9")
    (result,) = published(client, request, "execute_result")
    check("it goes on", result["data"]["text/plain"] == "54", result)
    try:
        client.get_stdin_msg(timeout=0)
        check("no more questions", False)
    except queue.Empty:
        pass


def main():
    (how,) = sys.argv[1:]
    with tempfile.TemporaryDirectory() as directory:
        manager = KernelManager(kernel_name="python3", transport="ipc" if how == "ipc" else "tcp")
        if how == "ipc":
            manager.ip = f"{directory}/kernel"
        if how == "curve":
            manager.transport_encryption = "required"
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        mechanism = client.shell_channel.socket.mechanism
        try:
            check("mechanism", mechanism == (zmq.CURVE if how == "curve" else zmq.NULL), mechanism)
            session(manager, client)
            print("client:", library("self"))
            print("kernel:", library(manager.provisioner.pid))
            manager.shutdown_kernel()
            check("shutdown", not manager.is_alive())
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.context.term()


if __name__ == "__main__":
    main()
