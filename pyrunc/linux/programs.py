"""Runs programs of the host, such as ps(1) and newuidmap(1), and ends them when a signal ends the command."""

from pyrunc import interrupts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from subprocess import CompletedProcess


def run(words: "Sequence[str]") -> "CompletedProcess[bytes]":
    """Runs a program from $PATH. Returns its exit status and its output. Raises FileNotFoundError if there is none.

    A signal that ends the command ends the program too. The signals are blocked during subprocess.Popen: it forks
    before its object exists, so a signal in between would leave the program running.
    """
    import signal
    import subprocess

    ends = {signal.SIGINT, *interrupts.ENDING}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, ends)
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            try:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
                with interrupts.allowed:
                    output, errors = process.communicate()
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(words, process.returncode, output, errors)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
