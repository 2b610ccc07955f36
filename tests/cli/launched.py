"""The command, run as the launcher runs it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
PACKAGES = next(path for path in sys.path if path.endswith("site-packages"))
START = "import sys; sys.path[:0] = sys.argv.pop(1).split(':')\n"


def python(code: str, *words: Any, **settings: Any) -> "subprocess.CompletedProcess[bytes]":
    """Runs ``code`` in an interpreter as the launcher starts it."""
    command = [sys.executable, "-I", "-S", "-c", START + code, f"{TOP}:{PACKAGES}", *words]
    return subprocess.run(command, **{"capture_output": True, "timeout": 30, **settings})


def pyrunc(*words: Any, **settings: Any) -> "subprocess.CompletedProcess[bytes]":
    """Runs the whole command."""
    return python("from pyrunc.cli.dispatch import main; main()", *words, **settings)
