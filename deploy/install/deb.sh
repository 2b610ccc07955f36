#!/bin/sh
# Builds a Debian package of this checkout in dist/, with the interpreter $1 (the distribution's own): the environment
# with pyrunc's packages is below /usr/lib/pyrunc, and depends on that interpreter.
set -eu
python=$1
version=$("$python" -c 'import runpy; print(runpy.run_path("pyrunc/version.py")["VERSION"])')
release=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
architecture=$(dpkg --print-architecture)
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
chmod 755 "$stage"
sh deploy/install/install.sh "$python" /usr "$stage"
home=$stage/usr/lib/pyrunc
# Removes the environment's references to the directory in which it was made.
rm -f "$home"/bin/activate* "$home"/bin/Activate.ps1
find "$home/bin" -type f ! -name pyrunc ! -name 'containerd-shim-*' -delete
find "$home" -name __pycache__ -prune -exec rm -rf {} +
"$python" -m compileall -q -s "$stage" "$home/lib" >/dev/null || true
sed -i "s#$stage##g" "$home/pyvenv.cfg"
find "$stage/usr/share/man" -type f -exec gzip -9n {} +
rm -f "$home/installed"
mkdir -p "$stage/DEBIAN" dist
cat >"$stage/DEBIAN/control" <<EOF
Package: pyrunc
Version: $version
Architecture: $architecture
Maintainer: The pyrunc authors <pyrunc@localhost>
Depends: python$release, libpython$release, libseccomp2, libcap2, libc6
Recommends: uidmap, criu
Section: admin
Priority: optional
Description: OCI runtime for Linux, a drop-in for runc
 Runs containers as the OCI runtime specification describes them, under containerd, CRI, Docker, Podman and buildah;
 and shows, tests and proves what happens when a hostile library is loaded into a container's start.
EOF
dpkg-deb --root-owner-group --build "$stage" "dist/pyrunc_${version}_${architecture}.deb" >/dev/null
echo "dist/pyrunc_${version}_${architecture}.deb"
