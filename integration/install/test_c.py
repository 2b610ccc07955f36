"""The C sources: a short fuzz of the plan's reader and the parsers (`make fuzz` takes longer), and aarch64."""

import subprocess
import sys

import pytest

from harness import TOP


@pytest.mark.parametrize("target", ["plan", "parse"])
def test_what_the_helper_reads_may_be_anything(target: str) -> None:
    command = [sys.executable, TOP / "nsenter" / "fuzz" / "run.py", "3", target]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    runs = int(done.stderr.partition("stat::number_of_executed_units:")[2].split()[0])
    assert runs > 1000


def test_the_helper_compiles_for_another_architecture() -> None:
    """The C code does not depend on this architecture: system call numbers come from the headers."""
    done = subprocess.run(["make", "-C", TOP, "cross"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
