"""Writes the id maps of an unprivileged user through newuidmap(1) and newgidmap(1), which read /etc/subuid and
/etc/subgid."""

from pyrunc import interrupts
from pyrunc.errors import PyruncError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def map_ids(program: str, pid: int, mappings: "Sequence[str]") -> None:
    """Runs ``program`` to write the map of ``pid``. Raises PyruncError that says what is missing."""
    import subprocess

    arguments = [part for line in mappings for part in line.split()]
    try:
        with interrupts.allowed:  # the program may ask the host's name services, which can take long
            done = subprocess.run([program, str(pid), *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise PyruncError(f"{program} is missing: apt-get install uidmap") from None
    if done.returncode:
        file = "/etc/subuid" if program == "newuidmap" else "/etc/subgid"
        raise PyruncError(f"{program}: {done.stderr.strip()} (are the ids of the mapping yours in {file}?)")
