#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""The Debian packages take the place of libzmq5 and libzmq3-dev in systems of their own.

  deb.py

One is a Debian with programs that need libzmq, made by mmdebstrap (debian.py): apt puts the packages
in the place of libzmq's and back, programs run before and after. It takes root, mmdebstrap, and the
way to Debian's packages.
The other is a directory with dpkg's database, in which packages with the names, versions and files
that matter stand for the C library, libzmq's two packages, and a program and a package for
developers that depend on them. dpkg checks dependencies and conflicts as it does anywhere. Then a
program is built against what is installed there, and run. Needs no root.
The last line is `N passed, N failed, N skipped`.
"""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import debian
import programs
from checks import ROOT, Checks, make, output, reserved_ports, run

WORK = ROOT / "build/deb-test"
PACKAGES = ROOT / "build/deb"
OURS = {"ferrozmq-libzmq5", "ferrozmq-libzmq-dev"}


def stand_in(name, version, fields="", files=()):
    """A package with these files, empty each."""
    tree = WORK / "stand-ins" / name
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture()}\nMulti-Arch: same\n"
        f"Maintainer: nobody <nobody@localhost>\nDescription: stands for {name}\n{fields}"
    )
    for file in files:
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        (tree / file).touch()
    package = WORK / f"{name}.deb"
    output(["dpkg-deb", "--root-owner-group", "--build", tree, package])
    return package


def architecture():
    return output(["dpkg", "--print-architecture"])


def dpkg(root, *arguments):
    command = ["dpkg", f"--root={root}", "--force-script-chrootless", "--log=/dev/null"]
    if os.getuid() != 0:
        command = ["fakeroot", *command, "--force-not-root"]
    # ldconfig, for the trigger of the C library, is in /sbin.
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return run([*command, *arguments], environment={"PATH": path, "DPKG_ROOT": None})


def installed(root):
    _, said = dpkg(root, "-l")
    return {line.split()[1].split(":")[0] for line in said.splitlines() if line.startswith("ii ")}


def version_here(package):
    return output(["dpkg-query", "-W", "-f", "${Version}", package])


def new_system(libdir):
    """With libzmq installed, and who needs it."""
    root = WORK / "root"
    for directory in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"):
        (root / directory).mkdir(parents=True)
    for file in ("status", "available"):
        (root / "var/lib/dpkg" / file).touch()
    library = [f"{libdir}/libzmq.so.5", f"{libdir}/libzmq.so.5.2.4"]
    headers = ["usr/include/zmq.h", f"{libdir}/libzmq.so", f"{libdir}/pkgconfig/libzmq.pc"]
    packages = [
        stand_in("libc6", version_here("libc6")),
        stand_in("libgcc-s1", version_here("libgcc-s1")),
        stand_in("libzmq5", "4.3.4-6", files=library),
        stand_in("libzmq3-dev", "4.3.4-6", "Depends: libzmq5 (= 4.3.4-6)\n", headers),
        stand_in("some-program", "1", "Depends: libzmq5 (>= 4.0.1+dfsg)\n"),
        stand_in("cppzmq-dev", "4.9.0-1", "Depends: libzmq3-dev\n", ["usr/include/zmq.hpp"]),
    ]
    good, said = dpkg(root, "--install", *packages)
    if not good:
        raise RuntimeError(said)
    return root


def test_fields(checks, package, expected):
    fields = output(["dpkg-deb", "--field", package])
    for field in expected:
        checks.check(f"{package.name}: {field}", re.search(rf"^{field}", fields, re.M), fields)


def test_contents(checks, package, expected):
    listing = output(["dpkg-deb", "--contents", package])
    for name in expected:
        checks.check(f"{package.name}: {name}", f" ./{name}" in listing, listing)
    owners = {line.split()[1] for line in listing.splitlines()}
    checks.check(f"{package.name}: belongs to root", owners == {"root/root"}, owners)


def build(checks, root, libdir, program):
    """Whether an example was built with what is installed below root."""
    search = {
        "PKG_CONFIG_SYSROOT_DIR": root,
        "PKG_CONFIG_LIBDIR": root / libdir / "pkgconfig",
        "PKG_CONFIG_PATH": None,
    }
    (WORK / program).unlink(missing_ok=True)
    command = ["make", "-s", "-C", ROOT / "examples", f"BUILD={WORK}", WORK / program]
    return checks.runs(f"build {program}", command, environment=search)


def test_program(checks, root, libdir):
    if build(checks, root, libdir, "request_reply"):
        environment = {"LD_LIBRARY_PATH": root / libdir, "LD_PRELOAD": None}
        _, linked = run(["ldd", WORK / "request_reply"], environment=environment)
        checks.check("the library that is found", f"{root}/{libdir}" in linked, linked)
        checks.runs("run", [WORK / "request_reply"], "3 squared is 9", environment=environment)


def test_stand_ins(checks, libdir, library, development):
    root = new_system(libdir)
    # libzmq3-dev holds on to its libzmq5 until it goes, too; apt also tells dpkg to let go.
    arguments = ["--auto-deconfigure", "--install", library, development]
    checks.check("installing both packages", *dpkg(root, *arguments))
    here = installed(root)
    others = {"some-program", "cppzmq-dev", "libc6", "libgcc-s1"}
    checks.check("libzmq's packages have gone and the others stay", here == OURS | others, here)
    checks.check("nothing is missing", *dpkg(root, "--audit"))
    test_program(checks, root, libdir)
    good, said = dpkg(root, "--remove", *OURS)
    checks.check("what others need cannot be removed", not good and "some-program" in said, said)
    checks.check("removing all", *dpkg(root, "--purge", *OURS, "some-program", "cppzmq-dev"))
    left = [str(path) for path in root.glob("usr/**/*zmq*")]
    checks.check("removing leaves nothing", not left, left)


def apt_changes(checks, system, title, *arguments):
    """Runs apt-get; gives the names of the packages that came, and of those that went."""
    before = system.packages()
    checks.check(title, *system.run("apt-get", "-qq", "--yes", "-oDpkg::Use-Pty=0", *arguments))
    checks.check(f"{title}: dependencies are satisfied", *system.run("apt-get", "check"))
    after = system.packages()
    return after - before, before - after


def libzmq_of(process):
    """The libzmq that a process in any root has."""
    maps = Path(f"/proc/{process.process.pid}/maps").read_text()
    return " ".join(sorted(set(re.findall(r"/\S*/libzmq[^/\s]*", maps))))


def test_debian_programs(checks, system, file):
    """Debian's pyzmq, and condure with a handler over that; file is the library they should have."""
    python = "import zmq; print(zmq.zmq_version()); print(open('/proc/self/maps').read())"
    good, said = system.run("python3", "-c", python)
    checks.check(f"python3-zmq runs over {file}", good and f"/{file}\n" in said, said)
    temporary = tempfile.TemporaryDirectory(dir=system.root / "tmp")
    with temporary as place, reserved_ports(1) as (port,):
        endpoint = f"ipc:///tmp/{Path(place).name}/requests"
        condure = ["condure", "--listen", f"127.0.0.1:{port},req", "--zclient-req", endpoint]
        processes = [
            programs.Process(system.inside(command), None)
            for command in (condure, ["python3", "/srv/zhttp_handler.py", endpoint])
        ]
        try:
            good, said = programs.web_session(port), ""
        except OSError as error:
            good, said = False, str(error)
        files = [libzmq_of(process) for process in processes]
        for process in processes:
            process.process.terminate()
        said += "\n".join(process.finish()[1] for process in processes)
        good = good and all(name.endswith(f"/{file}") for name in files)
        checks.check(f"condure runs over {file}", good, f"{files}\n{said}")


