"""The parts of a guest: releases of Debian, their packages, and the place of images."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
RECIPE = ("recipe.py", "build.py", "kernel.py", "packages.image")
IMAGE = HERE / "image"
"""Files for the image, by their path in it."""


@dataclass(frozen=True)
class Release:
    """A release of Debian: ``number`` is the users' name, ``suite`` apt's."""

    number: str
    suite: str
    hybrid: str
    """The kernel's command line for systemd's hybrid layout: named v1 hierarchies, and v2 for systemd itself."""
    more: tuple[str, ...] = ()
    """Packages that other releases lack, or have as a part of another package."""


RELEASES = {
    "12": Release("12", "bookworm", "systemd.unified_cgroup_hierarchy=0"),
    # From systemd 256 on the legacy layouts must be asked for twice.
    "13": Release(
        "13", "trixie", "systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1", ("docker-cli",)
    ),
}

PACKAGES = (HERE / "packages.image").read_text().split()
"""Packages that the integration and engines' suites need, and those of a host with systemd."""

KEPT_DRIVERS = {"virtio", "block", "char", "net", "md", "nvdimm", "input", "acpi", "rtc", "vhost", "firmware"}
KEPT_NETWORK = {
    *("bonding", "dummy.ko", "ifb.ko", "ipvlan", "macvlan.ko", "macvtap.ko", "net_failover.ko", "nlmon.ko", "tap.ko"),
    *("team", "tun.ko", "veth.ko", "virtio_net.ko", "vrf.ko", "vxlan", "wireguard", "netdevsim"),
}
"""Modules of the kernel: the rest of drivers/ is for hardware that no guest has, and takes four fifths of the space."""

EARLY_MODULES = [
    "crc32c_generic",
    "crc32c_intel",
    "virtio_pci",
    "virtio_blk",
    "virtio_console",
    "ext4",
    "9pnet_virtio",
    "9p",
]
"""Modules that the initramfs loads, with their dependencies: disks, ports for commands, the shared directory."""


def cache() -> Path:
    """The directory of images: never in the checkout, because they are made as root and outlive it."""
    if named := os.environ.get("PYRUNC_GUEST_CACHE"):
        return Path(named)
    if named := os.environ.get("XDG_CACHE_HOME"):
        return Path(named) / "pyrunc-guest"
    return Path("/var/cache/pyrunc-guest")


def image_files() -> list[Path]:
    return sorted(path for path in IMAGE.rglob("*") if path.is_file())


def image_hash(release: Release) -> str:
    """Returns a hash of all sources of the image, except the packages' versions, which are those of the build's day."""
    made_of = hashlib.sha256(repr(release).encode())
    for path in (*(HERE / name for name in RECIPE), *image_files()):
        made_of.update(f"{path.relative_to(HERE)} {path.stat().st_mode:o}\n".encode() + path.read_bytes())
    return made_of.hexdigest()[:16]


def image_directory(release: Release) -> Path:
    return cache() / f"debian{release.number}-{image_hash(release)}"
