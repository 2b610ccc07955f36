"""Builds the image of a guest: Debian by mmdebstrap, its kernel, and a disk with this checkout, built for it."""

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kernel import install_modules, unpack_kernel, write_initramfs
from recipe import IMAGE, PACKAGES, TOP, Release, cache, image_directory

KERNEL = "cd / && apt-get download -qq $(apt-cache depends linux-image-amd64 | sed -n 's/.*Depends: //p') && mv linux-image-*.deb kernel.deb"

# Of Debian's services only those are masked that cost seconds of a boot under emulation and that no test uses.
SETUP = """
    useradd --create-home --shell /bin/bash --uid 1000 user
    useradd --create-home --shell /bin/bash --uid 1001 other
    chmod 755 /home/user
    echo 'user ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/user
    mkdir -p /var/lib/systemd/linger /srv/pyrunc && touch /var/lib/systemd/linger/user
    ln -s /srv/pyrunc/.venv/bin/pyrunc /usr/local/bin/pyrunc
    echo guest >/etc/hostname && echo '127.0.0.1 localhost guest' >/etc/hosts
    systemctl enable --quiet pyrunc-guest
    systemctl disable --quiet docker.service docker.socket containerd.service podman.service podman.socket \\
        podman-restart.service podman-auto-update.service podman-auto-update.timer
    systemctl mask --quiet apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \\
        e2scrub_reap.service fstrim.timer getty@tty1.service serial-getty@ttyS0.service apparmor.service \\
        nftables.service podman-clean-transient.service systemd-binfmt.service systemd-firstboot.service \\
        systemd-sysusers.service systemd-update-utmp.service systemd-update-utmp-runlevel.service \\
        modprobe@drm.service modprobe@dm_mod.service modprobe@efi_pstore.service modprobe@loop.service
    touch /etc/.updated /var/.updated
    rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/* /usr/share/doc /usr/share/man /usr/share/locale
"""
UNUSED = ("doc", "man", "locale", "info")


def run(*words: str | Path, env: dict[str, str] | None = None) -> None:
    strings = [str(word) for word in words]
    status = subprocess.run(strings, env=env, stdin=subprocess.DEVNULL).returncode
    if status:
        sys.exit(f"guest: {strings[0]} failed with status {status}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Allows one builder at a time; the others use its result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def make_disk(output: Path, tree: Path, size: str) -> None:
    """Makes an ext4 filesystem from ``tree``, without a journal, because each boot discards its changes."""
    partial = output.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    run("mkfs.ext4", "-q", "-O", "^has_journal", "-E", "root_owner=0:0", "-d", tree, partial, size)
    partial.rename(output)


def drop_unused_images(release: Release, days: float = 14) -> None:
    """Removes images of ``release`` that were not booted for ``days``, because each takes 2 GB."""
    for directory in cache().glob(f"debian{release.number}-*/"):
        if time.time() - directory.stat().st_mtime > days * 86400:
            with locked(directory.with_suffix(".lock")):
                shutil.rmtree(directory)


def build_image(release: Release) -> Path:
    """Returns the directory of the release's image; builds the image if it does not exist."""
    directory = image_directory(release)
    with locked(directory.with_suffix(".lock")):
        if (directory / "disk").exists():
            os.utime(directory)
            return directory
        drop_unused_images(release)
        print(f"guest: building Debian {release.number} in {directory}", flush=True)
        shutil.rmtree(directory, ignore_errors=True)
        tree = directory / "tree"
        directory.mkdir(parents=True)
        options = ["--variant=minbase", "--mode=root", f"--include={','.join([*PACKAGES, *release.more])}", "--quiet"]
        # An interrupted build starts anew, so dpkg need not sync the disk after each file.
        options += [
            '--aptopt=Acquire::Languages "none"',
            "--dpkgopt=force-unsafe-io",
            *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in UNUSED),
        ]
        # No services are started in the chroot; initramfs-tools would build an archive that is never booted.
        options += ['--essential-hook=printf "#!/bin/sh\\nexit 101\\n" >"$1/usr/sbin/policy-rc.d"']
        options += ['--essential-hook=chmod 755 "$1/usr/sbin/policy-rc.d"']
        options += [f'--customize-hook=chroot "$1" sh -c {shlex.quote(KERNEL)}']
        options += [f'--customize-hook=cp -r --preserve=mode {IMAGE}/. "$1"']
        options += [f'--customize-hook=chroot "$1" sh -euc {shlex.quote(SETUP)}']
        # In separate namespaces: if the build is killed, its processes and mounts end with it.
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        run(*unshare, "mmdebstrap", *options, release.suite, tree)
        version, image = install_modules(tree / "kernel.deb", tree)
        (tree / "kernel.deb").unlink()
        unpack_kernel(image, directory / "vmlinux")
        write_initramfs(directory / "initramfs", tree, tree / "usr/lib/modules" / version)
        make_disk(directory / "disk", tree, "16G")
        shutil.rmtree(directory / "kernel")
    return directory


