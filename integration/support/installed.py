"""A copy of this checkout's pyrunc as `make install` makes it: its archives are not compared with sources at start."""

import shutil
import sys
import sysconfig
from pathlib import Path

from harness import PYRUNC, TOP


def copied(directory: Path) -> Path:
    """Makes a copy below ``directory`` without archives; returns its packages. Its program is DIRECTORY/bin/pyrunc."""
    packages = directory / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (directory / "bin").mkdir(parents=True)
    packages.mkdir(parents=True)
    shutil.copy(PYRUNC, directory / "bin" / "pyrunc")
    shutil.copytree(TOP / "pyrunc", packages / "pyrunc", ignore=shutil.ignore_patterns("__pycache__", "hot"))
    for other in Path(sysconfig.get_path("platlib")).glob("_*.so"):  # the extensions that pyrunc needs
        (packages / other.name).symlink_to(other)
    return packages


def installed(directory: Path) -> str:
    """Makes a copy with the archives of an installation and returns its program."""
    from pyrunc.fastpath.archive_build import build

    build(str(copied(directory) / "pyrunc" / "_bin" / "hot"), False)
    return str(directory / "bin" / "pyrunc")
