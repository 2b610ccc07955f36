"""Checks the user: sub-ids and the programs that map them, and a directory for the state."""

import os
import pwd
import shutil
from pathlib import Path

from pyrunc.hostcheck.rows import LIMITED, NO, YES, Row

AREA = "user"


def _name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def rows(state_directory: str) -> list[Row]:
    """Returns the rows. ``state_directory``: where the containers' states are stored."""
    name = _name()
    found = [Row(AREA, "identity", YES, f"{name} ({os.geteuid()})"), _state(state_directory)]
    if os.geteuid() == 0:
        return found
    for program, file in (("newuidmap", "/etc/subuid"), ("newgidmap", "/etc/subgid")):
        path = shutil.which(program)
        if path is None:
            found.append(Row(AREA, program, NO, "not found", "apt-get install uidmap"))
            continue
        ranges = _ranges(file, name)
        if ranges:
            found.append(Row(AREA, file, YES, ", ".join(ranges)))
        else:
            remedy = f"usermod --add-sub{file[-3:]}s 100000-165535 {name}"
            found.append(Row(AREA, file, LIMITED, "one id only: the user's own", remedy))
    return found


def _ranges(file: str, name: str) -> list[str]:
    """Returns ``START:COUNT`` of the user's lines (subuid(5))."""
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return []
    names = (name, str(os.geteuid()))
    return [line.partition(":")[2] for line in lines if line.partition(":")[0] in names]


def _state(directory: str) -> Row:
    """Whether a state can be created in the directory, or in its nearest existing parent."""
    at = Path(directory)
    while not at.exists():
        at = at.parent
    if os.access(at, os.W_OK):
        return Row(AREA, "state directory", YES, directory, required=True)
    remedy = "set XDG_RUNTIME_DIR (a login session does), or give --root"
    return Row(AREA, "state directory", NO, f"{directory}: not ours to write", remedy, required=True)
