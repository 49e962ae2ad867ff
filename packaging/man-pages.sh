#!/bin/sh
# SPDX-License-Identifier: MPL-2.0
# man-pages.sh install|uninstall DIRECTORY PAGE...: copies the pages below DIRECTORY and makes a page
# that refers to it for every other name that the page's NAME section lists; or removes them.
set -eu
what=$1 directory=$2
shift 2
for page; do
    name=$(basename "$page")
    section=${name##*.}
    aliases=$(awk '/^\.Sh/ { in_name = $2 == "NAME" } in_name && /^\.Nm/ { print $2 }' "$page")
    if [ "$what" = install ]; then
        install -m 644 "$page" "$directory/man$section/$name"
    else
        rm -f "$directory/man$section/$name"
    fi
    for other in $aliases; do
        other=$other.$section
        [ "$other" != "$name" ] || continue
        if [ "$what" = install ]; then
            echo ".so man$section/$name" >"$directory/man$section/$other"
        else
            rm -f "$directory/man$section/$other"
        fi
    done
done
