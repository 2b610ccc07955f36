"""Checks programs around pyrunc: CRIU, the engines and whether their configuration names pyrunc, and the fast path."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from pyrunc.hostcheck.rows import LIMITED, NO, YES, Row

CONTAINERS = (
    *("/etc/containers/containers.conf", "/etc/containers/containers.conf.d"),
    *("~/.config/containers/containers.conf", "~/.config/containers/containers.conf.d"),
)
ENGINES: dict[str, tuple[str, ...]] = {
    "podman": (
        "/etc/containers/containers.conf",
        "/etc/containers/containers.conf.d",
        "~/.config/containers/containers.conf",
    ),
    "buildah": ("/etc/containers/containers.conf", "~/.config/containers/containers.conf"),
    "dockerd": ("/etc/docker/daemon.json", "~/.config/docker/daemon.json"),
    "containerd": ("/etc/containerd/config.toml", "/etc/containerd/conf.d"),
    "crio": ("/etc/crio/crio.conf", "/etc/crio/crio.conf.d"),
}
"""{engine: files and directories that configure its runtimes}."""


def rows() -> list[Row]:
    """Returns rows for CRIU, the fast path, and each engine that is installed."""
    return [_criu(), _fast_path(), *_engines()]


def _criu() -> Row:
    program = shutil.which("criu") or shutil.which("criu", path="/usr/sbin:/sbin:/usr/local/sbin")
    if program is None:
        return Row("programs", "criu", NO, "not found: checkpoint and restore are refused", "apt-get install criu")
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"[\d.]+", done.stdout)
    checked = (
        subprocess.run([program, "check"], capture_output=True, text=True, check=False) if os.geteuid() == 0 else None
    )
    if checked is not None and checked.returncode:
        words = next((line for line in checked.stderr.splitlines() if "Error" in line), "criu check fails")
        return Row("programs", "criu", LIMITED, f"{version.group(0) if version else ''}: {words.strip()}")
    return Row("programs", "criu", YES, version.group(0) if version else "")


def _fast_path() -> Row:
    """Whether commands start from their archives in the launcher's own interpreter."""
    if "_launcher" in sys.builtin_module_names:
        return Row("pyrunc", "fast path", YES, "the interpreter runs in the launcher")
    return Row("pyrunc", "fast path", LIMITED, f"{sys.executable} is executed", "a Python with a shared library")


def _engines() -> list[Row]:
    found = []
    for engine, places in ENGINES.items():
        path = shutil.which(engine) or shutil.which(engine, path="/usr/sbin:/sbin:/usr/local/sbin")
        if path is None:
            continue
        named = [str(file) for file in _files(places) if "pyrunc" in _text(file)]
        if named:
            found.append(Row("engines", engine, YES, f"{path}; {', '.join(named)}"))
        else:
            found.append(Row("engines", engine, LIMITED, path, "name pyrunc in its configuration (docs/engines.md)"))
    return found or [Row("engines", "any", NO, "none is installed")]


def _files(places: tuple[str, ...]) -> list[Path]:
    files: list[Path] = []
    for place in places:
        path = Path(place).expanduser()
        files += sorted(path.iterdir()) if path.is_dir() else [path]
    return files


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
