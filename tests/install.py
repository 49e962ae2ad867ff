#!/usr/bin/env python3
# SPDX-License-Identifier: MPL-2.0
"""What `make install` puts into a directory works for who builds programs with it.

  install.py

The files and links; the header, and a link of every function, shared and static, with gcc and clang
as C and as C++; the examples built with pkg-config and with CMake, shared and static, after the whole
installation was moved elsewhere; `make uninstall`.
The last line is `N passed, N failed, N skipped`.
"""

import re
import shutil
import sys
from pathlib import Path

from checks import ROOT, Checks, make, output, run

WORK = ROOT / "build/install-test"
COMPILERS = [("gcc", "g++"), ("clang", "clang++")]
CPPZMQ = Path("/usr/include/zmq.hpp")
REQUEST_REPLY = "1 squared is 1\n2 squared is 4\n3 squared is 9\n"
PUBLISH_SUBSCRIBE = "weather: rain\nweather: sun\n"
HEADER_PROGRAM = """#include <zmq.h>
int main(void) { return ZMQ_VERSION != ZMQ_MAKE_VERSION(4, 3, 6) || zmq_errno() != 0; }
"""
FUNCTIONS_PROGRAM = """#define ZMQ_BUILD_DRAFT_API
#include <stdio.h>
#include <zmq.h>
typedef void function(void);
static function *const functions[] = {
%s};
int main(void)
{
    int found = 0;
    for (unsigned i = 0; i < sizeof functions / sizeof *functions; i++)
        found += functions[i] != NULL;
    printf("%%d\\n", found);
    return 0;
}
"""


def header_version():
    text = (ROOT / "include/zmq.h").read_text()
    return ".".join(re.findall(r"#define ZMQ_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", text))


def files_below(directory):
    return sorted(
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )


def library_globals(command, library):
    names = output([*command, library])
    return sorted(line.split()[2] for line in names.splitlines() if re.search(r" [A-TV-Z] ", line))


def test_files(checks, prefix, libdir):
    """libdir is relative to prefix. Manual pages have a test of their own."""
    real = f"libzmq.so.5.2.{header_version().split('.')[2]}"
    expected = [
        "include/zmq.h",
        "include/zmq_utils.h",
        f"{libdir}/cmake/ZeroMQ/ZeroMQConfig.cmake",
        f"{libdir}/cmake/ZeroMQ/ZeroMQConfigVersion.cmake",
        f"{libdir}/libzmq.a",
        f"{libdir}/libzmq.so",
        f"{libdir}/libzmq.so.5",
        f"{libdir}/{real}",
        f"{libdir}/pkgconfig/libzmq.pc",
    ]
    found = [name for name in files_below(prefix) if not name.startswith("share/man/")]
    checks.check(f"the files that are installed in {libdir}", found == sorted(expected), found)
    links = {name: (prefix / libdir / name).readlink() for name in ("libzmq.so", "libzmq.so.5")}
    checks.check(
        "the links", links == {"libzmq.so": Path("libzmq.so.5"), "libzmq.so.5": Path(real)}, links
    )
    dynamic = output(["readelf", "-d", prefix / libdir / real])
    checks.check("SONAME", "Library soname: [libzmq.so.5]" in dynamic, dynamic)
    shared = library_globals(["nm", "-D", "--defined-only"], prefix / libdir / real)
    static = library_globals(["nm", "-g", "--defined-only"], prefix / libdir / "libzmq.a")
    checks.check("the shared library exports the 97 functions", len(shared) == 97, shared)
    checks.check("the static library has the same symbols and no other", static == shared, static)


def test_header(checks, prefix, compilers, directory):
    """No warning of any kind, as C and as C++, with the draft part and without."""
    program = directory / "header.c"
    program.write_text(HEADER_PROGRAM)
    modes = [(compilers[0], "c", std) for std in ("c99", "c11", "gnu17")]
    modes += [(compilers[1], "c++", std) for std in ("c++98", "c++11", "c++20")]
    for compiler, language, std in modes:
        # zmq_ppoll has a sigset_t, which is POSIX's.
        for draft in ([], ["-DZMQ_BUILD_DRAFT_API", "-D_POSIX_C_SOURCE=200809L"]):
            command = [compiler, "-x", language, f"-std={std}", "-Wall", "-Wextra", "-Wpedantic"]
            command += ["-Wconversion", "-Werror", *draft, f"-I{prefix}/include", "-fsyntax-only"]
            checks.runs(" ".join(["zmq.h:", compiler, std, *draft]), [*command, program])


def functions():
    text = (ROOT / "include/zmq.h").read_text()
    return re.findall(r"^ZMQ_EXPORT [^(]*?(zmq_\w+)\(", text, re.M)


def test_functions(checks, prefix, libdir, compilers, directory):
    """A program with all functions links, as C and as C++, and finds all of them when it is run."""
    names = functions()
    checks.check("the header declares the 97 functions", len(set(names)) == 97, names)
    program = directory / "functions.c"
    rows = "".join(f"    (function *) {name},\n" for name in names)
    program.write_text(FUNCTIONS_PROGRAM % rows)
    search = {"PKG_CONFIG_PATH": prefix / libdir / "pkgconfig", "PKG_CONFIG_LIBDIR": None}
    # Each address is needed before main runs.
    for kind, options in (("", ["-Wl,-z,now"]), ("_static", ["-static"])):
        static = ["--static"] if kind else []
        command = ["pkg-config", "--cflags", "--libs", *static, "libzmq"]
        linked = output(command, environment=search).split()
        for compiler, language in zip(compilers, ("c", "c++")):
            built = directory / f"functions_{language}{kind}"
            command = [compiler, "-x", language, program, "-x", "none", "-o", built, *options]
            if checks.runs(f"{built.name}: {compiler}: build", [*command, *linked]):
                runs_with(checks, f"{built.name}: {compiler}", built, "97", prefix / libdir)


