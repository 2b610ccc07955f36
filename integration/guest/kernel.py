"""The guest's kernel: unpacked, so that PVH starts it without its own decompressor, and a minimal initramfs."""

import lzma
import shutil
import stat
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from recipe import EARLY_MODULES, KEPT_DRIVERS, KEPT_NETWORK

FORMATS = {
    b"\x1f\x8b": ["gzip", "-dc"],
    b"\xfd7zXZ": ["xz", "-dc"],
    b"\x28\xb5\x2f\xfd": ["zstd", "-dc"],
    b"\x02\x21\x4c\x18": ["lz4", "-dc"],
}
"""The first bytes of a payload, and the command that unpacks it."""

INIT = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read module; do insmod /modules/$module; done </modules/order
for try in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vdb ] && break; sleep 0.1; done
mount -t ext4 -o noatime /dev/vda /root || exec sh
mount -t ext4 -o noatime /dev/vdb /root/srv/pyrunc
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 share /root/mnt
umount /proc /sys
mount --move /dev /root/dev
exec switch_root /root /sbin/init
"""


def unpack_kernel(image: Path, output: Path) -> None:
    """Writes the ELF file inside of a bzImage (Documentation/arch/x86/boot.rst: payload_offset, payload_length)."""
    content = image.read_bytes()
    setup = (content[0x1F1] or 4) + 1
    offset, length = struct.unpack_from("<II", content, 0x248)
    payload = content[setup * 512 + offset :][:length]
    command = next(command for magic, command in FORMATS.items() if payload.startswith(magic))
    # The last 4 bytes are the unpacked size. They are gzip's own trailer; the other formats must not see them.
    payload = payload if command[0] == "gzip" else payload[:-4]
    output.write_bytes(subprocess.run(command, input=payload, stdout=subprocess.PIPE, check=True).stdout)


def install_modules(package: Path, tree: Path) -> tuple[str, Path]:
    """Installs the modules of a kernel's package that a guest can use into ``tree``; returns its version and bzImage.

    The modules are unpacked, because decompression takes seconds under emulation.
    """
    unpacked = tree.parent / "kernel"
    shutil.rmtree(unpacked, ignore_errors=True)
    subprocess.run(["dpkg-deb", "-x", str(package), str(unpacked)], check=True)
    (modules,) = [*unpacked.glob("lib/modules/*"), *unpacked.glob("usr/lib/modules/*")]
    drivers = modules / "kernel" / "drivers"
    for directory in (drivers, drivers / "net"):
        kept = KEPT_DRIVERS if directory == drivers else KEPT_NETWORK
        for found in directory.iterdir():
            if found.name.removesuffix(".xz") not in kept:
                shutil.rmtree(found) if found.is_dir() else found.unlink()
    for unused in ("sound", "arch/x86/kvm"):
        shutil.rmtree(modules / "kernel" / unused, ignore_errors=True)
    for compressed in modules.rglob("*.ko.xz"):
        compressed.with_suffix("").write_bytes(lzma.decompress(compressed.read_bytes()))
        compressed.unlink()
    shutil.copytree(modules, tree / "usr/lib/modules" / modules.name, symlinks=True)
    subprocess.run(["chroot", str(tree), "depmod", modules.name], check=True)
    (image,) = unpacked.glob("boot/vmlinuz-*")
    return modules.name, image


def load_order(modules: Path) -> list[Path]:
    """Returns the files of `EARLY_MODULES` and all their dependencies, each after its dependencies (modules.dep(5))."""
    needs: dict[str, list[str]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        module, _, needed = line.partition(":")
        needs[module] = needed.split()
    order: list[str] = []
    for name in EARLY_MODULES:
        path = next((path for path in needs if Path(path).stem.replace("-", "_") == name), None)
        # Not found: the module is built in. modules.dep lists dependencies with the innermost last.
        for needed in [*reversed(needs[path]), path] if path else []:
            if needed not in order:
                order.append(needed)
    return [modules / path for path in order]


def entries(tree: Path, modules: Path) -> Iterator[tuple[str, int, bytes]]:
    """Yields path, mode and content of each file of the initramfs."""
    for directory in ("bin", "modules", "proc", "sys", "dev", "root"):
        yield directory, stat.S_IFDIR | 0o755, b""
    yield "bin/busybox", stat.S_IFREG | 0o755, (tree / "usr/bin/busybox").read_bytes()
    for applet in ("sh", "mount", "umount", "insmod", "sleep", "switch_root"):
        yield f"bin/{applet}", stat.S_IFLNK | 0o777, b"busybox"
    order = load_order(modules)
    for path in order:
        yield f"modules/{path.name}", stat.S_IFREG | 0o644, path.read_bytes()
    yield "modules/order", stat.S_IFREG | 0o644, "".join(f"{path.name}\n" for path in order).encode()
    yield "init", stat.S_IFREG | 0o755, INIT.encode()


def write_initramfs(output: Path, tree: Path, modules: Path) -> None:
    """Writes an archive in cpio's newc format (Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def padded(content: bytes) -> bytes:
        return content + bytes(-len(content) % 4)

    with output.open("wb") as archive:
        for number, (name, mode, content) in enumerate([*entries(tree, modules), ("TRAILER!!!", 0, b"")], 1):
            fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
            header = b"070701" + b"".join(b"%08X" % field for field in fields)
            archive.write(padded(header + name.encode() + b"\0") + padded(content))
