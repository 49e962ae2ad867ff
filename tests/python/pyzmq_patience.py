# SPDX-License-Identifier: MPL-2.0
"""A plugin of pytest for pyzmq's tests: the tests of logging subscribe over tcp and publish at once.

Over libzmq, too, the message may come before the subscription has; on a busy machine over this
library more often, because the kernel then runs the thread that reads it on the core of the thread
that wrote it. So after subscribing these tests wait.
"""

import time

import pytest
import zmq

SECONDS = 0.2


@pytest.fixture(autouse=True)
def patience(request, monkeypatch):
    if not request.node.nodeid.startswith("tests/test_log.py"):
        return
    original = zmq.Socket.setsockopt

    def setsockopt(self, option, value):
        original(self, option, value)
        if option == zmq.SUBSCRIBE:
            time.sleep(SECONDS)

    monkeypatch.setattr(zmq.Socket, "setsockopt", setsockopt)