def sources(checkout: Path) -> list[Path]:
    """Returns the files of a checkout, including uncommitted ones, relative to the checkout."""
    words = ["git", "-C", str(checkout), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout.split("\0")
    return sorted({Path(name) for name in names if name and (checkout / name).is_file()})


def checkout_hash(checkout: Path, files: list[Path]) -> str:
    made_of = hashlib.sha256()
    for path in files:
        made_of.update(f"{path} {(checkout / path).stat().st_mode:o}\n".encode() + (checkout / path).read_bytes())
    return made_of.hexdigest()[:16]


def copy_sources(checkout: Path, files: list[Path], copy: Path) -> None:
    """Synchronizes ``copy`` with ``files``; unchanged files keep their times, so that make builds only what changed."""
    manifest = copy / ".guest-files"
    before = set(manifest.read_text().split("\0")) if manifest.exists() else set()
    for gone in before - {str(path) for path in files}:
        (copy / gone).unlink(missing_ok=True)
    for path in files:
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        same = (copy / path).is_file() and (copy / path).read_bytes() == (checkout / path).read_bytes()
        if not same:
            shutil.copyfile(checkout / path, copy / path)
            # mkfs keeps whole seconds only, and an archive of hot modules is of sources of exactly its time.
            now = int(time.time())
            os.utime(copy / path, (now, now))
        shutil.copymode(checkout / path, copy / path)
    manifest.write_text("\0".join(str(path) for path in files))


# In a separate mount namespace: the image's tree stays unchanged, and no mount is left. The host names and the
# certificates that pip needs come from this host.
CHROOT = """
    mount --bind "$2" "$1/srv/pyrunc"
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    for scratch in tmp root run; do mount -t tmpfs tmpfs "$1/$scratch"; done
    for own in /etc/resolv.conf /etc/ssl/certs/ca-certificates.crt; do
        [ ! -e $own ] || mount --bind $own "$1$own"
    done
    mkdir -p "$1/root/.cache" "$3" && mount --bind "$3" "$1/root/.cache"
    exec chroot "$1" sh -euc 'cd /srv/pyrunc && make -s setup bundles/busybox/rootfs/.made bundles/plain/rootfs/.made'
"""


def build_checkout(release: Release, image: Path, checkout: Path = TOP) -> Path:
    """Makes a disk with the checkout, built outside by the guest's compiler and Python: inside it takes minutes."""
    place = image / "checkouts" / hashlib.sha256(str(checkout).encode()).hexdigest()[:16]
    with locked(place.with_suffix(".lock")):
        files = sources(checkout)
        disk = place / f"{checkout_hash(checkout, files)}.disk"
        if disk.exists():
            return disk
        print(f"guest: building {checkout} for Debian {release.number}", flush=True)
        copy = place / "pyrunc"
        copy.mkdir(parents=True, exist_ok=True)
        copy_sources(checkout, files, copy)
        kept = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}
        kept |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy") or "PIP_" in name}
        kept.pop("PIP_FIND_LINKS", None)  # A directory of this host.
        run(
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "sh",
            "-euc",
            CHROOT,
            "sh",
            image / "tree",
            copy,
            image / "pip",
            env=kept,
        )
        for old in place.glob("*.disk"):
            old.unlink()
        make_disk(disk, copy, "4G")
    return disk
