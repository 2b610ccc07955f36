#!/bin/sh
# Removes the files that install.sh installed below PREFIX ($1), and nothing else.
set -eu
prefix=$1
list=$prefix/lib/pyrunc/installed
[ -e "$list" ] || { echo "pyrunc: nothing is installed below $prefix" >&2; exit 1; }
while read -r file; do
    rm -f "$prefix/$file"
done <"$list"
rm -rf "$prefix/lib/pyrunc"
