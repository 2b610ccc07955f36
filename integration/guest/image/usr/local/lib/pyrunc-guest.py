"""In the guest: runs commands that the host sends through virtio ports, one command at a time on each port.

The host sends a line ``\\0run TOKEN {json}``, the guest answers ``\\0hello TOKEN``, and from there on both send frames:
a letter, 4 bytes of length, content. ``i`` is standard input (empty: its end), ``s`` a signal's number; ``o`` and ``e``
are the command's output and errors, ``x`` its exit status as of a shell. Line and token mark the beginning
again if a client has disconnected in between.
"""

import contextlib
import json
import os
import select
import shlex
import signal
import struct
import subprocess
import threading
import time


class Gone(Exception):
    """The host's side of the port was closed."""


class Port:
    def __init__(self, device):
        self.descriptor = os.open(f"/dev/{device}", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self.pending = b""

    def read(self):
        """Reads the available bytes; raises Gone without a client."""
        try:
            content = os.read(self.descriptor, 65536)
        except BlockingIOError:
            return
        if not content:
            raise Gone
        self.pending += content

    def write(self, content):
        while content:
            try:
                content = content[os.write(self.descriptor, content[:32768]) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self.descriptor, select.POLLOUT)
                if any(event & select.POLLHUP for _, event in poll.poll(1000)):
                    raise Gone from None

    def frame(self, kind, content):
        self.write(kind + struct.pack(">I", len(content)) + content)

    def frames(self):
        # A client that connected so soon after the last one that the port was not seen closed in between.
        if b"\0run " in self.pending:
            raise Gone
        while len(self.pending) >= 5:
            (length,) = struct.unpack(">I", self.pending[1:5])
            if len(self.pending) < 5 + length:
                return
            kind, content = self.pending[:1], self.pending[5 : 5 + length]
            self.pending = self.pending[5 + length :]
            yield kind, content

    def request(self):
        """Waits for a client's request; skips leftovers of another client."""
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        while True:
            _, found, rest = self.pending.partition(b"\0run ")
            line, end, left = rest.partition(b"\n")
            if found and end:
                self.pending = left
                token, _, asked = line.partition(b" ")
                self.write(b"\0hello " + token + b"\n")
                return json.loads(asked)
            if poll.poll()[0][1] & select.POLLHUP:
                # Without a client poll() returns at once, and there is no event for a new client.
                self.pending = b""
                time.sleep(0.05)
            with contextlib.suppress(Gone):
                self.read()


def words_for(asked):
    """Returns the command line for the user: root's runs in this service, others in a login session of pam_systemd."""
    words, user = asked["args"], asked.get("user", "root")
    settings = [f"{name}={value}" for name, value in asked.get("env", {}).items()]
    if user == "root" and not asked.get("login"):
        return ["env", *settings, *words]
    line = f"exec {shlex.join(['env', *settings, *words])}"
    if asked.get("cwd"):
        line = f"cd {shlex.quote(asked['cwd'])} && {line}"
    return ["su", "--login", user, "--command", line]


def serve(port, asked):
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    environment |= {"HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/bash"}
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        words_for(asked), stdin=pipe, stdout=pipe, stderr=pipe, env=environment, cwd=asked.get("cwd") or "/root",
        start_new_session=True, bufsize=0,
    )  # fmt: skip
    kinds = {process.stdout.fileno(): b"o", process.stderr.fileno(): b"e"}
    exited = os.pidfd_open(process.pid)
    poll = select.poll()
    for descriptor in (*kinds, exited, port.descriptor):
        poll.register(descriptor, select.POLLIN)
    try:
        while exited is not None or kinds:
            # Descendants may keep the output open: after the command's end only the available output is read.
            events = poll.poll() if exited is not None else poll.poll(100)
            if not events:
                break
            for descriptor, _ in events:
                if descriptor == exited:
                    poll.unregister(exited)
                    exited = os.close(exited)
                elif descriptor == port.descriptor:
                    port.read()
                    from_host(port, process)
                elif content := os.read(descriptor, 32768):
                    port.frame(kinds[descriptor], content)
                else:
                    poll.unregister(descriptor)
                    del kinds[descriptor]
        status = process.wait()
        port.frame(b"x", str(status if status >= 0 else 128 - status).encode())
    except Gone:
        process.terminate()
        try:
            process.wait(2)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    finally:
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


def signal_all(pid, number):
    """Signals the command itself: below su it has a separate session, and su would turn any signal into SIGKILL."""
    with open(f"/proc/{pid}/comm") as comm, open(f"/proc/{pid}/task/{pid}/children") as children:
        leaders = children.read().split() if comm.read() == "su\n" else [pid]
    for leader in leaders:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(int(leader), number)


def from_host(port, process):
    for kind, content in port.frames():
        if kind == b"s":
            signal_all(process.pid, int(content))
        elif content:
            try:
                process.stdin.write(content)
            except OSError:
                pass
        else:
            process.stdin.close()


def serve_all(port):
    while True:
        with contextlib.suppress(Gone):
            serve(port, port.request())


for device in os.listdir("/sys/class/virtio-ports"):
    threading.Thread(target=serve_all, args=(Port(device),)).start()
