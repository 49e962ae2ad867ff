#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""vsock and tipc on a kernel that has them: a virtual machine with Debian's.

  vm.py --library ../build/lib --scratch ../build/vm

c-tests/test_other_transports over this library and, where installed, over libzmq, on a machine
without an address in tipc and, from then on, with one. Needs qemu-system-x86, busybox-static and
iproute2; gets a kernel by apt-get download. The machine is emulated; all of it takes about a minute.
The last line is `N passed, N failed, N skipped`.
"""

import argparse
import gzip
import re
import shutil
import stat
from pathlib import Path

from checks import ROOT, Checks, nothing_without, output, run

PROGRAM = ROOT / "c-tests/build/test_other_transports"
MODULES = ["udp_tunnel", "ip6_udp_tunnel", "tipc", "vsock", "vmw_vsock_virtio_transport_common"]
MODULES += ["vsock_loopback"]
QEMU = "qemu-system-x86_64"
NEEDED = {QEMU: "qemu-system-x86", "busybox": "busybox-static", "tipc": "iproute2"}
SECONDS = 300
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t devtmpfs none /dev
mkdir /dev/shm
mount -t tmpfs none /dev/shm
ip link set lo up
for module in {modules}; do insmod /modules/$module.ko; done
cd /tmp
for place in none 1.0.1; do
    [ $place = none ] || tipc node set address $place
    for library in /libraries/*; do
        echo "== ${{library#/libraries/}}, place $place"
        reference=
        [ $library = /libraries/system ] && reference=--reference
        LD_LIBRARY_PATH=$library /program $reference
    done
done
echo "== end"
poweroff -f
"""


def kernel(scratch):
    """The image, and where its modules are. Downloaded once."""
    if not list(scratch.glob("kernel/boot/vmlinuz-*")):
        depends = output(["apt-cache", "depends", "linux-image-amd64"])
        package = re.search(r"linux-image-\S+-amd64$", depends, re.M)
        output(["apt-get", "download", package[0]], cwd=scratch)
        [archive] = scratch.glob("linux-image-*.deb")
        output(["dpkg-deb", "-x", archive, scratch / "kernel"])
        archive.unlink()
    [image] = scratch.glob("kernel/boot/vmlinuz-*")
    return image, scratch / "kernel/lib/modules"


def libraries_of(binary):
    """What the dynamic linker loads for it, by its path in the machine."""
    return set(re.findall(r"(?:=> )?(/\S+) \(0x", output(["ldd", binary])))


def files(library, modules):
    """(path in the machine, its content) of all files there, the programs among them."""
    yield "init", INIT.format(modules=" ".join(MODULES)).encode()
    programs = {"bin/busybox": "busybox", "bin/tipc": "tipc"}
    programs = {inside: Path(shutil.which(name)) for inside, name in programs.items()}
    programs |= {"program": PROGRAM, "libraries/ours/libzmq.so.5": library / "libzmq.so.5"}
    found = re.search(r"libzmq\.so\.5 .*=> (\S+)", output(["/sbin/ldconfig", "-p"]))
    if found:
        programs["libraries/system/libzmq.so.5"] = Path(found[1])
    needed = set()
    for inside, path in programs.items():
        yield inside, path.read_bytes()
        if inside != "bin/busybox":
            needed |= {Path(each) for each in libraries_of(path)}
    for path in sorted(needed):
        if not path.name.startswith("libzmq"):
            yield str(path)[1:], path.read_bytes()
    for name in MODULES:
        [path] = modules.glob(f"*/kernel/**/{name}.ko")
        yield f"modules/{name}.ko", path.read_bytes()


def entry(name, mode, content=b""):
    """A file in the archive of a ramdisk (cpio, newc)."""
    fields = [0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
    return head + bytes(-len(head) % 4) + content + bytes(-len(content) % 4)


def ramdisk(contents):
    parts, folders = [], {""}
    for name, content in [("proc/", b""), ("dev/", b""), ("tmp/", b""), *contents]:
        for parent in reversed(list(Path(name + "x").parents)):
            folder = str(parent).lstrip(".")
            if folder not in folders:
                folders.add(folder)
                parts.append(entry(folder, stat.S_IFDIR | 0o755))
        if not name.endswith("/"):
            parts.append(entry(name, stat.S_IFREG | 0o755, content))
    parts.append(entry("TRAILER!!!", 0))
    return gzip.compress(b"".join(parts), 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, required=True)
    arguments = parser.parse_args()
    missing = [package for program, package in NEEDED.items() if not shutil.which(program)]
    if missing:
        return nothing_without(missing, "vsock and tipc in a virtual machine")
    arguments.scratch.mkdir(parents=True, exist_ok=True)
    image, modules = kernel(arguments.scratch)
    disk = arguments.scratch / "ramdisk.gz"
    disk.write_bytes(ramdisk(files(arguments.library, modules)))
    command = [QEMU, "-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", "1024", "-nographic"]
    command += ["-no-reboot", "-kernel", image, "-initrd", disk]
    command += ["-append", "console=ttyS0 quiet panic=-1"]
    _, said = run(command, seconds=SECONDS)

    checks = Checks()
    where = ""
    for line in said.splitlines():
        line = line.strip()
        # What the firmware printed may stand ahead of the first one.
        section = re.search(r"== (.*)", line)
        result = re.match(r"(not )?ok \d+ - (\S+)(?: # SKIP (.*))?", line)
        if section:
            where = section[1]
        elif result and result[3]:
            checks.skip(f"{where}: {result[2]}", result[3])
        elif result:
            checks.check(f"{where}: {result[2]}", not result[1], said)
    checks.check("the machine came to its end", where == "end", said)
    return checks.finish()


if __name__ == "__main__":
    raise SystemExit(main())
