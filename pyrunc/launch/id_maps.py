"""Writes the id maps of an unprivileged user through newuidmap(1) and newgidmap(1), which read /etc/subuid and
/etc/subgid."""

from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def map_ids(program: str, pid: int, mappings: "Sequence[str]") -> None:
    """Runs ``program`` to write the map of ``pid``. Raises PyruncError that says what is missing."""
    from pyrunc.linux.programs import run

    arguments = [part for line in mappings for part in line.split()]
    try:
        done = run([program, str(pid), *arguments])  # it may ask the host's name services, which can take long
    except FileNotFoundError:
        raise PyruncError(f"{program} is missing: apt-get install uidmap") from None
    if done.returncode:
        file = "/etc/subuid" if program == "newuidmap" else "/etc/subgid"
        words = done.stderr.decode("utf-8", "replace").strip()
        raise PyruncError(f"{program}: {words} (are the ids of the mapping yours in {file}?)")