def runs_with(checks, title, program, expected, library_path=None):
    """The program runs and, unless it is static, has the installed library."""
    environment = {"LD_LIBRARY_PATH": library_path, "LD_PRELOAD": None}
    checks.runs(title, [program], expected, environment=environment)
    if "static" not in program.name:
        _, linked = run(["ldd", program], environment=environment)
        checks.check(f"{title}: library", f"{WORK}/" in linked.replace("/./", "/"), linked)


def test_pkg_config(checks, prefix, libdir, compilers, directory):
    search = {"PKG_CONFIG_PATH": prefix / libdir / "pkgconfig", "PKG_CONFIG_LIBDIR": None}
    version = output(["pkg-config", "--modversion", "libzmq"], environment=search)
    checks.check("pkg-config: version", version == header_version(), version)
    directory.mkdir(parents=True)
    names = ["request_reply", "request_reply_static"]
    if CPPZMQ.exists():
        names.append("publish_subscribe")
    else:
        checks.skip("publish_subscribe.cpp", "cppzmq-dev is not installed")
    command = ["make", "-s", "-C", ROOT / "examples", f"BUILD={directory}"]
    command += [f"CC={compilers[0]}", f"CXX={compilers[1]}"]
    for name in names:
        title = f"{name}: {compilers[0]}, pkg-config"
        if checks.runs(f"{title}: build", [*command, directory / name], environment=search):
            expected = PUBLISH_SUBSCRIBE if name == "publish_subscribe" else REQUEST_REPLY
            runs_with(checks, title, directory / name, expected, prefix / libdir)


def test_cmake(checks, prefix, compilers, directory):
    command = ["cmake", "-S", ROOT / "examples", "-B", directory, f"-DCMAKE_PREFIX_PATH={prefix}"]
    command += [f"-DCMAKE_C_COMPILER={compilers[0]}", f"-DCMAKE_CXX_COMPILER={compilers[1]}"]
    good = checks.runs(f"cmake: {compilers[0]}", command)
    if not good or not checks.runs("cmake --build", ["cmake", "--build", directory]):
        return
    expected = {"request_reply": REQUEST_REPLY, "request_reply_static": REQUEST_REPLY}
    if CPPZMQ.exists():
        expected["publish_subscribe"] = PUBLISH_SUBSCRIBE
    for name, lines in expected.items():
        runs_with(checks, f"{name}: {compilers[0]}, CMake", directory / name, lines)


CMAKE_VARIABLES = """cmake_minimum_required(VERSION 3.15)
project(variables C)
find_package(ZeroMQ 5 QUIET)
message(STATUS "five [${ZeroMQ_FOUND}]")
find_package(ZeroMQ REQUIRED)
find_package(ZeroMQ REQUIRED)
foreach(name ZeroMQ_FOUND ZeroMQ_VERSION ZeroMQ_INCLUDE_DIR ZeroMQ_LIBRARY ZeroMQ_STATIC_LIBRARY)
  message(STATUS "${name} [${${name}}]")
endforeach()
"""


def test_cmake_variables(checks, prefix, directory):
    directory.mkdir()
    (directory / "CMakeLists.txt").write_text(CMAKE_VARIABLES)
    said = output(["cmake", "-S", directory, "-B", directory / "build", f"-DZeroMQ_ROOT={prefix}"])
    real = f"{prefix}/lib/libzmq.so.5.2.{header_version().split('.')[2]}"
    for line in [
        "five [0]",
        "ZeroMQ_FOUND [1]",
        f"ZeroMQ_VERSION [{header_version()}]",
        f"ZeroMQ_INCLUDE_DIR [{prefix}/include]",
        f"ZeroMQ_LIBRARY [{real}]",
        f"ZeroMQ_STATIC_LIBRARY [{prefix}/lib/libzmq.a]",
    ]:
        checks.check(f"CMake: {line}", line in said, said)


def main():
    checks = Checks()
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)

    # As a package is put together: elsewhere than it will be used, with a directory of its own.
    stage, libdir = WORK / "stage", "lib/some-multiarch"
    arguments = [f"DESTDIR={stage}", "PREFIX=/usr", f"LIBDIR=/usr/{libdir}"]
    checks.check("make install DESTDIR=", *make("install", *arguments))
    test_files(checks, stage / "usr", libdir)
    found, mentions = run(["grep", "-rIl", WORK, stage])
    checks.check("no file names DESTDIR", not found, mentions)
    checks.check("make uninstall DESTDIR=", *make("uninstall", *arguments))
    checks.check("make uninstall leaves nothing", files_below(stage) == [], files_below(stage))

    # As a user does.
    prefix = WORK / "a/prefix"
    checks.check("make install", *make("install", f"PREFIX={prefix}"))
    test_files(checks, prefix, "lib")
    moved = WORK / "moved"
    shutil.copytree(prefix, moved, symlinks=True)
    for compilers in COMPILERS:
        if not all(map(shutil.which, compilers)):
            checks.skip(compilers[0], "is not installed")
            continue
        directory = WORK / compilers[0]
        test_pkg_config(checks, prefix, "lib", compilers, directory / "pkg-config")
        test_header(checks, prefix, compilers, directory)
        test_functions(checks, prefix, "lib", compilers, directory)
        if shutil.which("cmake"):
            test_cmake(checks, moved, compilers, directory / "cmake")
        else:
            checks.skip("CMake", "is not installed")
    if shutil.which("cmake"):
        test_cmake_variables(checks, moved, WORK / "variables")
    return checks.finish()


if __name__ == "__main__":
    sys.exit(main())
