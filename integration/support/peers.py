"""The peers: other runtimes that a test of behaviour is run on as well, where they are installed.

``RUNC``, ``CRUN`` and ``YOUKI`` name other programs than those in PATH: ``RUNC=/opt/runc-1.5 make integration``.
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
    """The path of the peer called ``name``, empty when it is not installed."""
    return shutil.which(os.environ.get(name.upper(), name)) or ""


@cache
def version(name: str) -> tuple[int, ...]:
    """What `NAME --version` says, as numbers."""
    told = subprocess.run([program(name), "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"version:? (\d+)\.(\d+)", told)
    assert found is not None, told
    return tuple(map(int, found.groups()))


def also_on(*wanted: str, fixture: str = "box") -> Any:
    """The test's ``box`` (or other ``fixture``) is pyrunc's, then that of each peer of ``wanted``, such as ``runc`` or
    ``runc>=1.5``: a peer that is older has been tried, and does something else."""
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
    """Whether the box is not pyrunc's own: words of errors are each runtime's."""
    return box.program != PYRUNC