def test_debian(checks, libdir, library, development):
    try:
        debian.prepare()
    except debian.Unavailable as reason:
        return checks.skip("packages in a Debian system", f"{reason}; stand-ins only")
    system = debian.System(WORK / "debian")
    here = system.packages()
    (theirs,) = (system.root / libdir).glob("libzmq.so.5.*")
    checks.check("libzmq is there", set(debian.LIBZMQ + debian.PROGRAMS) <= here, here)
    system.copy(ROOT / "tests/python/zhttp_handler.py", "/srv")
    test_debian_programs(checks, system, theirs.name)

    packages = [f"/srv/{package.name}" for package in (library, development)]
    for package in (library, development):
        system.copy(package, "/srv")
    change = apt_changes(checks, system, "apt installs both packages", "install", *packages)
    checks.check("they replace libzmq's, nothing else", change == (OURS, set(debian.LIBZMQ)), change)
    checks.check("dpkg --verify", *system.run("dpkg", "--verify", *OURS))
    checks.check("dpkg --audit", system.run("dpkg", "--audit") == (True, ""))
    (ours,) = (system.root / libdir).glob("libzmq.so.5.*")
    test_debian_programs(checks, system, ours.name)
    # Built outside with what is installed inside: Debian's C++ binding, too.
    for program, says in (("request_reply", "3 squared is 9"), ("publish_subscribe", "sun")):
        if build(checks, system.root, libdir, program):
            system.copy(WORK / program, "/srv")
            good, said = system.run(f"/srv/{program}")
            checks.check(f"{program} runs inside", good and says in said, said)

    good, said = system.run("dpkg", "--purge", *OURS)
    checks.check("what others need cannot be removed", not good and "condure" in said, said)
    files = [f"{debian.DOWNLOADS}/{name}" for name in os.listdir(system.root / debian.DOWNLOADS[1:])]
    change = apt_changes(checks, system, "apt goes back to libzmq", "install", *files)
    checks.check("libzmq's replace them, nothing else", change == (set(debian.LIBZMQ), OURS), change)
    test_debian_programs(checks, system, theirs.name)
    apt_changes(checks, system, "apt installs both packages again", "install", *packages)
    _, gone = apt_changes(checks, system, "apt purges them", "purge", *OURS)
    checks.check("with who needs them", gone == OURS | set(debian.PROGRAMS), gone)
    left = [str(path) for path in system.root.glob("usr/**/*zmq*")]
    checks.check("purging leaves nothing", not left, left)


