"""The C sources: the plan's reader under ASan and UBSan for a moment (`make fuzz` takes longer), and aarch64."""

import subprocess
import sys

from harness import TOP


def test_the_reader_of_plans_takes_whatever_it_is_given() -> None:
    command = [sys.executable, TOP / "nsenter" / "fuzz" / "run.py", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    runs = int(done.stderr.partition("stat::number_of_executed_units:")[2].split()[0])
    assert runs > 1000


def test_the_helper_compiles_for_another_architecture() -> None:
    """Nothing in C is tied to this one: system call numbers come from the headers."""
    done = subprocess.run(["make", "-C", TOP, "cross"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
