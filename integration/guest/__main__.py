"""`python3 integration/guest`: builds guests, boots them, runs commands inside."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boot
import client
from recipe import RELEASES, TOP

ENDING: list[int] = []
BEGUN: list[str] = []
"""Users whose suite has begun."""
"""The signal that ends this program, if one arrived."""


def options() -> argparse.ArgumentParser:
    usage = "%(prog)s COMMAND [OPTIONS] [-- WORDS TO RUN, OR FOR PYTEST]"
    parser = argparse.ArgumentParser(prog="integration/guest", description=__doc__, usage=usage)
    commands = parser.add_subparsers(dest="command", required=True)

    made = commands.add_parser("build", help="build the images, and the checkout for them, and boot each once")
    made.add_argument("releases", nargs="*", default=list(RELEASES))

    def bootable(command: argparse.ArgumentParser) -> None:
        command.add_argument("release", choices=list(RELEASES))
        command.add_argument("--hybrid", action="store_true", help="cgroup v1 hierarchies beside v2, not v2 alone")
        command.add_argument("--append", default="", metavar="WORDS", help="for the kernel's command line")
        command.add_argument("--share", type=Path, help="a directory for the guest's /mnt, instead of one of its own")
        command.add_argument("--memory", default="2G")
        command.add_argument("--cpus", type=int, default=2)
        command.add_argument(
            "--checkout", type=Path, default=TOP, help="what to put at /srv/pyrunc (default: this one)"
        )

    def runnable(command: argparse.ArgumentParser) -> None:
        command.add_argument("--user", default="root", help="root, user (1000, lingers) or other (1001)")
        command.add_argument("--login", action="store_true", help="a session of its own for root, too")
        command.add_argument("--cwd", default="")
        command.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")

    started = commands.add_parser("boot", help="start a guest and leave it running")
    bootable(started)
    started.add_argument("--name", default="")
    called = commands.add_parser("run", help="run a command in a guest that runs")
    called.add_argument("name")
    runnable(called)
    once = commands.add_parser("once", help="boot, run a command, stop")
    bootable(once)
    runnable(once)
    suite = commands.add_parser("test", help="run pytest in guests: the integration suite, or what is named")
    suite.add_argument("--release", action="append", choices=list(RELEASES), help="default: each")
    suite.add_argument("--hybrid", action="store_true")
    suite.add_argument("--user", action="append", help="default: root; several, one after the other in one guest")
    suite.add_argument("--cpus", type=int, default=2)
    suite.add_argument("--share", type=Path, help="a directory for the guest's /mnt")
    suite.add_argument("--env", action="append", default=[], metavar="NAME=VALUE")
    suite.add_argument("--seconds", type=int, default=0, help="for everything, what has to be built included")
    stopped = commands.add_parser("stop", help="stop guests")
    stopped.add_argument("names", nargs="+")
    commands.add_parser("list", help="the guests that run")
    return parser


def named(name: str) -> boot.Guest:
    for guest in boot.running():
        if guest.name == name:
            return guest
    sys.exit(f"guest: none that runs is called {name}")


def call(guest: boot.Guest, given: argparse.Namespace) -> int:
    env = dict(setting.split("=", 1) for setting in given.env)
    stdin = None if os.isatty(0) else 0
    settings = {"user": given.user, "login": given.login, "cwd": given.cwd, "env": env}
    return client.run(guest, given.words or ["true"], stdin=stdin, **settings)


def pytest(guest: boot.Guest, user: str, words: list[str], env: dict[str, str]) -> int:
    """Runs pytest in the guest. Each test is reported as it ends, so that a timeout loses no results."""
    print(f"guest: Debian {guest.release}, as {user}: pytest {' '.join(words)}", flush=True)
    args = [".venv/bin/python", "-m", "pytest", "-v", "-p", "no:cacheprovider", *words]
    BEGUN.append(user)
    return client.run(guest, args, user=user, cwd="/srv/pyrunc", env=env)


def test(given: argparse.Namespace) -> int:
    """Runs pytest in a guest of each release, one after the other; returns the worst exit status."""
    words = given.words or ["integration", "--ignore=integration/engines"]
    env = dict(setting.split("=", 1) for setting in given.env)
    worst = 0
    for number in given.release or RELEASES:
        try:
            found = suites(number, given, words, env)
        except Panic as panic:
            print(f"{panic}: all once more in another", flush=True)
            found = suites(number, given, words, env)
        worst = max(worst, *found)
    return worst


class Panic(SystemExit):
    """The kernel of a guest panicked. Under emulation this happens now and then in code that pyrunc does not reach."""


def suites(number: str, given: argparse.Namespace, words: list[str], env: dict[str, str]) -> list[int]:
    """Runs pytest in one guest as each user; returns the exit statuses."""
    with ready(number, hybrid=given.hybrid, memory="3G", cpus=given.cpus, share=given.share) as guest:
        try:
            return [pytest(guest, user, words, env) for user in given.user or ["root"]]
        except SystemExit:
            if ENDING or not boot.panicked(guest):
                raise
            raise Panic("guest: its kernel panicked") from None


@contextmanager
def ready(number: str, tries: int = 2, **settings: object) -> Iterator[boot.Guest]:
    """Boots a guest that answers. If it does not come up, its console's log is reported and it is booted once more."""
    for left in reversed(range(tries)):
        with boot.booted(number, **settings) as guest:
            begin = time.monotonic()
            try:
                client.run(guest, ["true"])
            except SystemExit:
                print(boot.last_words(guest), flush=True)
                if left and not ENDING:
                    continue
                raise
            print(f"guest: Debian {number}: {time.monotonic() - begin:.1f} s to the first command", flush=True)
            try:
                yield guest
            except SystemExit:
                print(boot.last_words(guest), flush=True)
                raise
            return


def end(number: int, _: object) -> None:
    """A signal ends guests and builders as well. The exit status after the timeout is 124, as of timeout(1), or 1 if no
    test has begun."""
    ENDING.append(number)
    if number != signal.SIGALRM:
        sys.exit(128 + number)
    print("guest: the time is over", "" if BEGUN else "before a test began", file=sys.stderr, flush=True)
    sys.exit(124 if BEGUN else 1)


def main() -> int:
    own, words = sys.argv[1:], []
    if "--" in own:
        own, words = own[: own.index("--")], own[own.index("--") + 1 :]
    given = options().parse_args(own, argparse.Namespace(words=words))
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, end)
    signal.alarm(getattr(given, "seconds", 0))
    if given.command in ("boot", "once"):
        settings = {name: getattr(given, name) for name in ("hybrid", "append", "share", "memory", "cpus", "checkout")}
    match given.command:
        case "build":
            for number in given.releases:
                with ready(number):
                    pass
        case "boot":
            print(boot.boot(given.release, name=given.name, **settings).name)
        case "run":
            return call(named(given.name), given)
        case "once":
            with boot.booted(given.release, **settings) as guest:
                return call(guest, given)
        case "test":
            return test(given)
        case "stop":
            for name in given.names:
                boot.stop(named(name))
        case "list":
            for guest in boot.running():
                print(f"{guest.name}\tDebian {guest.release}\tpid {guest.pid}")
    return 0


sys.exit(main())
