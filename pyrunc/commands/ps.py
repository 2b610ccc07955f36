"""`pyrunc ps`."""

from pyrunc.container.container import Container
from pyrunc.errors import PyruncError
from pyrunc.spec.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(options: "Any") -> int:
    """Prints the container's processes: an array of pids, or the lines of ps(1) that are about them."""
    pids = Container.load(options.container_id, options.root).processes()
    if options.format == "json":
        print(dumps(pids))
        return 0
    import subprocess

    try:
        found = subprocess.run(["ps", *(options.args or ("-ef",))], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise PyruncError("ps: executable file not found in $PATH") from None
    if found.returncode:
        raise PyruncError(f"ps: {found.stderr.strip()}")
    header, *lines = found.stdout.splitlines()
    titles = header.split()
    if "PID" not in titles:
        raise PyruncError("couldn't find PID field in ps output")
    column = titles.index("PID")
    print(header)
    for line in lines:
        fields = line.split()
        if len(fields) > column and fields[column].isdigit() and int(fields[column]) in pids:
            print(line)
    return 0
