#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# build.sh RESULTS: what `make install` installs, as the two Debian packages of the control file
# beside this script, with Debian's own tools (dpkg-dev). Needs no root.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p "$1"
results=$(cd "$1" && pwd)
work=$results/work
rm -rf "$work" "$results"/*.deb
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)-1
zmq_version=$(sed -n 's/^.define ZMQ_VERSION_M[AI][JN]OR *//p; s/^.define ZMQ_VERSION_PATCH *//p' \
    include/zmq.h | paste -sd.)
architecture=$(dpkg-architecture -qDEB_HOST_ARCH)
libdir=/usr/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)
: "${SOURCE_DATE_EPOCH:=$(git log -1 --format=%ct 2>/dev/null || date +%s)}"
export SOURCE_DATE_EPOCH

library=$work/debian/ferrozmq-libzmq5 development=$work/debian/ferrozmq-libzmq-dev
# What is built already: the environment of this script must not have Cargo build it anew.
"${MAKE:-make}" --no-print-directory install CARGO= DESTDIR="$development" PREFIX=/usr LIBDIR="$libdir"
mkdir -p "$library$libdir"
mv "$development$libdir"/libzmq.so.* "$library$libdir"
find "$development/usr/share/man" -type f ! -exec grep -q '^\.so ' {} \; -exec gzip -9n {} +
for page in $(grep -rl '^\.so ' "$development/usr/share/man"); do
    ln -s "$(sed 's/^\.so man[0-9]\///' "$page").gz" "$page.gz"
    rm "$page"
done

cp packaging/debian/control "$work/debian"
cat >"$work/debian/changelog" <<CHANGELOG
ferrozmq ($version) unstable; urgency=medium

  * See CHANGELOG.md.

 -- ferrozmq developers <ferrozmq@localhost>  $(date -uRd "@$SOURCE_DATE_EPOCH")
CHANGELOG
cd "$work"
for tree in "$library" "$development"; do
    package=$(basename "$tree")
    documentation=$tree/usr/share/doc/$package
    mkdir -p "$tree/DEBIAN" "$documentation"
    cp "$OLDPWD/LICENSE" "$documentation/copyright"
    gzip -9n <debian/changelog >"$documentation/changelog.Debian.gz"
    gzip -9n <"$OLDPWD/CHANGELOG.md" >"$documentation/changelog.gz"
    substitutions=debian/$package.substvars
    echo "zmq:Version=$zmq_version" >"$substitutions"
    if [ "$tree" = "$library" ]; then
        # Who is linked to it needs libzmq5, whoever provides it.
        echo "libzmq 5 libzmq5 (>= $zmq_version)" >"$tree/DEBIAN/shlibs"
        echo "activate-noawait ldconfig" >"$tree/DEBIAN/triggers"
        dpkg-shlibdeps -T"$substitutions" "$tree$libdir"/libzmq.so.5.*
    fi
    (cd "$tree" && find usr -type f -exec md5sum {} + | sort -k 2 >DEBIAN/md5sums)
    find "$tree" -type d -exec chmod 755 {} +
    find "$tree" -type f -exec chmod 644 {} +
    dpkg-gencontrol -p"$package" -P"$tree" -T"$substitutions" -v"$version"
    dpkg-deb --root-owner-group -Zxz -z3 --build "$tree" \
        "$results/${package}_${version}_$architecture.deb"
done
rm -rf "$work"
