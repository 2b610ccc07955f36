"""The peers: other runtimes on which a test of behaviour also runs, if they are installed.

``RUNC``, ``CRUN`` and ``YOUKI`` override the programs in PATH: ``RUNC=/opt/runc-1.5 make integration``.
"""

import os
import re
import shutil
import subprocess
from functools import cache
from typing import Any

import pytest

from harness import PYRUNC, Box


@cache
def program(name: str) -> str:
    """Returns the path of the peer called ``name``, or an empty string if it is not installed."""
    return shutil.which(os.environ.get(name.upper(), name)) or ""


@cache
def version(name: str) -> tuple[int, ...]:
    """Returns the version in the output of `NAME --version`, as numbers."""
    told = subprocess.run([program(name), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version:? (\d+(?:\.\d+)+)", told)
    assert found is not None, told
    return tuple(map(int, found[1].split(".")))


def also_on(*wanted: str, fixture: str = "box") -> Any:
    """Runs the test with ``box`` (or ``fixture``) for pyrunc, then for each peer of ``wanted``, such as ``runc`` or
    ``runc>=1.5``: older versions of that peer have been tried, and behave differently."""
    boxes = [pytest.param(PYRUNC, id="pyrunc"), *map(_parameter, wanted)]
    return pytest.mark.parametrize(fixture, boxes, indirect=True)


def _parameter(wanted: str) -> Any:
    name, _, least = wanted.partition(">=")
    reason = ""
    if not program(name):
        reason = f"{name} is not installed"
    elif least and version(name) < tuple(map(int, least.split("."))):
        reason = f"{name} {'.'.join(map(str, version(name)))} is older than {least}"
    marks = [pytest.mark.skip(reason=reason)] if reason else []
    return pytest.param(program(name), id=name, marks=marks)


def is_peer(box: Box) -> bool:
    """True if the box's runtime is not pyrunc: error messages differ between runtimes."""
    return box.program != PYRUNC
