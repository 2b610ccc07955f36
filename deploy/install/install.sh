#!/bin/sh
# Installs pyrunc below PREFIX ($2), staged into DESTDIR ($3) if given, with the interpreter $1: a separate environment
# under lib/pyrunc, the commands in bin, man pages, completion. lib/pyrunc/installed lists the files, for
# uninstall.sh.
set -eu
python=$1 prefix=$2 root=${3:-}
home=$root$prefix/lib/pyrunc
rm -rf "$home"
mkdir -p "$home" "$root$prefix/bin"
"$python" -m venv "$home"
"$home/bin/python" -m pip install --quiet --disable-pip-version-check .
"$home/bin/python" -m pip uninstall --quiet --yes pip setuptools >/dev/null 2>&1 || true
: >"$home/installed"
for name in pyrunc containerd-shim-pyrunc-v1; do
    [ -e "$home/bin/$name" ] || continue
    ln -sfn "../lib/pyrunc/bin/$name" "$root$prefix/bin/$name"
    echo "bin/$name" >>"$home/installed"
done
# The pages are made in a temporary directory first, so that the list of their files is known.
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
(cd / && "$home/bin/python" - "$made") <deploy/install/manual.py
(cd "$made" && find share -type f) | while read -r file; do
    mkdir -p "$root$prefix/${file%/*}"
    cp "$made/$file" "$root$prefix/$file"
    chmod 644 "$root$prefix/$file"
    echo "$file" >>"$home/installed"
done
