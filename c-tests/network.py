# SPDX-License-Identifier: MPL-2.0
"""A network namespace (network_namespaces(7)) for each thing that a thread runs.

Programs that run at the same time otherwise share the machine's ports: a client that goes on
connecting reaches whoever was given the port of its server next. The only interface is lo. Takes
root, or a system on which anybody may make user namespaces.
"""

import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys

# From <sched.h>, <linux/sockios.h> and <net/if.h>.
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1

libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags):
    if libc.unshare(flags) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


def become_able():
    """Lets this process make network namespaces; before it has a second thread."""
    if os.geteuid() == 0:
        return
    # A user namespace in which everybody is who they were: the programs notice nothing of it.
    ids = {"uid_map": os.geteuid(), "gid_map": os.getegid()}
    unshare(CLONE_NEWUSER)
    with open("/proc/self/setgroups", "w") as file:
        file.write("deny")
    for name, number in ids.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(f"{number} {number} 1")


def enter_own():
    """The calling thread, and what it starts from now on, gets a network of its own."""
    unshare(CLONE_NEWNET)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


def why_not():
    """Why there are no namespaces to be had here, or None. Tried out in another process: there is
    no way back out of a user namespace."""
    tried = subprocess.run([sys.executable, __file__], capture_output=True, text=True)
    return None if tried.returncode == 0 else tried.stderr.strip().splitlines()[-1]


if __name__ == "__main__":
    become_able()
    enter_own()