def main():
    needed = ["dpkg", "dpkg-deb", "dpkg-gencontrol", "dpkg-shlibdeps", "pkg-config"]
    needed += [] if os.getuid() == 0 else ["fakeroot"]
    missing = [tool for tool in needed if not shutil.which(tool)]
    checks = Checks()
    if missing:
        checks.skip("Debian packages", f"not installed: {', '.join(missing)}")
        return checks.finish()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    libdir = f"usr/lib/{output(['dpkg-architecture', '-qDEB_HOST_MULTIARCH'])}"
    if not checks.check("make deb", *make("deb")):
        return checks.finish()
    (library,) = PACKAGES.glob("ferrozmq-libzmq5_*.deb")
    (development,) = PACKAGES.glob("ferrozmq-libzmq-dev_*.deb")

    version = r"4\.3\.\d+"
    test_fields(
        checks,
        library,
        [rf"Provides: libzmq5 \(= {version}\)", "Conflicts: libzmq5", "Replaces: libzmq5",
         r"Depends: libc6 \(>= 2\.\d+\), libgcc-s1"],
    )
    test_fields(checks, development, [rf"Provides: libzmq3-dev \(= {version}\)", "Depends: ferro"])
    test_contents(checks, library, [f"{libdir}/libzmq.so.5 -> libzmq.so.5.2."])
    test_contents(
        checks,
        development,
        ["usr/include/zmq.h", f"{libdir}/libzmq.a", f"{libdir}/libzmq.so -> libzmq.so.5",
         f"{libdir}/cmake/ZeroMQ/ZeroMQConfig.cmake", f"{libdir}/pkgconfig/libzmq.pc",
         "usr/share/man/man3/zmq_send.3.gz", "usr/share/man/man3/zmq_msg_send.3.gz -> zmq_send",
         "usr/share/man/man7/zmq_tcp.7.gz"],
    )

    test_stand_ins(checks, libdir, library, development)
    test_debian(checks, libdir, library, development)
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
