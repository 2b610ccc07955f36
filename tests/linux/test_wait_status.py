"""Waiting for children."""

import subprocess
import sys

CODE = """
import os, sys, time
from pyrunc import interpreter
from pyrunc.linux.wait_status import wait_for_child
completed = []
interpreter.complete = lambda: completed.append(1)
pid = os.fork()
if pid == 0:
    time.sleep(0.003)
    os._exit(7)
print(os.waitstatus_to_exitcode(wait_for_child(pid)), completed, 'select' in sys.modules)
"""


def test_a_child_that_ends_soon_is_awaited_with_half_an_interpreter() -> None:
    """Starting the second phase took 7 ms of every start, although the helper was about to end."""
    done = subprocess.run([sys.executable, "-I", "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout == "7 [] False\n"
