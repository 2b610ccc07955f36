"""A terminal in which an engine's client runs, as for a user."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

from ground import Ground


class Terminal:
    """Runs a command inside ``ground`` on a new pty of ``rows`` x ``columns``; collects what it shows in ``text``."""

    def __init__(self, ground: Ground, args: list[str], rows: int = 24, columns: int = 80) -> None:
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        self.text = ""
        self.process = subprocess.Popen(
            ground.words(args),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**ground.environment, "TERM": "xterm"},
            cwd=ground.directory,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def send(self, text: str) -> None:
        os.write(self.master, text.encode())

    def expect(self, text: str, seconds: float = 20.0) -> str:
        """Reads until ``text`` is shown. Returns the output before it, and drops both from ``self.text``."""
        end = time.monotonic() + seconds
        while text not in self.text:
            assert self.read(end), f"{text!r} was not shown, but {self.text!r}"
        before, _, self.text = self.text.partition(text)
        return before

    def read(self, end: float) -> bool:
        """Reads once. False if the time is over or the other side has closed."""
        if not select.select([self.master], [], [], max(0.0, end - time.monotonic()))[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.text += data.decode(errors="replace")
        return bool(data)

    def wait(self, seconds: float = 20.0) -> int:
        """Reads to the end; returns the client's exit code. ``text`` holds the rest."""
        end = time.monotonic() + seconds
        while self.read(end):
            pass
        code = self.process.wait(max(0.1, end - time.monotonic()))
        os.close(self.master)
        return code
