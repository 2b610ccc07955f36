"""nsenter/helper/parse.c, called directly. (nsenter/fuzz calls it with arbitrary input.)"""

import ctypes
import subprocess
from pathlib import Path

import pytest

HELPER = Path(__file__).parents[2] / "nsenter" / "helper"


@pytest.fixture(scope="module")
def parse(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    library = tmp_path_factory.mktemp("parse") / "parse.so"
    command = ["gcc", "-std=c11", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library, HELPER / "parse.c"]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(library))


@pytest.mark.parametrize(
    ("mountpoint", "path", "covers"),
    [
        (b"/srv/a", b"/srv/a/proc", True),
        (b"/srv/a/proc", b"/srv/a/proc", True),
        (b"/", b"/srv/a/proc", True),
        (rb"/srv/a\040b", b"/srv/a b/proc", True),
        (b"/srv/ab", b"/srv/a/proc", False),
        (b"/srv/a/proc/x", b"/srv/a/proc", False),
        (rb"/srv/\000", b"/srv/", False),
        (b"", b"/srv/a", False),
    ],
)
def test_what_lies_below_a_later_mount_is_covered(
    parse: ctypes.CDLL, mountpoint: bytes, path: bytes, covers: bool
) -> None:
    """A mount that is not covered and that no name leads to must not stay in the namespace (mountinfo.c)."""
    lines = b"30 1 0:5 / /elsewhere rw - tmpfs t rw\n31 1 0:6 / " + mountpoint + b" rw,relatime - tmpfs tmpfs rw\n"
    assert bool(parse.mountinfo_covers(lines, path)) == covers
    assert not parse.mountinfo_covers(None, path) and not parse.mountinfo_covers(b"30 1\n\n", path)
